"""Optimizers that are attributes of a model, whose own ``train_step`` uses them: in its file, and from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ranvier import optimizers
from ranvier.data.convert import Array
from ranvier.module import Module
from ranvier.optimizers.base import Optimizer
from ranvier.support.source_lines import warn
from ranvier.training.step.compiled import Compiled

START = "optimizers/"  # of the names of their tensors
COMPILED = "compile"  # in place of an attribute's name


def found_in(model: Module) -> Iterator[tuple[str, Optimizer]]:
    """The optimizers by their names: attributes, and that of `compile` where a step of the model's own used it for
    some weights alone, as `COMPILED`.
    """
    own = list(map(id, model.parameters()))
    for name, value in model.__dict__.items():
        if isinstance(value, Optimizer):
            yield name, value
        elif isinstance(value, Compiled) and list(map(id, value.optimizer.parameters)) != own:
            yield COMPILED, value.optimizer


def describe(model: Module) -> dict[str, Any]:
    """By name how to make each again (None for a class of yours) and the names of the weights that it trains.

    Warns of one that trains what is no weight of the model.
    """
    titles = {id(p): name for name, p in model.named_parameters()}
    result: dict[str, Any] = {}
    for name, optimizer in found_in(model):
        if not optimizer.parameters:
            continue
        try:
            names = [titles[id(p)] for p in optimizer.parameters]
        except KeyError:
            warn(f"{name!r} trains what is no weight of {model.name!r}, so its state is not saved.")
            continue
        try:
            described = optimizers.describe(optimizer)
        except ValueError:
            described = None
        result[name] = {"optimizer": described, "parameters": names}
    return result


def tensors_of(model: Module, described: Mapping[str, Any]) -> dict[str, Array]:
    """The state of those that are described, by their names in a file."""
    return {
        f"{START}{name}/{key}": array
        for name, optimizer in found_in(model)
        if name in described
        for key, array in optimizer.state().items()
    }


def restore(model: Module, described: Mapping[str, Any], tensors: Mapping[str, Array]) -> None:
    """Give each its weights, its rate and its state. One that the model does not make itself is made as the file says.

    Warns where the file does not say it. Raises what `MALFORMED` names where the state does not fit.
    """
    parameters = dict(model.named_parameters())
    for name, entry in described.items():
        optimizer = _known(model, name)
        if optimizer is None and (name == COMPILED or entry["optimizer"] is None):
            warn(
                f"the state of the optimizer {name!r} of {model.name!r} is not loaded, because a file holds no code. "
                "Write the optimizer in the __init__ of the model instead."
            )
            continue
        if optimizer is None:
            if hasattr(model, name):
                raise ValueError(f"the file has an optimizer {name!r}, which is another attribute of the model")
            optimizer = optimizers.get(entry["optimizer"])
            setattr(model, name, optimizer)
        elif entry["optimizer"] is not None and optimizer.schedule is None:
            optimizer.learning_rate = optimizers.get(entry["optimizer"]).learning_rate
        optimizer.attach([parameters[p] for p in entry["parameters"]])
        start = f"{START}{name}/"
        optimizer.set_state({k.removeprefix(start): a for k, a in tensors.items() if k.startswith(start)})


def _known(model: Module, name: str) -> Optimizer | None:
    return dict(found_in(model)).get(name)
