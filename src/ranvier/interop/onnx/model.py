"""Models of ONNX as modules that predict, train on, and are saved."""

from __future__ import annotations

import base64
import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.data.files import CheckpointError, check_source
from ranvier.data.kinds import check_kind
from ranvier.graph.dtypes import FLOATS, STORAGE
from ranvier.graph.node import BATCH, Type
from ranvier.graph.open_extents import ANY, OpenExtent
from ranvier.interop.foreign import ForeignModel, UnsupportedError
from ranvier.interop.onnx import (
    control,
    elementwise,
    encoders,
    graphs,
    movement,
    networks,
    recurrent,
    resizing,
    support_vectors,
    tabular,
    trees,
)
from ranvier.interop.onnx.budgets import check_expansion, tensors_of
from ranvier.interop.onnx.graphs import Program, library
from ranvier.interop.onnx.labels import Labels
from ranvier.interop.onnx.values import ELEMENTS, cast, tensor
from ranvier.module import Parameter, register_module
from ranvier.module.parameter import Buffer
from ranvier.support.source_lines import warn

# Their operators are in the table once they are imported.
TABLES = (control, elementwise, encoders, movement, networks, recurrent, resizing, support_vectors, tabular, trees)
OLDEST = 6
REPEATED, SLACK = 4, 64 << 20  # how often weights may share the bytes of a file, and bytes for small files
# Operators to which NaN is a missing value.
TAKE_NAN = (
    "IsNaN",
    "ai.onnx.ml.Imputer",
    *(f"ai.onnx.ml.TreeEnsemble{kind}" for kind in ("", "Classifier", "Regressor")),
)
STATISTICS = {"BatchNormalization": (3, 4)}  # inputs that are not trained: running means and variances


@register_module(name="onnx.Model")
class OnnxModel(ForeignModel):
    """A model that came from a file of ONNX: its operators on its weights, whose names it keeps.

    ``graph`` is the model without its weights, as text. Inputs are those of the graph, in its order; a model with
    several outputs returns them in a tuple. As ONNX says, a call is inference until ``train()`` or ``fit``: in training
    Dropout drops, and BatchNormalization uses the statistics of the batch and moves the running ones.
    """

    _starts_training = False

    def __init__(self, graph: str, name: str | None = None) -> None:
        super().__init__(name=name)
        self.graph = graph
        model = library().ModelProto.FromString(base64.b64decode(graph))
        self.__dict__["program"] = program = program_of(model)
        self.__dict__["places"] = places = dict[str, str]()
        frozen = {s.inputs[i] for s in program.steps for i in STATISTICS.get(s.op, ()) if i < len(s.inputs)}
        for name_, array in list(program.constants.items()):
            if array.dtype.name in FLOATS and array.ndim:
                places[name_] = self._hold(name_, array, name_ not in frozen)
                del program.constants[name_]
        self.__dict__["texts"] = dict[int, Any]()  # by output that is strings, those of its numbers
        self.__dict__["_takes_nan"] = any(step.op in TAKE_NAN for step in program.steps)
        types = [_input_type(n, program.types[n]) for n in program.inputs]
        if types:
            self._input_type = types[0]
        if len(types) > 1:
            self._input_types, self._input_container = tuple(types), "list"

    def _hold(self, name: str, array: Any, trained: bool) -> str:
        """Make a weight, in a part of the model for each part of its name. Returns its path."""
        words = [word for word in name.replace("::", "/").replace("/", ".").replace(":", ".").split(".") if word] or [
            "w"
        ]
        array = np.array(array)
        return self.hold(words, Parameter.over(array, name=words[-1]) if trained else Buffer.over(array))

    def forward(self, inputs: Any) -> Any:
        program: Program = self.__dict__["program"]
        inputs = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        if len(inputs) != len(program.inputs):
            raise TypeError(
                f"{self.name!r} takes {len(program.inputs)} inputs ({', '.join(program.inputs)}), and was given "
                f"{len(inputs)}. Write one tensor for each, in a list."
            )
        held = dict(self._state(remove_duplicate=False))
        weights = {name: held[path] for name, path in self.__dict__["places"].items()}
        given = dict(zip(program.inputs, inputs, strict=True))
        found = graphs.run(program, {**weights, **given}, training=self.training)
        for i, value in enumerate(found):
            if isinstance(value, Labels):
                self.__dict__["texts"][i], found[i] = value.names, tensor(value.codes)
        if not self.training:  # in which losses are of float32
            found = [self._declared(*pair) for pair in zip(program.outputs, found, strict=True)]
        return found[0] if len(found) == 1 else tuple(found)

    @property
    def class_names(self) -> list[Any] | None:
        """The classes of the last classifier in the file, in the order of its scores; None without one."""
        given = [
            labels
            for step in self.__dict__["program"].steps
            for name, labels in step.attributes.items()
            if name.startswith("classlabels") and labels
        ]
        return list(given[-1]) if given else None

    def predict(self, x: Any = None, *args: Any, **options: Any) -> Any:
        """As `Model.predict`, where an output of strings is an array of them: a call gives their numbers."""
        found = super().predict(x, *args, **options)
        texts = self.__dict__["texts"]
        if not texts:
            return found
        outputs = found if isinstance(found, (list, tuple)) else [found]
        named = tuple(texts[i][value] if i in texts else value for i, value in enumerate(outputs))
        return named if isinstance(found, (list, tuple)) else named[0]

    def _takes_lists(self) -> bool:
        return len(self.__dict__["program"].inputs) > 1

    def _declared(self, name: str, value: Any) -> Any:
        """An output in the type that the file says: programs compute in no 16 bits, and without weights in 32."""
        type_ = self.__dict__["program"].types.get(name)
        dtype = ELEMENTS.get(type_.tensor_type.elem_type, "") if type_ is not None else ""
        return cast(tensor(value), dtype) if dtype in (*STORAGE, "float64") else value


def program_of(model: Any) -> Program:
    """The steps of a model in memory. Raises UnsupportedError naming an operator that is not known."""
    onnx = library()
    check_expansion(model)
    apart = next((t for t in tensors_of(model) if t.data_location == onnx.TensorProto.EXTERNAL), None)
    if apart is not None:  # in a model in memory, or in a saved one, whose folder nothing says
        raise UnsupportedError(f"the data of {apart.name!r} are in another file. Write from_onnx(path) instead")
    # Only definitions of operators by others need the types.
    with contextlib.suppress(onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        model = onnx.shape_inference.infer_shapes(model)
    versions = {v.domain: v.version for v in model.opset_import}
    version = versions.get("", versions.get("ai.onnx", OLDEST))
    if version > onnx.defs.onnx_opset_version():
        raise UnsupportedError(
            f"its operators are of version {version}, and onnx here knows up to {onnx.defs.onnx_opset_version()}"
        )
    functions = {(f.domain, f.name): f for f in model.functions}
    return graphs.program(model.graph, versions, functions)


def _input_type(title: str, type_: Any) -> Type:
    """The type of an input: the first dimension is the batch's, and one with a name alone may be any."""
    if not type_.HasField("tensor_type"):
        raise UnsupportedError(f"the input {title!r} is no tensor. Write a file that takes a tensor of its values")
    dims = type_.tensor_type.shape.dim
    sizes = [d.dim_value if d.HasField("dim_value") else OpenExtent(ANY) for d in dims]
    name = ELEMENTS.get(type_.tensor_type.elem_type, "")
    if name == "string":
        raise UnsupportedError(
            f"the input {title!r} is strings. Write a file whose inputs are whole numbers, and encode strings before it"
        )
    if name in STORAGE:
        name = "float32"
    return Type((BATCH, *sizes[1:]) if sizes else (), name)


def from_onnx(path: Any) -> Any:
    """A `Model` from a file of ONNX, or from a model of it in memory: it predicts, trains on, and is saved.

    Needs onnx. Weights keep their names. External data are read only from the folder of the file. Raises
    CheckpointError for a damaged file, and for an operator, a set of operators or an element type that is not known.
    """
    onnx = library()
    proto = path if isinstance(path, onnx.ModelProto) else read(Path(path))
    source = "the model" if isinstance(path, onnx.ModelProto) else str(path)
    version = {v.domain: v.version for v in proto.opset_import}.get("", OLDEST)
    if version < OLDEST:
        raise CheckpointError(f"{source}: its operators are of version {version}, and {OLDEST} is the oldest known.")
    _widen(proto, source)
    try:
        return OnnxModel(base64.b64encode(proto.SerializeToString(deterministic=True)).decode(), name=_name(proto))
    except UnsupportedError as error:
        raise CheckpointError(f"{source} cannot be brought over: {error}.") from None


def _name(proto: Any) -> str:
    return "".join(c if c.isalnum() or c in "_-" else "_" for c in proto.graph.name) or "onnx"


def _widen(proto: Any, source: str) -> None:
    """16-bit weights as float32, with one warning."""
    onnx = library()
    half = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
    found = [t for t in proto.graph.initializer if t.data_type in half]
    for weight in found:
        array = onnx.numpy_helper.to_array(weight).astype(np.float32)
        weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))
    if found:
        warn(f"{source} holds {len(found)} weights of 16-bit floats; here they are float32.")


def parsed(path: Path) -> Any:
    """The model of a file, as it is there."""
    check_source(path)
    data = path.read_bytes()
    check_kind(data, path, "onnx")
    try:
        proto = library().ModelProto.FromString(data)
    except Exception as error:  # noqa: BLE001  # protobuf has errors of its own
        raise CheckpointError(f"{path} is no model of ONNX, or a damaged one: {error}.") from None
    if not proto.HasField("graph") or not proto.opset_import:
        raise CheckpointError(f"{path} is no model of ONNX: it has no graph.")
    if not _has_texts(proto):
        raise CheckpointError(f"{path} is a damaged model of ONNX: a name is no text.")
    return proto


def _has_texts(message: Any) -> bool:
    """Whether all texts of a message are: protobuf gives what is no UTF-8 as bytes."""
    for field, value in message.ListFields():
        values = [value] if isinstance(value, (str, bytes)) or hasattr(value, "ListFields") else value
        if field.type == field.TYPE_MESSAGE and not all(map(_has_texts, values)):
            return False
        if field.type == field.TYPE_STRING and any(isinstance(text, bytes) for text in values):
            return False
    return True


def read(path: Path) -> Any:
    """The model of a file, checked, with its external data. Raises CheckpointError for a damaged one."""
    proto = parsed(path)
    check_growth(proto, path)
    onnx = library()
    try:
        onnx.external_data_helper.load_external_data_for_model(proto, str(path.parent))
        fault = fault_of(proto)
    except Exception as error:  # noqa: BLE001  # of several kinds
        fault = _said(error)
    if fault:
        raise CheckpointError(f"{path} is a damaged model of ONNX: {fault}.")
    return proto


def fault_of(model: Any) -> str:
    """What the full check of ONNX finds wrong with a model; "" for nothing."""
    try:
        library().checker.check_model(model, full_check=True)
    except Exception as error:  # noqa: BLE001  # the checker raises errors of its own, and of C++
        return _said(error)
    return ""


def _said(error: Exception) -> str:
    """What an error says, without the faults that come of others: an operator whose input has no type by them."""
    first, *rest = str(error).strip().splitlines() or [type(error).__name__]
    own = [line for line in rest if line.startswith("(op_type:") and "to have type but instead is null" not in line]
    return "\n  ".join([first, *own])


def check_growth(proto: Any, path: Path) -> list[Path]:
    """Check functions, which the full check of ONNX expands, and data in other files. Returns those files.

    Raises CheckpointError.
    """
    files = _check_external(proto, path)
    try:
        check_expansion(proto)
    except UnsupportedError as error:
        raise CheckpointError(f"{path} cannot be brought over: {error}.") from None
    return files


def _check_external(proto: Any, path: Path) -> list[Path]:
    """Weights in other files must be in regular files of the same folder, within them, and not all the same bytes."""
    folder = path.parent.resolve()
    files, total = dict[Path, int](), 0
    for weight in tensors_of(proto):
        if weight.data_location != library().TensorProto.EXTERNAL:
            continue
        places = {entry.key: entry.value for entry in weight.external_data}
        target = (folder / places.get("location", "")).resolve()
        if folder not in target.parents or not target.is_file():
            raise CheckpointError(f"{path}: the data of {weight.name!r} are not in a file of its folder.")
        files[target] = size = target.stat().st_size
        try:
            start = int(places.get("offset", 0))
            end = start + int(places["length"]) if "length" in places else size
        except ValueError:
            start = end = -1
        if not 0 <= start <= end <= size:
            raise CheckpointError(
                f"{path} is damaged: the data of {weight.name!r} are beyond the end of {target.name}."
            )
        total += end - start
    budget = REPEATED * sum(files.values()) + SLACK
    if total > budget:
        raise CheckpointError(f"{path} takes {total:,} bytes of other files, beyond the budget of {budget:,}.")
    return list(files)
