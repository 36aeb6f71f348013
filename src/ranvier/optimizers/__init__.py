"""Optimizers: each rule is written once, on nodes, so `fit` and an explicit loop run it inside the step's program.

Names and defaults are those of Keras 3. PyTorch adds epsilon at another place, and keeps the learning rate out of the
momentum: ``formula="torch"`` selects its formulas, as `ranvier.torch.optim` does.

``learning_rate`` is a number of 0 or more, a schedule, or a function of the step. ``weight_decay`` takes this share of
each weight, times the rate, at each step; ``clipnorm``, ``global_clipnorm`` and ``clipvalue`` limit gradients;
``use_ema`` keeps a moving average of the weights; ``gradient_accumulation_steps`` sums the gradients of so many batches
for one step. Numbers outside their range raise ValueError.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ranvier.optimizers import schedules
from ranvier.optimizers.adafactor import Adafactor
from ranvier.optimizers.base import Optimizer
from ranvier.optimizers.further_rules import ASGD, FURTHER, Lamb, RAdam, Rprop, ScheduleFreeAdamW
from ranvier.optimizers.muon import Muon
from ranvier.optimizers.parameter_options import DecayExclusions
from ranvier.optimizers.rules import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Ftrl, Lion, NAdam, RMSprop
from ranvier.optimizers.sparse import SparseAdam
from ranvier.support.errors import missing
from ranvier.support.registry import Registry
from ranvier.support.serialized import deserializer
from ranvier.support.serialized import serialize_keras_object as serialize

__all__ = [
    "ASGD", "SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lamb", "Lion", "Muon",
    "NAdam", "Nadam", "Optimizer", "RAdam", "RMSprop", "Rprop", "ScheduleFreeAdamW", "SparseAdam", "deserialize", "get",
    "schedules", "serialize",
]  # fmt: skip

Nadam = NAdam  # PyTorch's spelling is the class's

REGISTRY = Registry(
    "optimizer",
    Optimizer,
    (
        SGD, Adam, AdamW, Adamax, NAdam, RMSprop, Adagrad, Adadelta, Ftrl, Lion, SparseAdam, Adafactor, Muon,
        *FURTHER,
    ),
    short=lambda optimizer: optimizer.__name__.lower(),
    normalize=lambda name: name.lower().replace("_", ""),
    example="'adam' or optimizers.Adam(0.001)",
)  # fmt: skip


def get(optimizer: str | Optimizer | type[Optimizer] | Mapping[str, Any]) -> Optimizer:
    """An optimizer from its name, its class, an instance, or ``{"class_name": ..., "config": {...}}``.

    Raises ValueError naming the nearest name that exists.
    """
    found: Optimizer = REGISTRY.get(optimizer)
    if isinstance(optimizer, Mapping):
        found._excluded = DecayExclusions(**optimizer.get("excluded", {}))
    return found


deserialize = deserializer(get)


def describe(optimizer: Optimizer) -> dict[str, Any]:
    """What `get` makes this optimizer from again. Raises ValueError for your own classes: a file holds no code."""
    kind = next((c for c in type(optimizer).__mro__ if c in REGISTRY.classes.values()), None)
    if kind is None:
        raise ValueError(f"{type(optimizer).__name__} is not one of Ranvier's optimizers, and cannot be saved.")
    names = {field.name for field in fields(kind)}
    config = {k: v for k, v in optimizer.config().items() if k in names}
    if optimizer.schedule is not None:
        config["learning_rate"] = schedules.describe(optimizer.schedule)
    described: dict[str, Any] = {"class_name": kind.__name__, "config": config}
    if optimizer._excluded:
        described["excluded"] = optimizer._excluded.config(optimizer.parameters)
    return described


__getattr__, __dir__ = missing("ranvier.optimizers", __all__)
