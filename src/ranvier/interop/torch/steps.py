"""Exported models as data: the steps of a graph by the names of operators, and how values are written in them.

In a step an argument is a plain value, a list of them, or a mapping with one key: ``{"value": name}`` is what an
earlier step gave, ``{"dtype": name}`` an element type, and ``{"float": text}`` a float that JSON lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ranvier.interop import merged
from ranvier.interop.foreign import UnsupportedError
from ranvier.interop.torch import creation_rows, network_rows, number_rows, order_rows, shape_rows, table
from ranvier.ops.indexing import put

# Their operators are in the table once they are imported.
TABLES = (creation_rows, network_rows, number_rows, order_rows, shape_rows)
WRITING = ("batch_norm", "instance_norm")  # operators that move running statistics
WIDENED = {"float16": "float32", "bfloat16": "float32"}


@dataclass
class Step:
    """A call of an operator, with arguments by ATen's names. One ``in_place`` writes into its first argument."""

    op: str
    given: dict[str, Any]
    name: str
    in_place: bool = False

    def data(self) -> list[Any]:
        return [self.op, self.given, self.name, *([True] if self.in_place else [])]


def references(value: Any) -> Iterator[str]:
    """The names of earlier results in an argument."""
    if isinstance(value, Mapping):
        if "value" in value:
            yield value["value"]
    elif isinstance(value, list):
        for part in value:
            yield from references(part)


def unknown(steps: list[Step]) -> list[Step]:
    """The steps whose operators, or arguments of them, are not known."""
    return [step for step in steps if not table.fits(step.op, step.given)]


def without_unused(steps: list[Step], output: Any) -> list[Step]:
    """The steps that an output needs, and those that write into something."""
    needed, kept = set(names_in(output)), []
    for step in reversed(steps):
        if step.in_place or step.name in needed or step.op.startswith(WRITING):
            needed.update(references(list(step.given.values())))
            kept.append(step)
    return kept[::-1]


def names_in(tree: Any) -> Iterator[str]:
    """The names in a tree of outputs: see `outputs`."""
    kind, parts = next(iter(tree.items()))
    if kind == "value":
        yield parts
    elif kind in ("tuple", "list", "dict"):
        for part in parts:
            yield from names_in(part[1] if kind == "dict" else part)


class Code:
    """The steps of a mode, ready to run: each with its function, and with the values that nobody reads after it."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.output: dict[str, Any] = data["output"]
        steps = [Step(op, given, name, bool(flags)) for op, given, name, *flags in data["steps"]]
        if wrong := sorted({step.op for step in unknown(steps)}):
            raise UnsupportedError(f"the operators {', '.join(wrong)} are not known")
        last = {name: i for i, step in enumerate(steps) for name in references(list(step.given.values()))}
        kept = set(names_in(self.output))
        done: list[list[str]] = [[] for _ in steps]
        for name, i in last.items():
            if name not in kept:
                done[i].append(name)
        self.steps = list(zip(steps, done, strict=True))

    def run(self, held: dict[str, Any]) -> Any:
        """The outputs for weights and inputs by their names."""
        for step, done in self.steps:
            try:
                given = {name: value_of(value, held) for name, value in step.given.items()}
                result = table.compute(step.op, given)
                if step.in_place:
                    result = put(*map(merged.spread, (next(iter(given.values())), result)))
            except UnsupportedError as error:
                raise UnsupportedError(f"the operator {step.op} ({step.name}): {error}") from None
            held[step.name] = result
            for name in done:
                held.pop(name, None)
        return outputs(self.output, lambda name: merged.spread(held[name]))


def value_of(value: Any, held: Mapping[str, Any]) -> Any:
    """An argument that is written in a step."""
    if isinstance(value, list):
        return [value_of(part, held) for part in value]
    if not isinstance(value, Mapping):
        return value
    kind, text = next(iter(value.items()))
    return held[text] if kind == "value" else float(text) if kind == "float" else WIDENED.get(text, text)


def outputs(tree: Mapping[str, Any], give: Callable[[str], Any]) -> Any:
    """What a model returns, from the tree of its outputs: ``{"tuple": [{"value": name}, {"plain": None}]}``."""
    kind, parts = next(iter(tree.items()))
    if kind == "value":
        return give(parts)
    if kind == "plain":
        return parts
    if kind == "dict":
        return {key: outputs(part, give) for key, part in parts}
    found = [outputs(part, give) for part in parts]
    return tuple(found) if kind == "tuple" else found
