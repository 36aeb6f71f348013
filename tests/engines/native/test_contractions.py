"""Matrix products in the forms that the compiler gives them: exact on whole numbers."""

import numpy as np
import pytest

from ranvier.engines import native, reference
from ranvier.engines.native.runtime.llvm import resolve_target
from ranvier.engines.native.schedule.loop_nest import Loop, Nest, is_pipelined, rows_per_shared_vector, tile
from ranvier.engines.native.schedule.view import Buffer, View
from ranvier.graph.contraction import einsum
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import BATCH, apply

ROWS = 21  # of the batch: two high tiles, then lower ones
# Where rows, terms and columns lie, for operands whose columns are adjacent, must be laid out anew, whose rows are.
FORMS = ["mk,kn->mn", "mk,nk->mn", "km,kn->mn"]
COLUMNS = [5, 16, 17, 18, 20, 21, 24, 25, 36, 48, 50, 52, 84, 100]


def agree(text, rows, terms, columns, dtype, then=lambda y: y):
    """The engines agree to the last bit on sums of few small whole numbers, which are exact in any order."""
    extents = {"m": rows, "k": terms, "n": columns}
    operands = text.split("->")[0].split(",")
    inputs = tuple(
        input_node(name, tuple(extents[i] for i in name), dtype, windowed=extents[name[0]] == BATCH)
        for name in operands
    )
    graph = Graph(inputs, (then(einsum(text, *inputs)),))
    (output,) = graph.outputs
    rng = np.random.default_rng(0)

    def size(node):
        return [ROWS if d == BATCH else d for d in node.shape]

    arrays = [rng.integers(-3, 4, size(node)).astype(dtype) for node in inputs]
    found = [np.full(size(output), np.nan, dtype) for _ in range(2)]
    for engine, result in zip((reference, native), found, strict=True):
        engine.compile(graph, ROWS).run(arrays, [result])
    np.testing.assert_array_equal(found[1], found[0])


@pytest.mark.parametrize(
    ("dtype", "columns"), [*(("float32", n) for n in COLUMNS), *(("float64", n) for n in COLUMNS[::2])]
)
@pytest.mark.parametrize("text", FORMS)
def test_exact_on_whole_numbers(text, columns, dtype):
    for rows, terms in ((24, 33), (13, 3), (28, 16)):
        agree(text, rows, terms, columns, dtype)
    if not text.startswith("km"):
        agree(text, BATCH, 35, columns, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_terms_and_columns_apart(dtype):
    """Nothing is summed, and adjacent results read elements that are apart."""
    agree("m,nk->kmn", 40, 5, 33, dtype)


@pytest.mark.parametrize("columns", [10, 16, 50, 52, 64, 100, 128])
@pytest.mark.parametrize("text", FORMS)
def test_a_long_epilogue(text, columns):
    """The epilogue interleaved with the terms of the next tile: few terms, no leftover rows, leftover rows."""

    def then(y):
        for _ in range(8):
            y = apply("maximum", y, apply("relu", y) - y)
        return y

    for rows, terms in ((1, 7), (29, 1), (50, 16)):
        agree(text, rows, terms, columns, "float32", then)
    if not text.startswith("km"):
        agree(text, BATCH, 35, columns, "float32", then)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("terms", [7, 16, 35])
@pytest.mark.parametrize("text", ["mk,k->m", "k,mk->m"])
def test_one_result_a_row(text, terms, dtype):
    """Sixteen rows at once, then one by one, and every row as it is alone, to the last bit."""
    extents = {"m": BATCH, "k": terms}
    names = text.split("->")[0].split(",")
    inputs = tuple(input_node(name, tuple(extents[i] for i in name), dtype, windowed=name[0] == "m") for name in names)
    graph = Graph(inputs, (apply("sigmoid", einsum(text, *inputs)),))
    (output,) = graph.outputs
    rng = np.random.default_rng(0)

    def size(node, rows):
        return [rows if d == BATCH else d for d in node.shape]

    arrays = [rng.normal(size=size(node, ROWS)).astype(dtype) for node in inputs]

    def run(arrays, rows, engine=native):
        result = np.full(size(output, rows), np.nan, dtype)
        engine.compile(graph, rows).run(arrays, [result], total=rows)
        return result

    whole = run(arrays, ROWS)
    np.testing.assert_allclose(whole, run(arrays, ROWS, reference), rtol=1e-5)
    for row in (0, 15, 16, 20):
        alone = [a[row : row + 1] if name == "mk" else a for a, name in zip(arrays, names, strict=True)]
        np.testing.assert_array_equal(run(alone, 1)[0], whole[row])


def nest(rows, terms, columns, adjacent):
    view = View(Buffer("input", 0, "float32", 0, b""), (), (1,), 0)
    n, m = Loop(columns, 0, 1, 1, 1), Loop(rows, *((1, 0) if adjacent else (terms, 0)), 0, 0)
    k = Loop(terms, *((rows, columns) if adjacent else (1, columns)), None, 2)
    return Nest(view, view, (), m, n, (k,), "columns")


@pytest.mark.parametrize(
    ("columns", "rows"),
    [(4, 1), (16, 1), (17, 1), (18, 8), (20, 4), (24, 2), (25, 1), (84, 4), (100, 4), (104, 2), (110, 1)],
)
def test_how_many_rows_share_a_vector(columns, rows):
    for adjacent in (False, True):
        made = nest(784, 50, columns, adjacent)
        assert rows_per_shared_vector(made) == rows
        height, _ = tile(resolve_target("x86-64-v4"), made, "float32", 200)
        assert height % rows == 0


@pytest.mark.parametrize(
    ("target", "columns", "members", "trailing"),
    [
        ("x86-64-v4", 64, 8, True),
        ("x86-64-v4", 100, 8, True),
        ("x86-64-v4", 64, 2, False),  # little follows
        ("x86-64-v4", 46, 8, False),  # a row is one tile wide and fills no whole vectors
        ("x86-64-v3", 64, 8, False),  # too few registers
    ],
)
def test_when_a_tile_is_finished_beside_the_next(target, columns, members, trailing):
    assert is_pipelined(resolve_target(target), nest(784, 50, columns, False), "float32", members) is trailing
