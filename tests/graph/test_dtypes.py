"""The element types: what both engines compute with each, casts between all pairs, and promotion."""

import numpy as np
import pytest

from ranvier import engines
from ranvier.graph import dtypes
from ranvier.graph.dtypes import DTYPES, INTEGERS, SIGNED, array_dtype, as_array, limits, promoted, widened
from ranvier.graph.grad import gradient
from ranvier.graph.graph import Graph, input_node, verify
from ranvier.graph.node import GraphError, apply, constant, full
from ranvier.graph.simplify import simplify
from tests.strategies import ENGINES

FLOAT_VALUES = [0.0, -0.0, 1.0, -1.5, 2.75, 127.5, -129.0, 300.0, 65504.0, 65520.0, -7e4, 3e9, -3e9, 1e19, 6e-8, 2.9e-8]
FLOAT_VALUES += [1.00390625, 1.01171875, 0.333333343, 1e-5, 6.1e-5, np.inf, -np.inf, np.nan]


def values_of(dtype):
    if dtype in INTEGERS:
        low, high = limits(dtype)
        return np.array([low, low + 1, 0, 1, 2, 7, 100, high - 1, high], dtype)
    if dtype == "bool":
        return np.array([True, False, True])
    with np.errstate(all="ignore"):
        return as_array(np.array(FLOAT_VALUES, np.float32), dtype)


def execute(build, arrays, names, engine):
    """The outputs of ``build``, which gets inputs of the named types."""
    nodes = [input_node(f"x{i}", a.shape, n) for i, (a, n) in enumerate(zip(arrays, names, strict=True))]
    graph = Graph(tuple(nodes), tuple(build(*nodes)))
    verify(graph)
    outputs = [np.empty(tuple(map(int, n.shape)), array_dtype(n.dtype)) for n in graph.outputs]
    engines.compile(graph, engine=engine).run(arrays, outputs)
    return outputs


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("source", DTYPES)
def test_a_cast_between_any_two_types(source, engine):
    x = np.tile(values_of(source), 3)  # whole vectors and a rest
    found = execute(lambda n: [apply("cast", n, dtype=d) for d in DTYPES], [x], [source], engine)
    plain = widened(x)
    for dtype, got in zip(DTYPES, found, strict=True):
        with np.errstate(all="ignore"):
            if dtype in INTEGERS and plain.dtype.kind == "f":
                low, high = limits(dtype)
                numbers = [0 if v != v else min(max(v, low), high) for v in plain.tolist()]
                expected = np.array([int(v) for v in numbers], dtype)
            else:
                middle = "float32" if dtype in dtypes.STORAGE else dtype
                expected = as_array(plain.astype(middle), dtype)
        np.testing.assert_array_equal(widened(got), widened(expected), f"{source} to {dtype}")


@pytest.mark.parametrize("dtype", dtypes.STORAGE)
def test_every_number_of_16_bits_survives_float32(dtype):
    bits = np.arange(2**16, dtype=np.uint16)
    halves = bits.view(array_dtype(dtype)) if dtype == "bfloat16" else bits.view(np.float16)

    def build(n):
        wide = apply("cast", n, dtype="float32")
        return [wide, apply("cast", wide * full(1, n.shape, "float32"), dtype=dtype)]

    first, second = (execute(build, [halves], [dtype], engine) for engine in ENGINES)
    np.testing.assert_array_equal(first[0], second[0])
    known = ~np.isnan(second[0])
    for back in (first[1], second[1]):
        np.testing.assert_array_equal(back.view(np.uint16)[known], bits[known])
        assert np.isnan(widened(back)[~known]).all()


def test_bfloat16_rounds_to_the_nearest_and_to_even():
    rounded = widened(as_array([1.00390625, 1.01171875, 1.0040, -1e-45, 3.4e38, np.nan], "bfloat16"))
    np.testing.assert_array_equal(rounded, np.array([1.0, 1.015625, 1.0078125, -0.0, np.inf, np.nan], np.float32))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_wrap_at_their_own_width(dtype, engine):
    low, high = limits(dtype)
    x, y = np.array([high, low, 3, 5], dtype), np.array([1, high, 4, 2], dtype)

    def build(a, b):
        yield a + b
        yield a - b
        yield a * b
        yield apply("less", a, b)
        yield apply("equal", a, b)
        yield apply("reduce_sum", a, axes=(0,))
        yield apply("reduce_max", b, axes=(0,))
        yield apply("argmax", b, axis=0)
        if dtype in SIGNED:
            yield from (-a, apply("abs", a), apply("sign", a), apply("maximum", a, b), apply("minimum", a, b))

    def wrapped(numbers):
        return [(int(n) - low) % (high - low + 1) + low for n in numbers]

    p, q = x.tolist(), y.tolist()
    pairs = list(zip(p, q, strict=True))
    expected = [
        wrapped(a + b for a, b in pairs),
        wrapped(a - b for a, b in pairs),
        wrapped(a * b for a, b in pairs),
        [a < b for a, b in pairs],
        [a == b for a, b in pairs],
        wrapped([sum(p)])[0],
        max(q),
        1,
        wrapped(-a for a in p),
        wrapped(abs(a) for a in p),
        [(a > 0) - (a < 0) for a in p],
        [max(pair) for pair in pairs],
        [min(pair) for pair in pairs],
    ]
    for got, wanted in zip(execute(build, [x, y], [dtype] * 2, engine), expected, strict=False):
        assert got.tolist() == wanted


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int64", "int8", "int16"])
def test_elements_of_any_type_move(dtype, engine):
    x = as_array(np.arange(12).reshape(3, 4), dtype)
    at = np.array([2, -7, 2**40], np.int64)  # rows out of range: the first and the last

    def build(n, rows):
        yield apply("transpose", n, axes=(1, 0))
        yield apply("reshape", n, shape=(2, 6))
        yield apply("concatenate", n, n, axis=1)
        yield apply("gather", n, rows)
        yield apply("pad", n, constant(1, dtype), widths=((0, 0, 0), (1, 0, 0)))
        yield apply("select", apply("less", full(0, (3, 4), "int64"), full(1, (3, 4), "int64")), n, n)

    found = [widened(a) for a in execute(build, [x, at], [dtype, "int64"], engine)]
    y = widened(x)
    padded = np.pad(y, ((0, 0), (1, 0)), constant_values=1)
    for got, wanted in zip(found, [y.T, y.reshape(2, 6), np.hstack([y, y]), y[[2, 0, 2]], padded, y], strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("engine", ENGINES)
def test_int64_scatters_and_counts(engine):
    at, updates = np.array([1, 1, 2**33 + 1, -1], np.int64), np.array([2**40, 1, 5, 7], np.int64)

    def build(rows, values):
        yield apply("scatter_add", rows, values, rows=3)
        yield apply("iota", shape=(20,), axis=0, dtype="int64")

    total, line = execute(build, [at, updates], ["int64", "int64"], engine)
    assert total.tolist() == [0, 2**40 + 1, 0]
    assert line.tolist() == list(range(20))


def test_large_constants_stay_exact():
    node = constant(2**62, "int64") + constant(1, "int64")
    (folded,) = simplify(Graph((), (node,))).outputs
    assert folded.attrs["value"].item() == 2**62 + 1


def test_storage_types_are_not_computed_with():
    x = input_node("x", (3,), "float16")
    for name in ("add", "less", "equal"):
        with pytest.raises(GraphError, match="needs one of float32"):
            apply(name, x, x)
    with pytest.raises(GraphError, match="needs one of float32"):
        apply("reduce_sum", x, axes=(0,))


@pytest.mark.parametrize("engine", ENGINES)
def test_gradients_of_storage_types_have_their_dtype(engine):
    x = as_array([1.0, 2.0, 3.0], "bfloat16")

    def build(n):
        wide = [apply("cast", n, dtype="float32") for _ in range(2)]  # each has its own gradient
        return gradient(apply("reduce_sum", wide[0] * wide[1], axes=(0,)), [n])

    (found,) = execute(build, [x], ["bfloat16"], engine)
    assert widened(found).tolist() == [2.0, 4.0, 6.0]


PROMOTED = """
uint8 int8 int16; uint8 int16 int16; uint8 int64 int64; uint8 uint32 uint32; int32 uint32 int64; int8 uint32 int64
bool uint8 uint8; bool float16 float16; int64 float16 float16; float16 bfloat16 float32; bfloat16 float32 float32
float16 float64 float64; int32 int64 int64; bool bool bool; uint32 float32 float32
uint16 int16 int32; uint8 uint16 uint16; uint16 int8 int32; uint32 uint64 uint64; uint64 int64 float32; uint64 float64 float64
"""


@pytest.mark.parametrize("row", PROMOTED.replace("\n", ";").split(";"))
def test_promotion(row):
    if row.split():
        a, b, result = row.split()
        assert promoted(a, b) == promoted(b, a) == result
