"""Losses as modules, with PyTorch's arguments and defaults, made from the functions of `torch.nn.functional`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Signature, signature
from typing import Any

from ranvier.module import Module
from ranvier.ops import functional
from ranvier.ops.torch import losses as criteria
from ranvier.ops.torch.ctc import ctc_loss
from ranvier.ops.torch.labels import check_labels
from ranvier.ops.torch.loss_arguments import reduction_of
from ranvier.support.function_classes import class_of, option, options_of
from ranvier.tensor.tensor import Tensor

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "CTCLoss", "CosineEmbeddingLoss", "CrossEntropyLoss", "GaussianNLLLoss",
    "HingeEmbeddingLoss", "HuberLoss", "KLDivLoss", "L1Loss", "MSELoss", "MarginRankingLoss", "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss", "MultiMarginLoss", "NLLLoss", "PoissonNLLLoss", "SmoothL1Loss", "SoftMarginLoss",
    "TripletMarginLoss", "TripletMarginWithDistanceLoss",
]  # fmt: skip

_TENSORS = ("weight", "pos_weight")  # the options that are tensors
_OLD = ("size_average", "reduce")  # PyTorch's older names for what "reduction" says


class _Loss(Module):
    """A function of (input, target); the constructor's arguments are passed to it with each call."""

    function: Callable[..., Any]
    _defaults: Mapping[str, Any]  # of the options that are no tensors
    # The function's parameters in order: a call by position is recorded in half the time of one by name.
    _order: tuple[str, ...]

    def __init__(self, **options: Any) -> None:
        super().__init__()
        for name, value in options.items():
            if name in _TENSORS:
                self.register_buffer(name, value if isinstance(value, Tensor | None) else Tensor(value))
            elif isinstance(value, Tensor):
                kind = type(self).__name__
                raise TypeError(
                    f"{kind} takes a tensor when it is called, and here is one for its option {name}. Write "
                    f"nn.{kind}()(...) instead of nn.{kind}(...)."
                )
        reduction = reduction_of(options["reduction"], *map(options.get, _OLD))
        known = ("mean", "sum", "none", *(("batchmean",) if "log_target" in options else ()))
        if reduction not in known:
            raise ValueError(f"reduction {reduction!r} does not exist. Write one of {', '.join(map(repr, known))}.")
        own = {name: type(default)(options[name]) for name, default in self._defaults.items()}
        self.options = {"reduction": reduction, **own}

    def forward(self, input: Any, target: Any) -> Any:
        if "ignore_index" in self.options:
            target = check_labels(input, target, self.options["ignore_index"])
        given = {**self._buffers, **self.options} if self._buffers else self.options
        return self.function(input, target, *[given[name] for name in self._order])


class _LossOfThree(_Loss):
    """A loss of three tensors, for explicit loops: ``fit`` has predictions and targets."""

    _given: Signature  # the tensors, by PyTorch's names

    def forward(self, *tensors: Any, **named: Any) -> Any:
        if named or len(tensors) != 3:
            try:
                tensors = self._given.bind(*tensors, **named).args
            except TypeError as error:
                raise TypeError(
                    f"{type(self).__name__}: {error}. It is called with {', '.join(self._given.parameters)}."
                ) from None
        return self.function(*tensors, **self.options)


def _loss(name: str, function: Any, arguments: str) -> type[_Loss]:
    """A class made from a function: PyTorch's arguments in its order, with the defaults of the function."""
    inputs = list(signature(function).parameters.values())
    number = next(i for i, p in enumerate(inputs) if p.name not in _INPUTS)
    own = {**dict.fromkeys(_OLD), **options_of(function, number)}
    options = [own[n] or option(n, None, "bool | None") for n in arguments.split()]
    defaults = {p.name: p.default for p in options if p.name not in (*_TENSORS, *_OLD, "reduction")}
    members = {n: _option(n) for n in ("reduction", *defaults)}
    if number == 3:
        members["_given"] = Signature([p.replace(default=p.empty) for p in inputs[:3]])
    else:
        members["_order"] = tuple(p.name for p in inputs[2:])
    return class_of(
        _LossOfThree if number == 3 else _Loss, name, options,
        __doc__=function.__doc__, __module__=__name__, function=staticmethod(function), _defaults=defaults, **members,
    )  # fmt: skip


_INPUTS = ("input", "target", "var", "input1", "input2", "anchor", "positive", "negative")


def _option(name: str) -> Any:
    """An option as an attribute, which you may change."""

    def change(self: Any, value: Any) -> None:
        self.options[name] = value

    return property(lambda self: self.options[name], change)


class CTCLoss(Module):
    """The loss of connectionist temporal classification (Graves et al., 2006), for labels that have no given places.

    It is called with log-probabilities (steps, batch, classes), labels, and the lengths of both: see
    `torch.nn.functional.ctc_loss`.
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"reduction {reduction!r} does not exist. Write 'mean', 'sum' or 'none' instead.")
        self.blank, self.reduction, self.zero_infinity = blank, reduction, zero_infinity

    def forward(self, log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any) -> Any:
        given = log_probs, targets, input_lengths, target_lengths
        return ctc_loss(*given, blank=self.blank, reduction=self.reduction, zero_infinity=self.zero_infinity)


class TripletMarginWithDistanceLoss(Module):
    """``max(0, margin + d(anchor, positive) - d(anchor, negative))`` of a distance of yours, for explicit loops.

    ``distance_function`` is by default the Euclidean distance of rows. With ``swap`` the negative's distance is the
    smaller one of those from anchor and positive.
    """

    def __init__(
        self, *, distance_function: Any = None, margin: float = 1.0, swap: bool = False, reduction: str = "mean"
    ) -> None:
        super().__init__()
        self.distance_function, self.margin, self.swap, self.reduction = distance_function, margin, swap, reduction
        if margin <= 0:
            raise ValueError(f"margin={margin!r}: write a number above 0 instead.")

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Any:
        return criteria.triplet_margin_with_distance_loss(
            anchor, positive, negative, distance_function=self.distance_function, margin=self.margin, swap=self.swap,
            reduction=self.reduction,
        )  # fmt: skip


# fmt: off
MSELoss = _loss("MSELoss", functional.mse_loss, "size_average reduce reduction")
L1Loss = _loss("L1Loss", functional.l1_loss, "size_average reduce reduction")
SmoothL1Loss = _loss("SmoothL1Loss", functional.smooth_l1_loss, "size_average reduce reduction beta")
HuberLoss = _loss("HuberLoss", functional.huber_loss, "reduction delta")
CrossEntropyLoss = _loss(
    "CrossEntropyLoss", functional.cross_entropy,
    "weight size_average ignore_index reduce reduction label_smoothing",
)
NLLLoss = _loss("NLLLoss", functional.nll_loss, "weight size_average ignore_index reduce reduction")
BCELoss = _loss("BCELoss", criteria.binary_cross_entropy, "weight size_average reduce reduction")
BCEWithLogitsLoss = _loss(
    "BCEWithLogitsLoss", functional.binary_cross_entropy_with_logits,
    "weight size_average reduce reduction pos_weight",
)
KLDivLoss = _loss("KLDivLoss", functional.kl_div, "size_average reduce reduction log_target")
HingeEmbeddingLoss = _loss(
    "HingeEmbeddingLoss", criteria.hinge_embedding_loss, "margin size_average reduce reduction"
)
SoftMarginLoss = _loss("SoftMarginLoss", criteria.soft_margin_loss, "size_average reduce reduction")
MultiLabelMarginLoss = _loss("MultiLabelMarginLoss", criteria.multilabel_margin_loss, "size_average reduce reduction")
MultiLabelSoftMarginLoss = _loss(
    "MultiLabelSoftMarginLoss", criteria.multilabel_soft_margin_loss, "weight size_average reduce reduction"
)
MultiMarginLoss = _loss(
    "MultiMarginLoss", criteria.multi_margin_loss, "p margin weight size_average reduce reduction"
)
PoissonNLLLoss = _loss(
    "PoissonNLLLoss", criteria.poisson_nll_loss, "log_input full size_average eps reduce reduction"
)
GaussianNLLLoss = _loss("GaussianNLLLoss", criteria.gaussian_nll_loss, "full eps reduction")
MarginRankingLoss = _loss(
    "MarginRankingLoss", criteria.margin_ranking_loss, "margin size_average reduce reduction"
)
CosineEmbeddingLoss = _loss(
    "CosineEmbeddingLoss", criteria.cosine_embedding_loss, "margin size_average reduce reduction"
)
TripletMarginLoss = _loss(
    "TripletMarginLoss", criteria.triplet_margin_loss, "margin p eps swap size_average reduce reduction"
)
