"""``torch.optim.swa_utils``: averages of weights over training (Izmailov et al., 2018), plain or exponential."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ranvier.module import Module, mode
from ranvier.ops.torch.device import Device, check_device
from ranvier.support.errors import missing
from ranvier.support.validation import whole
from ranvier.tensor.context import no_grad
from ranvier.tensor.tensor import Tensor
from ranvier.torch.nn.normalization import BatchNorm
from ranvier.torch.optim.lr_scheduler.base import LRScheduler, Rates, by_group, checked
from ranvier.torch.optim.optimizer import Optimizer

__all__ = [
    "SWALR", "AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn",
    "update_bn",
]  # fmt: skip


def get_ema_avg_fn(decay: float = 0.999) -> Callable[[Any, Any, Any], Any]:
    """``avg_fn`` of an exponential average: ``decay * average + (1 - decay) * weight``."""
    if not 0 <= decay <= 1:
        raise ValueError(f"decay={decay}: write a number from 0 to 1, such as 0.999, instead.")
    return lambda average, weight, count: average * decay + weight * (1 - decay)


def get_swa_avg_fn() -> Callable[[Any, Any, Any], Any]:
    """``avg_fn`` of the mean of all weights."""
    return lambda average, weight, count: average + (weight - average) / (count + 1)


def _for_lists(average_of: Callable[[Any, Any, Any], Any]) -> Callable[[Any, Any, Any], None]:
    def change(averages: Sequence[Any], weights: Sequence[Any], count: Any) -> None:
        with no_grad():
            for average, weight in zip(averages, weights, strict=True):
                average.copy_(average_of(average, weight, count))

    return change


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[[Any, Any, Any], None]:
    """``multi_avg_fn`` of an exponential average, which changes a list of averages in place."""
    return _for_lists(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> Callable[[Any, Any, Any], None]:
    """``multi_avg_fn`` of the mean of all weights, which changes a list of averages in place."""
    return _for_lists(get_swa_avg_fn())


class AveragedModel(Module):
    """A network whose weights are the average of those passed to ``update_parameters(model)``.

    You call it as you call ``model``, which is copied as ``module``. ``avg_fn(average, weight, count)`` computes the
    next average, by default the mean; ``multi_avg_fn`` changes lists of averages in place. Buffers are copied, or
    averaged too with ``use_buffers``. Raises ValueError for both functions.
    """

    n_averaged: Any

    def __init__(
        self,
        model: Module,
        device: Device = None,
        avg_fn: Callable[[Any, Any, Any], Any] | None = None,
        multi_avg_fn: Callable[[Any, Any, Any], None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        check_device(device)
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("AveragedModel takes avg_fn or multi_avg_fn. Write one of them instead.")
        self.module = copy.deepcopy(model)
        self.register_buffer("n_averaged", Tensor.wrap(np.zeros((), np.int64)))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Update the average with the weights of ``model``; the first call copies them."""
        own, given = (
            [t.data for t in itertools.chain(m.parameters(), m.buffers() if self.use_buffers else ())]
            for m in (self.module, model)
        )
        if not self.n_averaged.item():
            for average, weight in zip(own, given, strict=True):
                average.copy_(weight)
        else:
            each = get_swa_avg_fn() if self.avg_fn is None else self.avg_fn
            (self.multi_avg_fn or _for_lists(each))(own, given, self.n_averaged)
        if not self.use_buffers:
            for kept, buffer in zip(self.module.buffers(), model.buffers(), strict=True):
                kept.copy_(buffer.detach())
        self.n_averaged.add_(1)


def update_bn(loader: Iterable[Any], model: Module, device: Device = None) -> None:
    """Recompute the statistics of a network's batch normalizations from data, for example of an average of networks.

    ``loader`` yields batches of inputs, or tuples that begin with them.
    """
    check_device(device)
    layers = [m for m in model.modules() if isinstance(m, BatchNorm) and m.track_running_stats]
    if not layers:
        return
    before = [(layer, layer.momentum) for layer in layers]
    try:
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # the mean over all batches
        with mode(model, True), no_grad():
            for batch in loader:
                model(batch[0] if isinstance(batch, (list, tuple)) else batch)
                layers[-1].running_mean.compute()  # runs one program for each batch, instead of one for all
    finally:
        for layer, momentum in before:
            layer.momentum = momentum


_ANNEALED: dict[str, Callable[[float], float]] = {
    "cos": lambda t: (1 - math.cos(math.pi * t)) / 2,
    "linear": lambda t: t,
}


class SWALR(LRScheduler):
    """From the current rate to ``swa_lr`` (one for each group, or for all) in ``anneal_epochs`` steps.

    ``anneal_strategy`` is "cos" or "linear". Another scheduler may set the rates before it begins.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: Any,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        if anneal_strategy not in _ANNEALED:
            raise ValueError(f"anneal_strategy={anneal_strategy!r} does not exist. Write 'cos' or 'linear' instead.")
        anneal_epochs = whole("anneal_epochs", anneal_epochs, 0)
        groups = checked(optimizer, type(self).__name__).param_groups
        for group, rate in zip(groups, by_group("swa_lr", swa_lr, optimizer), strict=True):
            group["swa_lr"] = rate
        self.anneal_epochs, self.anneal_strategy = anneal_epochs, anneal_strategy
        super().__init__(optimizer, last_epoch)

    def _progress(self, step: int) -> float:
        """The fraction of the way covered after a step."""
        return _ANNEALED[self.anneal_strategy](max(0.0, min(1.0, step / max(1, self.anneal_epochs))))

    def get_lr(self) -> Rates:
        step = self._step_count - 1
        if not self.anneal_epochs:
            step = max(1, step)
        before, after = self._progress(step - 1), self._progress(step)
        rates = []
        for group in self.optimizer.param_groups:
            end = group["swa_lr"]
            start = end if before == 1 else (group["lr"] - before * end) / (1 - before)
            rates.append(end * after + start * (1 - after))
        return rates


__getattr__, __dir__ = missing("torch.optim.swa_utils", __all__)
