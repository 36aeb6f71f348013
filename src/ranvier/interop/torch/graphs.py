"""Graphs of ``torch.export`` as steps: operators by their names, arguments by ATen's names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ranvier.interop.foreign import UnsupportedError
from ranvier.interop.torch.number_rows import FUNCTIONS
from ranvier.interop.torch.steps import Step, names_in, references, unknown
from ranvier.interop.torch.table import DROPPED

# Operators that check and compute nothing.
CHECKS = {
    "_assert_async", "_assert_scalar", "_assert_tensor_metadata", "sym_constrain_range", "sym_constrain_range_for_size",
}  # fmt: skip
WRAPPERS = {"wrap_with_set_grad_enabled": 1, "wrap_with_autocast": 4}  # the arguments before the graph within


class Reader:
    """Reads graphs into steps: what an operator that is unknown is, and why, is in ``refused``."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch
        self.steps: list[Step] = []
        self.sources: dict[str, str] = {}  # by name of a result, the name of what it may share the memory of
        self.constants: dict[str, Any] = {}  # tensors of the graph itself
        self.refused: dict[str, str] = {}
        self.values: dict[Any, Any] = {}  # by node, how its value is written

    def read(self, module: Any, prefix: str = "", given: Sequence[Any] | None = None) -> Any:
        """Add the steps of a graph. Returns its output. ``given`` are the inputs of a graph within another."""
        places = iter(given or ())
        result: Any = None
        for node in module.graph.nodes:
            if node.op == "placeholder":
                self.values[node] = {"value": node.name} if given is None else next(places)
            elif node.op == "get_attr":
                self.values[node] = self._attribute(module, node.target, prefix + node.name)
            elif node.op == "output":
                result = self.encode(node.args[0])
            else:
                self._call(node, prefix)
        for step in unknown(self.steps):
            self.refused.setdefault(step.op, "it is not known")
        return result

    def _attribute(self, module: Any, target: str, name: str) -> Any:
        value = module
        for word in target.split("."):
            value = getattr(value, word)
        if isinstance(value, self.torch.nn.Module):
            return value
        self.constants[name] = value
        return {"value": name}

    def _call(self, node: Any, prefix: str) -> None:
        target, words = node.target, "abcdefgh"
        name = getattr(target, "__name__", str(target))
        if name in WRAPPERS:
            self._inline(node, WRAPPERS[name], prefix)
        elif isinstance(target, self.torch._ops.OpOverload):
            self._operator(node, prefix)
        elif isinstance(target, self.torch._ops.HigherOrderOperator):
            self.refused[name] = "it is control flow"
        elif name == "getitem" and isinstance(self.values.get(node.args[0]), list):
            self.values[node] = self.values[node.args[0]][node.args[1]]
        elif name.removeprefix("_sym_") in FUNCTIONS:
            given = dict(zip(words, map(self.encode, node.args), strict=False))
            self._add(Step(f"number.{name.removeprefix('_sym_')}", given, prefix + node.name), node)
            if name == "getitem":
                self._share(prefix + node.name, given["a"])
        else:
            self.refused[name] = "it is a function of Python"

    def _inline(self, node: Any, before: int, prefix: str) -> None:
        """Add the steps of a graph within another, for which gradients are off, or precisions are set."""
        inner, given = self.values[node.args[before]], [self.encode(value) for value in node.args[before + 1 :]]
        inside = f"{prefix}{node.name}."
        result = self.read(inner, inside, given)
        if before == 1 and not node.args[0]:
            result = [self._detached(part, f"{inside}{i}") for i, part in enumerate(result)]
        self.values[node] = result

    def _detached(self, part: Any, name: str) -> Any:
        if not isinstance(part, Mapping):
            return part
        self.steps.append(Step("detach.default", {"self": part}, name))
        self._share(name, part)
        return {"value": name}

    def _operator(self, node: Any, prefix: str) -> None:
        schema = node.target._schema
        space, _, base = schema.name.partition("::")
        if base in CHECKS:
            return
        start, overload = "" if space == "aten" else f"{space}::", node.target._overloadname
        if _depends_on_data(node):
            self.refused[f"{start}{base}.{overload}"] = "its shape depends on data"
            return
        given = {argument.name: value for argument, value in zip(schema.arguments, node.args, strict=False)}
        given = {name: self.encode(v) for name, v in {**given, **node.kwargs}.items() if name not in DROPPED}
        first = schema.arguments[0].alias_info if schema.arguments else None
        in_place = base.endswith("_") and first is not None and first.is_write
        base = base.removesuffix("_") if in_place else base
        step = Step(f"{start}{base}.{overload}", given, prefix + node.name, in_place)
        self._add(step, node)
        if in_place or any(r.alias_info is not None for r in schema.returns):
            self._share(step.name, next(iter(given.values())))

    def _share(self, name: str, source: Any) -> None:
        for known in references([source]):
            self.sources[name] = known

    def _add(self, step: Step, node: Any) -> None:
        self.steps.append(step)
        self.values[node] = {"value": step.name}

    def encode(self, value: Any) -> Any:
        """A value as it is written in steps."""
        torch = self.torch
        if isinstance(value, torch.fx.Node):
            return self.values.get(value)
        if isinstance(value, float) and not math.isfinite(value):
            return {"float": str(value)}
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, (list, tuple)):
            return [self.encode(part) for part in value]
        if isinstance(value, torch.dtype):
            return {"dtype": str(value).removeprefix("torch.")}
        if isinstance(value, (torch.device, torch.layout, torch.memory_format)):
            return None
        raise UnsupportedError(f"a value of type {type(value).__name__}")


def _depends_on_data(node: Any) -> bool:
    """Whether an extent of the result is known only when the operator has run."""
    from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols

    value = node.meta.get("val")
    return value is not None and bool(free_unbacked_symbols(value))


def rewritten(steps: Sequence[Step], sources: Mapping[str, str], output: Any, weights: set[str]) -> Any:
    """The output, and the steps, with new values in place of those that are written in place.

    Writing stays where the old memory is seen afterwards by another name, and where it is that of a weight.
    """
    last = {name: i for i, step in enumerate(steps) for name in references(list(step.given.values()))}
    last |= dict.fromkeys(names_in(output), len(steps))
    now: dict[str, str] = {}  # by name, that of the value it has now
    groups: dict[str, set[str]] = {}  # names that may share memory
    for i, step in enumerate(steps):
        source = sources.get(step.name)
        step.given = {name: _renamed(value, now) for name, value in step.given.items()}
        if source is None:
            continue
        group = groups.setdefault(source, {source})
        groups[step.name] = group
        if step.in_place:
            held = now.get(source, source)
            same = {name for name in group if now.get(name, name) == held}
            if not group & weights and all(last.get(name, -1) <= i for name in group - same):
                step.in_place = False
                now |= dict.fromkeys(same, step.name)
        group.add(step.name)
    return _renamed(output, now)


def _renamed(value: Any, now: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {kind: now.get(v, v) if kind == "value" else _renamed(v, now) for kind, v in value.items()}
    return [_renamed(part, now) for part in value] if isinstance(value, list) else value
