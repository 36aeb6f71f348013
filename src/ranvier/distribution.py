"""Keras's ``keras.distribution`` on engine ``jax``: one model on many devices, hosts and processes.

A distribution divides each batch, and with `ModelParallel` the weights too, among the devices of a mesh. `fit`,
`evaluate` and `predict` are called as usual, in all processes alike, and the batch size is that of all of them.

    rv.distribution.initialize()  # several processes; with one it does nothing
    rv.distribution.set_distribution(rv.distribution.DataParallel())

Sources: Xu et al., GSPMD (2021), for how XLA divides a computation; Shazeer et al., Mesh-TensorFlow (2018), for
layouts.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import zlib
from collections.abc import Iterator, MutableMapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from ranvier import engines
from ranvier.engines.placement import Placement, set_placement
from ranvier.graph.node import Node, apply
from ranvier.support import processes
from ranvier.support.source_lines import warn
from ranvier.tensor.function import function

__all__ = [
    "DataParallel", "DeviceMesh", "LayoutMap", "ModelParallel", "TensorLayout", "distribute_tensor", "distribution",
    "get_device_count", "initialize", "list_devices", "set_distribution",
]  # fmt: skip

Axes = tuple[str | None, ...]


def _jax() -> Any:
    """JAX. Raises an error that says what to install."""
    engines.check(engines.DISTRIBUTED)
    return import_module("jax")


def initialize(
    job_addresses: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    timeout: float = 600,
) -> None:
    """Join the processes that train one model. Call it before anything is computed.

    ``job_addresses``: the address of process 0, ``"host0:1234"``; of a list with commas the first is used.
    ``num_processes`` and ``process_id``: the number of processes, and that of this one, from 0. What is not given comes
    from the environment: Keras's KERAS_DISTRIBUTION_JOB_ADDRESSES, _NUM_PROCESSES and _PROCESS_ID;
    JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, which ``ranvier launch`` sets; or what JAX finds of
    SLURM, Open MPI, Kubernetes or a TPU. Where none of them is there, this is the only process, and nothing is done.

    A process that was killed, or has ended with an error, ends the others within a minute, with its name and the
    reason. One that is slow is named by those that wait for it, and ends all of them after ``timeout`` seconds.

    Raises ConnectionError if the coordinator is not reached; ValueError for wrong numbers;
    RuntimeError after a computation.
    """
    _jax()
    address = job_addresses or _given("KERAS_DISTRIBUTION_JOB_ADDRESSES", "JAX_COORDINATOR_ADDRESS")
    count = _number(num_processes, "num_processes", "KERAS_DISTRIBUTION_NUM_PROCESSES", "JAX_NUM_PROCESSES")
    number = _number(process_id, "process_id", "KERAS_DISTRIBUTION_PROCESS_ID", "JAX_PROCESS_ID")
    if count is None and number is None and (found := _open_mpi()) is not None:
        local, count, number = found
        address = address or local
    addresses = address.split(",") if address else []
    if len(addresses) > 1 and count is not None and count != len(addresses):
        raise ValueError(
            f"num_processes is {count}, and job_addresses has {len(addresses)}: {address}. Write one address for each "
            "process, or that of process 0 alone."
        )
    if count is not None and number is not None and not 0 <= number < count:
        raise ValueError(f"process_id is {number}, and there are {count} processes. Write 0 to {count - 1} instead.")
    if processes.group is not None:
        raise RuntimeError("the processes are joined already. Write rv.distribution.initialize() once.")
    import_module("ranvier.engines.jax_processes").start(addresses[0] if addresses else None, count, number, timeout)


def _open_mpi() -> tuple[str | None, int, int] | None:
    """Of Open MPI 5, which JAX does not find as it does 4: process 0 if all are on this host, how many, and which."""
    count = os.environ.get("OMPI_COMM_WORLD_SIZE", "1")
    if count == "1" or "OMPI_MCA_orte_hnp_uri" in os.environ:
        return None
    port = 61440 + zlib.crc32(os.environ.get("PMIX_NAMESPACE", "").encode()) % 4096  # another for each job
    address = f"localhost:{port}" if os.environ.get("OMPI_COMM_WORLD_LOCAL_SIZE") == count else None
    return address, int(count), int(os.environ["OMPI_COMM_WORLD_RANK"])


def _given(*names: str) -> str | None:
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def _number(given: int | None, what: str, *names: str) -> int | None:
    text = _given(*names) if given is None else str(given)
    if text is None:
        return None
    if not re.fullmatch("[0-9]+", text):
        raise ValueError(f"{what} is {text!r}, which is no number. Write an integer, or set {names[-1]}, instead.")
    return int(text)


def list_devices(device_type: str | None = None) -> list[str]:
    """The devices of all processes, as in ``["cpu:0", "cpu:1"]``; of a type, ``"cpu"``, ``"gpu"`` or ``"tpu"``.

    Without a type those that JAX prefers: TPUs, else GPUs, else processors. Raises ValueError for a type that is not
    there.
    """
    jax = _jax()
    try:
        found = jax.devices(device_type.lower() if device_type else None)
    except RuntimeError:
        known = ", ".join(sorted({repr(d.platform) for d in jax.devices()} | {"'cpu'"}))
        raise ValueError(f"there is no device of type {device_type!r} here. Write one of {known} instead.") from None
    return [f"{d.platform}:{d.id}" for d in found]


def get_device_count(device_type: str | None = None) -> int:
    """The number of devices of all processes: see `list_devices`."""
    return len(list_devices(device_type))


class DeviceMesh:
    """Devices in a grid, with a name for each axis: ``DeviceMesh((2, 4), ["batch", "model"])``.

    ``devices``: their names, by default all of `list_devices`. Raises ValueError if they are not as many as the shape
    has, or if one is not there.
    """

    def __init__(self, shape: Sequence[int], axis_names: Sequence[str], devices: Any = None) -> None:
        if not shape or not axis_names or len(shape) != len(axis_names):
            raise ValueError(
                f"a mesh of shape {tuple(shape)} has the axes {list(axis_names)}. Write one name for each dimension."
            )
        known = list_devices()
        names = np.array(known if devices is None else [str(d) for d in np.asarray(devices, object).flat], object)
        if math.prod(shape) != names.size:
            raise ValueError(
                f"a mesh of shape {tuple(shape)} has {math.prod(shape)} devices, and {names.size} are given: "
                f"{', '.join(names[:8])}. Write a shape of as many."
            )
        absent = [name for name in names if name not in known and name not in list_devices("cpu")]
        if absent:
            raise ValueError(f"there is no device {absent[0]!r}. Write some of {', '.join(known[:8])} instead.")
        self.shape, self.axis_names = tuple(shape), list(axis_names)
        self.devices = names.reshape(self.shape)

    def __repr__(self) -> str:
        return f"<DeviceMesh shape={self.shape}, axis_names={self.axis_names}>"


class TensorLayout:
    """How a tensor is divided: for each dimension the axis of a mesh, or None where it is whole.

    ``device_mesh`` may be given later, once. Raises ValueError for an axis that the mesh lacks.
    """

    def __init__(self, axes: Sequence[str | None], device_mesh: DeviceMesh | None = None) -> None:
        self.axes: Axes = tuple(axes)
        self._mesh = device_mesh
        self._check()

    @property
    def device_mesh(self) -> DeviceMesh | None:
        """The mesh whose axes these are."""
        return self._mesh

    @device_mesh.setter
    def device_mesh(self, mesh: DeviceMesh) -> None:
        if self._mesh is not None:
            raise ValueError(f"the layout has a mesh already, {self._mesh}. Write another TensorLayout instead.")
        self._mesh = mesh
        self._check()

    def _check(self) -> None:
        if self._mesh is None:
            return
        for axis in self.axes:
            if axis is not None and axis not in self._mesh.axis_names:
                raise ValueError(f"the mesh has no axis {axis!r}. Write one of {self._mesh.axis_names} instead.")

    def __repr__(self) -> str:
        return f"<TensorLayout axes={self.axes}, device_mesh={self._mesh}>"


class LayoutMap(MutableMapping[str, Any]):
    """Layouts by the paths of weights and outputs: ``layout_map[".*dense.*kernel"] = (None, "model")``.

    The output of a layer has the path ``"dense/output"``, with the name of the layer. A key is a path, or a regular
    expression that matches all of it. A path that no key matches has the value None, and two keys that match one path
    are a ValueError.
    """

    def __init__(self, device_mesh: DeviceMesh | None = None) -> None:
        self.device_mesh, self._layouts = device_mesh, dict[str, TensorLayout]()

    def __getitem__(self, key: str) -> Any:
        if key in self._layouts:
            return self._layouts[key]
        found = [pattern for pattern in self._layouts if re.fullmatch(pattern, key)]
        if len(found) > 1:
            raise ValueError(f"the path {key!r} matches {found}. Write expressions of which one matches.")
        return self._layouts[found[0]] if found else None

    def __setitem__(self, key: str, layout: Any) -> None:
        if key in self._layouts:
            raise ValueError(
                f"{key!r} has a layout already, {self._layouts[key]}. Write del layout_map[{key!r}] first."
            )
        if isinstance(layout, tuple):
            layout = TensorLayout(layout)
        if not isinstance(layout, TensorLayout):
            raise ValueError(f"{layout!r} is no layout. Write a tuple of axes, such as (None, 'model'), instead.")
        if layout.device_mesh is None and self.device_mesh is not None:
            layout.device_mesh = self.device_mesh
        self._layouts[key] = layout

    def __delitem__(self, key: str) -> None:
        del self._layouts[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._layouts)

    def __len__(self) -> int:
        return len(self._layouts)


class Distribution:
    """What `DataParallel` and `ModelParallel` share: a mesh, and the name of its axis that divides a batch.

    With ``auto_shard_dataset=False`` a source of batches gives those of this process, and the batch is that of all
    processes, one after the other.
    """

    layout_map: LayoutMap | None = None

    def __init__(self, device_mesh: DeviceMesh, batch_dim_name: str, auto_shard_dataset: bool = True) -> None:
        if batch_dim_name not in device_mesh.axis_names:
            raise ValueError(f"the mesh has no axis {batch_dim_name!r}. Write one of {device_mesh.axis_names} instead.")
        self.device_mesh, self.batch_dim_name = device_mesh, batch_dim_name
        self.auto_shard_dataset = auto_shard_dataset

    @property
    def num_processes(self) -> int:
        """The number of processes."""
        return 1 if processes.group is None else processes.group.count

    @property
    def num_model_replicas(self) -> int:
        """Among how many devices, or groups of devices, a batch is divided."""
        return self.device_mesh.shape[self.device_mesh.axis_names.index(self.batch_dim_name)]

    def get_data_layout(self, data_shape: Sequence[Any]) -> TensorLayout:
        """The layout of a batch: divided along its first dimension."""
        return TensorLayout((self.batch_dim_name, *[None] * (len(data_shape) - 1)), self.device_mesh)

    def get_variable_layout(self, variable: Any) -> TensorLayout:
        """The layout of a weight. Whole on each device, unless a subclass says otherwise."""
        return TensorLayout((None,) * len(variable.shape), self.device_mesh)

    def get_tensor_layout(self, path: str) -> TensorLayout | None:
        """The layout of a layer's output, ``"dense/output"``; None if none is given."""
        found: TensorLayout | None = None if self.layout_map is None else self.layout_map[path]
        return found

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Within this context it is the distribution."""
        before = distribution()
        set_distribution(self)
        try:
            yield
        finally:
            set_distribution(before)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} device_mesh={self.device_mesh}>"


class DataParallel(Distribution):
    """Each device computes a part of each batch, and has all weights: of a mesh, of some devices, or of all devices.

    Of a mesh of several axes the first divides the batch.
    """

    def __init__(self, device_mesh: Any = None, devices: Any = None, auto_shard_dataset: bool = True) -> None:
        if device_mesh is not None and not isinstance(device_mesh, DeviceMesh):
            raise ValueError(f"device_mesh={device_mesh!r} is no mesh. Write DeviceMesh(shape, axis_names) instead.")
        if device_mesh is None:
            names = list_devices() if devices is None else list(devices)
            device_mesh = DeviceMesh((len(names),), ["batch"], names)
        elif len(device_mesh.shape) > 1:
            warn(f"{device_mesh} has several axes, and the first divides the batch. Write a mesh of one axis instead.")
        super().__init__(device_mesh, device_mesh.axis_names[0], auto_shard_dataset)


class ModelParallel(Distribution):
    """Weights and outputs of layers are divided as ``layout_map`` says, and batches along the axis ``batch_dim_name``
    of its mesh.

    A weight whose path matches no key is whole on each device. The state of the optimizer is divided as its weight is.
    """

    def __init__(
        self, *, layout_map: Any = None, batch_dim_name: str | None = None, auto_shard_dataset: bool = True
    ) -> None:
        if not isinstance(layout_map, LayoutMap) or layout_map.device_mesh is None:
            raise ValueError(
                f"layout_map={layout_map!r}. Write LayoutMap(device_mesh), with layouts by paths, instead."
            )
        mesh = layout_map.device_mesh
        super().__init__(mesh, batch_dim_name or mesh.axis_names[0], auto_shard_dataset)
        self.layout_map = layout_map
        count, replicas = self.num_processes, self.num_model_replicas
        if count > replicas and count % replicas:
            raise ValueError(
                f"{count} processes cannot be divided among {replicas} groups of devices. Write a mesh whose axis "
                f"{self.batch_dim_name!r} divides {count}."
            )

    def get_variable_layout(self, variable: Any) -> TensorLayout:
        """The layout by the path of the weight."""
        found = self.get_tensor_layout(variable.path)
        return found if found is not None else super().get_variable_layout(variable)


class _State:
    """What `set_distribution` has set."""

    distribution: Distribution | None = None


_state = _State()


def distribution() -> Distribution | None:
    """The distribution, or None."""
    return _state.distribution


def set_distribution(value: Distribution | None) -> None:
    """Divide the steps of all models from here on; None for no division.

    Raises TypeError for anything else than a distribution.
    """
    if value is not None and not isinstance(value, Distribution):
        raise TypeError(f"{value!r} is no distribution. Write rv.distribution.DataParallel() instead.")
    _state.distribution = value
    if value is None:
        set_placement(None)
        return
    mesh = value.device_mesh
    devices = tuple(str(name) for name in mesh.devices.flat)
    layouts = tuple((path, layout.axes) for path, layout in value.layout_map.items()) if value.layout_map else ()
    axes = tuple(mesh.axis_names)
    set_placement(Placement(mesh.shape, axes, devices, value.batch_dim_name, value.auto_shard_dataset, layouts))


def distribute_tensor(tensor: Any, layout: TensorLayout) -> Any:
    """The tensor, which the compiled step of a distribution divides among devices as the layout says.

    Its values are the same on every engine. Raises TypeError for no layout, ValueError for one of another rank.
    """
    if not isinstance(layout, TensorLayout):
        raise TypeError(f"{layout!r} is no layout. Write TensorLayout(axes, device_mesh) instead.")
    if len(layout.axes) != len(tensor.shape):
        raise ValueError(
            f"the layout {layout.axes} has {len(layout.axes)} axes, and the tensor has shape {tuple(tensor.shape)}. "
            "Write an axis, or None, for each dimension."
        )
    return _laid_out(tensor, axes=layout.axes)


@function
def _laid_out(x: Node, axes: Axes) -> Node:
    return apply("layout", x, axes=axes)


def with_layout(output: Any, path: str) -> Any:
    """The output of a layer, which is divided as the distribution says of this path."""
    layout = None if _state.distribution is None else _state.distribution.get_tensor_layout(path)
    return output if layout is None else distribute_tensor(output, layout)


def axes_of(weight: Any) -> Axes:
    """The axes of a mesh that divide the dimensions of a weight; none if it is whole."""
    if _state.distribution is None:
        return ()
    axes = _state.distribution.get_variable_layout(weight).axes
    return axes if any(axes) else ()
