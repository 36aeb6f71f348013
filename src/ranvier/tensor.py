"""Tensor: a lazy handle on a recorded computation; eager in feel, compiled in fact."""

from __future__ import annotations

import contextlib
import functools
import inspect
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier import tape
from ranvier.graph.grad import gradient
from ranvier.graph.node import FLOATS, Node, Symbol, Type, apply
from ranvier.tape import Entry, Function, Segment

_dtype = "float32"


def set_dtype(name: str) -> None:
    """The floating dtype of new parameters and of data: "float32", or "float64" for checking."""
    global _dtype
    if name not in FLOATS:
        raise ValueError(f"dtype {name!r} is not one to compute in. Write 'float32' or 'float64'.")
    if name != _dtype:
        _dtype = name
        tape.forget()


def get_dtype() -> str:
    """The floating dtype of new parameters and of data."""
    return tape.state.dtype or _dtype


@contextlib.contextmanager
def computing_in(name: str) -> Iterator[None]:
    """Within this context this thread computes in a floating dtype of its own, whatever `set_dtype` says."""
    if name not in FLOATS:
        raise ValueError(f"dtype {name!r} is not one to compute in. Write 'float32' or 'float64'.")
    before = tape.state.dtype
    tape.state.dtype = name
    try:
        yield
    finally:
        tape.state.dtype = before


class Tensor:
    """An n-dimensional array, perhaps not computed yet.

    Reading it (``numpy()``, ``item()``, printing) computes it together with all that is pending. Arithmetic follows
    NumPy's broadcasting. ``backward()`` fills the ``grad`` of every leaf that requires one.
    """

    __array_priority__ = 1000  # NumPy arrays on the left let our operators answer
    __slots__ = (
        "__weakref__",
        "_requires_grad",
        "base",
        "entry",
        "grad",
        "kept",
        "released",
        "segment",
        "spec",
        "value",
        "version",
    )

    def __init__(self, value: Any = None, *, requires_grad: bool = False, dtype: str | None = None) -> None:
        array = convert(value, dtype)
        self.value: Any = array
        self.spec = Type(array.shape, array.dtype.name)
        self._start(requires_grad)

    def _start(self, requires_grad: bool) -> None:
        self.entry: Entry | None = None
        self.segment: Segment | None = None
        self.grad: Any = None
        self.released = False
        self.kept: Any = None  # see tape.stored
        self.base: Any = None  # the tensor that this one is a view of, and the index: None for all of it
        self.version = 0
        self._requires_grad = requires_grad

    @staticmethod
    def placeholder(type_: Type, *, requires_grad: bool = False) -> Tensor:
        """A leaf without a value, for tracing; its shape may hold symbols."""
        tensor = Tensor.__new__(Tensor)
        tensor.value, tensor.spec = None, type_
        tensor._start(requires_grad)
        return tensor

    @staticmethod
    def wrap(array: Any, *, requires_grad: bool = False) -> Tensor:
        """A tensor that shares an array of a dtype that programs have, C- or Fortran-contiguous; nothing is copied."""
        tensor = Tensor.__new__(Tensor)
        tensor.value, tensor.spec = array, Type(array.shape, array.dtype.name)
        tensor._start(requires_grad)
        return tensor

    @staticmethod
    def pending(entry: Entry, segment: Segment) -> Tensor:
        tensor = Tensor.__new__(Tensor)
        tensor.value, tensor.spec = None, entry.type
        tensor.entry, tensor.segment, tensor.grad, tensor.kept, tensor.base = entry, segment, None, None, None
        tensor.released, tensor._requires_grad, tensor.version = False, entry.requires_grad, 0
        segment.live.append(weakref.ref(tensor))
        return tensor

    if TYPE_CHECKING:  # given at run time by `ranvier.methods`
        __add__: Any
        __radd__: Any
        __sub__: Any
        __rsub__: Any
        __mul__: Any
        __rmul__: Any
        __truediv__: Any
        __rtruediv__: Any
        __floordiv__: Any
        __mod__: Any
        __pow__: Any
        __matmul__: Any
        __neg__: Any
        __abs__: Any
        __lt__: Any
        __le__: Any
        __gt__: Any
        __ge__: Any
        __and__: Any
        __or__: Any
        __invert__: Any
        __getitem__: Any
        __setitem__: Any
        data: Any

        def __getattr__(self, name: str) -> Any: ...

    # --- looking --------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[Any, ...]:
        return self.spec.shape

    @property
    def dtype(self) -> str:
        return self.spec.dtype

    @property
    def ndim(self) -> int:
        return len(self.spec.shape)

    @property
    def is_leaf(self) -> bool:
        return self.entry is None or not self.entry.requires_grad

    @property
    def requires_grad(self) -> bool:
        """Whether gradients reach this tensor. What was computed from none that they reach may ask for its own."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        if not self.is_leaf:
            if flag:
                return
            raise RuntimeError(
                "the gradient of a result follows from its operands. Write x.detach() instead."
            )
        if self.entry is not None and flag:
            self.compute()
            self.entry = self.segment = None
        self._requires_grad = bool(flag)

    def compute(self) -> Any:
        """The value as the array that holds it."""
        segment = self.segment
        if segment is not None and (self.value is None or self.entry is None):  # pending, or assigned to
            tape.flush(segment)
        if self.value is None:
            raise RuntimeError(
                f"this tensor of shape {self.shape} has no value: it stands for data while a model is traced. "
                "Write tensor functions (where, maximum, ...) instead of Python's if, print or numpy() in forward."
            )
        return self.value

    def numpy(self) -> Any:
        """The value as a NumPy array of its own."""
        return np.array(self.compute())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self.compute(), dtype=dtype)

    def item(self) -> Any:
        """The only element, as a Python number."""
        array = self.compute()
        if array.size != 1:
            raise ValueError(
                f"item() needs one element; this tensor has shape {self.shape}. Use numpy() or tolist()."
            )
        return array.item()

    def tolist(self) -> Any:
        return self.compute().tolist()

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a 0-d tensor has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __index__(self) -> int:
        if self.dtype in FLOATS:
            raise TypeError(f"a {self.dtype} tensor is no index. Write x.int() instead.")
        return int(self.item())

    def __repr__(self) -> str:
        if self.value is None and (self.segment is None or any(isinstance(d, Symbol) for d in self.shape)):
            return f"tensor(shape={self.shape}, dtype={self.dtype})"
        body = np.array2string(self.compute(), precision=4, separator=", ", prefix="tensor(")
        return f"tensor({body}{', requires_grad=True' if self.requires_grad else ''})"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    # --- gradients ------------------------------------------------------------------------------------------------

    def backward(self, gradient: Any = None, retain_graph: bool | None = None) -> None:
        """Add the derivative of this tensor by every leaf that requires one to the leaf's ``grad``.

        What was recorded is kept in any case: ``retain_graph`` changes nothing. Raises RuntimeError when the tensor
        depends on no such leaf, or when its history ended because a tensor it was computed from has been overwritten
        since (by ``optimizer.step()``, say).
        """
        leaves = self.grad_leaves()
        seed = [] if gradient is None else [gradient if isinstance(gradient, Tensor) else Tensor(gradient)]
        with no_grad():
            for leaf, part in zip(leaves, gradients(self, leaves, *seed), strict=True):
                leaf.grad = part if leaf.grad is None else add(leaf.grad, part)

    def grad_leaves(self) -> list[Tensor]:
        entry, segment = self.entry, self.segment
        if entry is None and self._requires_grad and not self.released:
            return [self]
        if self.released or (entry is not None and segment is not None and segment.is_stale(entry)):
            raise RuntimeError(
                "this tensor's history ended: a tensor it was computed from has been overwritten since. "
                "Call backward() before optimizer.step(), or compute the loss again."
            )
        if entry is None or segment is None or not entry.requires_grad:
            raise RuntimeError(
                "this tensor depends on no tensor that requires a gradient. Was it computed under no_grad?"
            )
        return [segment.leaves[o] for o in sorted(entry.sources)]

    def detach(self) -> Tensor:
        """The same values, taken as constant by gradients."""
        with no_grad():
            return detach(self)

    def assign(self, value: Any) -> None:
        """Overwrite the values with those of a tensor or array of the same shape; tensors computed from the old values
        keep them. Becomes real with the next thing that is read, or with ``optimizer.step()``. What this one is a view
        of is written too.
        """
        if self.base is not None and self.base[1] is None:  # another tensor's memory: it has to know at once
            array = np.asarray(value.compute() if isinstance(value, Tensor) else value)
            tape.settle(self)
            self.base[0].assign(array)
            self.version += 1
            return
        self._write(value)
        if self.base is not None:
            self.base[0][self.base[1]] = self

    def _write(self, value: Any) -> None:
        leaf = self.entry is None and self.value is not None
        if leaf and isinstance(value, Tensor) and value.segment is not None:
            if value.spec != self.spec:
                raise ValueError(f"a tensor of {self.spec} cannot take values of {value.spec}.")
            segment = tape.segment_of((value, self))
            segment.assign(self, value.entry or segment.leaf(value))
            return
        array = np.asarray(value.compute() if isinstance(value, Tensor) else value)
        if array.shape != self.shape:
            raise ValueError(f"a tensor of shape {self.shape} cannot take values of shape {array.shape}.")
        if self.entry is not None:  # a result becomes a leaf of its own
            self.compute()
            self.entry = self.segment = None
        tape.settle(self)
        if not self.value.flags.writeable:
            raise ValueError("this tensor shares a read-only array. Write x.clone() and change that instead.")
        self.value[...] = array
        self.version += 1

    def become(self, other: Tensor) -> None:
        """Be what ``other`` is from here on, with its history; tensors computed from the old values keep them."""
        if self.entry is None and self.value is not None:
            before = Tensor.wrap(self.compute(), requires_grad=self._requires_grad)
            before.version = self.version
            tape.hand_over(self, before)
        listed = self.entry is not None and self.segment is other.segment
        self.version += 1
        self.value, self.spec, self.entry, self.segment = other.value, other.spec, other.entry, other.segment
        self.released, self._requires_grad = other.released, other._requires_grad
        if self.segment is not None and self.entry is not None and not listed:
            self.segment.live.append(weakref.ref(self))
        if self.base is not None:
            self.base[0][self.base[1]] = self


def convert(value: Any, dtype: str | None = None) -> Any:
    """Any array-like as an array of a dtype that programs have; floats take the default floating dtype."""
    array = np.asarray(value)
    if array.dtype.kind == "c" or array.dtype.kind not in "fiub":
        raise TypeError(f"a tensor cannot hold {array.dtype}. Convert it to numbers first.")
    if dtype is not None:
        wanted = dtype
    elif array.dtype.kind == "f":
        wanted = _dtype
    elif array.dtype.kind in "iu" and array.dtype not in (np.uint8, np.uint32):
        if array.size and (array.max() > 2**31 - 1 or array.min() < -(2**31)):
            raise OverflowError(
                f"integer {array.max()} does not fit int32, the integers that programs compute with."
            )
        wanted = "int32"
    else:
        wanted = array.dtype.name
    array = np.array(array, wanted, order="K")  # a copy: neither side sees the other's later changes
    return array if array.flags.f_contiguous or array.flags.c_contiguous else np.ascontiguousarray(array)


# --- recording ----------------------------------------------------------------------------------------------------


def function(body: Callable[..., Any]) -> Any:
    """Make a tensor function of a builder of nodes.

    Given tensors (or arrays, for the parameters annotated ``Node``) the call is recorded; given nodes it builds graph
    at once. Parameters annotated ``Node`` (or ``Node | None``) are operands, those annotated ``Sequence[Node]`` are
    sequences of operands, all others are options and must be hashable. A Python number or None given for an operand
    is part of the program.
    """
    signature = inspect.signature(body)
    kinds = {p.name: _kind(str(p.annotation)) for p in signature.parameters.values()}
    names = list(kinds.items())
    required = [p.name for p in signature.parameters.values() if p.default is p.empty]
    recorded: dict[tuple[Any, ...], Function] = {}
    # For so many arguments, where all of them may be tensors and the rest is left out.
    plain = {
        n: tuple(name for name, _ in names[:n])
        for n in range(max(len(required), 1), len(names) + 1)
        if all(kind == "operand" for _, kind in names[:n])
    }

    def function_for(pattern: tuple[Any, ...]) -> Function:
        """The recorded function for one way of giving operands: tensors by name, sequences by name and length."""
        known = recorded.get(pattern)
        if known is not None:
            return known

        def build(*nodes: Node, **options: Any) -> Any:
            rest = iter(nodes)
            for item in pattern:
                if isinstance(item, str):
                    options[item] = next(rest)
                elif isinstance(item[1], int):
                    options[item[0]] = [next(rest) for _ in range(item[1])]
            return body(**options)

        return recorded.setdefault(pattern, Function(body.__name__, build))

    @functools.wraps(body)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not kwargs and (key := plain.get(len(args))) is not None:  # the usual call, and the quick way
            for arg in args:
                if not isinstance(arg, Tensor):
                    break
            else:
                return record(function_for(key), args, ())
        if Node in map(type, args) or (kwargs and Node in map(type, kwargs.values())):
            return body(*args, **kwargs)
        if kwargs or len(args) < len(required) or len(args) > len(names):
            given = signature.bind(*args, **kwargs).arguments
            items = [(name, kinds[name], value) for name, value in given.items()]
        else:
            items = [(name, kind, value) for (name, kind), value in zip(names, args, strict=False)]
        tensors: list[Tensor] = []
        pattern: list[Any] = []
        options: list[tuple[str, Any]] = []
        for name, kind, value in items:
            if kind == "operand":
                if isinstance(value, Tensor):
                    tensors.append(value)
                    pattern.append(name)
                elif isinstance(value, (np.ndarray, list, np.generic)):
                    tensors.append(Tensor(value))
                    pattern.append(name)
                elif hasattr(value, "__tensor_function__"):  # see module.symbolic
                    return value.__tensor_function__(call, args, kwargs)
                else:  # 1, 1.0 and True are equal and hash alike, but make different programs; so do 0.0 and -0.0
                    options.append((name, value))
                    pattern.append((name, "-0" if value == 0 and str(value)[0] == "-" else type(value)))
            elif kind == "option":
                options.append((name, value if type(value) is int else freeze(value)))
            else:
                if len(value) and all(isinstance(v, Node) for v in value):
                    return body(*args, **kwargs)
                described = [v for v in value if hasattr(v, "__tensor_function__")]
                if described:
                    return described[0].__tensor_function__(call, args, kwargs)
                tensors += [v if isinstance(v, Tensor) else Tensor(v) for v in value]
                pattern.append((name, len(value)))
        return record(function_for(tuple(pattern)), tensors, tuple(options))

    call.__wrapped__ = body
    return call


def _kind(annotation: str) -> str:
    if "Node" not in annotation:
        return "option"
    return "sequence" if "Sequence" in annotation else "operand"


def freeze(value: Any) -> Any:
    return tuple(freeze(v) for v in value) if isinstance(value, (list, tuple)) else value


def record(target: Function, tensors: Sequence[Tensor], options: tuple[tuple[str, Any], ...]) -> Any:
    segment = tape.segment_of(tensors)
    children = tuple([t.entry if t.entry is not None else segment.leaf(t) for t in tensors])
    entries = tape.intern(target, children, options, tape.state.grad_enabled)
    if entries[0].pick < 0:
        return Tensor.pending(entries[0], segment)
    return tuple(Tensor.pending(e, segment) for e in entries)


class no_grad(contextlib.ContextDecorator):  # noqa: N801  # PyTorch's name
    """Within this context (or a function decorated with it, with brackets or without) results require no gradient."""

    _records = False

    def __new__(cls, function: Any = None) -> Any:
        context = super().__new__(cls)
        return context if function is None else context(function)

    def _recreate_cm(self) -> no_grad:  # a function may call itself
        return type(self)()

    def __enter__(self) -> None:
        self.before = tape.state.grad_enabled
        tape.state.grad_enabled = self._records

    def __exit__(self, *error: object) -> None:
        tape.state.grad_enabled = self.before


def _gradients(output: Node, *nodes: Node, seeded: bool) -> list[Node]:
    seed = nodes[-1] if seeded else None
    return gradient(output, nodes[:-1] if seeded else nodes, seed)


_gradients_function = Function("gradients", _gradients)


def gradients(output: Tensor, wrt: Sequence[Tensor], seed: Tensor | None = None) -> list[Tensor]:
    """The derivative of ``output`` by each tensor of ``wrt``, as tensors that may be differentiated again."""
    if output.entry is None and not any(output is w for w in wrt):
        raise RuntimeError("the output was not computed from any of these tensors")
    if seed is None and output.shape != ():
        raise RuntimeError(
            f"the gradient of a tensor of shape {output.shape} needs a seed; reduce it with mean() or sum()."
        )
    extra = [] if seed is None else [seed]
    result = record(_gradients_function, [output, *wrt, *extra], (("seeded", seed is not None),))
    return list(result)


@function
def detach(x: Node) -> Node:
    """``x``, taken as constant by gradients."""
    return apply("stop_gradient", x)


@function
def add(a: Node, b: Node) -> Node:
    """The sum of two tensors of one shape and dtype: gradients that meet at a leaf."""
    return a + b
