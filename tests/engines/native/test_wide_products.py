"""Products with large weights, in blocks: the same bits as without blocks, for any blocks, threads and target."""

import platform
from itertools import pairwise

import numpy as np
import pytest

from ranvier.engines.native import compiler
from ranvier.engines.native.passes import wide_products
from ranvier.engines.native.runtime import threads as runtime
from ranvier.engines.native.runtime.llvm import compile_object, load_object, resolve_target
from ranvier.engines.native.runtime.program import NativeProgram
from ranvier.engines.native.schedule import blocking
from ranvier.graph.contraction import einsum
from ranvier.graph.grad import gradient
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import BATCH, apply, like
from ranvier.ops import arrays as numeric
from ranvier.ops.functional.convolution import convolve

SMALL = {
    "BLOCK_BYTES": 1 << 12, "MAX_TERMS": 32, "BLOCK_TERMS": 16, "MAX_COLUMNS": 48, "ALIASED": 1 << 7,
    "PLACES_TERMS": 16, "PLACES_BYTES": 1 << 12, "JOINED_TERMS": 40,
}  # fmt: skip
FURTHER = ["x86-64-v2", "x86-64-v3"] if platform.machine() in ("x86_64", "AMD64") else []
NETWORKS = {
    "kernels": ("mk,kn->mn", BATCH, (64, 96, 80, 5)),
    "transposed weights": ("mk,nk->mn", BATCH, (64, 96, 80, 5)),
    "odd widths": ("mk,kn->mn", BATCH, (37, 101, 45)),
    "odd widths, transposed": ("mk,nk->mn", BATCH, (45, 101, 37)),
    "a known batch": ("mk,kn->mn", 37, (64, 96, 70)),
    "a known batch, transposed": ("mk,nk->mn", 37, (70, 96, 64)),
    "one sample": ("mk,kn->mn", 1, (64, 100, 64)),
    "one sample, all widths of panels": ("mk,kn->mn", 1, (40, 379, 251)),
    "samples of one tile": ("mk,kn->mn", 7, (150, 100, 64)),
    "three samples, transposed": ("mk,nk->mn", 3, (64, 100, 64)),
}


def step(text, batch, widths, dtype="float32", rows=0):
    """A step of Adam (without its correction of the first steps), which also gives the gradient by the data."""
    x = input_node("x", (batch, widths[0]), dtype, windowed=batch == BATCH, rows=rows)
    states, weights, h = [], [], x
    for number, (inputs, outputs) in enumerate(pairwise(widths)):
        shape = (inputs, outputs) if text.startswith("mk,kn") else (outputs, inputs)
        own = [input_node(f"{name}{number}", shape, dtype) for name in ("w", "m", "v")]
        weights.append(own[0])
        states.append(own)
        h = apply("relu", einsum(text, h, own[0]))
    loss = numeric.mean(h * h)
    updates, gradients = [], gradient(loss, [*weights, x])
    for (w, m, v), g in zip(states, gradients, strict=False):
        mean, square = m * like(m, 0.9) + g * like(g, 0.1), v * like(v, 0.99) + g * g * like(g, 0.01)
        updates += [(w, w - mean / numeric.add(numeric.sqrt(square), 1e-3) * like(w, 0.01)), (m, mean), (v, square)]
    return Graph((x, *(array for own in states for array in own)), (h, gradients[-1]), tuple(updates))


def images(side, channels, filters, kernel, stride=1):
    """A step of gradient descent on two padded convolutions, the second one with a stride."""
    x = input_node("x", (BATCH, side, side, channels), "float32", windowed=True)
    h, kernels = x, []
    for number, step in enumerate((1, stride)):
        shape = (kernel, kernel, channels if number == 0 else filters, filters)
        kernels.append(input_node(f"kernel{number}", shape, "float32"))
        h = apply("relu", convolve(h, kernels[-1], stride=(step, step), padding="same", dilation=(1, 1)))
    gradients = gradient(numeric.mean(h * h), kernels)
    updates = [(k, k - g * like(g, 0.1)) for k, g in zip(kernels, gradients, strict=True)]
    return Graph((x, *kernels), (h,), tuple(updates))


def trained(graph, rows, target="host", threads=(1,)):
    """For each number of threads, the outputs and the updated arrays after two steps, of ``rows`` rows and of fewer."""
    target, results = resolve_target(target), []
    text = compiler.text_of(compiler.lower(graph), rows, target)
    program = NativeProgram(graph, rows, text, load_object(compile_object(text.text, target), target))
    total = rows + rows // 3 if graph.inputs[0].shape[0] == BATCH else rows
    shapes = [[total if d == BATCH else d for d in node.shape] for node in (*graph.inputs, *graph.outputs)]
    for number in threads:
        rng = np.random.default_rng(0)
        arrays = [rng.uniform(0.1, 1, shape).astype(n.dtype) for n, shape in zip(graph.inputs, shapes, strict=False)]
        outputs = [np.zeros(shape, n.dtype) for n, shape in zip(graph.outputs, shapes[len(arrays) :], strict=True)]
        with runtime.threads_here(number):
            program.run(arrays, outputs, 0, -(-total // rows), total)
        results.append(b"".join(array.tobytes() for array in (*arrays, *outputs)))
    return results


@pytest.fixture
def always(monkeypatch):
    monkeypatch.setattr(wide_products, "LARGE", 1)
    monkeypatch.setattr(wide_products, "FEW_SAMPLES", 4)  # sums of more have the order that they have without blocks
    for name, value in SMALL.items():
        monkeypatch.setattr(blocking, name, value)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_bits_as_without_blocks(name, request):
    text, batch, widths = NETWORKS[name]
    graph, rows = step(text, batch, widths), 37 if batch == BATCH else batch
    expected = trained(graph, rows)
    request.getfixturevalue("always")
    assert trained(graph, rows, threads=(1, 3)) == 2 * expected


@pytest.mark.parametrize("target", FURTHER)
@pytest.mark.parametrize("text", ["mk,kn->mn", "mk,nk->mn"])
def test_the_same_bits_on_every_target(text, target, request):
    graph = step(text, BATCH, (37, 101, 45))
    expected = trained(graph, 37)
    request.getfixturevalue("always")
    assert trained(graph, 37, target, (2,)) == expected


@pytest.mark.parametrize(
    ("rows", "side", "channels", "filters", "kernel", "stride"),
    [
        (5, 4, 20, 48, 1, 1), (3, 3, 16, 100, 1, 1), (4, 6, 64, 64, 3, 1), (5, 3, 18, 40, 3, 1), (6, 5, 8, 50, 3, 2),
        (1, 7, 24, 130, 3, 1), (1, 9, 32, 32, 3, 1), (1, 20, 48, 64, 3, 1),
        (1, 3, 18, 100, 3, 1), (5, 3, 40, 70, 1, 1), (16, 7, 128, 128, 3, 1),
    ],
)  # fmt: skip
def test_the_same_bits_of_images(rows, side, channels, filters, kernel, stride, request):
    """Products of 1 x 1, of transformed 3 x 3, of patches, and of a single sample, divided by channels or rows."""
    graph = images(side, channels, filters, kernel, stride)
    expected = trained(graph, rows)
    request.getfixturevalue("always")
    assert trained(graph, rows, threads=(1, 3)) == 2 * expected


def test_which_convolutions_become_products_of_patches(always):
    def products(*sizes, batch=4):
        graph = compiler.optimize(compiler.lower(images(*sizes)), batch)
        found = [node.attrs for node in graph.nodes() if node.op.name == "contract"]
        return sum(attrs["rank"] == 3 and attrs["loops"][0] == BATCH for attrs in found)

    assert products(3, 18, 40, 3) == 3  # two convolutions, and the gradient by the second one's images
    assert products(12, 18, 40, 3) == 0  # too many pixels


def test_float64(request):
    graph = step("mk,nk->mn", BATCH, (40, 50, 30), "float64")
    expected = trained(graph, 20)
    request.getfixturevalue("always")
    assert trained(graph, 20, threads=(2,)) == expected


def test_the_same_bits_where_few_rows_are_expected(always):
    """Weights are read as they are then, also by the tiles of more rows than were expected."""
    graphs = [step("mk,kn->mn", BATCH, (37, 101, 45), rows=rows) for rows in (0, 8)]
    texts = [compiler.text_of(compiler.lower(graph), 20, resolve_target()).text for graph in graphs]
    assert len(texts[1]) != len(texts[0])
    assert trained(graphs[0], 20) == trained(graphs[1], 20)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("batch", "rows"), [(BATCH, 1), (BATCH, 5), (3, 3), (8, 8)])
def test_dot_products_of_few_samples(batch, rows, dtype, monkeypatch):
    """The same bits for any threads and target, and the numbers of sums term by term."""
    graph = step("mk,kn->mn", batch, (150, 101, 45), dtype)
    (expected,) = trained(graph, rows)
    monkeypatch.setattr(wide_products, "LARGE", 1)
    found = {bits for target in ("host", *FURTHER) for bits in trained(graph, rows, target, (1, 3))}
    assert len(found) == 1
    assert wide_products.ALONG_TERMS in str(compiler.optimize(compiler.lower(graph), rows))
    np.testing.assert_allclose(np.frombuffer(found.pop(), dtype), np.frombuffer(expected, dtype), 2e-3, 2e-5)


def test_which_products_are_wide():
    def marks(batch, inputs, outputs, text="mk,kn->mn"):
        graph = wide_products.wide_products(step(text, BATCH, (inputs, outputs)), batch)
        return {node.attrs.get("of") for node in graph.nodes() if node.op.name == "contract"} - {None}

    assert marks(32, 1024, 1024) == {"wide", "wide along samples"}
    assert marks(32, 1024, 1024, "mk,nk->mn") == {"wide", "wide along samples"}
    assert marks(2, 1024, 1024) == {"wide", "wide along terms"}  # too few samples for vectors along them
    assert marks(2048, 1024, 1024) == set()  # threads divide the samples
    assert marks(32, 128, 128) == set()
