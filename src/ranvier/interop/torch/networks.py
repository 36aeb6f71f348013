"""Networks here as programs of PyTorch: the text that defines a module, and the weights that belong to it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from ranvier.graph.node import Type
from ranvier.interop.foreign import UnsupportedError, refuse
from ranvier.interop.program_text import Call, Code, class_name
from ranvier.interop.torch import brought, layer_rows, operator_rows, recurrent_rows, window_rows
from ranvier.interop.torch.block_rows import BLOCKS
from ranvier.interop.torch.builder import LAYERS, Builder, OrderError, Part, Value, array, chosen, extents
from ranvier.interop.torch.classes import LOCAL, class_text, is_chain, member_names
from ranvier.interop.torch.model import TorchModel
from ranvier.module import Module, Sequential
from ranvier.module.recorded_calls import Ref
from ranvier.support.source_lines import location
from ranvier.support.tree import flatten, map_structure
from ranvier.torch import nn

TABLES = (
    brought,
    layer_rows,
    operator_rows,
    recurrent_rows,
    window_rows,
)  # whose layers are in the table once they are imported
VOCABULARY = "torch."  # the start of the registered names of PyTorch's modules
# Layers whose modules do not depend on the shape of the inputs.
SHAPELESS = ("Activation", "AlphaDropout", "Dropout", "ELU", "Identity", "LeakyReLU", "ReLU")
# The weights that regularizers may be on, by their names here.
WEIGHTS = {
    "kernel": "weight", "embeddings": "weight", "gamma": "weight", "depthwise_kernel": "weight", "bias": "bias",
    "beta": "bias", "alpha": "weight",
}  # fmt: skip


@dataclass
class Network:
    """A module as text: the classes before it, how it is made, and its weights by their names in it."""

    made: Any
    weights: dict[str, Any] = field(default_factory=dict)
    frozen: list[str] = field(default_factory=list)  # weights that the layers lack
    untrained: list[str] = field(default_factory=list)  # modules that are not trained
    penalties: list[tuple[str, Any]] = field(default_factory=list)  # by weight, its regularizer
    classes: dict[str, str] = field(default_factory=dict)
    constants: list[str] = field(default_factory=list)  # numbers that are no weights
    inputs: int = 1
    outputs: list[Value] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)  # of a dict of outputs

    def take(self, part: Part, name: str) -> None:
        """Add the weights of a part under its name; "" is the network itself."""
        start = f"{name}." if name else ""
        self.weights |= {start + key: a for key, a in part.weights.items()}
        self.frozen += [start + key for key in part.frozen]
        self.constants += [start + key for key in part.constants]
        self.untrained += [(start + key).rstrip(".") for key in part.untrained]
        self.penalties += [(start + key, penalty) for key, penalty in part.penalties]


def network(model: Module, channels_first: bool = False) -> Network:
    """The program of a model. Raises TypeError naming a layer that has no counterpart."""
    types = input_types(model)
    if not model.built or (not types and not _of_torch_alone(model) and name_of(model) not in SHAPELESS):
        raise TypeError(
            f"the inputs of {model.name!r} are not known yet. Write rv.Input((features,)) as its first layer, or call "
            "it once."
        )
    keep: frozenset[str] = frozenset()
    while True:
        b = Builder(channels_first, keep)
        names = list(getattr(model, "input_names", None) or [f"x{i}" for i in range(len(types))])
        starts = [b.input(n, extents(t.shape), t.dtype) for n, t in zip(names, types, strict=True)]
        starts = starts or [b.input("x", (), "float32")]
        try:
            return _finished(b, model, starts, _title(model), outer=True)[0]
        except OrderError as error:
            keep |= {error.value.flattened}
        except UnsupportedError as error:
            raise TypeError(f"{model.name!r} cannot become a module of PyTorch: {error}.") from None


def input_types(model: Module) -> tuple[Type, ...]:
    """The types of the inputs of a model, or of a layer that was called once; none if they are not known."""
    if model._input_types:
        return model._input_types
    if model._input_type is not None:
        return (model._input_type,)
    shape: Any = model._built_shape if type(model)._builds else None
    alone = isinstance(shape, tuple) and all(n is None or isinstance(n, int) for n in shape)
    return (Type(shape, "float32"),) if alone else ()


def name_of(module: Module) -> str:
    """The registered name of a module's class."""
    return str(vars(type(module)).get("_registered") or type(module).__name__)


def _of_torch_alone(model: Module) -> bool:
    """Whether all layers are of PyTorch's vocabulary, whose rows need no shapes."""
    if type(model) is Sequential:
        return all(map(_of_torch_alone, model))
    return name_of(model).startswith(VOCABULARY)


def _title(model: Module) -> str:
    return class_name(model.name) if chosen(model) else "Network"


def _finished(b: Builder, model: Module, starts: Sequence[Value], title: str, outer: bool) -> tuple[Network, Any]:
    """A model called on values as a module of its own, and what it returns."""
    b.add = lambda layer, *values: _add_inner(b, layer, list(values), {})

    def settled(value: Value) -> Value:
        if not outer:
            return b.ordered(value)
        return b.moved(value) if b.channels_first and value.ndim > 3 else b.logical(value)

    if isinstance(model, TorchModel):
        whole, result = brought.part_of(b, model, list(starts))
        found = Network(whole.made, classes=dict(b.classes), inputs=len(starts), outputs=list(flatten(result, Value)))
        found.take(whole, "")
        return found, result
    result = map_structure(_add(b, model, starts, {}), Value, settled)
    found = Network(None, classes=dict(b.classes), inputs=len(starts), outputs=list(flatten(result, Value)))
    found.keys = list(result) if isinstance(result, dict) else []
    alone = type(model) is not Sequential and model._recorded is None  # a layer
    if (alone or type(model) is Sequential) and is_chain(b, result):
        calls: list[Any] = []
        if alone and len(b.steps) == 2:
            part, modules = b.steps[1].part, b.steps[1].alone
            found.made = modules[0] if part is None and modules is not None else part and part.made
            if part is not None:
                found.take(part, "")
            return found, result
        for step in b.steps[1:]:
            if step.part is not None:
                found.take(step.part, str(len(calls)))
            calls += list(step.alone or ()) if step.part is None else [step.part.made]
        found.made = Call("nn.Sequential", tuple(calls), long=True)
        return found, result
    names = member_names(b)
    for part in b.unique_parts():
        found.take(part, names[id(part)])
    found.weights |= {key: array(a) for key, (_, a) in b.held.items()}
    found.constants += [key for key, (kind, _) in b.held.items() if kind == "buffer"]
    text = class_text(title, b, names, result)
    rest = text.partition("\n")[2]
    known = next((name for name, other in found.classes.items() if other.partition("\n")[2] == rest), None)
    if known is None:
        known = class_name(title, {*found.classes, *LOCAL})
        found.classes[known] = text.replace(f"class {title}(", f"class {known}(", 1)
    found.made = Call(known)
    return found, result


# --- calls --------------------------------------------------------------------------------------------------------


def _add(b: Builder, module: Module, arguments: Any, options: dict[str, Any], shape: Any = None) -> Any:
    """Add a module called on values, to give ``shape``. Returns its value, or its values in their container."""
    values = list(flatten(arguments, Value))
    if type(module) is Sequential:
        x = values[0]
        for layer in module:
            x = x if getattr(layer, "is_input", False) else _add_inner(b, layer, [x], {})
        return x
    if module._recorded is not None:
        return _add_calls(b, module, values)
    name = name_of(module)
    if name in BLOCKS:
        return BLOCKS[name](b, module, values[0])
    row: Callable[..., Any] | None = LAYERS.get(name)
    if row is None and name.startswith(VOCABULARY):
        row = of_vocabulary
    if row is None:
        raise _refused(module, "has no counterpart. Files of ONNX, model.export(path), take any layer")
    given = {key: part for key, part in options.items() if part is not None and (key, part) != ("training", False)}
    taken = inspect.signature(row).parameters
    if name != "Operation" and not set(given) <= set(taken):
        raise _refused(module, f"is called with {', '.join(sorted(set(given) - set(taken)))}")
    if shape is None and all(v.shape for v in values):
        shapes = [v.shape for v in values]
        shape = module.compute_output_shape(shapes[0] if len(shapes) == 1 else shapes)
    b.enter(module)
    b.shape = extents(shape or ())
    before = len(b.unique_parts())
    try:
        found = row(b, module, *(arguments if name == "Operation" else values), **given)
    except UnsupportedError as error:
        raise _refused(module, str(error)) from None
    for part in b.unique_parts()[before : before + 1]:
        own = module._parameters.items()
        treated = [(WEIGHTS.get(key, key), getattr(p, "regularizer", None)) for key, p in own if p is not None]
        part.penalties += [(key, penalty) for key, penalty in treated if penalty is not None]
    return found


def _refused(module: Module, why: str) -> UnsupportedError:
    return UnsupportedError(f"layer {module.name!r} ({type(module).__name__}, made at {location(module._made)}): {why}")


def _add_inner(b: Builder, module: Module, arguments: Any, options: dict[str, Any], shape: Any = None) -> Any:
    """Add a layer of a model; one that is a model itself becomes a module of its own."""
    block = name_of(module) in BLOCKS
    if type(module) is not Sequential and module._recorded is None and not block:
        return _add(b, module, arguments, options, shape)
    values = [b.ordered(v) for v in flatten(arguments, Value)]
    known = b.inner.get(id(module))
    if known is None:
        inner = Builder(False, b.keep)
        inner.classes, inner.owners = dict(b.classes), b.owners
        if block:
            inner.names = {id(layer): name for name, layer in module._modules.items()}
        names = list(getattr(module, "input_names", None) or ["x"])
        starts = []
        for name, v in zip(names, values, strict=True):
            inner.input(name, v.shape, v.dtype)
            starts.append(Value(len(inner.steps) - 1, v.shape, v.dtype, v.first))
        title = class_name(type(module).__name__ if block else module.name, ("Network", "Heads"))
        found, result = _finished(inner, module, starts, title, outer=False)
        b.classes |= found.classes
        untrained = ("",) if not module._trainable else tuple(found.untrained)
        part = Part(
            module.name, found.made, found.weights, tuple(found.frozen), untrained, found.penalties, found.constants
        )
        known = b.inner[id(module)] = part, [v.first for v in values], result
    part, firsts, result = known
    values = [b.moved(v) if first else b.logical(v) for v, first in zip(values, firsts, strict=True)]
    b.enter(module)
    text = f"{{m}}({', '.join(f'{{{i}}}' for i in range(len(values)))})"
    if isinstance(result, Value):
        return b.called(part, values, text, result)
    whole = b.called(part, values, text, Value(0, ()))
    numbers = iter(range(len(list(flatten(result, Value)))))
    if isinstance(result, dict):
        return {key: b.item(whole, f'["{key}"]', v) for key, v in result.items()}
    return [b.item(whole, f"[{next(numbers)}]" if len(result) > 1 else "", v) for v in flatten(result, Value)]


def _add_calls(b: Builder, model: Module, inputs: Sequence[Value]) -> Any:
    recorded, layers = model._recorded, cast("list[Module]", model._recorded_layers())
    assert recorded is not None
    graph = model._symbolic_calls()
    values: list[list[Value]] = []
    for i, step in enumerate(recorded.steps):
        if i < len(inputs):
            values.append([inputs[i]])
            continue
        arguments, options = map_structure(
            (step.arguments, dict(step.options)), Ref, lambda ref: values[ref.step][ref.place]
        )
        shape = graph[i].values[0].shape
        found = list(flatten(_add_inner(b, layers[step.layer], arguments, options, shape), Value))
        values.append([b.typed(v, known) for v, known in zip(found, graph[i].values, strict=False)])
    return map_structure(recorded.outputs, Ref, lambda ref: values[ref.step][ref.place])


# --- PyTorch's vocabulary -----------------------------------------------------------------------------------------


def of_vocabulary(b: Builder, m: Any, *xs: Value) -> Value:
    """A module of PyTorch's vocabulary, which is made as it was here."""
    weights = {key: array(t) for key, t in m.state_dict().items()}
    text = f"{{m}}({', '.join(f'{{{i}}}' for i in range(len(xs)))})"
    return b.module(constructor(m), *map(b.logical, xs), weights=weights, key=m, text=text)


def constructor(m: Any) -> Call:
    """How a module of PyTorch's vocabulary is made: its arguments, without those that are defaults."""
    parameters = inspect.signature(type(m).__init__).parameters
    args, kwargs = m._arguments
    bound = inspect.signature(type(m).__init__).bind(m, *args, **kwargs).arguments
    positional, named = [], dict[str, Any]()
    for name, part in list(bound.items())[1:]:
        kind, default = parameters[name].kind, parameters[name].default
        if kind is inspect.Parameter.VAR_POSITIONAL:
            positional += list(map(_plain, part))
        elif kind is inspect.Parameter.VAR_KEYWORD:
            named |= {key: _plain(inner) for key, inner in part.items()}
        elif default is inspect.Parameter.empty:
            positional.append(_plain(part))
        elif name not in ("device", "dtype") and not _equal(part, default):
            named[name] = _plain(part)
    return Call(f"nn.{type(m).__name__}", tuple(positional), named)


def _equal(part: Any, default: Any) -> bool:
    return part is default or (type(part) is type(default) and bool(part == default))


def _plain(part: Any) -> Any:
    if isinstance(part, Module):
        return constructor(part)
    if isinstance(part, (list, tuple)):
        return type(part)(map(_plain, part))
    if callable(part):
        name = getattr(part, "__name__", "")
        if getattr(nn.functional, name, None) is part:
            return Code(f"F.{name}")
    if part is None or isinstance(part, (bool, int, float, str)):
        return part
    raise refuse(f"its argument {part!r} has no text")
