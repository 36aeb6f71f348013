"""The scheduler that depends on a measured quantity."""

from __future__ import annotations

import math
from typing import Any

from ranvier.support.validation import whole
from ranvier.torch.optim.lr_scheduler.base import LRScheduler, by_group, checked
from ranvier.torch.optim.optimizer import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """The rate times ``factor`` after a quantity did not improve for more than ``patience`` epochs: ``step(loss)``.

    ``mode``: "min" or "max". An improvement exceeds ``threshold``, relative to the best value
    (``threshold_mode="rel"``) or as a difference ("abs"). ``cooldown`` epochs after a reduction are ignored. The rate
    stays at or above ``min_lr``, and is not reduced by less than ``eps``.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        self.optimizer = checked(optimizer, "ReduceLROnPlateau")
        if not 0 <= factor < 1:
            raise ValueError(f"ReduceLROnPlateau(factor={factor!r}): write a number from 0 to below 1 instead.")
        for name, value, allowed in (
            ("mode", mode, ("min", "max")),
            ("threshold_mode", threshold_mode, ("rel", "abs")),
        ):
            if value not in allowed:
                raise ValueError(
                    f"ReduceLROnPlateau({name}={value!r}): write {allowed[0]!r} or {allowed[1]!r} instead."
                )
        self.mode, self.factor = mode, factor
        self.patience = whole("patience", patience, 0, "ReduceLROnPlateau")
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.eps = whole("cooldown", cooldown, 0, "ReduceLROnPlateau"), eps
        self.min_lrs = by_group("min_lr", min_lr, self.optimizer)
        self.best = math.inf if mode == "min" else -math.inf
        self.cooldown_counter = self.num_bad_epochs = 0
        self.last_epoch = 0
        self._last_lr = self._rates()

    @property
    def in_cooldown(self) -> bool:
        """Whether the current epochs are ignored after a reduction."""
        return self.cooldown_counter > 0

    def is_better(self, value: float) -> bool:
        """Whether a value is an improvement over the best one."""
        sign = 1.0 if self.mode == "min" else -1.0
        if self.threshold_mode == "rel":
            limit = self.best * (1.0 - sign * self.threshold)
        else:
            limit = self.best - sign * self.threshold
        return value < limit if self.mode == "min" else value > limit

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]  # PyTorch's
        """Compare the value of an epoch with the best one, and reduce the rate if it is time."""
        value = float(metrics)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self.is_better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
            for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                reduced = max(group["lr"] * self.factor, least)
                if group["lr"] - reduced > self.eps:
                    group["lr"] = reduced
        self._last_lr = self._rates()
