"""ONNX Runtime on sequences: its own LSTM, attention of the products and the softmax that exporters write."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

from benchmarks.contestants import Job
from benchmarks.contestants.images import Array
from benchmarks.contestants.images.onnx_session import called
from benchmarks.sequence import (
    EPSILON,
    Block,
    Dense,
    Mean,
    Norm,
    Positions,
    Project,
    Recurrent,
    Sequence,
    Step,
    taken,
)  # fmt: skip
from benchmarks.sequence_networks import SEQUENCES
from benchmarks.workload import Workload

LSTM_GATES = (0, 3, 1, 2)  # ONNX has i, o, f, c; Keras i, f, c, o


class _Graph:
    """Nodes and constants of an ONNX graph. Each method adds a part after the value `x` and returns its output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any) -> str:
        name = f"w{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> Any:
        names = [x if isinstance(x, str) else self.constant(x) for x in inputs]
        made = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, names, made, **attributes))
        return made[0] if outputs == 1 else made

    def linear(self, x: str, kernel: Any, bias: Any) -> str:
        return self.node("Add", self.node("MatMul", x, kernel), bias)

    def part(self, step: Step, weights: list[Any], x: str) -> str:
        match step.part:
            case Project() | Dense():
                return self.linear(x, *weights)
            case Positions():
                return self.node("Add", x, weights[0])
            case Recurrent("lstm", units, every=False, both=False):
                return self.lstm(x, units, weights)
            case Block() as block:
                return self.block(block, step.given[-1], weights, x)
            case Norm():
                return self.norm(x, *weights)
            case Mean():
                return self.node("ReduceMean", x, axes=[1], keepdims=0)
        raise TypeError(f"this contestant has no row for {step.part}")

    def lstm(self, x: str, units: int, weights: list[Any]) -> str:
        kernel, recurrent, bias = (
            np.concatenate([np.split(w, 4, -1)[gate] for gate in LSTM_GATES], -1).T[None] for w in weights
        )
        inputs = (self.node("Transpose", x, perm=[1, 0, 2]), kernel, recurrent)
        _, last, _ = self.node(
            "LSTM", *inputs, np.concatenate([bias, np.zeros_like(bias)], 1), outputs=3, hidden_size=units
        )
        return self.node("Squeeze", last, np.array([0]))

    def norm(self, x: str, scale: Any, bias: Any) -> str:
        return self.node("LayerNormalization", x, scale, bias, axis=-1, epsilon=EPSILON)

    def block(self, block: Block, width: int, weights: list[Any], x: str) -> str:
        size = width // block.heads
        y, apart = self.norm(x, *weights[:2]), []
        for i in (2, 4, 6):
            flat = self.linear(y, weights[i].reshape(width, width), weights[i + 1].reshape(width))
            split = self.node("Reshape", flat, np.array([0, 0, block.heads, size]))
            apart.append(self.node("Transpose", split, perm=[0, 2, 3, 1] if i == 4 else [0, 2, 1, 3]))
        queries, keys, values = apart
        scores = self.node("Mul", self.node("MatMul", queries, keys), np.float32(size**-0.5))
        y = self.node("MatMul", self.node("Softmax", scores, axis=-1), values)
        y = self.node("Reshape", self.node("Transpose", y, perm=[0, 2, 1, 3]), np.array([0, 0, width]))
        x = self.node("Add", x, self.linear(y, weights[8].reshape(width, width), weights[9]))
        assert not block.gelu
        assert not block.causal
        y = self.node("Relu", self.linear(self.norm(x, *weights[10:12]), *weights[12:14]))
        return self.node("Add", x, self.linear(y, *weights[14:]))


def model_bytes(sequence: Sequence, batch: int) -> bytes:
    """The network as an ONNX model from `x` to logits."""
    graph, x = _Graph(), "x"
    for step, weights in taken(sequence, trained=True):
        x = graph.part(step, weights, x)
    inputs = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *sequence.shape])
    outputs = helper.make_tensor_value_info(x, TensorProto.FLOAT, [batch, *sequence.answers])
    made = helper.make_graph(graph.nodes, "network", [inputs], [outputs], graph.constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    return bytes(model.SerializeToString())


def infer(workload: Workload, x: Array, y: Array) -> Job:
    return called(workload, model_bytes(SEQUENCES[workload.network], workload.batch), x, y, logits=True)
