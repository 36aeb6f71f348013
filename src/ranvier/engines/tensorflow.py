"""The engine on TensorFlow: every program is one function that XLA compiles, with its loop over steps."""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla
from tensorflow.compiler.xla.xla_data_pb2 import ConvolutionDimensionNumbers

from ranvier.engines.compiled_tables import CompiledTableProgram
from ranvier.engines.contractions import Geometry, contraction, trimmed, windows
from ranvier.engines.tables import PICKING, Interpreter, Table, elementwise
from ranvier.engines.tensorflow_stages import Stages, is_kernel
from ranvier.graph.dtypes import ELEMENT_TYPES, array_dtype, limits
from ranvier.graph.extents import shape_at
from ranvier.graph.graph import Graph
from ranvier.graph.random import KEY_ADDITIONS, KEY_PARITY, ROTATIONS
from ranvier.graph.scan import Operands
from ranvier.graph.values import parts_of

Array = Any
BFLOAT16 = np.dtype(tf.bfloat16.as_numpy_dtype)


def extremum(choose: Any) -> Any:
    """TensorFlow's maximum or minimum, which on some processors loses nan of one operand, with nan of both."""

    def chosen(x: Array, y: Array) -> Array:
        found = choose(x, y)
        if not x.dtype.is_floating:
            return found
        return tf.where(tf.math.is_nan(x), x, tf.where(tf.math.is_nan(y), y, found))

    return chosen


def quotient(x: Array, y: Array) -> Array:
    """See `ranvier.graph.values.quotient_value`."""
    one, zero = tf.ones_like(y), tf.zeros_like(x)
    negated = tf.equal(y, -one) if x.dtype.min < 0 else tf.zeros_like(y, dtype=tf.bool)
    whole = tf.math.floordiv(x, tf.where(tf.equal(y, zero) | negated, one, y))
    return tf.where(tf.equal(y, zero), zero, tf.where(negated, zero - x, whole))


ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "neg": tf.negative, "abs": tf.abs, "sign": tf.sign, "floor": tf.floor, "exp": tf.exp, "expm1": tf.math.expm1,
    "log": tf.math.log, "log1p": tf.math.log1p, "sqrt": tf.sqrt, "tanh": tf.tanh, "sigmoid": tf.sigmoid,
    "erf": tf.math.erf, "sin": tf.sin, "cos": tf.cos, "relu": lambda x: tf.where(x < 0, tf.zeros_like(x), x),
    "add": tf.add, "sub": tf.subtract, "mul": tf.multiply,
    "div": tf.divide, "quotient": quotient, "power": tf.pow, "maximum": extremum(tf.maximum),
    "minimum": extremum(tf.minimum),
    "less": tf.less, "less_equal": tf.less_equal, "equal": tf.equal, "logical_and": tf.logical_and,
    "logical_or": tf.logical_or, "logical_not": tf.logical_not, "select": tf.where,
}  # fmt: skip


def cast(a: Sequence[Array], s: Any, e: Any) -> Array:
    (x,), target = a, ELEMENT_TYPES[s["dtype"]]
    if not x.dtype.is_floating or target.category != "integer":
        return tf.cast(x, target.name)
    low, high = limits(target.name)
    wide = tf.cast(x, tf.float64)
    wide = tf.where(wide < 0, tf.math.ceil(wide), tf.floor(wide))
    above = wide >= float(high)
    zero = tf.zeros_like(wide)
    middle = tf.uint64 if target.name == "uint64" else tf.int64
    inside = tf.cast(tf.where(tf.math.is_nan(wide) | above, zero, tf.maximum(wide, float(low))), middle)
    return tf.cast(tf.where(above, tf.constant(high, middle), inside), target.name)


def iota(a: Any, s: Any, e: Any) -> Array:
    shape = shape_at(s["shape"], e)
    line = np.arange(shape[s["axis"]]).astype(array_dtype(s["dtype"]))
    return tf.broadcast_to(line.reshape([-1 if i == s["axis"] else 1 for i in range(len(shape))]), shape)


def random(a: Sequence[Array], s: Any, e: Any) -> Array:
    shape = shape_at(s["shape"], e)
    counters = np.arange(math.prod(shape), dtype=np.uint64)
    xor = tf.bitwise.bitwise_xor
    keys = [a[0], a[1], xor(xor(a[0], a[1]), np.uint32(KEY_PARITY))]
    x, y = (
        tf.constant(w.astype(np.uint32)) + k for w, k in ((counters, keys[0]), (counters >> np.uint64(32), keys[1]))
    )
    for group in range(KEY_ADDITIONS):
        for rotation in ROTATIONS[group % 2]:
            left, right = (
                tf.bitwise.left_shift(y, np.uint32(rotation)),
                tf.bitwise.right_shift(y, np.uint32(32 - rotation)),
            )
            x = x + y
            y = xor(tf.bitwise.bitwise_or(left, right), x)
        x, y = x + keys[(group + 1) % 3], y + keys[(group + 2) % 3] + np.uint32(group + 1)
    bits = tf.bitwise.right_shift(x, np.uint32(8))
    return tf.reshape(tf.cast(bits, s["dtype"]) * tf.constant(2.0**-24, s["dtype"]), shape)


def broadcast(a: Sequence[Array], s: Any, e: Any) -> Array:
    shape = shape_at(s["shape"], e)
    view = [1] * len(shape)
    for dim, axis in zip(a[0].shape, s["axes"], strict=True):
        view[axis] = dim
    return tf.broadcast_to(tf.reshape(a[0], view), shape)


def pad(a: Sequence[Array], s: Any, e: Any) -> Array:
    low, high, between = (np.array([width[i] for width in s["widths"]], np.int32) for i in range(3))
    return xla.pad(a[0], a[1], low, high, between)


def gather(a: Sequence[Array], s: Any, e: Any) -> Array:
    x, index = a
    batch = s.get("batch", 0)
    rows = tf.clip_by_value(index, tf.constant(0, index.dtype), tf.constant(x.shape[batch] - 1, index.dtype))
    return tf.gather(x, rows, axis=batch, batch_dims=batch)


def scatter_add(a: Sequence[Array], s: Any, e: Any) -> Array:
    index, updates = a
    batch, (rows,) = s.get("batch", 0), shape_at((s["rows"],), e)
    beyond = tf.constant(rows, index.dtype)  # a row more, which is cut off
    index = tf.where((index >= tf.constant(0, index.dtype)) & (index < beyond), index, beyond)
    shape = tuple(index.shape)
    parts = [tf.broadcast_to(tf.cast(part, index.dtype), shape) for part in parts_of(index, batch)]
    whole = (*shape[:batch], rows + 1, *updates.shape[len(shape) :])
    made = tf.scatter_nd(tf.stack([*parts, index], -1), updates, tf.constant(whole, index.dtype))
    return made[(slice(None),) * batch + (slice(None, rows),)]


def reduce_sum(a: Sequence[Array], s: Any, e: Any) -> Array:
    (x,), axes = a, list(s["axes"])
    return tf.reduce_any(x, axes) if x.dtype == tf.bool else tf.reduce_sum(x, axes)


def reduce_max(a: Sequence[Array], s: Any, e: Any) -> Array:
    (x,), axes = a, list(s["axes"])
    return tf.reduce_any(x, axes) if x.dtype == tf.bool else tf.reduce_max(x, axes)


def argmax(a: Sequence[Array], s: Any, e: Any) -> Array:
    x = tf.cast(a[0], tf.int32) if a[0].dtype == tf.bool else a[0]
    if x.dtype.is_floating:  # the first nan, as of the largest values the first
        x = tf.where(tf.math.is_nan(x), tf.constant(math.inf, x.dtype), x)
    return tf.argmax(x, s["axis"], tf.int32)


def scan(a: Sequence[Array], s: Any, e: Any) -> tuple[Array, ...]:
    body, axis, length = s["body"], s["axis"], s["length"]
    given, step = Operands(a, body, s["slices"]), Interpreter(body, TABLE)
    stacks = [tf.zeros((length, *shape_at(node.shape, e)), node.dtype) for node in body.outputs]
    slices = [_moved(x, axis, 0) for x in given.slices]
    count = len(given.carries)

    def turn(i: Array, *values: Array) -> tuple[Array, ...]:
        t = length - 1 - i if s["reverse"] else i
        outputs, carries = step([*values[:count], *(x[t] for x in slices), *given.constants], e)
        written = (
            tf.tensor_scatter_nd_update(x, [[t]], [value]) for x, value in zip(values[count:], outputs, strict=True)
        )
        return (i + 1, *carries, *written)

    found = tf.while_loop(
        lambda i, *values: i < length, turn, (tf.constant(0), *given.carries, *stacks), maximum_iterations=length
    )
    return (*found[1 : count + 1], *(_moved(x, 0, axis) for x in found[count + 1 :]))


def _moved(x: Array, axis: int, to: int) -> Array:
    order = [i for i in range(len(x.shape)) if i != axis]
    order.insert(to, axis)
    return tf.transpose(x, order)


def einsum(a: Array, a_loops: Sequence[int], b: Array, b_loops: Sequence[int], out: Sequence[int]) -> Array:
    first, second, third = ("".join(string.ascii_letters[loop] for loop in loops) for loops in (a_loops, b_loops, out))
    return tf.einsum(f"{first},{second}->{third}", a, b)


def convolve(x: Array, w: Array, of: Geometry) -> Array:
    x, of = trimmed(TABLE, x, of)
    rank = len(of.strides)
    places = range(1, rank + 1)
    numbers = ConvolutionDimensionNumbers(
        input_batch_dimension=0, input_feature_dimension=rank + 1, input_spatial_dimensions=places,
        kernel_input_feature_dimension=rank, kernel_output_feature_dimension=rank + 1,
        kernel_spatial_dimensions=range(rank), output_batch_dimension=0, output_feature_dimension=rank + 1,
        output_spatial_dimensions=places,
    )  # fmt: skip
    return xla.conv(
        x, w, of.strides, of.padding, [1] * rank, of.dilations, numbers, of.groups, preferred_element_type=x.dtype,
        use_v2=True,
    )  # fmt: skip


TABLE: Table = {
    **PICKING,
    **elementwise(ELEMENTWISE),
    "cast": cast, "iota": iota, "random": random, "broadcast": broadcast, "pad": pad, "gather": gather,
    "scatter_add": scatter_add, "reduce_sum": reduce_sum, "reduce_max": reduce_max, "argmax": argmax, "scan": scan,
    "constant": lambda a, s, e: tf.constant(s["value"]),
    "extent": lambda a, s, e: tf.constant(math.prod(e[n] for n in s["symbols"]), s["dtype"]),
    "reshape": lambda a, s, e: tf.reshape(a[0], shape_at(s["shape"], e)),
    "transpose": lambda a, s, e: tf.transpose(a[0], s["axes"]),
    "reverse": lambda a, s, e: tf.reverse(a[0], list(s["axes"])),
    "concatenate": lambda a, s, e: tf.concat(a, s["axis"]),
}  # fmt: skip
TABLE["windows"] = windows(TABLE)
TABLE["contract"] = contraction(TABLE, einsum, convolve)


def to_tensorflow(array: Any) -> Array:
    array = np.asarray(array)
    if array.dtype.names:
        array = np.ascontiguousarray(array).view(BFLOAT16)
    return tf.convert_to_tensor(array)


def to_numpy(tensor: Array) -> Any:
    found = tensor.numpy()
    return found.view(array_dtype("bfloat16")) if found.dtype == BFLOAT16 else found


class TensorFlowProgram(CompiledTableProgram):
    """A graph that XLA compiles when it first runs, for each shape of its inputs."""

    def __init__(self, graph: Graph, batch: int | None, device: str | None) -> None:
        super().__init__(graph, batch, TABLE)
        self.device, self.no_fault = device, tf.constant(False)
        self.has_stages = _on_processor(device) and any(map(is_kernel, self.graph.nodes()))
        self.step = tf.function(self.compute_step, jit_compile=not self.has_stages, autograph=False)
        self.loop: Any = tf.function(self._loop, jit_compile=not self.has_stages, autograph=False)

    @cached_property
    def interpret(self) -> Any:
        return Stages(self.graph, TABLE, einsum) if self.has_stages else super().interpret

    def place(self, array: Array) -> Array:
        return to_tensorflow(array)

    def to_numpy(self, value: Array) -> Any:
        return to_numpy(value)

    def run_equal(self, arrays: Sequence[Array], outputs: Sequence[Array], start: int, stop: int, rows: int) -> int:
        with tf.device(self.device):
            if outputs or stop - start == 1:
                return self.run_steps(arrays, outputs, start, stop, rows)
            given = self.placed(arrays, self.place)
            while True:
                done, is_wrong, new = self.loop(rows, tf.constant(start), tf.constant(stop), given)
                if not is_wrong:
                    break
                stop = int(done) - 1  # the state is that after this step: once more, up to the step before it
            self.write_state(arrays, new)
            return stop

    def _loop(self, rows: int, start: Array, stop: Array, arrays: Sequence[Array]) -> Any:
        """Steps until ``stop``, or until a value is out of range: the number of the next step, and the state."""

        def turn(step: Array, _: Array, state: Sequence[Array]) -> tuple[Array, Array, list[Array]]:
            low, current = step * self.batch, list(arrays)
            for i, value in zip(self.updated, state, strict=True):
                current[i] = value
            given = [
                tf.slice(a, [low, *[0] * (len(a.shape) - 1)], [rows, *a.shape[1:]]) if part else a
                for a, part in zip(current, self.is_windowed, strict=True)
            ]
            _, new, is_wrong = self.compute_step(rows, given)
            new = [
                tf.tensor_scatter_nd_update(old, (low + tf.range(rows))[:, None], value)
                if self.is_windowed[i]
                else value
                for i, old, value in zip(self.updated, state, new, strict=True)
            ]
            return step + 1, is_wrong, new

        first = (start, tf.constant(False), [arrays[i] for i in self.updated])
        return tf.while_loop(lambda step, is_wrong, _: (step < stop) & ~is_wrong, turn, first)


def _on_processor(device: str | None) -> bool:
    return device.startswith("CPU") if device else not tf.config.list_physical_devices("GPU")


def device_of(name: str) -> str:
    """A name of a device that TensorFlow has. Raises ValueError if it has none of this name."""
    kind, _, number = name.strip("/").upper().removeprefix("DEVICE:").partition(":")
    known = [device.name.removeprefix("/physical_device:") for device in tf.config.list_physical_devices()]
    if f"{kind}:{number or 0}" not in known:
        raise ValueError(f"TensorFlow has no device {name!r} here. Write one of {', '.join(map(repr, known))} instead.")
    return f"{kind}:{number or 0}"


def compile(graph: Graph, batch: int | None = None, device: str | None = None) -> TensorFlowProgram:
    """A program of TensorFlow. XLA compiles it when it first runs."""
    return TensorFlowProgram(graph, batch, None if device is None else device_of(device))
