"""Which contractions take the padding of an operand, for libraries whose convolutions pad."""

from typing import Any

import pytest

from ranvier.engines.contractions import with_padding
from ranvier.engines.eager import with_reuse
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import apply, full


def padded_sum(widths, value):
    """Each image's sums over windows of 3 pixels, times weights, of images that are padded."""
    x, w = input_node("x", (4, 6, 2), "float32"), input_node("w", (3, 2, 5), "float32")
    padded = apply("pad", x, full(value, (), "float32"), widths=widths)
    count: Any = padded.shape[1]
    count -= 2
    # Loops: row, position, filter, place, channel.
    images = ((((0, 1),), 0), (((1, 1), (3, 1)), 0), (((4, 1),), 0))
    weights = ((((3, 1),), 0), (((4, 1),), 0), (((2, 1),), 0))
    found = apply(
        "contract", padded, w, loops=(padded.shape[0], count, 5, 3, padded.shape[2]), rank=3, index=(images, weights)
    )
    return x, Graph((x, w), (found,))


ROWS = {
    "around": (((0, 0, 0), (1, 2, 0), (0, 0, 0)), 0, True),
    "with another value": (((0, 0, 0), (1, 2, 0), (0, 0, 0)), 1, False),
    "between": (((0, 0, 0), (1, 1, 1), (0, 0, 0)), 0, False),
    "of rows": (((1, 0, 0), (1, 1, 0), (0, 0, 0)), 0, False),
}


@pytest.mark.parametrize("name", ROWS)
def test_padding_of_zeros_around_windows_is_taken(name):
    widths, value, is_taken = ROWS[name]
    x, graph = padded_sum(widths, value)
    (node,) = with_padding(graph).outputs
    assert (node.inputs[0] is x) == is_taken
    assert node.attrs.get("padding") == ((0, widths) if is_taken else None)


@pytest.mark.parametrize("step", [1, 2])
def test_zeros_between_the_elements_of_a_gradient_are_taken(step):
    """Gradients of sums over 3 pixels by the images: each is read beside the one before, and places backward."""
    g, w = input_node("g", (4, 3, 5), "float32"), input_node("w", (3, 2, 5), "float32")
    padded = apply("pad", g, full(0, (), "float32"), widths=((0, 0, 0), (2, 2, 1), (0, 0, 0)))
    count: Any = (padded.shape[1] - 3) // step + 1
    gradients = ((((0, 1),), 0), (((1, step), (3, -1)), 2), (((4, 1),), 0))
    weights = ((((3, 1),), 0), (((2, 1),), 0), (((4, 1),), 0))
    found = apply("contract", padded, w, loops=(4, count, 2, 3, 5), rank=3, index=(gradients, weights))
    (node,) = with_padding(Graph((g, w), (found,)), lambda width: True).outputs
    assert (node.inputs[0] is g) == (step == 1)
    assert ("padding" in node.attrs) == (step == 1)


def test_memory_of_values_that_nothing_reads_again_is_reused():
    x, y = input_node("x", (3,), "float32"), input_node("y", (3,), "float32")
    total = x + y
    twice = total + total
    values = [x * y + total, apply("relu", twice), apply("relu", x)]
    found = with_reuse(Graph((x, y), tuple(values)), ("relu", "add"), lambda node: node.op.name != "input")
    assert [node.attrs.get("reuses") for node in found.outputs] == [0, 0, None]
    assert [node.attrs.get("reuses") for node in found.of("add") if node not in found.outputs] == [None, None]
