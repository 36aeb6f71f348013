"""What tests of several parts share: the engines, running a graph, finite differences, generated graphs."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from ranvier import engines
from ranvier.graph.contraction import einsum
from ranvier.graph.grad import gradient
from ranvier.graph.graph import Graph, input_node, verify
from ranvier.graph.node import Node, apply, constant, full, like
from ranvier.graph.simplify import simplify

ENGINES = [name for name in engines.NAMES if name not in engines.LIBRARIES]
"""Those that need no other library; tests/peers runs the others."""


def inputs_for(arrays):
    return [input_node(f"x{i}", a.shape, a.dtype.name) for i, a in enumerate(arrays)]


def run(graph, arrays, engine="reference", extents=None):
    """The outputs of a graph whose shapes hold no symbols, or those of ``extents``."""
    verify(graph)
    extents = extents or {}
    arrays = [np.ascontiguousarray(a).reshape(a.shape) for a in arrays]
    outputs = [np.empty([extents.get(str(d), d) for d in n.shape], n.dtype) for n in graph.outputs]
    program = engines.compile(graph, engine=engine, batch=extents.get("batch"))
    program.run(arrays, outputs)
    return outputs


def evaluate(build, arrays, engine="reference"):
    """The value of ``build(*nodes)`` at these arrays."""
    nodes = inputs_for(arrays)
    return run(Graph(tuple(nodes), (build(*nodes),)), arrays, engine)[0]


def projected(build, projection):
    """The sum of the output times fixed numbers: a scalar whose gradient shows every output's."""

    def scalar(*nodes):
        out = build(*nodes)
        weight = apply("constant", value=projection)
        product = out * weight
        return apply("reduce_sum", product, axes=tuple(range(product.ndim)))

    return scalar


def check_gradient(build, arrays, engine="reference", step=1e-6, tolerance=1e-6):
    """The gradient by every float64 operand against central differences of a random projection."""
    shape = evaluate(build, arrays).shape
    projection = np.random.default_rng(5).normal(size=shape)
    scalar = projected(build, projection)
    nodes = inputs_for(arrays)
    wrt = [i for i, a in enumerate(arrays) if a.dtype == np.float64]
    parts = gradient(scalar(*nodes), [nodes[i] for i in wrt])
    found = run(Graph(tuple(nodes), tuple(parts)), arrays, engine)
    for i, g in zip(wrt, found, strict=True):
        numeric = np.zeros_like(arrays[i])
        for at in np.ndindex(arrays[i].shape):
            values = []
            for sign in (1, -1):
                moved = [a.copy() for a in arrays]
                moved[i][at] += sign * step
                values.append(evaluate(scalar, moved))
            numeric[at] = (values[0] - values[1]) / (2 * step)
        np.testing.assert_allclose(g, numeric, rtol=tolerance, atol=tolerance, err_msg=f"operand {i}")


def same(a, b, message=""):
    """Equal up to the rounding of another order of additions and another exp."""
    scale = max(1.0, float(np.max(np.abs(b[np.isfinite(b)]), initial=0.0))) if b.dtype.kind == "f" else 1.0
    precision = np.finfo(b.dtype).eps * 64 if b.dtype.kind == "f" else 0
    np.testing.assert_allclose(a, b, rtol=precision, atol=precision * scale, err_msg=message)


# --- generated graphs ---------------------------------------------------------------------------------------------

SMOOTH = ("neg", "tanh", "sigmoid", "sin", "cos", "erf", "abs", "relu", "sign", "floor")
BINARY = ("add", "sub", "mul", "maximum", "minimum")
COMPARE = ("less", "less_equal", "equal")


def count(x: Any) -> int:
    return int(np.prod(x.shape))


def _movement(draw, x: Node) -> Node:
    shape: Any
    kind = draw(st.sampled_from(["reshape", "transpose", "broadcast", "slice", "reverse", "pad"]))
    if kind == "reshape":
        flat = count(x)
        return apply("reshape", x, shape=draw(st.sampled_from([(flat,), (1, *x.shape), (*x.shape, 1), x.shape[::-1]])))
    if kind == "transpose":
        return apply("transpose", x, axes=tuple(draw(st.permutations(range(x.ndim)))))
    if kind == "broadcast":
        if x.ndim >= 4:
            return x
        at, extent = draw(st.integers(0, x.ndim)), draw(st.integers(1, 3))
        shape = (*x.shape[:at], extent, *x.shape[at:])
        return apply("broadcast", x, shape=shape, axes=tuple(i for i in range(x.ndim + 1) if i != at))
    if kind == "reverse":
        return apply("reverse", x, axes=tuple(i for i in range(x.ndim) if draw(st.booleans())))
    if kind == "pad":
        widths = tuple(tuple(draw(st.integers(0, 1)) for _ in range(3)) for _ in x.shape)
        return apply("pad", x, constant(draw(st.sampled_from([0.0, 1.5])), x.dtype), widths=widths)
    ranges = []
    shape = x.shape
    for dim in shape:
        start = draw(st.integers(0, dim - 1))
        ranges.append(draw(st.sampled_from([None, (start, dim, 1), (start, dim, 2), (0, dim, 3)])))
    return apply("slice", x, ranges=tuple(ranges))


def _contract(draw, x: Node, y: Node) -> Node | None:
    pairs = [(i, j) for i, a in enumerate(x.shape) for j, b in enumerate(y.shape) if a == b]
    if not pairs or x.ndim + y.ndim > 6:
        return None
    i, j = draw(st.sampled_from(pairs))
    left, right = list("abcde"[: x.ndim]), list("fghij"[: y.ndim])
    right[j] = left[i]
    letters = list(dict.fromkeys(left + right))
    if draw(st.booleans()) or len(letters) > 4:
        letters.remove(left[i])
    return einsum(f"{''.join(left)},{''.join(right)}->{''.join(draw(st.permutations(letters)))}", x, y)


@st.composite
def graphs(draw, dtype="float64", most=12):
    """A graph of elementwise, reducing, moving and contracting nodes over small shapes, and arrays for its inputs."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shapes = draw(st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple), min_size=1, max_size=3))
    arrays = [rng.uniform(-2, 2, s).astype(dtype) for s in shapes]
    inputs = inputs_for(arrays)
    pool: list[Node] = list(inputs)
    for _ in range(draw(st.integers(1, most))):
        x = draw(st.sampled_from(pool))
        kind = draw(st.sampled_from(["unary", "binary", "choice", "reduce", "move", "contract", "exp"]))
        made: Node | None
        if kind == "unary":
            made = apply(draw(st.sampled_from(SMOOTH)), x)
        elif kind == "exp":  # of something bounded
            made = apply("exp", apply("tanh", x))
        elif kind == "reduce":
            axes = tuple(i for i in range(x.ndim) if draw(st.booleans()))
            made = apply(draw(st.sampled_from(["reduce_sum", "reduce_max"])), x, axes=axes)
        elif kind == "move":
            made = _movement(draw, x) if x.ndim else like(x, 2.0) * x
        elif kind == "contract":
            made = _contract(draw, x, draw(st.sampled_from(pool))) if x.ndim else None
        else:
            y = draw(st.sampled_from([n for n in pool if n.type == x.type]))
            made = apply(draw(st.sampled_from(BINARY)), x, y)
            if kind == "choice":
                made = apply("select", apply(draw(st.sampled_from(COMPARE)), x, y), made, full(0.5, x.shape, dtype))
        if made is not None and count(made) <= 600:
            pool.append(made)
    return Graph(tuple(inputs), tuple(pool[-2:])), arrays


def simplified(graph):
    result = simplify(graph)
    verify(result)
    return result
