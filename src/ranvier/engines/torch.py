"""The engine on PyTorch: the functions of a step run one after another, on the tensors of any device."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch

from ranvier.engines.contractions import contraction, windows
from ranvier.engines.tables import PICKING, Function, Interpreter, Table, TableProgram, elementwise
from ranvier.engines.torch_compiled import Compiled, divided, is_available, seconds
from ranvier.engines.torch_integers import MASKS, quotient, whole, without_sign
from ranvier.graph.dtypes import ELEMENT_TYPES, array_dtype
from ranvier.graph.graph import Graph
from ranvier.graph.node import Node
from ranvier.graph.random import KEY_ADDITIONS, KEY_PARITY, ROTATIONS
from ranvier.graph.scan import Operands
from ranvier.graph.values import concrete

Array = Any
MASK = 0xFFFFFFFF
LONG = 1.0  # seconds of a pass whose step is compiled, which takes some seconds, and once for a network

# Programs write only the arrays that they update, which are writable.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable", category=UserWarning)


ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "neg": torch.neg, "abs": torch.abs, "floor": torch.floor, "exp": torch.exp, "expm1": torch.expm1,
    "sign": lambda x: torch.where(x != x, x, torch.sign(x)),  # nan is not itself
    "log": torch.log, "log1p": torch.log1p, "sqrt": torch.sqrt, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
    "erf": torch.erf, "sin": torch.sin, "cos": torch.cos, "relu": torch.relu,
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div,
    "quotient": quotient, "power": torch.pow, "maximum": torch.maximum, "minimum": torch.minimum, "less": torch.lt,
    "less_equal": torch.le, "equal": torch.eq, "logical_and": torch.logical_and, "logical_or": torch.logical_or,
    "logical_not": torch.logical_not, "select": torch.where,
}  # fmt: skip


def kept(function: Function) -> Function:
    """The function, called once."""
    held: list[Array] = []

    def value(a: Sequence[Array], s: Any, e: Any) -> Array:
        if not held:
            held.append(function(a, s, e))
        return held[0]

    return value


OF_ANY_TYPE = ("cast", "random", "scan", "result")
"""Rows that take unsigned integers as they are."""


def adapted(row: Function, node: Node) -> Function:
    """The function of a node: constants are made once, and so are the bodies of loops."""
    if node.op.name == "constant":
        return kept(row)
    if node.op.name == "scan":
        return partial(scan, step=Interpreter(node.attrs["body"], TABLE, adapted))
    if node.op.name in OF_ANY_TYPE:
        return row
    return without_sign(row, node)


def traced(row: Function, node: Node) -> Function:
    """The function of a node for a trace, in which numbers are written into the program."""
    if node.op.name == "constant":
        return row if node.shape or node.dtype == "bfloat16" else number
    return adapted(row, node)


def number(a: Any, s: Any, e: Any) -> Array:
    return torch.full((), s["value"].item(), dtype=element_type(str(s["value"].dtype)))


def element_type(name: str) -> torch.dtype:
    """PyTorch's dtype of an element type."""
    found: torch.dtype = getattr(torch, name)
    return found


def cast(a: Sequence[Array], s: Any, e: Any) -> Array:
    (x,), target = a, ELEMENT_TYPES[s["dtype"]]
    kind = element_type(target.name)
    if x.dtype in MASKS:
        x = x.long()
    if x.dtype.is_floating_point and target.category == "integer":
        x = whole(x, target.name)
    return (x.long() & MASKS[kind]).to(kind) if kind in MASKS else x.to(kind)


def iota(a: Any, s: Any, e: Any) -> Array:
    shape = concrete(s["shape"], e)
    line = cast([torch.arange(shape[s["axis"]])], s, e)
    return line.reshape([-1 if i == s["axis"] else 1 for i in range(len(shape))]).expand(shape)


def random(a: Sequence[Array], s: Any, e: Any) -> Array:
    shape = concrete(s["shape"], e)
    keys = [x.long() for x in a]
    keys.append(keys[0] ^ keys[1] ^ KEY_PARITY)
    counters = torch.arange(math.prod(shape))
    x, y = ((counters & MASK) + keys[0]) & MASK, ((counters >> 32) + keys[1]) & MASK
    for group in range(KEY_ADDITIONS):
        for rotation in ROTATIONS[group % 2]:
            x = (x + y) & MASK
            y = (((y << rotation) | (y >> (32 - rotation))) & MASK) ^ x
        x, y = (x + keys[(group + 1) % 3]) & MASK, (y + keys[(group + 2) % 3] + group + 1) & MASK
    return ((x >> 8).to(element_type(s["dtype"])) * 2.0**-24).reshape(shape)


def broadcast(a: Sequence[Array], s: Any, e: Any) -> Array:
    shape, axes = concrete(s["shape"], e), s["axes"]
    if axes == tuple(range(len(shape) - len(axes), len(shape))):
        return a[0].expand(shape)
    view = [1] * len(shape)
    for dim, axis in zip(a[0].shape, axes, strict=True):
        view[axis] = dim
    return a[0].reshape(view).expand(shape)


def pad(a: Sequence[Array], s: Any, e: Any) -> Array:
    x, value = a
    sizes = list(zip(x.shape, s["widths"], strict=True))
    shape = [low + n + max(0, n - 1) * between + high for n, (low, high, between) in sizes]
    inner = tuple(slice(low, n - high, between + 1) for n, (low, high, between) in zip(shape, s["widths"], strict=True))
    result = value.expand(shape).clone()
    result[inner] = x
    return result


def parts(index: Array, batch: int) -> list[Array]:
    """For each of the first ``batch`` axes of the indices, their positions along it."""
    shape = index.shape
    return [
        torch.arange(n).reshape([-1 if a == axis else 1 for a in range(len(shape))]).expand(shape)
        for axis, n in enumerate(shape[:batch])
    ]


def gather(a: Sequence[Array], s: Any, e: Any) -> Array:
    x, index = a
    batch = s.get("batch", 0)
    rows = index.long().clamp(0, x.shape[batch] - 1)
    if not batch:
        return x.index_select(0, rows.reshape(-1)).reshape(*index.shape, *x.shape[1:])
    return x[(*parts(index, batch), rows)]


def scatter_add(a: Sequence[Array], s: Any, e: Any) -> Array:
    index, updates = a
    batch, (rows,) = s.get("batch", 0), concrete((s["rows"],), e)
    index = torch.where((index >= 0) & (index < rows), index, rows).long()  # a row more, which is cut off
    zeros = updates.new_zeros((*index.shape[:batch], rows + 1, *updates.shape[index.ndim :]))
    return zeros.index_put_((*parts(index, batch), index), updates, accumulate=True).narrow(batch, 0, rows)


def reduce_sum(a: Sequence[Array], s: Any, e: Any) -> Array:
    (x,), axes = a, s["axes"]
    if not axes:
        return x
    return x.any(axes) if x.dtype is torch.bool else x.sum(axes, dtype=x.dtype)


def argmax(a: Sequence[Array], s: Any, e: Any) -> Array:
    x = a[0].to(torch.uint8) if a[0].dtype is torch.bool else a[0]
    return x.argmax(s["axis"]).int()


def scan(a: Sequence[Array], s: Any, e: Any, step: Interpreter | None = None) -> tuple[Array, ...]:
    body, axis, length = s["body"], s["axis"], s["length"]
    given, step = Operands(a, body, s["slices"]), step or Interpreter(body, TABLE, adapted)
    carries, slices = given.carries, [x.unbind(axis) for x in given.slices]
    found: list[list[Array]] = [[] for _ in range(length)]
    for t in reversed(range(length)) if s["reverse"] else range(length):
        found[t], carries = step([*carries, *(x[t] for x in slices), *given.constants], e)
    return (*carries, *(torch.stack(values, axis) for values in zip(*found, strict=True)))


def einsum(a: Array, a_loops: Sequence[int], b: Array, b_loops: Sequence[int], out: Sequence[int]) -> Array:
    summed = [loop for loop in a_loops if loop in b_loops and loop not in out]
    if (
        len(a_loops) == len(b_loops) == len(out) == 2 and len(summed) == 1
    ):  # a product of matrices, without the analysis
        left = a if a_loops[1] == summed[0] else a.t()
        right = b if b_loops[0] == summed[0] else b.t()
        return left @ right if out[0] in a_loops else (left @ right).t()
    return torch.einsum(a, list(a_loops), b, list(b_loops), list(out))


CONVOLUTIONS = (torch.conv1d, torch.conv2d, torch.conv3d)


def convolve(
    x: Array,
    w: Array,
    strides: Sequence[int],
    dilations: Sequence[int],
    groups: int,
    padding: Sequence[tuple[int, int]],
) -> Array:
    found = [
        (n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(x.shape[1:], w.shape, strides, dilations, strict=False)
    ]
    if math.prod(w.shape[:-2]) > math.prod(found):
        return by_weights(x, w, found, strides, dilations, groups)
    made = CONVOLUTIONS[len(strides) - 1](
        x.movedim(-1, 1), w.movedim((-1, -2), (0, 1)), None, strides, 0, dilations, groups
    )
    return made.movedim(1, -1)


def by_weights(
    x: Array, w: Array, found: Sequence[int], strides: Sequence[int], dilations: Sequence[int], groups: int
) -> Array:
    """The same sums as PyTorch's gradient of a convolution by its weights: this has more places than positions."""
    rank = len(strides)
    rows, channels, filters = x.shape[0], w.shape[-2], w.shape[-1]
    images = x.reshape(*x.shape[:-1], groups, channels).movedim((-1, -2), (0, 1)).flatten(1, 2)
    gradients = w.movedim((-2, -1), (0, 1))
    weights = x.new_empty((filters, rows, *found))
    _, made, _ = torch.ops.aten.convolution_backward(
        gradients, images, weights, None, dilations, [0] * rank, strides, False, [0] * rank, groups,
        [False, True, False],
    )  # fmt: skip
    return made.movedim(0, -1)


TABLE: Table = {
    **PICKING,
    **elementwise(ELEMENTWISE),
    "cast": cast, "iota": iota, "random": random, "broadcast": broadcast, "pad": pad, "scan": scan,
    "gather": gather, "scatter_add": scatter_add, "reduce_sum": reduce_sum,
    "argmax": argmax,
    "constant": lambda a, s, e: torch.tensor(s["value"]),
    "extent": lambda a, s, e: torch.tensor(math.prod(e[n] for n in s["symbols"]), dtype=element_type(s["dtype"])),
    "reduce_max": lambda a, s, e: a[0].amax(s["axes"]) if s["axes"] else a[0],
    "reshape": lambda a, s, e: a[0].reshape(concrete(s["shape"], e)),
    "transpose": lambda a, s, e: a[0].permute(s["axes"]),
    "reverse": lambda a, s, e: a[0].flip(s["axes"]),
    "concatenate": lambda a, s, e: torch.cat(a, s["axis"]),
}  # fmt: skip
TABLE["windows"] = windows(TABLE)
TABLE["contract"] = contraction(TABLE, einsum, convolve)


def to_torch(array: Any) -> Array:
    """An array of NumPy as a tensor that shares its memory, if its layout can be PyTorch's."""
    array = np.asarray(array)
    if any(step < 0 for step in array.strides):
        array = np.ascontiguousarray(array).reshape(array.shape)
    return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16) if array.dtype.names else torch.from_numpy(array)


def to_numpy(tensor: Array) -> Any:
    tensor = tensor.cpu()
    return (
        tensor.view(torch.int16).numpy().view(array_dtype("bfloat16"))
        if tensor.dtype is torch.bfloat16
        else tensor.numpy()
    )


class TorchProgram(TableProgram):
    """A graph whose functions PyTorch runs one after another, or, in passes of many steps, torch.compile's program."""

    def __init__(self, graph: Graph, batch: int | None, device: torch.device) -> None:
        super().__init__(graph, batch, TABLE, adapted)
        self.device, self.compiled = device, Compiled()
        # Inductor drops what is written into inputs without dimensions, float64 ones at least.
        self.numbers = [i for i in self.updated if not graph.inputs[i].shape]
        self.has_loop = any(node.op.name == "scan" for node in self.graph.nodes())

    def run(
        self, arrays: Sequence[Array], outputs: Sequence[Array], start: int = 0, stop: int = 1, total: int | None = None
    ) -> None:
        # Not the measured time decides, so that a run that is repeated or resumed computes the same.
        steps = 0 if total is None or outputs else total // self.batch
        self.held.is_long = steps * self.seconds >= LONG and is_available(self.device)
        super().run(arrays, outputs, start, stop, total)

    @cached_property
    def seconds(self) -> float:
        return seconds(self.graph, self.batch)

    def run_equal(self, arrays: Sequence[Array], outputs: Sequence[Array], start: int, stop: int, rows: int) -> int:
        is_long = self.held.is_long and rows == self.batch
        mode = torch.no_grad() if is_long else torch.inference_mode()
        with mode, self.device if self.device.type != "cpu" else contextlib.nullcontext():
            held = self.placed(arrays, lambda a: to_torch(a).to(self.device))
            if is_long and not self.has_loop:
                done = self._run_compiled(held, start, stop, rows)
            else:
                done = self._run_steps(held, outputs, start, stop, rows)
            for i in self.updated:
                if not np.may_share_memory(found := to_numpy(held[i]), arrays[i]):
                    np.copyto(arrays[i], found)
            return done

    def _run_steps(self, held: Sequence[Array], outputs: Sequence[Array], start: int, stop: int, rows: int) -> int:
        own = {held[i].untyped_storage().data_ptr() for i in self.updated}
        for step in range(start, stop):
            given = self.given(held, step, rows)
            results, new = self.interpret(given, self.extents(given, rows))
            if self.has_flag and results.pop() > 0:
                return step
            self.write(outputs, [to_numpy(r) for r in results], step, rows)
            # A new value may be (a view of) another updated input.
            new = [v.clone() if v.untyped_storage().data_ptr() in own else v for v in new]
            for i, value in zip(self.updated, new, strict=True):
                given[i].copy_(value)
        return stop

    @cached_property
    def divided(self) -> tuple[Interpreter, Interpreter]:
        """See `ranvier.engines.torch_compiled.divided`."""
        numbers, rest = divided(self.graph)
        return Interpreter(numbers, TABLE, adapted), Interpreter(rest, TABLE, traced)

    def _run_compiled(self, held: Sequence[Array], start: int, stop: int, rows: int) -> int:
        def given_at(step: int) -> list[Array]:
            given = self.given(held, step, rows)
            return [*given, *numbers(given, extents)[0]]

        numbers, _ = self.divided
        extents = self.extents(self.given(held, start, rows), rows)
        given = given_at(start)
        run = self.compiled.get(lambda: self._step(extents), given)
        if run is None:
            return self._run_steps(held, (), start, stop, rows)
        for step in range(start, stop):
            given = given_at(step)
            flag, *new = run(*given)
            if flag > 0:
                return step
            for i, value in zip(self.numbers, new, strict=True):
                given[i].copy_(value)
        return stop

    def _step(self, extents: dict[str, int]) -> Callable[..., Array]:
        """The function of a step: whether a value is out of range, and new values of `numbers`. It writes those of
        other updated inputs, if no value is out of range.
        """
        _, interpret = self.divided

        def step(*arrays: Array) -> list[Array]:
            results, new = interpret(arrays, extents)
            flag = results[-1] if self.has_flag else 0
            own = {arrays[i].untyped_storage().data_ptr() for i in self.updated}
            if self.has_flag:
                new = [torch.where(flag > 0, arrays[i], value) for i, value in zip(self.updated, new, strict=True)]
            new = [v.clone() if v.untyped_storage().data_ptr() in own else v for v in new]
            for i, value in zip(self.updated, new, strict=True):
                if i not in self.numbers:
                    arrays[i].copy_(value)
            return [flag, *(value for i, value in zip(self.updated, new, strict=True) if i in self.numbers)]

        return step


def device_of(name: str) -> torch.device:
    """PyTorch's device of this name. Raises ValueError if it is not there."""
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):
        known = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        raise ValueError(
            f"PyTorch has no device {name!r} here. Write one of {', '.join(map(repr, known))} instead."
        ) from None
    return device


def compile(graph: Graph, batch: int | None = None, device: str = "cpu") -> TorchProgram:
    """A program of PyTorch."""
    return TorchProgram(graph, batch, device_of(device))
