"""Masks in calls of modules, as in Keras: who is given the masks of its inputs, and what mask a result has.

A mask is carried by the tensor that it is of (`ranvier.tensor.masks`). A ``forward`` (or ``call``) that takes ``mask``
is given that of its first argument, and one of several tensors that takes ``query_mask`` that of ``query``. Where
``supports_masking`` holds, ``compute_mask(inputs, previous_mask)`` says what mask the result has.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ranvier.graph.extents import Dim
from ranvier.graph.node import BATCH, Type
from ranvier.graph.open_extents import with_rows
from ranvier.module.members import ModuleBase
from ranvier.support.source_lines import warn
from ranvier.support.tree import flatten
from ranvier.tensor.masks import mask_of, set_mask
from ranvier.tensor.tensor import Tensor


def masked_call(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The result of the module's ``forward`` and of its hooks, with masks."""
    names = parameters_of(module)
    inputs = args[0] if args else next(iter(kwargs.values()), None)
    if len(args) > 1 and names[0] == "*":
        inputs = list(args)
    kwargs, previous = with_masks(names, inputs, args, kwargs)
    hooks = module._call_hooks
    result = module.forward(*args, **kwargs) if hooks is None else hooks.call(module, args, kwargs)
    unmasked = [output for output in flatten(result, Tensor) if mask_of(output) is None]
    supports = getattr(module, "supports_masking", None)
    if supports and unmasked:
        compute = getattr(module, "compute_mask", None)
        masks = previous if compute is None else compute(inputs, previous)
        for output, mask in zip(flatten(result, Tensor), parts_of(masks), strict=False):
            if mask is not None and mask_of(output) is None:
                set_mask(output, mask)
    elif supports is False and unmasked and has_masks(previous):
        warn(
            f"{type(module).__name__} {module.name!r} was given inputs with a mask, and its outputs have none: the "
            "layers after it see all positions. Write supports_masking = True in the class of a layer that keeps the "
            "positions, or compute_mask where it changes them."
        )
    return result


def with_masks(
    names: tuple[str, ...], inputs: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[dict[str, Any], Any]:
    """The keyword arguments with the masks that a ``forward`` of these parameters takes; and the mask of the inputs."""
    kwargs = {
        key: Tensor(value) if isinstance(value, np.ndarray) and key.endswith("mask") else value
        for key, value in kwargs.items()
    }
    given = dict(zip(names, args, strict=False)) | kwargs
    previous = given.get("mask") if "mask" in names else None  # of an operation it is an operand
    if previous is None:
        previous = masks_in(inputs)
        if "mask" in names and has_masks(previous):
            kwargs["mask"] = previous
    if sum(isinstance(value, (Tensor, list, tuple)) for value in given.values()) > 1:
        for name, value in given.items():
            own = f"{name}_mask"
            if own in names and given.get(own) is None and has_masks(masks := masks_in(value)):
                kwargs[own] = masks
    return kwargs, previous


def placeholders(types: Sequence[Type | None], mask: Type | None, rows: Dim = BATCH) -> list[Tensor]:
    """Tensors of so many rows, without values, to trace a module on; the first has a mask of this type."""
    found = [Tensor.placeholder(with_rows(type_, rows)) for type_ in types if type_ is not None]
    if mask is not None:
        set_mask(found[0], Tensor.placeholder(with_rows(mask, rows)))
    return found


def masks_in(inputs: Any) -> Any:
    """The mask of a tensor, or those of several in the containers that they are in."""
    if isinstance(inputs, Mapping):
        return {key: masks_in(part) for key, part in inputs.items()}
    if isinstance(inputs, (list, tuple)):
        return [masks_in(part) for part in inputs]
    return mask_of(inputs)


def has_masks(masks: Any) -> bool:
    """Whether there is a mask among these."""
    return any(mask is not None for mask in flatten(masks))


def parts_of(masks: Any) -> list[Any]:
    """The masks of several outputs, None for each that has none; an array or tensor is one mask."""
    return list(flatten(masks)) if isinstance(masks, (list, tuple, Mapping)) else [masks]


def parameters_of(module: ModuleBase) -> tuple[str, ...]:
    """The names of the parameters of the module's ``forward``, or of the ``call`` that it is written in.

    ``*`` is for those without a name.
    """
    function: Any = getattr(module, "call", module.forward) if module._by_call() else module.forward
    own = getattr(function, "__func__", None)
    # Cached for functions of classes only: one that is an attribute of an instance may hold the module.
    return names_of.__wrapped__(function) if own is None else names_of(own)[1:]


@functools.lru_cache(maxsize=256)
def names_of(function: Any) -> tuple[str, ...]:
    found = inspect.signature(function).parameters.values()
    return tuple("*" if p.kind is p.VAR_POSITIONAL else p.name for p in found)
