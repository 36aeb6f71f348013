# Written by `python -m tests.stubs --write`; a test holds it against the code.
from ranvier.torch.optim.lr_scheduler.base import LRScheduler as LRScheduler
from ranvier.torch.optim.lr_scheduler.base import LRScheduler as _LRScheduler
from ranvier.torch.optim.lr_scheduler.base import LambdaLR as LambdaLR
from ranvier.torch.optim.lr_scheduler.combined import ChainedScheduler as ChainedScheduler
from ranvier.torch.optim.lr_scheduler.combined import SequentialLR as SequentialLR
from ranvier.torch.optim.lr_scheduler.cycles import CosineAnnealingWarmRestarts as CosineAnnealingWarmRestarts
from ranvier.torch.optim.lr_scheduler.cycles import CyclicLR as CyclicLR
from ranvier.torch.optim.lr_scheduler.cycles import OneCycleLR as OneCycleLR
from ranvier.torch.optim.lr_scheduler.factors import ConstantLR as ConstantLR
from ranvier.torch.optim.lr_scheduler.factors import CosineAnnealingLR as CosineAnnealingLR
from ranvier.torch.optim.lr_scheduler.factors import ExponentialLR as ExponentialLR
from ranvier.torch.optim.lr_scheduler.factors import LinearLR as LinearLR
from ranvier.torch.optim.lr_scheduler.factors import MultiStepLR as MultiStepLR
from ranvier.torch.optim.lr_scheduler.factors import MultiplicativeLR as MultiplicativeLR
from ranvier.torch.optim.lr_scheduler.factors import PolynomialLR as PolynomialLR
from ranvier.torch.optim.lr_scheduler.factors import StepLR as StepLR
from ranvier.torch.optim.lr_scheduler.plateau import ReduceLROnPlateau as ReduceLROnPlateau

__all__ = ['ChainedScheduler', 'ConstantLR', 'CosineAnnealingLR', 'CosineAnnealingWarmRestarts', 'CyclicLR', 'ExponentialLR', 'LRScheduler', 'LambdaLR', 'LinearLR', 'MultiStepLR', 'MultiplicativeLR', 'OneCycleLR', 'PolynomialLR', 'ReduceLROnPlateau', 'SequentialLR', 'StepLR', '_LRScheduler']
