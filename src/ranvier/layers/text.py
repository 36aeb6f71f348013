"""The base of layers that map texts to numbers, which happens before a compiled program runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.layers.base import Layer
from ranvier.module.symbolic import Operators
from ranvier.support.errors import unwritten
from ranvier.tensor.call_state import call_state
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import state


def as_texts(values: Any, name: str) -> Array:
    """An array of ``str`` objects, of texts in lists, arrays, frames and columns; bytes are read as UTF-8."""
    array = np.asarray(values.compute() if isinstance(values, Tensor) else values)
    if array.dtype.kind in "US":
        array = array.astype(object)
    flat = [v.decode() if isinstance(v, bytes) else v for v in array.reshape(-1).tolist()]
    others = [v for v in flat if not isinstance(v, str)] if array.dtype.kind == "O" else [array.dtype]
    if others:
        raise TypeError(f"layer {name!r} maps texts, and was given {others[0]!r}. Write x.astype(str) instead.")
    texts = np.empty(len(flat), object)
    texts[:] = flat
    return texts.reshape(array.shape)


class TextLayer(Layer):
    """A layer whose `encode` maps texts to whole numbers, and whose ``forward`` takes those numbers.

    Programs have no texts: `encode` runs on the arrays of a call, and of ``fit``, ``evaluate`` and ``predict``, before
    the program. So in a model the layer is called on an ``Input(dtype='string')``, or is the first of a `Sequential`.
    """

    def encode(self, values: Any) -> Array:
        """Whole numbers in place of texts, sample by sample."""
        raise unwritten(self, "encode(self, values): the whole numbers, as an array")

    def _text_layers(self) -> tuple[Any, ...]:
        return (self,)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        x = args[0] if args else None
        if isinstance(x, Operators):
            if x.symbol().call.parents:
                raise TypeError(
                    f"layer {self.name!r} maps texts before a program runs, and was called on what another layer "
                    "computes. Write x = rv.Input((1,), dtype='string'), and call it on x, instead."
                )
        elif args and (not isinstance(x, Tensor) or (call_state.results is None and not state.tracing)):
            args = (Tensor(self.encode(x)), *args[1:])
        return super().__call__(*args, **kwargs)
