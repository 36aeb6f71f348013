"""Symbolic values: what a module returns when it is called on an `Input`, before there are any data.

Each call is traced at once, so that layers are built and errors are raised at the user's line; and it is recorded, so
that a functional model can run it again.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from ranvier.graph.extents import Dim, Extent
from ranvier.graph.node import BATCH, Type
from ranvier.graph.open_extents import OpenExtent, is_open, with_rows
from ranvier.module.batch_extent import for_open_batch, needs_number
from ranvier.module.calls import mode, traced_within
from ranvier.module.members import ModuleBase
from ranvier.ops import vocabulary
from ranvier.support import rows
from ranvier.support.tree import flatten, map_structure
from ranvier.tensor.call_state import isolated_tape
from ranvier.tensor.function import same_function
from ranvier.tensor.masks import mask_of, set_mask
from ranvier.tensor.rng import traced_draws
from ranvier.tensor.tensor import Tensor

# --- calls --------------------------------------------------------------------------------------------------------


class Call:
    """A recorded call of a module: the arguments, and what it returned; an `Input` is called on nothing."""

    __slots__ = ("arguments", "batch", "module", "options", "parents", "result", "values")

    def __init__(
        self, module: ModuleBase, arguments: tuple[Any, ...], options: dict[str, Any], batch: int | None = None
    ) -> None:
        self.module, self.arguments, self.options = module, arguments, options
        taken: list[Symbolic] = list(flatten((arguments, options), Symbolic))
        self.parents = tuple(dict.fromkeys(value.call for value in taken))
        batches: set[int | None] = {parent.batch for parent in self.parents}
        # The batch of `Input(batch_shape=...)`, which shapes show; data may have any.
        self.batch: int | None = batch if len(batches) != 1 else batches.pop()
        self.result: Any = None
        self.values: list[Symbolic] = []

    def store_result(self, result: Any) -> Any:
        """Store the result of the call, with a symbolic value for each tensor, and return it."""

        def value(tensor: Tensor) -> Symbolic:
            mask = mask_of(tensor)
            self.values.append(Symbolic(self, len(self.values), tensor.spec, None if mask is None else mask.spec))
            return self.values[-1]

        self.result = map_structure(result, Tensor, value)
        return self.result

    def called_on(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> Call:
        """The same call on other symbolic values of the same types, which the module does not record."""
        call = Call(self.module, arguments, options, self.batch)
        call.values = [Symbolic(call, value.place, value.spec, value.mask_type) for value in self.values]
        call.result = map_structure(self.result, Symbolic, lambda value: call.values[value.place])
        return call


def record_of(module: ModuleBase) -> list[Call]:
    """The calls of a module on symbolic values, oldest first. A copy of the module has none."""
    return cast("list[Call]", module.__dict__.setdefault("_record", []))


def only_call(module: ModuleBase, what: str) -> Call:
    """The only recorded call of a module, which a Sequential may make now. Raises ValueError for none or several."""
    record = record_of(module)
    holder = module.__dict__.get("_within", lambda: None)()  # the Sequential that it is in
    if not record and holder is not None and holder._input_type is not None:
        holder._symbolic_values()
    if not record and getattr(module, "is_input", False):
        return cast("Operators", module).symbol().call
    if len(record) != 1:
        calls_ = "has not been called on an Input yet" if not record else f"was called {len(record)} times"
        raise ValueError(
            f"{module.name!r} {calls_}, so it has no one {what}. Write y = layer(x) with x an rv.Input or what a layer "
            "made of one, and use y, instead."
        )
    return record[0]


def record_call(module: ModuleBase, arguments: tuple[Any, ...], options: dict[str, Any]) -> Call:
    """Record a call of ``module``, and trace it: its layers are built. Raises ValueError where shapes do not fit."""
    if getattr(module, "is_input", False):
        raise TypeError(
            f"{module.name!r} is an Input, where a network begins: it is called on nothing. Write a layer instead."
        )
    arguments, options = map_structure((arguments, options), Operators, lambda value: value.symbol())
    for value, layer in zip(flatten(arguments, Symbolic), module._text_layers(), strict=False):
        if layer is not None:
            value.take_codes(layer)
    arguments, options = map_structure((arguments, options), Tensor, lambda tensor: constant(module, tensor))
    call = Call(module, arguments, options)
    sized = any(is_open(value.spec.shape) for value in flatten((arguments, options), Symbolic))
    try:
        result = for_open_batch(lambda rows: trace_call(call, [], rows)) if sized else trace_call(call, [])
    except ValueError as error:  # again for batches of any size, and for an error that lists the calls before it
        call.batch = None
        if needs_number(error):
            result = for_open_batch(lambda rows: trace_call(call, [], rows))
        else:
            result = trace_call(call, [(c.module, c.values[0].free) for c in topological_order(call.parents)])
    returned = list(flatten(result))
    if not returned or not all(isinstance(part, Tensor) for part in returned):
        raise TypeError(
            f"{module.name!r} returned {result!r}. Write a forward that returns a tensor, or a tuple, list or dict of "
            "tensors, instead."
        )
    call.store_result(result)
    record_of(module).append(call)
    return call


def constant(module: ModuleBase, tensor: Tensor) -> Tensor:
    """A tensor that a functional model holds, as it is: it does not train the weights that computed it."""
    if tensor.requires_grad:
        warnings.warn(
            f"{module.name!r} is called on a tensor of weights, which the model holds as a constant: it does not own "
            "and train them. Call their layer on an Input, or in the call of a layer of yours, instead.",
            stacklevel=2,
        )
    return tensor if tensor.trace_node is None else Tensor.wrap(np.array(tensor.compute()))


def trace_call(call: Call, before: list[tuple[Any, Any]], rows: Dim = BATCH) -> Any:
    """What the module returns for placeholders of the arguments, of so many rows. Errors list the calls ``before``."""
    placeholders: dict[Symbolic, Tensor] = {}

    def placeholder(value: Symbolic) -> Tensor:
        if value not in placeholders:
            free = call.batch is None
            found, mask = Tensor.placeholder(with_rows(value.free if free else value.spec, rows)), value.mask_type
            if mask is not None:
                set_mask(found, Tensor.placeholder(with_rows(value.freed(mask) if free else mask, rows)))
            placeholders[value] = found
        return placeholders[value]

    arguments, options = map_structure((call.arguments, call.options), Symbolic, placeholder)
    with traced_within(before, call.module), mode(call.module, False), isolated_tape(call.module), traced_draws():
        return call.module(*arguments, **options)


def topological_order(ends: Sequence[Call]) -> list[Call]:
    """These calls and all calls that they depend on, each after its parents: depth first, in the order of arguments."""
    done: dict[Call, None] = {}
    pending = list(reversed(ends))
    while pending:
        waiting = [parent for parent in pending[-1].parents if parent not in done]
        if waiting:
            pending.extend(reversed(waiting))
        else:
            done[pending.pop()] = None
    return list(done)


# --- operators ----------------------------------------------------------------------------------------------------

MERGING = {"add": "Add", "subtract": "Subtract", "multiply": "Multiply"}  # by layers of that class
UFUNCS = {  # what NumPy's functions of a symbolic value become
    "absolute": "abs",
    **{name: name for name in (
        "add", "subtract", "multiply", "divide", "floor_divide", "remainder", "power", "matmul", "logical_and",
        "logical_or", "logical_xor", "less", "less_equal", "greater", "greater_equal", "not_equal", "negative",
    )},
}  # fmt: skip
WRITE = (
    "Write a layer for it, rv.layers.Lambda(lambda x: ...)(x) or (to be saved) a registered class with a forward, "
    "instead."
)
LAYERS = {  # the layers that do what some tensor functions do
    "concatenate": "Concatenate()([a, b])", "maximum": "Maximum()([a, b])", "minimum": "Minimum()([a, b])",
    "reshape": "Reshape(shape)(x)", "view": "Reshape(shape)(x)", "flatten": "Flatten()(x)",
    "transpose": "Permute(dims)(x)", "permute": "Permute(dims)(x)", "softmax": "Softmax(axis)(x)",
    "leaky_relu": "LeakyReLU(slope)(x)", "elu": "ELU(alpha)(x)", "dropout": "Dropout(rate)(x)",
}  # fmt: skip


def instead(name: str) -> str:
    """What to write in place of a tensor function of this name."""
    return f"Write rv.layers.{LAYERS[name]} instead." if name in LAYERS else WRITE


def operate(name: str, *operands: Any) -> Symbolic:
    """The layer that computes an operator, of symbolic values, and of numbers, arrays and tensors as constants."""
    numbers = (np.generic, np.ndarray)  # NumPy's comparisons give its numbers as arrays
    plain = [v.item() if isinstance(v, numbers) and v.ndim == 0 else v for v in operands]
    for operand in plain:
        if not isinstance(operand, (Operators, int, float, np.ndarray, Tensor)):
            raise TypeError(
                f"{name} of a symbolic value takes another, a number or an array, not {type(operand).__name__}. Write "
                "np.array(...) of it, or an rv.Input for what is data, instead."
            )
    if name in MERGING and all(isinstance(operand, Operators) for operand in plain):
        return cast("Symbolic", rows.look_up("layer", MERGING[name])()(plain))
    return cast("Symbolic", rows.look_up("layer", "Operation")(name)(*plain))


def _binary(name: str) -> tuple[Any, Any]:
    """An operator, and the one that Python calls where the other operand is no symbolic value."""

    def forward(self: Operators, other: Any) -> Symbolic:
        return operate(name, self, other)

    def backward(self: Operators, other: Any) -> Symbolic:
        return operate(name, other, self)

    return forward, backward


def _unary(name: str) -> Any:
    return lambda self: operate(name, self)


def _refused(what: str) -> Any:
    def refuse(self: Operators, *_: Any, **__: Any) -> Any:
        raise TypeError(f"{what} needs numbers, and {self!r} has none yet: it describes a network. {WRITE}")

    return refuse


def shown_shape(spec: Type) -> tuple[int | None, ...]:
    """The shape of a type, None for the batch's dimension and for those that may be any."""
    return tuple(None if isinstance(d, (Extent, OpenExtent)) else d for d in spec.shape)


class Operators:
    """The operators of symbolic values: each becomes a layer, as do activation functions."""

    __slots__ = ()

    __add__, __radd__ = _binary("add")
    __sub__, __rsub__ = _binary("subtract")
    __mul__, __rmul__ = _binary("multiply")
    __truediv__, __rtruediv__ = _binary("divide")
    __floordiv__, __rfloordiv__ = _binary("floor_divide")
    __mod__, __rmod__ = _binary("remainder")
    __pow__, __rpow__ = _binary("power")
    __matmul__, __rmatmul__ = _binary("matmul")
    __and__, __rand__ = _binary("logical_and")
    __or__, __ror__ = _binary("logical_or")
    __xor__, __rxor__ = _binary("logical_xor")
    # == compares identity, as in Keras, so that values can be keys of dicts and members of sets.
    __lt__, __gt__ = _binary("less")[0], _binary("greater")[0]
    __le__, __ge__ = _binary("less_equal")[0], _binary("greater_equal")[0]
    __neg__, __abs__, __invert__ = _unary("negative"), _unary("abs"), _unary("logical_not")
    __float__, __int__, __complex__ = _refused("float()"), _refused("int()"), _refused("complex()")
    __index__, __len__, __iter__ = _refused("an index"), _refused("len()"), _refused("a loop")
    __contains__, __array__ = _refused("'in'"), _refused("np.asarray()")

    def symbol(self) -> Symbolic:
        raise NotImplementedError

    @property
    def spec(self) -> Type:
        raise NotImplementedError

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The shape, None for the batch's dimension and for those that may be any."""
        return shown_shape(self.spec)

    @property
    def dtype(self) -> str:
        return self.spec.dtype

    @property
    def ndim(self) -> int:
        return len(self.spec.shape)

    def __getitem__(self, index: Any) -> Symbolic:
        return cast("Symbolic", rows.look_up("layer", "GetItem")(index)(self))

    def __tensor_function__(self, function: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> Symbolic:
        """What a tensor function returns for a symbolic value: the result of a recorded call."""
        if (operation := getattr(function, "operation", None)) is not None:
            return cast("Symbolic", rows.look_up("layer", "Operation")(operation)(*arguments, **options))
        name = function.__name__
        if name in UFUNCS.values() and not options:  # an operator of a tensor and a symbolic value
            return operate(name, *arguments)
        if len(arguments) == 1 and arguments[0] is self and not options:
            activations = (vocabulary.find("activation", name) for name in vocabulary.names("activation"))
            if any(same_function(function, known) for known in activations):
                return cast("Symbolic", rows.look_up("layer", "Activation")(function)(self))
        raise TypeError(f"{name} computes with tensors, and {self!r} is none yet. {instead(name)}")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Symbolic:
        name = UFUNCS.get(ufunc.__name__)
        if name is None or method != "__call__" or options:
            raise TypeError(f"np.{ufunc.__name__} computes with numbers, and {self!r} has none yet. {WRITE}")
        return operate(name, *inputs)

    def __bool__(self) -> bool:
        raise TypeError(
            f"{self!r} is neither true nor false: it has no numbers yet, and 'if' would choose once for all data. "
            "Write a class with a forward that uses where(condition, a, b) instead."
        )

    def __ne__(self, other: object) -> Any:
        """Elementwise for what holds numbers; for anything else the opposite of ``==``."""
        if isinstance(other, (Operators, int, float)) or hasattr(other, "shape"):
            return operate("not_equal", self, other)
        return self is not other

    __hash__ = object.__hash__

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and hasattr(Tensor, name):
            raise AttributeError(f"{self!r} is no tensor yet, and has no .{name}. {instead(name)}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


class Symbolic(Operators):
    """A value of a functional model: output ``place`` of a call, of which only the type is known, and its mask's."""

    __slots__ = ("_type", "call", "mask_type", "place")

    def __init__(self, call: Call, place: int, type_: Type, mask_type: Type | None = None) -> None:
        self.call, self.place, self._type, self.mask_type = call, place, type_, mask_type

    @property
    def spec(self) -> Type:
        return self._type

    @property
    def free(self) -> Type:
        """The type for batches of any size, whatever `Input(batch_shape=...)` says."""
        return self.freed(self._type)

    def freed(self, known: Type) -> Type:
        """A type of this value or of its mask, for batches of any size."""
        batch = self.call.batch
        fixed = batch is not None and known.shape[:1] == (batch,)
        return Type((BATCH, *known.shape[1:]), known.dtype) if fixed else known

    def take_codes(self, layer: Any) -> None:
        """Be of the type of what a layer maps texts to, which is what a program gets in place of them."""
        codes = layer.codes_type(self._type)
        if codes is None:
            raise ValueError(
                f"layer {layer.name!r} has no vocabulary yet, and so no number of outputs. Write adapt(texts) before "
                "it is called on an Input."
            )
        self._type = codes

    def symbol(self) -> Symbolic:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Symbolic:
        return self

    def __repr__(self) -> str:
        return f"<Symbolic {self.shape} {self.dtype}, of {self.call.module.name!r}>"
