"""A network as TensorBoard draws it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ranvier.graph.extents import Extent
from ranvier.graph.node import Type

if TYPE_CHECKING:
    from ranvier.pictures.diagram import Box


def graph(boxes: list[Box]) -> dict[str, Any]:
    """The network: a node for each call of a layer, with its inputs, output shapes and number of parameters."""
    from tensorboard.compat.proto.graph_pb2 import GraphDef
    from tensorboard.compat.proto.node_def_pb2 import NodeDef

    names: list[str] = []
    for box in boxes:
        name = re.sub(r"[^A-Za-z0-9_.\-/]", "_", box.scope)
        again = sum(re.fullmatch(rf"{re.escape(name)}(_call\d+)?", known) is not None for known in names)
        names.append(f"{name}_call{again + 1}" if again else name)
    made = GraphDef()
    for name, box in zip(names, boxes, strict=True):
        node = NodeDef(name=name, op=box.kind, input=[names[i] for i in box.sources])
        node.attr["_output_shapes"].list.shape.extend(shape(t) for t in box.types if t is not None)
        if box.parameters is not None:
            node.attr["parameters"].i = box.parameters
        made.node.append(node)
    return {"graph_def": made.SerializeToString()}


def shape(type_: Type) -> Any:
    """The shape for TensorBoard, with an unknown number of samples."""
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

    sizes = [-1 if isinstance(d, Extent) else int(d) for d in type_.shape]
    return TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in sizes])
