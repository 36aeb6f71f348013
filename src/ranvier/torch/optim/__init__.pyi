# Written by `python -m tests.stubs --write`; a test holds it against the code.
from collections.abc import Iterable as Iterable
from ranvier.optimizers.schedules.base import LearningRateSchedule as LearningRateSchedule
from ranvier.tensor.tensor import Tensor as Tensor
from ranvier.torch.optim import lr_scheduler as lr_scheduler
from ranvier.torch.optim import swa_utils as swa_utils
from ranvier.torch.optim.lbfgs import LBFGS as LBFGS
from ranvier.torch.optim.optimizer import Optimizer as Optimizer
from ranvier.torch.optim.optimizer_adapter import OptimizerAdapter as OptimizerAdapter
from typing import Any as Any

__all__ = ['Adadelta', 'Adagrad', 'Adam', 'AdamW', 'Adamax', 'LBFGS', 'NAdam', 'Optimizer', 'RMSprop', 'SGD', 'SparseAdam', 'lr_scheduler', 'swa_utils']
class Adadelta(OptimizerAdapter):
    def __init__(self, params: Iterable[Any], lr: float | Tensor | LearningRateSchedule = 1.0, rho: float = 0.9, eps: float = 1e-06, weight_decay: float = 0.0, *, maximize: bool = False, foreach: bool | None = None, capturable: bool | None = None, differentiable: bool | None = None, fused: bool | None = None) -> None: ...
class Adagrad(OptimizerAdapter):
    def __init__(self, params: Iterable[Any], lr: float | Tensor | LearningRateSchedule = 0.01, lr_decay: float = 0.0, weight_decay: float = 0.0, initial_accumulator_value: float = 0.0, eps: float = 1e-10, *, maximize: bool = False, foreach: bool | None = None, capturable: bool | None = None, differentiable: bool | None = None, fused: bool | None = None) -> None: ...
class Adam(OptimizerAdapter):
    def __init__(self, params: Iterable[Any], lr: float | Tensor | LearningRateSchedule = 0.001, betas: tuple[float, float] = ..., eps: float = 1e-08, weight_decay: float = 0.0, amsgrad: bool = False, *, maximize: bool = False, foreach: bool | None = None, capturable: bool | None = None, differentiable: bool | None = None, fused: bool | None = None) -> None: ...
class AdamW(OptimizerAdapter):
    def __init__(self, params: Iterable[Any], lr: float | Tensor | LearningRateSchedule = 0.001, betas: tuple[float, float] = ..., eps: float = 1e-08, weight_decay: float = 0.01, amsgrad: bool = False, *, maximize: bool = False, foreach: bool | None = None, capturable: bool | None = None, differentiable: bool | None = None, fused: bool | None = None) -> None: ...
class Adamax(OptimizerAdapter):
    def __init__(self, params: Iterable[Any], lr: float | Tensor | LearningRateSchedule = 0.002, betas: tuple[float, float] = ..., eps: float = 1e-08, weight_decay: float = 0.0, *, maximize: bool = False, foreach: bool | None = None, capturable: bool | None = None, differentiable: bool | None = None, fused: bool | None = None) -> None: ...
class NAdam(OptimizerAdapter):
    def __init__(self, params: Iterable[Any], lr: float | Tensor | LearningRateSchedule = 0.002, betas: tuple[float, float] = ..., eps: float = 1e-08, weight_decay: float = 0.0, momentum_decay: float = 0.004, decoupled_weight_decay: bool = False, *, maximize: bool = False, foreach: bool | None = None, capturable: bool | None = None, differentiable: bool | None = None, fused: bool | None = None) -> None: ...
class RMSprop(OptimizerAdapter):
    def __init__(self, params: Iterable[Any], lr: float | Tensor | LearningRateSchedule = 0.01, alpha: float = 0.99, eps: float = 1e-08, weight_decay: float = 0.0, momentum: float = 0.0, centered: bool = False, *, maximize: bool = False, foreach: bool | None = None, capturable: bool | None = None, differentiable: bool | None = None, fused: bool | None = None) -> None: ...
class SGD(OptimizerAdapter):
    def __init__(self, params: Iterable[Any], lr: float | Tensor | LearningRateSchedule = 0.001, momentum: float = 0.0, dampening: float = 0.0, weight_decay: float = 0.0, nesterov: bool = False, *, maximize: bool = False, foreach: bool | None = None, capturable: bool | None = None, differentiable: bool | None = None, fused: bool | None = None) -> None: ...
class SparseAdam(OptimizerAdapter):
    def __init__(self, params: Iterable[Any], lr: float | Tensor | LearningRateSchedule = 0.001, betas: tuple[float, float] = ..., eps: float = 1e-08, *, maximize: bool = False, foreach: bool | None = None, capturable: bool | None = None, differentiable: bool | None = None, fused: bool | None = None) -> None: ...
