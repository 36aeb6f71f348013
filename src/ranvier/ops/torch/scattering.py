"""Values that meet at a place of a tensor: their sum, mean, product, largest or smallest, as PyTorch names them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.graph.dtypes import FLOATING
from ranvier.ops import arrays, indexing
from ranvier.ops.torch.indexing import add_at, check_source, flat_places, grid_of, part_of
from ranvier.ops.torch.sizes import one_of
from ranvier.tensor.tensor import Tensor

_AT: dict[str, Any] = {"prod": np.multiply, "amax": np.maximum, "amin": np.minimum}
_STARTS: dict[str, Any] = {"prod": 1, "amax": -np.inf, "amin": np.inf}


def scatter_reduce(input: Tensor, dim: int, index: Any, src: Tensor, reduce: str, *, include_self: bool = True) -> Any:
    """``input`` where the elements of ``src`` that meet at ``[i][index[i][j]]`` for dimension 1 are reduced.

    ``reduce`` is "sum", "prod", "mean", "amax" or "amin". Without ``include_self`` the elements of ``input`` at these
    places do not count. Equal largest elements share the gradient; "prod" has none. Looks at the indices, and but for
    "sum" and "mean" at the values.
    """
    one_of(reduce, "reduce", ("sum", "prod", "mean", "amax", "amin"))
    check_source(input, src)
    places = flat_places(input)[grid_of(input, dim, index)]
    part = part_of(src, places.shape)
    met = np.bincount(places.ravel(), minlength=input.numel()).reshape(input.shape)
    if reduce in ("sum", "mean"):
        start = input if include_self else arrays.where(Tensor.wrap(met > 0), arrays.zeros_like(input), input)
        total = add_at(start, places, part)
        if reduce == "sum":
            return total
        if input.dtype == "bool":
            raise NotImplementedError("the mean of torch.bool. Write x.float() instead of x.")
        divide = arrays.divide if input.dtype in FLOATING else arrays.floor_divide
        return divide(total, Tensor.wrap(np.maximum(met + include_self, 1).astype(input.dtype)))
    return _reduced(input, places, part, reduce, met > 0, include_self)


def _reduced(input: Tensor, places: Any, part: Tensor, reduce: str, met: Any, include_self: bool) -> Any:
    """The product, or the largest or smallest element."""
    own, values = input.detach().compute(), part.detach().compute()
    if reduce == "prod" and (input.requires_grad or part.requires_grad):
        raise RuntimeError("scatter_reduce has no gradient of reduce='prod'. Write x.detach(), or the logarithms' sum.")
    limits = _STARTS[reduce]
    if own.dtype.kind == "b":
        limits = reduce != "amax"
    elif own.dtype.kind in "iu" and reduce != "prod":
        limits = np.iinfo(own.dtype).min if reduce == "amax" else np.iinfo(own.dtype).max
    result = own.copy() if include_self else np.where(met, np.asarray(limits, own.dtype), own)
    flat = result.reshape(-1)
    _AT[reduce].at(flat, places.ravel(), values.ravel())
    found = Tensor.wrap(flat.reshape(result.shape))
    if not (input.requires_grad or part.requires_grad):
        return found
    wins, stays = (values == flat[places]), (own == found.compute()) & (include_self | ~met)
    ties = np.bincount(places.ravel(), wins.ravel(), input.numel()).reshape(own.shape) + stays
    shares = np.where(ties > 0, 1 / np.maximum(ties, 1), 0).astype(own.dtype)
    kept = arrays.multiply(input, Tensor.wrap((stays * shares).astype(own.dtype)))
    given = arrays.multiply(part, Tensor.wrap((wins * shares.reshape(-1)[places]).astype(own.dtype)))
    linear = add_at(kept, places, given)  # the same up to rounding, with the gradient
    return arrays.add(found, arrays.subtract(linear, linear.detach()))


def index_put(input: Tensor, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Any:
    """``input`` with ``values`` written at indices, as ``x[indices] = values`` does, or added to what is there."""
    if not accumulate:
        result = input.clone()
        indexing.set_item(result, tuple(indices), values)
        return result
    known = [i.compute() if isinstance(i, Tensor) else np.asarray(i) for i in indices]
    places = flat_places(input)[tuple(known)]
    given = values if isinstance(values, Tensor) else Tensor(values, dtype=input.dtype)
    return add_at(input, places, arrays.broadcast_to(given, places.shape))
