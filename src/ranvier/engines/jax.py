"""The engine on JAX: every program is compiled by XLA, with its loop over steps."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ranvier.engines.compiled_tables import CompiledTableProgram
from ranvier.engines.contractions import Geometry, contraction, trimmed, windows
from ranvier.engines.tables import PICKING, Interpreter, Table, elementwise, numbered
from ranvier.graph.dtypes import ELEMENT_TYPES, array_dtype, limits
from ranvier.graph.extents import shape_at
from ranvier.graph.graph import Graph
from ranvier.graph.random import KEY_ADDITIONS, KEY_PARITY, ROTATIONS
from ranvier.graph.scan import Operands
from ranvier.graph.values import parts_of

Array = Any
BFLOAT16 = np.dtype(jnp.bfloat16)
ALIGNMENT = 64  # bytes, at which XLA uses an array's own memory


def quotient(x: Array, y: Array) -> Array:
    """See `ranvier.graph.values.quotient_value`."""
    return jnp.where(y == 0, jnp.zeros_like(x), jnp.floor_divide(x, jnp.where(y == 0, jnp.ones_like(y), y)))


ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "neg": jnp.negative, "abs": jnp.abs, "sign": jnp.sign, "floor": jnp.floor, "exp": jnp.exp, "expm1": jnp.expm1,
    "log": jnp.log, "log1p": jnp.log1p, "sqrt": jnp.sqrt, "tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid,
    "erf": jax.scipy.special.erf, "sin": jnp.sin, "cos": jnp.cos,
    "relu": lambda x: jnp.where(x < 0, jnp.zeros_like(x), x),
    "add": jnp.add, "sub": jnp.subtract, "mul": jnp.multiply, "div": jnp.divide, "quotient": quotient,
    "power": jnp.power, "maximum": jnp.maximum, "minimum": jnp.minimum, "less": jnp.less,
    "less_equal": jnp.less_equal, "equal": jnp.equal, "logical_and": jnp.logical_and, "logical_or": jnp.logical_or,
    "logical_not": jnp.logical_not, "select": jnp.where,
}  # fmt: skip


def element_type(name: str) -> Any:
    """JAX's dtype of an element type."""
    return BFLOAT16 if name == "bfloat16" else array_dtype(name)


def cast(a: Sequence[Array], s: Any, e: Any) -> Array:
    (x,), target = a, ELEMENT_TYPES[s["dtype"]]
    if not jnp.issubdtype(x.dtype, jnp.floating) or target.category != "integer":
        return x.astype(element_type(target.name))
    low, high = limits(target.name)
    wide = jnp.trunc(x.astype(jnp.float64))
    above = wide >= float(high)
    inside = jnp.where(jnp.isnan(wide) | above, 0, jnp.maximum(wide, low)).astype(target.array)
    return jnp.where(above, jnp.asarray(high, target.array), inside)


def random(a: Sequence[Array], s: Any, e: Any) -> Array:
    shape = shape_at(s["shape"], e)
    counters = jnp.arange(math.prod(shape), dtype=jnp.uint64)
    keys = [a[0], a[1], a[0] ^ a[1] ^ jnp.uint32(KEY_PARITY)]
    x, y = counters.astype(jnp.uint32) + keys[0], (counters >> 32).astype(jnp.uint32) + keys[1]
    for group in range(KEY_ADDITIONS):
        for rotation in ROTATIONS[group % 2]:
            x = x + y
            y = ((y << jnp.uint32(rotation)) | (y >> jnp.uint32(32 - rotation))) ^ x
        x, y = x + keys[(group + 1) % 3], y + keys[(group + 2) % 3] + jnp.uint32(group + 1)
    return ((x >> jnp.uint32(8)).astype(s["dtype"]) * jnp.asarray(2.0**-24, s["dtype"])).reshape(shape)


def broadcast(a: Sequence[Array], s: Any, e: Any) -> Array:
    return lax.broadcast_in_dim(a[0], shape_at(s["shape"], e), s["axes"])


def gather(a: Sequence[Array], s: Any, e: Any) -> Array:
    x, index = a
    batch = s.get("batch", 0)
    rows = jnp.clip(index, 0, x.shape[batch] - 1)
    return x.at[(*parts_of(index, batch), rows)].get(mode="promise_in_bounds")


def scatter_add(a: Sequence[Array], s: Any, e: Any) -> Array:
    index, updates = a
    batch, (rows,) = s.get("batch", 0), shape_at((s["rows"],), e)
    index = jnp.where((index < 0) | (index > rows), rows, index)  # beyond the end, where it is dropped
    zeros = jnp.zeros((*index.shape[:batch], rows, *updates.shape[index.ndim :]), updates.dtype)
    return zeros.at[(*parts_of(index, batch), index)].add(updates, mode="drop")


def reduce_sum(a: Sequence[Array], s: Any, e: Any) -> Array:
    (x,) = a
    return jnp.any(x, s["axes"]) if x.dtype == bool else jnp.sum(x, s["axes"], x.dtype)


def scan(a: Sequence[Array], s: Any, e: Any) -> tuple[Array, ...]:
    body, axis = s["body"], s["axis"]
    given, step = Operands(a, body, s["slices"]), Interpreter(body, TABLE)

    def turn(carries: Sequence[Array], slices: Sequence[Array]) -> tuple[list[Array], list[Array]]:
        outputs, updates = step([*carries, *slices, *given.constants], e)
        return updates, outputs

    slices = [jnp.moveaxis(x, axis, 0) for x in given.slices]
    carries, outputs = lax.scan(turn, list(given.carries), slices, s["length"], s["reverse"])
    return (*carries, *(jnp.moveaxis(x, 0, axis) for x in outputs))


def einsum(a: Array, a_loops: Sequence[int], b: Array, b_loops: Sequence[int], out: Sequence[int]) -> Array:
    return jnp.einsum(a, a_loops, b, b_loops, out, precision="highest")


def convolve(x: Array, w: Array, of: Geometry) -> Array:
    x, of = trimmed(TABLE, x, of)
    spatial = "DHW"[: len(of.strides)]
    return lax.conv_general_dilated(
        x, w, of.strides, of.padding, rhs_dilation=of.dilations, feature_group_count=of.groups, precision="highest",
        dimension_numbers=(f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"),
    )  # fmt: skip


def constant(a: Any, s: Any, e: Any) -> Array:
    return jnp.asarray(s["value"])


TABLE: Table = {
    **PICKING,
    **elementwise(ELEMENTWISE),
    "constant": constant, "cast": cast, "random": random, "broadcast": broadcast, "gather": gather,
    "scatter_add": scatter_add, "reduce_sum": reduce_sum, "scan": scan,
    "iota": lambda a, s, e: lax.broadcasted_iota(element_type(s["dtype"]), shape_at(s["shape"], e), s["axis"]),
    "extent": lambda a, s, e: jnp.asarray(math.prod(e[n] for n in s["symbols"]), s["dtype"]),
    "reduce_max": lambda a, s, e: jnp.max(a[0], s["axes"]),
    "argmax": lambda a, s, e: jnp.argmax(a[0], s["axis"]).astype(jnp.int32),
    "reshape": lambda a, s, e: a[0].reshape(shape_at(s["shape"], e)),
    "transpose": lambda a, s, e: a[0].transpose(s["axes"]),
    "reverse": lambda a, s, e: jnp.flip(a[0], s["axes"]),
    "pad": lambda a, s, e: lax.pad(a[0], a[1], s["widths"]),
    "concatenate": lambda a, s, e: jnp.concatenate(a, s["axis"]),
}  # fmt: skip
TABLE["windows"] = windows(TABLE)
TABLE["contract"] = contraction(TABLE, einsum, convolve)


def viewed(array: Any) -> Any:
    """An array as JAX takes it: of bfloat16, NumPy has no numbers."""
    return np.ascontiguousarray(array).view(BFLOAT16) if array.dtype.names else array


def to_numpy(array: Array) -> Any:
    found = np.asarray(array)
    return found.view(array_dtype("bfloat16")) if found.dtype == BFLOAT16 else found


class JaxProgram(CompiledTableProgram):
    """A graph that XLA compiles when it first runs, for each shape of its inputs."""

    no_fault = np.False_

    def __init__(self, graph: Graph, batch: int | None, device: Any, table: Table = TABLE) -> None:
        super().__init__(graph, batch, table)
        self.device = device
        self.step = jax.jit(self.compute_step, static_argnums=0)
        self.loop = jax.jit(self._loop, static_argnums=0, donate_argnums=3)

    def place(self, array: Array) -> Array:
        return None if array is None else jax.device_put(viewed(array), may_alias=True)

    def to_numpy(self, value: Array) -> Any:
        return to_numpy(value)

    def aligned(self, number: int, array: Array) -> Array:
        """A copy where XLA would make one. Its memory is kept for the next pass, as long as the array lives: new memory
        costs five times the copy.
        """
        device = self.device or jax.local_devices()[0]
        if device.platform != "cpu" or (array.ctypes.data % ALIGNMENT == 0 and array.flags.c_contiguous):
            return array
        buffers = self.held.__dict__.setdefault("buffers", {})
        owner, buffer = buffers.get(number, (None, None))
        if owner is None or owner() is not array:
            space = np.empty(array.nbytes + ALIGNMENT, np.uint8)
            start = -space.ctypes.data % ALIGNMENT
            buffer = space[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
            buffers[number] = weakref.ref(array, lambda _: buffers.pop(number, None)), buffer
        np.copyto(buffer, array)
        return buffer

    def run_equal(self, arrays: Sequence[Array], outputs: Sequence[Array], start: int, stop: int, rows: int) -> int:
        with jax.enable_x64(True), jax.default_device(self.device):
            if outputs or stop - start == 1:
                return self.run_steps(arrays, outputs, start, stop, rows)
            rest = self.placed([None if i in self.updated else a for i, a in enumerate(arrays)], self.place)
            while True:
                state = jax.device_put([viewed(arrays[i]).copy() for i in self.updated])
                done, is_wrong, new = self.loop(rows, start, stop, state, rest)
                if not is_wrong:
                    break
                stop = int(done) - 1  # the state is that after this step: once more, up to the step before it
            self.write_state(arrays, new)
            return stop

    def _loop(self, rows: int, start: Any, stop: Any, state: Sequence[Array], rest: Sequence[Any]) -> Any:
        """Steps until ``stop``, or until a value is out of range: the number of the next step, and the state."""

        def proceeds(carry: Any) -> Any:
            step, is_wrong, _ = carry
            return (step < stop) & ~is_wrong

        def turn(carry: Any) -> Any:
            step, _, state = carry
            low = step * self.batch
            arrays = list(rest)
            for i, value in zip(self.updated, state, strict=True):
                arrays[i] = value
            given = [
                lax.dynamic_slice_in_dim(a, low, rows) if part else a
                for a, part in zip(arrays, self.is_windowed, strict=True)
            ]
            _, new, is_wrong = self.compute_step(rows, given)
            new = [
                lax.dynamic_update_slice_in_dim(old, value, low, 0) if self.is_windowed[i] else value
                for i, old, value in zip(self.updated, state, new, strict=True)
            ]
            return step + 1, jnp.asarray(is_wrong), new

        return lax.while_loop(proceeds, turn, (jnp.asarray(start), jnp.asarray(False), list(state)))


def device_of(name: str | None) -> Any:
    """JAX's device of this name: a platform, or one with a number, as in "gpu:1". None is JAX's default device."""
    if name is None:
        return None
    platform, number = numbered(name)
    try:
        return jax.devices(platform)[number]
    except (RuntimeError, IndexError):
        known = ", ".join(repr(f"{d.platform}:{d.id}") for d in jax.devices())
        raise ValueError(f"JAX has no device {name!r} here. Write one of {known}, 'cpu' instead.") from None


def compile(graph: Graph, batch: int | None = None, device: str | None = None) -> JaxProgram:
    """A program of JAX. XLA compiles it when it first runs."""
    return JaxProgram(graph, batch, device_of(device))
