"""How a model was compiled, and the state of its optimizer, in Keras's files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.graph.dtypes import widened
from ranvier.interop.keras import values
from ranvier.interop.keras.values import ConfigError
from ranvier.module import Module
from ranvier.optimizers import Optimizer
from ranvier.optimizers.adafactor import Adafactor, whole_moments
from ranvier.optimizers.slots import AVERAGE, SUM
from ranvier.support.source_lines import warn
from ranvier.tensor.tensor import Tensor
from ranvier.training.step.compiled import Compiled
from ranvier.training.step.compiled import compile as compile_model

# By optimizer, the slots in the order of Keras's variables: those of one group alternate between parameters.
SLOTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "SGD": (("momentum",),), "Adam": (("momentum", "velocity"), ("velocity_max",)), "Adamax": (("momentum", "norm"),),
    "NAdam": (("momentum", "velocity"), ("product",)), "RMSprop": (("velocity",), ("momentum",), ("average",)),
    "Adagrad": (("accumulator",),), "Adadelta": (("velocity", "delta"),), "Ftrl": (("accumulator", "linear"),),
    "Lion": (("momentum",),), "Lamb": (("momentum", "velocity"),), "Muon": (("momentum", "velocity"),),
    "ScheduleFreeAdamW": (("momentum", "velocity"),), "Adafactor": (),
}  # fmt: skip
SLOTS["AdamW"] = SLOTS["Adam"]
# Settings of optimizers here that Keras lacks, with the values that change nothing.
OURS = {
    "coupled": False,
    "maximize": False,
    "formula": "keras",
    "dampening": 0.0,
    "lr_decay": 0.0,
    "momentum_decay": 1.0,
    "adjust_lr_fn": None,
}
ARGUMENTS = ("optimizer", "loss", "metrics", "weighted_metrics", "loss_weights", "run_eagerly")


def compile_as(model: Module, words: Mapping[str, Any], arrays: Sequence[Array], source: Any) -> None:
    """Compile a model as it was, with the state of its optimizer; warns where a part of it is not known here."""
    if not words.get("optimizer") and not words.get("loss"):
        return
    try:
        given = {name: _part(name, words[name]) for name in ARGUMENTS if words.get(name) is not None}
        compile_model(model, **given)
    except (ConfigError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        warn(
            f"{source} does not say in known terms how to train the model, which is not compiled ({error}). Write "
            "compile(...) again."
        )
        return
    if arrays:
        _restore(model, arrays, source)


def _part(name: str, words: Any) -> Any:
    if name in ("metrics", "weighted_metrics"):
        return _metrics(words)
    return values.value(words)


def _metrics(words: Any) -> Any:
    """Metrics by name or as objects; one that wraps a function goes by the function's name."""
    if isinstance(words, list):
        return [_metrics(part) for part in words]
    if isinstance(words, Mapping) and words.get("class_name") == "MeanMetricWrapper":
        config = words["config"]
        return config["name"] if config.get("name") in ("accuracy", "acc") else str(config.get("fn") or config["name"])
    if isinstance(words, Mapping) and "class_name" not in words:
        return {key: _metrics(part) for key, part in words.items()}
    return values.value(words)


def legacy(words: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a file before Keras 3 in the form of later ones."""
    known = {name: words[name] for name in ARGUMENTS if name in words}
    known["optimizer"] = words.get("optimizer_config")
    metrics = known.get("metrics")
    if isinstance(metrics, list) and len(metrics) == 1 and isinstance(metrics[0], list):
        known["metrics"] = metrics[0]
    return known


# --- the variables of an optimizer --------------------------------------------------------------------------------


def _variables(optimizer: Optimizer) -> Iterator[tuple[str, list[Tensor]]]:
    """The kind of each of Keras's variables, and the tensors here that hold it."""
    trained = [i for i, p in enumerate(optimizer.parameters) if p.requires_grad]
    slots = [optimizer.slots[i] for i in trained]
    starts = {name for held in slots for name in held}
    yield "iterations", [optimizer.iterations]
    if optimizer.schedule is None:
        yield "rate", []
    for name in (AVERAGE, SUM):
        if name in starts:
            yield from ((name, [held[name]]) for held in slots)
    if isinstance(optimizer, Adafactor):
        yield from (part for held in slots for part in _factors(held))
        return
    for group in SLOTS[_kind(optimizer)]:
        known = [name for name in group if name in starts]
        if known == ["product"]:  # one number for all parameters
            yield "product", [held["product"] for held in slots]
            continue
        for held in slots:
            yield from ((name, [held[name]]) for name in known if name in held)


def _factors(held: Mapping[str, Tensor]) -> list[tuple[str, list[Tensor]]]:
    """Of a matrix Keras also stores the moments that it computes from the factors, of a vector two zeros."""
    if "row" in held:
        return [("row", [held["row"]]), ("column", [held["column"]]), ("moments", [held["row"], held["column"]])]
    return [("zero", []), ("zero", []), ("velocity", [held["velocity"]])]


def _array(kind: str, held: Sequence[Tensor], optimizer: Optimizer) -> Array:
    """One of Keras's variables, as its files hold it."""
    if kind == "rate":
        return np.asarray(optimizer.current_rate(), np.float32)
    if kind == "zero":
        return np.zeros((), np.float32)
    if kind == "moments":
        return whole_moments(*(widened(factor.compute()) for factor in held))
    array = widened(held[0].compute())
    return array.astype(np.int32) if kind == "iterations" else array


def _kind(optimizer: Optimizer) -> str:
    return next((c.__name__ for c in type(optimizer).__mro__ if c.__name__ in SLOTS), "")


def _restore(model: Module, arrays: Sequence[Array], source: Any) -> None:
    optimizer = model.__dict__["_compiled"].optimizer
    if not _kind(optimizer):
        return
    optimizer.attach(model.parameters())
    given = [array.shape for array in arrays]
    every = list(_variables(optimizer))
    # Before Keras 3 the rate was none of the variables.
    forms = (every, [one for one in every if one[0] != "rate"])
    known = next((form for form in forms if given == [_array(*one, optimizer).shape for one in form]), None)
    if known is None:
        if len(given) > 2:  # those of an optimizer that has made no step may be missing
            warn(
                f"{source} has the state of an optimizer with {len(given)} variables, and {type(optimizer).__name__} "
                f"here has {len(every)} for this model. Its state begins anew."
            )
        return
    for (kind, held), array in zip(known, arrays, strict=True):
        if kind == "rate":
            optimizer.learning_rate = float(array)
        for tensor in held if kind != "moments" else ():
            tensor.assign(np.asarray(array, tensor.dtype) if kind == "iterations" else array)


def described(model: Module) -> tuple[dict[str, Any], list[Array]]:
    """The settings of `compile` in Keras's form, and the variables of the optimizer; both empty before `compile`."""
    state = model.__dict__.get("_compiled")
    if not isinstance(state, Compiled):
        return {}, []
    try:
        settings = state.settings()
    except ValueError as error:
        warn(f"{error} cannot be saved, since a file holds no code. Write compile(...) again after load_model.")
        return {}, []
    changed = [
        f"{key}={part!r}" for key, part in settings["optimizer"]["config"].items() if OURS.get(key, part) != part
    ]
    if changed:
        warn(f"Keras's optimizers have no {', '.join(changed)}, so that the file does not say how to train.")
        return {}, []
    words = {
        "optimizer": object_words(settings["optimizer"], "optimizers"),
        "loss": _described(settings["loss"], "losses"),
        "metrics": _described(settings["metrics"], "metrics"),
        "weighted_metrics": _described(settings["weighted_metrics"], "metrics"),
        "loss_weights": settings["loss_weights"],
        "run_eagerly": model.run_eagerly,
        "steps_per_execution": 1,
        "jit_compile": False,
    }
    optimizer = state.optimizer
    if not optimizer.parameters or not _kind(optimizer):
        return words, []
    return words, [_array(kind, held, optimizer) for kind, held in _variables(optimizer)]


def object_words(words: Any, space: str) -> Any:
    """An object in Keras's form, from its class and its arguments."""
    if not isinstance(words, Mapping) or "class_name" not in words:
        return words
    if not words["config"] and not hasattr(values.SPACES[space], words["class_name"]):  # a function of the user's
        name = words["class_name"]
        return {"module": "builtins", "class_name": "function", "config": name, "registered_name": "function"}
    config = {key: object_words(part, "optimizers.schedules") for key, part in (words["config"] or {}).items()}
    if space == "optimizers":
        config = {key: part for key, part in config.items() if key not in OURS}
        return _object("Nadam" if words["class_name"] == "NAdam" else words["class_name"], config, space)
    return _object(words["class_name"], config, space)


def _object(name: str, config: Mapping[str, Any], space: str) -> dict[str, Any]:
    return {"module": f"keras.{space}", "class_name": name, "config": dict(config), "registered_name": None}


def _described(words: Any, space: str) -> Any:
    if isinstance(words, list):
        return [_described(part, space) for part in words]
    if isinstance(words, Mapping) and "class_name" not in words:
        return {key: _described(part, space) for key, part in words.items()}
    return object_words(words, space)
