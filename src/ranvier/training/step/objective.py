"""The objective of training: any loss as a `Loss`, and the targets that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier import losses
from ranvier.data.convert import Array, to_numeric
from ranvier.data.targets import aligned, as_labels, as_targets
from ranvier.graph.extents import Dim
from ranvier.graph.node import FLOATS, Node, apply, extent
from ranvier.losses.reduction import reduced
from ranvier.module import Module
from ranvier.ops import arrays as rn
from ranvier.ops.functional.losses_torch import weight_of
from ranvier.support import rows
from ranvier.tensor.context import get_dtype
from ranvier.tensor.function import function

__all__ = [
    "Criterion", "as_loss", "classes_of", "exclusive", "ignored_by", "objective", "one_number", "per_sample",
    "target_array",
]  # fmt: skip

TORCH = "torch."  # before the name of a criterion in a description
OF_LABELS = ("cross_entropy", "nll_loss")  # functions whose integer targets are class numbers
OF_LOGITS = ("cross_entropy", "binary_cross_entropy_with_logits")


class Criterion(losses.Loss):
    """A loss module in PyTorch's style, called as (input, target), which reduces its losses.

    A criterion of the vocabulary is called without its reduction, so that each loss can be weighted; `objective` then
    reduces them. Any other module is called as it is.
    """

    def __init__(self, module: Any) -> None:
        super().__init__(type(module).__name__)
        self.module = module
        self.options: dict[str, Any] = getattr(module, "options", {})
        self.function = getattr(getattr(module, "function", None), "__name__", "")
        self.from_logits = self.function in OF_LOGITS
        self.opened = "reduction" in self.options and hasattr(module, "_order")
        reduction = self.options.get("reduction")
        self.reduction = reduction if self.opened and reduction in ("sum", "batchmean") else "sum_over_batch_size"

    def call(self, y_true: Any, y_pred: Any) -> Any:
        if not self.opened:
            return self.module(y_pred, y_true)
        given = {**self.module._buffers, **self.options, "reduction": "none"}
        return self.module.function(y_pred, y_true, *(given[name] for name in self.module._order))

    @property
    def weighs_classes(self) -> bool:
        buffers = getattr(self.module, "_buffers", {})
        return any(buffers.get(name) is not None for name in ("weight", "pos_weight"))

    def config(self) -> dict[str, Any]:
        """The constructor's arguments of a criterion of the vocabulary."""
        buffers = {n: b.numpy().tolist() for n, b in self.module._buffers.items() if b is not None}
        return {**self.options, **buffers}

    def counted(self, y_true: Any, losses: Any) -> Any:
        """As in PyTorch, the mean over class numbers divides by the weights of the classes that are not ignored."""
        if not self.opened or self.function not in OF_LABELS or y_true.dtype in FLOATS:
            return None
        return class_shares(y_true, self.module._buffers.get("weight"), self.options["ignore_index"])


@function
def class_shares(labels: Node, weight: Node | None, ignored: int) -> Node:
    """The weight of each label's class (1 without weights), 0 for the ignored one."""
    kept = rn.not_equal(labels, ignored)
    if weight is None:
        return rn.cast(kept, get_dtype())
    classes: Any = weight.shape[0]
    return rn.where(kept, weight_of(labels, weight, classes, weight.dtype), 0)


def criteria() -> dict[str, Any]:
    """The criteria of the PyTorch vocabulary by name, which are the only ones that a file can hold."""
    module = rows.look_up("criteria", TORCH)
    return {name: getattr(module, name) for name in module.__all__}


def as_loss(loss: Any) -> losses.Loss | None:
    """A loss by any of its spellings, also alone in a list; None stays."""
    if loss is None:
        return None
    if isinstance(loss, (list, tuple)) and len(loss) == 1:
        return as_loss(loss[0])
    if isinstance(loss, dict) and str(loss.get("class_name")).startswith(TORCH):
        return Criterion(criteria()[loss["class_name"].removeprefix(TORCH)](**loss["config"]))
    found = Criterion(loss) if isinstance(loss, Module) else losses.get(loss)
    if isinstance(loss, str) and loss != type(found).__name__:
        found.name = loss  # as in Keras, which names the results of "mse" so
    return found


def exclusive(loss: losses.Loss) -> bool:
    """Whether a loss is for one class of several."""
    return loss.maker == "softmax" or getattr(loss, "function", "") in OF_LABELS


def is_own(loss: losses.Loss | None) -> bool:
    """Whether you wrote the loss, so that its targets are unknown here."""
    if loss is None or (isinstance(loss, Criterion) and loss.opened):
        return False
    return not losses.REGISTRY.known(loss)


def of_labels(loss: losses.Loss | None, y: Array, output_shape: Sequence[Any]) -> bool:
    """Whether these targets are class numbers; for a loss that takes both, their dtype and shape decide."""
    if loss is not None and loss.kind == "labels":
        return True
    measured = loss is None and aligned(y.shape[1:], output_shape) is None
    takes_both = measured or (isinstance(loss, Criterion) and loss.function in OF_LABELS)
    return takes_both and y.ndim == len(output_shape) and y.dtype.kind in "iub"


def classes_of(loss: losses.Loss | None, output_shape: Sequence[Any]) -> int:
    """The number of classes of an output: the last axis in Keras, the axis after the samples in PyTorch."""
    return int(output_shape[0 if isinstance(loss, Criterion) else -1])


def ignored_by(loss: losses.Loss | None) -> int | None:
    """The label that a loss accepts and ignores."""
    if isinstance(loss, Criterion):
        ignored: int | None = loss.options.get("ignore_index")
        return ignored
    return getattr(loss, "ignore_class", None)


def target_array(
    y: Any, loss: losses.Loss | None, output_shape: Sequence[Any], *, name: str, owner: str, check_finite: bool
) -> Array:
    """Targets as the arrays that programs take; ``output_shape`` is without the dimension of the batch.

    Raises ValueError or TypeError naming the first wrong row, and the fix.
    """
    if hasattr(y, "compute") and hasattr(y, "entry"):
        y = y.compute()
    if loss is not None and loss.kind == "sequences":
        return as_labels(y, classes=classes_of(loss, output_shape), name=name, sample_shape=(None,), owner=owner)
    if loss is not None and loss.kind == "groups":
        return as_labels(y, name=name, owner=owner)
    sparse = loss is not None and loss.kind == "labels"
    if sparse or of_labels(loss, to_numeric(y, name), output_shape):
        sample_shape = tuple(output_shape[1:] if isinstance(loss, Criterion) else output_shape[:-1])
        classes, ignored = classes_of(loss, output_shape), ignored_by(loss)
        return as_labels(y, classes=classes, name=name, sample_shape=sample_shape, ignore=ignored, owner=owner)
    if is_own(loss) and (array := to_numeric(y, name)).ndim:
        other = aligned(array.shape[1:], output_shape) is None
        if other and array.dtype.kind in "iub":
            return array.astype(np.int32)  # class numbers, for a loss that reads them
        if other:  # two numbers predicted for one, say, or a mask beside the values
            output_shape = array.shape[1:]
    return as_targets(y, output_shape, name=name, owner=owner, check_finite=check_finite, dtype=get_dtype())


def per_sample(values: Node, rows: Dim) -> Node:
    """One value for each of so many samples, (samples, ...), from the result of a loss or metric function.

    What has several values for each sample in a row, as of ``logits.reshape(-1, classes)``, gets an axis of samples.
    """
    if values.dtype not in FLOATS:
        values = apply("cast", values, dtype=get_dtype())
    if values.shape and values.shape[0] == rows:
        return values
    if values.shape and isinstance(rows, int) and not extent(values, 0) % rows:
        return apply("reshape", values, shape=(rows, extent(values, 0) // rows, *values.shape[1:]))
    if values.shape:
        raise ValueError(f"a loss or metric function returned {values.type}. Write one number, or one for each sample.")
    return apply("broadcast", values, shape=(rows,), axes=())


def one_number(loss: losses.Loss) -> ValueError:
    """The error for sample weights and a loss that is one number."""
    return ValueError(
        f"the loss {loss.name!r} returns one number, so samples cannot be weighted. Write a loss that returns "
        "one number for each sample (a tensor with a row for each), or leave the weights out."
    )


def objective(
    loss: losses.Loss, values: Node, weight: Node | None, counted: Node | None, mask: Node | None, *, rows: Dim
) -> Node:
    """The number that is minimized: the losses of the samples (or of their parts), reduced.

    ``weight`` are the samples' weights, with the shape of the losses or its first dimensions; for ``counted`` see
    `Loss.counted`; losses where the ``mask`` of the output is false do not count. A loss that is one number is reduced
    already; weights multiply it where it is the library's.
    """
    if not values.shape:
        if weight is None:
            return values
        if is_own(loss):
            raise one_number(loss)
    given = loss.reduction not in ("none", None)
    each = per_sample(values, rows) if values.shape else values
    result: Node = reduced(each, weight, counted, loss.reduction if given else "sum_over_batch_size", mask)
    return result
