"""Functions with a gradient of one's own: subclasses of `Function` write ``forward`` and ``backward``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from ranvier.graph.dtypes import FLOATING, array_dtype
from ranvier.graph.node import Type
from ranvier.ops import arrays
from ranvier.ops.indexing import writable
from ranvier.tensor import trace
from ranvier.tensor.context import no_grad
from ranvier.tensor.cuts import PlacedCut, cut
from ranvier.tensor.function import converted
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.views import write

__all__ = ["Function", "FunctionCtx", "once_differentiable"]


class FunctionCtx:
    """What ``forward`` keeps for ``backward``. Attributes of any name may be added."""

    needs_input_grad: tuple[bool, ...] = ()
    saved_tensors: tuple[Any, ...] = ()
    _materializes = True
    _constant: tuple[Any, ...] = ()
    _changed: tuple[Any, ...] = ()

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors (or None) for ``backward``, which reads them as ``saved_tensors``."""
        for tensor in tensors:
            if tensor is not None and not isinstance(tensor, Tensor):
                raise TypeError(
                    f"save_for_backward takes tensors, and here is {type(tensor).__name__}. Write ctx.name = value "
                    "instead, which keeps any value."
                )
        self.saved_tensors = tensors

    def save_for_forward(self, *tensors: Any) -> None:
        """Accepted without effect: ``jvp`` is computed from ``backward``."""

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Let these results require no gradient."""
        self._constant = tensors

    def mark_dirty(self, *tensors: Any) -> None:
        """Say that ``forward`` has changed these arguments in place, and returns them."""
        self._changed = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether ``backward`` gets zeros for a result without a gradient, or None."""
        self._materializes = bool(value)


class Function(FunctionCtx):
    """A function with a gradient of its own. It is called by ``apply``, by position.

    Subclasses write ``forward(ctx, *args)``, or ``forward(*args)`` and ``setup_context(ctx, inputs, output)``; and
    ``backward(ctx, *gradients)``, which returns the gradient of each argument, None for those without one. Both are
    static methods and compute with tensors. ``forward`` may read their values, outside of `fit`.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises RuntimeError."""
        name = type(self).__name__
        raise RuntimeError(f"{name}() is the context of a call. Write {name}.apply(x) in place of {name}()(x).")

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("this function has no forward. Write: @staticmethod def forward(ctx, x): ...")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Keep what ``backward`` needs, where ``forward`` takes no ``ctx``."""

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        raise NotImplementedError("this function has no backward. Write: @staticmethod def backward(ctx, g): ...")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """The result of ``forward``, whose gradient is that of ``backward``."""
        ctx = cls()
        needed = [isinstance(a, Tensor) and a.requires_grad for a in args]
        ctx.needs_input_grad = tuple(needed)
        with no_grad():
            if cls.setup_context is Function.setup_context:
                output = cls.forward(ctx, *args)
            else:
                output = cls.forward(*args)
                cls.setup_context(ctx, args, output)
        if not any(needed) or not trace.state.grad_enabled:
            return output
        for tensor in ctx._changed:
            writable(tensor)
        results = list(output) if isinstance(output, (tuple, list)) else [output]
        places = [
            i for i, r in enumerate(results)
            if isinstance(r, Tensor) and r.dtype in FLOATING and not any(r is c for c in ctx._constant)
        ]  # fmt: skip
        if not places:
            return output
        values = [results[i] for i in places]
        sources = [a for a, n in zip(args, needed, strict=True) if n]
        saved = [t for t in ctx.saved_tensors if t is not None and not any(t is v for v in values)]
        rule = _Backward(cls, ctx, [a.spec if isinstance(a, Tensor) else None for a in args], results, places, saved)
        for i, made in zip(places, cut(rule, values, sources, saved), strict=True):
            if any(results[i] is t for t in ctx._changed):
                write(results[i], made)
            else:
                results[i] = made
        return type(output)(results) if isinstance(output, (tuple, list)) else results[0]


class _Backward:
    """The rule of a function's cut."""

    def __init__(
        self,
        kind: type[Function],
        ctx: Any,
        arguments: list[Any],
        results: list[Any],
        places: list[int],
        saved: list[Any],
    ) -> None:
        self.kind, self.ctx, self.arguments, self.name = kind, ctx, arguments, kind.__name__
        self.specs = [getattr(r, "spec", None) for r in results]
        self.places = places  # of the cut's values among the results
        values = [results[i] for i in places]
        # For each saved tensor: a value of the cut, or another operand of it.
        self.saved = [
            None if t is None
            else next(((True, i) for i, v in enumerate(values) if t is v), None)
            or next((False, i) for i, s in enumerate(saved) if t is s)
            for t in ctx.saved_tensors
        ]  # fmt: skip
        ctx.saved_tensors = ()

    def __call__(self, gradients: list[Any], place: PlacedCut) -> list[Any]:
        """The gradients of the tensors among the arguments that require one."""
        ctx, name = self.ctx, f"{self.name}.backward"
        given: list[Any] = [None] * len(self.specs)
        for number, (i, gradient) in enumerate(zip(self.places, gradients, strict=True)):
            if gradient is None and ctx._materializes:
                gradient = arrays.zeros_like(place.result(number))
            given[i] = gradient
        if ctx._materializes:
            given = [_zeros(spec) if g is None and spec else g for g, spec in zip(given, self.specs, strict=True)]
        ctx.saved_tensors = tuple(
            s if s is None else place.result(s[1]) if s[0] else place.saved(s[1]) for s in self.saved
        )
        try:
            returned = self.kind.backward(ctx, *given)
        finally:
            ctx.saved_tensors = ()
        parts = list(returned) if isinstance(returned, (tuple, list)) else [returned]
        count = len(self.arguments)
        if len(parts) < count or any(p is not None for p in parts[count:]):
            raise RuntimeError(
                f"{name} returned {len(parts)} gradients, and forward takes {count} arguments. Write one for each "
                "argument, and None for those without a gradient."
            )
        every = zip(parts, self.arguments, ctx.needs_input_grad, strict=False)
        return [_fitted(part, spec, name) for part, spec, needed in every if needed]


def _zeros(spec: Type) -> Tensor:
    """The gradient of a result that the loss does not depend on."""
    return Tensor.wrap(np.zeros(spec.shape, array_dtype(spec.dtype)), type_=spec)  # no symbols


def _fitted(part: Any, wanted: Type, name: str) -> Any:
    """A gradient of the argument's shape and dtype. Raises RuntimeError where it cannot be made to fit."""
    if part is None:
        return None
    if not isinstance(part, Tensor):
        raise TypeError(f"{name} returned {type(part).__name__} for a tensor. Write a tensor, or None.")
    if part.shape != wanted.shape:
        part = _summed(part, wanted, name)
    return part if part.dtype == wanted.dtype else converted(part, wanted.dtype)


def _summed(part: Tensor, wanted: Type, name: str) -> Tensor:
    """A gradient, summed up where the argument was broadcast or broadcast where it was summed up."""
    more = part.ndim - len(wanted.shape)
    fits = more >= 0 and all(b in (1, a) for a, b in zip(part.shape[more:], wanted.shape, strict=True))
    if not fits and (
        more > 0 or any(a not in (1, b) for a, b in zip(part.shape[::-1], wanted.shape[::-1], strict=False))
    ):
        raise RuntimeError(
            f"{name} returned a gradient of shape {part.shape} for an argument of shape {wanted.shape}. Write one of "
            "the argument's shape instead."
        )
    if not fits:
        return arrays.broadcast_to(part, wanted.shape)
    ones = [i for i, (a, b) in enumerate(zip(part.shape[more:], wanted.shape, strict=True), more) if a != b]
    axes = (*range(more), *ones)
    return arrays.reshape(arrays.sum(part, axes, True) if axes else part, wanted.shape)


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """A ``backward`` whose results cannot be differentiated again, such as one that computes with NumPy."""

    @functools.wraps(backward)
    def inner(ctx: Any, *gradients: Any) -> Any:
        with no_grad():
            returned = backward(ctx, *gradients)
        sources = [g for g in (*gradients, *ctx.saved_tensors) if isinstance(g, Tensor) and g.requires_grad]
        if not sources or not trace.state.grad_enabled:
            return returned
        several = isinstance(returned, (tuple, list))
        parts = list(returned) if several else [returned]
        places = [i for i, p in enumerate(parts) if isinstance(p, Tensor)]
        for i, made in zip(places, cut(_refuse, [parts[i] for i in places], sources), strict=True):
            parts[i] = made
        return tuple(parts) if several else parts[0]

    return inner


def _refuse(gradients: list[Any], place: PlacedCut) -> NoReturn:
    raise RuntimeError(
        "this gradient is differentiated again, and its backward is marked by @once_differentiable. Write a backward "
        "of tensor functions and leave the mark out."
    )
