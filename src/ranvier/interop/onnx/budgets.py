"""What a model of ONNX may grow to, counted before it grows: a file of 2 KB can stand for 2**31 operators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ranvier.interop.foreign import UnsupportedError, refuse

MOST_EXPANDED = 100_000  # operators in place of the calls of a model's functions
DEEPEST = 16  # definitions within definitions
MOST_STEPS = 300_000  # operators that loops run
MOST_CONSTANT = 1 << 27  # numbers of a constant that operators compute
MOST_NUMBERS = 1 << 31  # of any other value, for a sample


@dataclass
class Budget:
    """How many operators the loops of one call may still run."""

    left: int = MOST_STEPS

    def take(self, count: int) -> None:
        """Raises UnsupportedError where less is left."""
        self.left -= count
        if self.left < 0:
            raise refuse(f"the budget of {MOST_STEPS:,} operators that its loops may run is spent")


def check_size(shape: Any, what: str, constant: bool = True) -> None:
    """Raise UnsupportedError for the shape of a value, of a constant or of any other, that is too large to compute."""
    size = 1
    for n in shape:
        size *= n if isinstance(n, int) else 1
    most = MOST_CONSTANT if constant else MOST_NUMBERS
    if size > most:
        raise refuse(f"{what} has the shape ({', '.join(map(str, shape))}), beyond the budget of {most:,} numbers")


def check_expansion(model: Any) -> None:
    """Raise UnsupportedError where functions call themselves, or expand to more operators than the budget or too deep.

    Each function is counted once, so that the time is that of the file's size.
    """
    functions = {(f.domain, f.name): f for f in model.functions}
    counts: dict[tuple[str, str], tuple[int, int]] = {}
    for key in functions:
        _count(key, functions, counts)
    called = [counts[key] for key in _calls(model.graph) if key in counts]
    total = sum(count for count, _ in called)
    if total > MOST_EXPANDED:
        raise refuse(f"its functions expand to {total:,} operators, beyond the budget of {MOST_EXPANDED:,}")
    if any(depth > DEEPEST for _, depth in counts.values()):
        raise refuse(f"its functions are nested more than {DEEPEST} deep")


def _count(start: tuple[str, str], functions: Mapping[Any, Any], counts: dict[Any, tuple[int, int]]) -> None:
    """Count the operators and the levels of a function, after those that it calls; calls may be too deep to recurse."""
    pending, open_ = [start], set[tuple[str, str]]()
    while pending:
        key = pending[-1]
        if key in counts:
            pending.pop()
            continue
        calls = list(_calls(functions[key]))
        missing = [call for call in calls if call in functions and call not in counts]
        if not missing:
            inner = [counts.get(call, (1, 0)) for call in calls]
            counts[key] = sum(count for count, _ in inner), 1 + max((depth for _, depth in inner), default=0)
            open_.discard(pending.pop())
            continue
        open_.add(key)
        circle = next((call for call in missing if call in open_), None)
        if circle is not None:
            raise UnsupportedError(f"the function {circle[1]!r} calls itself")
        pending += dict.fromkeys(missing)


def _calls(graph: Any) -> Iterator[tuple[str, str]]:
    """The domain and the name of each operator, of the graphs within too."""
    for inner in graphs_of(graph):
        for node in inner.node:
            yield node.domain, node.op_type


def graphs_of(graph: Any) -> Iterator[Any]:
    """A graph, or a function, and the graphs that are attributes within it."""
    pending = [graph]
    while pending:
        inner = pending.pop()
        yield inner
        for node in inner.node:
            for attribute in node.attribute:
                pending += [attribute.g] * attribute.HasField("g")
                pending += attribute.graphs


def tensors_of(model: Any) -> Iterator[Any]:
    """All constants of a model: of its graphs, its functions, and the graphs by which it was trained."""
    trained = (graph for info in model.training_info for graph in (info.initialization, info.algorithm))
    for start in (model.graph, *model.functions, *trained):
        for inner in graphs_of(start):
            sparse = list(getattr(inner, "sparse_initializer", ()))
            yield from getattr(inner, "initializer", ())
            for node in inner.node:
                for attribute in node.attribute:
                    if attribute.HasField("t"):
                        yield attribute.t
                    sparse += [attribute.sparse_tensor] * attribute.HasField("sparse_tensor")
                    sparse += attribute.sparse_tensors
                    yield from attribute.tensors
            for tensor in sparse:
                yield tensor.values
                yield tensor.indices
