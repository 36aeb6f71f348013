"""Models from their files, with data of the shape of their inputs: a toy set, digits, or random ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import ranvier as rv
from ranvier.cli.page.settings import Settings
from ranvier.cli.page.sources import Array, Source, divided, images, toy
from ranvier.data.files import CheckpointError
from ranvier.datasets import digits
from ranvier.support.tree import flatten

ROWS, LENGTH, WORDS = 96, 12, 6  # random rows; steps of a sequence of any length; words of a random text
Load = Callable[[Settings], Source]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]


def of_model(path: Path) -> Load:
    """What loads a model from its file, with data that fit its inputs.

    Raises ValueError for a model whose views the page does not have, with what shows it instead.
    """
    model = opened(path)
    if not isinstance(model, rv.Sequential) and model._recorded is None:
        raise ValueError(
            f"{path} holds a model of a class of your own. The page shows rv.Sequential([...]) and "
            "rv.Model(inputs, outputs), whose layers are known before they run. Write model.explain_step(x, y), "
            f"model.plot() and model.report(x, y, 'report.html') in a program, or ranvier inspect {path}, instead."
        )
    if len(model.outputs) > 1:
        names = ", ".join(map(repr, model.output_names))
        raise ValueError(
            f"{path} has the outputs {names}, and the page shows one. Write "
            "rv.Model(model.inputs, model.outputs[0]).save('one.ranvier') in a program and open that, or "
            f"ranvier inspect {path}, instead."
        )
    outputs = model.outputs[0].shape
    if len(outputs) != 2:
        raise ValueError(
            f"{path} maps {model.input_shape} to {outputs}. The page shows classes or a number for each sample: "
            f"(n, outputs). Write model.explain_step(x, y) in a program, or ranvier inspect {path}, instead."
        )
    ends = getattr(model.layers[-1], "activation", None)
    classes = outputs[1] > 1 or getattr(ends, "__name__", "") == "sigmoid"

    def load(settings: Settings) -> Source:
        found = fitting(model, outputs[1] if classes else 0, settings)
        return replace(found, open_model=lambda: opened(path))

    return load


def opened(path: Path) -> Any:
    """The model of a file. One of PyTorch's sequences learns the shape of its inputs from its first layer."""
    try:
        model = rv.load_model(path)
    except CheckpointError as error:
        if "custom_objects" not in str(error):
            raise
        raise ValueError(
            f"{error} Commands know the library's own classes: a program that defines yours may call model.plot(), "
            "model.explain_step(x, y) and model.report(x, y, 'report.html')."
        ) from error
    features = getattr(model.layers[0], "in_features", None) if isinstance(model, rv.Sequential) else None
    if features is not None:
        model(rv.Tensor(np.zeros((1, features), np.float32)))
    return model


def fitting(model: Any, outputs: int, settings: Settings) -> Source:
    """Data of the shape of a model's inputs. Random ones have as targets what the model says of them."""
    count = max(2, outputs) if outputs else 0
    draws = draws_of(model)
    shapes = [tuple(LENGTH if n is None else n for n in symbol.shape[1:]) for symbol in model.inputs]
    shape, is_plain = shapes[0], len(shapes) == 1 and draws[0] is normal
    if is_plain and shape == (2,) and count in (0, 2, 3):
        name = {0: "plane", 2: "circles", 3: "gaussians"}[count]
        return toy(replace(settings, data=name))
    if is_plain and shape == (8, 8, 1) and count == 10:
        return images(*digits.load_data(), digits.classes)
    rng = np.random.default_rng(settings.seed)
    is_image, is_table = is_plain and len(shape) == 3 and shape[2] in (1, 3), is_plain and len(shape) == 1
    if is_image:
        draws = [lambda rng, shape: rng.random(shape, np.float32)]
    arrays = [draw(rng, (ROWS, *one)) for draw, one in zip(draws, shapes, strict=True)]
    x = arrays if len(arrays) > 1 else arrays[0]
    try:
        said = model.predict(x, verbose=0)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the page has no data that fit the model: {error}") from error
    said = said if isinstance(said, np.ndarray) else next(flatten(said))
    y = (said[:, 0] > 0.5).astype(int) if count == 2 and said.shape[1] == 1 else said.argmax(1) if count else said[:, 0]
    kind = "images" if is_image else "table" if is_table else "arrays"
    names = getattr(model, "input_names", None) or [symbol.call.module.name for symbol in model.inputs]
    features = () if is_image else tuple(f"x{i}" for i in range(shape[0])) if is_table else tuple(names)
    return divided(
        kind, "classes" if count else "number", x, y, settings, classes=tuple(map(str, range(count))),
        features=features, invented=True,
    )  # fmt: skip


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Numbers around 0."""
    return rng.standard_normal(shape, np.float32)


def whole(count: int) -> Draw:
    """What draws whole numbers below ``count``."""
    return lambda rng, shape: rng.integers(count, size=shape).astype(np.int32)


def texts(words: Sequence[str]) -> Draw:
    """What draws a text of some words for each row."""
    return lambda rng, shape: np.array([" ".join(rng.choice(words, WORDS)) for _ in range(shape[0])], object)


DRAWS: dict[str, Callable[[Any], Draw]] = {  # by the class of the layer that an input goes to
    "Embedding": lambda layer: whole(layer.input_dim),
    "CategoryEncoding": lambda layer: whole(layer.num_tokens),
    "TextVectorization": lambda layer: texts(layer.get_vocabulary()[2:] or ["word"]),
}


def draws_of(model: Any) -> list[Draw]:
    """What draws random values for each input of a model: numbers, or those that its first layer takes."""
    found: dict[Any, Draw] = {}
    calls = [model.outputs[0].call]
    known = set(calls)
    while calls:
        call = calls.pop()
        for parent in call.parents:
            if not parent.parents and type(call.module).__name__ in DRAWS:
                found[parent] = DRAWS[type(call.module).__name__](call.module)
            if parent not in known:
                known.add(parent)
                calls.append(parent)
    first = model.layers[0]  # of a sequence of texts the recorded calls begin with what the first layer gives
    if type(first).__name__ == "TextVectorization":
        return [DRAWS["TextVectorization"](first)]
    return [found.get(symbol.call, normal) for symbol in model.inputs]
