"""ONNX Runtime's InferenceSession on the same network, one intra-op thread or its default, whichever is faster."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, checker, helper, numpy_helper

from benchmarks.contestants import Job, most
from benchmarks.datasets import batches, initial_weights, reference_predict
from benchmarks.workloads import Workload


def model_bytes(workload: Workload) -> bytes:
    """The network as an ONNX model: Gemm, Relu, ..., Softmax."""
    weights = initial_weights(workload)
    nodes, constants, last = [], [], "x"
    for i in range(0, len(weights), 2):
        names = [f"w{i}", f"b{i}"]
        constants += [numpy_helper.from_array(w, n) for w, n in zip(weights[i : i + 2], names, strict=True)]
        nodes.append(helper.make_node("Gemm", [last, *names], [f"z{i}"]))
        end = i + 2 == len(weights)
        last = "probabilities" if end else f"a{i}"
        nodes.append(helper.make_node("Softmax" if end else "Relu", [f"z{i}"], [last], **({"axis": 1} if end else {})))
    inputs = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, workload.layers[0]])
    outputs = helper.make_tensor_value_info(last, TensorProto.FLOAT, [None, workload.layers[-1]])
    graph = helper.make_graph(nodes, "network", [inputs], [outputs], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    return bytes(model.SerializeToString())


def predict(workload: Workload, x: NDArray[Any], y: NDArray[Any]) -> Job:
    samples = batches(workload, x)
    expected = reference_predict(workload, x)

    def session(threads: int) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        return ort.InferenceSession(model_bytes(workload), options, providers=["CPUExecutionProvider"])

    def calls_of(chosen: ort.InferenceSession, calls: int) -> float:
        start = time.perf_counter()
        for i in range(calls):
            chosen.run(None, {"x": samples[i % len(samples)]})
        return time.perf_counter() - start

    times = {}
    for threads in (1, 0):  # 0 is the default: one thread for each core
        trial = session(threads)
        calls_of(trial, most(workload, 200))
        times[threads] = min(calls_of(trial, most(workload, 500)) for _ in range(3))
        del trial
    threads = min(times, key=times.__getitem__)
    chosen = session(threads)

    def begin(_: int) -> float:
        answers = np.concatenate([chosen.run(None, {"x": s})[0] for s in samples])
        return float(np.abs(answers - expected).max())

    return Job(begin, lambda n: calls_of(chosen, n), "1 thread" if threads else "default threads")
