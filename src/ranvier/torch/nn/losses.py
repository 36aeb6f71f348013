"""Losses as modules, with PyTorch's arguments and defaults over the functions of the same meaning."""

from __future__ import annotations

import inspect
from typing import Any

from ranvier.module import Module
from ranvier.ops import functional
from ranvier.tensor.tensor import Tensor
from ranvier.torch.nn.functional import losses as criteria
from ranvier.torch.nn.functional.labels import check_labels
from ranvier.torch.nn.functional.reduction import reduction_of

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "CosineEmbeddingLoss", "CrossEntropyLoss", "GaussianNLLLoss",
    "HingeEmbeddingLoss", "HuberLoss", "KLDivLoss", "L1Loss", "MSELoss", "MarginRankingLoss",
    "MultiLabelSoftMarginLoss", "MultiMarginLoss", "NLLLoss", "PoissonNLLLoss", "SmoothL1Loss", "SoftMarginLoss",
    "TripletMarginLoss",
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
        self.function = function
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


class _LossOfMany(_Loss):
    """A loss of more than two tensors, which only a loop of one's own has: ``fit`` has predictions and targets."""

    def __init__(self, function: Any, reduction: str, **options: Any) -> None:
        super().__init__(function, reduction, **options)
        del self._order
        own = list(inspect.signature(function).parameters.values())[:3]
        self._given = inspect.Signature([p.replace(default=p.empty) for p in own])

    def forward(self, *tensors: Any, **named: Any) -> Any:
        if named or len(tensors) != 3:  # by the names that the function has them under, which are PyTorch's
            try:
                tensors = self._given.bind(*tensors, **named).args
            except TypeError as error:
                raise TypeError(
                    f"{type(self).__name__}: {error}. It is called with {', '.join(self._given.parameters)}."
                ) from None
        return self.function(*tensors, **self.options)


def _loss(
    name: str, function: Any, doc: str, *arguments: str, kind: type[_Loss] = _Loss, **defaults: Any
) -> Any:
    """The class of a row: PyTorch's arguments in its order; those without a default here are buffers, or older."""
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    known = {"reduction": "mean", **defaults}
    signature = inspect.Signature(
        [inspect.Parameter(n, positional, default=known.get(n)) for n in ("self", *arguments)]
    )

    def construct(self: Any, *args: Any, **kwargs: Any) -> None:
        given = signature.bind(self, *args, **kwargs)
        for n, value in given.arguments.items():
            if isinstance(value, Tensor) and n not in _TENSORS:
                raise TypeError(
                    f"{name} takes a tensor when it is called, and here is one for its option {n}. Write "
                    f"nn.{name}()(...) instead of nn.{name}(...)."
                )
        given.apply_defaults()
        buffers = {n: given.arguments[n] for n in arguments if n in _TENSORS}
        options = {n: type(v)(given.arguments[n]) for n, v in defaults.items()}
        reduction = reduction_of(given.arguments["reduction"], **{n: given.arguments.get(n) for n in _OLD})
        kind.__init__(self, function, reduction, buffers=buffers, **options)

    construct.__signature__ = signature  # type: ignore[attr-defined]  # what inspect reads
    body = {"__doc__": doc, "__init__": construct, "__module__": __name__}
    return type(name, (kind,), {**body, **{n: _option(n) for n in ("reduction", *defaults)}})


def _option(name: str) -> property:
    """An option as an attribute, which may be changed too."""

    def change(self: Any, value: Any) -> None:
        self.options[name] = value

    return property(lambda self: self.options[name], change)


_TENSORS = ("weight", "pos_weight")  # the options that are tensors
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
    "BCELoss", criteria.binary_cross_entropy, "The binary cross entropy of probabilities and targets.",
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
HingeEmbeddingLoss = _loss(
    "HingeEmbeddingLoss", criteria.hinge_embedding_loss,
    "A distance for a target of 1, and ``max(0, margin - distance)`` for one of -1.",
    "margin", *_OLD, "reduction", margin=1.0,
)  # fmt: skip
SoftMarginLoss = _loss(
    "SoftMarginLoss", criteria.soft_margin_loss, "``log(1 + exp(-y * x))`` for targets y of -1 and 1.",
    *_OLD, "reduction",
)  # fmt: skip
MultiLabelSoftMarginLoss = _loss(
    "MultiLabelSoftMarginLoss", criteria.multilabel_soft_margin_loss,
    "The binary cross entropy of logits, averaged over the classes.", "weight", *_OLD, "reduction",
)  # fmt: skip
MultiMarginLoss = _loss(
    "MultiMarginLoss", criteria.multi_margin_loss,
    "The hinge loss of scores (N, C) and labels (N,), with the power ``p``.",
    "p", "margin", "weight", *_OLD, "reduction", p=1, margin=1.0,
)  # fmt: skip
PoissonNLLLoss = _loss(
    "PoissonNLLLoss", criteria.poisson_nll_loss, "``exp(x) - y * x`` for log rates, or that of rates.",
    "log_input", "full", "size_average", "eps", "reduce", "reduction", log_input=True, full=False, eps=1e-8,
)  # fmt: skip
GaussianNLLLoss = _loss(
    "GaussianNLLLoss", criteria.gaussian_nll_loss,
    "Minus the log density of targets: called with means, targets and variances.",
    "full", "eps", "reduction", kind=_LossOfMany, full=False, eps=1e-6,
)  # fmt: skip
MarginRankingLoss = _loss(
    "MarginRankingLoss", criteria.margin_ranking_loss,
    "``max(0, -y * (x1 - x2) + margin)``: called with two rankings, and targets y of -1 and 1.",
    "margin", *_OLD, "reduction", kind=_LossOfMany, margin=0.0,
)  # fmt: skip
CosineEmbeddingLoss = _loss(
    "CosineEmbeddingLoss", criteria.cosine_embedding_loss,
    "``1 - cos`` for a target of 1, ``max(0, cos - margin)`` for -1: called with two batches of vectors, and targets.",
    "margin", *_OLD, "reduction", kind=_LossOfMany, margin=0.0,
)  # fmt: skip
TripletMarginLoss = _loss(
    "TripletMarginLoss", criteria.triplet_margin_loss,
    "``max(0, margin + d(a, p) - d(a, n))``: called with anchors, positives and negatives (Balntas et al., 2016).",
    "margin", "p", "eps", "swap", *_OLD, "reduction", kind=_LossOfMany, margin=1.0, p=2.0, eps=1e-6, swap=False,
)  # fmt: skip
