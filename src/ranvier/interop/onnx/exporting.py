"""Models as files of ONNX: each layer is an operator, or a few."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from ranvier.data import files
from ranvier.graph.node import Symbol
from ranvier.graph.open_extents import OpenExtent
from ranvier.interop.onnx import layer_rows, recurrent_rows, window_rows
from ranvier.interop.onnx.builder import OPSET, Builder, Value
from ranvier.interop.onnx.graphs import library
from ranvier.interop.onnx.values import ELEMENTS, UnsupportedError
from ranvier.module import Module, Sequential
from ranvier.module.recorded_calls import Ref
from ranvier.support.source_lines import location
from ranvier.support.tree import flatten, map_structure
from ranvier.support.version import __version__

ROWS = (layer_rows, recurrent_rows, window_rows)  # whose layers are in the table once they are imported


def export(model: Module, filepath: Any, format: str = "onnx") -> None:
    """Write ``model`` as a file of ONNX, which its runtime and others read: for predictions, with any size of batch.

    Weights and layers keep their names. Needs onnx. Raises TypeError naming a layer that has no operators, and for a
    model that is neither a Sequential nor a functional model; ValueError for another ``format``.
    """
    if format != "onnx":
        raise ValueError(f"format={format!r}: write 'onnx', or model.save(path), instead.")
    proto = to_proto(model)
    library().checker.check_model(proto, full_check=True)
    files.write_bytes(filepath, proto.SerializeToString(deterministic=True), "model.onnx")


def to_proto(model: Module) -> Any:
    """The model in memory, as ONNX has it. Raises TypeError as `export`."""
    onnx = library()
    types = model._input_types or ((model._input_type,) if model._input_type is not None else ())
    if not types or not model.built:
        raise TypeError(
            f"the inputs of {model.name!r} are not known yet. Write rv.Input((features,)) as its first layer."
        )
    b = Builder({id(t): name for name, t in model._state(remove_duplicate=False)})
    names = list(
        getattr(model, "input_names", None) or (["x"] if len(types) == 1 else [f"x{i}" for i in range(len(types))])
    )
    starts = [Value(name, _shown(type_.shape)) for name, type_ in zip(names, types, strict=True)]
    try:
        found = list(flatten(_walk(b, model, starts, ""), Value))
    except UnsupportedError as error:
        raise TypeError(f"{model.name!r} cannot be written as a model of ONNX: {error}.") from None
    b.scope = ""
    titles = list(getattr(model, "output_names", None) or ["y"])
    titles = [f"{t}_output" if t in names else t for t in titles]
    for title, value in zip(titles, found, strict=True):
        b.nodes.append(onnx.helper.make_node("Identity", [value.name], [title], name=f"output/{title}"))
    numbers = {name: number for number, name in ELEMENTS.items()}

    def declared(name: str, dtype: str, shape: Sequence[int | None]) -> Any:
        dims = ["batch" if i == 0 else f"{name}_{i}" if n is None else n for i, n in enumerate(shape)]
        return onnx.helper.make_tensor_value_info(name, numbers[dtype], dims)

    graph = onnx.helper.make_graph(
        b.used(titles),
        model.name,
        [declared(v.name, type_.dtype, v.shape) for v, type_ in zip(starts, types, strict=True)],
        [declared(title, "float32", value.shape) for title, value in zip(titles, found, strict=True)],
        [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in b.held.items()],
    )
    imports = [onnx.helper.make_opsetid("", OPSET)]
    return onnx.helper.make_model(
        graph, opset_imports=imports, ir_version=9, producer_name="ranvier", producer_version=__version__
    )


def _shown(shape: Sequence[Any]) -> tuple[int | None, ...]:
    return tuple(None if isinstance(n, (Symbol, OpenExtent)) else int(n) for n in shape)


def _walk(b: Builder, module: Module, inputs: Sequence[Value], scope: str) -> Any:
    """Add a module called on values. Returns its value, or those of a functional model in their container."""
    name = vars(type(module)).get("_registered") or type(module).__name__
    if type(module) is Sequential:
        x = inputs[0]
        for layer in module:
            x = _walk(b, layer, [x], f"{scope}{layer.name}/")
        return x
    if module._recorded is not None:
        return _walk_calls(b, module, inputs, scope)
    row = layer_rows.LAYERS.get(str(name))
    if row is None:
        raise _refused(module, "has no operators")
    b.scope = scope.rstrip("/")
    shapes = [value.shape for value in inputs]
    try:
        y = row(b, module, *inputs)
    except UnsupportedError as error:
        raise _refused(module, str(error)) from None
    shape = module.compute_output_shape(shapes[0] if len(shapes) == 1 else shapes)
    return Value(y, tuple(shape))


def _refused(module: Module, why: str) -> UnsupportedError:
    return UnsupportedError(f"layer {module.name!r} ({type(module).__name__}, made at {location(module._made)}): {why}")


def _walk_calls(b: Builder, model: Module, inputs: Sequence[Value], scope: str) -> Any:
    recorded, parts = model._recorded, cast("list[Module]", model._recorded_layers())
    assert recorded is not None
    values: list[list[Value]] = []
    for i, step in enumerate(recorded.steps):
        if i < len(inputs):
            values.append([inputs[i]])
            continue
        layer = parts[step.layer]
        if any(True for _ in flatten(step.options)):
            raise _refused(layer, f"is called with {', '.join(step.options)}")
        given = map_structure(step.arguments, Ref, lambda ref: values[ref.step][ref.place])
        found = _walk(b, layer, list(flatten(given, Value)), f"{scope}{layer.name}/")
        values.append(list(flatten(found, Value)))
    return map_structure(recorded.outputs, Ref, lambda ref: values[ref.step][ref.place])
