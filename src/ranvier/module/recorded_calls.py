"""Recorded calls: what leads from the inputs of a functional model to its outputs, to be run again on tensors."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, NoReturn

import numpy as np

from ranvier.module.members import ModuleBase
from ranvier.module.symbolic import Call, Operators, Symbolic, record_call, shown_shape, topological_order
from ranvier.support import rows
from ranvier.support.source_lines import location
from ranvier.support.tree import flatten, map_structure
from ranvier.support.validation import is_whole
from ranvier.tensor.tensor import Tensor

# A description of a model makes at most so many calls of layers. Layers that are called twice at each depth could make
# a power of two.
MOST_CALLS = 100_000


@dataclass(frozen=True)
class Ref:
    """Output ``place`` of step ``step``."""

    step: int
    place: int


@dataclass(frozen=True)
class Step:
    """A recorded call: the number of its layer, and arguments that hold a `Ref` for each tensor."""

    layer: int
    arguments: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordedCalls:
    """The calls of a functional model, without its layers, which they know by number.

    The first steps are the inputs. ``inputs`` and ``outputs`` hold a `Ref` for each symbolic value, in the containers
    that the user wrote.
    """

    layers: int  # how many there are
    effort: int  # calls of layers that a call of the model makes
    steps: list[Step]
    inputs: Any
    outputs: Any

    @cached_property
    def takers(self) -> list[list[tuple[int, int]]]:
        """For each input the layers that are called on it, and the place of it among their arguments."""
        found: list[list[tuple[int, int]]] = [[] for _ in flatten(self.inputs, Ref)]
        for step in self.steps:
            for place, ref in enumerate(flatten(step.arguments, Ref)):
                if ref.step < len(found):
                    found[ref.step].append((step.layer, place))
        return found

    @property
    def returns_one_of_a_list(self) -> bool:
        """Whether there is one output, in a list or tuple: tensors are returned without it, as Keras does."""
        return isinstance(self.outputs, (list, tuple)) and len(self.outputs) == 1

    def run(self, layers: Sequence[Any], inputs: Sequence[Any]) -> Any:
        """Run the calls on tensors."""
        values: list[list[Any]] = []

        def value(ref: Ref) -> Any:
            return values[ref.step][ref.place]

        for i, step in enumerate(self.steps):
            if i < len(inputs):
                arguments: Any = (inputs[i] if isinstance(inputs[i], Tensor) else Tensor(inputs[i]),)
            else:
                arguments = map_structure(step.arguments, Ref, value)
            result = layers[step.layer](*arguments, **map_structure(step.options, Ref, value))
            values.append(list(flatten(result, Tensor)))
        return map_structure(self.outputs[0] if self.returns_one_of_a_list else self.outputs, Ref, value)

    def config(self, layers: Sequence[Any]) -> dict[str, Any]:
        """The layers, each once, and their calls by number; an output is written ``{"ref": [call, output]}``."""
        return {
            "layers": layers,
            "calls": [[s.layer, encode(s.arguments), encode(s.options)] for s in self.steps],
            "inputs": encode(self.inputs),
            "outputs": encode(self.outputs),
        }


class Network(NamedTuple):
    """What `record` finds between the inputs and outputs of a functional model."""

    calls: RecordedCalls
    layers: list[ModuleBase]  # in Keras's order
    graph: list[Call]  # the inputs first
    input_names: list[str]
    output_names: list[str]


def record(inputs: Any, outputs: Any) -> Network:
    """The network from symbolic inputs to outputs, each alone or several in a list, tuple or dict.

    An input that a layer computes becomes an `Input` of its own. Raises TypeError for what is no symbolic value,
    ValueError for an output that depends on an input that is not listed and for two layers of one name.
    """
    inputs, outputs = cut(inputs, outputs)
    starts, ends = parts(inputs, "inputs"), parts(outputs, "outputs")
    first = [input_call(*one) for one in starts.items()]
    for key, end in ends.items():
        if not isinstance(end, Operators):
            raise TypeError(
                f"{label('outputs', key)} is {type(end).__name__}, not what a layer returned that was called on an "
                "Input. Write y = layer(x) with x = rv.Input((784,)), and give y instead."
            )
    last = [end.symbol() for end in ends.values()]
    if len(set(first)) < len(first):
        raise ValueError("an Input is twice among inputs. Write each once.")
    graph = first + [call for call in topological_order([end.call for end in last]) if call not in first]
    names = [call.module.name for call in first]
    for call in graph[len(first) :]:
        if not call.parents:
            raise ValueError(
                f"the outputs depend on the Input {call.module.name!r} (made at {location(call.module._made)}), which "
                f"is not among the inputs ({', '.join(names)}). Write "
                f"inputs=[{', '.join([*names, call.module.name])}], or outputs that do not need it, instead."
            )
    layers = layers_in_order(graph, [end.call for end in last])
    check_names(layers)
    step_of = {call: i for i, call in enumerate(graph)}
    number_of = {id(layer): i for i, layer in enumerate(layers)}

    def refs(tree: Any) -> Any:
        return map_structure(tree, Operators, lambda v: Ref(step_of[v.symbol().call], v.symbol().place))

    calls = RecordedCalls(
        len(layers),
        sum(effort(call.module) for call in graph),
        [Step(number_of[id(call.module)], refs(call.arguments), refs(call.options)) for call in graph],
        refs(inputs),
        refs(outputs),
    )
    made_by = [end.call.module.name for end in last]
    return Network(
        calls,
        layers,
        graph,
        list(starts) if isinstance(inputs, Mapping) else names,
        list(ends) if isinstance(outputs, Mapping) else unique_names(made_by),
    )


def from_config(config: Mapping[str, Any]) -> tuple[Any, Any]:
    """The symbolic inputs and outputs that `RecordedCalls.config` describes. Raises ValueError for anything else."""
    layers = config["layers"]
    if not all(isinstance(layer, ModuleBase) for layer in layers):
        refuse("layers that are none")
    steps = [Step(whole(n), decode(args), decode(options)) for n, args, options in config["calls"]]
    if sum(effort(layers[step.layer]) for step in steps) > MOST_CALLS:
        refuse(f"more than {MOST_CALLS:,} calls of layers")
    graph = replayed(layers, steps)
    inputs, outputs = (
        map_structure(decode(config[key]), Ref, lambda ref: graph[ref.step].values[ref.place])
        for key in ("inputs", "outputs")
    )
    return inputs, outputs


# --- from symbolic values to steps --------------------------------------------------------------------------------


def parts(values: Any, what: str) -> dict[Any, Any]:
    """The inputs or outputs by key: their positions, None for a single one, or their names.

    Keys are in Keras's order, which is sorted unless it is an OrderedDict.
    """
    result: dict[Any, Any] = dict(enumerate(values)) if isinstance(values, (list, tuple)) else {None: values}
    if isinstance(values, Mapping):
        if not all(isinstance(key, str) for key in values):
            raise TypeError(f"{what} is a dict with the keys {list(values)}. Write names as keys instead.")
        result = dict(values) if isinstance(values, OrderedDict) else dict(sorted(values.items()))
    if what == "outputs":  # of which a layer may return some in lists, such as states
        pairs = ((key, value, i, leaf) for key, value in result.items() for i, leaf in enumerate(flatten(value)))
        result = {key if leaf is value else f"{key}_{i}": leaf for key, value, i, leaf in pairs}
    if values is None or not result:
        raise ValueError(f"a model needs {what}. Write rv.Model(inputs=x, outputs=y) with x = rv.Input((784,)).")
    return result


def label(what: str, key: Any) -> str:
    return what if key is None else f"{what}[{key!r}]"


def input_call(key: Any, value: Any) -> Call:
    """The call that an input is the result of."""
    if not isinstance(value, Operators):
        raise TypeError(
            f"{label('inputs', key)} is {type(value).__name__}, no Input. Write x = rv.Input((784,)), call the layers "
            "on it, and give x instead."
        )
    return value.symbol().call


def cut(inputs: Any, outputs: Any) -> tuple[Any, Any]:
    """The same inputs and outputs, with an `Input` in the place of each input that a layer computes, as in Keras.

    Calls that lead from there to the outputs are copied, with the layers as they are.
    """
    given = [value.symbol() for value in flatten(inputs, Operators)]
    replaced: dict[Symbolic, Symbolic] = {}
    for value in given:
        if value.call.parents:
            name = f"{value.call.module.name}_output"
            start = rows.look_up("layer", "Input")(shown_shape(value.free)[1:], dtype=value.dtype, name=name)
            replaced[value] = start.symbol()
    if not replaced:
        return inputs, outputs
    copies: dict[Call, Call] = {}

    def copied(value: Any) -> Symbolic:
        found = value.symbol()
        return replaced[found] if found in replaced else copies.get(found.call, found.call).values[found.place]

    for call in topological_order([value.symbol().call for value in flatten(outputs, Operators)]):
        taken = list(flatten((call.arguments, call.options), Symbolic))
        if any(copied(value) is not value for value in taken):
            copies[call] = call.called_on(*map_structure((call.arguments, call.options), Symbolic, copied))
    return tuple(map_structure(tree, Operators, copied) for tree in (inputs, outputs))


def layers_in_order(steps: Sequence[Call], ends: Sequence[Call]) -> list[ModuleBase]:
    """The layers in Keras's order: by distance from the outputs, farthest first, then in order of discovery."""
    depth: dict[Call, int] = {}
    level: dict[ModuleBase, int] = {}
    for call in reversed(steps):
        level[call.module] = depth[call] = max(depth.get(call, 0), level.get(call.module, 0))
        for parent in call.parents:
            depth[parent] = max(depth.get(parent, 0), depth[call] + 1)
    met: dict[ModuleBase, int] = {}
    seen: set[Call] = set()
    pending = list(reversed(ends))
    while pending:
        call = pending.pop()
        if call not in seen:
            seen.add(call)
            met.setdefault(call.module, len(met))
            pending.extend(reversed(call.parents))
    return sorted(level, key=lambda layer: (-level[layer], met.get(layer, -1)))


def check_names(layers: Sequence[ModuleBase]) -> None:
    for name, count in Counter(layer.name for layer in layers).items():
        if count > 1:
            lines = [location(layer._made) for layer in layers if layer.name == name]
            raise ValueError(
                f"{count} layers are named {name!r} (made at {' and '.join(lines)}). Write another name= for "
                f"{'one' if count == 2 else 'all but one'} of them."
            )


def unique_names(names: Sequence[str]) -> list[str]:
    """The names made unique: a second ``head`` is ``head_1``."""
    result: list[str] = []
    for name in names:
        free = (f"{name}_{i}" if i else name for i in range(len(names) + 1))
        result.append(next(n for n in free if n not in result))
    return result


# --- from steps to symbolic values, and to plain values ------------------------------------------------------------


def replayed(layers: Sequence[Any], steps: Sequence[Step]) -> list[Call]:
    """The calls of ``steps``, recorded anew."""
    graph: list[Call] = []
    for step in steps:
        layer = layers[step.layer]
        if isinstance(layer, Operators):
            graph.append(layer.symbol().call)
            continue
        arguments, options = map_structure(
            (step.arguments, step.options), Ref, lambda ref: graph[ref.step].values[ref.place]
        )
        if next(flatten((arguments, options), Symbolic), None) is None:
            refuse(f"{layer.name!r} is called on nothing")
        graph.append(record_call(layer, arguments, options))
    return graph


def effort(module: ModuleBase) -> int:
    """How many calls of layers a call of this one makes."""
    return module._recorded.effort if module._recorded is not None else 1 + sum(map(effort, module.children()))


def encode(tree: Any) -> Any:
    """Arguments as plain values, each with its kind as the key."""
    if isinstance(tree, Ref):
        return {"ref": [tree.step, tree.place]}
    if isinstance(tree, Mapping):
        kind = "ordered" if isinstance(tree, OrderedDict) else "dict"
        return {kind: [[key, encode(part)] for key, part in tree.items()]}
    if isinstance(tree, (list, tuple)):
        return {"tuple" if isinstance(tree, tuple) else "list": [encode(part) for part in tree]}
    if isinstance(tree, (np.ndarray, np.generic, Tensor)):
        array = tree.compute() if isinstance(tree, Tensor) else np.asarray(tree)
        if array.size > MOST_NUMBERS or array.dtype.name not in KINDS:
            raise TypeError(
                f"a layer is called with an array {array.shape} of {array.dtype}, which no description of a model "
                f"holds. Write an array of at most {MOST_NUMBERS:,} numbers, or a layer with a weight for it, instead."
            )
        return {"array": [array.dtype.name, array.tolist()]}
    return {"value": tree}


KINDS = ("float32", "float64", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool")
MOST_NUMBERS = 10_000  # of an array in a description
CONTAINERS: dict[str, Any] = {"list": list, "tuple": tuple, "dict": dict, "ordered": OrderedDict}


def decode(words: Any) -> Any:
    ((kind, content),) = words.items()
    if kind == "ref":
        return Ref(*map(whole, content))
    if kind in ("dict", "ordered"):
        return CONTAINERS[kind]((str(key), decode(part)) for key, part in content)
    if kind in CONTAINERS:
        return CONTAINERS[kind](map(decode, content))
    if kind == "array":
        try:
            dtype, numbers = content
            return np.array(numbers, KINDS[KINDS.index(dtype)])
        except (TypeError, ValueError, OverflowError):
            refuse("an array that is none")
    if kind != "value":
        refuse(f"an argument of kind {kind!r}")
    return content


def whole(number: Any) -> int:
    if not is_whole(number, 0):
        refuse(f"{number!r} as a number of a call or of a layer")
    return int(number)


def refuse(what: str) -> NoReturn:
    raise ValueError(f"this is not the description of a functional model: {what}.")
