"""Layer: what the layers of the Keras vocabulary share, which is the keywords that all of them take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranvier.data.memory import check_memory
from ranvier.graph.node import BATCH, DTYPES, Type
from ranvier.modes import get_dtype
from ranvier.module.core import Module
from ranvier.module.returned import named, tensor
from ranvier.names import arguments, unknown_keyword
from ranvier.tensor import Tensor

__all__ = ["Layer"]

SHARED = ("name", "trainable", "input_shape", "input_dim", "dtype", "activity_regularizer")


class Layer(Module):
    """A module with the keywords that every Keras layer takes.

    ``input_shape`` (without the batch's dimension; ``input_dim`` for a single number) on the first layer of a
    `Sequential` makes the weights at once. ``dtype`` is that of the inputs. ``activity_regularizer`` is a penalty on
    the layer's outputs; divided by the number of samples it joins the loss.
    """

    activity_regularizer: Any = None

    _starts_training = False
    _has_call = True

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        input_shape: Sequence[int] | int | None = None,
        input_dim: int | None = None,
        dtype: str | None = None,
        activity_regularizer: Any = None,
        **unknown: Any,
    ) -> None:
        if unknown:
            self._refuse(next(iter(unknown)))
        super().__init__(name=name, trainable=trainable)
        if activity_regularizer is not None:
            from ranvier import regularizers

            self.activity_regularizer = regularizers.get(activity_regularizer)
        shape = (input_dim,) if input_shape is None and input_dim is not None else input_shape
        if shape is not None:
            self._input_type = declared(shape, dtype, self.name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = super().__call__(*args, **kwargs)
        if self.activity_regularizer is not None and isinstance(result, Tensor):  # described, it adds nothing
            from ranvier.regularizers import each_sample

            own = self.activity_regularizer
            what = f"the activity regularizer {named(own)} of layer {self.name!r}"
            self.add_loss(each_sample(tensor(own(result), what, "a tensor"), result))
        return result

    def _words(self) -> str:
        """What errors call the layer."""
        return f"{type(self).__name__} {self.name!r}"

    def _refuse(self, keyword: str) -> None:
        known, _ = arguments(type(self).__init__)
        raise unknown_keyword(keyword, [*known, *(n for n in SHARED if n not in known)], type(self).__name__)


def declared(shape: Sequence[Any] | int, dtype: str | None, name: str) -> Type:
    """The type of inputs of ``shape``, given without the batch's dimension."""
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise ValueError(
                f"layer {name!r} was given the input shape {sizes}. Write whole numbers, without the batch's "
                "dimension: input_shape=(784,) for rows of 784."
            )
    check_memory(sizes, "float32", f"one input of layer {name!r}")
    dtype = dtype or get_dtype()
    if dtype not in DTYPES:
        raise ValueError(f"layer {name!r} was given the dtype {dtype!r}. Write one of {', '.join(DTYPES)}.")
    return Type((BATCH, *sizes), dtype)


def whole(value: Any, what: str, name: str, least: int = 1) -> int:
    """``value`` as an int of at least ``least``; raises ValueError naming the layer."""
    try:
        number = value.__index__()
    except (AttributeError, TypeError):
        number = None
    if number is None or isinstance(value, bool) or number < least:
        raise ValueError(
            f"{what} of layer {name!r} is {value!r}. Write a whole number of {least} or more instead."
        )
    return int(number)
