"""What makes a run of `fit` this run: all that must be the same for the rest of it to come out the same."""

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

__all__ = ["differences", "identity", "numbers", "printed"]

ROWS = 512  # of each array that the fingerprint of the data looks at


def identity(
    model: Module, state: Compiled, hooks: Callbacks, optimizer: str, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Plain values by the words that an error uses for them. ``optimizer`` is what it was before any callback."""
    values = {
        **{name: spelled(value) for name, value in settings.items()},
        "optimizer": optimizer,
        **objective(state),
        "callbacks": [name for name, _ in hooks.states()],
        "dtype": get_dtype(),
        "engine": state.engine or engines.get_engine(),
        "model": list(layers(model)),
    }
    return dict(json.loads(json.dumps(values, default=text)))  # as a file gives it back: tuples as lists


def differences(kept: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[str]:
    """What differs, in words; of lists, the first entry that does. A program that sets no seed takes the backup's."""
    for name, value in own.items():
        before = kept.get(name)
        if name == "seed" and value is None:
            continue
        if name == "model" and isinstance(before, list) and before != value:
            pairs = zip([*before, "no more"], [*value, "no more"], strict=False)
            first, now = next((a, b) for a, b in pairs if a != b)
            yield f"in the model, {first} was where {now} is"
        elif before != value:
            yield f"{name} was {before!r} and is {value!r}"


def spelled(value: Any) -> Any:
    """A setting as a plain value."""
    if isinstance(value, Data):
        return f"{len(value)} samples {fingerprint(value)}"
    return value if value is None or isinstance(value, (bool, int, float, str)) else text(value)


def objective(state: Compiled) -> dict[str, Any]:
    """Loss and metrics with all their settings; functions of the user's by their names."""
    try:
        known = state.settings()
    except ValueError:
        return {"loss and metrics": list(state.names)}
    return {name: known[name] for name in ("loss", "loss_weights", "metrics", "weighted_metrics")}


def layers(model: Module) -> Iterator[str]:
    """Every module with its settings, but without its name: automatic ones count on in a process."""
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
    """A value in words that another process has, too."""
    own = getattr(value, "__name__", None)
    if callable(value) and own is not None:
        return str(own)
    config = getattr(value, "config", None)
    if callable(config) and not isinstance(value, type):
        return f"{type(value).__name__}({', '.join(f'{k}={text(v)}' for k, v in config().items())})"
    return printed(value)


def printed(value: Any) -> str:
    """What an object prints as, without the places in memory that are another process's own."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def numbers(optimizer: Any) -> dict[str, Any]:
    """The optimizer's settings that are plain values: all that callbacks may have changed."""
    return {n: v for n, v in optimizer.config().items() if v is None or type(v) in (bool, int, float, str)}


def fingerprint(data: Data) -> str:
    """A number that tells other data from these: shapes, dtypes, and rows spread over all of them."""
    code = 0
    for array in data.arrays():
        rows: Array = np.ascontiguousarray(array[:: max(1, len(array) // ROWS)])
        code = zlib.crc32(f"{array.shape} {array.dtype}".encode(), code)
        code = zlib.crc32(rows.tobytes(), code)
    return f"{code:08x}"
