"""Losses as modules, with PyTorch's arguments and defaults over the functions of the same meaning."""

from __future__ import annotations

from typing import Any

from ranvier import functional
from ranvier.module import Module
from ranvier.tensor import Tensor

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "HuberLoss", "KLDivLoss", "L1Loss", "MSELoss", "NLLLoss",
    "SmoothL1Loss",
]  # fmt: skip


class _Loss(Module):
    """A function of (input, target); the constructor's arguments go to it with each call."""

    def __init__(self, function: Any, reduction: str, *, buffers: dict[str, Any] | None = None, **options: Any) -> None:
        super().__init__()
        known = ("mean", "sum", "none", *(("batchmean",) if function is functional.kl_div else ()))
        if reduction not in known:
            raise ValueError(f"reduction {reduction!r} does not exist. Write one of {', '.join(map(repr, known))}.")
        self.function, self.reduction = function, reduction
        self.options = {"reduction": reduction, **options}
        self._given: tuple[str, ...] = ()
        for name, value in (buffers or {}).items():
            given = value is None or isinstance(value, Tensor)
            self.register_buffer(name, value if given else Tensor(value))
            if value is not None:
                self._given += (name,)

    def forward(self, input: Any, target: Any) -> Any:
        if self._given:
            return self.function(input, target, **{n: self._buffers[n] for n in self._given}, **self.options)
        return self.function(input, target, **self.options)

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items() if name != "reduction")


class MSELoss(_Loss):
    """The mean (or sum) of squared differences."""

    def __init__(self, size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> None:
        super().__init__(functional.mse_loss, reduction)


class L1Loss(_Loss):
    """The mean (or sum) of absolute differences."""

    def __init__(self, size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> None:
        super().__init__(functional.l1_loss, reduction)


class SmoothL1Loss(_Loss):
    """Squared below ``beta``, absolute above (Girshick, 2015)."""

    def __init__(
        self, size_average: Any = None, reduce: Any = None, reduction: str = "mean", beta: float = 1.0
    ) -> None:
        super().__init__(functional.smooth_l1_loss, reduction, beta=float(beta))


class HuberLoss(_Loss):
    """Half the square up to ``delta``, then linear (Huber, 1964)."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(functional.huber_loss, reduction, delta=float(delta))


class CrossEntropyLoss(_Loss):
    """The cross entropy of logits (N, C) and labels (N,), or probabilities (N, C)."""

    def __init__(
        self,
        weight: Any = None,
        size_average: Any = None,
        ignore_index: int = -100,
        reduce: Any = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(
            functional.cross_entropy, reduction, buffers={"weight": weight},
            ignore_index=ignore_index, label_smoothing=float(label_smoothing),
        )  # fmt: skip


class NLLLoss(_Loss):
    """Minus the log probability (N, C) at each label (N,)."""

    def __init__(
        self,
        weight: Any = None,
        size_average: Any = None,
        ignore_index: int = -100,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(functional.nll_loss, reduction, buffers={"weight": weight}, ignore_index=ignore_index)


class BCELoss(_Loss):
    """The binary cross entropy of probabilities and targets."""

    def __init__(
        self, weight: Any = None, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__(functional.binary_cross_entropy, reduction, buffers={"weight": weight})


class BCEWithLogitsLoss(_Loss):
    """The binary cross entropy of logits and targets; ``pos_weight`` scales the part of the positives."""

    def __init__(
        self,
        weight: Any = None,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
        pos_weight: Any = None,
    ) -> None:
        buffers = {"weight": weight, "pos_weight": pos_weight}
        super().__init__(functional.binary_cross_entropy_with_logits, reduction, buffers=buffers)


class KLDivLoss(_Loss):
    """The divergence of target probabilities from log probabilities; "batchmean" is the mathematical mean."""

    def __init__(
        self, size_average: Any = None, reduce: Any = None, reduction: str = "mean", log_target: bool = False
    ) -> None:
        super().__init__(functional.kl_div, reduction, log_target=log_target)
