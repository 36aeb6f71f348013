"""ONNX Runtime on the image networks: channels first, all its optimizations, one intra-op thread or its default."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, checker, helper, numpy_helper

from benchmarks.contestants import Job
from benchmarks.contestants.images import Array, fastest, prediction
from benchmarks.networks import (
    EPSILON,
    NETWORKS,
    Conv,
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
            case Conv(size=size, stride=stride, same=same, normalized=normalized, relu=relu):
                pads = {"auto_pad": "SAME_UPPER" if same else "VALID"}
                strides = [stride] * 2
                x = self.node("Conv", x, *self.take(1 + part.bias), kernel_shape=[size] * 2, strides=strides, **pads)
                if normalized:
                    x = self.node("BatchNormalization", x, *self.take(4), epsilon=EPSILON)
                return self.node("Relu", x) if relu else x
            case Depthwise(size):
                names = self.take(2)
                group = self.constants[-1].dims[0]
                return self.node("Relu", self.node("Conv", x, *names, kernel_shape=[size] * 2, group=group))
            case Pool(same):
                return self.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=int(same))
            case GlobalPool():
                return self.node("Flatten", self.node("GlobalAveragePool", x))
            case Flatten():
                return self.node("Flatten", x)
            case Dropout():
                return x  # dropout has no effect in prediction, and exporters omit it
            case Dense(relu=relu):
                x = self.node("Gemm", x, *self.take(2), transB=1)
                return self.node("Relu", x) if relu else x
            case Residual(body, shortcut):
                inner = self.chain(body, x)
                return self.node("Relu", self.node("Add", inner, self.chain(shortcut, x)))


def model_bytes(network: Network, batch: int) -> bytes:
    """The network as an ONNX model from images, channels first, to probabilities."""
    graph = _Graph(network)
    last = graph.node("Softmax", graph.chain(network.parts, "x"), axis=1)
    height, width, channels = network.shape
    made = helper.make_graph(
        graph.nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, channels, height, width])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [batch, 10])],
        graph.constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    return bytes(model.SerializeToString())


def infer(workload: Workload, x: Array, y: Array) -> Job:
    model = model_bytes(NETWORKS[workload.network], workload.batch)
    first = np.ascontiguousarray(x.transpose(0, 3, 1, 2))

    def job_of(threads: int) -> Job:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

        def predict(batch: Array) -> Any:
            return session.run(None, {"x": batch})[0]

        return prediction(workload, first, y, predict, "1 thread" if threads else "default threads")

    jobs = {threads: job_of(threads) for threads in (1, 0)}  # 0 is the default: one thread for each core
    calls = max(2, 512 // workload.batch)
    return jobs[fastest({threads: partial(job.run, calls) for threads, job in jobs.items()})]
