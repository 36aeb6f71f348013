"""``torch.onnx``: networks as files of ONNX."""

from __future__ import annotations

from typing import Any

from ranvier.module import Module
from ranvier.module.calls import mode
from ranvier.support.errors import missing
from ranvier.tensor.context import no_grad

__all__ = ["export"]


def export(model: Module, args: Any = (), f: Any = None, **options: Any) -> None:
    """Write a network as a file of ONNX, as ``model.export(f)`` does, for any size of batch.

    ``args`` are inputs, a tensor or several in a tuple, of which the shapes are taken. ``options`` are PyTorch's, and
    have no effect. Raises TypeError naming a module that has no operators.
    """
    if f is None:
        raise TypeError("torch.onnx.export writes files. Write torch.onnx.export(model, args, path) instead.")
    given = tuple(args) if isinstance(args, (tuple, list)) else (args,)
    if given and model._input_type is None:
        with no_grad(), mode(model, False):
            model(*given)
    model.export(f)


__getattr__, __dir__ = missing("torch.onnx", __all__)
