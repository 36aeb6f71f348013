"""The weights of a model under the names and in the layouts that they have in PyTorch, and back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ranvier.data.convert import Array
from ranvier.data.files import CheckpointError
from ranvier.graph.dtypes import widened
from ranvier.interop.torch.builder import numbered
from ranvier.interop.torch.networks import Network, name_of, network
from ranvier.interop.torch.vocabulary import is_of_torch
from ranvier.module import Module
from ranvier.module.state import state_problems

BROUGHT = ("onnx.", "exported.")  # the starts of the registered names of models from elsewhere
COUNT = "num_batches_tracked"  # of batch normalization, which layers here have not


def has_own_names(model: Module) -> bool:
    """Whether the state of a model has PyTorch's names itself: its modules do, and what was brought over."""
    return is_of_torch(model) or name_of(model).startswith(BROUGHT)


def torch_state(model: Module, channels_first: bool = False) -> dict[str, Array]:
    """The state dict of ``model.to_torch()``, made without PyTorch.

    Of a model that came from a file of ONNX or a module of PyTorch it is its own, which has their names. Raises
    TypeError as `to_torch` does.
    """
    if has_own_names(model):
        return {name: np.asarray(t.compute()) for name, t in model.state_dict().items()}
    return _with_counts(network(model, channels_first))


def _with_counts(found: Network) -> dict[str, Array]:
    state: dict[str, Array] = {}
    for key, a in found.weights.items():
        state[key] = np.ascontiguousarray(a)
        if key.endswith("running_var"):
            state[key.removesuffix("running_var") + COUNT] = np.zeros((), np.int64)
    return state


def from_torch_state(model: Module, state: Mapping[str, Array]) -> dict[str, Array]:
    """The state dict of a model here, from that of the module that ``model.to_torch()`` makes.

    Of the two forms of the module the one is taken whose names fit. Two biases of a recurrent layer of PyTorch become
    their sum, where the layer has one. Raises CheckpointError naming every tensor that is missing, unexpected or of
    another shape, and TypeError as `to_torch` does.
    """
    tensors = dict(model._state())
    if has_own_names(model) or state.keys() == model.state_dict().keys():
        return {name: np.asarray(a) for name, a in state.items()}
    arrays = {name: widened(t.compute()) for name, t in tensors.items()}
    starts, total = dict[str, int](), 1  # 0 is the place of what the model lacks
    for name, a in arrays.items():
        starts[name], total = total, total + a.size
    numbers = {
        id(tensors[name]): np.arange(start, start + arrays[name].size).reshape(arrays[name].shape)
        for name, start in starts.items()
    }
    with numbered(numbers):
        forms = [network(model, first) for first in (False, True)]
    given = {key: np.asarray(a) for key, a in state.items() if not key.endswith(COUNT)}
    found = next((form for form in forms if form.weights.keys() == given.keys()), forms[0])
    places = {key: np.asarray(a) for key, a in found.weights.items()}
    _check(places, given, model)
    flat = np.concatenate([np.zeros(1), *(a.reshape(-1) for a in arrays.values())])
    for key, place in places.items():
        if key not in found.frozen and key not in found.constants:
            flat[place] = given[key]
    for key in found.frozen:
        title = key.rpartition(".")[2]
        if title.startswith("bias_hh"):
            flat[places[key.replace("bias_hh", "bias_ih")]] += given[key]
        elif not np.all(given[key] == (1 if title == "weight" else 0)):
            raise CheckpointError(f"{key} was trained, and {model.name!r} has no such weight.")
    return {
        name: flat[start : start + arrays[name].size].reshape(arrays[name].shape).astype(arrays[name].dtype)
        for name, start in starts.items()
    }


def _check(places: Mapping[str, Array], given: Mapping[str, Array], model: Module) -> None:
    own = {key: a.shape for key, a in places.items()}
    shapes = {key: given[key].shape for key in own if key in given}
    faults = state_problems(
        own, shapes, (key for key in own if key not in given), (key for key in given if key not in own)
    )
    if faults:
        raise CheckpointError(f"the state does not fit {model.name!r} in PyTorch's form:\n  " + "\n  ".join(faults))
