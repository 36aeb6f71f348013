"""Networks of the settings: layers, loss and optimizer, compiled; and a model of all their outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import ranvier as rv
from ranvier.cli.page.settings import LOSSES, SettingError, Settings
from ranvier.cli.page.sources import Array, Source

OPTIMIZERS: dict[str, Callable[[float], Any]] = {
    "sgd": rv.optimizers.SGD,
    "momentum": lambda rate: rv.optimizers.SGD(rate, momentum=0.9),
    "adam": rv.optimizers.Adam,
    "rmsprop": rv.optimizers.RMSprop,
    "adagrad": rv.optimizers.Adagrad,
}


@dataclass(eq=False)
class Network:
    """A compiled model, and the same layers as a model that returns the outputs of each of ``shown``.

    ``sources`` has for each of them the places of those that it is computed from: 1 for the first that is shown, 0 for
    the first input, -1 for the second. ``y`` and ``y_test`` are the targets in the form of the model's loss.
    """

    model: Any
    inner: Any
    shown: list[Any]
    sources: list[list[int]]
    y: Array
    y_test: Array
    loss: str


def build(settings: Settings, source: Source) -> Network:
    """The network of the settings for these data. Raises SettingError where layers and data do not fit."""
    loss = settings.loss or LOSSES[source.task][0]
    if loss not in LOSSES[source.task]:
        raise SettingError(f"loss={loss!r}: write one of {', '.join(LOSSES[source.task])} for these data.")
    if source.open_model is not None:
        return of_model(source.open_model(), settings, source, loss)
    outputs = 1 if source.task == "number" or len(source.classes) == 2 else len(source.classes)
    layers = hidden(settings, source)
    end = "linear" if source.task == "number" else "sigmoid" if outputs == 1 else "softmax"
    layers.append(rv.layers.Dense(outputs, end, kernel_regularizer=penalty(settings), name="output"))
    model = rv.Sequential([rv.Input(source.x.shape[1:]), *layers])
    return compiled(model, settings, source, loss, outputs)


def of_model(model: Any, settings: Settings, source: Source, loss: str) -> Network:
    """The network of a model that was opened."""
    return compiled(model, settings, source, loss, model.outputs[0].shape[1])


def compiled(model: Any, settings: Settings, source: Source, loss: str, outputs: int) -> Network:
    """Compile a network for the data, and make the model of the outputs of its layers."""
    names = {"crossentropy": "binary_crossentropy" if outputs == 1 else "sparse_categorical_crossentropy"}
    metric = "accuracy" if source.task == "classes" else "mae"
    model.compile(OPTIMIZERS[settings.optimizer](settings.rate), names.get(loss, loss), metrics=[metric])
    calls, sources = shown_calls(model.outputs[0].call, [symbol.call for symbol in model.inputs])
    inner = rv.Model(model.inputs, [call.values[0] for call in calls])
    y, y_test = (targets(part, loss, outputs, source) for part in (source.y, source.y_test))
    return Network(model, inner, [call.module for call in calls], sources, y, y_test, loss)


def shown_calls(end: Any, inputs: list[Any]) -> tuple[list[Any], list[list[int]]]:
    """The calls of layers that are shown, up to the last one, in order; and the places of those before each."""
    order: dict[Any, None] = {}
    stack = [end]
    while stack:
        call = stack[-1]
        if waiting := [parent for parent in call.parents if parent not in order]:
            stack += waiting[::-1]
        else:
            order[stack.pop()] = None
    calls: list[Any] = []
    sources: list[list[int]] = []
    places: dict[Any, list[int]] = {call: [-k] for k, call in enumerate(inputs)}  # of what a call gives
    for call in order:
        before = list(dict.fromkeys(place for parent in call.parents for place in places[parent])) or [0]
        places.setdefault(call, before)
        if call is end or (call.parents and (changes(call.module) or len(before) > 1)):
            calls.append(call)
            sources.append(before)
            places[call] = [len(calls)]
    return calls, sources


def changes(layer: Any) -> bool:
    """Whether a layer is shown: not one that moves, scales or drops values."""
    return bool(layer.weights) or type(layer).__name__ in ("MaxPooling2D", "AveragePooling2D", "Activation", "ReLU")


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


def targets(y: Array, loss: str, outputs: int, source: Source) -> Array:
    """Targets in the form that a loss takes: class numbers, numbers, or a one for the class."""
    if source.task == "number" or outputs == 1:
        return y.astype(np.float32)[:, None]
    return np.eye(outputs, dtype=np.float32)[y] if loss == "mse" else y


def probabilities(outputs: Array) -> Array:
    """The probability of each class, (samples, classes), from the last layer's outputs."""
    return np.concatenate([1 - outputs, outputs], 1) if outputs.shape[1] == 1 else outputs
