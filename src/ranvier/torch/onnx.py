"""``torch.onnx``: networks as files of ONNX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ranvier.module import Module
from ranvier.support import rows
from ranvier.support.errors import missing
from ranvier.support.tree import map_structure
from ranvier.tensor.tensor import Tensor

__all__ = ["export"]


def export(
    model: Module,
    args: Any = (),
    f: Any = None,
    *,
    kwargs: Mapping[str, Any] | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    opset_version: int | None = None,
    dynamic_axes: Mapping[str, Any] | None = None,
    dynamic_shapes: Any = None,
    **options: Any,
) -> None:
    """Write a network as a file of ONNX: its layers as operators, and what its ``forward`` does between them.

    The network is called on ``args`` (a tensor, or several in a tuple) and ``kwargs`` in evaluation mode, and the calls
    are recorded: what depends on the values of tensors, such as an ``if``, is that of one kind of inputs. Axes of any
    extent are those in ``dynamic_axes``, by the names of inputs (``{"x": {0: "batch"}}`` or ``{"x": [0]}``), or in
    ``dynamic_shapes``, in the order of the arguments; without either the first of each input is, where that can be.
    ``opset_version`` is 18 or newer. Other ``options`` are PyTorch's, and have no effect.

    Raises TypeError naming what has no operators, and ValueError for names of another number than the inputs.

    For example ``torch.onnx.export(net, torch.randn(1, 3, 32, 32), "net.onnx", input_names=["image"])``.
    `PyTorch's function <https://docs.pytorch.org/docs/stable/onnx_export.html>`_ takes the same arguments.
    """
    if f is None:
        raise TypeError("torch.onnx.export writes files. Write torch.onnx.export(model, args, path) instead.")
    given = tuple(args) if isinstance(args, (tuple, list)) else (args,)
    given, named = map_structure((given, dict(kwargs or {})), np.ndarray, Tensor)
    if given and isinstance(given[-1], dict) and not named:  # PyTorch's older form
        *first, named = given
        given = tuple(first)
    rows.look_up("onnx", "export")(
        model, given, named, f, input_names=input_names, output_names=output_names, opset_version=opset_version,
        dynamic=dynamic_axes if dynamic_shapes is None else dynamic_shapes,
    )  # fmt: skip


__getattr__, __dir__ = missing("torch.onnx", __all__)
