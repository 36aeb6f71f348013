"""The text of a class of PyTorch, from the steps of a network."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ranvier.interop.program_text import INDENT, WIDTH, Call, Code, call, flat, identifier, statement
from ranvier.interop.torch.builder import RESERVED, Builder, Step, Value, array
from ranvier.support.tree import flatten

LOCAL = ("self", "torch", "nn", "F", "math")
FEW = 64  # numbers of a constant that stand in the text


def is_chain(b: Builder, result: Any) -> bool:
    """Whether the steps are modules, each called on what the one before returned."""
    if not isinstance(result, Value) or len(b.inputs) != 1 or b.held or result.step != len(b.steps) - 1:
        return False
    return all(
        step.inputs == (i,) and (step.alone is not None or (step.part is not None and step.text == "{m}({0})"))
        for i, step in enumerate(b.steps[1:])
    ) and len(b.unique_parts()) == sum(step.part is not None for step in b.steps)


def member_names(b: Builder) -> dict[int, str]:
    """The names of the modules of a class, by identity: those of the layers."""
    taken = set(RESERVED) | set(b.held)
    names: dict[int, str] = {}
    for part in b.unique_parts():
        names[id(part)] = identifier(part.name, taken)
        taken.add(names[id(part)])
    return names


def class_text(title: str, b: Builder, names: Mapping[int, str], result: Any) -> str:
    """The class: its modules, and the expressions of its ``forward``."""
    lines = [f"class {title}(nn.Module):"]
    made = [statement(f"self.{names[id(part)]} = ", part.made, INDENT * 2) for part in b.unique_parts()]
    made += [_held(name, kind, array(a)) for name, (kind, a) in b.held.items()]
    if made:
        lines += [f"{INDENT}def __init__(self):", f"{INDENT * 2}super().__init__()", *made, ""]
    body, variables = _body(b, names, result)
    first = variables[: len(b.inputs)]
    lines += [statement(f"{INDENT}def forward", Call("", tuple(map(Code, ("self", *first)))), end=":"), *body]
    return "\n".join(lines)


def _held(name: str, kind: str, a: Any) -> str:
    start = INDENT * 2
    if kind == "buffer":
        value: Any = Code(f"torch.zeros{tuple(a.shape)}") if a.size > FEW else call("torch.tensor", a.tolist())
        return statement("self.register_buffer", Call("", (name, value)), start)
    empty = Code(f"torch.zeros({', '.join(map(str, a.shape))})")
    if a.ndim > 1:
        empty = Code(f"nn.init.xavier_uniform_(torch.empty({', '.join(map(str, a.shape))}))")
    return statement(f"self.{name} = ", call("nn.Parameter", empty), start)


def _body(b: Builder, names: Mapping[int, str], result: Any) -> tuple[list[str], list[str]]:
    """The lines of ``forward``, and the variable of each step."""
    outs = [value.step for value in flatten(result, Value)]
    uses = Counter(number for step in b.steps for number in step.inputs) + Counter(outs)
    last = {number: i for i, step in enumerate(b.steps) for number in step.inputs}
    last |= dict.fromkeys(outs, len(b.steps))
    count = len(b.inputs)
    variables: list[str] = []
    for name in b.inputs:
        variables.append(identifier(name if count > 1 else "x", {*variables, *LOCAL}))
    written: list[tuple[int, str]] = []  # the step and the expression of each line
    for i in range(count, len(b.steps)):
        step = b.steps[i]
        live = {variables[j] for j in range(i) if last.get(j, -1) > i}
        mine = [variables[j] for j in step.inputs if variables[j] not in live]
        free = [n for n in ("y", "z") if n not in live] if count == 1 else []
        variables.append((mine or free or [identifier(step.name, {*live, *LOCAL})])[0])
        operands = [variables[j] for j in step.inputs]
        if step.wraps and written and written[-1][0] == i - 1 and step.inputs == (i - 1,) and uses[i - 1] == 1:
            inner = written[-1][1]
            whole = _expression(step, [inner], names)
            if len(f"{INDENT * 2}{variables[i]} = {whole}") <= WIDTH and step.text.startswith(("F.", "torch.")):
                written[-1] = i, whole
                continue
        written.append((i, _expression(step, operands, names)))
    lines = [f"{variables[i]} = {text}" for i, text in written]
    returned = _returned(result, variables)
    if lines and outs == [written[-1][0]] and returned == variables[outs[0]]:
        lines.pop()
        returned = written[-1][1]
    return [broken(line, INDENT * 2) for line in (*lines, f"return {returned}")], variables


def _expression(step: Step, operands: list[str], names: Mapping[int, str]) -> str:
    member = f"self.{names[id(step.part)]}" if step.part is not None else ""
    text = step.text.replace("{m}", member).replace("{self}", "self")
    for i, operand in enumerate(operands):
        text = text.replace(f"{{{i}}}", operand)
    return text


def _returned(result: Any, variables: list[str]) -> str:
    if isinstance(result, Value):
        return variables[result.step]
    if isinstance(result, Mapping):
        return flat({key: Code(_returned(part, variables)) for key, part in result.items()})
    texts = [_returned(part, variables) for part in result]
    return texts[0] if len(texts) == 1 else ", ".join(texts)


def broken(line: str, indent: str) -> str:
    """An assignment, a return or an expression, broken where it is too long."""
    if len(indent + line) <= WIDTH:
        return indent + line
    start = next((word for word in ("return ", " += ", " = ") if word in line), "")
    before, _, text = line.partition(start) if start else ("", "", line)
    node, end = ast.parse(text, mode="eval").body, ""
    while isinstance(node, ast.Subscript):
        inner = ast.get_source_segment(text, node.value) or ""
        end = text[len(inner) : len(text) - len(end)] + end
        node = node.value
    return statement(before + start, _tree(node, text), indent, end)


def _tree(node: ast.expr, text: str) -> Any:
    """An expression as calls and containers of text."""
    if isinstance(node, ast.Call):
        return Call(
            ast.get_source_segment(text, node.func) or "",
            tuple(_tree(part, text) for part in node.args),
            {str(keyword.arg): _tree(keyword.value, text) for keyword in node.keywords},
        )
    if isinstance(node, ast.List):
        return [_tree(part, text) for part in node.elts]
    return Code(ast.get_source_segment(text, node) or "")
