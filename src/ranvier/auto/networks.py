"""The networks that are tried, by settings, and the one network that a run keeps: their mean, calibrated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ranvier import layers, losses, optimizers
from ranvier.auto.scores import CLASSES, Task
from ranvier.calibration.temperature import Calibrated
from ranvier.data.convert import Array
from ranvier.module import Module

VIEWS = {  # the blocks of features that a network takes: see `ranvier.auto.preparation`
    "standard": ("standard", "rest"),
    "quantile": ("quantile", "rest"),
    "pieces": ("standard", "pieces", "rest"),
}
Blocks = Mapping[str, tuple[int, int]]
LINEAR = {"view": "standard", "width": 0, "depth": 0, "dropout": 0.0, "rate": 0.01, "decay": 1e-3, "smoothing": 0.0}
DEFAULTS = {"view": "pieces", "width": 128, "depth": 2, "dropout": 0.1, "rate": 2e-3, "decay": 1e-2, "smoothing": 0.0}


def build(task: Task, features: int, blocks: Blocks, make: Callable[..., Any] | None = None) -> Callable[..., Module]:
    """The function of settings that builds and compiles a network from rows (features,) to logits or numbers.

    ``make(input_shape, outputs)`` builds it in place of the dense network.
    """

    def built(
        view: str = "pieces",
        width: int = 128,
        depth: int = 2,
        dropout: float = 0.1,
        rate: float = 2e-3,
        decay: float = 1e-2,
        smoothing: float = 0.0,
    ) -> Module:
        if make is None:
            model = dense(features, blocks, task.outputs, view, width, depth, dropout)
        else:
            model = make((features,), task.outputs)
        return compiled(model, task, rate, decay, smoothing)

    return built


def compiled(model: Module, task: Task, rate: float, decay: float, smoothing: float = 0.0) -> Module:
    """Compile a network for its task: AdamW (Loshchilov and Hutter, 2019) on cross entropy or squared error."""
    loss: Any = "mse"
    if task.kind == CLASSES:
        loss = losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    model.compile(optimizers.AdamW(rate, weight_decay=decay), loss)
    return model


def dense(features: int, blocks: Blocks, outputs: int, view: str, width: int, depth: int, dropout: float) -> Module:
    """A dense network on some blocks of the features: ``depth`` layers of ``width`` with ReLU, or a linear one."""
    if view not in VIEWS:
        raise ValueError(f"view={view!r}. Write one of {', '.join(VIEWS)} instead.")
    inputs = layers.Input((features,), name="features")
    x: Any = inputs
    ranges = [blocks[name] for name in VIEWS[view] if blocks[name][0] < blocks[name][1]]
    if sum(b - a for a, b in ranges) < features:
        taken = [x[:, a:b] for a, b in ranges]
        x = layers.Concatenate(name="view")(taken) if len(taken) > 1 else taken[0]
    for k in range(depth):
        x = layers.Dense(width, activation="relu", kernel_initializer="he_normal", name=f"dense{k}")(x)
        if dropout:
            x = layers.Dropout(dropout, name=f"dropout{k}")(x)
    return Module(inputs, layers.Dense(outputs, name="output")(x), name="network")


def combined(
    task: Task,
    members: Sequence[tuple[float, Sequence[Module]]],
    temperature: float,
    mean: Array | None,
    deviation: Array | None,
) -> Module:
    """One network from the networks of each member, (weight, networks): the weighted mean of their outputs.

    Logits are divided by ``temperature`` and become probabilities; standardized numbers get their ``mean`` and
    ``deviation`` back.
    """
    shape = members[0][1][0].input_shape[1:]
    inputs = layers.Input(shape, name="features")
    parts = []
    for k, (weight, networks) in enumerate(members):
        outputs = []
        for fold, network in enumerate(networks):
            network.name = f"network{k}_{fold}"
            outputs.append(network(inputs))
        mixed = layers.Average(name=f"mean{k}")(outputs) if len(outputs) > 1 else outputs[0]
        parts.append(layers.Rescaling(weight, name=f"weight{k}")(mixed) if len(members) > 1 else mixed)
    whole = layers.Add(name="sum")(parts) if len(parts) > 1 else parts[0]
    if task.kind == CLASSES:
        model: Module = Calibrated(Module(inputs, whole, name="networks"), temperature, "softmax", True)
        loss = "categorical_crossentropy"
    else:
        assert mean is not None
        assert deviation is not None
        units = layers.Normalization(
            mean=np.asarray(mean).tolist(), variance=np.square(deviation).tolist(), invert=True, name="units"
        )
        model, loss = Module(inputs, units(whole), name="networks"), "mse"
    model.compile("adam", loss)
    return model
