"""Losses with PyTorch's arguments in its order, also the older ones that say how losses are reduced."""

from __future__ import annotations

import inspect
from typing import Any

from ranvier.ops import arrays, functional
from ranvier.ops.torch import losses
from ranvier.ops.torch.labels import check_labels
from ranvier.ops.torch.sizes import one_of
from ranvier.support.source_lines import warn
from ranvier.tensor.arguments import bind_arguments

_OLD = ("size_average", "reduce")  # before there was "reduction"


def reduction_of(reduction: str, size_average: Any = None, reduce: Any = None) -> str:
    """What PyTorch's older arguments mean, which go before ``reduction`` where they are given, with its warning."""
    if size_average is None and reduce is None:
        return reduction
    summed = size_average is not None and not size_average
    meant = "none" if reduce is not None and not reduce else "sum" if summed else "mean"
    warn(f"size_average and reduce are PyTorch's older arguments. Write reduction={meant!r} instead.")
    return meant


def _loss(function: Any, *arguments: str) -> Any:
    """A function of (input, target) that takes PyTorch's other arguments, in its order, for ours of the same names.

    One with ``ignore_index`` refuses labels that are out of range.
    """
    own = inspect.signature(function).parameters
    labelled = "ignore_index" in own
    weighs = "weight" in arguments and "weight" not in own

    def loss(input: Any, target: Any, *args: Any, **options: Any) -> Any:
        if args:
            given = bind_arguments(signature, (input, target, *args), options, function.__name__)
            options = {name: value for name, value in given.items() if name not in ("input", "target")}
        if labelled:
            target = check_labels(input, target, options.get("ignore_index", -100))
        if not options:
            return function(input, target)
        if "size_average" in options or "reduce" in options:
            old = {name: options.pop(name, None) for name in _OLD}
            options["reduction"] = reduction_of(options.get("reduction", "mean"), **old)
        if weighs and (weight := options.pop("weight", None)) is not None:
            return _weighted(function, input, target, weight, **options)
        return function(input, target, **options)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    others = [inspect.Parameter(n, kind, default=own[n].default if n in own else None) for n in arguments]
    signature = inspect.Signature([inspect.Parameter(n, kind) for n in ("input", "target")] + others)
    loss.__name__ = loss.__qualname__ = function.__name__
    loss.__doc__ = function.__doc__
    loss.__signature__ = signature  # type: ignore[attr-defined]  # what inspect reads
    return loss


def _weighted(function: Any, input: Any, target: Any, weight: Any, reduction: str = "mean", **options: Any) -> Any:
    """A loss of weighted elements, whose mean is by the sum of the weights. Raises ValueError for others."""
    if weight.shape != input.shape:
        raise ValueError(f"weights of shape {weight.shape} for an input of {input.shape}. Write one for each element.")
    each = arrays.multiply(function(input, target, reduction="none", **options), weight)
    if one_of(reduction, "reduction", ("mean", "sum", "none")) == "none":
        return each
    total = arrays.sum(each)
    return total if reduction == "sum" else arrays.divide(total, arrays.sum(weight))


mse_loss = _loss(functional.mse_loss, *_OLD, "reduction", "weight")
l1_loss = _loss(functional.l1_loss, *_OLD, "reduction", "weight")
smooth_l1_loss = _loss(functional.smooth_l1_loss, *_OLD, "reduction", "beta")
huber_loss = _loss(functional.huber_loss, "reduction", "delta", "weight")
kl_div = _loss(functional.kl_div, *_OLD, "reduction", "log_target")
nll_loss = _loss(functional.nll_loss, "weight", "size_average", "ignore_index", "reduce", "reduction")
cross_entropy = _loss(
    functional.cross_entropy, *("weight", "size_average", "ignore_index", "reduce", "reduction", "label_smoothing")
)
binary_cross_entropy = _loss(losses.binary_cross_entropy, "weight", *_OLD, "reduction")
binary_cross_entropy_with_logits = _loss(
    functional.binary_cross_entropy_with_logits, "weight", *_OLD, "reduction", "pos_weight"
)
