"""Operators of PyTorch on tensors whose batch is not first, or is merged with other dimensions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ranvier.graph.node import BATCH
from ranvier.interop import merged
from ranvier.interop.foreign import UnsupportedError
from ranvier.ops import arrays, vocabulary
from ranvier.ops.table import activations, elementwise


@dataclass(frozen=True, eq=False)
class RowNumbers:
    """What ``arange(rows)`` is for a batch of any size: multiples of ``step`` along ``axis``, others being of extent 1.

    Programs do not number the rows of a batch. It chooses elements of each row, ``x[arange(rows), index]``.
    """

    step: int
    axis: int = 0
    ndim: int = 1
    dtype = "int64"

    @property
    def shape(self) -> tuple[Any, ...]:
        return tuple(BATCH if i == self.axis else 1 for i in range(self.ndim))


# --- operators ----------------------------------------------------------------------------------------------------


def _names(rows: Sequence[Any]) -> set[str]:
    found = {name for row in rows for names, _ in vocabulary.entries(row, "torch") for name in names}
    return {name.rpartition(".")[2].rstrip("_") for name in found}


# Operators that give a tensor of the same dimensions, of which each row depends on that row of the inputs.
ALIKE = {
    *_names(elementwise.ROWS), *_names(activations.ROWS), "dropout", "alpha_dropout", "native_dropout", "clone", "copy",
    "to", "_to_copy", "type_as", "detach", "alias", "contiguous", "lift_fresh_copy", "masked_fill", "cumsum", "cumprod",
    "sort", "argsort", "topk", "flip", "roll", "narrow", "gather", "split", "split_with_sizes", "chunk", "cat", "rsub",
    "_softmax", "_log_softmax", "log_sigmoid", "bernoulli", "uniform", "normal_functional", "fill", "zero", "rand_like",
    "randn_like", "zeros_like", "ones_like", "full_like", "empty_like", "__and__", "__or__", "__xor__",
} - {"equal", "prelu"}  # fmt: skip
# Operators that take dimensions away.
REDUCED = {
    "sum", "mean", "any", "all", "argmax", "argmin", "logsumexp", "max", "min", "amax", "amin", "var", "std", "norm",
    "linalg_vector_norm", "prod", "var_mean", "std_mean", "median", "select", "unbind", "count_nonzero",
}  # fmt: skip
# The dimension along which operators go that are not given one.
ALONG = {
    "glu": -1,
    "sort": -1,
    "argsort": -1,
    "topk": -1,
    "split": 0,
    "split_with_sizes": 0,
    "chunk": 0,
    "cat": 0,
    "unbind": 0,
}
# How many of the last dimensions operators work on, of which the batch must not be one; None: those of a shape given.
LAST = {
    "linear": 1, "scaled_dot_product_attention": 2, "embedding": 0, "tril": 2, "triu": 2, "layer_norm": None,
    "rms_norm": None, "native_layer_norm": None,
}  # fmt: skip


def _sum_of_product(self: Any, a: Any, b: Any, beta: float = 1, alpha: float = 1) -> Any:
    total = arrays.matmul(a, b)
    return (total if alpha == 1 else total * alpha) + (self if beta == 1 else self * beta)


# Products: what computes them on any number of dimensions before those of the matrices, and the names of its arguments.
PRODUCTS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "matmul": (arrays.matmul, ("self", "other")),
    "mm": (arrays.matmul, ("self", "mat2")),
    "bmm": (arrays.matmul, ("self", "mat2")),
    "addmm": (_sum_of_product, ("self", "mat1", "mat2")),
    "baddbmm": (_sum_of_product, ("self", "batch1", "batch2")),
}


def compute(op: str, function: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    """What an operator gives for arguments of which some are `Merged`. Raises UnsupportedError where it mixes rows."""
    base = op.partition(".")[0]
    found = merged.with_batch(given.values())
    first = found[0]
    if base in PRODUCTS:
        function, names = PRODUCTS[base]
        options = {name: value for name, value in given.items() if name not in names}
        return merged.product(functools.partial(function, **options), [given[name] for name in names])
    if base in LAST:
        least = len(given["normalized_shape"]) if LAST[base] is None else LAST[base]
        attends = base == "scaled_dot_product_attention"
        least = 3 if given.get("enable_gqa") else least
        return merged.along_last(function, given, first, least, attends, int(base == "embedding"))  # type: ignore[arg-type]  # a number
    if base not in ALIKE and base not in REDUCED:
        raise UnsupportedError("the batch is merged with another dimension, which this operator does not take apart")
    if base in ALONG:
        given = {**given, "dim": given.get("dim", ALONG[base])}
    if base in REDUCED and "other" not in given:
        return merged.reduced(function, given, first, base in ("argmax", "argmin"))
    return merged.alike(function, given, found)
