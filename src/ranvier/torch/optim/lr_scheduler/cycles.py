"""Schedulers that also rise: triangles, cosines with restarts, one cycle. Momentum falls while the rate rises."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ranvier.optimizers.schedules.cycles import anneal, phase_ends
from ranvier.support.validation import whole
from ranvier.torch.optim.lr_scheduler.base import LRScheduler, Rates, by_group, checked
from ranvier.torch.optim.optimizer import Optimizer


class CyclicLR(LRScheduler):
    """Triangles between ``base_lr`` and ``max_lr`` (Smith, 2017), stepped once a batch.

    ``mode``: "triangular", "triangular2" (each half as high as the one before) or "exp_range" (the height times
    ``gamma`` a step); or ``scale_fn``, the height as a function of the cycle, or with ``scale_mode="iterations"`` of
    the step. With ``cycle_momentum`` the momentum, or the first beta, goes from ``max_momentum`` to ``base_momentum``
    and back.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        optimizer = checked(optimizer, "CyclicLR")
        given = by_group("base_lr", base_lr, optimizer)
        if last_epoch == -1:
            for rate, group in zip(given, optimizer.param_groups, strict=True):
                group["lr"] = rate
        self.max_lrs = by_group("max_lr", max_lr, optimizer)
        down = step_size_up if step_size_down is None else step_size_down
        if min(step_size_up, down) <= 0:
            raise ValueError(f"CyclicLR rises {step_size_up} steps and falls {down}. Write 1 or more of each instead.")
        self.total_size = float(step_size_up + down)
        self.step_ratio = step_size_up / self.total_size
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            raise ValueError(
                f"CyclicLR(mode={mode!r}): write 'triangular', 'triangular2', 'exp_range', or a scale_fn, instead."
            )
        self.mode, self.gamma, self.scale_fn = mode, gamma, scale_fn
        self.scale_mode = scale_mode if scale_fn is not None else "iterations" if mode == "exp_range" else "cycle"
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.base_momentums, self.max_momentums = momentums(optimizer, base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = given

    def scale(self, cycle: int) -> float:
        """The height of the triangle."""
        if self.scale_fn is not None:
            return self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.mode == "exp_range":
            return float(self.gamma**self.last_epoch)
        return 1.0 if self.mode == "triangular" else 2.0 ** (1 - cycle)

    def get_lr(self) -> Rates:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        done = 1.0 + self.last_epoch / self.total_size - cycle
        up = done <= self.step_ratio
        height = (done / self.step_ratio if up else (done - 1) / (self.step_ratio - 1)) * self.scale(cycle)
        if self.cycle_momentum:
            ends = zip(self.base_momentums, self.max_momentums, strict=True)
            self.optimizer.set_momentums([high - (high - low) * height for low, high in ends])
        return [low + (high - low) * height for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half cosines from the rate to ``eta_min``, each ``T_mult`` times as long as the one before (SGDR, 2016).

    The first takes ``T_0`` epochs. ``step(epoch)`` accepts fractions of epochs: ``step(epoch + batch / batches)``.
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_0 = self.T_i = whole("T_0", T_0, of=type(self).__name__)
        self.T_mult, self.eta_min = whole("T_mult", T_mult, of=type(self).__name__), eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Rates:
        height = (1.0 + math.cos(math.pi * self.T_cur / self.T_i)) / 2.0
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Set the rates of the next epoch, or of the given one, which may be a fraction."""
        self._check_order()
        self._step_count += 1
        if epoch is not None and epoch < 0:
            raise ValueError(f"CosineAnnealingWarmRestarts.step({epoch}): write an epoch of 0 or more instead.")
        if epoch is None and self.last_epoch >= 0:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur -= self.T_i
                self.T_i *= self.T_mult
        else:
            epoch = epoch or 0
            self.T_cur, self.T_i = epoch % self.T_0 if self.T_mult == 1 else epoch, self.T_0
            while self.T_cur >= self.T_i:
                self.T_cur -= self.T_i
                self.T_i *= self.T_mult
        self.last_epoch = math.floor(epoch)
        self._assign(self.get_lr())


class OneCycleLR(LRScheduler):
    """One rise to ``max_lr`` and one fall over all steps (Smith and Topin, 2017), stepped once a batch.

    Give ``total_steps``, or ``epochs`` and ``steps_per_epoch``. See `ranvier.optimizers.schedules.OneCycle` for the
    shape. With ``cycle_momentum`` the momentum, or the first beta, goes from ``max_momentum`` to ``base_momentum`` and
    back.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        optimizer = checked(optimizer, "OneCycleLR")
        if total_steps is None and (epochs is None or steps_per_epoch is None):
            raise ValueError(
                "OneCycleLR needs total_steps, or epochs and steps_per_epoch. Write one of the two instead."
            )
        steps = total_steps if total_steps is not None else (epochs or 0) * (steps_per_epoch or 0)
        if not (steps >= 1 and steps == int(steps)):
            raise ValueError(f"OneCycleLR of {steps!r} steps: write a whole number of 1 or more instead.")
        self.total_steps = int(steps)
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR(pct_start={pct_start!r}): write a number from 0 to 1 instead.")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR(anneal_strategy={anneal_strategy!r}): write 'cos' or 'linear' instead.")
        self.anneal_strategy = anneal_strategy
        self.ends = phase_ends(self.total_steps, pct_start, three_phase)
        self.rates = ["initial_lr", "max_lr", *(["initial_lr"] if three_phase else []), "min_lr"]
        if last_epoch == -1:
            for group, top in zip(optimizer.param_groups, by_group("max_lr", max_lr, optimizer), strict=True):
                first = top / div_factor
                group |= {"initial_lr": first, "max_lr": top, "min_lr": first / final_div_factor}
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            momentums(optimizer, base_momentum, max_momentum, last_epoch)
        high, low = "max_momentum", "base_momentum"
        self.momentums = [high, low, high, *([high] if three_phase else [])]
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Rates:
        if self.last_epoch > self.total_steps:
            raise ValueError(
                f"OneCycleLR was made for {self.total_steps} steps, and this is step {self.last_epoch}. Write "
                "total_steps as large as the number of batches in all epochs instead."
            )
        phase = next((i for i, end in enumerate(self.ends) if self.last_epoch <= end), len(self.ends) - 1)
        begin, end = [0.0, *self.ends][phase : phase + 2]
        done = (self.last_epoch - begin) / (end - begin) if end != begin else 1.0

        def between(names: list[str]) -> Rates:
            return [
                anneal(self.anneal_strategy, group[names[phase]], group[names[phase + 1]], done, math.cos)
                for group in self.optimizer.param_groups
            ]

        if self.cycle_momentum:
            self.optimizer.set_momentums(between(self.momentums))
        return between(self.rates)


def momentums(optimizer: Any, low: Any, high: Any, last_epoch: int) -> tuple[list[float], list[float]]:
    """The lowest and highest momentum of each group, which starts at the highest. Raises ValueError for none."""
    lows, highs = by_group("base_momentum", low, optimizer), by_group("max_momentum", high, optimizer)
    if last_epoch == -1:
        for group, a, b in zip(optimizer.param_groups, lows, highs, strict=True):
            group |= {"base_momentum": a, "max_momentum": b}
        optimizer.set_momentums(highs)
    elif optimizer.momentum_name is None:
        optimizer.set_momentums(highs)  # raises ValueError
    return lows, highs
