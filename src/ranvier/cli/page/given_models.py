"""Models from their files, with data of the shape of their inputs: a toy set, digits, or random ones."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import ranvier as rv
from ranvier.cli.page.outline import Outline, input_names, is_channels_first, outline
from ranvier.cli.page.settings import Settings
from ranvier.cli.page.sources import Array, Source, Target, images, parts, some, toy
from ranvier.data.files import CheckpointError
from ranvier.datasets import digits

ROWS, LENGTH, WORDS = 96, 12, 6  # random rows; steps of a sequence of any length; words of a random text
Load = Callable[[Settings], Source]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]


def of_model(path: Path, program: Path | None = None) -> Load:
    """What loads a model from its file, with data that fit its inputs. ``program`` defines classes of one's own.

    Raises ValueError for a model whose views the page does not have, with what shows it instead.
    """
    names = classes_of(program)
    model = opened(path, names)
    draws, shapes = inputs_of(path, model)
    rng = np.random.default_rng(0)
    parts = [draw(rng, (2, *shape)) for draw, shape in zip(draws, shapes, strict=True)]
    try:
        drawn = outline(model, parts if len(parts) > 1 else parts[0])
    except (TypeError, ValueError, LookupError) as error:
        raise ValueError(f"the page has no data that fit {path}: {error}") from error
    for name, end in zip(drawn.end_names, drawn.ends, strict=True):
        if len(drawn.shapes[end]) != 1:
            raise ValueError(
                f"{path} maps {', '.join(map(str, shapes))} to {name!r}, {drawn.shapes[end]}. The page shows classes "
                "or numbers of each sample: (n, outputs). Write model.explain_step(x, y) in a program, or ranvier "
                f"inspect {path}, instead."
            )

    def load(settings: Settings) -> Source:
        found = fitting(model, drawn, draws, shapes, settings)
        return replace(found, open_model=lambda: opened(path, names))

    return load


def classes_of(program: Path | None) -> dict[str, Any]:
    """The classes and functions that a program defines, by name. The program runs, as it would when it is imported."""
    if program is None:
        return {}
    if not program.is_file():
        raise FileNotFoundError(f"{program} does not exist. Write the Python file that defines the class of the model.")
    before = list(sys.path)
    sys.path.insert(0, str(program.parent.resolve()))  # for what it imports from beside it
    try:
        found = runpy.run_path(str(program), run_name=program.stem)
    except (Exception, SystemExit) as error:
        raise ValueError(f"{program} cannot be run: {type(error).__name__}: {error}") from error
    finally:
        sys.path[:] = before
    return {name: value for name, value in found.items() if callable(value)}


def opened(path: Path, names: dict[str, Any]) -> Any:
    """The model of a file. One of PyTorch's learns the shape of its inputs from its first layer."""
    try:
        model = rv.load_model(path, names)
    except CheckpointError as error:
        if "custom_objects" not in str(error):
            raise
        raise ValueError(
            f"{error.args[0].partition(', which')[0]}, which is a class of yours. Write ranvier page {path} --program "
            "FILE.py with the program that defines it."
        ) from error
    features = first_features(model)
    if features is not None and model._input_type is None:
        model(rv.Tensor(np.zeros((1, features), np.float32)))
    return model


def first_features(model: Any) -> int | None:
    """How many features the first layer of PyTorch's takes, if that is dense."""
    leaves = (module for module in model.modules() if not module._modules)
    first = next((module for module in leaves if module.weights), None)
    found: int | None = getattr(first, "in_features", None)
    return found


def inputs_of(path: Path, model: Any) -> tuple[list[Draw], list[tuple[int, ...]]]:
    """What draws random values for each input of a model, and their shapes without samples."""
    if isinstance(model, rv.Sequential) or model._recorded is not None:
        draws, shapes = draws_of(model), [symbol.shape[1:] for symbol in model.inputs]
    elif model._input_type is None:
        raise ValueError(
            f"{path} does not say which inputs the model takes. Call it once on some data, model(x), before you save "
            "it."
        )
    else:
        types = model._input_types or (model._input_type,)
        tables = [m for m in model.modules() if type(m).__name__ == "Embedding"]
        sizes: list[int] = [getattr(t, "input_dim", None) or t.num_embeddings for t in tables]
        count = min(sizes, default=2)
        draws = [normal if type_.dtype.startswith(("float", "bfloat")) else whole(count) for type_ in types]
        shapes = [type_.shape[1:] for type_ in types]
    return draws, [tuple(n if isinstance(n, int) else LENGTH for n in shape) for shape in shapes]


def fitting(model: Any, drawn: Outline, draws: list[Draw], shapes: list[tuple[int, ...]], settings: Settings) -> Source:
    """Data of the shape of a model's inputs. Random ones have as targets what the model says of them."""
    shape, is_plain = shapes[0], len(shapes) == 1 and draws[0] is normal
    rng = np.random.default_rng(settings.seed)
    is_table, first = is_plain and len(shape) == 1, is_plain and is_channels_first(shape)
    is_image = is_plain and len(shape) == 3 and (first or shape[2] in (1, 3))
    kind = "images" if is_image else "plane" if is_plain and shape == (2,) else "table" if is_table else "arrays"
    if is_image:
        draws = [lambda rng, shape: rng.random(shape, np.float32)]
    if kind == "plane":
        draws = [lambda rng, shape: rng.uniform(-1, 1, shape).astype(np.float32)]
    arrays = [draw(rng, (ROWS, *one)) for draw, one in zip(draws, shapes, strict=True)]
    x = arrays if len(arrays) > 1 else arrays[0]
    every = drawn.outputs(x)
    said = [every[end] for end in drawn.ends]
    kinds = [kind_of(drawn, end, every[end]) for end in drawn.ends]
    if is_plain and len(kinds) == 1 and (known := known_data(shape, *kinds[0], settings)):
        return known
    train, test = parts(ROWS, settings)
    targets = []
    for k, (name, y, (count, logits)) in enumerate(zip(drawn.end_names, said, kinds, strict=True)):
        y = y[:, 0] if not count else (y[:, 0] > 0.5).astype(int) if y.shape[1] == 1 else y.argmax(1)
        task, classes = "classes" if count else "number", tuple(map(str, range(count)))
        targets.append(Target(name, task, y[train], y[test], classes, logits=logits, end=k))
    names = [f"x{i}" for i in range(shape[0])] if is_table else names_of(model)
    features = {"images": (), "plane": ("x", "y")}.get(kind, tuple(names))
    found = Source(
        kind, "", some(x, train), targets[0].y, some(x, test), targets[0].y_test, features=features, invented=True,
        targets=tuple(targets), channels_first=first,
    ).showing(0)  # fmt: skip
    return found if len(targets) > 1 else replace(found, targets=())


def kind_of(drawn: Outline, end: int, said: Array) -> tuple[int, bool]:
    """How many classes an output has, 0 for a number; and whether it is one of logits."""
    if said.shape[1] > 1:
        is_share = said.min() > -1e-6 and said.max() < 1 + 1e-6 and np.allclose(said.sum(1), 1, atol=1e-3)
        return said.shape[1], not is_share
    last = drawn.shown[end]
    name = drawn.activations.get(end) or getattr(getattr(last, "activation", None), "__name__", drawn.names[end])
    return (2 if "sigmoid" in (name, type(last).__name__.lower()) else 0), False


def known_data(shape: tuple[int, ...], count: int, logits: bool, settings: Settings) -> Source | None:
    """A toy set, or digits, if a model of one output takes them."""
    if shape == (2,) and count in (0, 2, 3):
        name = {0: "plane", 2: "circles", 3: "gaussians"}[count]
        return replace(toy(replace(settings, data=name)), logits=logits)
    if shape in ((8, 8, 1), (1, 8, 8)) and count == 10:
        found = replace(images(*digits.load_data(), digits.classes), logits=logits, channels_first=shape == (1, 8, 8))
        return replace(found, x=found.as_inputs(found.x), x_test=found.as_inputs(found.x_test))
    return None


def names_of(model: Any) -> list[str]:
    """The names of a model's inputs."""
    if isinstance(model, rv.Sequential):
        return [symbol.call.module.name for symbol in model.inputs]
    return input_names(model)


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
    calls = [symbol.call for symbol in model.outputs]
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
