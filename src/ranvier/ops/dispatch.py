"""The functions of a vocabulary, made from the arguments in the table."""

from __future__ import annotations

import ast
import functools
import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from ranvier.graph.node import Node
from ranvier.ops.arrays.elementwise import cast
from ranvier.ops.arrays.promotion import NoAxesError
from ranvier.ops.arrays.shape import reshape
from ranvier.ops.indexing import put
from ranvier.tensor.arguments import ParameterMap, find_handler, no_out
from ranvier.tensor.function import with_parameters
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.views import shares_memory, viewed

ALIASES = {
    "dim": "axis",
    "axis": "dim",
    "keepdim": "keepdims",
    "keepdims": "keepdim",
}  # PyTorch takes NumPy's names too
WORDS = {"dtype": "str | None", "inplace": "bool", "out": "None"}  # arguments that `_with_words` handles, and types
NUMBERS = (bool, int, float)
# PyTorch's functions whose operands are all tensors, and those whose first operand may be a Python number.
OF_TENSORS = (
    "arctan2", "atan2", "fmax", "fmin", "heaviside", "hypot", "logaddexp", "logaddexp2", "logical_and", "logical_or",
    "logical_xor", "maximum", "minimum",
)  # fmt: skip
OF_NUMBERS = ("div", "divide", "floor_divide", "mul", "multiply", "pow", "remainder", "true_divide", "xlogy")


class Argument(NamedTuple):
    """An argument as the table writes it; ``target`` is the body's argument, ``by_name`` whether it needs its name."""

    name: str
    target: str
    default: Any
    by_name: bool

    def parameter(self, annotation: Any) -> inspect.Parameter:
        kind = inspect.Parameter.KEYWORD_ONLY if self.by_name else inspect.Parameter.POSITIONAL_OR_KEYWORD
        return inspect.Parameter(self.name, kind, default=self.default, annotation=annotation)


def _written(text: str) -> list[Argument]:
    """The arguments in a text such as ``"(input, dim: axis = -1, *, dtype=None)"``."""
    given = ast.parse(f"def f{text}: ...").body[0].args  # type: ignore[attr-defined]  # it is a function
    defaults = [None] * (len(given.args) - len(given.defaults)) + given.defaults
    pairs = [(a, d, False) for a, d in zip(given.args, defaults, strict=True)]
    pairs += [(a, d, True) for a, d in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    return [
        Argument(
            a.arg,
            "" if a.annotation is None else a.annotation.id,
            inspect.Parameter.empty if d is None else ast.literal_eval(d),
            by_name,
        )
        for a, d, by_name in pairs
    ]


def is_tensor_function(value: Any) -> bool:
    """Whether this is a tensor function, of which there may be views."""
    return hasattr(value, "with_parameters")


def show(body: Any, name: str, text: str, aliases: bool, operation: str | None) -> Any:
    """The function of this name that computes the body, with the arguments in the text.

    With ``aliases``, in PyTorch's vocabulary, NumPy's names of the arguments are taken too, and a number is no tensor.
    A call with symbolic values is recorded as ``operation``; without it they answer as they answer the body.
    """
    own = inspect.signature(body).parameters
    written = _written(text)
    words = [a for a in written if a.name in WORDS and a.name not in own]
    shown, targets = [], []
    for place, argument in enumerate(a for a in written if a not in words):
        target = argument.target or (argument.name if argument.name in own else list(own)[place])
        annotation = own[target].annotation
        shown.append(argument.parameter(Any if operation and "Node" in str(annotation) else annotation))
        targets.append(target)
    if not is_tensor_function(body):
        return _renamed(body, name, shown, targets)
    also = dict(zip(targets, targets, strict=True)) if aliases else {}
    also |= {ALIASES[p.name]: t for p, t in zip(shown, targets, strict=True) if aliases and p.name in ALIASES}
    no_numbers = () if not aliases or name in OF_NUMBERS else targets if name in OF_TENSORS else targets[:1]
    view = ParameterMap(inspect.unwrap(body), name, shown, targets, also, operation, no_numbers)
    if operation:  # of Keras's functions the operands may be arrays, numbers, or symbolic values, as the result then is
        view.signature = view.signature.replace(return_annotation=Any)
    core = with_parameters(body, view)
    return _with_words(core, written, words) if words else core


def _renamed(body: Callable[..., Any], name: str, shown: list[inspect.Parameter], targets: list[str]) -> Any:
    """A function that is no tensor function, by other names of its arguments."""
    known = {p.name: t for p, t in zip(shown, targets, strict=True)}

    @functools.wraps(body)
    def call(*args: Any, **kwargs: Any) -> Any:
        return body(*args, **{known.get(key, key): value for key, value in kwargs.items()})

    return _signed(call, name, shown)


def _signed(call: Any, name: str, shown: Iterable[inspect.Parameter], returned: Any = Any) -> Any:
    call.__name__ = call.__qualname__ = name
    call.__signature__ = inspect.Signature(list(shown), return_annotation=returned)
    return call


def _with_words(core: Any, written: list[Argument], words: list[Argument]) -> Any:
    """A tensor function with arguments that are not its body's: see `ranvier.ops.table.row`."""
    placed = [a.name for a in written if not a.by_name]
    named = {a.name for a in words}
    result_dtype = any(a.name == "dtype" and a.target == "result" for a in words)
    first = placed[0]
    most = len([name for name in placed if name not in named])  # they come after all others

    @functools.wraps(core)
    def call(*args: Any, **kwargs: Any) -> Any:
        if len(args) <= most and (not kwargs or named.isdisjoint(kwargs)):
            return core(*args, **kwargs)
        given = dict(zip(placed[most:], args[most:], strict=False))
        given |= {name: kwargs.pop(name) for name in named & kwargs.keys()}
        args = args[:most] + args[len(placed) :]
        if given.get("out") is not None:
            raise no_out(core.__name__)
        dtype = given.get("dtype")
        if dtype is not None and not result_dtype:
            if args:
                args = (cast(args[0], dtype), *args[1:])
            else:
                kwargs[first] = cast(kwargs[first], dtype)
        result = core(*args, **kwargs)
        if dtype is not None and result_dtype:
            result = cast(result, dtype)
        target = args[0] if args else kwargs[first]
        return put(target, result) if given.get("inplace") and isinstance(target, Tensor) else result

    own = inspect.signature(core).parameters
    shown = [a.parameter(own[a.name].annotation if a.name in own else WORDS[a.name]) for a in written]
    return _signed(call, core.__name__, shown, inspect.signature(core).return_annotation)


# --- tensors without dimensions -----------------------------------------------------------------------------------


def taking_scalars(function: Any) -> Any:
    """PyTorch's rule: along dimension 0 or -1 a tensor without dimensions counts as a vector of one element.

    The result then has no such dimension. Functions without an argument for dimensions stay as they are.
    """
    if not any(name.startswith("dim") for name in inspect.signature(function).parameters):
        return function

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except NoAxesError:
            pass
        result = function(*map(_vector, args), **{name: _vector(value) for name, value in kwargs.items()})
        return type(result)(*map(_scalar, result)) if isinstance(result, tuple) else _scalar(result)

    return call


def _vector(value: Any) -> Any:
    return reshape(value, (1,)) if isinstance(value, (Tensor, Node)) and not value.ndim else value


def _scalar(value: Any) -> Any:
    return reshape(value, value.shape[:-1]) if value.shape[-1:] == (1,) else value


# --- functions that change their tensor ---------------------------------------------------------------------------


def changing(function: Any, name: str) -> Any:
    """The function that writes the result of another into its first argument, and returns it."""

    def change(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return put(self, function(self, *args, **kwargs))

    return _like(change, function, name, "Written into the tensor, which is returned.")


def written_into(function: Any) -> Any:
    """The function with an underscore after its name, of one that writes into its argument with ``inplace=True``."""

    def change(input: Any, *args: Any, **kwargs: Any) -> Any:
        return function(input, *args, inplace=True, **kwargs)

    return _like(change, function, f"{function.__name__}_", "Written into the tensor, which is returned.")


def reshaping(function: Any, name: str) -> Any:
    """The same for a result of another shape: for a tensor with memory of its own, and no weight."""

    def change(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if shares_memory(self) or (self.is_leaf and self.requires_grad):
            raise RuntimeError(
                "the shape of a view, or of a tensor that requires a gradient, cannot be changed in place. Write "
                "x = x.unsqueeze(...), or its like, instead."
            )
        self.replace(function(self, *args, **kwargs))
        return self

    return _like(change, function, name, "The tensor itself is changed, and returned.")


def taking_out(function: Any) -> Any:
    """PyTorch's function, which with ``out=`` writes its result into tensors, and returns them."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if "out" not in kwargs:
            return function(*args, **kwargs)
        out = kwargs.pop("out")
        result = function(*args, **kwargs)
        if out is None:
            return result
        if isinstance(out, (tuple, list)):
            return tuple(_written_out(function, t, r) for t, r in zip(out, result, strict=True))
        return _written_out(function, out, result)

    return call


def _written_out(function: Any, out: Any, result: Any) -> Tensor:
    name = function.__name__
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}: out is {out!r}. Write a tensor, or leave it out, instead.")
    if result.requires_grad:
        raise RuntimeError(
            f"{name}: out= records no gradient, and the result requires one. Write y = {name}(...), or torch.no_grad() "
            "around it."
        )
    if out.shape == result.shape or math.prod(out.shape):
        return put(out, result)
    out.replace(cast(result, out.dtype))  # an empty tensor takes the shape of the result
    return out


def viewing(function: Any, only: bool) -> Any:
    """The function whose results share the memory of its first argument; ``only`` if it raises where they cannot."""
    if isinstance(function, property):
        return property(viewing(function.fget, only), doc=function.__doc__)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        source = args[0] if args else next((v for v in kwargs.values() if isinstance(v, Tensor)), None)
        if not isinstance(source, Tensor):
            return function(*args, **kwargs)
        result, is_view = viewed(source, function, args, kwargs)
        if only and not is_view:
            raise RuntimeError(
                f"a tensor of shape {source.shape} whose elements are in another order has no view of shape "
                f"{result.shape}. Write x.reshape(...), which copies them, instead."
            )
        return result

    return call


def _like(change: Any, function: Any, name: str, words: str) -> Any:
    text = (function.__doc__ or function.__name__).partition("\n")[0]
    change.__doc__ = f"{text} {words}"
    shown = [p for p in inspect.signature(function).parameters.values() if p.name not in ("inplace", "out")]
    return _signed(change, name, shown, "Tensor")


# --- functions that are composed of others ------------------------------------------------------------------------


def composed(function: Any, name: str) -> Any:
    """A function of Keras's that computes with values, as an operation that a functional model records by this name.

    What it is given for parameters annotated ``Operand``, or in a ``Sequence[Operand]``, it gets as tensors. A Python
    number takes the dtype of what it meets, and is a tensor where it meets nothing. A function without such parameters
    stays as it is. Raises TypeError for a tensor function: the table shows it with its arguments.
    """
    if is_tensor_function(function):
        raise TypeError(f"{name} is a tensor function. Write its arguments in the table instead.")
    parameters = inspect.signature(function).parameters.values()
    kinds = {p.name: str(p.annotation) for p in parameters}
    if not any("Operand" in kind for kind in kinds.values()):
        return function
    names = list(kinds)
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "")

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if (handler := find_handler((*args, *kwargs.values()))) is not None:
            return handler.__tensor_function__(call, args, kwargs)
        places = [*names[: len(args)], *[rest] * (len(args) - len(names)), *kwargs]
        values = [_held(v, kinds.get(n, "")) for n, v in zip(places, (*args, *kwargs.values()), strict=True)]
        operands = [i for i, n in enumerate(places) if kinds.get(n) == "Operand" and values[i] is not None]
        if operands and all(isinstance(values[i], NUMBERS) for i in operands):
            values[operands[0]] = Tensor(values[operands[0]])
        return function(*values[: len(args)], **dict(zip(kwargs, values[len(args) :], strict=True)))

    call.operation = name  # type: ignore[attr-defined]  # what a functional model records
    return call


def _held(value: Any, kind: str) -> Any:
    """Arrays and lists as tensors, where they are computed with."""
    if kind == "Operand" and isinstance(value, (list, tuple, np.ndarray, np.generic)):
        return Tensor(value)
    if kind == "Sequence[Operand]" and isinstance(value, (list, tuple)):
        return [Tensor(v) if isinstance(v, NUMBERS) else _held(v, "Operand") for v in value]
    return value
