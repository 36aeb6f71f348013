"""Convolutions and their gradients in the forms that the compiler gives them: exact on whole numbers."""

import numpy as np
import pytest

from ranvier.engines import native, reference
from ranvier.functional.convolution import convolve
from ranvier.graph.grad import gradient
from ranvier.graph.graph import Graph, input_node, verify
from ranvier.graph.node import BATCH, apply

SAMPLES = 3
# Of a sample, of the kernel (the channels that it sees, then filters), then options of `convolve`.
SHAPES = [
    ((32, 32, 3), (3, 3, 3, 16), {}),  # a vector wide: elements are shared by the taps
    ((9, 21, 4), (5, 5, 4, 6), {"padding": "valid"}),
    ((7, 30, 2), (2, 4, 2, 16), {}),
    ((6, 17, 5), (1, 8, 5, 3), {}),
    ((6, 17, 5), (1, 9, 5, 3), {}),  # too many taps
    ((12, 12, 3), (3, 3, 3, 7), {"dilation": (1, 2)}),  # taps that walk two places
    ((11, 40, 2), (1, 3, 2, 24), {}),  # more than a vector
    ((14, 14, 20), (3, 3, 1, 20), {"groups": 20}),  # each channel has elements of its own
    ((14, 14, 6), (3, 3, 1, 12), {"groups": 6}),
    ((40, 3), (3, 3, 8), {}),
    ((4, 5, 12, 2), (2, 3, 3, 2, 5), {}),
    ((16, 16, 8), (3, 3, 8, 16), {"stride": (2, 2)}),  # gradients with zeros in between
    ((17, 15, 4), (3, 3, 4, 8), {"stride": (2, 3)}),
    ((17, 15, 4), (3, 3, 4, 8), {"stride": (2, 2), "padding": "valid"}),
    ((16, 16, 8), (1, 1, 8, 12), {"stride": (2, 2)}),  # of which three quarters are zeros
    ((12, 13, 3), (2, 2, 3, 4), {"stride": (3, 3)}),
    ((13, 9, 2), (4, 3, 2, 4), {"stride": (1, 2)}),
    ((10, 2), (4, 2, 3), {"stride": (2,)}),
    ((9, 11, 10, 2), (3, 3, 3, 2, 4), {"stride": (2, 2, 2)}),
    ((30, 28, 2), (3, 3, 2, 4), {"stride": (4, 4)}),  # into more parts than are made
]


def programs(shape, kernel, options):
    """A convolution, and the gradients of its sum weighted by numbers."""
    rank = len(shape) - 1
    settings = {"stride": (1,) * rank, "padding": "same", "dilation": (1,) * rank} | options
    x = input_node("x", (BATCH, *shape), "float32")
    weights = input_node("kernel", kernel, "float32")
    y = convolve(x, weights, **settings)
    g = input_node("g", y.shape, "float32")
    total = apply("reduce_sum", y * g, axes=tuple(range(y.ndim)))
    return Graph((x, weights, g), (y, *gradient(total, [x, weights])))


@pytest.mark.parametrize(("shape", "kernel", "options"), SHAPES)
def test_exact_on_whole_numbers(shape, kernel, options):
    """Sums of few small whole numbers are exact in any order."""
    graph, rng = programs(shape, kernel, options), np.random.default_rng(0)
    dims = [[SAMPLES if d == BATCH else d for d in node.shape] for node in (*graph.inputs, *graph.outputs)]
    arrays = [rng.integers(-3, 4, size).astype(np.float32) for size in dims[:3]]
    results = []
    for engine in (reference, native):
        results.append([np.full(size, np.nan, np.float32) for size in dims[3:]])
        engine.compile(graph, SAMPLES).run(arrays, results[-1])
    for expected, got in zip(*results, strict=True):
        np.testing.assert_array_equal(got, expected)


def products(graph):
    """Multiply-adds for each sample."""
    counts = [
        np.prod([loop for loop in node.attrs["loops"] if loop != BATCH])
        for node in graph.nodes()
        if node.op.name == "contract"
    ]
    return int(sum(counts))


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [(2, 2), (1, 2), (4, 2)])
def test_a_gradient_takes_no_more_products_than_the_convolution(size, stride):
    """Zeros in between are not multiplied."""
    both = programs((16, 16, 8), (size, size, 8, 16), {"stride": stride})
    forward, by_inputs = (native.lower(Graph(both.inputs, both.outputs[i : i + 1])) for i in (0, 1))
    verify(by_inputs)
    assert 0 < products(by_inputs) <= products(forward)
