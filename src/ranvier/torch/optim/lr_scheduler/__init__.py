"""``torch.optim.lr_scheduler``: PyTorch's schedulers, which set the rates of an optimizer's groups.

Names, arguments and numbers are PyTorch's. A rate is an input of the step's program, so ``scheduler.step()`` never
compiles, even at every batch. The schedules of `ranvier.optimizers.schedules` are part of the program instead.
"""

from ranvier.support.errors import lazy_names

__getattr__, __dir__, __all__ = lazy_names("torch.optim.lr_scheduler", {
    "ranvier.torch.optim.lr_scheduler.base": "LRScheduler LambdaLR _LRScheduler=LRScheduler",
    "ranvier.torch.optim.lr_scheduler.combined": "ChainedScheduler SequentialLR",
    "ranvier.torch.optim.lr_scheduler.cycles": "CosineAnnealingWarmRestarts CyclicLR OneCycleLR",
    "ranvier.torch.optim.lr_scheduler.factors":
        "ConstantLR CosineAnnealingLR ExponentialLR LinearLR MultiStepLR MultiplicativeLR PolynomialLR StepLR",
    "ranvier.torch.optim.lr_scheduler.plateau": "ReduceLROnPlateau",
})  # fmt: skip
