"""The base of layers that map texts to numbers, which happens before a compiled program runs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.graph.node import BATCH, Type
from ranvier.layers.base import Layer
from ranvier.module import Module, mode
from ranvier.module.arguments import Container, number_tensor, pack_inputs
from ranvier.module.symbolic import Operators
from ranvier.support.errors import unwritten
from ranvier.support.utf8 import utf8
from ranvier.tensor.call_state import call_state
from ranvier.tensor.context import no_grad
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import state


def as_texts(values: Any, name: str) -> Array:
    """An array of ``str`` objects, of texts in lists, arrays, frames and columns; bytes are read as UTF-8."""
    array = np.asarray(values.compute() if isinstance(values, Tensor) else values)
    if array.dtype.kind in "UST" or not array.size:
        array = array.astype(object)
    given = array.reshape(-1).tolist()
    flat = [utf8(v, f"text {i} of layer {name!r}") if isinstance(v, bytes) else v for i, v in enumerate(given)]
    row = next((i for i, v in enumerate(flat) if not isinstance(v, str)), None)
    if row is not None:
        value = flat[row] if array.dtype.kind == "O" else array.dtype
        fix = "'' in its place, or x.fillna('') of a column," if value is None or value != value else "x.astype(str)"
        raise TypeError(f"layer {name!r} maps texts, and was given {value!r} (text {row}). Write {fix} instead.")
    texts = np.empty(len(flat), object)
    texts[:] = flat
    return texts.reshape(array.shape)


def padded(rows: Sequence[Sequence[int]], size: int | None, value: int) -> Array:
    """Indices of tokens as an array of int32 (texts, ``size``, or the longest), filled with ``value`` or cut.

    Where no text has a token there is one column of padding: programs have no empty sequences.
    """
    codes, texts, lengths = joined(rows)
    columns = np.arange(len(codes)) - (np.cumsum(lengths) - lengths)[texts]
    wide = size or max(1, int(lengths.max(initial=0)))
    kept = columns < wide
    result = np.full((len(rows), wide), value, np.int32)
    result[texts[kept], columns[kept]] = codes[kept]
    return result


def joined(rows: Sequence[Sequence[int]]) -> tuple[Array, Array, Array]:
    """The indices of all tokens, the text that each is of, and the number of tokens of each text."""
    lengths = np.array([len(row) for row in rows], np.int64)
    codes = np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum()))
    return codes, np.repeat(np.arange(len(rows)), lengths), lengths


class TextLayer(Layer):
    """A layer whose `encode` maps texts to whole numbers, and whose ``forward`` takes those numbers.

    Programs have no texts: `encode` runs on the arrays of a call, and of ``fit``, ``evaluate`` and ``predict``, before
    the program. So in a model the layer is called on an ``Input(dtype='string')``, or is the first of a `Sequential`.
    """

    def encode(self, values: Any) -> Array:
        """Whole numbers in place of texts, sample by sample."""
        raise unwritten(self, "encode(self, values): the whole numbers, as an array")

    def codes_type(self, given: Type | None) -> Type | None:
        """The type of what `encode` returns for texts of a type (None: of any type), which a network's program takes.

        None before the layer has learned what decides it.
        """
        return given

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
            if _taken.texts is not None:
                _taken.texts.append((x, self))
            args = (Tensor(self.encode(x)), *args[1:])
        return super().__call__(*args, **kwargs)


# --- models that call layers of texts themselves --------------------------------------------------------------------


NUMBERS = ("f", "i", "u", "b")  # kinds of NumPy's dtypes


class _Taken(threading.local):
    """The texts that layers of this thread map while a model is called to find them."""

    texts: list[tuple[Any, TextLayer]] | None = None


_taken = _Taken()


def text_layers_of(model: Module, inputs: Sequence[Any], form: Container) -> tuple[Any, ...]:
    """For each input the layer that maps its texts, None for an input of numbers; nothing where there are no texts.

    A subclass with a ``call`` of its own is called on the first row, once. Raises ValueError where the texts of an
    input go to several layers.
    """
    known: tuple[Any, ...] = model._text_layers() or model.__dict__.get("_texts_taken", ())
    numbers = all(getattr(getattr(part, "dtype", None), "kind", "") in NUMBERS for part in inputs)
    if known or numbers or not any(isinstance(module, TextLayer) for module in model.modules()):
        return known
    arrays = [np.asarray(part.compute() if isinstance(part, Tensor) else part) for part in inputs]
    of_texts = [is_texts(array) for array in arrays]
    if not any(of_texts):
        return ()
    first = [array[:1] for array in arrays]
    given: list[Any] = [row if texts else number_tensor(row) for row, texts in zip(first, of_texts, strict=True)]
    _taken.texts = []
    try:
        with mode(model, False), no_grad():
            model(*pack_inputs(given, form))
        taken = _taken.texts
    finally:
        _taken.texts = None
    found = [_taker(model, row, taken) if texts else None for row, texts in zip(first, of_texts, strict=True)]
    types: list[Any] = [
        Type((BATCH, *row.shape[1:]), value.dtype)
        if layer is None
        else layer.codes_type(Type((BATCH, *row.shape[1:]), "int32"))
        for row, value, layer in zip(first, given, found, strict=True)
    ]
    model._input_type, model._input_types = types[0], tuple(types) if len(types) > 1 or form is not None else ()
    model.__dict__["_texts_taken"] = tuple(found)
    return tuple(found)


def is_texts(array: Array) -> bool:
    """Whether an array holds texts."""
    return array.dtype.kind in "UST" or (array.dtype.kind == "O" and isinstance(array.flat[0], (str, bytes)))


def _taker(model: Module, row: Array, taken: Sequence[tuple[Any, TextLayer]]) -> TextLayer:
    """The layer that mapped this row, or a part of it."""
    layers = {id(layer): layer for texts, layer in taken if np.shares_memory(np.asarray(texts), row)}
    if len(layers) != 1:
        names = " and ".join(repr(layer.name) for layer in layers.values()) or "no layer of texts"
        raise ValueError(
            f"an input of {model.name!r} holds texts, which go to {names}, and an input of texts goes to one layer. "
            "Write an input for each layer, and give the same array to all of them, instead."
        )
    return next(iter(layers.values()))
