"""Generation step by step: a causal model is called on new tokens alone, and its layers keep what they need."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ranvier.module.members import ModuleBase
from ranvier.ops import arrays
from ranvier.ops.functional.attention import written_at
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.validation import whole
from ranvier.tensor.context import no_grad
from ranvier.tensor.tensor import Tensor

_active: contextvars.ContextVar[KeyValueCache | None] = contextvars.ContextVar("key_values", default=None)


class KeyValueCache(CheckedConstructor):
    """What a model keeps of the tokens so far: keys and values of causal attention, states of recurrent layers.

    ``cache(model, tokens)`` is what ``model(tokens)`` gives for tokens (batch, new, ...) behind those of the calls
    before, so that each token is computed once: first call it on the prompts, then on each new token. Layers with
    ``use_causal_mask`` (PyTorch's with ``is_causal``) see the tokens before, recurrent layers go on from their last
    states, and layers of positions count on. Attention has ``length`` tokens; a call beyond raises ValueError. Nothing
    computed has a gradient.

    ``state`` holds all of it in tensors, so that it can be the carry of `ops.scan`, a loop that is compiled as a
    whole: in its body, set ``cache.state`` to the carry, call the cache, and return its state.
    """

    def __init__(self, length: int) -> None:
        self.length = whole("length", length, of="KeyValueCache")
        self.used = 0
        self.position: Any = Tensor(np.int32(0))  # of the first new token
        self._stored: dict[ModuleBase, tuple[Any, ...]] = {}

    @property
    def state(self) -> tuple[Any, list[tuple[Any, ...]]]:
        """The position, and what each layer keeps in the order of their first calls."""
        return self.position, list(self._stored.values())

    @state.setter
    def state(self, state: tuple[Any, Any]) -> None:
        self.position, stored = state
        self._stored = dict(zip(self._stored, map(tuple, stored), strict=True))

    def __call__(self, model: Any, tokens: Any) -> Any:
        """What the model gives for the next tokens."""
        new = tokens.shape[1]
        with no_grad(), self._entered():
            result = model(tokens)
            self.position = arrays.add(self.position, new)
        self.used += new
        return result

    @contextlib.contextmanager
    def _entered(self) -> Iterator[None]:
        token = _active.set(self)
        try:
            yield
        finally:
            _active.reset(token)

    def extended(self, layer: ModuleBase, keys: Any, values: Any, axis: int) -> tuple[Any, Any]:
        """All keys and values of a layer, with new ones in their places along ``axis``; places to come are zeros."""
        new = keys.shape[axis]
        if self.used + new > self.length:
            raise ValueError(
                f"a KeyValueCache of {self.length} tokens has {self.used} and is given {new} more. Write a larger "
                "length."
            )
        before = self.kept(layer, lambda: (self._empty(keys, axis), self._empty(values, axis)))
        pairs = zip(before, (keys, values), strict=True)
        first, second = (written_at(whole, part, self.position, axis=axis) for whole, part in pairs)
        self.keep(layer, (first, second))
        return first, second

    def kept(self, layer: ModuleBase, first: Callable[[], Iterable[Any]]) -> tuple[Any, ...]:
        """What a layer keeps of the tokens before; at the first call what ``first`` returns."""
        return self._stored[layer] if layer in self._stored else tuple(first())

    def keep(self, layer: ModuleBase, values: Sequence[Any]) -> None:
        """Store what a layer needs of the tokens so far."""
        self._stored[layer] = tuple(values)

    def follows(self, x: Any) -> bool:
        """Whether a layer's input is computed of the tokens, so that the layer goes on where it was."""
        return True

    def _empty(self, new: Any, axis: int) -> Any:
        return Tensor(np.zeros((*new.shape[:axis], self.length, *new.shape[axis + 1 :]), new.dtype))


def active_cache(x: Any) -> KeyValueCache | None:
    """The cache whose model is being called, for a layer with this input; None outside of such calls."""
    cache = _active.get()
    return cache if cache is not None and cache.follows(x) else None


def cache_of_steps(x: Any, name: str, backward: bool) -> KeyValueCache | None:
    """The active cache for a recurrent layer with this input. Raises ValueError for a layer that goes backward."""
    cache = active_cache(x)
    if cache is not None and backward:
        raise ValueError(
            f"layer {name!r} goes backward, so that each token depends on those after it. Write layers that go forward "
            "alone to generate text."
        )
    return cache


def first_position(x: Any, start: Any) -> Any:
    """The position of the first token of x: ``start``, behind those that a cache holds."""
    cache = active_cache(x)
    return start if cache is None else arrays.add(cache.position, start)
