"""``torch.optim.lr_scheduler``: PyTorch's schedulers, which set the rates of an optimizer's groups from outside.

Names, arguments and numbers are PyTorch's. A rate is an input of the step's program, so ``scheduler.step()`` compiles
nothing, at every batch too. The schedules of `ranvier.optimizers.schedules` are part of the program instead.
"""

from __future__ import annotations

from ranvier.support.errors import missing
from ranvier.torch.optim.lr_scheduler.base import LambdaLR, LRScheduler
from ranvier.torch.optim.lr_scheduler.combined import ChainedScheduler, SequentialLR
from ranvier.torch.optim.lr_scheduler.cycles import CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR
from ranvier.torch.optim.lr_scheduler.factors import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from ranvier.torch.optim.lr_scheduler.plateau import ReduceLROnPlateau

__all__ = [
    "ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "ExponentialLR",
    "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR", "OneCycleLR", "PolynomialLR",
    "ReduceLROnPlateau", "SequentialLR", "StepLR",
]  # fmt: skip

_LRScheduler = LRScheduler  # its name in older programs

__getattr__, __dir__ = missing(globals(), "torch.optim.lr_scheduler", __all__)
