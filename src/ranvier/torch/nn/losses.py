"""Losses as modules, with PyTorch's arguments and defaults over the functions of the same meaning."""

from __future__ import annotations

import inspect
from typing import Any

from ranvier import functional
from ranvier.module import Module
from ranvier.tensor import Tensor
from ranvier.torch.nn.functional.labels import check_labels
from ranvier.torch.nn.functional.reduction import reduction_of

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "HuberLoss", "KLDivLoss", "L1Loss", "MSELoss",
    "NLLLoss", "SmoothL1Loss",
]  # fmt: skip


class _Loss(Module):
    """A function of (input, target); the constructor's arguments go to it with each call."""

    def __init__(self, function: Any, reduction: str, *, buffers: dict[str, Any], **options: Any) -> None:
        super().__init__()
        known = ("mean", "sum", "none", *(("batchmean",) if function is functional.kl_div else ()))
        if reduction not in known:
            raise ValueError(
                f"reduction {reduction!r} does not exist. Write one of {', '.join(map(repr, known))}."
            )
        self.function, self.reduction = function, reduction
        self.options = {"reduction": reduction, **options}
        for name, value in buffers.items():
            self.register_buffer(name, value if value is None or isinstance(value, Tensor) else Tensor(value))
        # In the function's own order: a call by position is recorded in half the time of one by name.
        self._order = tuple(inspect.signature(function).parameters)[2:]

    def forward(self, input: Any, target: Any) -> Any:
        if "ignore_index" in self.options:
            check_labels(input, target, self.options["ignore_index"])
        given = {**self._buffers, **self.options} if self._buffers else self.options
        return self.function(input, target, *[given[name] for name in self._order])

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items() if name != "reduction")


def _loss(name: str, function: Any, doc: str, *arguments: str, **defaults: Any) -> Any:
    """The class of a row: PyTorch's arguments in its order; those without a default are buffers, or older."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    known = {"reduction": "mean", **defaults}
    signature = inspect.Signature(
        [inspect.Parameter(n, kind, default=known.get(n)) for n in ("self", *arguments)]
    )

    def construct(self: Any, *args: Any, **kwargs: Any) -> None:
        given = signature.bind(self, *args, **kwargs)
        given.apply_defaults()
        buffers = {n: given.arguments[n] for n in arguments if n in ("weight", "pos_weight")}
        options = {n: type(v)(given.arguments[n]) for n, v in defaults.items()}
        reduction = reduction_of(given.arguments["reduction"], **{n: given.arguments.get(n) for n in _OLD})
        _Loss.__init__(self, function, reduction, buffers=buffers, **options)

    construct.__signature__ = signature  # type: ignore[attr-defined]
    return type(name, (_Loss,), {"__doc__": doc, "__init__": construct, "__module__": __name__})


_OLD = ("size_average", "reduce")  # before there was "reduction"

MSELoss = _loss(
    "MSELoss", functional.mse_loss, "The mean (or sum) of squared differences.", *_OLD, "reduction"
)
L1Loss = _loss("L1Loss", functional.l1_loss, "The mean (or sum) of absolute differences.", *_OLD, "reduction")
SmoothL1Loss = _loss(
    "SmoothL1Loss", functional.smooth_l1_loss, "Squared below ``beta``, absolute above (Girshick, 2015).",
    *_OLD, "reduction", "beta", beta=1.0,
)  # fmt: skip
HuberLoss = _loss(
    "HuberLoss", functional.huber_loss, "Half the square up to ``delta``, then linear (Huber, 1964).",
    "reduction", "delta", delta=1.0,
)  # fmt: skip
CrossEntropyLoss = _loss(
    "CrossEntropyLoss", functional.cross_entropy,
    "The cross entropy of logits (N, C) and labels (N,), or probabilities (N, C).",
    "weight", "size_average", "ignore_index", "reduce", "reduction", "label_smoothing",
    ignore_index=-100, label_smoothing=0.0,
)  # fmt: skip
NLLLoss = _loss(
    "NLLLoss", functional.nll_loss, "Minus the log probability (N, C) at each label (N,).",
    "weight", "size_average", "ignore_index", "reduce", "reduction", ignore_index=-100,
)  # fmt: skip
BCELoss = _loss(
    "BCELoss", functional.binary_cross_entropy, "The binary cross entropy of probabilities and targets.",
    "weight", *_OLD, "reduction",
)  # fmt: skip
BCEWithLogitsLoss = _loss(
    "BCEWithLogitsLoss", functional.binary_cross_entropy_with_logits,
    "The binary cross entropy of logits and targets; ``pos_weight`` scales the part of the positives.",
    "weight", *_OLD, "reduction", "pos_weight",
)  # fmt: skip
KLDivLoss = _loss(
    "KLDivLoss", functional.kl_div,
    'The divergence of target probabilities from log probabilities; "batchmean" is the mathematical mean.',
    *_OLD, "reduction", "log_target", log_target=False,
)  # fmt: skip
