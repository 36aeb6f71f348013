"""Models as files of ONNX: each layer that ONNX has is an operator, or a few; what is between them is primitives."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ranvier.data import files
from ranvier.graph.dtypes import ELEMENT_TYPES, FLOATS, STORAGE, widened
from ranvier.graph.extents import Extent
from ranvier.graph.node import Type
from ranvier.graph.open_extents import OpenExtent
from ranvier.interop.capturing import Captured, LayerCall, capture
from ranvier.interop.foreign import UnsupportedError
from ranvier.interop.onnx import layer_rows, loop_rows, primitive_rows, product_rows, recurrent_rows, window_rows
from ranvier.interop.onnx.builder import OLDEST, OPSET, Builder, Value
from ranvier.interop.onnx.graphs import library
from ranvier.interop.onnx.lowering import Lowering
from ranvier.interop.onnx.values import NUMBERS
from ranvier.module import Module
from ranvier.module.arguments import pack_inputs
from ranvier.support.version import __version__
from ranvier.tensor.tensor import Tensor

# Whose layers and primitives are in the tables once they are imported.
TABLES = (layer_rows, loop_rows, primitive_rows, product_rows, recurrent_rows, window_rows)


def export(
    model: Module, filepath: Any, format: str = "onnx", verbose: Any = None, *, opset_version: int | None = None
) -> None:
    """Write ``model`` as a file of ONNX, which its runtime and others read: for predictions, with any size of batch.

    A layer that ONNX has is one operator, such as Conv or LSTM; anything else is written in primitives. Weights and
    layers keep their names. ``opset_version`` is the set of operators, 18 or newer; ``verbose`` is Keras's, and
    nothing is printed. Needs onnx. Raises TypeError for what has no operators, and ValueError for another ``format`` or
    an older set.

    For example ``model.export('model.onnx')``.
    """
    if format != "onnx":
        raise ValueError(f"format={format!r}: write 'onnx', or model.save(path), instead.")
    write(to_proto(model, opset_version), filepath)


OTHERS = (".ranvier", ".safetensors", ".keras", ".h5", ".hdf5", ".pt", ".pth", ".ckpt", ".pb", ".tflite")


def write(proto: Any, filepath: Any) -> None:
    """Check a model of ONNX, and write it. Raises ValueError for a name that ends as another format's."""
    if Path(filepath).name.lower().endswith(OTHERS):
        raise ValueError(f"{filepath} has the name of another format. Write a name that ends with .onnx instead.")
    library().checker.check_model(proto, full_check=True)
    files.write_bytes(filepath, proto.SerializeToString(deterministic=True), "model.onnx")


class Called(NamedTuple):
    """How a model is called where it is exported: the types of its inputs, and their names."""

    types: Sequence[Type]
    call: Callable[[list[Tensor]], Any]
    """Calls it on tensors of these types."""
    input_names: Sequence[str] = ()
    output_names: Sequence[str] = ()
    dims: Sequence[Mapping[int, str]] = ()
    """For each input, the names of axes of any extent."""


def to_proto(model: Module, opset: Any = None, called: Called | None = None) -> Any:
    """The model in memory, as ONNX has it, called as it usually is unless ``called`` says otherwise.

    Raises TypeError and ValueError as `export`.
    """
    newest = library().defs.onnx_opset_version()
    opset = OPSET if opset is None else opset
    if not isinstance(opset, int) or not OLDEST <= opset <= newest:
        raise ValueError(
            f"opset_version={opset!r}: write one from {OLDEST} to {newest}, which onnx here knows, instead."
        )
    called = _usual(model) if called is None else called
    b = Builder({id(t): name for name, t in model._state(remove_duplicate=False)}, opset)
    try:
        known = capture(model, called.types, called.call, lambda m: row_of(m) is not None, lambda call: _fits(b, call))
        return _Writer(b, model, known).proto(called)
    except UnsupportedError as error:
        raise TypeError(f"{model.name!r} cannot be written as a model of ONNX: {error}.") from None


def _usual(model: Module) -> Called:
    types = model._input_types or ((model._input_type,) if model._input_type is not None else ())
    if not types or not model.built:
        raise TypeError(
            f"the inputs of {model.name!r} are not known yet. Write rv.Input((features,)) as its first layer, or call "
            "it once."
        )
    return Called(types, lambda given: model(*pack_inputs(given, model._input_container)))


def row_of(module: Module) -> Any:
    """The row of a layer of this library in the table; None for classes of the user's."""
    kind = type(module)
    return layer_rows.LAYERS.get(str(vars(kind).get("_registered"))) if kind.__module__.startswith("ranvier.") else None


def _scopes(model: Module) -> dict[int, str]:
    """What the names of a module's operators begin with, by ``id``: the names of the modules around it and its own."""
    found: dict[int, str] = {id(model): ""}
    modules = dict(model.named_modules())
    for path, module in modules.items():
        outer, _, last = path.rpartition(".")
        if path and id(module) not in found:
            above = found.get(id(modules.get(outer)), "")
            name = module.name if last.isdecimal() else last
            found[id(module)] = f"{above}/{name}" if above else name
    return found


def _shown(shape: Sequence[Any]) -> tuple[int | None, ...]:
    return tuple(None if isinstance(n, (Extent, OpenExtent)) else int(n) for n in shape)


def _fits(b: Builder, call: LayerCall) -> bool:
    """Whether a call of a layer is an operator: its row is tried, and nothing of it kept."""
    given = [Value(f"x{i}", _shown(node.type.shape)) for i, node in enumerate(call.arguments)]
    row = row_of(call.module)
    try:
        inspect.signature(row).bind(b, call.module, *given)
    except TypeError:  # another number of arguments
        return False
    try:
        found = row(Builder(b.weights, b.opset, holds=False), call.module, *given)
    except UnsupportedError:
        return False
    return len([found] if isinstance(found, str) else found) == len(call.results)


class _Writer:
    """Writes what was captured."""

    def __init__(self, b: Builder, model: Module, found: Captured) -> None:
        self.b, self.model, self.found, self.paths = b, model, found, _scopes(model)

    def proto(self, called: Called) -> Any:
        b, found, onnx = self.b, self.found, library()
        names = _names(called.input_names, getattr(self.model, "input_names", None), "x", len(found.inputs), "input")
        low = Lowering(b, dict(zip(names, found.inputs, strict=True)))
        for name, node in zip(names, found.inputs, strict=True):
            low.give(node, name)
        for node, tensor in found.tensors.items():
            known = id(tensor) in b.weights
            name = b.weight(tensor) if known else b.constant(widened(tensor.compute()), "constant")
            low.give(node, low.cast(name, node.dtype) if node.dtype in STORAGE else name)
        for call in found.calls:
            self._add(low, call)
        low.add(found.outputs)
        b.scope = ""
        declared = getattr(self.model, "output_names", None) or found.names
        titles = _names(called.output_names, declared, "y", len(found.outputs), "output")
        titles = [f"{title}_output" if title in names else title for title in titles]
        for title, node in zip(titles, found.outputs, strict=True):
            b.nodes.append(onnx.helper.make_node("Identity", [low.full(node)], [title], name=f"output/{title}"))
        given = list(called.dims) or [{} for _ in names]
        nodes, held = b.used(titles)
        graph = onnx.helper.make_graph(
            nodes,
            self.model.name,
            [_declared(n, node, d) for n, node, d in zip(names, found.inputs, given, strict=True)],
            [_declared(title, node, {}) for title, node in zip(titles, found.outputs, strict=True)],
            [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in held.items()],
        )
        imports = [onnx.helper.make_opsetid("", b.opset)]
        return onnx.helper.make_model(
            graph, opset_imports=imports, ir_version=_ir_version(b.opset), producer_name="ranvier",
            producer_version=__version__,
        )  # fmt: skip

    def _add(self, low: Lowering, call: LayerCall) -> None:
        """Add the primitives before a layer, and the layer."""
        self.b.scope = ""
        low.add(call.given)
        self.b.scope = self.paths.get(id(call.module), "")
        values = [Value(self._float(low.full(node), node, call), _shown(node.shape)) for node in call.given]
        made = row_of(call.module)(self.b, call.module, *values)
        self.b.scope = ""
        for node, name in zip(call.made, [made] if isinstance(made, str) else made, strict=True):
            low.give(node, low.cast(name, node.dtype) if node.dtype in STORAGE else name)

    def _float(self, name: str, node: Any, call: LayerCall) -> str:
        """What a layer is given, as its operators take it."""
        made = ELEMENT_TYPES[call.made[0].dtype].arithmetic
        if node.dtype in STORAGE:
            return self.b.op("Cast", name, to=NUMBERS["float32"])
        if node.dtype in FLOATS or made not in FLOATS or vars(type(call.module))["_registered"] in layer_rows.INDICES:
            return name
        return self.b.op("Cast", name, to=NUMBERS[made])


def _names(given: Sequence[str], known: Any, short: str, count: int, what: str) -> list[str]:
    """The names of inputs or outputs. Raises ValueError for another number of them."""
    if given:
        if len(given) != count or len(set(given)) < count:
            raise ValueError(f"{what}_names={list(given)!r}: write {count} different names instead.")
        return list(map(str, given))
    usual = [short] if count == 1 else [f"{short}{i}" for i in range(count)]
    known = list(known or ())
    return known if len(known) == count and None not in known else usual


def _declared(name: str, node: Any, dims: Any) -> Any:
    """An input or output with its shape: the batch has its name, and so may other axes have."""

    def dim(i: int, n: Any) -> Any:
        if isinstance(n, Extent):
            return dims.get(i) or "batch"
        return dims.get(i) or f"{name}_{i}" if isinstance(n, OpenExtent) else int(n)

    shape = [dim(i, n) for i, n in enumerate(node.shape)]
    return library().helper.make_tensor_value_info(name, NUMBERS[node.dtype], shape)


def _ir_version(opset: int) -> int:
    """The version of the form of files that came with a set of operators."""
    return int(library().helper.find_min_ir_version_for([library().helper.make_opsetid("", opset)], True))
