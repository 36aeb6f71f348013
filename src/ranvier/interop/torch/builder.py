"""Networks of PyTorch in the making: modules, calls and expressions, and where each weight goes.

A value has its axes as in this library. In PyTorch its channels may be in front (``Value.first``), and the features of
a flattened image in another order (``Value.order``), so that each is converted once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.graph.dtypes import widened
from ranvier.graph.extents import Extent
from ranvier.graph.open_extents import OpenExtent
from ranvier.interop.foreign import refuse
from ranvier.interop.program_text import Call, identifier
from ranvier.module.members import ModuleBase
from ranvier.ops.arrays.promotion import axis_of
from ranvier.support.errors import snake_case
from ranvier.support.registry import decorator_of

# The attributes of torch.nn.Module, which no layer may be named like.
_ATTRIBUTES = """
T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches eval
extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict modules
mtia named_buffers named_children named_modules named_parameters parameters register_backward_hook register_buffer
register_forward_hook register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook
register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module register_parameter
register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule share_memory
state_dict to to_empty train training type xpu zero_grad
"""
RESERVED = frozenset(_ATTRIBUTES.split())
AUTOMATIC = ("sequential", "functional", "model", "input", "keras_tensor")  # names that nobody chose, besides classes'
Weights = Mapping[str, Any]  # by name, an array or a function that gives it
Extents = tuple[int | None, ...]


def extents(shape: Sequence[Any]) -> Extents:
    """A shape with None for what is not known."""
    return tuple(None if n is None or isinstance(n, (Extent, OpenExtent)) else int(n) for n in shape)


def chosen(layer: ModuleBase) -> bool:
    """Whether a name is one that a user wrote, not the class's with a number."""
    return _without_number(layer) not in (snake_case(type(layer).__name__), *AUTOMATIC)


def plain_name(layer: ModuleBase) -> str:
    """The name of a layer, without the number of an automatic one."""
    return layer.name if chosen(layer) else _without_number(layer)


def _without_number(layer: ModuleBase) -> str:
    return re.sub(r"_\d+$", "", layer.name)


class OrderError(Exception):
    """The features of this value are needed in the order that they have here."""

    def __init__(self, value: Value) -> None:
        super().__init__(value)
        self.value = value


@dataclass(frozen=True)
class Value:
    """The result of a step: its shape here, with None for the batch, and how PyTorch has it."""

    step: int
    shape: Extents
    dtype: str = "float32"
    first: bool = False  # whether the channels, the last axis here, are the second there
    order: Any = None  # of flattened features: the place here of each there
    flattened: str = ""  # the layer that flattened them

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def axis(self, number: int) -> int:
        """The number there of an axis here."""
        number = axis_of(number, self.ndim)
        if not self.first or number == 0:
            return number
        return 1 if number == self.ndim - 1 else number + 1


@dataclass
class Part:
    """A module of a network: its name, how it is made, its weights by their names in it, and which are frozen."""

    name: str
    made: Any
    weights: dict[str, Any] = field(default_factory=dict)
    frozen: tuple[str, ...] = ()
    untrained: tuple[str, ...] = ()  # modules in it; "" is itself
    penalties: list[tuple[str, Any]] = field(default_factory=list)  # by the name of a weight, its regularizer
    constants: list[str] = field(default_factory=list)  # names of what are no weights


@dataclass
class Step:
    """An expression of values, ``{0}`` and so on; of a module ``{m}``, and of what it holds itself ``{self}``.

    ``alone`` are the modules that do the same in a Sequential. ``wraps`` says that it reads well around its operand.
    """

    text: str
    inputs: tuple[int, ...]
    part: Part | None = None
    alone: tuple[Any, ...] | None = None
    name: str = ""
    wraps: bool = False


class Builder:
    """Collects the steps of one module. ``keep`` are the layers whose flattened features stay in the order of here."""

    def __init__(self, channels_first: bool = False, keep: frozenset[str] = frozenset()) -> None:
        self.channels_first, self.keep = channels_first, keep
        self.steps: list[Step] = []
        self.inputs: list[str] = []
        self.parts: dict[Any, Part] = {}  # by the layer
        self.inner: dict[int, Any] = {}  # models that are layers, by identity
        self.held: dict[str, tuple[str, Any]] = {}  # tensors of the module itself: "parameter" or "buffer", and which
        self.classes: dict[str, str] = {}  # texts of other classes, by name
        self.untransposed: dict[int, Value] = {}  # by what a transpose gives, what it was given
        self.shape: Extents = ()  # of what the layer gives that is being added
        self.scope = ""  # the name of that layer
        self.names: dict[int, str] = {}  # of layers, by identity
        self.owners: dict[int, Builder] = {}  # of layers, by identity: the builder of the module that holds them
        self.add: Callable[..., Any] = refuse  # what adds a layer, called on values
        self.trainable = True  # whether that layer is trained

    def enter(self, layer: ModuleBase) -> None:
        """Begin to add a layer: its name, without the number of an automatic one, and whether it is trained."""
        if self.owners.setdefault(id(layer), self) is not self and next(layer.parameters(), None) is not None:
            raise refuse(f"the layer {layer.name!r} is in two models at once")
        if id(layer) not in self.names:
            self.names[id(layer)] = identifier(plain_name(layer), {*self.names.values(), *RESERVED})
        self.scope, self.trainable = self.names[id(layer)], layer._trainable

    # --- values -------------------------------------------------------------------------------------------------

    def input(self, name: str, shape: Extents, dtype: str) -> Value:
        self.inputs.append(name)
        self.steps.append(Step("", (), name=name))
        return Value(len(self.steps) - 1, shape, dtype, first=self.channels_first and len(shape) > 3)

    def _add(self, step: Step, shape: Extents | None, **options: Any) -> Value:
        self.steps.append(replace(step, name=step.name or self.scope))
        return Value(len(self.steps) - 1, self.shape if shape is None else shape, **options)

    def apply(
        self, text: str, *values: Value, alone: Any = None, shape: Extents | None = None, wraps: bool = False,
        **options: Any,
    ) -> Value:  # fmt: skip
        """An expression. ``alone`` is the module, or the modules, that do the same in a Sequential."""
        modules = None if alone is None else tuple(alone) if isinstance(alone, (list, tuple)) else (alone,)
        return self._add(Step(text, tuple(v.step for v in values), alone=modules, wraps=wraps), shape, **options)

    def module(
        self, made: Any, *values: Value, weights: Weights | None = None, frozen: Sequence[str] = (),
        text: str = "{m}({0})", key: Any = None, shape: Extents | None = None, **options: Any,
    ) -> Value:  # fmt: skip
        """A module, called on values; a layer that is called again (the same ``key``) has one."""
        part = self.parts.get(key) if key is not None else None
        if part is not None and not _same(part.weights, weights or {}):
            raise refuse("it is called on values whose channels or features have several orders")
        if part is None:
            untrained = () if self.trainable or not weights else ("",)
            part = Part(self.scope, made, dict(weights or {}), tuple(frozen), untrained)
            if key is not None:
                self.parts[key] = part
        return self._add(Step(text, tuple(v.step for v in values), part), shape, **options)

    def called(self, part: Part, values: Sequence[Value], text: str, like: Value) -> Value:
        """A module of a model that is a layer, called on values; the result has the form of ``like``."""
        step = Step(text, tuple(v.step for v in values), part)
        return self._add(step, like.shape, dtype=like.dtype, first=like.first)

    def item(self, whole: Value, index: str, like: Value) -> Value:
        """One of several results."""
        return self._add(Step("{0}" + index, (whole.step,)), like.shape, dtype=like.dtype, first=like.first)

    def typed(self, v: Value, known: Any) -> Value:
        """A value with the shape and the element type that it has here."""
        return replace(v, shape=extents(known.shape), dtype=known.dtype)

    def unique_parts(self) -> list[Part]:
        """The modules, each once, in the order of their first calls."""
        return list({id(step.part): step.part for step in self.steps if step.part is not None}.values())

    def hold(self, name: str, kind: str, array: Any) -> str:
        """A "parameter" or a "buffer" of the module itself, and its name."""
        title = f"{identifier(self.scope)}_{name}"
        self.held[title] = kind, array
        return f"{{self}}.{title}"

    # --- orders of axes and features ----------------------------------------------------------------------------

    def ordered(self, v: Value) -> Value:
        """A value whose features have the order of here."""
        if v.order is not None:
            raise OrderError(v)
        return v

    def logical(self, v: Value) -> Value:
        """A value with its axes as here."""
        self.ordered(v)
        if not v.first:
            return v
        return self._turned(v, (0, *range(2, v.ndim), 1), False)

    def moved(self, v: Value) -> Value:
        """A value with its channels in front."""
        self.ordered(v)
        return v if v.first or v.ndim < 3 else self._turned(v, (0, v.ndim - 1, *range(1, v.ndim - 1)), True)

    def _turned(self, v: Value, axes: Sequence[int], first: bool) -> Value:
        if v.step in self.untransposed:
            return self.untransposed[v.step]
        text = f"{{0}}.permute({', '.join(map(str, axes))})"
        if v.ndim == 3:
            text = "{0}.transpose(1, 2)"
        found = self._add(Step(text, (v.step,)), v.shape, dtype=v.dtype, first=first)
        self.untransposed[found.step] = v
        return found

    def spatial(self, v: Value, first: bool) -> Value:
        """A value for a module of PyTorch that works on images: of a layer with channels first, it is as it is."""
        return self.logical(self.floats(v)) if first else self.moved(self.floats(v))

    def floats(self, v: Value) -> Value:
        """A value in floats: layers here convert whole numbers, and modules there do not."""
        if v.dtype in ("float32", "float64"):
            return v
        return self._add(Step("{0}.float()", (v.step,)), v.shape, first=v.first, order=v.order, flattened=v.flattened)

    def alike(self, values: Sequence[Value]) -> list[Value]:
        """Values whose axes have one order."""
        if all(v.first for v in values) and len({v.ndim for v in values}) == 1:
            return [self.ordered(v) for v in values]
        return [self.logical(v) for v in values]


def _same(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(
        part.shape == other[key].shape and np.array_equal(part, other[key]) for key, part in one.items()
    )


_numbers: ContextVar[Mapping[int, Array] | None] = ContextVar("numbers", default=None)


@contextmanager
def numbered(numbers: Mapping[int, Array]) -> Iterator[None]:
    """Within this context a weight has these numbers in place of its own, by its identity."""
    token = _numbers.set(numbers)
    try:
        yield
    finally:
        _numbers.reset(token)


def array(tensor: Any) -> Array:
    """The numbers of a weight."""
    numbers = _numbers.get()
    if numbers is not None and id(tensor) in numbers:
        return numbers[id(tensor)]
    return widened(tensor.compute()) if hasattr(tensor, "compute") else np.asarray(tensor)


Row = Callable[..., Value]
LAYERS: dict[str, Row] = {}
layer = decorator_of(LAYERS)
"""Adds a function to the table, by the registered names of layers: it adds one to a network, called on values."""


def one(values: Sequence[Any]) -> Any:
    """A number, where all are equal; or all of them."""
    found = tuple(int(v) for v in values)
    return found[0] if len(set(found)) == 1 else found


def tidy(number: float, digits: int = 10) -> float:
    """A number without the error of its last digits: 1 - 0.99 is 0.01."""
    return float(f"{number:.{digits}g}")


def borders(pairs: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """Numbers before and after each dimension as PyTorch has them: the last dimension first."""
    return tuple(n for pair in reversed(list(pairs)) for n in pair)


def padded(
    b: Builder, v: Value, pairs: Sequence[tuple[int, int]], shape: Extents | None = None, value: float = 0.0
) -> Value:
    """Zeros, or another value, around the positions of a value with channels first."""
    if not any(low or high for low, high in pairs):
        return v
    sizes, n = borders(pairs), len(pairs)
    inner = one(sizes) if len(set(sizes)) == 1 else sizes
    if value:
        text, alone = f'F.pad({{0}}, {sizes}, value=float("{value}"))', Call(f"nn.ConstantPad{n}d", (inner, value))
    else:
        text, alone = f"F.pad({{0}}, {sizes})", Call(f"nn.ZeroPad{n}d", (inner,))
    return b.apply(text, v, alone=alone, shape=v.shape if shape is None else shape, first=v.first)
