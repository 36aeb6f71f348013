"""A trained network as plain values and arrays, for the pickles of estimators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ranvier.module import Module, from_architecture

__all__ = ["from_state", "to_state"]


def to_state(network: Module, resumed: dict[str, Any] | None) -> dict[str, Any]:
    """Architecture (None where a class is not registered), weights and the optimizer's state.

    ``resumed`` is the optimizer's state of an earlier pickle that nothing has used yet.
    """
    try:
        architecture = network.architecture()
    except TypeError:
        architecture = None
    compiled = network._compiled
    if compiled is not None and compiled.optimizer.parameters:
        resumed = {"kind": type(compiled.optimizer).__name__, "arrays": compiled.optimizer.state()}
    return {
        "architecture": architecture,
        "shape": tuple(network._input_type.shape[1:]) if network._input_type is not None else (),
        "weights": {name: tensor.numpy() for name, tensor in network.state_dict().items()},
        "optimizer": resumed,
    }


def from_state(state: dict[str, Any], make: Callable[[], Module]) -> Module:
    """The network that `to_state` described; ``make`` makes one whose class no description can name."""
    described = state["architecture"]
    network = make() if described is None else from_architecture(described)
    network.load_state_dict(state["weights"])
    return network
