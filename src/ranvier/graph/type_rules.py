"""The type rules of primitives: the types of their operands, and of their result.

A rule raises GraphError; `ranvier.graph.node.apply` adds the primitive and the types it was given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ranvier.graph.dtypes import ARITHMETIC, DTYPES, INDICES, NUMBERS, dtype_of
from ranvier.graph.extents import Extent
from ranvier.graph.node import BATCH, GraphError, GraphExtentError, Type

Attrs = dict[str, Any]
Types = Sequence[Type]
EQUAL = "operands must have equal shapes and dtypes; insert broadcast or cast"


def require(condition: bool, message: str) -> None:
    if not condition:
        raise GraphError(message)


def same(dtypes: Sequence[str], result: str | None = None) -> Callable[[Types, Attrs], Type]:
    """A rule for operands of equal types: the result has that type, with the dtype ``result`` if it is given."""

    def infer(types: Types, attrs: Attrs) -> Type:
        first = types[0]
        for other in types:
            require(other is first or other == first, EQUAL)
        if first.dtype not in dtypes:
            raise GraphError(f"needs one of {', '.join(dtypes)}")
        return first if result in (None, first.dtype) else Type(first.shape, result or first.dtype)

    return infer


def select_type(types: Types, attrs: Attrs) -> Type:
    condition, yes, no = types
    require(condition.dtype == "bool", "the condition must be bool")
    require(yes == no and condition.shape == yes.shape, "the condition and both branches must have equal shapes")
    return yes


def cast_type(types: Types, attrs: Attrs) -> Type:
    require(attrs["dtype"] in DTYPES, f"unknown dtype {attrs['dtype']}")
    return Type(types[0].shape, attrs["dtype"])


def given_type(types: Types, attrs: Attrs) -> Type:
    require(attrs["dtype"] in DTYPES, f"unknown dtype {attrs['dtype']}")
    return Type(tuple(attrs["shape"]), attrs["dtype"])


def iota_type(types: Types, attrs: Attrs) -> Type:
    require(attrs["dtype"] in ARITHMETIC, f"needs one of {', '.join(ARITHMETIC)}")
    return given_type(types, attrs)


def constant_type(types: Types, attrs: Attrs) -> Type:
    return Type(attrs["value"].shape, dtype_of(attrs["value"]))


def reduce_type(types: Types, attrs: Attrs) -> Type:
    shape, axes = types[0].shape, attrs["axes"]
    require(types[0].dtype in ARITHMETIC, f"needs one of {', '.join(ARITHMETIC)}")
    require(
        list(axes) == sorted(set(axes)) and all(0 <= a < len(shape) for a in axes), f"axes {axes} do not fit {shape}"
    )
    return Type(tuple(d for i, d in enumerate(shape) if i not in axes), types[0].dtype)


def reduce_max_type(types: Types, attrs: Attrs) -> Type:
    result = reduce_type(types, attrs)
    _require_some(types[0].shape, attrs["axes"])
    return result


def _require_known(dim: Any, what: str) -> None:
    if not isinstance(dim, int):
        raise GraphExtentError(
            f"the extent {dim} is known only when the program runs, and only known ones can be {what}"
        )


def _require_some(shape: Sequence[Any], axes: Sequence[int]) -> None:
    empty = [axis for axis in axes if shape[axis] == 0]
    require(
        not empty,
        f"axis {empty[0] if empty else 0} of {shape} has no elements, so none of them is the largest or the smallest; "
        "reduce along an axis that has some",
    )


def argmax_type(types: Types, attrs: Attrs) -> Type:
    require(types[0].dtype in ARITHMETIC, f"needs one of {', '.join(ARITHMETIC)}")
    require(0 <= attrs["axis"] < len(types[0].shape), f"axis {attrs['axis']} does not fit")
    _require_some(types[0].shape, (attrs["axis"],))
    return Type(tuple(d for i, d in enumerate(types[0].shape) if i != attrs["axis"]), "int32")


def reshape_type(types: Types, attrs: Attrs) -> Type:
    """``rows``, if given, is the number that the symbol of a batch stands for here: either may become the other."""
    rows = attrs.get("rows")

    def split(shape: Sequence[Any]) -> tuple[int, list[str]]:
        shape = [rows if rows and d is BATCH else d for d in shape]
        return math.prod(d for d in shape if isinstance(d, int)), sorted(d.name for d in shape if isinstance(d, Extent))

    held, asked = split(types[0].shape), split(attrs["shape"])
    counts = "" if held[1] or asked[1] or held == asked else f": {held[0]} elements are not {asked[0]}"
    if held[1] != asked[1]:
        raise GraphExtentError(f"cannot reshape {types[0].shape} to {attrs['shape']}")
    require(held == asked, f"cannot reshape {types[0].shape} to {attrs['shape']}{counts}")
    return Type(tuple(attrs["shape"]), types[0].dtype)


def transpose_type(types: Types, attrs: Attrs) -> Type:
    require(sorted(attrs["axes"]) == list(range(len(types[0].shape))), f"axes {attrs['axes']} are no permutation")
    return Type(tuple(types[0].shape[a] for a in attrs["axes"]), types[0].dtype)


def broadcast_type(types: Types, attrs: Attrs) -> Type:
    """``axes[i]`` is the axis of ``shape`` that dimension i of the operand becomes."""
    shape, axes = attrs["shape"], attrs["axes"]
    require(len(axes) == len(types[0].shape) and list(axes) == sorted(set(axes)), "one rising axis for each dimension")
    for dim, axis in zip(types[0].shape, axes, strict=True):
        require(axis < len(shape) and shape[axis] == dim, f"dimension {dim} does not fit axis {axis} of {shape}")
    return Type(tuple(shape), types[0].dtype)


def slice_type(types: Types, attrs: Attrs) -> Type:
    """``ranges`` holds (start, stop, step) with step >= 1, or None for a whole axis."""
    dims: list[Any] = []
    for dim, item in zip(types[0].shape, attrs["ranges"], strict=True):
        if item is None:
            dims.append(dim)
            continue
        start, stop, step = item
        _require_known(dim, "cut")
        require(0 <= start <= stop <= dim and step >= 1, f"{item} does not fit an axis of {dim}")
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
        _require_known(dim, "padded")
        require(min(low, high, between) >= 0, "only known extents can be padded, by counts >= 0")
        dims.append(low + dim + max(0, dim - 1) * between + high)
    require(types[1] == Type((), types[0].dtype), "the padding value must be a scalar of the same dtype")
    return Type(tuple(dims), types[0].dtype)


def concatenate_type(types: Types, attrs: Attrs) -> Type:
    axis, first = attrs["axis"], types[0]
    require(0 <= axis < len(first.shape), f"axis {axis} does not fit")
    total = 0
    for t in types:
        rest = [(a, b) for i, (a, b) in enumerate(zip(t.shape, first.shape, strict=True)) if i != axis]
        require(t.dtype == first.dtype and all(a == b for a, b in rest), "operands may differ along the axis only")
        dim = t.shape[axis]
        if not isinstance(dim, int):
            raise GraphExtentError("the joined axis must have known extents")
        total += dim
    return Type((*first.shape[:axis], total, *first.shape[axis + 1 :]), first.dtype)


def gather_type(types: Types, attrs: Attrs) -> Type:
    """Rows of the first operand (along axis 0) chosen by int32 or int64 indices of any shape.

    With ``batch``, both operands have their first ``batch`` axes in common, and an index reads rows at its own position
    along them. An index below 0 reads the first row, and one beyond the end the last row: native code must stay in
    bounds, so the definition does. The gradient goes to the row that was read.
    """
    source, index = types
    batch = attrs.get("batch", 0)
    require(index.dtype in INDICES and len(source.shape) > batch, "needs a source with rows and int32 or int64 indices")
    require(
        len(index.shape) >= batch and source.shape[:batch] == index.shape[:batch],
        f"the first {batch} axes of source and indices must be the same",
    )
    return Type((*index.shape, *source.shape[batch + 1 :]), source.dtype)


def scatter_add_type(types: Types, attrs: Attrs) -> Type:
    """Zeros of ``rows`` rows, with each row of the updates added at its index.

    With ``batch``, each position along the first ``batch`` axes has its own rows. Updates whose index is out of range
    are dropped, and their gradient is zero.
    """
    index, updates = types
    batch = attrs.get("batch", 0)
    require(
        index.dtype in INDICES and updates.shape[: len(index.shape)] == index.shape, "one update row for each index"
    )
    require(len(index.shape) >= batch, f"the indices have no {batch} axes")
    require(updates.dtype in NUMBERS, f"needs updates of one of {', '.join(NUMBERS)}")
    rest = updates.shape[len(index.shape) :]
    return Type((*index.shape[:batch], attrs["rows"], *rest), updates.dtype)


def check_type(types: Types, attrs: Attrs) -> Type:
    require(types[0].dtype in NUMBERS, f"needs one of {', '.join(NUMBERS)}")
    return types[0]


def random_type(types: Types, attrs: Attrs) -> Type:
    require(all(t == Type((), "uint32") for t in types), "needs two uint32 scalars, seed and stream")
    return Type(tuple(attrs["shape"]), attrs["dtype"])


def extent_type(types: Types, attrs: Attrs) -> Type:
    return Type((), attrs["dtype"])
