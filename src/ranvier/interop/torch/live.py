"""Models as modules of PyTorch in memory."""

from __future__ import annotations

import linecache
from itertools import count
from typing import Any

import numpy as np

from ranvier.interop.foreign import UnsupportedError
from ranvier.interop.torch.networks import Network, input_types, name_of, network
from ranvier.interop.torch.program import definition
from ranvier.interop.torch.vocabulary import Counterparts, is_of_torch, tie
from ranvier.module import Module
from ranvier.support.source_lines import warn

_numbers = count(1)


def to_torch(model: Module, *, channels_first: bool = False) -> Any:
    """The same network as a ``torch.nn.Module``, with the same weights, which predicts the same and trains on.

    A Sequential becomes an ``nn.Sequential`` where each layer is a module of PyTorch (keys ``0.weight``), and any other
    model a class with an attribute for each layer (``dense.weight``), by its name; automatic names begin without a
    number in each model. Modules of `ranvier.torch` keep their names; a
    class of yours becomes one with the same code, which calls PyTorch.

    The module takes and gives arrays of the shapes that the model has: images (batch, height, width, channels) are
    permuted once, where they enter. With ``channels_first=True`` it takes and gives inputs and outputs of four or more
    dimensions as PyTorch has them, (batch, channels, height, width). In both cases kernels, and the rows of a Dense
    layer behind Flatten, are converted once, here.

    PyTorch's modules and these layers differ in training: the running variance of batch normalization is the unbiased
    one, and one that is not trained needs ``eval()`` after ``train()``; a Dropout draws other numbers; regularizers and
    constraints belong to a loop, and a warning names regularizers. A bias that a layer lacks, such as the second of an
    LSTM, is zero and not trained. The module is in evaluation mode: call ``train()`` before you train it. A module of
    `ranvier.torch` keeps its mode.

    A model that came from a module of PyTorch becomes that module's operators, in training and in evaluation, with its
    names. One that came from ONNX becomes the graph of what it computes when it predicts: normalization keeps its
    statistics, nothing drops, and the module needs this library.

    Needs PyTorch. Raises TypeError naming a layer that has no counterpart, before anything is built.

    >>> net = model.to_torch()
    >>> torch.save(net.state_dict(), 'model.pt')
    """
    torch = library()
    if name_of(model) == "onnx.Model":
        from ranvier.interop.torch.primitives import GraphModule

        try:
            return GraphModule(model, input_types(model)).eval()
        except UnsupportedError as error:
            raise TypeError(f"{model.name!r} cannot become a module of PyTorch: {error}.") from None
    if not is_of_torch(model):
        return _made(network(model, channels_first), torch)
    counterparts = Counterparts(torch, lambda inner: _made(network(inner, channels_first), torch))
    try:
        found = counterparts.module(model)
    except UnsupportedError as error:
        raise TypeError(f"{model.name!r} cannot become a module of PyTorch: {error}.") from None
    tie(found, model)
    return found


def library() -> Any:
    """PyTorch. Raises ModuleNotFoundError that says how to install it."""
    try:
        import torch
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "modules of PyTorch need PyTorch, which is not installed. Write: pip install 'ranvier[torch]'"
        ) from None
    return torch


def _made(found: Network, torch: Any) -> Any:
    """The module that the text of a network defines, with its weights."""
    text = definition(found)
    name = f"<program of to_torch {next(_numbers)}>"
    linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name  # for tracebacks and inspect
    names: dict[str, Any] = {"__name__": "ranvier_to_torch"}
    exec(compile(text, name, "exec"), names)  # noqa: S102 - the text is this library's own
    module = names["model"]
    state = {key: torch.from_numpy(np.array(a, order="C")) for key, a in found.weights.items()}
    if any(t.dtype == torch.float64 for t in state.values()):
        module.double()
    counts = {key: t for key, t in module.state_dict().items() if key.endswith("num_batches_tracked")}
    module.load_state_dict({**state, **counts}, strict=True)
    for key in found.frozen:
        module.get_parameter(key).requires_grad_(False)
    for key in found.untrained:
        module.get_submodule(key).requires_grad_(False)
    if found.penalties:
        names_ = ", ".join(f"{key} ({type(penalty).__name__})" for key, penalty in found.penalties)
        warn(f"PyTorch's modules have no regularizers: add those of {names_} to the loss, as to_code shows.")
    return module.eval()
