"""``torch.onnx.export``: modules called as PyTorch's programs call them, as files of ONNX."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from ranvier.graph.node import BATCH, Type
from ranvier.graph.open_extents import ANY, OpenExtent
from ranvier.interop.onnx.exporting import Called, to_proto, write
from ranvier.module import Module
from ranvier.support.tree import flatten, map_structure
from ranvier.tensor.tensor import Tensor


def export_called(
    model: Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], filepath: Any, *,
    input_names: Sequence[str] | None, output_names: Sequence[str] | None, opset_version: int | None, dynamic: Any,
) -> None:  # fmt: skip
    """Write ``model``, called on ``args`` and ``kwargs``. See `ranvier.torch.onnx.export`.

    ``dynamic`` says which axes are of any extent: by the names of inputs, or in the order of the arguments; None for
    the first of each, where the model can be traced so.
    """
    bound = inspect.signature(model.forward).bind(*args, **kwargs)
    tree = (bound.args, bound.kwargs)
    given = list(flatten(tree, Tensor))
    if not given:
        raise TypeError(
            "torch.onnx.export calls the model on args, and there is no tensor among them. Write args=(x,), with a "
            "tensor for each input, instead."
        )
    names = list(input_names or ())
    if dynamic is None:
        open_axes: list[dict[int, str]] = [{0: ""} if tensor.ndim else {} for tensor in given]
    else:
        keys = names or [name for name, value in bound.arguments.items() for _ in flatten(value, Tensor)]
        open_axes = _open_axes(dynamic, keys, len(given))

    def called(axes: Sequence[Mapping[int, str]]) -> Called:
        types = [_type(tensor, which) for tensor, which in zip(given, axes, strict=True)]
        return Called(types, lambda tensors: _call(model, tree, tensors), names, list(output_names or ()), axes)

    try:
        proto = to_proto(model, opset_version, called(open_axes))
    except (TypeError, ValueError, RuntimeError):
        if dynamic is not None:
            raise
        proto = to_proto(model, opset_version, called([{} for _ in given]))
    write(proto, filepath)


def _call(model: Module, tree: Any, tensors: Sequence[Tensor]) -> Any:
    rest = iter(tensors)
    args, kwargs = map_structure(tree, Tensor, lambda _: next(rest))
    return model(*args, **kwargs)


def _type(tensor: Tensor, axes: Mapping[int, str]) -> Type:
    """The type of an input: its first axis, where that may be any, is the batch."""
    dims = [(BATCH if i == 0 else OpenExtent(ANY)) if i in axes else n for i, n in enumerate(tensor.shape)]
    return Type(tuple(dims), tensor.spec.dtype)


def _open_axes(dynamic: Any, keys: Sequence[str], count: int) -> list[dict[int, str]]:
    """For each input the axes of any extent, with their names. Raises ValueError for what names no input."""
    if isinstance(dynamic, Mapping):
        found = [dynamic.get(key) for key in keys]
    else:
        found = list(dynamic)
        if len(found) != count:
            raise ValueError(f"dynamic_shapes has {len(found)} entries for {count} inputs. Write one for each instead.")
    return [_axes(which) for which in found]


def _axes(which: Any) -> dict[int, str]:
    """Axes by number with their names: of a dict, of a list of numbers, or of an entry for each axis."""
    if which is None:
        return {}
    if isinstance(which, Mapping):
        return {int(axis): _name(dim) for axis, dim in which.items() if dim is not None}
    if all(type(axis) is int for axis in which):
        return dict.fromkeys(which, "")
    return {axis: _name(dim) for axis, dim in enumerate(which) if dim is not None}


def _name(dim: Any) -> str:
    """The name of a dimension, which PyTorch has as text or as an object with a name."""
    return dim if isinstance(dim, str) else str(getattr(dim, "__name__", ""))
