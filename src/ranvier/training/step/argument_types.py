"""Types of the arguments of `compile`, `fit` and the other functions that train."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

from ranvier.losses import Loss
from ranvier.metrics import Metric
from ranvier.optimizers import Optimizer


class TorchOptimizer(Protocol):
    """An optimizer of the PyTorch vocabulary, which has a Keras optimizer for each group of parameters."""

    @property
    def _rules(self) -> list[Optimizer]: ...


OptimizerLike = str | Optimizer | type[Optimizer] | Mapping[str, Any] | TorchOptimizer
OneLoss = str | Loss | type[Loss] | Callable[..., Any] | None  # a criterion of PyTorch's vocabulary is callable
Losses = OneLoss | Sequence[OneLoss] | Mapping[str, Any]  # of each output in a list, or by name
OneMetric = str | Metric | type[Metric] | Callable[..., Any]
Metrics = OneMetric | Sequence[OneMetric | Sequence[OneMetric] | None] | Mapping[str, Any] | None
LossWeights = float | Sequence[float | None] | Mapping[str, float] | None
ClassWeight = Literal["balanced"] | Mapping[Any, Any] | Sequence[Any] | None  # of each output in a list, or by name
Verbosity = int | Literal["auto"]
Codes = str | Collection[str]  # of checks: "RV203", a group "RV2", all "RV"
Augmentation = Callable[..., Iterable[Any]] | None
FilePath = str | os.PathLike[str]
