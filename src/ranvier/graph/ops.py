"""The primitives. Each is declared once: name, kind, type rule, NumPy value, gradient.

Gradients build ordinary nodes, so they are simplified, fused and printed like any other program.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ranvier.graph.contraction import contract_gradient, contract_type, contract_value
from ranvier.graph.derivatives import (
    concatenate_gradient,
    gather_gradient,
    pad_gradient,
    power_gradient,
    reduce_max_gradient,
    restore,
    scatter_add_gradient,
    slice_gradient,
    where,
    zeros,
)
from ranvier.graph.node import (
    DTYPES,
    FLOATS,
    PRIMITIVES,
    GraphError,
    Node,
    Primitive,
    Symbol,
    Type,
    apply,
    full,
    like,
)
from ranvier.graph.random import threefry
from ranvier.graph.windows import windows_gradient, windows_type, windows_value

Attrs = dict[str, Any]
Types = Sequence[Type]


def primitive(
    name: str,
    kind: str,
    infer: Callable[[Types, Attrs], Type],
    value: Callable[..., Any],
    gradient: Callable[[Node, Node], Sequence[Node | None]] | None = None,
) -> None:
    PRIMITIVES[name] = Primitive(name, kind, infer, value, gradient)


def require(condition: bool, message: str) -> None:
    if not condition:
        raise GraphError(message)


# --- type rules ---------------------------------------------------------------------------------------------------


def same(dtypes: Sequence[str], result: str | None = None) -> Callable[[Types, Attrs], Type]:
    """Equal types in; that type out (or ``result`` as its dtype)."""

    def infer(types: Types, attrs: Attrs) -> Type:
        first = types[0]
        require(
            all(t == first for t in types),
            "operands must have equal shapes and dtypes; insert broadcast or cast",
        )
        require(first.dtype in dtypes, f"needs one of {', '.join(dtypes)}")
        return Type(first.shape, result or first.dtype)

    return infer


NUMBERS = tuple(d for d in DTYPES if d != "bool")
SIGNED = (*FLOATS, "int32")


def select_type(types: Types, attrs: Attrs) -> Type:
    condition, yes, no = types
    require(condition.dtype == "bool", "the condition must be bool")
    require(
        yes == no and condition.shape == yes.shape, "the condition and both branches must have equal shapes"
    )
    return yes


def cast_type(types: Types, attrs: Attrs) -> Type:
    require(attrs["dtype"] in DTYPES, f"unknown dtype {attrs['dtype']}")
    return Type(types[0].shape, attrs["dtype"])


def given_type(types: Types, attrs: Attrs) -> Type:
    require(attrs["dtype"] in DTYPES, f"unknown dtype {attrs['dtype']}")
    return Type(tuple(attrs["shape"]), attrs["dtype"])


def constant_type(types: Types, attrs: Attrs) -> Type:
    return Type(attrs["value"].shape, attrs["value"].dtype.name)


def reduce_type(types: Types, attrs: Attrs) -> Type:
    shape, axes = types[0].shape, attrs["axes"]
    require(
        list(axes) == sorted(set(axes)) and all(0 <= a < len(shape) for a in axes),
        f"axes {axes} do not fit {shape}",
    )
    return Type(tuple(d for i, d in enumerate(shape) if i not in axes), types[0].dtype)


def argmax_type(types: Types, attrs: Attrs) -> Type:
    require(0 <= attrs["axis"] < len(types[0].shape), f"axis {attrs['axis']} does not fit")
    return Type(tuple(d for i, d in enumerate(types[0].shape) if i != attrs["axis"]), "int32")


def reshape_type(types: Types, attrs: Attrs) -> Type:
    def split(shape: Sequence[Any]) -> tuple[int, list[str]]:
        return math.prod(d for d in shape if isinstance(d, int)), sorted(
            d.name for d in shape if isinstance(d, Symbol)
        )

    require(
        split(types[0].shape) == split(attrs["shape"]), f"cannot reshape {types[0].shape} to {attrs['shape']}"
    )
    return Type(tuple(attrs["shape"]), types[0].dtype)


def transpose_type(types: Types, attrs: Attrs) -> Type:
    require(
        sorted(attrs["axes"]) == list(range(len(types[0].shape))), f"axes {attrs['axes']} are no permutation"
    )
    return Type(tuple(types[0].shape[a] for a in attrs["axes"]), types[0].dtype)


def broadcast_type(types: Types, attrs: Attrs) -> Type:
    """``axes[i]`` is where dimension i of the operand goes in ``shape``."""
    shape, axes = attrs["shape"], attrs["axes"]
    require(
        len(axes) == len(types[0].shape) and list(axes) == sorted(set(axes)),
        "one rising axis for each dimension",
    )
    for dim, axis in zip(types[0].shape, axes, strict=True):
        require(
            axis < len(shape) and shape[axis] == dim, f"dimension {dim} does not fit axis {axis} of {shape}"
        )
    return Type(tuple(shape), types[0].dtype)


def slice_type(types: Types, attrs: Attrs) -> Type:
    """``ranges`` holds (start, stop, step) with step >= 1, or None for a whole axis."""
    dims = []
    for dim, item in zip(types[0].shape, attrs["ranges"], strict=True):
        if item is None:
            dims.append(dim)
            continue
        start, stop, step = item
        require(
            isinstance(dim, int) and 0 <= start <= stop <= dim and step >= 1,
            f"{item} does not fit an axis of {dim}",
        )
        dims.append(max(0, -(-(stop - start) // step)))
    return Type(tuple(dims), types[0].dtype)


def reverse_type(types: Types, attrs: Attrs) -> Type:
    require(all(0 <= a < len(types[0].shape) for a in attrs["axes"]), "axes do not fit")
    return types[0]


def pad_type(types: Types, attrs: Attrs) -> Type:
    """``widths`` holds (before, after, between) for each axis: between adds that many values after every element."""
    dims: list[Any] = []
    for dim, (low, high, between) in zip(types[0].shape, attrs["widths"], strict=True):
        if (low, high, between) == (0, 0, 0):
            dims.append(dim)
            continue
        require(
            isinstance(dim, int) and min(low, high, between) >= 0,
            "only known extents can be padded, by counts >= 0",
        )
        assert isinstance(dim, int)
        dims.append(low + dim + max(0, dim - 1) * between + high)
    require(types[1] == Type((), types[0].dtype), "the padding value must be a scalar of the same dtype")
    return Type(tuple(dims), types[0].dtype)


def concatenate_type(types: Types, attrs: Attrs) -> Type:
    axis, first = attrs["axis"], types[0]
    require(0 <= axis < len(first.shape), f"axis {axis} does not fit")
    for t in types:
        rest = [(a, b) for i, (a, b) in enumerate(zip(t.shape, first.shape, strict=True)) if i != axis]
        require(
            t.dtype == first.dtype and all(a == b for a, b in rest), "operands may differ along the axis only"
        )
        require(isinstance(t.shape[axis], int), "the joined axis must have known extents")
    total = sum(t.shape[axis] for t in types)  # type: ignore[misc]  # checked to be int just above
    return Type((*first.shape[:axis], total, *first.shape[axis + 1 :]), first.dtype)


def gather_type(types: Types, attrs: Attrs) -> Type:
    """Rows of the first operand (along axis 0) chosen by int32 indices of any shape.

    With ``batch`` the first so many axes of both are the same, and each index there reads rows of its own part alone.
    An index below 0 reads the first row and one beyond the end the last: native code must stay in bounds, so the
    definition does. The gradient goes to the row that was read.
    """
    source, index = types
    batch = attrs.get("batch", 0)
    require(
        index.dtype == "int32" and len(source.shape) > batch, "needs a source with rows and int32 indices"
    )
    require(
        len(index.shape) >= batch and source.shape[:batch] == index.shape[:batch],
        f"the first {batch} axes of source and indices must be the same",
    )
    return Type((*index.shape, *source.shape[batch + 1 :]), source.dtype)


def scatter_add_type(types: Types, attrs: Attrs) -> Type:
    """Zeros of ``rows`` rows, with each row of the updates added at its index.

    With ``batch`` each part of the first so many axes has rows of its own. Updates whose index is out of range are
    dropped, and their gradient is zero.
    """
    index, updates = types
    batch = attrs.get("batch", 0)
    require(
        index.dtype == "int32" and updates.shape[: len(index.shape)] == index.shape,
        "one update row for each index",
    )
    require(len(index.shape) >= batch, f"the indices have no {batch} axes")
    rest = updates.shape[len(index.shape) :]
    return Type((*index.shape[:batch], attrs["rows"], *rest), updates.dtype)


def random_type(types: Types, attrs: Attrs) -> Type:
    require(all(t == Type((), "uint32") for t in types), "needs two uint32 scalars, seed and stream")
    return Type(tuple(attrs["shape"]), attrs["dtype"])


def extent_type(types: Types, attrs: Attrs) -> Type:
    return Type((), attrs["dtype"])


# --- values that NumPy does not spell the way we define them ------------------------------------------------------


def concrete(shape: Sequence[Any], extents: dict[str, int]) -> tuple[int, ...]:
    return tuple(extents[d.name] if isinstance(d, Symbol) else d for d in shape)


def sigmoid_value(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e)).astype(x.dtype)


erf_double = np.vectorize(math.erf, otypes=[np.float64])


def cast_value(arrays: Any, attrs: Attrs, extents: Any) -> Any:
    (x,), dtype = arrays, np.dtype(attrs["dtype"])  # type: tuple[Any], Any
    if x.dtype.kind == "f" and dtype.kind in "iu":  # toward zero and saturating, nan to 0, on every processor
        info = np.iinfo(dtype)
        wide = np.nan_to_num(np.trunc(x.astype(np.float64)), nan=0.0, posinf=info.max, neginf=info.min)
        return np.clip(wide, info.min, info.max).astype(dtype)
    return x.astype(dtype)


def iota_value(arrays: Any, attrs: Attrs, extents: dict[str, int]) -> Any:
    shape = concrete(attrs["shape"], extents)
    line = np.arange(shape[attrs["axis"]], dtype=attrs["dtype"])
    return np.broadcast_to(line.reshape([-1 if i == attrs["axis"] else 1 for i in range(len(shape))]), shape)


def random_value(arrays: Any, attrs: Attrs, extents: dict[str, int]) -> Any:
    shape = concrete(attrs["shape"], extents)
    counters = np.arange(math.prod(shape), dtype=np.uint64)
    bits = threefry(int(arrays[0]), int(arrays[1]), counters)
    return ((bits >> np.uint32(8)).astype(attrs["dtype"]) * np.asarray(2.0**-24, attrs["dtype"])).reshape(
        shape
    )


def broadcast_value(arrays: Any, attrs: Attrs, extents: dict[str, int]) -> Any:
    shape = concrete(attrs["shape"], extents)
    view = [1] * len(shape)
    for dim, axis in zip(arrays[0].shape, attrs["axes"], strict=True):
        view[axis] = dim
    return np.broadcast_to(arrays[0].reshape(view), shape)


def slice_value(arrays: Any, attrs: Attrs, extents: Any) -> Any:
    return arrays[0][tuple(slice(None) if r is None else slice(*r) for r in attrs["ranges"])]


def pad_value(arrays: Any, attrs: Attrs, extents: Any) -> Any:
    x, value = arrays
    widths = attrs["widths"]
    shape = [lo + d + max(0, d - 1) * mid + hi for d, (lo, hi, mid) in zip(x.shape, widths, strict=True)]
    result = np.full(shape, value, x.dtype)
    result[tuple(slice(lo, s - hi, mid + 1) for s, (lo, hi, mid) in zip(shape, widths, strict=True))] = x
    return result


def scatter_add_value(arrays: Any, attrs: Attrs, extents: dict[str, int]) -> Any:
    index, updates = arrays
    batch = attrs.get("batch", 0)
    (rows,) = concrete((attrs["rows"],), extents)
    result = np.zeros((*index.shape[:batch], rows, *updates.shape[index.ndim :]), updates.dtype)
    valid = (index >= 0) & (index < rows)
    parts = [np.broadcast_to(at, index.shape)[valid] for at in parts_of(index, batch)]
    np.add.at(result, (*parts, index[valid]), updates[valid])
    return result


def parts_of(index: Any, batch: int) -> list[Any]:
    """For each of the first ``batch`` axes of the indices, their positions along it."""
    return [
        np.arange(size).reshape([-1 if a == axis else 1 for a in range(index.ndim)])
        for axis, size in enumerate(index.shape[:batch])
    ]


def gather_value(arrays: Any, attrs: Attrs, extents: Any) -> Any:
    source, index = arrays
    batch = attrs.get("batch", 0)
    return source[(*parts_of(index, batch), np.clip(index, 0, source.shape[batch] - 1))]


def numpy_value(function: Any) -> Callable[..., Any]:
    """A NumPy function of the operands alone; integers and floats keep their dtype."""
    return lambda arrays, attrs, extents: function(*arrays)


def input_value(arrays: Any, attrs: Attrs, extents: Any) -> Any:
    raise GraphError(f"input {attrs['name']!r} was not given")


# --- sources ------------------------------------------------------------------------------------------------------

primitive("input", "source", given_type, input_value)
primitive("constant", "source", constant_type, lambda arrays, attrs, extents: attrs["value"])
primitive("iota", "source", given_type, iota_value)
primitive(  # the product of the named symbols' extents: what a mean over a batch divides by
    "extent",
    "source",
    extent_type,
    lambda arrays, attrs, extents: np.asarray(
        math.prod(extents[s] for s in attrs["symbols"]), attrs["dtype"]
    ),
)

# --- elementwise --------------------------------------------------------------------------------------------------

primitive("neg", "elementwise", same(SIGNED), numpy_value(np.negative), lambda n, g: (-g,))
primitive(
    "abs", "elementwise", same(SIGNED), numpy_value(np.abs), lambda n, g: (g * apply("sign", n.inputs[0]),)
)
primitive("sign", "elementwise", same(SIGNED), numpy_value(np.sign), lambda n, g: (None,))
primitive("floor", "elementwise", same(FLOATS), numpy_value(np.floor), lambda n, g: (None,))
primitive("exp", "elementwise", same(FLOATS), numpy_value(np.exp), lambda n, g: (g * n,))
primitive("expm1", "elementwise", same(FLOATS), numpy_value(np.expm1), lambda n, g: (g * (n + like(n, 1.0)),))
primitive("log", "elementwise", same(FLOATS), numpy_value(np.log), lambda n, g: (g / n.inputs[0],))
primitive(
    "log1p",
    "elementwise",
    same(FLOATS),
    numpy_value(np.log1p),
    lambda n, g: (g / (n.inputs[0] + like(g, 1.0)),),
)
primitive("sqrt", "elementwise", same(FLOATS), numpy_value(np.sqrt), lambda n, g: (g * like(n, 0.5) / n,))
primitive(
    "tanh", "elementwise", same(FLOATS), numpy_value(np.tanh), lambda n, g: (g * (like(n, 1.0) - n * n),)
)
primitive(
    "sigmoid",
    "elementwise",
    same(FLOATS),
    numpy_value(sigmoid_value),
    lambda n, g: (g * (n * (like(n, 1.0) - n)),),
)
primitive(
    "erf",
    "elementwise",
    same(FLOATS),
    numpy_value(lambda x: erf_double(x).astype(x.dtype) if x.size else x),
    lambda n, g: (g * (like(n, 2 / math.sqrt(math.pi)) * apply("exp", -(n.inputs[0] * n.inputs[0]))),),
)
primitive(
    "sin", "elementwise", same(FLOATS), numpy_value(np.sin), lambda n, g: (g * apply("cos", n.inputs[0]),)
)
primitive(
    "cos", "elementwise", same(FLOATS), numpy_value(np.cos), lambda n, g: (-(g * apply("sin", n.inputs[0])),)
)
primitive(  # written in terms of its result, so that the pre-activation need not be kept for the backward pass
    "relu",
    "elementwise",
    same(FLOATS),
    numpy_value(lambda x: np.where(x < 0, np.zeros_like(x), x)),
    lambda n, g: (where(apply("less", zeros(n), n), g, zeros(g)),),
)
primitive("stop_gradient", "elementwise", same(DTYPES), numpy_value(lambda x: x), lambda n, g: (None,))
primitive(
    "cast",
    "elementwise",
    cast_type,
    cast_value,
    lambda n, g: (apply("cast", g, dtype=n.inputs[0].dtype) if n.inputs[0].dtype in FLOATS else None,),
)
primitive("add", "elementwise", same(NUMBERS), numpy_value(np.add), lambda n, g: (g, g))
primitive("sub", "elementwise", same(NUMBERS), numpy_value(np.subtract), lambda n, g: (g, -g))
primitive(
    "mul",
    "elementwise",
    same(NUMBERS),
    numpy_value(np.multiply),
    lambda n, g: (g * n.inputs[1], g * n.inputs[0]),
)
primitive(
    "div",
    "elementwise",
    same(FLOATS),
    numpy_value(np.divide),
    lambda n, g: (g / n.inputs[1], -(g * n / n.inputs[1])),
)
primitive("power", "elementwise", same(FLOATS), numpy_value(np.power), power_gradient)
primitive(  # ties give half to each side, as jax and torch have it
    "maximum",
    "elementwise",
    same(SIGNED),
    numpy_value(np.maximum),
    lambda n, g: (extremum_share(n, g, 0), extremum_share(n, g, 1)),
)
primitive(
    "minimum",
    "elementwise",
    same(SIGNED),
    numpy_value(np.minimum),
    lambda n, g: (extremum_share(n, g, 0), extremum_share(n, g, 1)),
)
primitive("less", "elementwise", same(NUMBERS, "bool"), numpy_value(np.less), lambda n, g: (None, None))
primitive(
    "less_equal", "elementwise", same(NUMBERS, "bool"), numpy_value(np.less_equal), lambda n, g: (None, None)
)
primitive("equal", "elementwise", same(DTYPES, "bool"), numpy_value(np.equal), lambda n, g: (None, None))
primitive(
    "logical_and", "elementwise", same(("bool",)), numpy_value(np.logical_and), lambda n, g: (None, None)
)
primitive("logical_or", "elementwise", same(("bool",)), numpy_value(np.logical_or), lambda n, g: (None, None))
primitive("logical_not", "elementwise", same(("bool",)), numpy_value(np.logical_not), lambda n, g: (None,))
primitive(
    "select",
    "elementwise",
    select_type,
    numpy_value(np.where),
    lambda n, g: (None, where(n.inputs[0], g, zeros(g)), where(n.inputs[0], zeros(g), g)),
)


def extremum_share(n: Node, g: Node, side: int) -> Node:
    mine, other = n.inputs[side], n.inputs[1 - side]
    tie = apply("equal", mine, other)
    return where(tie, g * like(g, 0.5), where(apply("equal", n, mine), g, zeros(g)))


# --- reductions ---------------------------------------------------------------------------------------------------

primitive(
    "reduce_sum",
    "reduce",
    reduce_type,
    lambda arrays, attrs, extents: np.sum(arrays[0], axis=attrs["axes"], dtype=arrays[0].dtype),
    lambda n, g: (restore(g, n.inputs[0].shape, n.attrs["axes"]),),
)
primitive(
    "reduce_max",
    "reduce",
    reduce_type,
    lambda arrays, attrs, extents: np.max(arrays[0], axis=attrs["axes"]),
    reduce_max_gradient,
)
primitive(
    "argmax",
    "reduce",
    argmax_type,
    lambda arrays, attrs, extents: np.argmax(arrays[0], axis=attrs["axis"]).astype(np.int32),
    lambda n, g: (None,),
)

# --- movement -----------------------------------------------------------------------------------------------------

primitive(
    "reshape",
    "movement",
    reshape_type,
    lambda arrays, attrs, extents: arrays[0].reshape(concrete(attrs["shape"], extents)),
    lambda n, g: (apply("reshape", g, shape=n.inputs[0].shape),),
)
primitive(
    "transpose",
    "movement",
    transpose_type,
    lambda arrays, attrs, extents: arrays[0].transpose(attrs["axes"]),
    lambda n, g: (apply("transpose", g, axes=tuple(int(i) for i in np.argsort(n.attrs["axes"]))),),
)
primitive(
    "broadcast",
    "movement",
    broadcast_type,
    broadcast_value,
    lambda n, g: (apply("reduce_sum", g, axes=tuple(i for i in range(n.ndim) if i not in n.attrs["axes"])),),
)
primitive("slice", "movement", slice_type, slice_value, slice_gradient)
primitive(
    "reverse",
    "movement",
    reverse_type,
    lambda arrays, attrs, extents: np.flip(arrays[0], attrs["axes"]),
    lambda n, g: (apply("reverse", g, axes=n.attrs["axes"]),),
)
primitive("windows", "movement", windows_type, windows_value, windows_gradient)
primitive("pad", "movement", pad_type, pad_value, pad_gradient)
primitive(
    "concatenate",
    "movement",
    concatenate_type,
    lambda arrays, attrs, extents: np.concatenate(arrays, attrs["axis"]),
    concatenate_gradient,
)

# --- indexing, contraction, random --------------------------------------------------------------------------------

primitive(
    "gather",
    "index",
    gather_type,
    gather_value,
    gather_gradient,
)
primitive(
    "scatter_add",
    "index",
    scatter_add_type,
    scatter_add_value,
    scatter_add_gradient,
)
primitive("contract", "contract", contract_type, contract_value, contract_gradient)
primitive("random", "random", random_type, random_value, lambda n, g: (None, None))

__all__ = ["PRIMITIVES", "concrete", "full"]
