"""Arguments of tensor functions: their kinds, their names in each vocabulary, and the errors of wrong calls."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ranvier.support.errors import argument_error
from ranvier.tensor.tensor import Tensor


class ParameterMap:
    """The parameters of a tensor function in a vocabulary, mapped to those of its builder of nodes.

    ``shown`` are the vocabulary's parameters in order, ``targets`` the builder's names for them. ``also`` maps further
    accepted names to the builder's. A default that differs from the builder's is passed to it. ``operation`` is the
    name under which a functional model records a call; None where it records none. The operands
    in ``no_numbers`` are no Python numbers.
    """

    def __init__(
        self,
        body: Callable[..., Any],
        name: str,
        shown: Sequence[inspect.Parameter],
        targets: Sequence[str],
        also: Mapping[str, str] | None = None,
        operation: str | None = None,
        no_numbers: Sequence[str] = (),
    ) -> None:
        own = inspect.signature(body).parameters
        self.name, self.operation, self.no_numbers = name, operation, tuple(no_numbers)
        self.signature = inspect.Signature(shown, return_annotation=inspect.signature(body).return_annotation)
        self.kinds = {p.name: _kind(str(p.annotation)) for p in own.values() if p.name in targets}
        self.order = tuple(targets)
        self.titles = {t: p.name for t, p in zip(targets, shown, strict=True)}
        self.known = {**(also or {}), **{p.name: t for t, p in zip(targets, shown, strict=True)}}
        self.required = frozenset(
            t for t, p in zip(targets, shown, strict=True) if p.default is inspect.Parameter.empty
        )
        self.defaults = {
            t: p.default
            for t, p in zip(targets, shown, strict=True)
            if t not in self.required and not _alike(p.default, own[t].default)
        }
        self.tensors_only = {p.name for p in own.values() if str(p.annotation) == "Node" and p.default is p.empty}

    @staticmethod
    def of(body: Callable[..., Any]) -> ParameterMap:
        """The builder's own parameters."""
        parameters = list(inspect.signature(body).parameters.values())
        return ParameterMap(body, body.__name__, parameters, [p.name for p in parameters])

    def all_tensors(self) -> dict[int, tuple[str, ...]]:
        """By the number of arguments, the names of the operands of a call on tensors alone."""
        found = {}
        for n in range(max(len(self.required), 1), len(self.order) + 1):
            names = self.order[:n]
            ordered = names == tuple(name for name in self.kinds if name in names)
            if ordered and all(self.kinds[name] == "operand" and name not in self.defaults for name in names):
                found[n] = names
        return found

    def error(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Exception:
        """The error for a call whose arguments do not fit."""
        named = {self.titles.get(self.known.get(n, n), n): value for n, value in kwargs.items()}
        try:
            bind_arguments(self.signature, args, named, self.name)
        except TypeError as error:
            return error
        return TypeError(f"{self.name} was given an argument twice, by two of its names. Write it once instead.")


def _alike(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _kind(annotation: str) -> str:
    if "Node" not in annotation:
        return "option"
    return "sequence" if "Sequence" in annotation else "operand"


def bind_arguments(signature: inspect.Signature, args: Any, kwargs: Any, name: str) -> Mapping[str, Any]:
    """The arguments of a call by name. Raises TypeError where they do not fit, as those that NumPy passes."""
    try:
        return signature.bind(*args, **kwargs).arguments
    except TypeError as error:
        if "out" in kwargs:
            if kwargs["out"] is not None:
                raise no_out(name) from None
            raise TypeError(
                f"np.{name} cannot be taken of a tensor. Write x.{name}(...) or rv.ops.{name}(x, ...) instead."
            ) from None
        raise argument_error(name, signature, args, kwargs) or error from None


def no_out(name: str) -> TypeError:
    """The error for ``out=``, into which PyTorch's functions write their result."""
    return TypeError(f"{name} has no argument 'out'. Write y = {name}(...), or y.copy_({name}(...)), instead.")


def freeze(value: Any) -> Any:
    """An option as part of a key: lists become tuples, and all nan one object, because no nan equals another."""
    if isinstance(value, (list, tuple)):
        return tuple(freeze(v) for v in value)
    if isinstance(value, np.ndarray):  # of a function of yours, as decorated by tf.function
        raise TypeError(
            "an array for an argument that is an option of the function. Annotate its operands, `def f(x: Node) -> "
            "Node`, and build nodes with ranvier.ops.arrays, or leave rv.function out: loops are compiled as they are."
        )
    return math.nan if isinstance(value, float) and math.isnan(value) else value


def find_handler(values: Iterable[Any]) -> Any:
    """The first value whose class has ``__tensor_function__``, also in lists, tuples and dicts; None if there is none.

    A list that begins with a number is data.
    """
    for value in values:
        if type(value) is Tensor:  # the usual case: the checks below take ten times as long
            continue
        if isinstance(value, (list, tuple)):
            if isinstance(value, list) and value and isinstance(value[0], (int, float)):
                continue
            found = find_handler(value)
        elif isinstance(value, Mapping):
            found = find_handler(value.values())
        else:
            found = value if hasattr(type(value), "__tensor_function__") else None
        if found is not None:
            return found
    return None
