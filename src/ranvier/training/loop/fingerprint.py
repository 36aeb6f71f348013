"""The identity of a run of `fit`: everything that must be the same for the rest of it to give the same bits."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ranvier import engines
from ranvier.data.convert import Array
from ranvier.module import Module
from ranvier.tensor.context import get_dtype
from ranvier.training.loop.callback_list import Callbacks
from ranvier.training.step.arrays import Data
from ranvier.training.step.compiled import Compiled

ROWS = 512  # of each array that are part of the fingerprint of the data


def identity(
    model: Module, state: Compiled, callbacks: Callbacks, optimizer: str, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Plain values by their names in errors. ``optimizer`` is its text before any callback changed it."""
    values = {
        **{name: spelled(value) for name, value in settings.items()},
        "optimizer": optimizer,
        **objective(state),
        "callbacks": [name for name, _ in callbacks.states()],
        "dtype": get_dtype(),
        "engine": state.engine or engines.get_engine(),
        "model": list(layers(model)),
    }
    return dict(json.loads(json.dumps(values, default=text)))  # as read from a file: tuples are lists


def differences(kept: Mapping[str, Any], now: Mapping[str, Any], elsewhere: str = "") -> Iterator[str]:
    """The differences as text; of lists, the first entry that differs. A program without a seed takes the backup's.

    ``kept`` is of earlier, or of ``elsewhere``.
    """
    place, was = (f" in {elsewhere}", "is") if elsewhere else ("", "was")
    for name, value in now.items():
        before = kept.get(name)
        if name == "seed" and value is None:
            continue
        if name == "model" and isinstance(before, list) and before != value:
            pairs = zip([*before, "no more"], [*value, "no more"], strict=False)
            first, second = next((a, b) for a, b in pairs if a != b)
            yield f"in the model, {first} {was}{place} where {second} is"
        elif before != value:
            yield f"{name} {was} {before!r}{place} and is {value!r}"


def spelled(value: Any) -> Any:
    """A setting as a plain value."""
    if isinstance(value, Data):
        return f"{len(value)} samples {fingerprint(value)}"
    return value if value is None or isinstance(value, (bool, int, float, str)) else text(value)


def objective(state: Compiled) -> dict[str, Any]:
    """Loss and metrics with all their settings; functions that you wrote by their names."""
    try:
        known = state.settings()
    except ValueError:
        return {"loss and metrics": list(state.names)}
    return {name: known[name] for name in ("loss", "loss_weights", "metrics", "weighted_metrics")}


def layers(model: Module) -> Iterator[str]:
    """Every module with its settings, but without its name, since automatic names are numbered in each process."""
    for path, module in model.named_modules():
        settings = [
            f"{name}={text(value)}"
            for name, value in module.config().items()
            if name != "name" and not holds_module(value)
        ]
        yield f"{path}{':' * bool(path)}{type(module).__name__}({', '.join(settings)})"


def holds_module(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(holds_module, value))
    return isinstance(value, Module)


def text(value: Any) -> str:
    """A value as text that is the same in another process."""
    name = getattr(value, "__name__", None)
    if callable(value) and name is not None:
        return str(name)
    config = getattr(value, "config", None)
    if callable(config) and not isinstance(value, type):
        return f"{type(value).__name__}({', '.join(f'{k}={text(v)}' for k, v in config().items())})"
    return printed(value)


def printed(value: Any) -> str:
    """The repr of an object, without memory addresses, which differ in another process."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def numbers(optimizer: Any) -> dict[str, Any]:
    """The optimizer's settings that are plain values, which callbacks may have changed."""
    return {n: v for n, v in optimizer.config().items() if v is None or type(v) in (bool, int, float, str)}


def fingerprint(data: Data) -> str:
    """A number for these data: of shapes, dtypes, and rows spread over all of them."""
    code = 0
    for array in data.arrays():
        rows: Array = np.ascontiguousarray(array[:: max(1, len(array) // ROWS)])
        code = zlib.crc32(f"{array.shape} {array.dtype}".encode(), code)
        code = zlib.crc32(rows.tobytes(), code)
    return f"{code:08x}"
