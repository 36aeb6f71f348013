"""Kernels that differ only in the addresses of their arrays are written once."""

import itertools
import re

import numpy as np
import pytest

from ranvier import models
from ranvier.engines import native, reference
from ranvier.engines.native import compiler
from ranvier.engines.native.runtime.llvm import resolve_target
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import BATCH, apply, constant, full
from tests.engines.native.test_programs import training_step


def kernels(graph, batch=32):
    text = compiler.text_of(compiler.lower(graph), batch, resolve_target()).text
    return len(re.findall(r"(?m)^define hidden void @k\d+\(", text))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_deep_network_has_no_more_kernels_than_a_shallow_one(optimizer):
    few, many = (kernels(training_step([24] * layers, optimizer=optimizer)[0]) for layers in (5, 11))
    assert few == many


class _Captured(Exception):
    """A graph that the engine was to compile."""


def _captured(graph, batch=None):
    raise _Captured(graph)


def test_resnet_110_has_no_more_kernels_than_resnet_20(monkeypatch):
    monkeypatch.delenv("RANVIER_VERIFY")  # for speed: smaller programs verify signatures
    monkeypatch.setattr(native, "compile", _captured)
    counts = []
    for depth in (20, 110):
        model = models.resnet((32, 32, 3), 10, depth)
        model.compile("sgd", "sparse_categorical_crossentropy", engine="native")
        with pytest.raises(_Captured) as captured:
            model.train_on_batch(np.zeros((64, 32, 32, 3), np.float32), np.zeros(64, np.int64))
        counts.append(kernels(captured.value.args[0], 64))
    assert counts[1] <= counts[0] < 200


def noises(count):
    """Random numbers of several streams, each of which is numbered by a constant."""
    seed, step = (input_node(name, (), "uint32") for name in ("seed", "step"))
    streams = [step + constant(number, "uint32") for number in range(count)]
    shape = (BATCH, 40)
    drawn = [apply("random", seed, stream, shape=shape, dtype="float32") for stream in streams]
    return Graph((seed, step), tuple(noise + full(0.25, shape, "float32") for noise in drawn))


def test_streams_of_random_numbers_share_a_kernel():
    assert kernels(noises(2)) == kernels(noises(6)) == 1
    graph, results = noises(3), []
    for engine in (reference, native):
        results.append([np.zeros((5, 40), np.float32) for _ in graph.outputs])
        engine.compile(graph, 5).run([np.array(3, np.uint32), np.array(4, np.uint32)], results[-1], total=5)
    for expected, got in zip(*results, strict=True):
        np.testing.assert_array_equal(got, expected)
    for one, other in itertools.combinations(results[-1], 2):
        assert not np.array_equal(one, other)


def test_equal_signatures_of_different_kernels_are_refused(monkeypatch):
    """The tests write every kernel again whose signature is known, and compare."""
    from ranvier.engines.native.codegen.signature import Signatures

    of = Signatures.of
    monkeypatch.setattr(Signatures, "of", lambda self, task: of(self, task)._replace(key=(task.kind,)))
    with pytest.raises(AssertionError, match="equal signatures"):
        kernels(training_step([24, 16, 8])[0])
