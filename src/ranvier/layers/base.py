"""Layer: the base of the layers of Keras's vocabulary, with the keywords that all of them take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ranvier import constraints, initializers, regularizers
from ranvier.data.memory import check_memory
from ranvier.distribution import with_layout
from ranvier.engines.placement import get_placement
from ranvier.graph.dtypes import ARITHMETIC, FLOATS
from ranvier.graph.node import BATCH, GraphError, Type
from ranvier.graph.open_extents import ANY, OpenExtent
from ranvier.layers.annotations import RegularizerLike
from ranvier.layers.input_spec import check_specs
from ranvier.module.core import Module
from ranvier.module.serialization import register_module
from ranvier.ops import arrays
from ranvier.support.errors import arguments, unknown_keyword
from ranvier.support.tree import map_structure
from ranvier.support.validation import is_whole
from ranvier.tensor.check_returned import callable_name, check_tensor
from ranvier.tensor.context import dtype_scope, get_dtype
from ranvier.tensor.masks import mask_of, set_mask
from ranvier.tensor.tensor import Tensor

SHARED = ("name", "trainable", "input_shape", "input_dim", "dtype", "activity_regularizer")


class Layer(Module):
    """A module with the keywords that every Keras layer takes.

    ``input_shape`` (without the batch's dimension; ``input_dim`` for a single number) on the first layer of a
    `Sequential` makes the weights at once. ``dtype`` ("float32" or "float64") is the dtype of the weights and of the
    computation, whatever floats the layer is given; with ``input_shape`` it is that of the inputs, and may be an
    integer dtype. ``activity_regularizer`` is a penalty on the layer's outputs; divided by the number of samples it is
    added to the loss.
    """

    activity_regularizer: Any = None
    every_position = False  # of this very class: whether it does the same at each position of (batch, ..., features)
    input_spec: Any = None  # an `InputSpec`, or a list of them, that the first argument must fit
    supports_masking = False  # whether `compute_mask` says what mask the outputs have; else they have none

    _older: Mapping[str, str] = {}  # older names of arguments, and the present ones; "" where one has no effect
    _starts_training = False
    _has_call = True
    _tracks = True

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        input_shape: Sequence[int] | int | None = None,
        input_dim: int | None = None,
        dtype: str | None = None,
        activity_regularizer: RegularizerLike = None,
        **unknown: Any,
    ) -> None:
        if unknown:
            self._refuse(next(iter(unknown)))
        super().__init__(name=name, trainable=trainable)
        dtype = known_dtype(dtype, self.name)
        if dtype in FLOATS:
            self._floats = dtype
        if activity_regularizer is not None:
            self.activity_regularizer = regularizers.get(activity_regularizer)
        shape = (input_dim,) if input_shape is None and input_dim is not None else input_shape
        if shape is not None:
            self._input_type = declared(shape, dtype, self.name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._floats is not None:
            args, kwargs = map_structure((args, kwargs), Tensor, self._cast_floats)
            if self._floats != get_dtype():
                with dtype_scope(self._floats):
                    return self(*args, **kwargs)
        if self.input_spec is not None and args:
            check_specs(self.input_spec, args[0], self._label())
        result = super().__call__(*args, **kwargs)
        if get_placement() is not None and isinstance(result, Tensor):
            result = with_layout(result, f"{self.name}/output")
        if self.activity_regularizer is not None and isinstance(result, Tensor):  # a symbolic value adds no loss
            own = self.activity_regularizer
            what = f"the activity regularizer {callable_name(own)} of layer {self.name!r}"
            self.add_loss(regularizers.each_sample(check_tensor(own(result), what, "a tensor"), result))
        return result

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._makes_masks = cls.compute_mask is not Layer.compute_mask
        if "compute_mask" in vars(cls) and "supports_masking" not in vars(cls):
            cls.supports_masking = True

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the outputs: that of the inputs, for your own layers to override."""
        return previous_mask

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, by name."""
        given = {self._older.get(name, name): value for name, value in super().config().items()}
        given.pop("", None)
        return {**given, "dtype": known_dtype(given["dtype"], self.name)} if "dtype" in given else given

    def _cast_floats(self, tensor: Tensor) -> Any:
        if tensor.dtype not in FLOATS or tensor.dtype == self._floats:
            return tensor
        cast, mask = arrays.cast(tensor, self._floats), mask_of(tensor)
        return cast if mask is None else set_mask(cast, mask)

    def _require_shape(self, shape: Sequence[Any]) -> None:
        """Raise GraphError where inputs of this shape do not fit."""
        wrong = self.shape_error(Type(tuple(shape), "float32"))
        if wrong is not None:
            raise GraphError(" ".join(wrong))

    def _store_settings(self, weight: str, initializer: Any, regularizer: Any = None, constraint: Any = None) -> None:
        """Store the initializer, regularizer and constraint of a weight: ``kernel_initializer`` and so on."""
        self.__dict__[f"{weight}_initializer"] = initializers.get(initializer)
        self.__dict__[f"{weight}_regularizer"] = regularizers.get(regularizer)
        self.__dict__[f"{weight}_constraint"] = constraints.get(constraint)

    def _make_weights(self, **shapes: Sequence[int] | None) -> None:
        """Make weights of these shapes with the settings stored for them; a weight without a shape is None."""
        for name, shape in shapes.items():
            if shape is None:
                self.register_parameter(name, None)
            else:
                kinds = ("initializer", "regularizer", "constraint")
                self.add_weight(shape, name=name, **{kind: getattr(self, f"{name}_{kind}") for kind in kinds})

    def _label(self) -> str:
        """The layer in messages: its class and name."""
        return f"{type(self).__name__} {self.name!r}"

    def _refuse(self, keyword: str) -> None:
        known, _ = arguments(type(self).__init__)
        raise unknown_keyword(keyword, [*known, *(n for n in SHARED if n not in known)], type(self).__name__)


class Family(Layer):
    """A layer that comes in several: what distinguishes the members are keywords of their classes.

    ``class Conv2D(_Conv, dimensions=2)`` is a convolution with this attribute, which files may name.
    """

    def __init_subclass__(cls, **attributes: Any) -> None:
        super().__init_subclass__()
        for name, value in attributes.items():
            setattr(cls, name, value)
        if attributes:
            register_module(cls)


def declared(shape: Sequence[Any] | int, dtype: str | None, name: str) -> Type:
    """The type of inputs of ``shape``, given without the batch's dimension."""
    given = (shape,) if isinstance(shape, int) else tuple(shape)
    sizes = tuple(OpenExtent(ANY) if size is None else size for size in given)
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise ValueError(
                f"layer {name!r} was given the input shape {given}. Write whole numbers, without the batch's "
                "dimension: input_shape=(784,) for rows of 784."
            )
    check_memory([1 if type(size) is OpenExtent else size for size in sizes], "float32", f"one input of layer {name!r}")
    return Type((BATCH, *sizes), known_dtype(dtype, name) or get_dtype())


def known_dtype(dtype: Any, name: str) -> str | None:
    """A dtype by its name, also that of a class or an object that has one; raises ValueError naming the layer."""
    if dtype is None:
        return None
    text = str(np.dtype(dtype).name if isinstance(dtype, type) else getattr(dtype, "name", dtype))
    if text not in ARITHMETIC:
        what = f"layer {name!r} was given the dtype {dtype!r}"
        if "float16" in text:
            raise ValueError(
                f"{what}. Layers compute in no half floats: write dtype='float32', or leave it out, instead. Arrays of "
                "float16 may be data all the same."
            )
        raise ValueError(
            f"{what}. Write one of {', '.join(ARITHMETIC)} instead: floats for what it computes in, any for the inputs "
            "of a network."
        )
    return text


def whole(value: Any, what: str, name: str, least: int = 1) -> int:
    """``value`` as an int of at least ``least``; raises ValueError naming the layer."""
    if not is_whole(value, least):
        raise ValueError(f"{what} of layer {name!r} is {value!r}. Write a whole number of {least} or more instead.")
    return int(value.__index__())
