"""The facts of a trained model: a network, an estimator, or a pipeline, on data that are given."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.auto.report.facts import Facts, Rival
from ranvier.auto.report.words import Name
from ranvier.auto.runs import versions
from ranvier.auto.scores import CLASSES, NUMBERS, Task
from ranvier.data.convert import Array
from ranvier.module import Module
from ranvier.module.data_format import looks_channels_first
from ranvier.module.outputs import class_names_of, outputs_of
from ranvier.module.summary import rows_of
from ranvier.support.results import number_of
from ranvier.support.tables import Table

IMAGE_SIDES = (4, 1024)  # pixels of what is taken for images


def facts_of_model(
    model: Any,
    x: Any,
    y: Any,
    *,
    classes: Sequence[Any] | None = None,
    names: Sequence[str] | None = None,
    history: Any = None,
    train: tuple[Any, Any] | None = None,
    title: str | None = None,
    seed: Any = None,
) -> Facts:
    """See `ranvier.auto.write_report`."""
    raw = np.asarray(outputs_of(model, x), np.float64)
    truth, output, called, logits = _task_of(model, y, raw, classes)
    if len(truth) != len(output):
        raise ValueError(f"x has {len(output)} rows and y {len(truth)}. Write one target for each row.")
    if not np.isfinite(output).all():
        row = int(np.flatnonzero(~np.isfinite(output).all(1))[0])
        raise ValueError(f"the model gives NaN or infinity for row {row}. Write data that it can predict instead.")
    task = Task(CLASSES, ["target"], called) if called else Task(NUMBERS, _targets(y, output.shape[1]))
    name = title or (model.name if isinstance(model, Module) else type(model).__name__)
    facts = Facts(
        title=name, task=task, truth=truth, output=output, versions=versions(), seed=seed, command=_command(),
        lines_are="row",
    )  # fmt: skip
    if called and not isinstance(model, Module) and hasattr(model, "predict"):
        facts.decided = _numbers(model.predict(x), _labels(model, called))
    _add_baseline(facts, model, train, called)
    _add_data(facts, model, x, names)
    _add_steps(facts, model, logits)
    _add_curves(facts, model, history)
    if isinstance(model, Module) and model._compiled is not None:
        results = model.evaluate(x, y, verbose=0, return_dict=True)
        facts.evaluated = {k: float(n) for k, v in results.items() if (n := number_of(v)) is not None}
        facts.checks = [(f.level, f) for f in model.check(x, y)]
    elif hasattr(model, "score"):
        facts.evaluated = {"score": float(model.score(x, y))}
    if facts.features is not None:
        facts.predict = lambda part: _probabilities(np.asarray(outputs_of(model, part), np.float64), called, logits)
    return facts


# --- what is predicted --------------------------------------------------------------------------------------------


def _labels(model: Any, called: Sequence[str]) -> Sequence[Any]:
    found = getattr(model, "classes_", None)
    return list(called) if found is None or isinstance(found, list) else np.asarray(found).tolist()


def _numbers(y: Any, labels: Sequence[Any]) -> Array:
    """Class numbers from labels. Raises ValueError for an unknown one."""
    place = {label: k for k, label in enumerate(labels)}
    values = np.asarray(y).reshape(-1).tolist()
    wrong = [value for value in values if value not in place]
    if wrong:
        raise ValueError(
            f"y has the class {wrong[0]!r}, which the model does not know. Write some of {list(labels)[:12]} instead."
        )
    return np.array([place[value] for value in values], np.int64)


def _task_of(model: Any, y: Any, raw: Array, classes: Sequence[Any] | None) -> tuple[Array, Array, list[str], bool]:
    """Class numbers and probabilities, with the names of the classes; or numbers, with none. Whether it was logits."""
    target = np.asarray(y)
    flat = target.reshape(len(target), -1) if target.ndim else target.reshape(1, 1)
    known = class_names_of(model)
    if known is not None:
        output = np.concatenate([1 - raw, raw], 1) if raw.shape[1] == 1 else raw
        called = known if classes is None else [str(name) for name in classes]
        return _numbers(target, _labels(model, known)), output, called, False
    width = raw.shape[1]
    whole = target.dtype.kind in "iub" or (target.dtype.kind == "f" and bool((flat == np.floor(flat)).all()))
    one_hot = flat.shape[1] == width > 1 and np.isin(flat, (0, 1)).all() and bool((flat.sum(1) == 1).all())
    numbered = flat.shape[1] == 1 and whole and bool((flat >= 0).all()) and bool((flat < max(width, 2)).all())
    two = width == 1 and numbered and (_ends_in_probability(model) or classes is not None or _is_binary_loss(model))
    if not (isinstance(model, Module) or classes is not None) or not (one_hot or two or (width > 1 and numbered)):
        return flat.astype(np.float64), raw, [], False
    truth = flat.argmax(1) if one_hot else flat[:, 0].astype(np.int64)
    count = max(width, 2)
    called = [str(k) for k in range(count)] if classes is None else [str(name) for name in classes]
    if len(called) != count:
        raise ValueError(f"there are {len(called)} names for {count} classes. Write one for each.")
    logits = bool(
        raw.min() < -1e-6 or raw.max() > 1 + 1e-6 or (width > 1 and not np.allclose(raw.sum(1), 1, atol=1e-3))
    )
    return truth, _probabilities(raw, called, logits), called, logits


def _probabilities(raw: Array, called: Sequence[str], logits: bool) -> Array:
    """Probabilities of all classes from outputs; numbers stay as they are."""
    if not called:
        return raw
    if raw.shape[1] == 1:
        yes = 1 / (1 + np.exp(-np.clip(raw, -700, 700))) if logits else raw
        return np.concatenate([1 - yes, yes], 1)
    if not logits:
        return raw
    exponent = np.exp(raw - raw.max(1, keepdims=True))
    return np.asarray(exponent / exponent.sum(1, keepdims=True))


def _is_binary_loss(model: Any) -> bool:
    state = getattr(model, "_compiled", None)
    return state is not None and "binary" in _loss_name(model).lower().replace("_", "")


def _ends_in_probability(model: Any) -> bool:
    last = [m for m in model.modules() if not m._modules][-1:] if isinstance(model, Module) else []
    return any(getattr(getattr(m, "activation", None), "__name__", type(m).__name__).lower() == "sigmoid" for m in last)


def _targets(y: Any, width: int) -> list[str]:
    columns = getattr(y, "columns", None)
    if columns is not None and len(columns) == width:
        return [str(name) for name in columns]
    if width == 1:
        return [str(getattr(y, "name", None) or "target")]
    return [f"target {k}" for k in range(width)]


# --- the other facts ----------------------------------------------------------------------------------------------


def _add_baseline(facts: Facts, model: Any, train: tuple[Any, Any] | None, called: list[str]) -> None:
    """The most frequent class, with the frequencies as probabilities, or the mean."""
    source = facts.truth
    if train is not None:
        raw = np.zeros((len(np.asarray(train[1])), 1 if not called else len(called)))
        labels = class_names_of(model)
        known = np.asarray(train[1])
        if labels is not None:
            source = _numbers(known, _labels(model, labels))
        elif called:
            source = known.argmax(1) if known.ndim == 2 and known.shape[1] > 1 else known.reshape(-1).astype(np.int64)
        else:
            source = known.reshape(len(raw), -1).astype(np.float64)
    n = len(facts.truth)
    if called:
        share = np.bincount(source, minlength=len(called)) / len(source)
        facts.rivals.append(Rival("the most frequent class", np.tile(share, (n, 1))))
    else:
        facts.rivals.append(Rival("the mean", np.tile(source.mean(0), (n, 1))))


def _add_data(facts: Facts, model: Any, x: Any, names: Sequence[str] | None) -> None:
    several = isinstance(x, (tuple, list)) and bool(x) and hasattr(x[0], "shape")  # inputs of a network
    shape = (len(facts.truth), len(x)) if isinstance(x, Mapping) else () if several else np.shape(x)
    shapes = [np.shape(part) for part in x] if several else [shape]
    what = (
        "images of shape {shape}" if len(shape) in (3, 4) and _looks_like_images(shape) else "arrays of shape {shape}"
    )
    facts.data = [
        ("model", Name(facts.title)), ("rows", f"{len(facts.truth):,}"),
        ("input", (what, {"shape": ", ".join(str(tuple(int(n) for n in one[1:])) for one in shapes)})),
        ("kind of task", ("one of {n} classes", {"n": len(facts.task.classes)}) if facts.classes
         else "a number" if facts.output.shape[1] == 1 else ("{n} numbers", {"n": facts.output.shape[1]})),
    ]  # fmt: skip
    if facts.classes:
        counted = np.bincount(facts.truth, minlength=len(facts.task.classes))
        facts.frequencies = [("the rows that were given", counted)]
    if len(shape) == 2 or isinstance(x, Mapping):
        table = Table(x, names)
        facts.features, facts.names = x, table.names
        facts.columns = [[name, *_described(table.column(k))] for k, name in enumerate(table.names)]
    elif _looks_like_images(shape):
        facts.images = np.asarray(x)


def _looks_like_images(shape: Sequence[int]) -> bool:
    sides = shape[2:4] if looks_channels_first(tuple(shape)) else shape[1:3]
    return len(shape) in (3, 4) and all(IMAGE_SIDES[0] <= side <= IMAGE_SIDES[1] for side in sides)


def _described(column: Array) -> list[Any]:
    """Kind, values and missing ones of a column."""
    missing = int(sum(value is None or value != value for value in column.tolist()))
    if column.dtype.kind in "fiub":
        known = column[np.isfinite(column.astype(np.float64))].astype(np.float64)
        if not len(known):
            return ["number", "", f"{missing:,}"]
        values = {"low": f"{known.min():.4g}", "high": f"{known.max():.4g}", "mean": f"{known.mean():.4g}"}
        return ["number", ("{low} to {high}, mean {mean}", values), f"{missing:,}"]
    distinct = len({value for value in column.tolist() if value is not None and value == value})
    return ["category", ("{n} values", {"n": f"{distinct:,}"}), f"{missing:,}"]


def _loss_name(model: Any) -> str:
    loss = getattr(model, "loss", None)
    return loss if isinstance(loss, str) else getattr(loss, "name", None) or type(loss).__name__


def _add_steps(facts: Facts, model: Any, logits: bool) -> None:
    steps: list[Any] = []
    if isinstance(model, Module):
        count = sum(p._value.size for p in model.parameters())
        steps.append(("{name} with {count} parameters.", {"name": type(model).__name__, "count": f"{count:,}"}))
        if model._compiled is not None:
            words = {"loss": _loss_name(model), "optimizer": type(model.optimizer).__name__}
            steps.append(("Compiled with the loss {loss} and the optimizer {optimizer}.", words))
        facts.layers = [list(row[:3]) for row in rows_of(model)]
    else:
        named = getattr(model, "steps", None) or [("", model)]
        steps += [("Step {n}: {step}", {"n": k, "step": _one_line(step)}) for k, (_, step) in enumerate(named, 1)]
    if logits:
        steps.append("The outputs are logits; probabilities are their softmax or sigmoid.")
    facts.steps = steps


def _one_line(step: Any) -> str:
    return " ".join(repr(step).split())[:400]


def _add_curves(facts: Facts, model: Any, history: Any) -> None:
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    if history is not None:
        given: Any = history if isinstance(history, Mapping) else history.history
        facts.curves = [("training", [given])]
        facts.steps.append(("Epochs of training: {n}.", {"n": len(next(iter(given.values()), ()))}))
    elif getattr(last, "loss_curve_", None) is not None:
        facts.curves = [("training", [{"loss": list(last.loss_curve_)}])]
        facts.steps.append(("Epochs of training: {n}.", {"n": len(last.loss_curve_)}))


def _command() -> str:
    """The program that is run, unless it is a notebook or a prompt."""
    program = Path(sys.argv[0]) if sys.argv and sys.argv[0] else None
    if program is None or not program.is_file() or os.environ.get("JPY_PARENT_PID") or "ipykernel" in str(program):
        return ""
    return shlex.join(["python", program.name, *sys.argv[1:]])
