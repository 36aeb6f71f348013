"""ONNX Runtime on the image networks: channels first, all its optimizations, one intra-op thread or its default."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, checker, helper, numpy_helper

from benchmarks.contestants import Job, most
from benchmarks.contestants.images import HEAVY, Array, fastest, prediction
from benchmarks.network import (
    EPSILON,
    Beside,
    Conv,
    Deconv,
    Dense,
    Depthwise,
    Dropout,
    Flatten,
    GlobalPool,
    Network,
    Part,
    Pool,
    Residual,
)  # fmt: skip
from benchmarks.networks import NETWORKS
from benchmarks.workload import Workload


class _Graph:
    """Nodes and constants of an ONNX graph. Each method adds a part after the value `x` and returns its output."""

    def __init__(self, network: Network) -> None:
        self.weights = iter(network.weights_channels_first(trained=True))
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def take(self, count: int) -> list[str]:
        names = [f"w{len(self.constants) + i}" for i in range(count)]
        self.constants += [numpy_helper.from_array(next(self.weights), n) for n in names]
        return names

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def chain(self, parts: tuple[Part, ...], x: str) -> str:
        for part in parts:
            x = self.part(part, x)
        return x

    def part(self, part: Part, x: str) -> str:
        match part:
            case Conv(relu=relu, six=six):
                return self.activated(self.convolution(part, x), six) if relu else self.convolution(part, x)
            case Deconv(size=size, stride=stride, relu=relu):
                shape = {"kernel_shape": [size] * 2, "strides": [stride] * 2, "auto_pad": "SAME_UPPER"}
                x = self.node("ConvTranspose", x, *self.take(2), **shape)
                return self.activated(x) if relu else x
            case Depthwise(six=six):
                return self.activated(self.convolution(part, x), six)
            case Pool(same, size):
                return self.node("MaxPool", x, kernel_shape=[size] * 2, strides=[2, 2], ceil_mode=int(same))
            case GlobalPool():
                return self.node("Flatten", self.node("GlobalAveragePool", x))
            case Flatten():
                return self.node("Flatten", x)
            case Dropout():
                return x  # dropout has no effect in prediction, and exporters omit it
            case Dense(relu=relu):
                x = self.node("Gemm", x, *self.take(2), transB=1)
                return self.node("Relu", x) if relu else x
            case Residual(body, shortcut, relu):
                inner = self.chain(body, x)
                total = self.node("Add", inner, self.chain(shortcut, x))
                return self.activated(total) if relu else total
            case Beside(body):
                return self.node("Concat", x, self.chain(body, x), axis=1)

    def convolution(self, part: Conv | Depthwise, x: str) -> str:
        """A convolution of all channels or of each, and its normalization where it has one."""
        names = self.take(1 + part.bias)
        group = self.constants[-len(names)].dims[0] if isinstance(part, Depthwise) else 1
        x = self.node(
            "Conv", x, *names, kernel_shape=[part.size] * 2, strides=[part.stride] * 2, group=group,
            auto_pad="SAME_UPPER" if part.same else "VALID",
        )  # fmt: skip
        return self.node("BatchNormalization", x, *self.take(4), epsilon=EPSILON) if part.normalized else x

    def activated(self, x: str, six: bool = False) -> str:
        """relu, with `six` at most 6."""
        if not six:
            return self.node("Relu", x)
        names = [f"w{len(self.constants) + i}" for i in range(2)]
        limits = (np.float32(0), np.float32(6))
        self.constants += [numpy_helper.from_array(np.asarray(v), n) for v, n in zip(limits, names, strict=True)]
        return self.node("Clip", x, *names)


def model_bytes(network: Network, batch: int) -> bytes:
    """The network as an ONNX model from images, channels first, to probabilities or restored images."""
    graph = _Graph(network)
    last = graph.chain(network.parts, "x")
    height, width, channels = network.shape
    answer = [channels, height, width] if network.restores else [10]
    last = last if network.restores else graph.node("Softmax", last, axis=1)
    made = helper.make_graph(
        graph.nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, channels, height, width])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [batch, *answer])],
        graph.constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    return bytes(model.SerializeToString())


def infer(workload: Workload, x: Array, y: Array) -> Job:
    model = model_bytes(NETWORKS[workload.network], workload.batch)
    return called(workload, model, np.ascontiguousarray(x.transpose(0, 3, 1, 2)), y)


def called(workload: Workload, model: bytes, x: Array, y: Array, *, logits: bool = False) -> Job:
    """The calls of a model whose input is `x`, with the threads that are faster in a trial."""

    def job_of(threads: int) -> Job:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

        def predict(batch: Array) -> Any:
            return session.run(None, {"x": batch})[0]

        return prediction(workload, x, y, predict, "1 thread" if threads else "default threads", logits=logits)

    # 0 is the default: one thread for each core.
    jobs = {threads: job_of(threads) for threads in {1 if workload.flops < HEAVY else 0, 0}}
    calls = most(workload, max(2, 512 // workload.batch))
    return jobs[fastest({threads: partial(job.run, calls) for threads, job in jobs.items()})]
