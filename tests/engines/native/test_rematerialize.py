"""Activations that the gradient recomputes: less memory, and the same bits."""

import numpy as np
import pytest

from ranvier.engines.native import compiler
from ranvier.engines.native.passes import rematerialize as module
from ranvier.engines.native.passes.rematerialize import RECOMPUTED
from ranvier.engines.native.passes.virtual_workers import WORKERS
from ranvier.engines.native.runtime.llvm import compile_object, load_object, resolve_target
from ranvier.engines.native.runtime.program import NativeProgram
from ranvier.engines.native.schedule.ordering import is_layout
from ranvier.graph.grad import gradient
from ranvier.graph.graph import Graph, input_node, verify
from ranvier.graph.node import BATCH, apply, like, topological
from ranvier.ops import arrays as numeric
from ranvier.ops.functional.convolution import convolve

BATCH_SIZE, SIDE, CHANNELS = 16, 12, 8
ACTIVATIONS = {
    "relu": lambda x: apply("relu", x),
    "relu6": lambda x: numeric.minimum(apply("relu", x), 6.0),
    "leaky": lambda x: numeric.maximum(x, numeric.multiply(x, 0.1)),
}


@pytest.fixture
def always(monkeypatch):
    monkeypatch.setattr(module, "MIN_BYTES", 1)


def network(activation, normalized=True, stride=1, learn=True):
    """One step of gradient descent on three convolutions, of which the second may halve the image."""
    x = input_node("x", (BATCH, SIDE, SIDE, CHANNELS), "float32", windowed=True)
    total = input_node("total", (), "float32")
    kernels, h = [], x
    for i in range(3):
        kernels.append(input_node(f"kernel{i}", (3, 3, CHANNELS, CHANNELS), "float32"))
        h = convolve(h, kernels[-1], stride=(stride if i == 1 else 1,) * 2, padding="same", dilation=(1, 1))
        if normalized:
            centred = numeric.subtract(h, numeric.mean(h, (0, 1, 2), keepdims=True))
            variance = numeric.mean(centred * centred, (0, 1, 2), keepdims=True)
            h = numeric.divide(centred, numeric.sqrt(numeric.add(variance, 1e-3)))
        h = activation(h)
    loss = numeric.mean(h * h)
    updates = [(total, total + loss)]
    if learn:
        gradients = gradient(loss, kernels)
        updates += [(k, k - g * like(g, 0.1)) for k, g in zip(kernels, gradients, strict=True)]
    return Graph((x, total, *kernels), (), tuple(updates))


def recomputed(graph):
    return [n for n in module.rematerialize(graph, BATCH_SIZE).nodes() if RECOMPUTED in n.attrs]


def run(graph, batch):
    """The kernels after two steps, and the program's text, which has the memory that the steps take."""
    target, rng = resolve_target(), np.random.default_rng(0)
    text = compiler.text_of(compiler.lower(graph), batch, target)
    library = load_object(compile_object(text.text, target), target)
    shapes = [(2 * batch, *graph.inputs[0].shape[1:]), *(n.shape for n in graph.inputs[1:])]
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    NativeProgram(graph, batch, text, library).run(arrays, (), 0, 2, 2 * batch)
    return arrays, text


def trained(graph):
    """The kernels after two steps, and the scratch memory that the steps take."""
    arrays, text = run(graph, BATCH_SIZE)
    return arrays, text.scratch


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_same_bits_in_less_memory(name, stride, always, monkeypatch):
    graph = network(ACTIVATIONS[name], stride=stride)
    verify(module.rematerialize(graph, BATCH_SIZE))
    arrays, scratch = trained(graph)
    monkeypatch.setattr(module, "rematerialize", lambda graph, batch: graph)
    before, more = trained(graph)
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)
    assert scratch < more


def test_each_activation_that_a_convolution_reads_is_recomputed(always):
    assert len(recomputed(network(ACTIVATIONS["relu"]))) == 2  # the last one's is read by none


def test_little_memory_is_not_worth_it():
    assert not recomputed(network(ACTIVATIONS["relu"]))


@pytest.mark.parametrize("options", [{"normalized": False}, {"learn": False}])
def test_nothing_is_recomputed_where_that_saves_nothing(options, always):
    assert not recomputed(network(ACTIVATIONS["relu"], **options))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_gradient_reads_nothing_that_the_loss_kept(name, always):
    """Instead of an activation it reads values that are recomputed from the convolution's result."""
    graph = module.rematerialize(network(ACTIVATIONS[name]), BATCH_SIZE)
    loss = set(topological([root for root in graph.roots() if not root.shape]))
    read = {i.op.name for n in graph.nodes() if n not in loss for i in n.inputs if i in loss}
    assert {"relu": "relu", "relu6": "minimum", "leaky": "maximum"}[name] not in read


def test_weights_are_packed_when_they_are_needed():
    """Not at the beginning: those of the first layers are read last."""
    graph = network(ACTIVATIONS["relu"])
    schedule = compiler.schedule_of(compiler.lower(graph), BATCH_SIZE)
    packs = [task for task in schedule.order if is_layout(task)]
    assert len(packs) == 2  # no gradient by the first convolution's input is read
    for task in packs:
        first = min(reader.phase for reader in schedule.order if not reader.reads.keys().isdisjoint(task.nodes))
        assert task.phase == first - 1
    assert len({task.phase for task in packs}) == 2


def test_workers_without_samples_have_no_sums():
    for batch in (8, BATCH_SIZE, 4 * BATCH_SIZE):
        schedule = compiler.schedule_of(compiler.lower(network(ACTIVATIONS["relu"])), batch)
        assert {task.space[0] for task in schedule.tasks if task.kind == "partial"} == {min(batch, WORKERS)}
