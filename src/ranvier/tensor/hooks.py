"""Hooks on tensors: functions in Python that see a gradient when it is computed, and may replace it."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Self

from ranvier.tensor.cuts import PlacedCut, cut_at, rule_of
from ranvier.tensor.function import add
from ranvier.tensor.tensor import Tensor

Hook = Callable[[Any], Any]

_numbers = itertools.count()


class RemovableHandle:
    """What a hook is removed by: ``handle.remove()``, or the end of ``with handle:``."""

    def __init__(
        self,
        hooks: dict[int, Any],
        *others: dict[int, Any],
        first: bool = False,
        then: Callable[[], None] | None = None,
    ) -> None:
        self.id = next(_numbers)
        self._places = (hooks, *others)
        self._first, self._then = first, then

    def put(self, hook: Any) -> Self:
        """Add a hook to the first place, behind the others or before them."""
        hooks = self._places[0]
        others = dict(hooks) if self._first else {}
        if self._first:
            hooks.clear()
        hooks[self.id] = hook
        hooks.update(others)
        return self

    def remove(self) -> None:
        """Remove the hook, if it is still there."""
        for hooks in self._places:
            hooks.pop(self.id, None)
        if self._then is not None:
            self._then()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def replaced(gradient: Tensor, result: Any, what: str) -> Tensor:
    """The gradient that goes on after a hook returned ``result``. Raises TypeError or RuntimeError for a wrong one."""
    if result is None:
        return gradient
    if not isinstance(result, Tensor):
        raise TypeError(
            f"{what} returned {type(result).__name__}. Write a tensor in place of the gradient, or return nothing."
        )
    if result.shape != gradient.shape:
        raise RuntimeError(
            f"{what} returned a gradient of shape {result.shape}, and the gradient has shape {gradient.shape}. Write "
            "a tensor of the same shape instead."
        )
    return result


class TensorHooks:
    """The hooks of one tensor: the rule of the cut at a result; of a leaf they run before its gradient is added."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = weakref.ref(tensor)
        self.hooks: dict[int, Hook] = {}
        self.after: dict[int, Hook] = {}  # of a leaf, once its gradient has been added
        self.retains = False

    def applied(self, gradient: Tensor) -> Tensor:
        """The gradient that goes on."""
        for hook in list(self.hooks.values()):
            gradient = replaced(gradient, hook(gradient), "the hook of a tensor")
        return gradient

    def __call__(self, gradients: list[Any], place: PlacedCut) -> Sequence[Any]:
        gradient = self.applied(gradients[0])
        tensor = self.tensor()
        if self.retains and tensor is not None:
            tensor.grad = gradient if tensor.grad is None else add(tensor.grad, gradient)
        return [gradient]


leaf_hooks: dict[int, TensorHooks] = {}  # of leaves, by id


def hooked(leaf: Tensor, gradient: Tensor | None) -> Tensor | None:
    """The gradient of a tensor after the hooks, if it is a leaf that has some."""
    hooks = leaf_hooks.get(id(leaf)) if leaf_hooks else None
    return gradient if hooks is None or gradient is None else hooks.applied(gradient)


def hooks_key(leaf: Tensor) -> tuple[int, ...]:
    """The numbers of the hooks of a leaf: programs that a leaf takes part in depend on them."""
    return tuple(leaf_hooks[id(leaf)].hooks) if id(leaf) in leaf_hooks else ()


def hooks_of(tensor: Tensor) -> TensorHooks:
    """The hooks of a tensor, which can be added to. Raises RuntimeError for a tensor without a gradient."""
    if not tensor.requires_grad:
        raise RuntimeError(
            "a hook cannot see a gradient of a tensor that requires none. Write x.requires_grad_() before x is used."
        )
    if tensor.history_ended:
        raise RuntimeError("this tensor's history ended, so no gradient will come. Register the hook before that.")
    known: Any = rule_of(tensor.trace_node, tensor.segment)
    if tensor.is_leaf:
        number = id(tensor)
        if number not in leaf_hooks:
            leaf_hooks[number] = TensorHooks(tensor)
            weakref.finalize(tensor, leaf_hooks.pop, number, None).atexit = False
        return leaf_hooks[number]
    if not isinstance(known, TensorHooks) or known.tensor() is not tensor:
        known = TensorHooks(tensor)
        cut_at(tensor, known)
    return known


def register_hook(tensor: Tensor, hook: Hook) -> RemovableHandle:
    """Call ``hook(gradient)`` whenever the gradient of this tensor is computed; what it returns replaces the gradient.

    Returns a handle whose ``remove()`` removes the hook. Raises RuntimeError for a tensor that requires no gradient.
    """
    return RemovableHandle(hooks_of(tensor).hooks).put(hook)


def register_post_accumulate_grad_hook(tensor: Tensor, hook: Hook) -> RemovableHandle:
    """Call ``hook(tensor)`` after `backward` has added to the ``grad`` of this leaf.

    Raises RuntimeError for a result, and for a tensor that requires no gradient.
    """
    hooks = hooks_of(tensor)
    if not tensor.is_leaf:
        raise RuntimeError("only the gradient of a leaf is accumulated. Write x.register_hook(hook) instead.")
    return RemovableHandle(hooks.after).put(hook)


def retain_grad(tensor: Tensor) -> None:
    """Keep the gradient of this result in ``grad``, as that of a leaf is kept. Nothing happens for a leaf."""
    if not tensor.is_leaf or not tensor.requires_grad:
        hooks_of(tensor).retains = True


def retains_grad(tensor: Tensor) -> bool:
    """Whether this is a result whose gradient is kept."""
    rule = rule_of(tensor.trace_node, tensor.segment)
    return isinstance(rule, TensorHooks) and rule.tensor() is tensor and rule.retains
