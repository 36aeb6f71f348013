"""Models of ONNX as steps: read, checked, and with the operators that ONNX defines by others expanded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ranvier.graph.extents import Extent
from ranvier.interop.foreign import UnsupportedError, refuse
from ranvier.interop.merged import Merged
from ranvier.interop.onnx import labels, merged
from ranvier.interop.onnx.budgets import DEEPEST, Budget, check_size
from ranvier.interop.onnx.table import TABLE
from ranvier.interop.onnx.values import (
    ELEMENTS,
    NUMBERS,
    TAKE_SIZES,
    Context,
    check_carried,
    check_element,
    holds_batch,
    tensor,
)
from ranvier.tensor.tensor import Tensor

MOST_NODES = 1_000_000
DOMAINS = ("", "ai.onnx")


@dataclass
class Step:
    """A call of an operator."""

    op: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    version: int
    name: str = ""


@dataclass
class Program:
    """The steps of a graph, in order; its constants; the names of its inputs and outputs."""

    steps: list[Step]
    constants: dict[str, Any]
    inputs: list[str]
    outputs: list[str]
    types: dict[str, Any] = field(default_factory=dict)


def library() -> Any:
    """The package onnx. Raises ModuleNotFoundError that says how to install it."""
    try:
        import onnx
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "models of ONNX need onnx, which is not installed. Write: pip install 'ranvier[onnx]'"
        ) from None
    return onnx


def program(graph: Any, versions: Mapping[str, int], functions: Mapping[tuple[str, str], Any]) -> Program:
    """The steps of a graph. Raises UnsupportedError naming all operators that are not known."""
    onnx = library()
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    if graph.sparse_initializer:
        raise refuse("sparse constants")
    types = {v.name: v.type for v in (*graph.value_info, *graph.input, *graph.output)}
    steps: list[Step] = []
    refused: dict[tuple[str, str], str] = {}
    for node in graph.node:
        try:
            steps += _steps(node, versions, functions, types, 0)
        except UnsupportedError as error:
            refused.setdefault((node.domain, node.op_type), str(error))
        if len(steps) > MOST_NODES:
            raise refuse(f"more than {MOST_NODES:,} operators")
    if refused:
        raise UnsupportedError("; ".join(refused.values()))
    inputs = [v.name for v in graph.input if v.name not in constants]
    return Program(steps, constants, inputs, [v.name for v in graph.output], types)


def _steps(node: Any, versions: Mapping[str, int], functions: Mapping[Any, Any], types: Any, depth: int) -> list[Step]:
    """The steps of a node: itself, or those of its definition."""
    if depth > DEEPEST:
        raise refuse(f"definitions nested more than {DEEPEST} deep")
    title = f"{node.domain}.{node.op_type}" if node.domain not in DOMAINS else node.op_type
    body, defaults = functions.get((node.domain, node.op_type)), dict[str, Any]()
    if body is None and title not in TABLE:
        body, defaults = _definition(node, versions, types)
        if body is None:
            raise UnsupportedError(f"the operator {title} (node {node.name!r}) is not known")
    if body is not None:
        inner = {v.domain: v.version for v in body.opset_import} or versions
        found: list[Step] = []
        for part in _renamed(node, body, defaults):
            found += _steps(part, inner, functions, types, depth + 1)
        return found
    own = node.domain not in DOMAINS
    version = versions.get(node.domain, 1) if own else versions.get("", versions.get("ai.onnx", 1))
    attributes = {a.name: _attribute(a, versions, functions) for a in node.attribute}
    return [Step(title, list(node.input), list(node.output), attributes, version, node.name)]


def _definition(node: Any, versions: Mapping[str, int], types: Any) -> tuple[Any, dict[str, Any]]:
    """What ONNX defines an operator to be in terms of others, if it does, and the defaults of its attributes."""
    onnx = library()
    version = versions.get(node.domain, versions.get("ai.onnx" if not node.domain else node.domain, 1))
    try:
        schema = onnx.defs.get_schema(node.op_type, version, node.domain)
    except onnx.defs.SchemaError:
        return None, {}
    defaults = {name: a.default_value for name, a in schema.attributes.items() if a.default_value.name}
    if schema.has_function:
        return schema.function_body, defaults
    if not schema.has_context_dependent_function:
        return None, {}
    nothing = onnx.TypeProto()
    given = [types.get(name, nothing).SerializeToString() for name in node.input]
    body = onnx.FunctionProto()
    try:
        body.ParseFromString(schema.get_context_dependent_function(node.SerializeToString(), given))
    except RuntimeError:
        return None, {}
    return (body, defaults) if body.node else (None, {})


def _renamed(node: Any, body: Any, defaults: Mapping[str, Any]) -> list[Any]:
    """The nodes of a definition with the names of a call in place of its own."""
    onnx = library()
    prefix = f"{node.output[0] if node.output else node.name}/"
    names = {formal: (node.input[i] if i < len(node.input) else "") for i, formal in enumerate(body.input)}
    names |= {formal: node.output[i] for i, formal in enumerate(body.output) if i < len(node.output) and node.output[i]}
    given = {a.name: a for a in node.attribute}
    defaults = {**defaults, **{a.name: a for a in body.attribute_proto}}
    found = []
    for part in body.node:
        new = onnx.NodeProto()
        new.CopyFrom(part)
        for field_ in (new.input, new.output):
            changed = [names.get(name, prefix + name if name else "") for name in field_]
            del field_[:]
            field_.extend(changed)
        kept = []
        for attribute in new.attribute:
            if attribute.HasField("g") or attribute.graphs:
                _rename_graph(attribute.g, names, prefix)
            if not attribute.ref_attr_name:
                kept.append(attribute)
                continue
            source = given.get(attribute.ref_attr_name) or defaults.get(attribute.ref_attr_name)
            if source is not None:
                copy = onnx.AttributeProto()
                copy.CopyFrom(source)
                copy.name = attribute.name
                kept.append(copy)
        copies = [onnx.AttributeProto() for _ in kept]
        for copy, attribute in zip(copies, kept, strict=True):
            copy.CopyFrom(attribute)
        del new.attribute[:]
        new.attribute.extend(copies)
        found.append(new)
    return found


def _rename_graph(graph: Any, names: Mapping[str, str], prefix: str) -> None:
    """Rename what an inner graph takes from around it."""
    own = {v.name for v in graph.input} | {name for node in graph.node for name in node.output}
    own |= {t.name for t in graph.initializer}
    for node in graph.node:
        changed = [name if name in own or not name else names.get(name, prefix + name) for name in node.input]
        del node.input[:]
        node.input.extend(changed)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rename_graph(attribute.g, {**names, **{name: name for name in own}}, prefix)
    for value in graph.output:
        if value.name not in own:
            value.name = names.get(value.name, prefix + value.name)


def _attribute(attribute: Any, versions: Mapping[str, int], functions: Mapping[Any, Any]) -> Any:
    onnx = library()
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    if isinstance(value, onnx.GraphProto):
        return program(value, versions, functions)
    if isinstance(value, (list, tuple)) or hasattr(value, "append"):
        return [part.decode("utf-8") if isinstance(part, bytes) else part for part in value]
    if isinstance(value, (int, float)):
        return value
    raise refuse(f"the attribute {attribute.name!r} of type {type(value).__name__}")


# --- running ------------------------------------------------------------------------------------------------------


def run(
    code: Program,
    values: Mapping[str, Any],
    outer: Mapping[str, Any] | None = None,
    training: bool = False,
    budget: Budget | None = None,
) -> list[Any]:
    """The outputs of a program for values by name, arrays that are known or tensors.

    A step of which all inputs are known gives arrays, too. Within a loop the ``budget`` is that of the whole call.
    """
    held = {**(outer or {}), **code.constants, **values}
    if budget is None:
        budget = Budget()
    else:
        budget.take(1 + len(code.steps))
    for step in code.steps:
        _run_step(step, held, training, budget)
    missing = [name for name in code.outputs if name not in held]
    if missing:
        raise refuse(f"the output {missing[0]!r} is computed by nothing")
    return [held[name] for name in code.outputs]


def _run_step(step: Step, held: dict[str, Any], training: bool, budget: Budget) -> None:
    try:
        given = [held[name] if name else None for name in step.inputs]
    except KeyError as error:
        raise UnsupportedError(
            f"the operator {step.op} (node {step.name!r}) takes {error}, which nothing gives"
        ) from None
    while given and given[-1] is None:
        given.pop()
    wanted = [i for i, name in enumerate(step.outputs) if name]
    context = Context(
        step.version, 1 + max(wanted, default=0), training, lambda code, inner: run(code, inner, held, training, budget)
    )
    constant = all(isinstance(v, np.ndarray) or v is None for v in given)
    attributes: Mapping[str, Any] = step.attributes
    sized = any(holds_batch(v) for v in given)
    if constant and sized:  # which 32 bits do not hold
        given = [v if v is None or v.dtype != np.int32 else v.astype(np.int64) for v in given]
        if step.op == "Cast" and ELEMENTS.get(int(attributes["to"])) == "int32":
            attributes = {**attributes, "to": NUMBERS["int64"]}
    try:
        if sized and step.op not in TAKE_SIZES:
            check_carried(step.op, given, constant, ELEMENTS.get(int(attributes.get("to", 0)), ""))
        result = compute(step.op, context, given, attributes)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        said, start = str(error), "the operator "  # of an inner graph, the error names the innermost
        where = "" if said.startswith(start) else f"{start}{step.op} (node {step.name!r}): "
        raise UnsupportedError(f"{where}{said}") from error
    parts = result if isinstance(result, tuple) else (result,)
    for i in wanted:
        if i >= len(parts):
            raise UnsupportedError(f"the operator {step.op} (node {step.name!r}) has no output {i} here")
        part = parts[i]
        if isinstance(part, Tensor):
            check_size(part.shape, f"the operator {step.op} (node {step.name!r}): its result", constant)
        if constant and isinstance(part, Tensor) and not any(isinstance(n, Extent) for n in part.shape):
            part = np.asarray(part.compute())
        held[step.outputs[i]] = part


KNOWN = frozenset({
    "ConstantOfShape", "Reshape", "Expand", "Tile", "Slice", "Range", "OneHot", "Pad", "Trilu", "NonZero", "Compress",
    "TopK", "Squeeze", "Unsqueeze", "Split", "CumSum", "CumProd", "Resize", "Upsample", "ReverseSequence", "If", "Loop",
    "Scan",
})  # fmt: skip
"""Operators of which other inputs than the first decide shapes: those are left as they are."""


def compute(op: str, context: Context, given: list[Any], attributes: Mapping[str, Any]) -> Any:
    """What an operator gives."""
    if any(isinstance(value, Merged) for value in given):
        return merged.compute(op, context, given, dict(attributes), compute)
    if any(map(labels.is_text, given)):
        return labels.compute(op, context, given, dict(attributes), compute)
    function: Callable[..., Any] = TABLE[op]
    for value in given:
        check_element(value)
    if op in KNOWN:
        first = given[:1] if op in ("ConstantOfShape", "Range", "If", "Loop", "Scan") else [tensor(given[0])]
        given = [*first, *given[1:]] if given else []
    elif op not in ("Gather", "GatherElements", "GatherND", "ScatterElements", "ScatterND", "Scatter"):
        given = [None if v is None else tensor(v) for v in given]
    else:
        given = [tensor(given[0]), given[1], *map(tensor, given[2:])]
    return function(context, *given, **attributes)
