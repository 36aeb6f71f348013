"""Networks of the settings, and models that were opened: compiled for the data, with their outlines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import ranvier as rv
from ranvier.cli.page.outline import Around, Outline, outline
from ranvier.cli.page.settings import LOSSES, SettingError, Settings
from ranvier.cli.page.sources import Array, Source, Target
from ranvier.support.tree import flatten

OPTIMIZERS: dict[str, Callable[[float], Any]] = {
    "sgd": rv.optimizers.SGD,
    "momentum": lambda rate: rv.optimizers.SGD(rate, momentum=0.9),
    "adam": rv.optimizers.Adam,
    "rmsprop": rv.optimizers.RMSprop,
    "adagrad": rv.optimizers.Adagrad,
}


@dataclass(eq=False)
class Network:
    """A compiled model with its outline. ``y`` and ``y_test`` are the targets in the form of the model's losses.

    ``loss`` is that of the output that is shown.
    """

    model: Any
    outline: Outline
    y: Any
    y_test: Any
    loss: str

    def output(self, every: list[Array], target: Target) -> Array:
        """Of what all layers give what a target is compared with."""
        found = every[self.outline.ends[target.end]]
        return found if target.column is None else found[:, target.column : target.column + 1]

    def probabilities(self, every: list[Array], target: Target) -> Array:
        """The probability of each class of a target, (samples, classes)."""
        return probabilities(self.output(every, target), target.logits)

    def of_output(self, source: Source) -> Any:
        """The model alone, or one of the output that is shown, compiled with its loss."""
        if self.outline.form == 0 and source.target.column is None:
            return self.model
        one = OneOutput(self.model, source.target.end, source.target.column)
        width = 1 if source.target.column is not None else self.width(source.target.end)
        (loss, metric), _ = losses_of([replace(source.target, column=None)], self.loss, width)
        one.compile("sgd", loss, metrics=[metric])
        return one

    def width(self, end: int) -> int:
        """How many numbers an output has."""
        return self.outline.widths[self.outline.ends[end]]


class OneOutput(Around):
    """One of the outputs of a model."""

    def __init__(self, model: Any, output: int, column: int | None) -> None:
        super().__init__(model)
        self.output, self.column = output, column

    def forward(self, *inputs: Any) -> Any:
        found = list(flatten(self.model(*inputs)))[self.output]
        return found if self.column is None else found[:, self.column : self.column + 1]


def build(settings: Settings, source: Source) -> Network:
    """The network of the settings for these data. Raises SettingError where layers and data do not fit."""
    loss = settings.loss or LOSSES[source.task][0]
    if loss not in LOSSES[source.task]:
        if not source.targets:
            raise SettingError(f"loss={loss!r}: write one of {', '.join(LOSSES[source.task])} for these data.")
        loss = LOSSES[source.task][0]
    if source.open_model is not None:
        return compiled(source.open_model(), settings, source, loss)
    outputs = 1 if source.task == "number" or len(source.classes) == 2 else len(source.classes)
    layers = hidden(settings, source)
    end = "linear" if source.task == "number" else "sigmoid" if outputs == 1 else "softmax"
    layers.append(rv.layers.Dense(outputs, end, kernel_regularizer=penalty(settings), name="output"))
    return compiled(rv.Sequential([rv.Input(source.x.shape[1:]), *layers]), settings, source, loss)


def compiled(model: Any, settings: Settings, source: Source, loss: str) -> Network:
    """Compile a network for the data, each of its outputs with a loss of its own."""
    drawn = outline(model, source.x)
    pairs, ys = [], []
    for end, place in enumerate(drawn.ends):
        targets = [target for target in source.every if target.end == end]
        pair, y = losses_of(targets, loss, drawn.widths[place])
        pairs.append(pair)
        ys.append(y)
    losses, metrics = ([pair[k] for pair in pairs] for k in range(2))
    y, y_test = (drawn.packed([part[k] for part in ys]) for k in range(2))
    model.compile(
        OPTIMIZERS[settings.optimizer](settings.rate),
        drawn.packed(losses),
        metrics=drawn.packed([[m] for m in metrics]),
    )
    return Network(model, drawn, y, y_test, loss)


def losses_of(targets: list[Target], loss: str, width: int) -> tuple[tuple[Any, str], tuple[Array, Array]]:
    """The loss and the metric of an output, and its training and test targets as the loss takes them."""
    first = targets[0]
    name = loss if loss in LOSSES[first.task] else LOSSES[first.task][0]
    if first.column is not None:
        y, y_test = (np.stack([getattr(t, part) for t in targets], 1).astype(np.float32) for part in ("y", "y_test"))
    else:
        y, y_test = (as_targets(part, name, width, first.task) for part in (first.y, first.y_test))
    is_binary = width == 1 or first.column is not None
    made: Any = name
    if name == "crossentropy":
        made = "binary_crossentropy" if is_binary else "sparse_categorical_crossentropy"
        if first.logits:
            kind = rv.losses.BinaryCrossentropy if is_binary else rv.losses.SparseCategoricalCrossentropy
            made = kind(from_logits=True)
    return (made, "accuracy" if first.task == "classes" else "mae"), (y, y_test)


def hidden(settings: Settings, source: Source) -> list[Any]:
    """The layers before the last one."""
    found: list[Any] = []
    is_image, size = source.kind == "images", min(source.x.shape[1:3]) if source.kind == "images" else 0
    for number, choice in enumerate(settings.layers, 1):
        if choice.kind != "dense" and not is_image:
            raise SettingError("convolutions and pooling come before the first dense layer, and need images.")
        if choice.kind == "conv":
            found.append(
                rv.layers.Conv2D(
                    choice.units, 3, padding="same", activation=choice.activation,
                    kernel_regularizer=penalty(settings), name=f"conv{number}",
                )
            )  # fmt: skip
            continue
        if choice.kind == "pool":
            size //= 2
            if size < 1:
                raise SettingError("the images are too small for so many pooling layers. Remove one.")
            found.append(rv.layers.MaxPooling2D(name=f"pool{number}"))
            continue
        if is_image:
            found.append(rv.layers.Flatten(name="flatten"))
            is_image = False
        found.append(
            rv.layers.Dense(
                choice.units, choice.activation, kernel_regularizer=penalty(settings), name=f"dense{number}"
            )
        )
        if settings.dropout:
            found.append(rv.layers.Dropout(settings.dropout, name=f"dropout{number}"))
    if is_image:
        found.append(rv.layers.Flatten(name="flatten"))
    return found


def penalty(settings: Settings) -> Any:
    """The regularizer of kernels, if there is one."""
    if settings.penalty == "none" or not settings.penalty_rate:
        return None
    make = rv.regularizers.L1 if settings.penalty == "l1" else rv.regularizers.L2
    return make(settings.penalty_rate)


def as_targets(y: Array, loss: str, outputs: int, task: str) -> Array:
    """Targets in the form that a loss takes: class numbers, numbers, or a one for the class."""
    if task == "number" or outputs == 1:
        return y.astype(np.float32)[:, None]
    return np.eye(outputs, dtype=np.float32)[y] if loss == "mse" else y


def probabilities(outputs: Array, logits: bool = False) -> Array:
    """The probability of each class, (samples, classes), from the last layer's outputs."""
    if outputs.shape[1] == 1:
        yes = 1 / (1 + np.exp(-outputs)) if logits else outputs
        return np.concatenate([1 - yes, yes], 1)
    if not logits:
        return outputs
    exponents = np.exp(outputs - outputs.max(1, keepdims=True))
    found: Array = exponents / exponents.sum(1, keepdims=True)
    return found
