"""Programs of JAX whose batches and weights are divided among the devices of all processes.

XLA divides the computation (GSPMD) as the inputs are divided, and adds what the devices have to exchange: for weights
that every device holds, a sum of their gradients. Each process reads only the rows of a batch that its devices see.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ranvier.engines.jax import TABLE, JaxProgram, to_numpy, viewed
from ranvier.engines.placement import Placement
from ranvier.engines.reference import ReferenceProgram
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import Node
from ranvier.support import processes
from ranvier.support.source_lines import warn

Array = Any


@cache
def mesh_of(placement: Placement) -> Mesh:
    """JAX's mesh of these devices."""
    kinds = {name.partition(":")[0] for name in placement.devices}
    known = {f"{d.platform}:{d.id}": d for kind in kinds for d in jax.devices(kind)}
    return Mesh(np.array([known[n] for n in placement.devices], object).reshape(placement.shape), placement.axes)


@cache
def own_shards(placement: Placement) -> tuple[int, int, int]:
    """Into how many parts a batch is divided, and the first and the last one that devices of this process compute."""
    axis = placement.axes.index(placement.batch)
    own = [p[axis] for p, d in np.ndenumerate(mesh_of(placement).devices) if d.process_index == jax.process_index()]
    return placement.shape[axis], min(own, default=0), max(own, default=0)


def whole(array: Array, sharding: NamedSharding) -> Array:
    """An array that every process has, on the devices."""
    array = viewed(array)
    return jax.make_array_from_callback(array.shape, sharding, lambda part: np.asarray(array[part]))


def by_rows(graph: Graph) -> tuple[Graph, dict[int, int]]:
    """The graph with the rows of a batch as inputs, where rows of samples are gathered by an order.

    The second result has for each such input the input that is its order.
    """
    orders: dict[int, int] = {}
    readers = graph.readers()
    found: dict[Node, Node] = {}  # by the gather
    inputs = list(graph.inputs)
    for i, source in enumerate(graph.inputs):
        reading = readers.get(source, [])
        if not reading or not all(r.op.name == "gather" and r.inputs[0] is source for r in reading):
            continue
        order = reading[0].inputs[1]
        if order.op.name != "input" or not order.attrs["windowed"] or any(r.inputs[1] is not order for r in reading):
            continue
        if any(r.attrs.get("batch", 0) for r in reading):
            continue
        shape = (*order.shape, *source.shape[1:])
        inputs[i] = input_node(source.attrs["name"], shape, source.dtype, windowed=True)
        found |= dict.fromkeys(reading, inputs[i])
        orders[i] = graph.inputs.index(order)
    changed = graph.changed(lambda node, old: found.get(old, node))
    return Graph(tuple(inputs), changed.outputs, changed.updates), orders


class ShardedJaxProgram(JaxProgram):
    """A graph that runs on the devices of a placement. Its steps are called one by one, without waiting for them."""

    def __init__(self, graph: Graph, batch: int | None, placement: Placement) -> None:
        rows, self.orders = by_rows(graph)
        self.placement, self.mesh = placement, mesh_of(placement)
        super().__init__(rows, batch, None, {**TABLE, "layout": self.laid_out})
        self.reference = ReferenceProgram(graph, batch)
        self.shards = placement.shape[placement.axes.index(placement.batch)]
        self.everywhere = NamedSharding(self.mesh, PartitionSpec())
        self.shardings = [self.sharding_of(node) for node in graph.inputs]
        self.name = hashlib.sha1(repr(graph.key()).encode()).hexdigest()[:12]  # noqa: S324  # it protects nothing
        self.turn = jax.jit(
            self._turn, static_argnums=0, donate_argnums=1,
            out_shardings=(self.everywhere, [self.shardings[i] for i in self.updated], self.everywhere),
        )  # fmt: skip
        self.gathered = jax.jit(lambda array: array, out_shardings=self.everywhere)

    def sharding_of(self, node: Node) -> NamedSharding:
        """How the whole of an input is divided: as its layout says. Raises ValueError where it cannot be."""
        axes = node.attrs.get("layout", ())
        for dim, (size, axis) in enumerate(zip(node.shape, axes, strict=False)):
            among = 1 if axis is None else self.placement.shape[self.placement.axes.index(axis)]
            if not isinstance(size, int) or size % among:
                raise ValueError(
                    f"dimension {dim} of {node.attrs['name']!r} is {size}, and its layout {axes} divides it among "
                    f"{among} devices. Write None for that dimension, or a mesh whose axis {axis!r} divides {size}."
                )
        return NamedSharding(self.mesh, PartitionSpec(*axes))

    def laid_out(self, a: Sequence[Array], s: Any, e: Any) -> Array:
        axes = []
        for dim, (size, axis) in enumerate(zip(a[0].shape, s["axes"], strict=True)):
            among = 1 if axis is None else self.mesh.shape[axis]
            if size % among and axis != self.placement.batch:
                raise ValueError(
                    f"dimension {dim} of a tensor of shape {a[0].shape} is {size}, and its layout {s['axes']} divides "
                    f"it among {among} devices. Write None for that dimension, or a mesh whose axis {axis!r} divides "
                    f"{size}."
                )
            axes.append(None if size % among else axis)  # the last batch may be smaller
        return jax.lax.with_sharding_constraint(a[0], NamedSharding(self.mesh, PartitionSpec(*axes)))

    def _turn(self, rows: int, state: Sequence[Array], rest: Sequence[Array]) -> Any:
        arrays = list(rest)
        for i, value in zip(self.updated, state, strict=True):
            arrays[i] = value
        return self.compute_step(rows, arrays)

    def divided(self, rows: int) -> NamedSharding:
        """How a batch is divided. One that the devices cannot divide equally is computed by each of them."""
        if rows % self.shards:
            if rows == self.batch:
                warn(
                    f"a batch of {rows} rows cannot be divided among {self.shards} devices, so each of them computes "
                    f"all of it. Write batch_size={max(1, rows // self.shards) * self.shards} instead.",
                    key=f"{rows} rows among {self.shards} devices",
                )
            return self.everywhere
        return NamedSharding(self.mesh, PartitionSpec(self.placement.batch))

    def batch_of(self, arrays: Sequence[Array], i: int, step: int, rows: int, sharding: NamedSharding) -> Array:
        """The rows of a step of a windowed input, on the devices; only those of this process are read."""
        low = step * self.batch
        order = arrays[self.orders[i]] if i in self.orders else None
        source = viewed(arrays[i])

        def part(index: tuple[slice, ...]) -> Any:
            first, last, _ = index[0].indices(rows)
            if order is None:
                return source[low + first : low + last]
            return source[order[low + first : low + last]]

        shape = (rows, *source.shape[1:])
        return jax.make_array_from_callback(shape, sharding, part)

    def run_equal(self, arrays: Sequence[Array], outputs: Sequence[Array], start: int, stop: int, rows: int) -> int:
        if processes.group is not None:
            order = (
                arrays[next(iter(self.orders.values()))][start * self.batch : stop * self.batch] if self.orders else b""
            )
            own = (start, stop, rows, float(zlib.crc32(order)))
            numbers = processes.group.exchange(f"program {self.name}", own)
            if (numbers != numbers[0]).any():
                other = int(np.nonzero((numbers != numbers[0]).any(1))[0][0])
                raise RuntimeError(
                    f"process {other} has other rows than process 0: steps {numbers[other, :2]} of {numbers[other, 2]} "
                    f"rows, and process 0 steps {numbers[0, :2]} of {numbers[0, 2]} rows. Write rv.set_seed(0) before "
                    "fit, and batches of equal sizes and numbers in all processes, instead."
                )
        with jax.enable_x64(True):
            state = [self.whole_of(arrays, i) for i in self.updated if not self.is_windowed[i]]
            if len(state) < len(self.updated):
                raise ValueError(
                    "a step that changes its samples is not divided among devices. Write "
                    "rv.distribution.set_distribution(None) before it instead."
                )
            fixed = [
                None if windowed or i in self.updated else self.whole_of(arrays, i)
                for i, windowed in enumerate(self.is_windowed)
            ]
            sharding, wrong = self.divided(rows), []
            for step in range(start, stop):
                given = [
                    self.batch_of(arrays, i, step, rows, sharding) if windowed else fixed[i]
                    for i, windowed in enumerate(self.is_windowed)
                ]
                results, state, is_wrong = self.turn(rows, state, given)
                wrong.append(is_wrong)
                self.write(outputs, [self.to_numpy(r) for r in results], step, rows)
            done = next((i for i, flag in enumerate(wrong) if flag), stop - start)
            if done < stop - start:  # once more, up to the step before it
                return start if not done else self.run_equal(arrays, outputs, start, start + done, rows)
            self.write_state(arrays, state)
        return stop

    def whole_of(self, arrays: Sequence[Array], i: int) -> Array:
        return whole(arrays[i], self.shardings[i])

    def to_numpy(self, value: Array) -> Any:
        if not value.is_fully_replicated:
            value = self.gathered(value)
        return to_numpy(value.addressable_data(0))
