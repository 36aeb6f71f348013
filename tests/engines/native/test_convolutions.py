"""Convolutions and their gradients in the forms that the compiler gives them: exact on whole numbers."""

import gc

import numpy as np
import pytest

from ranvier.engines import native, reference
from ranvier.engines.native import compiler
from ranvier.engines.native.passes import winograd as winograd_module
from ranvier.engines.native.passes.clip_padding import clip_padding
from ranvier.engines.native.passes.primitives import STRIPS, continued
from ranvier.engines.native.passes.winograd import winograd
from ranvier.engines.native.runtime.llvm import compile_object, load_object, resolve_target
from ranvier.engines.native.runtime.program import NativeProgram
from ranvier.engines.native.runtime.threads import set_threads
from ranvier.graph.grad import gradient
from ranvier.graph.graph import Graph, input_node, verify
from ranvier.graph.node import BATCH, Node, apply
from ranvier.ops.functional.convolution import convolve, convolve_transposed

SAMPLES = 3
THREADS = (1, 2, 7)
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
    ((8, 6, 64), (3, 3, 64, 64), {}),  # transformed by tiles
    ((7, 9, 64), (3, 3, 64, 70), {}),  # the last tiles reach beyond the results
    ((9, 8, 80), (3, 3, 80, 64), {"padding": "valid"}),
    ((6, 6, 64), (3, 3, 64, 64), {"padding": ((2, 1), (0, 2))}),
    ((6, 6, 64), (3, 3, 64, 64), {"padding": ((3, 0), (4, 4))}),
    ((7, 5, 256), (3, 3, 256, 512), {}),  # of which nothing is computed there
    # The weights' gradient is a product of few pixels.
    ((5, 3, 640), (1, 1, 640, 640), {}),
    ((5, 4, 640), (1, 1, 640, 656), {"stride": (2, 2)}),
    ((16, 16, 32), (3, 3, 32, 32), {}),  # the weights' gradient too
    ((19, 18, 32), (3, 3, 32, 48), {"padding": "valid"}),
    ((17, 15, 40), (3, 3, 40, 32), {}),
    ((30, 30, 32), (3, 3, 32, 32), {}),  # in strips
    ((4, 140, 64), (3, 3, 64, 64), {}),  # which are two rows at least
    ((6, 6, 64), (3, 3, 64, 64), {"dilation": (2, 2)}),  # and not
    ((6, 6, 128), (3, 3, 64, 128), {"groups": 2}),
    # One channel: vectors run along the places, some of which read padding.
    ((8, 9, 4), (3, 3, 4, 1), {}),
    ((8, 21, 20), (3, 3, 20, 1), {}),
    ((9, 40, 3), (2, 5, 3, 1), {}),
    ((9, 70, 2), (3, 4, 2, 1), {"padding": ((1, 1), (3, 0))}),
    ((10, 19, 3), (3, 3, 3, 1), {"stride": (2, 2)}),
    ((10, 19, 33), (3, 3, 33, 1), {"dilation": (2, 3)}),
    ((8, 21, 1), (3, 3, 1, 4), {"padding": "valid"}),
    ((8, 21, 1), (3, 3, 1, 20), {}),
    ((9, 8, 1), (3, 3, 1, 16), {"stride": (2, 1)}),
    ((7, 18, 1), (3, 3, 1, 1), {}),
    ((7, 18, 1), (5, 5, 1, 1), {"padding": "valid"}),
    ((20, 1), (3, 1, 4), {"padding": "valid"}),
    ((50, 1), (17, 1, 1), {}),
    ((50, 3), (9, 3, 1), {"padding": ((8, 0),)}),
    # Many tiles of rows, of which only those at the edges read padding.
    ((150, 3), (3, 3, 40), {}),
    ((150, 18), (11, 18, 24), {}),
    ((150, 18), (35, 18, 40), {"padding": ((34, 0),)}),
    ((3, 150, 18), (9, 9, 18, 20), {"stride": (1, 2)}),
    ((4, 5, 12, 1), (2, 3, 3, 1, 2), {}),
    ((4, 5, 12, 2), (2, 3, 3, 2, 1), {}),
    # An image of one row, whose gradient reads some rows of the kernel alone.
    ((2, 10, 2), (3, 3, 2, 3), {"stride": (2, 2)}),
    ((9, 2, 1), (3, 3, 1, 1), {"stride": (2, 2)}),
    ((2, 2, 3), (5, 3, 3, 2), {"stride": (2, 2)}),
    ((3, 9, 2), (5, 5, 2, 4), {"stride": (3, 2)}),
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
    agree_exactly(programs(shape, kernel, options))


@pytest.mark.parametrize(("shape", "kernel"), [((15, 17, 64), (3, 3, 64, 70)), ((20, 34, 32), (3, 3, 32, 128))])
def test_a_single_sample_is_transformed_too(shape, kernel):
    graph = programs(shape, kernel, {})
    assert products(winograd(compiler.lower(graph), 1)) < products(compiler.lower(graph))
    agree_exactly(graph, 1)


@pytest.mark.parametrize("shape", [(6, 6, 128), (7, 7, 128), (7, 6, 128), (6, 7, 128)])
def test_weights_whose_gradient_a_batch_repays(shape):
    """All samples are summed at once; of the last tiles, what reaches beyond the results is left out."""
    graph = programs(shape, (3, 3, 128, 128), {})
    lowered, (height, width, channels) = compiler.lower(graph), shape
    plain = 9 * height * width * channels * channels  # of each of the three
    assert products(winograd(lowered, 2)) - products(winograd(lowered, 16)) >= plain * 4 / 9
    agree_exactly(graph, 16)


def test_few_samples_do_not_repay_large_transformed_weights():
    both = programs((7, 7, 384), (3, 3, 384, 384), {})
    lowered = compiler.lower(Graph(both.inputs, both.outputs[:1]))
    assert products(winograd(lowered, 2)) == products(lowered) > products(winograd(lowered, 8))


@pytest.mark.parametrize("height", [64, 74])  # in strips of equal heights, or not
@pytest.mark.parametrize("samples", [3, 19])  # one for each worker, or some
def test_strips_of_a_sample_add_to_one_sum(height, samples, monkeypatch):
    """The same bits as of whole samples on any number of threads, in less memory."""
    graph = programs((height, 66, 48), (3, 3, 48, 48), {})
    graph = Graph(graph.inputs, (graph.outputs[0], graph.outputs[2]))
    rng, lowered, target = np.random.default_rng(0), compiler.lower(graph), resolve_target()
    dims = [[samples if d == BATCH else d for d in node.shape] for node in graph.inputs]
    arrays = [rng.normal(size=size).astype(np.float32) for size in dims]

    def gradients():
        text = compiler.text_of(lowered, samples, target)
        program = NativeProgram(graph, samples, text, load_object(compile_object(text.text, target), target))
        results = set()
        for threads in THREADS:
            set_threads(threads)
            result, gradient_ = (np.empty(size, np.float32) for size in ((samples, height, 66, 48), (3, 3, 48, 48)))
            program.run(arrays, [result, gradient_])
            results.add(gradient_.tobytes())
        return results, text.private

    parts = [task for task in compiler.schedule_of(lowered, samples).order if task.kind == "partial"]
    assert [continued(task.node) for task in parts] == [None, *(task.node for task in parts[:-1])] != [None]
    assert len({task.stored.buffer for task in parts}) == 1
    try:
        found, memory = gradients()
        monkeypatch.setattr(winograd_module, "GRADIENT_STRIP_BYTES", 1 << 40)
        whole, more = gradients()
    finally:
        set_threads(None)
    assert len(found) == 1
    assert found == whole
    assert memory < 0.7 * more


def test_strips_are_not_so_small_that_their_sums_stay_whole(monkeypatch):
    monkeypatch.setattr(winograd_module, "GRADIENT_STRIP_BYTES", 1 << 10)
    lowered = compiler.lower(programs((48, 40, 64), (3, 3, 64, 64), {}))
    schedule = compiler.schedule_of(lowered, SAMPLES)
    sums = [task for task in schedule.order if task.kind == "partial"]
    assert len(sums) == 2
    assert not any(STRIPS in node.attrs for task in schedule.order for node in task.nodes)


def test_nothing_outlives_a_transformed_graph():
    def nodes():
        gc.collect()
        return sum(isinstance(found, Node) for found in gc.get_objects())

    lowered = compiler.lower(programs((22, 26, 96), (3, 3, 96, 80), {}))
    before = nodes()
    assert len(winograd(lowered, SAMPLES).nodes()) - len(lowered.nodes()) > 500
    assert nodes() - before < 100  # constants


def agree_exactly(graph, samples=SAMPLES):
    rng = np.random.default_rng(0)
    dims = [[samples if d == BATCH else d for d in node.shape] for node in (*graph.inputs, *graph.outputs)]
    arrays = [rng.integers(-3, 4, size).astype(np.float32) for size in dims[:3]]
    results = []
    for engine in (reference, native):
        results.append([np.full(size, np.nan, np.float32) for size in dims[3:]])
        engine.compile(graph, samples).run(arrays, results[-1])
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


def test_weights_in_another_order():
    """As PyTorch has them."""
    x, g = input_node("x", (BATCH, 16, 16, 32), "float32"), input_node("g", (BATCH, 16, 16, 48), "float32")
    weights = input_node("kernel", (48, 32, 3, 3), "float32")
    y = convolve(x, apply("transpose", weights, axes=(2, 3, 1, 0)), stride=(1, 1), padding="same", dilation=(1, 1))
    total = apply("reduce_sum", y * g, axes=tuple(range(y.ndim)))
    graph = Graph((x, weights, g), (y, *gradient(total, [x, weights])))
    assert products(winograd(compiler.lower(graph), SAMPLES)) * 9 == products(compiler.lower(graph)) * 4
    agree_exactly(graph)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [(2, 2), (1, 2), (4, 2)])
def test_a_gradient_takes_no_more_products_than_the_convolution(size, stride):
    """Zeros in between are not multiplied."""
    both = programs((16, 16, 8), (size, size, 8, 16), {"stride": stride})
    forward, by_inputs = (compiler.lower(Graph(both.inputs, both.outputs[i : i + 1])) for i in (0, 1))
    verify(by_inputs)
    assert 0 < products(by_inputs) <= products(forward)


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "result"),
    [
        ((7, 6, 24), (3, 3, 16, 24), (2, 2), (15, 13)),
        ((5, 6, 16), (2, 2, 32, 16), (2, 2), (10, 12)),
        ((4, 3, 20), (5, 5, 16, 20), (3, 2), (14, 9)),
        ((4, 5, 16), (3, 4, 16, 16), (2, 2), (9, 12)),
    ],
)
def test_gradients_of_a_transposed_convolution_multiply_no_zeros(shape, kernel, stride, result):
    x, weights = input_node("x", (BATCH, *shape), "float32"), input_node("kernel", kernel, "float32")
    y = convolve_transposed(x, weights, stride=stride, padding=((0, 0), (0, 0)), dilation=(1, 1), shape=result)
    g = input_node("g", y.shape, "float32")
    total = apply("reduce_sum", y * g, axes=tuple(range(y.ndim)))
    graph = Graph((x, weights, g), (y, *gradient(total, [x, weights])))
    for output in graph.outputs[1:]:
        assert products(compiler.lower(Graph(graph.inputs, (output,)))) == np.prod(shape[:2]) * np.prod(kernel)
    agree_exactly(graph)


def products_per_sample(shape, kernel, batch=SAMPLES, **options):
    """Of a convolution and both of its gradients, with tiles and without."""
    lowered = compiler.lower(programs(shape, kernel, options))
    return products(winograd(lowered, batch)), products(lowered)


def test_many_channels_take_four_ninths_of_the_products():
    few, many = products_per_sample((16, 16, 64), (3, 3, 64, 64))
    assert few * 9 == many * 4


@pytest.mark.parametrize(
    ("shape", "kernel", "options"),
    [
        ((8, 6, 3), (3, 3, 3, 16), {}),  # the transforms would cost more
        ((8, 6, 16), (3, 3, 16, 16), {}),
        ((3, 3, 64), (3, 3, 64, 64), {"padding": "valid"}),
        ((8, 6, 64), (3, 1, 64, 64), {}),
        ((8, 6, 64), (3, 3, 64, 64), {"dilation": (2, 2)}),
        ((8, 6, 64), (3, 3, 64, 64), {"batch": 1}),
    ],
)
def test_others_are_left_alone(shape, kernel, options):
    few, many = products_per_sample(shape, kernel, **options)
    assert few == many


@pytest.mark.parametrize(("shape", "kernel", "options"), [
    ((8, 6, 64), (3, 3, 64, 8), {}), ((8, 6, 5), (3, 3, 5, 8), {"stride": (2, 2)}), ((9, 7, 5), (4, 5, 5, 8), {}),
])  # fmt: skip
def test_bounds_of_loops_are_padding_by_zeros(shape, kernel, options):
    """By the reference engine, before the pass and after it; the verifier accepts what the pass gives."""
    graph = compiler.lower(programs(shape, kernel, options))
    clipped = clip_padding(graph, SAMPLES)
    verify(clipped)
    assert any("clip" in node.attrs for node in clipped.nodes())
    rng = np.random.default_rng(0)
    arrays = [
        rng.integers(-3, 4, [d if isinstance(d, int) else SAMPLES for d in n.shape]).astype(n.dtype)
        for n in graph.inputs
    ]
    results = [reference.evaluate(g, arrays, {"batch": SAMPLES})[0] for g in (graph, clipped)]
    for expected, found in zip(*results, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_transformed_results_are_as_exact_as_sums():
    graph, rng = programs((10, 10, 64), (3, 3, 64, 64), {}), np.random.default_rng(0)
    arrays = [rng.normal(size=[SAMPLES if d == BATCH else d for d in n.shape]).astype(np.float32) for n in graph.inputs]
    outputs = [np.empty([SAMPLES if d == BATCH else d for d in n.shape], np.float32) for n in graph.outputs]
    native.compile(graph, SAMPLES).run(arrays, outputs)
    exact = reference.compile(graph, SAMPLES)
    for i, got in enumerate(outputs):
        wanted = [np.empty(o.shape, np.float64) for o in outputs]
        exact.run([a.astype(np.float64) for a in arrays], wanted)
        assert np.abs(got - wanted[i]).max() < 1e-6 * np.abs(wanted[i]).max()
