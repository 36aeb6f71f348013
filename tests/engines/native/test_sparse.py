"""Products that skip zeros: when they do, and that only the time changes."""

import ctypes
import mmap
import warnings

import numpy as np
import pytest

import ranvier as rv
from ranvier.data.sampled import fraction_of_zeros
from ranvier.engines import native, reference
from ranvier.engines.native import compiler
from ranvier.engines.native.codegen.contraction.sparse import COUNTING
from ranvier.engines.native.compiler import schedule_of, text_of
from ranvier.engines.native.passes import sparse_updates
from ranvier.engines.native.runtime import llvm
from ranvier.engines.native.runtime import threads as runtime
from ranvier.engines.native.schedule.sparsity import pays
from ranvier.graph.contraction import einsum
from ranvier.graph.extents import symbol
from ranvier.graph.grad import gradient
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import BATCH, apply, extent, like
from ranvier.ops.functional.convolution import convolve
from tests.engines.native.test_programs import training_step

ROWS = 87  # of the batch
# Windows has no mprotect, by which a page that must not be read is made to fail.
guarded = pytest.mark.skipif(not hasattr(mmap, "MAP_ANONYMOUS"), reason="pages are guarded by mprotect")


def product(text, sizes, dtype, zeros, then):
    """A product whose first operand has this expected fraction of zeros."""
    data, weights = text.split("->")[0].split(",")
    inputs = tuple(
        input_node(
            name, tuple(sizes[i] for i in name), dtype, windowed=sizes[name[0]] == BATCH,
            zeros=zeros if name == data else 0,
        )
        for name in (data, weights)
    )  # fmt: skip
    return Graph(inputs, (then(einsum(text, *inputs)),))


def leaves_out(graph, batch, target="host"):
    return COUNTING[1].split("@")[1].split("(")[0] in text_of(
        compiler.lower(graph), batch, llvm.resolve_target(target)
    ).text.replace(COUNTING[1], "")


def ran(graph, arrays):
    (output,) = graph.outputs
    found = np.full([ROWS if d == BATCH else d for d in output.shape], np.nan, output.dtype)
    native.compile(graph, ROWS).run(arrays, [found])
    return found


WIDTHS = [33, 48, 64, 100, 112, 128, 136, 200, 260]


@pytest.mark.parametrize(
    ("dtype", "columns"), [*(("float32", n) for n in WIDTHS), *(("float64", n) for n in WIDTHS[::3])]
)
@pytest.mark.parametrize("text", ["mk,kn->mn", "km,kn->mn"])
def test_the_same_bits(text, columns, dtype):
    """Any number of rows and terms, also where sums continue from block to block and from group to group."""
    rng = np.random.default_rng(columns)
    first = {"mk": (BATCH, 131), "km": (19, BATCH)}[text[:2]]  # of the data, the batch comes first
    few, many = (0.5, 0.45), (0.95, 0.9)
    for rows, terms, shares in ((24, 64, [many]), (19, 131, [few, many]), (301, 65, [many]), (*first, [few, many])):
        sizes = {"m": rows, "k": terms, "n": columns}
        count = ROWS if terms == BATCH else terms
        for share, zeros in shares:
            graphs = [product(text, sizes, dtype, z, lambda y: apply("relu", y) + y) for z in (0, zeros)]
            size = [[ROWS if d == BATCH else d for d in node.shape] for node in graphs[0].inputs]
            arrays = [rng.standard_normal(s).astype(dtype) for s in size]
            arrays[0][rng.random(size[0]) < share] = 0
            arrays[0][0], arrays[0][-1] = 0, 1  # a whole row of each kind
            dense, sparse = (ran(graph, arrays) for graph in graphs)
            np.testing.assert_array_equal(sparse.view(np.uint8), dense.view(np.uint8))
            assert leaves_out(graphs[1], ROWS) == pays(zeros, (ROWS if rows == BATCH else rows, columns, count), dtype)
        assert leaves_out(graphs[1], ROWS)
        assert not leaves_out(graphs[0], ROWS)


@pytest.mark.parametrize("target", ["aarch64", "x86-64-v2", "x86-64-v3", "x86-64-v4"])
def test_every_target_can(target):
    graph = product("mk,kn->mn", {"m": BATCH, "k": 100, "n": 100}, "float32", 0.9, lambda y: y)
    assert leaves_out(graph, ROWS, target)
    resolved = llvm.resolve_target(target)
    assert llvm.compile_object(text_of(compiler.lower(graph), ROWS, resolved).text, resolved)


@pytest.mark.parametrize(
    ("zeros", "rows", "columns", "terms", "expected"),
    [
        (0, 200, 512, 512, False),
        (0.45, 200, 100, 196, True),
        (0.45, 200, 64, 98, False),
        (0.75, 32, 64, 98, True),
        (0.9, 200, 16, 784, False),
        (0.9, 200, 32, 784, True),
        (0.9, 200, 100, 4, False),
        (0.9, 8, 128, 784, False),  # of few rows
        (0.6, 16, 300, 64, False),  # for which the other operand would be laid out
    ],
)
def test_when_it_pays(zeros, rows, columns, terms, expected):
    assert pays(zeros, (rows, columns, terms), "float32") is expected


@guarded
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("columns", [33, 34, 36, 40, 99, 100, 104])
def test_nothing_is_read_beyond_the_end(columns, dtype):
    """Weights, and data, that end where memory ends."""
    sizes = {"m": BATCH, "k": 128, "n": columns}
    graph = product("mk,kn->mn", sizes, dtype, 0.9, lambda y: y)
    assert leaves_out(graph, ROWS)
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s).astype(dtype) for s in ((ROWS, 128), (128, columns))]
    arrays[0][rng.random(arrays[0].shape) < 0.9] = 0
    np.testing.assert_allclose(ran(graph, list(map(at_the_end, arrays))), arrays[0] @ arrays[1], rtol=1e-4, atol=1e-4)


def at_the_end(array):
    """A copy that ends where a page does, before one that cannot be read."""
    room = -(-array.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
    pages = mmap.mmap(-1, room + mmap.PAGESIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(start + room), mmap.PAGESIZE, 0) == 0
    copy = np.frombuffer(pages, array.dtype, array.size, room - array.nbytes).reshape(array.shape)
    copy[...] = array
    return copy


def test_one_program_whatever_batches_hold():
    model = rv.Sequential([rv.layers.Dense(100, "relu", input_shape=(288,)), rv.layers.Dense(10)])
    model.compile("adam", rv.losses.SparseCategoricalCrossentropy(True))
    for share in (0.5, 0.8, 0, 0.95):
        x, y = data(share, 32)
        model.train_on_batch(x / 255, y)
    assert sum(key[0] == "train" for key in model._compiled.programs) == 1


def test_weights_that_are_no_numbers_show():
    x, _ = data(0.5, 64)
    x[:, :200] = 0
    model = rv.Sequential([rv.layers.Rescaling(1 / 255, input_shape=(288,)), rv.layers.Dense(100)])
    model.compile("sgd", "mse")
    weights = model.get_weights()
    weights[0][5] = np.nan
    model.set_weights(weights)
    assert np.isnan(model.evaluate(x, np.ones((64, 100)), verbose=0))


def test_announced_through_what_keeps_zeros():
    """Rows of numbers, scaled, in another shape; not moved from zero."""
    x = input_node("x", (BATCH, 10, 10), "uint8", windowed=True, zeros=0.9)
    w = input_node("w", (100, 100), "float32")
    floats = apply("cast", x, dtype="float32")
    scaled = floats * like(floats, 0.5)
    rows = apply("reshape", scaled, shape=(BATCH, 100))
    assert leaves_out(Graph((x, w), (einsum("mk,kn->mn", rows, w),)), ROWS)
    assert not leaves_out(Graph((x, w), (einsum("mk,kn->mn", rows + like(rows, 0.5), w),)), ROWS)


def test_how_many_zeros_there_are():
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.uint8, np.float64, np.bool_):
        x = rng.integers(1, 2, (5000, 8, 8)).astype(dtype)
        assert fraction_of_zeros(x) == 0
        x[rng.random(x.shape) < 0.8] = 0
        assert fraction_of_zeros(x) == 0.75
    assert fraction_of_zeros(np.eye(100)) == fraction_of_zeros(np.eye(1, 40)) == 0.9
    assert fraction_of_zeros(np.zeros((100, 64))) == 0  # what comes later may be anything
    assert fraction_of_zeros(np.full((9, 64), np.nan)) == 0
    assert fraction_of_zeros(np.zeros((100, 4))) == fraction_of_zeros(np.zeros(100)) == 0  # not worth it


def data(share, samples=300, features=288):
    rng = np.random.default_rng(0)
    x = rng.integers(1, 256, (samples, features), dtype=np.uint8)
    x[rng.random(x.shape) < share] = 0
    return x, rng.integers(0, 10, samples)


def trained(x, y, units, batch, threads, optimizer="adam"):
    """Losses and weights; of whole numbers, which are scaled in the step, or of floats, read where they lie."""
    rv.set_seed(0)
    with runtime.threads_here(threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scaled = [rv.layers.Rescaling(1 / 255)] if x.dtype == np.uint8 else []
        model = rv.Sequential([*scaled, rv.layers.Dense(units, "relu"), rv.layers.Dense(10, "softmax")])
        model.compile(optimizer, "sparse_categorical_crossentropy")
        history = model.fit(x, y, batch_size=batch, epochs=2, validation_split=0.2, shuffle=True, verbose=0).history
        return [np.asarray(history["loss"] + history["val_loss"]), *model.get_weights()]


@pytest.mark.parametrize("floats", [False, True])
@pytest.mark.parametrize(("share", "units", "batch"), [(0.5, 100, 100), (0.8, 64, 32), (0.95, 136, 48), (0.7, 256, 77)])
def test_trained_networks_are_the_same(share, units, batch, floats, monkeypatch):
    """Threads take parts of the features round-robin, also of a smaller last batch: the weights are the same."""
    x, y = data(share)
    x = x / np.float32(255) if floats else x
    found = {threads: trained(x, y, units, batch, threads) for threads in (1, 2, 3, 7)}
    monkeypatch.setattr("ranvier.training.adapters.arrays.fraction_of_zeros", lambda array: 0.0)
    expected = trained(x, y, units, batch, 1)
    for threads, values in found.items():
        for value, other in zip(values, expected, strict=True):
            np.testing.assert_array_equal(value, other, f"{threads} threads")


@pytest.mark.parametrize(
    "optimizer", [lambda: rv.optimizers.SGD(0.1, momentum=0.9, global_clipnorm=0.5), rv.optimizers.Lion]
)
def test_other_updates(optimizer, monkeypatch):
    """Also where the weights' update is a task of its own."""
    x, y = data(0.8)
    found = trained(x, y, 100, 64, 2, optimizer())
    monkeypatch.setattr("ranvier.training.adapters.arrays.fraction_of_zeros", lambda array: 0.0)
    for expected, value in zip(trained(x, y, 100, 64, 2, optimizer()), found, strict=True):
        np.testing.assert_array_equal(value, expected)


def test_parts_are_taken_in_turn():
    """Where the terms of some features are fewer than those of others."""
    x, y = data(0.8)
    model = rv.Sequential([rv.layers.Dense(100, "relu", input_shape=(288,)), rv.layers.Dense(10)])
    model.compile("adam", rv.losses.SparseCategoricalCrossentropy(True))
    model.fit(x / 255, y, batch_size=64, verbose=0)
    (step,) = (s for key, s in model._compiled.programs.items() if key[0] == "train")
    schedule = schedule_of(compiler.lower(step.graph), 64)
    assert schedule.uneven
    parts = {task.space: task.parts for task in schedule.tasks if task.parts}
    assert parts == {(8, BATCH, 100): 8, (288, 100): 8}


def copies_rows(graph, batch):
    """Whether a step's rows are copied before they are multiplied."""
    return any(
        node.op.name == "gather" and node.ndim == 2 and extent(node, 1) > 64
        for task in schedule_of(compiler.lower(graph), batch).tasks for node in task.members
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sizes", "zeros", "batch", "expected"),
    [
        ((288, 100, 5), 0.6, 64, False),
        ((150, 90, 5), 0.6, 48, False),  # not in parts: by rows
        ((288, 100, 5), 0, 64, True),
        ((288, 100, 5), 0.6, 8, True),  # too few rows for it to pay
        ((288, 100, 5), 0.6, 2048, True),  # shared out among virtual workers
        ((288, 4, 5), 0.9, 64, True),
    ],
)
def test_rows_are_read_where_they_lie(sizes, zeros, batch, expected):
    graph, _ = training_step(sizes, zeros=zeros)
    assert copies_rows(graph, batch) == expected


def test_rows_with_other_readers_are_copied():
    samples = symbol("samples")
    x = input_node("x", (samples, 288), "float32", zeros=0.9)
    w = input_node("w", (288, 100), "float32")
    rows = apply("gather", x, input_node("order", (BATCH,), "int32", windowed=True))
    product, inputs = einsum("mk,kn->mn", rows, w), (x, w, rows.inputs[1])
    assert not copies_rows(Graph(inputs, (product,)), 64)
    assert copies_rows(Graph(inputs, (product, rows)), 64)
    assert copies_rows(Graph(inputs, (product, apply("reduce_sum", apply("exp", rows), axes=(1,)))), 64)


@pytest.mark.parametrize(
    ("shape", "moved", "laid"),
    [
        ((288, 100), lambda w: w, False),
        ((288, 100), lambda w: apply("exp", w), False),
        ((100, 288), lambda w: apply("transpose", w, axes=(1, 0)), True),
        ((288, 200), lambda w: apply("slice", w, ranges=(None, (0, 200, 2))), True),
        ((288, 100), lambda w: apply("reverse", w, axes=(1,)), True),
    ],
)
def test_weights_of_another_layout(shape, moved, laid):
    """Such a product is dense, and its rows are copied."""
    x = input_node("x", (symbol("samples"), 288), "float32", zeros=0.6)
    w, order = input_node("w", shape, "float32"), input_node("order", (BATCH,), "int32", windowed=True)
    loss = apply("relu", einsum("mk,kn->mn", apply("gather", x, order), moved(w)))
    for axis in (1, 0):
        loss = apply("reduce_sum", loss, axes=(axis,))
    (slope,) = gradient(loss, [w])
    graph = Graph((x, w, order), (loss,), ((w, w - slope * like(w, 1e-3)),))
    assert copies_rows(graph, 33) == laid
    rng, results = np.random.default_rng(0), []
    data, weights = rng.standard_normal((77, 288)), rng.standard_normal(shape) / 20
    data[rng.random(data.shape) < 0.6] = 0
    for engine in (reference, native):
        own = [data.astype(np.float32), weights.astype(np.float32), np.arange(77, dtype=np.int32)]
        engine.compile(graph, 33).run(own, [np.zeros((), np.float32)], 0, 3, 77)
        results.append(own[1])
    expected, found = results
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@guarded
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(288, 100, 5), (149, 90, 5)])  # by features, by rows
def test_steps_of_rows_in_any_order(sizes, dtype, threads):
    """A last step of few rows; numbers out of range are the first row's or the last's; the data end with the memory."""
    given = training_step(sizes, dtype=dtype)[1](77)
    given[0][np.random.default_rng(0).random(given[0].shape) < 0.7] = 0
    given[2][[3, 40, 76]] = -5, 2**31 - 1, 77
    dense, sparse = ([at_the_end(given[0]), *(a.copy() for a in given[1:])] for _ in range(2))
    for zeros, own in ((0, dense), (0.6, sparse)):
        graph, _ = training_step(sizes, "relu", zeros=zeros, dtype=dtype)
        with runtime.threads_here(threads):
            native.compile(graph, 33).run(own, [np.zeros((), dtype)], 0, 3, 77)
    for expected, found in zip(dense, sparse, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_explicit_loops_too(monkeypatch):
    """The first batch gives the expected fraction of zeros; later ones may differ, and have another size."""
    import ranvier.torch as torch
    from ranvier.tensor import executor
    from ranvier.tensor.trace import programs
    from ranvier.torch import nn, optim

    def run():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(288, 100), nn.ReLU(), nn.Linear(100, 10))
        optimizer = optim.Adam(net.parameters())
        losses = []
        for share, size in ((0.8, 64), (0.8, 64), (0.0, 64), (0.9, 23)):
            x, y = data(share, size)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(torch.tensor(x / np.float32(255))), torch.tensor(y))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses, [p.numpy() for p in net.state_dict().values()]

    losses, weights = run()
    asked = []

    def none(array):
        asked.append(array.shape)
        return 0.0

    monkeypatch.setattr(executor, "fraction_of_zeros", none)
    programs.clear()
    expected, others = run()
    assert (64, 288) in asked
    assert losses == expected
    for found, other in zip(weights, others, strict=True):
        np.testing.assert_array_equal(found, other)


@pytest.mark.parametrize(
    ("shape", "kernel", "padding"),
    [
        ((40, 50), (4, 50, 70), "valid"),  # columns and elements that leave some of a vector, and of a mask
        ((33, 32), (5, 32, 24), "same"),
        ((8, 9, 20), (3, 2, 20, 24), "same"),
    ],
)
def test_gradients_of_a_maximum_over_places(shape, kernel, padding, monkeypatch):
    """Each element that is not zero updates the sums in the order of their terms, also where many are equal."""
    rng, rank = np.random.default_rng(0), len(shape) - 1
    x, weights = input_node("x", (BATCH, *shape), "float32"), input_node("kernel", kernel, "float32")
    y = convolve(x, weights, stride=(1,) * rank, padding=padding, dilation=(1,) * rank)
    top = apply("reduce_max", apply("relu", y), axes=tuple(range(1, 1 + rank)))
    total = apply("reduce_sum", top * top, axes=(0, 1))
    by_x, by_weights = gradient(total, [x, weights])
    graph = Graph((x, weights), (by_x + x, by_weights))
    arrays = [rng.standard_normal((ROWS, *shape)).astype("f"), rng.standard_normal(kernel).astype("f")]
    arrays[0][: ROWS // 2, 3:] = 0

    def found():
        outputs = [np.empty((ROWS, *shape), "f"), np.empty(kernel, "f")]
        native.compile(graph, ROWS).run(arrays, outputs)
        return leaves_out(graph, ROWS), [output.view(np.uint32) for output in outputs]

    sparse, own = found()
    monkeypatch.setattr(sparse_updates, "VERY_SPARSE", 2)
    monkeypatch.setenv("RANVIER_CACHE", "")
    dense, theirs = found()
    assert sparse > dense
    for one, other in zip(own, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
