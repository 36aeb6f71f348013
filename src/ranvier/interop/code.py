"""Models as text: the programs that define and compile them in Keras, PyTorch and this library."""

from __future__ import annotations

from typing import Any

from ranvier.interop.foreign import UnsupportedError
from ranvier.interop.keras_code import keras_program
from ranvier.interop.program_text import identifier
from ranvier.interop.torch.networks import VOCABULARY, name_of, network
from ranvier.interop.torch.program import definition
from ranvier.interop.torch.training import training
from ranvier.module import Module, Sequential

LIBRARIES = ("keras", "torch", "ranvier")


def to_code(model: Module, library: str = "ranvier", *, channels_first: bool = False) -> str:
    """The program that defines and compiles a model in a ``library``: "keras", "torch" or "ranvier".

    The text defines ``model``, with Keras's names in Keras and here, and with modules of ``torch.nn`` in PyTorch; it
    has no weights. How the model was compiled follows: ``model.compile(...)``, or in PyTorch the optimizer, the loss
    and a function ``train(batches, epochs)``, which adds regularizers to the loss and returns the mean loss of its last
    epoch. The program of PyTorch defines the module that ``model.to_torch()`` makes; ``channels_first`` is as there. A
    model of `ranvier.torch` becomes a program of PyTorch, or of `ranvier.torch`.

    Raises ValueError for another library; TypeError naming a layer, an optimizer or a loss that the library lacks.

    >>> print(rv.utils.to_code(model, 'torch'))
    """
    if library not in LIBRARIES:
        known = ", ".join(map(repr, LIBRARIES))
        raise ValueError(f"library={library!r} is none that programs are written for. Write one of {known} instead.")
    try:
        if library == "torch" or of_torch(model):
            if library == "keras":
                raise UnsupportedError("it is of PyTorch's vocabulary. Write 'torch' or 'ranvier'")
            found = network(model, channels_first)
            names = [identifier(name) for name in getattr(model, "output_names", None) or ["y"]]
            text = definition(found, training(model, found, names))
            return text if library == "torch" else _here(text)
        return keras_program(model, library)
    except UnsupportedError as error:
        what = {"keras": "Keras", "torch": "PyTorch", "ranvier": "this library"}[library]
        raise TypeError(f"{model.name!r} has no program of {what}: {error}.") from None


def of_torch(model: Any) -> bool:
    """Whether all layers of a model are of PyTorch's vocabulary."""
    if type(model) is Sequential:
        return len(model) > 0 and all(map(of_torch, model))
    return name_of(model).startswith(VOCABULARY)


def _here(text: str) -> str:
    """A program of PyTorch with this library's names for it."""
    lines = text.replace("import torch.nn.functional as F", "import ranvier.torch.nn.functional as F")
    lines = lines.replace("import torch\n", "import ranvier.torch as torch\n", 1)
    return lines.replace("from torch import nn", "from ranvier.torch import nn", 1)
