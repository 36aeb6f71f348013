"""Calls of modules: what is noted of them, and the contexts in which models are traced."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import numpy as np

from ranvier.graph.node import BATCH, FLOATS, Type
from ranvier.module.members import ModuleBase
from ranvier.support import exits
from ranvier.support.foreign import check_own
from ranvier.tensor.call_state import call_state
from ranvier.tensor.context import dtype_scope, get_dtype
from ranvier.tensor.masks import mask_of
from ranvier.tensor.tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])


@contextlib.contextmanager
def mode(module: ModuleBase, training: bool) -> Iterator[None]:
    """Put a module into training or evaluation mode, and every submodule back into its own afterwards."""
    before = [(m, m.training) for m in module.modules()]
    module.train(training)
    try:
        yield
    finally:
        for m, was in before:
            m.training = was


def first_float_dtype(module: ModuleBase, registry: str) -> str | None:
    """The dtype of the first floating tensor of a module or of those below it."""
    for below in module.modules():
        for tensor in below.__dict__[registry].values():
            if tensor is not None and tensor.spec.dtype in FLOATS:
                return tensor.spec.dtype
    return None


def check_network(model: Any) -> None:
    """Raise TypeError for what is no network, such as an estimator in place of the network that it has trained."""
    if "_input_type" not in getattr(model, "__dict__", ()):
        check_own(model)
        fix = "Write estimator.model_, once it is fitted," if hasattr(model, "get_params") else "Write a model"
        raise TypeError(f"here is a {type(model).__name__}, and a network is needed. {fix} instead.")


def float_dtype_of(module: ModuleBase) -> str:
    """The floating dtype that a module computes in: its parameters', else its buffers', else the process's.

    Raises TypeError for what is no module, as the functions do that a network is given to.
    """
    try:
        known, usual = module._input_type, get_dtype()
    except AttributeError:
        check_network(module)
        raise
    if known is not None and known.dtype == usual:  # as nearly always, and quickly known
        return usual
    return first_float_dtype(module, "_parameters") or first_float_dtype(module, "_buffers") or usual


@contextlib.contextmanager
def model_dtype_scope(module: ModuleBase) -> Iterator[None]:
    """Compute in the floating dtype of a module, which may have been made under another `set_dtype`."""
    with dtype_scope(float_dtype_of(module)):
        yield


def in_model_dtype(function: F) -> F:
    """A function of a model that computes in the model's floating dtype, whatever the process's is."""

    @functools.wraps(function)
    def inner(model: ModuleBase, *args: Any, **kwargs: Any) -> Any:
        with exits.calls.busy(), model_dtype_scope(model):
            return function(model, *args, **kwargs)

    return cast("F", inner)


@contextlib.contextmanager
def traced_within(results: list[tuple[Any, Any]], root: Any) -> Iterator[None]:
    """Within this context calls of modules add to ``results``, and errors name modules by their paths in ``root``."""
    outer = call_state.results, call_state.root
    call_state.results, call_state.root = results, root
    try:
        yield
    finally:
        call_state.results, call_state.root = outer


def trace_calls(
    module: ModuleBase, type_: Type | None, before: Sequence[tuple[Any, Any]] = (), mask: Type | None = None
) -> tuple[list[tuple[ModuleBase | None, Type | None]], Type | None]:
    """What ``module`` and all it calls return, in order of completion and after ``before``, for an input of a type
    and with such a mask; and the type of the result's mask.
    """
    results = [*before]
    with traced_within(results, None):
        found = mask_of(module._trace(type_, mask))
    return results, None if found is None else found.spec


def shape_of(value: Any) -> Any:
    """The shape of an argument of a call; of a list or a dict of them, a list or a dict of their shapes."""
    if isinstance(value, Mapping):
        return {key: shape_of(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [shape_of(part) for part in value]
    return tuple(value.shape)


def known_shape(shape: Any) -> Any:
    """What `build` was given, as `shape_of` writes it; of anything else than shapes, nothing."""
    if isinstance(shape, Mapping):
        return {key: known_shape(part) for key, part in shape.items()}
    if not isinstance(shape, (list, tuple)):
        return ()
    several = any(isinstance(part, (list, tuple, Mapping)) for part in shape)
    return [known_shape(part) for part in shape] if several else tuple(shape)


def input_type(value: Any) -> Type | None:
    """The type of a call's argument with its first dimension as the batch; None for what is no tensor or array."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if not shape or dtype is None:
        return None
    name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    if not isinstance(value, Tensor) and name.startswith("float"):
        name = get_dtype()
    return Type((BATCH, *tuple(shape)[1:]), name)
