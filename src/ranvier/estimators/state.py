"""A trained network as Python values and arrays, for the pickles of estimators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ranvier.module import Module, from_architecture
from ranvier.module.serialization import classes_of


def optimizer_state(network: Module) -> dict[str, Any] | None:
    """The class and the arrays of the network's optimizer; None without an optimizer."""
    compiled = network._compiled
    if compiled is None or not compiled.optimizer.parameters:
        return None
    return {"kind": type(compiled.optimizer).__name__, "arrays": compiled.optimizer.state()}


def resume(network: Module, state: dict[str, Any] | None) -> None:
    """Restore the result of `optimizer_state` in the network's new optimizer, if it has the same class."""
    optimizer = network._compiled.optimizer
    if state is not None and state["kind"] == type(optimizer).__name__:
        optimizer.attach(network.parameters())
        optimizer.set_state(state["arrays"])


def to_state(network: Module, resumed: dict[str, Any] | None) -> dict[str, Any]:
    """Architecture (None where a class is not registered), weights and the optimizer's state.

    ``resumed`` is the optimizer's state of an earlier pickle that was not used.
    """
    try:
        architecture = None if classes_of(network) else network.architecture()
    except TypeError:
        architecture = None
    return {
        "architecture": architecture,
        "shape": tuple(network._input_type.shape[1:]) if network._input_type is not None else (),
        "weights": {name: tensor.numpy() for name, tensor in network.state_dict().items()},
        "optimizer": optimizer_state(network) or resumed,
    }


def from_state(state: dict[str, Any], make: Callable[[], Module]) -> Module:
    """The network of `to_state`. ``make`` makes one whose class is not registered."""
    described = state["architecture"]
    network = make() if described is None else from_architecture(described)
    network.load_state_dict(state["weights"])
    return network
