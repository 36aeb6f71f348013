"""Operators of ONNX on values of which an axis is as long as a multiple of the batch, which no tensor has.

PyTorch's exporter joins the batch with the steps before a product of matrices, and with the heads of attention, and
takes them apart afterwards. Such a value is a `Merged`; `Reshape` makes and ends it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ranvier import ops as o
from ranvier.graph.node import BATCH
from ranvier.interop import merged
from ranvier.interop.foreign import ANY_BATCH, BatchSizeError, refuse
from ranvier.interop.merged import Merged, shape_of
from ranvier.interop.onnx.values import Context, known, tensor
from ranvier.tensor.tensor import Tensor

EACH = frozenset({
    "Abs", "Add", "Cast", "CastLike", "Celu", "Clip", "Cos", "Div", "Dropout", "Elu", "Erf", "Exp", "Gelu",
    "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Log", "Max", "Min", "Mish", "Mul", "Neg", "Not", "Pow",
    "Reciprocal", "Relu", "Selu", "Sigmoid", "Sin", "Softplus", "Softsign", "Sqrt", "Sub", "Swish", "Tanh", "Where",
})  # fmt: skip
"""Operators on each element."""
LAST = frozenset({"Softmax", "LogSoftmax", "LayerNormalization", "RMSNormalization"})
"""Operators along the last axis."""


def reshaped(x: Any, target: Sequence[int], allowzero: bool = False) -> Any:
    """A value in another shape, in which the batch may be a factor. Raises UnsupportedError where it cannot be."""
    shape = shape_of(x)
    wanted = [int(shape[i]) if n == 0 and not allowzero else int(n) for i, n in enumerate(target)]
    if ANY_BATCH in shape and 0 in shape and math.prod(wanted) == 0:
        return o.reshape(x, tuple(BATCH if n == ANY_BATCH else n for n in wanted))
    if merged.has_batch(x):
        return _plain(merged.reshape(_settled(x), wanted))
    if -1 in wanted and (rest := math.prod(n for n in wanted if n != -1)):
        wanted[wanted.index(-1)] = math.prod(shape) // rest
    if math.prod(shape) != math.prod(wanted):
        raise refuse(f"{merged.shown(shape)} cannot be {merged.shown(target)}")
    return o.reshape(x, tuple(wanted))


def _settled(value: Any) -> Any:
    """A tensor whose batch is not first, as `Merged`."""
    return merged.settled(value) if isinstance(value, Tensor) else value


def _plain(result: Any) -> Any:
    """What is as a tensor has it, as one."""
    return result.spread() if isinstance(result, Merged) and not result.is_merged else result


def compute(
    op: str, context: Context, given: Sequence[Any], attributes: dict[str, Any], run: Callable[..., Any]
) -> Any:
    """What an operator gives for values of which one has such an axis. ``run`` computes it for tensors."""
    x = next(value for value in given if isinstance(value, Merged))
    if op == "Reshape":
        return reshaped(x, [int(n) for n in np.ravel(known(given[1], "the shape"))], bool(attributes.get("allowzero")))
    if op == "Shape":
        return np.array(x.shape[attributes.get("start", 0) : attributes.get("end")], np.int64)
    if op == "Transpose":
        return _plain(merged.permute(x, attributes.get("perm") or range(x.ndim)[::-1]))
    values = {str(i): tensor(v) if isinstance(v, np.ndarray) else _settled(v) for i, v in enumerate(given)}

    def tensors(**plain: Any) -> Any:
        return run(op, context, [plain[name] for name in values], attributes)

    if op in EACH:
        return _plain(merged.alike(tensors, values, merged.with_batch(values.values())))
    if op in LAST and attributes.get("axis", -1) in (-1, x.ndim - 1) and given[0] is x:
        attributes = {**attributes, "axis": -1}
        return _plain(merged.along_last(tensors, values, x, 1))
    if op in ("MatMul", "Gemm") and not attributes.get("transA"):
        a, b, *others = values.values()
        attributes, turned = {**attributes}, attributes.get("transB")
        if turned:
            attributes["transB"], b = 0, o.transpose(b)

        def times(*operands: Any) -> Any:
            *others, a, b = operands
            return run(op, context, [a, b, *others], attributes)

        return _plain(merged.product(times, [*(v for v in others if v is not None), a, b]))
    raise BatchSizeError(f"an axis of {merged.shown(x.shape)} is a multiple of the batch")
