"""The arguments of a call of a module: arrays as tensors, and the containers that they come in."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ranvier.graph.dtypes import DTYPES, STORAGE
from ranvier.graph.node import Type
from ranvier.module.calls import input_type
from ranvier.module.members import ModuleBase
from ranvier.support.tree import flatten, map_structure
from ranvier.tensor.context import get_dtype
from ranvier.tensor.tensor import Tensor

NOT_INPUTS = ("training", "mask")  # arguments of Keras's call
# Several inputs as "list" or "tuple", or by the keys of a dict; None: each alone.
Container = str | tuple[str, ...] | None


def as_tensors(argument: Any, lists: bool) -> Any:
    """Arrays and frames of an argument as tensors, in the containers that they are in; anything else as it is.

    A list is data itself, of samples, unless a tensor is in it, or with ``lists`` an array. Arrays of texts stay.
    """
    if isinstance(argument, list):
        kinds = (Tensor, np.ndarray) if lists else (Tensor,)
        if not any(isinstance(part, kinds) for part in flatten(argument)):
            return Tensor(argument)
    if isinstance(argument, (list, tuple, Mapping)):
        return map_structure(argument, np.ndarray, number_tensor)
    if isinstance(argument, np.ndarray):
        return number_tensor(argument)
    if hasattr(argument, "__array__") and not isinstance(argument, Tensor):  # a frame, or a tensor of a peer
        try:
            return Tensor(np.asarray(argument))
        except (TypeError, ValueError) as error:
            raise no_tensor(argument) from error
    return argument


def number_tensor(array: Any) -> Any:
    """An array as a tensor, half floats in the default dtype. One of texts stays, for a layer that maps them."""
    half = array.dtype.name in STORAGE
    texts = array.dtype.kind in "UST" or (array.dtype.kind == "O" and array.size and isinstance(array.flat[0], str))
    return array if texts else Tensor(array, dtype=get_dtype() if half else None)


def no_tensor(argument: Any, what: str = "a layer") -> TypeError:
    """The error for a call on what is no tensor and no array."""
    kind = type(argument)
    home = kind.__module__.partition(".")[0]
    given = repr(argument) if home == "builtins" else f"a {kind.__name__} of {home}"
    return TypeError(
        f"{what} was called on {given}, which holds no numbers for samples. Write a tensor or an array with a row for "
        "each sample, or x = rv.Input((features,)) where a network is described, instead."
    )


def container_type(argument: Any) -> Container:
    """The container that an argument is: see `Container`."""
    if isinstance(argument, Mapping):
        return tuple(map(str, argument))
    if isinstance(argument, (list, tuple)):
        return "list" if isinstance(argument, list) else "tuple"
    return None


def computed_type(value: Any, model: ModuleBase) -> Type | None:
    """The type of an input in programs, which take the numbers that the model's one layer of texts has for texts."""
    type_ = input_type(value)
    if type_ is None or type_.dtype in DTYPES:
        return type_
    layers = [layer for module in model.modules() for layer in module._text_layers()]
    types = {layer.codes_type(Type(type_.shape, "int32")) for layer in layers}
    return types.pop() if len(types) == 1 else None


def types_of(arguments: Sequence[Any], model: ModuleBase) -> tuple[tuple[Type, ...], Container]:
    """The types of the inputs in a call, and the one container that held them; no types where a part is no tensor."""
    form = container_type(arguments[0]) if len(arguments) == 1 else None
    parts = list(flatten(arguments[0]) if form is not None else arguments)
    types = [type_ for type_ in (computed_type(part, model) for part in parts) if type_ is not None]
    return (tuple(types), form) if len(types) == len(parts) else ((), None)


def pack_inputs(inputs: Sequence[Any], form: Container) -> tuple[Any, ...]:
    """The arguments of a call on these inputs."""
    if form is None:
        return tuple(inputs)
    if isinstance(form, str):
        return (list(inputs) if form == "list" else tuple(inputs),)
    return (dict(zip(form, inputs, strict=True)),)


def input_parameters(model: ModuleBase) -> tuple[list[str], int, bool]:
    """The names of the inputs of the model's forward, how many have no default, and whether it takes any number.

    A model's ``input_names``, if it has any, take their place.
    """
    declared = getattr(model, "input_names", None)
    if declared is not None:
        return list(declared), len(declared), False
    function: Any = model.forward
    if model._by_call():
        function = getattr(model, "call", function)
    own = getattr(function, "__func__", None)
    # Cached for functions of classes only: one that is an attribute of an instance may hold the model.
    names, needed, any_number = parameters.__wrapped__(function) if own is None else parameters(own)
    skip = own is not None  # self
    return list(names[skip:]), needed - skip, any_number


@functools.lru_cache(maxsize=256)
def parameters(function: Any) -> tuple[tuple[str, ...], int, bool]:
    names, needed, any_number = [], 0, False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            any_number = True
        elif (
            parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
            and parameter.name not in NOT_INPUTS
        ):
            names.append(parameter.name)
            needed += parameter.default is parameter.empty
    return tuple(names), needed, any_number


def takes_container(model: ModuleBase) -> bool:
    """Whether the model has one parameter for its inputs and may be given several in it, in a list, tuple or dict."""
    return model._takes_lists() and getattr(model, "input_names", None) is None and input_parameters(model)[1] <= 1
