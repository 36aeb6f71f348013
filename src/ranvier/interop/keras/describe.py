"""A network as Keras's configuration of it: `ranvier.interop.keras.networks` reads it back."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from itertools import takewhile
from typing import Any, cast

import numpy as np

from ranvier import activations, layers
from ranvier.graph.node import BATCH, Type
from ranvier.graph.open_extents import OpenExtent
from ranvier.interop.keras.networks import RENAMED, TENSOR
from ranvier.interop.keras.values import SPACES, ConfigError, library_function
from ranvier.layers.operators import GetItem, Operation, compute_of
from ranvier.module import Module, Sequential
from ranvier.module.arguments import input_parameters, pack_inputs
from ranvier.module.recorded_calls import Ref
from ranvier.module.serialization import all_arguments, arguments_of
from ranvier.support.custom_objects import file_name, find, name_of
from ranvier.support.serialized import deserialize_keras_object, serialize_keras_object
from ranvier.support.source_lines import location
from ranvier.support.tree import flatten, map_structure
from ranvier.tensor.function import same_function
from ranvier.tensor.tensor import Tensor, numbers_of

FUNCTIONAL = "keras.src.models.functional"
OURS = ("input_shape", "input_dim", "dtype")  # arguments that Keras's files write in other places
SETTINGS = ("_initializer", "_regularizer", "_constraint")
WITHOUT_FORMAT = ("Cropping1D", "SpatialDropout1D", "UpSampling1D")
# Layers that Keras lacks, and Wrapper, which only classes that derive from it can build there.
UNKNOWN = (
    "BytePairEncoding", "InstanceNormalization", "MFCC", "PositionEmbedding", "RandomNoise", "RandomShift",
    "RotaryEmbedding", "SinePositionEncoding", "SpecAugment", "Wrapper",
)  # fmt: skip
# Arguments that Keras lacks, with what it does instead; and values that it lacks of others.
LACKING: dict[str, dict[str, Any]] = {
    "CutMix": {"alpha": 1.0}, "MelSpectrogram": {"mel_scale": "keras", "mel_norm": None},
}  # fmt: skip
NEVER: dict[str, dict[str, Any]] = {"MelSpectrogram": {"top_db": None}}
# The modules of Keras's operations; all others are in that of NumPy's names.
MODULES = {
    "nn": "relu relu6 sigmoid sparse_sigmoid softplus softsign soft_shrink sparse_plus silu squareplus log_sigmoid "
    "leaky_relu hard_sigmoid hard_silu elu selu gelu celu glu tanh_shrink hard_tanh hard_shrink threshold softmax "
    "log_softmax sparsemax one_hot normalize depth_to_space space_to_depth",
    "math": "top_k logsumexp rsqrt erf erfc erfinv logdet",
    "core": "stop_gradient cast unstack",
}
PLACES = {name: place for place, names in MODULES.items() for name in names.split()}
TITLES = {"log1p": "Log1p", "top_k": "TopK"}
# The arguments of operations that are tensors, which Keras gives to calls; all others are the operation's own.
OPERANDS = frozenset((
    "x", "x1", "x2", "xs", "y", "a", "array", "condition", "q", "weights", "indices", "variable", "constant_values",
))  # fmt: skip


def network(model: Module) -> dict[str, Any]:
    """The configuration of a model. Raises ConfigError naming a layer that Keras lacks."""
    if isinstance(model, Sequential) and type(model) is Sequential:
        return _sequential(model)
    if model._recorded is not None and not model._own_arguments:
        return _functional(model)
    return _layer(model)


def _refuse(layer: Module, why: str) -> ConfigError:
    return ConfigError(f"layer {layer.name!r} ({type(layer).__name__}, made at {location(layer._made)}) {why}")


def _words(place: str | None, title: str, config: Mapping[str, Any], registered: str | None = None) -> dict[str, Any]:
    return {"module": place, "class_name": title, "config": dict(config), "registered_name": registered}


def _sequential(model: Sequential) -> dict[str, Any]:
    parts = [network(layer) for layer in model]
    texts = next(iter(model._text_layers()), None)
    if model._input_type is not None and not (parts and parts[0]["class_name"] == "InputLayer"):
        # A vectorizer takes one text a sample, and the program what that becomes.
        alone = texts is not None and texts.codes_type(None) is not None
        type_ = Type((BATCH, 1), "int32") if alone else model._input_type
        parts.insert(0, _input(f"{model.name}_input", type_, model._batch, texts is not None))
    return _words("keras", "Sequential", {**_base(model), "layers": parts})


def _input(name: str, type_: Any, batch: int | None = None, texts: bool = False) -> dict[str, Any]:
    shape = _open_shape(type_, batch)
    dtype = "string" if texts else type_.dtype
    return _words("keras.layers", "InputLayer", {"batch_shape": shape, "dtype": dtype, "name": name})


def _open_shape(type_: Type, batch: int | None) -> list[Any]:
    return [batch, *(None if isinstance(n, OpenExtent) else n for n in type_.shape[1:])]


def _base(layer: Module) -> dict[str, Any]:
    return {"name": layer.name, "trainable": layer._trainable}


def _layer(layer: Module) -> dict[str, Any]:
    """A layer by its class and the arguments that its constructor was given."""
    if getattr(layer, "is_input", False):
        return _input(layer.name, layer._input_type, getattr(layer, "_batch", None), getattr(layer, "of_texts", False))
    registered = vars(type(layer)).get("_registered")
    own = not type(layer).__module__.startswith("ranvier.")
    if own:
        config = {key: _value(layer, part) for key, part in layer.get_config().items()}
        title = type(layer).__name__
        if not layer._trainable:
            config["trainable"] = False
        words = _words(type(layer).__module__, title, config, registered or title)
        return {**words, "name": layer.name, **_built(layer)}
    if type(layer).__name__ not in layers.__all__ or type(layer).__name__ in UNKNOWN:
        raise _refuse(
            layer, "is none of Keras's. Write layers of rv.layers, or a name that ends with .ranvier, instead"
        )
    return _words("keras.layers", type(layer).__name__, {"name": layer.name, **_config(layer)})


def _built(layer: Any) -> dict[str, Any]:
    """The shapes for which a layer of the user's made its weights, as Keras has them, and the dtypes of its inputs."""
    if hasattr(layer, "get_build_config"):
        return {"build_config": layer.get_build_config()}
    types: Any = layer._input_types or (layer._input_type,)
    names, shapes = [f"{name}_shape" for name in input_parameters(layer)[0]], cast("Any", ())
    if type(layer)._builds and layer.built:
        found = map_structure(layer._built_shape, tuple, lambda shape: [None, *shape[1:]])
        names, shapes = list(inspect.signature(layer.build).parameters), found if layer._shapes > 1 else [found]
        types = ()
    elif types[0] is not None:
        shapes = pack_inputs([_open_shape(type_, None) for type_ in types], layer._input_container)
    else:
        return {}
    words = {"input_shape": shapes[0]} if len(shapes) == 1 else {"shapes_dict": dict(zip(names, shapes, strict=False))}
    return {"build_config": words, "input_dtypes": [type_.dtype for type_ in types]}


def _config(layer: Module) -> dict[str, Any]:
    """The arguments of a layer: those that it was given, and defaults."""
    title, given = type(layer).__name__, arguments_of(layer)
    config = {}
    lacking = LACKING.get(title, {})
    for key, part in all_arguments(layer).items():
        if (key in lacking and part != lacking[key]) or NEVER.get(title, {}).get(key, ...) is part:
            raise _refuse(layer, f"has {key}={part!r}, which Keras lacks. Write a name that ends with .ranvier instead")
        if key in lacking:
            continue
        if key not in OURS and (part is not None or key in given):
            # What is written in short, such as 1.5 for an initializer, is resolved there.
            config[key] = _value(layer, getattr(layer, key, part) if key.endswith(SETTINGS) else part)
    if title in ("Embedding", "ReversibleEmbedding"):
        config["input_dim"] = layer.input_dim
    if layer._floats is not None:
        config["dtype"] = layer._floats
    if not layer._trainable and next(layer.parameters(), None) is not None:
        config["trainable"] = False
    if hasattr(layer, "data_format") and title not in WITHOUT_FORMAT:
        config.setdefault("data_format", "channels_last")
    for key in ("padding", "cropping"):  # of one dimension, a pair
        if title.endswith("1D") and isinstance(config.get(key), list) and len(config[key]) == 1:
            (config[key],) = config[key]
    return config


def _value(layer: Module, part: Any) -> Any:
    """An argument of a layer as plain values."""
    if part is None or isinstance(part, (bool, int, float, str)):
        return part
    if isinstance(part, np.generic):
        return part.item()
    if isinstance(part, np.ndarray):
        return part.tolist()
    if isinstance(part, Module):
        return network(part)
    if isinstance(part, (list, tuple)):
        return [_value(layer, inner) for inner in part]
    if isinstance(part, Mapping):
        if str(part.get("module")).startswith("ranvier.") and "class_name" in part:  # by serialize_keras_object
            return _value(layer, deserialize_keras_object(part))
        return {key: _value(layer, inner) for key, inner in part.items()}
    for name, known in activations.REGISTRY.names.items():
        if same_function(known, part):
            return name
    for space in ("initializers", "regularizers", "constraints"):
        registry = SPACES[space].REGISTRY
        if registry.known(part):
            config = {key: _value(layer, inner) for key, inner in part.config().items()}
            return _words(f"keras.{space}", type(part).__name__, config)
    own = file_name(part)
    if own is not None:
        if find(own) is None and library_function(own) is not None:
            raise _refuse(layer, f"has the function {part!r}, and {own!r} is the library's. Write another name")
        return _words("builtins", "function", {}, own) | {"config": own}
    if hasattr(part, "get_config") and not isinstance(part, type):
        config = {key: _value(layer, inner) for key, inner in part.get_config().items()}
        kind = type(part)
        return _words(kind.__module__, kind.__name__, config, name_of(kind) or kind.__name__)
    raise _refuse(
        layer,
        f"has the argument {part!r}, which no file of Keras holds. Write a function with a name, or a class with a "
        "get_config, instead",
    )


# --- functional models --------------------------------------------------------------------------------------------


def _functional(model: Module) -> dict[str, Any]:
    recorded, parts = model._recorded, cast("list[Module]", model._recorded_layers())
    assert recorded is not None
    graph = model._symbolic_calls()
    counts = [0] * len(parts)
    numbers = []  # of each step among the calls of its layer
    for step in recorded.steps:
        numbers.append(counts[step.layer])
        counts[step.layer] += 1
    nodes: list[list[Any]] = [[] for _ in parts]
    described: list[Any] = [None] * len(parts)

    def place(ref: Ref) -> list[Any]:
        return [parts[recorded.steps[ref.step].layer].name, numbers[ref.step], ref.place]

    def end(ref: Ref) -> list[Any]:
        name, number, output = place(ref)  # Keras counts the calls of models from 1 where it names outputs
        return [name, number + (parts[recorded.steps[ref.step].layer]._recorded is not None), output]

    def argument(layer: Module, tree: Any) -> Any:
        if isinstance(tree, Ref):
            value = graph[tree.step].values[tree.place]
            config = {"shape": list(value.shape), "dtype": value.dtype, "keras_history": place(tree)}
            return {"class_name": TENSOR, "config": config}
        if isinstance(tree, slice):
            return {"class_name": "__slice__", "config": {"start": tree.start, "stop": tree.stop, "step": tree.step}}
        if tree is ...:
            return {"class_name": "__ellipsis__", "config": {}}
        if isinstance(tree, (list, tuple)):
            return [argument(layer, inner) for inner in tree]
        if isinstance(tree, Mapping):
            return {key: argument(layer, inner) for key, inner in tree.items()}
        if isinstance(tree, (Tensor, np.ndarray)):
            return serialize_keras_object(numbers_of(tree))  # a list would be several arguments
        return _value(layer, tree)

    for i, step in enumerate(recorded.steps):
        layer = parts[step.layer]
        words, given, options = _call(layer, step.arguments, step.options)
        if described[step.layer] not in (None, words):
            raise _refuse(layer, "is called with different options, which Keras has as one operation each")
        described[step.layer] = words
        if i >= len(model.input_names):
            several = layer._recorded is not None and len(given) > 1
            args = [argument(layer, list(given))] if several else argument(layer, list(given))
            nodes[step.layer].append({"args": args, "kwargs": argument(layer, options)})
    config = {
        **_base(model),
        "layers": [
            {**words, "name": layer.name, "inbound_nodes": calls}
            for layer, words, calls in zip(parts, described, nodes, strict=True)
        ],
        "input_layers": _places(recorded.inputs, place),
        "output_layers": _places(recorded.outputs, end),
    }
    return _words(FUNCTIONAL, "Functional", config, "Functional")


def _places(tree: Any, place: Any) -> Any:
    if isinstance(tree, Ref):
        return place(tree)
    if isinstance(tree, (list, tuple)):
        return [_places(inner, place) for inner in tree]
    return {key: _places(inner, place) for key, inner in tree.items()}


def _call(
    layer: Module, arguments: tuple[Any, ...], options: Mapping[str, Any]
) -> tuple[Any, tuple[Any, ...], Mapping[str, Any]]:
    """The description of a layer that is called, and the arguments of the call; of an operation its own are apart."""
    if isinstance(layer, GetItem):
        return _words("keras.src.ops.numpy", "GetItem", {"name": layer.name}), (*arguments, list(layer.index)), {}
    if not isinstance(layer, Operation):
        return network(layer), arguments, options
    function: Any = compute_of(layer.operation)
    taken = inspect.signature(function).parameters
    bound = inspect.signature(function).bind(*arguments, **options).arguments
    for name, parameter in taken.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            bound.update(bound.pop(name, {}))
    operands = {
        name: part for name, part in bound.items() if name in OPERANDS or next(flatten(part, Ref), None) is not None
    }
    own = {name: _value(layer, part) for name, part in bound.items() if name not in operands}
    name = {new: old for old, new in RENAMED.items()}.get(layer.operation, layer.operation)
    title = TITLES.get(name) or "".join(part.capitalize() for part in name.split("_"))
    place = f"keras.src.ops.{PLACES.get(name, 'numpy')}"
    first = list(takewhile(operands.__contains__, taken))  # an operand behind one that is not there needs its name
    rest = {name: part for name, part in operands.items() if name not in first}
    return _words(place, title, {"name": layer.name, **own}, title), tuple(operands[name] for name in first), rest
