"""A backend in ONNX's convention: each value of a run is known, so that any input may decide a shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ranvier.interop.onnx import graphs
from ranvier.interop.onnx.graphs import Program, library
from ranvier.interop.onnx.labels import Labels
from ranvier.interop.onnx.model import program_of
from ranvier.tensor.context import no_grad


class Prepared:
    """A model that runs on arrays."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def run(self, inputs: Any, **options: Any) -> tuple[Any, ...]:
        """The outputs for inputs in the order of the graph, or by their names."""
        names = self.program.inputs
        if isinstance(inputs, Mapping):
            given = {name: np.asarray(value) for name, value in inputs.items()}
        else:
            arrays = [inputs] if isinstance(inputs, np.ndarray) else inputs
            given = {name: _array(value) for name, value in zip(names, arrays, strict=False)}
        with no_grad():
            found = graphs.run(self.program, given)
        return tuple(map(_numbers, found))


def _numbers(value: Any) -> Any:
    if isinstance(value, Labels):
        return value.names[_numbers(value.codes)]
    return np.asarray(value if isinstance(value, np.ndarray) else value.compute())


def _array(value: Any) -> Any:
    """An array; a sequence of them, or none, stays: the operator that takes it refuses it."""
    return value if isinstance(value, (list, type(None))) else np.asarray(value)


def prepare(model: Any, device: str = "CPU", **options: Any) -> Prepared:
    """A model in memory, ready to run. Raises UnsupportedError naming an operator that is not known."""
    if not supports_device(device):
        raise ValueError(f"the device {device!r} is not there. Write 'CPU' instead.")
    library().checker.check_model(model)
    return Prepared(program_of(model))


def run_model(model: Any, inputs: Any, device: str = "CPU", **options: Any) -> tuple[Any, ...]:
    """The outputs of a model for inputs."""
    return prepare(model, device, **options).run(inputs)


def run_node(node: Any, inputs: Sequence[Any], device: str = "CPU", outputs_info: Any = None, **options: Any) -> Any:
    """The outputs of one operator for arrays, of the newest version unless ``opset_version`` is given."""
    onnx = library()
    arrays = [np.asarray(value) for value in (inputs.values() if isinstance(inputs, Mapping) else inputs)]
    names = [name for name in node.input if name]
    kinds = [onnx.helper.np_dtype_to_tensor_dtype(a.dtype) for a in arrays]
    graph = onnx.helper.make_graph(
        [node],
        "node",
        [onnx.helper.make_tensor_value_info(n, kind, a.shape) for n, kind, a in zip(names, kinds, arrays, strict=True)],
        [onnx.helper.make_empty_tensor_value_info(name) for name in node.output if name],
    )
    version = options.get("opset_version", onnx.defs.onnx_opset_version())
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid(node.domain, version)])
    return Prepared(program_of(model)).run(arrays)


def supports_device(device: str) -> bool:
    """Whether a device is there: the processor is the only one."""
    return device.partition(":")[0].upper() == "CPU"
