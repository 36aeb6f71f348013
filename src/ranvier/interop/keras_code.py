"""Models as programs in Keras's vocabulary: of Keras, or of this library."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, cast

import numpy as np

from ranvier import activations, constraints, initializers, layers, losses, metrics, optimizers, regularizers
from ranvier.interop.foreign import UnsupportedError
from ranvier.interop.keras.describe import UNKNOWN
from ranvier.interop.program_text import Call, Code, Rows, call, flat, identifier, statement
from ranvier.interop.torch.builder import chosen, plain_name
from ranvier.interop.torch.networks import name_of
from ranvier.interop.torch.vocabulary import NETWORKS
from ranvier.layers.operators import GetItem, Operation
from ranvier.module import Module, Sequential
from ranvier.module.recorded_calls import Ref
from ranvier.module.serialization import POSITIONAL, all_arguments
from ranvier.optimizers import schedules
from ranvier.support.errors import snake_case
from ranvier.support.source_lines import location
from ranvier.support.tree import flatten, map_structure
from ranvier.tensor.function import same_function
from ranvier.training.step.compiled import Compiled

HEADS = {
    "keras": "import keras\nfrom keras import layers",
    "ranvier": "import ranvier as rv\nfrom ranvier import layers",
}
NAMES = {"keras": "keras", "ranvier": "rv"}
LEFT_OUT = ("dtype", "input_shape", "input_dim", "weights")
# Objects that arguments may be, by the modules that hold their classes.
SPACES = {
    "initializers": initializers, "regularizers": regularizers, "constraints": constraints, "losses": losses,
    "metrics": metrics, "optimizers": optimizers,
}  # fmt: skip
SYMBOLS = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "true_divide": "/", "power": "**", "matmul": "@",
    "floor_divide": "//", "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=",
}  # fmt: skip
OURS = (
    "coupled",
    "maximize",
    "formula",
    "dampening",
    "lr_decay",
    "momentum_decay",
    "name",
)  # of optimizers, here alone


def keras_program(model: Module, library: str) -> str:
    """The program of a model. Raises UnsupportedError naming a layer that the library lacks."""
    writer = _Writer(library, Counter(_uses(model, set())))
    made = writer.model(model)
    if not isinstance(made, Code):
        writer.lines.append(statement("model = ", made))
    elif made.text != "model":
        writer.lines.append(f"model = {made.text}")
    writer.lines += compiled(model, library)
    text = "\n".join(writer.lines)
    head = HEADS[library]
    if "layers." not in text.replace(f"{NAMES[library]}.layers.", ""):
        head = head.partition("\n")[0]
    return f"{head}\n\n{text}\n"


def _uses(model: Module, seen: set[int]) -> Iterator[int]:
    """The layers of a model and of those in it, by identity, each as often as it is used."""
    if id(model) in seen:
        return
    seen.add(id(model))
    if type(model) is Sequential:
        layers_ = list(model)
    elif model._recorded is not None:
        parts = cast("list[Module]", model._recorded_layers())
        layers_ = [parts[step.layer] for step in model._recorded.steps]
    else:
        return
    for layer in layers_:
        yield id(layer)
        yield from _uses(layer, seen)


class _Writer:
    """Writes layers as expressions, and functional models as lines before them."""

    def __init__(self, library: str, uses: Mapping[int, int]) -> None:
        self.library, self.prefix = library, NAMES[library]
        self.uses = uses  # of layers, by identity: those of several are variables
        self.lines: list[str] = []
        self.taken = {"layers", self.prefix, "model"}
        self.known: dict[int, Code] = {}  # the variables of models and shared layers, by identity

    def model(self, model: Module, title: str = "model") -> Any:
        """A model as an expression; what it needs is in the lines."""
        if id(model) in self.known:
            return self.known[id(model)]
        if type(model) is Sequential:
            return self._sequential(model)
        if model._recorded is not None and not model._own_arguments:
            return self._functional(model, title)
        return self._layer(model)

    def _refused(self, layer: Module, why: str) -> UnsupportedError:
        place = location(layer._made)
        return UnsupportedError(f"layer {layer.name!r} ({type(layer).__name__}, made at {place}) {why}")

    # --- layers -------------------------------------------------------------------------------------------------

    def _layer(self, layer: Module) -> Call:
        title = type(layer).__name__
        if getattr(layer, "is_input", False):
            return self._input(layer)
        block = name_of(layer).startswith(NETWORKS)
        if not block and (title not in layers.__all__ or not type(layer).__module__.startswith("ranvier.")):
            raise self._refused(layer, "is of a class of yours, or of another library")
        if self.library == "keras" and (block or title in UNKNOWN):
            raise self._refused(layer, "is none of Keras's")
        parameters = inspect.signature(type(layer).__init__).parameters
        positional, named = [], dict[str, Any]()
        for key, part in all_arguments(layer).items():
            if key == POSITIONAL:
                positional += [self.argument(layer, inner) for inner in part]
                continue
            known = parameters.get(key)
            if key in ("name", *LEFT_OUT) and (known is None or known.default is not inspect.Parameter.empty):
                continue
            if known is not None and known.default is inspect.Parameter.empty:
                positional.append(self.argument(layer, part))
            elif known is None:
                if part is not None and (key, part) != ("trainable", True):
                    named[key] = self.argument(layer, part)
            elif not _same(part, known.default) or (title.startswith("Av") and key == "pool_size"):
                named[key] = self.argument(layer, part)  # Keras's pooling of means has no default size
        if not layer._trainable and next(layer.parameters(), None) is not None:
            named["trainable"] = False
        if chosen(layer):
            named["name"] = layer.name
        return Call(f"{self.prefix}.models.{title}" if block else f"layers.{title}", tuple(positional), named)

    def _input(self, layer: Any) -> Call:
        type_ = layer._input_type
        shape = tuple(n if isinstance(n, int) else None for n in type_.shape[1:])
        dtype = "string" if getattr(layer, "of_texts", False) else type_.dtype
        return call(
            f"{self.prefix}.Input", shape, dtype=None if dtype == "float32" else dtype,
            name=layer.name if chosen(layer) else None,
        )  # fmt: skip

    def argument(self, layer: Module, part: Any) -> Any:
        """An argument of a layer as an expression."""
        if part is None or part is ... or isinstance(part, (bool, int, float, str, np.generic)):
            return part
        if isinstance(part, np.ndarray):
            return part.tolist()
        if isinstance(part, Module):
            return self.model(part, identifier(plain_name(part), self.taken))
        if isinstance(part, (list, tuple)):
            return type(part)(self.argument(layer, inner) for inner in part)
        if isinstance(part, slice):
            return call("slice", part.start, part.stop, part.step)
        if isinstance(part, Mapping):
            return {key: self.argument(layer, inner) for key, inner in part.items()}
        name = next((n for n, known in activations.REGISTRY.names.items() if same_function(known, part)), None)
        if name is not None:
            return name
        for space in ("initializers", "regularizers", "constraints"):
            if SPACES[space].REGISTRY.known(part):
                return described(SPACES[space].REGISTRY.describe(part), space, self.prefix)
        raise self._refused(layer, f"has the argument {part!r}, which has no text")

    # --- models -------------------------------------------------------------------------------------------------

    def _sequential(self, model: Sequential) -> Call:
        parts: list[Any] = [self._variable(layer) for layer in model]
        type_ = model._input_type
        if type_ is not None and not (len(model) and getattr(model[0], "is_input", False)):
            texts = next(iter(model._text_layers()), None)
            shape = tuple(n if isinstance(n, int) else None for n in type_.shape[1:])
            if texts is None:
                dtype = None if type_.dtype == "float32" else type_.dtype
                parts.insert(0, call(f"{self.prefix}.Input", shape, dtype=dtype))
            else:
                parts.insert(0, call(f"{self.prefix}.Input", (1,), dtype="string"))
        name = model.name if chosen(model) else None
        return call(f"{self.prefix}.Sequential", Rows(tuple(parts)), name=name)

    def _variable(self, layer: Module, others: Collection[str] = ()) -> Any:
        """A layer as an expression; one that is used again as a variable, which is written before."""
        name = identifier(plain_name(layer), self.taken.union(others))
        made = self.model(layer, name)
        if self.uses[id(layer)] > 1 and not isinstance(made, Code):
            self.lines.append(statement(f"{name} = ", made))
            self.taken.add(name)
            made = self.known[id(layer)] = Code(name)
        return made

    def _before(self, model: Module) -> None:
        """Write a model that others hold as a variable."""
        title = identifier(plain_name(model), self.taken)
        made = self.model(model, title)
        if not isinstance(made, Code):
            self.lines.append(statement(f"{title} = ", made))
            self.known[id(model)] = Code(title)
            self.taken.add(title)

    def _functional(self, model: Module, title: str) -> Code:
        recorded, parts = model._recorded, cast("list[Module]", model._recorded_layers())
        assert recorded is not None
        for layer in parts:  # models come before the lines of this one, which may have variables of the same names
            for inner in reversed(list(layer.modules())):
                if inner._recorded is not None or (inner is layer and type(layer) is Sequential):
                    self._before(inner)
        count = len(model.input_names)
        last = {ref.step: i for i, step in enumerate(recorded.steps) for ref in _refs((step.arguments, step.options))}
        last |= {ref.step: len(recorded.steps) for ref in _refs((recorded.inputs, recorded.outputs))}
        variables: list[str] = []
        several = [len(one.values) > 1 for one in model._symbolic_calls()]  # whether a call gives several values
        outer = frozenset(self.taken)
        for i, step in enumerate(recorded.steps):
            layer = parts[step.layer]
            live = {variables[j] for j in range(i) if last.get(j, -1) > i}
            if i < count:
                name = "inputs" if count == 1 else identifier(plain_name(layer), self.taken | live)
                variables.append(identifier(name, self.taken | live))
                self.lines.append(statement(f"{variables[i]} = ", self._input(layer)))
                continue
            mine = [variables[r.step] for r in _refs((step.arguments, step.options)) if r.step >= count]
            free = [v for v in (*mine, "x", "y", "z") if v not in live | self.taken]
            expression, end = self._called(layer, step, variables, several)
            variables.append(free[0] if free else identifier(plain_name(layer), live | self.taken))
            self.lines.append(statement(f"{variables[i]} = ", expression, end=end))
        ends = [
            map_structure(t, Ref, lambda r: Code(_place(variables, several, r)))
            for t in (recorded.inputs, recorded.outputs)
        ]
        made = call(f"{self.prefix}.Model", *ends, name=model.name if chosen(model) else None)
        self.lines.append(statement(f"{title} = ", made))
        self.taken = {*outer, title, *(code.text for code in self.known.values())}
        self.known[id(model)] = Code(title)
        return Code(title)

    def _called(self, layer: Module, step: Any, variables: Sequence[str], several: Sequence[bool]) -> tuple[Any, str]:
        """The call of a layer: an expression and what follows it."""
        arguments, options = map_structure(
            (step.arguments, dict(step.options)), Ref, lambda ref: Code(_place(variables, several, ref))
        )
        options = {k: v for k, v in options.items() if v is not None}
        if isinstance(layer, GetItem):
            index = ", ".join(_index(item) for item in layer.index)
            return Code(f"{flat(arguments[0])}[{index}]"), ""
        if isinstance(layer, Operation):
            if layer.operation in SYMBOLS and len(arguments) == 2 and not options:
                one, other = map(flat, arguments)
                return Code(f"{one} {SYMBOLS[layer.operation]} {other}"), ""
            return Call(f"{self.prefix}.ops.{layer.operation}", tuple(arguments), options), ""
        made = self._variable(layer, set(variables))
        if isinstance(made, Code):
            return Call(made.text, tuple(arguments), options), ""
        return made, flat(Call("", tuple(arguments), options))


def _refs(tree: Any) -> list[Ref]:
    return list(flatten(tree, Ref))


def _place(variables: Sequence[str], several: Sequence[bool], ref: Ref) -> str:
    return f"{variables[ref.step]}[{ref.place}]" if several[ref.step] else variables[ref.step]


def _index(item: Any) -> str:
    if isinstance(item, slice):
        parts = [item.start, item.stop] + ([] if item.step in (None, 1) else [item.step])
        return ":".join("" if part is None else str(part) for part in parts)
    return "..." if item is ... else str(item)


def _same(part: Any, default: Any) -> bool:
    return part is default or (type(part) is type(default) and bool(np.all(part == default)))


# --- compile ------------------------------------------------------------------------------------------------------


def compiled(model: Module, library: str) -> list[str]:
    """The call of ``compile``, of a model that was compiled."""
    state = model.__dict__.get("_compiled")
    if not isinstance(state, Compiled):
        return []
    try:
        settings = state.settings()
    except ValueError as error:
        raise UnsupportedError(f"{error} has no text") from None
    prefix = NAMES[library]
    optimizer = settings["optimizer"]
    if library == "keras":
        known = {f.name: f.default for f in fields(getattr(optimizers, optimizer["class_name"]))}
        changed = [k for k in OURS[:-1] if k in known and optimizer["config"].get(k) != known[k]]
        if changed:
            raise UnsupportedError(f"its optimizer has {', '.join(changed)}, which Keras's have not")
    options = {
        "optimizer": described(optimizer, "optimizers", prefix),
        "loss": _each(settings["loss"], "losses", prefix),
        "loss_weights": _whole(settings["loss_weights"], getattr(model, "output_names", ())),
        "metrics": _each(settings["metrics"], "metrics", prefix),
        "weighted_metrics": _each(settings["weighted_metrics"], "metrics", prefix),
    }
    return [statement("model.compile", call("", **options))]


def _whole(weights: Any, names: Sequence[str]) -> Any:
    """Weights of all outputs, which Keras wants where it has those of one."""
    return {name: weights.get(name, 1.0) for name in names} if isinstance(weights, Mapping) and names else weights


def _each(words: Any, space: str, prefix: str) -> Any:
    if isinstance(words, Mapping) and set(words) != {"class_name", "config"}:
        return {key: _each(part, space, prefix) for key, part in words.items()}
    if isinstance(words, (list, tuple)):
        return [_each(part, space, prefix) for part in words]
    return words if words is None or isinstance(words, str) else described(words, space, prefix)


def described(words: Mapping[str, Any], space: str, prefix: str) -> Any:
    """An object by its class and its arguments: its name where all are defaults, and else a call."""
    title, config = words["class_name"], dict(words["config"] or {})
    if title.startswith("torch."):
        if prefix == "keras":
            raise UnsupportedError(f"its loss {title} is PyTorch's")
        return _call(f"rv.torch.nn.{title.removeprefix('torch.')}", getattr(losses, title, None), config, space, prefix)
    kind = getattr(schedules if space == "schedules" else SPACES[space], title)
    place = "optimizers.schedules" if space == "schedules" else space
    made = _call(f"{prefix}.{place}.{title}", kind, config, space, prefix)
    if space != "schedules" and not made.arguments and not made.options:
        return title.lower() if space == "optimizers" else snake_case(title)
    return made


def _call(name: str, kind: Any, config: dict[str, Any], space: str, prefix: str) -> Call:
    defaults = _defaults(kind)
    options = dict[str, Any]()
    for key, part in config.items():
        if key == "name" or (key in OURS and space == "optimizers" and part == defaults.get(key)):
            continue
        if isinstance(part, Mapping) and set(part) == {"class_name", "config"}:
            options[key] = described(part, "schedules", prefix)
        elif key not in defaults or not _same(part, defaults[key]):
            options[key] = part
    return Call(name, (), options)


def _defaults(kind: Any) -> dict[str, Any]:
    if kind is None:
        return {"reduction": "mean", "ignore_index": -100, "label_smoothing": 0.0}
    if is_dataclass(kind):
        return {f.name: f.default for f in fields(kind)}
    return {n: p.default for n, p in inspect.signature(kind).parameters.items() if p.default is not p.empty}
