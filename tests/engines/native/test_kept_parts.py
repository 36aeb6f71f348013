"""What is kept in a concatenation, or apart from it: less memory, and the same bits."""

import numpy as np
import pytest

from ranvier.engines.native import compiler
from ranvier.engines.native.passes import kept_parts as module
from ranvier.engines.native.passes.kept_parts import KEPT
from ranvier.engines.native.passes.primitives import INTERNAL
from ranvier.graph.grad import gradient
from ranvier.graph.graph import Graph, input_node, verify
from ranvier.graph.node import BATCH, Node, apply, constant, like, topological
from ranvier.ops import arrays as numeric
from ranvier.ops.functional.convolution import convolve
from tests.engines.native.test_rematerialize import run

SAMPLES, SIDE, CHANNELS = 4, 12, 16
AROUND = ((0, 0, 0), (1, 1, 0), (1, 1, 0), (0, 0, 0))


@pytest.fixture
def always(monkeypatch):
    monkeypatch.setattr(module, "MIN_BYTES", 1)


def network(joins=True, deep=True):
    """One step of gradient descent on a U-Net of one level; without ``joins``, the last convolution reads padding."""
    x = input_node("x", (BATCH, SIDE, SIDE, CHANNELS), "float32", windowed=True)
    total, kernels = input_node("total", (), "float32"), list[Node]()

    def convolution(h, padding="same"):
        kernels.append(input_node(f"kernel{len(kernels)}", (3, 3, h.shape[3], CHANNELS), "float32"))
        return convolve(h, kernels[-1], stride=(1, 1), padding=padding, dilation=(1, 1))

    skip = apply("relu", convolution(x))
    below = apply("relu", convolution(skip) if deep else skip * like(skip, 0.5))
    if joins:
        last = convolution(apply("concatenate", skip, below, axis=3))
    else:
        last = convolution(apply("pad", below, constant(0.0, "float32"), widths=AROUND), "valid")
    loss = numeric.mean(last * last)
    gradients = gradient(loss, kernels)
    updates = [(k, k - g * like(g, 0.1)) for k, g in zip(kernels, gradients, strict=True)]
    return Graph((x, total, *kernels), (), ((total, total + loss), *updates))


def trained(graph):
    """The kernels after two steps, and the memory that the steps take: of all threads, of each thread."""
    arrays, text = run(graph, SAMPLES)
    return arrays, text.scratch + text.private


def copies(graph):
    return [node for node in module.copy_slices(graph, SAMPLES).nodes() if KEPT in node.attrs]


def read_late(graph):
    """The activations that the gradient reads."""
    changed = module.read_placed(graph, SAMPLES)
    verify(changed, INTERNAL)
    loss = set(topological([root for root in changed.roots() if not root.shape]))
    return [i for n in changed.nodes() if n not in loss for i in n.inputs if i in loss and i.op.name == "relu"]


@pytest.mark.parametrize("joins", [True, False])
@pytest.mark.parametrize("name", ["read_placed", "copy_slices"])
def test_the_same_bits(name, joins, always, monkeypatch):
    graph = network(joins)
    arrays, _ = trained(graph)
    monkeypatch.setattr(module, name, lambda graph, batch: graph)
    before, _ = trained(graph)
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_less_memory(always, monkeypatch):
    _, memory = trained(network())
    for name in ("read_placed", "copy_slices"):
        monkeypatch.setattr(module, name, lambda graph, batch: graph)
    assert memory < trained(network())[1]


def test_the_part_that_waits_is_copied(always):
    (copy,) = copies(network())
    assert copy.shape == (BATCH, SIDE, SIDE, CHANNELS)
    assert copy.inputs[0].op.name == "slice"
    schedule = compiler.schedule_of(compiler.lower(network()), SAMPLES)
    (task,) = (task for task in schedule.tasks if any(KEPT in node.attrs for node in task.nodes))
    assert len(task.nodes) == 1


def test_no_part_is_copied_that_waits_for_no_product(always):
    assert not copies(network(deep=False))


def test_the_gradient_reads_what_was_placed(always):
    assert not read_late(network(joins=False))
    (skip, below) = dict.fromkeys(read_late(network()))  # the first is read twice; the gradient pads what is joined
    assert skip in topological([below])


@pytest.mark.parametrize("joins", [True, False])
def test_little_memory_is_not_worth_it(joins):
    graph = network(joins)
    assert module.read_placed(graph, SAMPLES) is graph
    assert module.copy_slices(graph, SAMPLES) is graph
