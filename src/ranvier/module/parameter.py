"""Parameter: a tensor that a module owns."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Self

from ranvier.graph.dtypes import dtype_of
from ranvier.graph.node import Type
from ranvier.support import rows
from ranvier.support.aligned_memory import aligned
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.registry import object_key
from ranvier.tensor.function import snapshot
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.views import join


def _by_name(kind: str, doc: str) -> Any:
    """A property of parameters that is a function, set by name too, and part of the keys of programs."""
    slot = f"_{kind}"

    def give(parameter: Parameter, value: Any) -> None:
        if value is not None:
            value = rows.look_up("get", kind)(value)
            object_key(value)
        setattr(parameter, slot, value)

    return property(attrgetter(slot), give, doc=doc)


class Parameter(CheckedConstructor, Tensor):
    """A tensor that a module owns and optimizers change. ``name`` is the attribute it was first assigned to, and
    ``path`` has the module's name before it, as Keras has them. ``Parameter(x)`` shares the memory of a tensor x.

    ``regularizer`` (a function of the tensor, a scalar) is added to the loss by `fit` and listed by ``model.losses``;
    ``constraint`` (a function of the tensor, one of its shape) is applied by the optimizer after each update. Both may
    be set at any time, by name too.
    """

    __slots__ = ("_constraint", "_regularizer", "for_training", "name", "path")

    def __init__(
        self,
        data: Any,
        requires_grad: bool = True,
        *,
        name: str = "",
        dtype: str | None = None,
        regularizer: Any = None,
        constraint: Any = None,
    ) -> None:
        value = data.compute() if isinstance(data, Tensor) else data
        if type(self) is Parameter and isinstance(data, Tensor) and dtype in (None, data.dtype) and join(self, data):
            self._requires_grad = requires_grad
            if requires_grad:
                self.check_float()
        else:
            super().__init__(value, requires_grad=requires_grad, dtype=dtype)
        self.name = self.path = name
        self.regularizer, self.constraint = regularizer, constraint
        self.for_training = requires_grad  # as it was made: freezing a layer does not change what its weights are

    @property
    def value(self) -> Tensor:
        """What it holds now, as a tensor (Keras), with its gradient: later assignments do not change that one."""
        now: Tensor = snapshot(self)
        now.grad = self.grad
        return now

    @property
    def trainable(self) -> bool:
        """Whether optimizers change it, under Keras's name."""
        return self.requires_grad

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self.requires_grad = bool(value)

    _regularizer: Any
    _constraint: Any
    regularizer = _by_name("regularizer", "The function whose result `fit` adds to the loss, or None.")
    constraint = _by_name("constraint", "The function that the optimizer applies after each update, or None.")

    @classmethod
    def over(cls, array: Any, *, name: str = "", requires_grad: bool = True) -> Self:
        """A parameter that holds an array, in whatever memory order it has: this very one, if it begins at a cache line
        or is small.
        """
        array, parameter = aligned(array), cls._blank()
        parameter._value, parameter.spec = array, Type(array.shape, dtype_of(array))
        parameter._init_leaf(requires_grad)
        parameter.name = parameter.path = name
        parameter._regularizer = parameter._constraint = None
        parameter.for_training = requires_grad
        return parameter

    def __repr__(self) -> str:
        return f"{type(self).__name__} containing:\n{super().__repr__()}"

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        value = self.compute().copy(order="K")
        copy = memo[id(self)] = type(self).over(value, name=self.name, requires_grad=self.requires_grad)
        copy.for_training, copy.path = self.for_training, self.path
        copy.regularizer, copy.constraint = self.regularizer, self.constraint
        return copy


class Buffer(Tensor):
    """A tensor that a module keeps and no optimizer changes (running statistics), with the names of a parameter."""

    __slots__ = ("name", "path")

    name: str
    path: str
    trainable = False  # Keras's name
    persistent = True  # whether files hold it

    @classmethod
    def over(cls, array: Any, name: str = "") -> Self:
        """A buffer that holds this very array."""
        buffer = cls.__new__(cls)
        buffer._value, buffer.spec = array, Type(array.shape, dtype_of(array))
        buffer._init_leaf(False)
        buffer.name = buffer.path = name
        return buffer


class Constant(Buffer):
    """A buffer of what a constructor was given: files hold it, and it is none of the weights."""

    __slots__ = ()


class State(Buffer):
    """The state of a stateful layer, which prediction changes too; files do not hold it."""

    __slots__ = ()


class Variable(Parameter):
    """A parameter in the way of Keras: of a value, or of an initializer (by name too) and a ``shape``."""

    __slots__ = ()

    def __init__(
        self,
        initializer: Any,
        shape: Sequence[int] | None = None,
        dtype: str | None = None,
        trainable: bool = True,
        name: str = "variable",
    ) -> None:
        value = initializer
        if callable(initializer) or isinstance(initializer, str):
            from ranvier import initializers

            if shape is None:
                raise ValueError(f"variable {name!r} has an initializer and no shape. Write shape=(...) too.")
            value = initializers.get(initializer)(tuple(shape), dtype=dtype)
        super().__init__(value, False, name=name, dtype=dtype)
        self.requires_grad = self.for_training = trainable  # also of whole numbers, which nothing trains
        if shape is not None and tuple(shape) != self.shape:
            raise ValueError(f"variable {name!r} has a value of shape {self.shape}, and shape={tuple(shape)}.")
