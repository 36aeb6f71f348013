"""Small programs that train; golden.json holds a hash of the weights and losses of each. Public names alone are used.

A program is a function of no arguments that returns its losses and its trained weights. Data are made of integers,
which are the same on every machine.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ranvier as rv
from ranvier import layers

Result = tuple[Any, Iterable[Any]]  # losses, weights
PROGRAMS: dict[str, Callable[[], Result]] = {}
FILE = Path(__file__).with_name("golden.json")
SPARSE = "sparse_categorical_crossentropy"


def program(function: Callable[[], Result]) -> Callable[[], Result]:
    """Add a function to the table, by its name."""
    PROGRAMS[function.__name__.replace("_", " ")] = function
    return function


def recorded() -> dict[str, str]:
    """The hashes in golden.json."""
    hashes: dict[str, str] = json.loads(FILE.read_text())
    return hashes


def digest(arrays: Iterable[Any]) -> str:
    """A hash of the types, shapes and bytes of arrays."""
    found = hashlib.sha256()
    for array in map(np.asarray, arrays):
        found.update(f"{array.dtype.str} {array.shape} ".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def run(name: str) -> str:
    """The hash of a program's losses and weights."""
    rv.set_seed(7)
    try:
        losses, weights = PROGRAMS[name]()
    finally:
        rv.set_dtype("float32")
    return digest([np.asarray(losses, np.float64), *weights])


# --- data and training --------------------------------------------------------------------------------------------


def numbers(*shape: int, seed: int = 1) -> NDArray[np.float32]:
    """Multiples of 1/16 between -2 and 2."""
    return (np.random.default_rng(seed).integers(-32, 33, shape) / 16).astype(np.float32)


def labels(count: int, classes: int = 3, seed: int = 2) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, classes, count)


def pixels(*shape: int, seed: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


X, Y = numbers(40, 6), labels(40)
IMAGES, KINDS = pixels(20, 8, 6, 3), labels(20)


def fit(model: Any, x: Any, y: Any, optimizer: Any = "adam", loss: Any = SPARSE, **options: Any) -> Result:
    """Compile and train: two epochs, the last batch a partial one."""
    settings = {name: options.pop(name) for name in ("metrics", "weighted_metrics") if name in options}
    model.compile(optimizer, loss, **settings)
    history = model.fit(x, y, **{"epochs": 2, "batch_size": 16, "verbose": 0, "ignore": "RV"} | options)
    return np.concatenate([history.history[name] for name in sorted(history.history)]), model.get_weights()


def classifier(*hidden: Any, inputs: int = 6, classes: int = 3) -> Any:
    made = hidden or (layers.Dense(8, activation="tanh"),)
    return rv.Sequential([rv.Input((inputs,)), *made, layers.Dense(classes, activation="softmax")])
