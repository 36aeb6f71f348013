"""Functional: a model described by its inputs and outputs, as Keras's ``Model(inputs, outputs)``."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, Self, cast

import numpy as np

from ranvier.module.core import Module
from ranvier.module.serialization import MOST_CALLS, register_module
from ranvier.module.symbolic import (
    Call,
    Operators,
    Symbolic,
    describe,
    given,
    ordered,
)
from ranvier.support.source_lines import shown
from ranvier.support.tree import flatten, map_structure
from ranvier.support.validation import is_whole
from ranvier.tensor.tensor import Tensor

__all__ = ["Functional"]


@dataclass(frozen=True)
class Ref:
    """Output ``place`` of step ``step``."""

    step: int
    place: int


@dataclass(frozen=True)
class Step:
    """A call to replay: the number of its layer, and arguments in which a `Ref` stands for each tensor."""

    layer: int
    arguments: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


@register_module
class Functional(Module):
    """What leads from ``inputs`` to ``outputs``: an `Input` or several, a symbolic value or several, each in a list,
    tuple or dict.

    Written ``rv.Model(inputs, outputs)``. A layer that was called several times is one layer with one set of weights.
    Layers and weights have the order that they have in Keras. Outputs are named, for losses and logs, by the keys of
    the dict, or by the layers that give them. Raises TypeError for what is no symbolic value, ValueError for an output
    that depends on an input that is not listed and for two layers of one name.
    """

    _starts_training = False
    _has_call = True
    _public = "Model"  # what users write

    def __init__(
        self, inputs: Any = None, outputs: Any = None, *, name: str | None = None, trainable: bool = True
    ) -> None:
        Module.__init__(self, name=name)
        args, kwargs = self._arguments
        registered = vars(type(self)).get("_registered") != "Functional"
        # Those of a subclass whose constructor makes the inputs and outputs itself.
        self._own_arguments = registered and not given((*args, *kwargs.values()))
        if not self._own_arguments:
            self.__dict__["_arguments"] = ((), {})  # `config` says what is to be known
        self.training = False
        starts, ends = parts(inputs, "inputs"), parts(outputs, "outputs")
        first, last = [start_of(*one) for one in starts.items()], [end_of(*one) for one in ends.items()]
        if len(set(first)) < len(first):
            raise ValueError("an Input is twice among inputs. Write each once.")
        steps = first + [call for call in ordered([end.call for end in last]) if call not in first]
        for call in steps[len(first) :]:
            if not call.parents:
                unlisted(call, first)
        layers = arranged(steps, [end.call for end in last])
        distinct_names(layers)
        for i, layer in enumerate(layers):
            self.add_module(str(i), layer)
        number = {call: i for i, call in enumerate(steps)}
        place = {id(layer): i for i, layer in enumerate(layers)}

        def refs(tree: Any) -> Any:
            return map_structure(tree, Operators, lambda v: Ref(number[v.symbol().call], v.symbol().place))

        self._count = len(layers)
        self._effort = sum(effort(call.module) for call in steps)
        self._steps = [Step(place[id(c.module)], refs(c.arguments), refs(c.options)) for c in steps]
        self._takes, self._returns = refs(inputs), refs(outputs)
        self.__dict__["_graph"] = steps
        self.input_names = list(starts) if isinstance(inputs, Mapping) else [c.module.name for c in first]
        made_by = [end.call.module.name for end in last]
        self.output_names = list(ends) if isinstance(outputs, Mapping) else numbered(made_by)
        types = tuple(call.values[0].spec for call in first)
        self._input_type, self._input_types = types[0], types if len(types) > 1 else ()
        if not trainable:
            self.trainable = False

    # --- looking --------------------------------------------------------------------------------------------------

    def _described(self) -> list[Call]:
        """The recorded calls; those of a copy are recorded when they are first asked for."""
        if "_graph" not in self.__dict__:
            self.__dict__["_graph"] = recorded(self._numbered(), self._steps)
        return cast("list[Call]", self.__dict__["_graph"])

    def _numbered(self) -> list[Module]:
        """The layers that calls know by number: all, but for what a subclass has besides."""
        return [cast("Module", self._modules[str(i)]) for i in range(self._count)]

    def _symbols(self, tree: Any) -> Any:
        graph = self._described()
        return map_structure(tree, Ref, lambda ref: graph[ref.step].values[ref.place])

    @property
    def input(self) -> Any:
        """The inputs in the container that they were given in."""
        return self._symbols(self._takes)

    @property
    def output(self) -> Any:
        """The outputs in the container that they were given in."""
        return self._symbols(self._returns)

    @property
    def inputs(self) -> list[Symbolic]:
        """The inputs in the order of ``input_names``."""
        return [call.values[0] for call in self._described()[: len(self.input_names)]]

    @property
    def outputs(self) -> list[Symbolic]:
        """The outputs in the order of ``output_names``."""
        output = self.output
        named = [output[name] for name in self.output_names] if isinstance(output, Mapping) else output
        return list(flatten(named))

    def get_layer(self, name: str | None = None, index: int | None = None) -> Module:
        self._described()  # so that the layer knows its output
        return super().get_layer(name, index)

    # --- calling --------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and isinstance(args[0], (list, tuple, Mapping)):
            several = len(self.input_names) > 1 or isinstance(args[0], Mapping)
            if several or (len(args[0]) == 1 and self._is_input(args[0][0])):
                args = self._unpacked(args[0])
        result = super().__call__(*args, **kwargs)
        if self._returns_alone() and isinstance(result, Operators):  # as Keras, which unpacks tensors alone
            return type(self._returns)([result])
        return result

    def _is_input(self, part: Any) -> bool:
        """Whether what is alone in a list is the whole input, and not a sample."""
        return isinstance(part, (Tensor, Operators)) or (
            isinstance(part, np.ndarray)
            and self._input_type is not None
            and part.ndim == len(self._input_type.shape)
        )

    def _returns_alone(self) -> bool:
        """Whether there is one output, in a list or tuple: it is returned without it, as Keras does."""
        return isinstance(self._returns, (list, tuple)) and len(self._returns) == 1

    def _unpacked(self, values: Any) -> tuple[Any, ...]:
        if isinstance(values, Mapping):
            if set(values) != set(self.input_names):
                raise TypeError(
                    f"{self.name!r} was given the inputs {sorted(map(str, values))}. Write "
                    f"{{{', '.join(f'{n!r}: ...' for n in self.input_names)}}} instead."
                )
            return tuple(values[name] for name in self.input_names)
        return tuple(values)

    def forward(self, *inputs: Any) -> Any:
        names = self.input_names
        if len(inputs) != len(names):
            raise TypeError(
                f"{self.name!r} takes {len(names)} input(s) and was given {len(inputs)}. Write "
                f"model([{', '.join(names)}]) instead."
            )
        layers = self._numbered()
        values: list[list[Any]] = []

        def value(ref: Ref) -> Any:
            return values[ref.step][ref.place]

        for i, step in enumerate(self._steps):
            if i < len(inputs):
                arguments: Any = (inputs[i] if isinstance(inputs[i], Tensor) else Tensor(inputs[i]),)
            else:
                arguments = map_structure(step.arguments, Ref, value)
            result = layers[step.layer](*arguments, **map_structure(step.options, Ref, value))
            values.append(list(flatten(result, Tensor)))
        return map_structure(self._returns[0] if self._returns_alone() else self._returns, Ref, value)

    # --- saving ---------------------------------------------------------------------------------------------------

    def config(self) -> dict[str, Any]:
        """The layers, each once, and their calls by number; an output is written ``{"ref": [call, output]}``.

        Of a subclass whose constructor makes the inputs and outputs itself, that constructor's arguments.
        """
        if self._own_arguments:
            return super().config()
        return {
            "layers": self._numbered(),
            "calls": [[s.layer, encode(s.arguments), encode(s.options)] for s in self._steps],
            "inputs": encode(self._takes),
            "outputs": encode(self._returns),
        }

    def get_config(self) -> dict[str, Any]:
        """The whole architecture, which ``from_config`` makes anew."""
        return super().get_config() if self._own_arguments else self.architecture()

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        if set(config) != {"layers", "calls", "inputs", "outputs"}:
            return cast("Self", super().from_config(config, custom_objects))
        layers = config["layers"]
        if not all(isinstance(layer, Module) for layer in layers):
            refuse("layers that are none")
        steps = [Step(whole(n), decode(args), decode(options)) for n, args, options in config["calls"]]
        if sum(effort(layers[step.layer]) for step in steps) > MOST_CALLS:
            refuse(f"more than {MOST_CALLS:,} calls of layers")
        calls = recorded(layers, steps)
        inputs, outputs = (
            map_structure(decode(config[key]), Ref, lambda ref: calls[ref.step].values[ref.place])
            for key in ("inputs", "outputs")
        )
        model = cls(inputs, outputs)
        if len(model.layers) != len(layers):
            refuse("layers that lead to no output")
        return model


# --- subclasses that are described --------------------------------------------------------------------------------


_DESCRIBED: dict[type[Module], type[Functional]] = {}


def described_by(cls: type[Module]) -> type[Functional]:
    """The class of models of ``cls`` that its inputs and outputs describe: Keras's functional subclass.

    In a file it is what ``cls`` is registered as, or else a Functional without what the subclass adds.
    """
    if issubclass(cls, Functional):
        return cls
    if cls in _DESCRIBED:
        return _DESCRIBED[cls]
    members = {
        "__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__,
        "_registered": vars(cls).get("_registered", "Functional"),
        "__reduce_ex__": lambda self, protocol: (revived, (cls,), self.__getstate__()),
    }  # fmt: skip
    made = _DESCRIBED[cls] = cast("type[Functional]", type(cls.__name__, (cls, Functional), members))
    return made


def revived(cls: type[Module]) -> Functional:
    """An empty model of `described_by`, for copies and pickles."""
    return described_by(cls)._blank()


# --- from symbolic values to steps --------------------------------------------------------------------------------


def parts(values: Any, what: str) -> dict[Any, Any]:
    """The inputs or outputs by what they are called: their positions, None for one alone, or their keys.

    Keys are in Keras's order, which is sorted unless it is an OrderedDict.
    """
    result: dict[Any, Any] = dict(enumerate(values)) if isinstance(values, (list, tuple)) else {None: values}
    if isinstance(values, Mapping):
        if not all(isinstance(key, str) for key in values):
            raise TypeError(f"{what} is a dict with the keys {list(values)}. Write names as keys instead.")
        result = dict(values) if isinstance(values, OrderedDict) else dict(sorted(values.items()))
    if values is None or not result:
        raise ValueError(
            f"a model needs {what}. Write rv.Model(inputs=x, outputs=y) with x = rv.Input((784,))."
        )
    return result


def start_of(key: Any, value: Any) -> Call:
    """The call that stands for an input."""
    label = "inputs" if key is None else f"inputs[{key!r}]"
    if isinstance(value, Operators):
        call = value.symbol().call
        if not call.parents:
            return call
        raise TypeError(
            f"{label} is an output of layer {call.module.name!r}, no Input. Write x = "
            f"rv.Input({value.shape[1:]}), call the layers that come after {call.module.name!r} on it, and give x."
        )
    raise TypeError(
        f"{label} is {type(value).__name__}, no Input. Write x = rv.Input((784,)), call the layers on it, and "
        "give x instead."
    )


def end_of(key: Any, value: Any) -> Symbolic:
    if isinstance(value, Operators):
        return value.symbol()
    label = "outputs" if key is None else f"outputs[{key!r}]"
    raise TypeError(
        f"{label} is {type(value).__name__}, not what a layer returned that was called on an Input. Write y = "
        "layer(x) with x = rv.Input((784,)), and give y instead."
    )


def unlisted(call: Call, first: Sequence[Call]) -> NoReturn:
    names = [c.module.name for c in first]
    raise ValueError(
        f"the outputs depend on the Input {call.module.name!r} (made at {shown(call.module._made)}), which is not "
        f"among the inputs ({', '.join(names)}). Write inputs=[{', '.join([*names, call.module.name])}], or outputs "
        "that do not need it, instead."
    )


def arranged(steps: Sequence[Call], ends: Sequence[Call]) -> list[Module]:
    """The layers in Keras's order: the farthest from the outputs first, then as they are met from the outputs on."""
    depth: dict[Call, int] = {}
    level: dict[Module, int] = {}
    for call in reversed(steps):
        level[call.module] = depth[call] = max(depth.get(call, 0), level.get(call.module, 0))
        for parent in call.parents:
            depth[parent] = max(depth.get(parent, 0), depth[call] + 1)
    met: dict[Module, int] = {}
    seen: set[Call] = set()
    pending = list(reversed(ends))
    while pending:
        call = pending.pop()
        if call not in seen:
            seen.add(call)
            met.setdefault(call.module, len(met))
            pending.extend(reversed(call.parents))
    return sorted(level, key=lambda layer: (-level[layer], met.get(layer, -1)))


def distinct_names(layers: Sequence[Module]) -> None:
    for name, count in Counter(layer.name for layer in layers).items():
        if count > 1:
            lines = [shown(layer._made) for layer in layers if layer.name == name]
            raise ValueError(
                f"{count} layers are named {name!r} (made at {' and '.join(lines)}). Write another name= for "
                f"{'one' if count == 2 else 'all but one'} of them."
            )


def numbered(names: Sequence[str]) -> list[str]:
    """The names, each but once: a second ``head`` is ``head_1``."""
    result: list[str] = []
    for name in names:
        free = (f"{name}_{i}" if i else name for i in range(len(names) + 1))
        result.append(next(n for n in free if n not in result))
    return result


# --- from steps to symbolic values, and to plain values ------------------------------------------------------------


def recorded(layers: Sequence[Module], steps: Sequence[Step]) -> list[Call]:
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
        graph.append(describe(layer, arguments, options))
    return graph


def effort(module: Module) -> int:
    """How many calls of layers a call of this one makes."""
    return module._effort if isinstance(module, Functional) else 1 + sum(map(effort, module.children()))


def encode(tree: Any) -> Any:
    """Arguments as plain values, each under its kind."""
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


KINDS = ("float32", "float64", "int32", "int64", "uint8", "uint32", "bool")
MOST_NUMBERS = 10_000  # of an array that stands in a description
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
