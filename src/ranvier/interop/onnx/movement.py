"""Operators of ONNX that move elements: shapes, parts, places."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from ranvier import ops as o
from ranvier.graph.extents import Extent
from ranvier.interop.foreign import BatchSizeError
from ranvier.interop.onnx.budgets import check_size
from ranvier.interop.onnx.merged import reshaped
from ranvier.interop.onnx.table import row
from ranvier.interop.onnx.values import (
    ANY_BATCH,
    Context,
    cast,
    element,
    extents,
    fixed,
    holds_batch,
    known,
    like,
    numbers,
    refuse,
    tensor,
)  # fmt: skip
from ranvier.ops.arrays.promotion import axis_of
from ranvier.ops.functional.label_checks import in_range
from ranvier.ops.functional.order import places_in_order


@row("Constant")
def constant(c: Context, **given: Any) -> Any:
    ((kind, value),) = given.items()
    if kind not in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        raise refuse(f"a constant of kind {kind}")
    dtype = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    return np.asarray(value, dtype.get(kind))


@row("ConstantOfShape")
def constant_of_shape(c: Context, shape: Any, value: Any = None) -> Any:
    fill = np.zeros(1, np.float32) if value is None else np.asarray(value)
    dims = extents(shape, "the shape")
    if all(isinstance(n, int) for n in dims):
        check_size(dims, "its result")
        return tensor(np.full(dims, fill.ravel()[0], fill.dtype))
    return o.broadcast_to(tensor(fill.ravel()), tuple(dims))


@row("Shape")
def shape(c: Context, x: Any, start: int = 0, end: int | None = None) -> Any:
    return np.array([ANY_BATCH if isinstance(n, Extent) else n for n in x.shape][start:end], np.int64)


@row("Size")
def size(c: Context, x: Any) -> Any:
    return np.array(math.prod(fixed(x, n) for n in range(x.ndim)), np.int64)


@row("Reshape")
def reshape(c: Context, x: Any, target: Any = None, shape: Any = None, allowzero: int = 0) -> Any:
    wanted = known(shape if target is None else target, "the shape")
    return reshaped(x, [int(n) for n in np.ravel(wanted)], bool(allowzero))


@row("Flatten")
def flatten(c: Context, x: Any, axis: int = 1) -> Any:
    axis = axis + x.ndim if axis < 0 else axis
    if axis == 0:
        return o.reshape(x, (1, -1))
    return o.reshape(x, (x.shape[0] if axis == 1 else -1, math.prod(fixed(x, n) for n in range(axis, x.ndim))))


@row("Transpose")
def transpose(c: Context, x: Any, perm: Any = None) -> Any:
    return o.transpose(x, axes=tuple(perm) if perm is not None else tuple(range(x.ndim))[::-1])


def _axes(given: Any, axes: Any, ndim: int) -> list[int]:
    found = numbers(given, "axes") if given is not None else list(axes)
    return [axis_of(n, ndim) for n in found]


@row("Squeeze")
def squeeze(c: Context, x: Any, given: Any = None, axes: Any = None) -> Any:
    if given is None and axes is None:
        gone = [i for i, n in enumerate(x.shape) if n == 1]
    else:
        gone = _axes(given, axes, x.ndim)
    if any(x.shape[i] != 1 for i in gone):
        raise refuse("it removes an axis of more than one element")
    return o.reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in gone))


@row("Unsqueeze")
def unsqueeze(c: Context, x: Any, given: Any = None, axes: Any = None) -> Any:
    count = len(axes) if given is None else np.size(known(given, "axes"))
    places, rest = _axes(given, axes, x.ndim + count), iter(x.shape)
    return o.reshape(x, tuple(1 if i in places else next(rest) for i in range(x.ndim + count)))


@row("Expand")
def expand(c: Context, x: Any, target: Any) -> Any:
    wanted = extents(target, "the shape")
    full = (1,) * (len(wanted) - x.ndim) + tuple(x.shape)
    wanted = [1] * (x.ndim - len(wanted)) + wanted
    return o.broadcast_to(x, tuple(d if n == 1 else n for d, n in zip(full, wanted, strict=True)))


@row("Tile")
def tile(c: Context, x: Any, repeats: Any) -> Any:
    return like(o.tile(x, tuple(numbers(repeats, "repeats"))), x)


@row("Concat")
def concat(c: Context, *xs: Any, axis: int = 1) -> Any:
    return like(o.concatenate(list(xs), axis=axis), xs[0])


@row("Split")
def split(
    c: Context, x: Any, sizes: Any = None, axis: int = 0, split: Any = None, num_outputs: int | None = None
) -> Any:
    axis = axis_of(axis, x.ndim)
    total = fixed(x, axis)
    if sizes is not None or split is not None:
        parts = list(split) if sizes is None else numbers(sizes, "split")
    else:
        each = -(-total // c.outputs)
        parts = [min(each, max(total - i * each, 0)) for i in range(c.outputs)]
    if sum(parts) != total:
        raise refuse(f"it splits {total} into {parts}")
    ends = np.cumsum([0, *parts])
    before = (slice(None),) * axis
    return tuple(x[(*before, slice(int(i), int(j)))] for i, j in itertools.pairwise(ends))


@row("Slice")
def slice_(c: Context, x: Any, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None) -> Any:
    begin, stop = numbers(starts, "starts"), numbers(ends, "ends")
    over = list(range(len(begin))) if axes is None else numbers(axes, "axes")
    stride = [1] * len(begin) if steps is None else numbers(steps, "steps")
    for i, j, n, step in zip(begin, stop, over, stride, strict=True):
        axis = axis_of(n, x.ndim)
        if isinstance(x.shape[axis], Extent) and (i, step) == (0, 1) and j >= 2**31 - 1:
            continue
        chosen = range(*_bounds(i, j, step, fixed(x, axis)))
        if step > 0:
            x = x[(*[slice(None)] * axis, slice(chosen.start, max(chosen.stop, chosen.start), step))]
        else:
            x = o.take(x, np.array(chosen, np.int64), axis=axis)
    return x


def _bounds(start: int, stop: int, step: int, count: int) -> tuple[int, int, int]:
    """As ONNX clamps them: to the elements there are, in the direction of the step."""
    start, stop = (n + count if n < 0 else n for n in (start, stop))
    if step > 0:
        return min(max(start, 0), count), min(max(stop, 0), count), step
    return min(max(start, 0), count - 1), min(max(stop, -1), count - 1), step


@row("Gather")
def gather(c: Context, x: Any, indices: Any, axis: int = 0) -> Any:
    return like(o.take(x, _wrapped(indices, fixed(x, axis)), axis=axis_of(axis, x.ndim)), x)


def _wrapped(indices: Any, count: int) -> Any:
    """Indices below 0 count from the end. One that is out of range raises IndexError when the program runs."""
    if isinstance(indices, np.ndarray):
        return np.where(indices < 0, indices + count, indices)
    indices = in_range(indices, "element", count, low=-count)
    return o.where(o.less(indices, 0), o.add(indices, count), indices)


@row("GatherElements")
def gather_elements(c: Context, x: Any, indices: Any, axis: int = 0) -> Any:
    axis = axis_of(axis, x.ndim)
    places = _wrapped(indices, fixed(x, axis))
    return x[_grid(x, places, axis)]


def _grid(x: Any, places: Any, axis: int) -> tuple[Any, ...]:
    """An index of each axis for each element of ``places``, which are those along one of them."""
    dims = [fixed(places, n) for n in range(places.ndim)]
    grid = [np.arange(d).reshape([-1 if i == n else 1 for i in range(len(dims))]) for n, d in enumerate(dims)]
    return tuple(places if n == axis else np.broadcast_to(g, dims) for n, g in enumerate(grid))


@row("GatherND")
def gather_nd(c: Context, x: Any, indices: Any, batch_dims: int = 0) -> Any:
    places = known(indices, "indices")
    depth = places.shape[-1]
    lead = places.shape[:batch_dims]
    grid = [np.arange(d).reshape([-1 if i == n else 1 for i in range(places.ndim - 1)]) for n, d in enumerate(lead)]
    each = [np.where(p < 0, p + x.shape[batch_dims + i], p) for i, p in enumerate(np.moveaxis(places, -1, 0))]
    full = np.broadcast_arrays(*grid, *each) if depth or grid else []
    return like(x[tuple(full)], x)


def _combined(reduction: str) -> Any:
    return {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}.get(reduction)


def _scattered(x: Any, index: tuple[Any, ...], updates: Any, reduction: str) -> Any:
    """The elements at places that are known replaced, or combined with others."""
    places = np.ravel_multi_index(
        [np.broadcast_arrays(*index)[i].ravel() for i in range(len(index))], x.shape[: len(index)]
    )
    inner = math.prod(x.shape[len(index) :])
    flat = (places[:, None] * inner + np.arange(inner)).ravel()
    rows, new = o.reshape(x, (-1,)), o.reshape(updates, (-1,))
    if reduction == "add":
        added = o.segment_sum(new, tensor(flat.astype(np.int32)), num_segments=rows.shape[0])
        return like(o.reshape(o.add(rows, added), tuple(x.shape)), x)
    if reduction != "none":
        found = np.array(known(x, "the data of a combined scatter"))
        _combined(reduction).at(found.reshape(-1), flat, np.asarray(known(updates, "its updates")).ravel())
        return tensor(found)
    last = {int(p): i for i, p in enumerate(flat)}  # of several writes the last one stays
    chosen = np.arange(rows.shape[0])
    chosen[list(last)] = [rows.shape[0] + i for i in last.values()]
    return like(o.reshape(o.take(o.concatenate([rows, like(new, x)], axis=0), chosen, axis=0), tuple(x.shape)), x)


@row("ScatterElements", "Scatter")
def scatter_elements(c: Context, x: Any, indices: Any, updates: Any, axis: int = 0, reduction: str = "none") -> Any:
    axis = axis_of(axis, x.ndim)
    places = known(indices, "indices")
    places = np.where(places < 0, places + fixed(x, axis), places)
    return _scattered(x, _grid(x, places, axis), updates, reduction)


@row("ScatterND")
def scatter_nd(c: Context, x: Any, indices: Any, updates: Any, reduction: str = "none") -> Any:
    places = known(indices, "indices")
    index = tuple(np.where(p < 0, p + x.shape[i], p) for i, p in enumerate(np.moveaxis(places, -1, 0)))
    return _scattered(x, index, updates, reduction)


@row("Pad")
def pad(
    c: Context, x: Any, pads: Any = None, value: Any = None, axes: Any = None, mode: str = "constant", **given: Any
) -> Any:
    widths = numbers(pads, "pads") if pads is not None else list(given.get("pads", given.get("paddings", ())))
    fill = float(np.ravel(known(value, "the value"))[0]) if value is not None else given.get("value", 0.0)
    over = list(range(x.ndim)) if axes is None else [axis_of(n, x.ndim) for n in numbers(axes, "axes")]
    half = len(widths) // 2
    pairs = [(0, 0)] * x.ndim
    for i, n in enumerate(over):
        pairs[n] = widths[i], widths[half + i]
    cut = tuple(
        slice(max(-low, 0), fixed(x, n) - max(-high, 0)) if low < 0 or high < 0 else slice(None)
        for n, (low, high) in enumerate(pairs)
    )
    x = x[cut] if any(part != slice(None) for part in cut) else x
    pairs = [(max(low, 0), max(high, 0)) for low, high in pairs]
    if mode == "constant":
        return like(o.pad(x, pairs, constant_values=fill if "float" in x.dtype.name else int(fill)), x)
    if mode == "wrap":
        for n, (low, high) in enumerate(pairs):
            count = fixed(x, n)
            x = o.take(x, np.arange(-low, count + high) % count, axis=n)
        return x
    for n, (low, high) in enumerate(pairs):  # one axis after the other; each may be wider than the elements there are
        if low or high:
            x = o.take(x, _mirrored(np.arange(-low, fixed(x, n) + high), fixed(x, n), mode), axis=n)
    return x


def _mirrored(places: Any, count: int, mode: str) -> Any:
    if mode == "edge":
        return np.clip(places, 0, count - 1)
    if mode != "reflect":
        raise refuse(f"mode {mode}")
    period = max(2 * (count - 1), 1)
    return np.minimum(places % period, period - places % period) if count > 1 else np.zeros_like(places)


@row("Range")
def range_(c: Context, start: Any, limit: Any, delta: Any) -> Any:
    bounds = [known(v, "a bound").ravel() for v in (start, limit, delta)]
    if any(map(holds_batch, bounds)):
        raise BatchSizeError("a bound depends on the size of the batch")
    first, end, step = (bound[0] for bound in bounds)
    check_size((math.ceil((end.item() - first.item()) / step.item()),), "its result")
    return np.arange(first, end, step, dtype=known(start, "start").dtype)


@row("EyeLike")
def eye_like(c: Context, x: Any, dtype: int | None = None, k: int = 0) -> Any:
    kind = x.dtype.name if dtype is None else element(dtype)
    check_size(x.shape, "its result")
    return tensor(np.eye(fixed(x, 0), fixed(x, 1), k).astype(kind))


@row("OneHot")
def one_hot(c: Context, indices: Any, depth: Any, values: Any, axis: int = -1) -> Any:
    count = int(known(depth, "depth").ravel()[0])
    check_size((count,), "a line of it")
    places = cast(indices, "int64")
    places = o.where(o.less(places, 0), o.add(places, count), places)
    axis = axis + indices.ndim + 1 if axis < 0 else axis
    line = np.arange(count).reshape([-1 if i == axis else 1 for i in range(indices.ndim + 1)])
    hit = o.equal(o.expand_dims(places, axis), tensor(line))
    return like(o.where(hit, values[1], values[0]), values)


@row("Trilu")
def trilu(c: Context, x: Any, k: Any = None, upper: int = 1) -> Any:
    shift = 0 if k is None else int(known(k, "k").ravel()[0])
    rows, columns = np.ogrid[: fixed(x, -2), : fixed(x, -1)]
    kept = columns - rows >= shift if upper else columns - rows <= shift
    return like(o.where(tensor(kept), x, o.zeros_like(x)), x)


@row("DepthToSpace")
def depth_to_space(c: Context, x: Any, blocksize: int, mode: str = "DCR") -> Any:
    n, depth, high, wide = x.shape
    b, inner = blocksize, depth // blocksize**2
    if mode == "DCR":
        y = o.transpose(o.reshape(x, (n, b, b, inner, high, wide)), axes=(0, 3, 4, 1, 5, 2))
    else:
        y = o.transpose(o.reshape(x, (n, inner, b, b, high, wide)), axes=(0, 1, 4, 2, 5, 3))
    return o.reshape(y, (n, inner, high * b, wide * b))


@row("SpaceToDepth")
def space_to_depth(c: Context, x: Any, blocksize: int, mode: str = "DCR") -> Any:
    if mode != "DCR":
        raise refuse(f"mode {mode}")
    n, depth, high, wide = x.shape
    b = blocksize
    y = o.transpose(o.reshape(x, (n, depth, high // b, b, wide // b, b)), axes=(0, 3, 5, 1, 2, 4))
    return o.reshape(y, (n, depth * b * b, high // b, wide // b))


@row("ReverseSequence")
def reverse_sequence(c: Context, x: Any, lengths: Any, batch_axis: int = 1, time_axis: int = 0) -> Any:
    counts, steps = known(lengths, "sequence_lens"), fixed(x, time_axis)
    time = np.arange(steps)
    places = np.stack([np.where(time < n, n - 1 - time, time) for n in counts])  # (batch, time)
    y = o.moveaxis(x, (batch_axis, time_axis), (0, 1))
    y = y[np.arange(len(counts))[:, None], places]
    return o.moveaxis(y, (0, 1), (batch_axis, time_axis))


@row("NonZero")
def non_zero(c: Context, x: Any) -> Any:
    return np.array(np.nonzero(np.atleast_1d(known(x, "x"))), np.int64)


@row("Compress")
def compress(c: Context, x: Any, condition: Any, axis: int | None = None) -> Any:
    kept = np.flatnonzero(known(condition, "the condition"))
    if axis is None:
        return o.take(o.reshape(x, (-1,)), kept, axis=0)
    return o.take(x, kept, axis=axis_of(axis, x.ndim))


@row("TopK")
def top_k(
    c: Context, x: Any, count: Any = None, k: int | None = None, axis: int = -1, largest: int = 1, sorted: int = 1
) -> Any:
    n = int(known(count, "k").ravel()[0]) if count is not None else int(k or 0)
    axis = axis_of(axis, x.ndim)
    if x.known is None:
        found = places_in_order(x, axis, bool(largest))[(*[slice(None)] * axis, slice(0, n))]
        return o.take_along_axis(x, found, axis), found
    keys = x if largest else o.negative(cast(x, "int64") if x.dtype.name.startswith("u") else x)
    _, places = o.top_k(o.moveaxis(keys, axis, -1), n)
    found = o.moveaxis(cast(places, "int64"), -1, axis)
    return gather_elements(c, x, found, axis), found
