"""A network from Keras's configuration of it: layers by name, and the calls of a functional model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ranvier.data.convert import Array
from ranvier.graph.node import BATCH, Type
from ranvier.graph.open_extents import opened
from ranvier.interop.keras import values
from ranvier.interop.keras.values import ConfigError
from ranvier.interop.keras.weights import numbered
from ranvier.layers.core import Input
from ranvier.layers.operators import GetItem, Operation
from ranvier.layers.shaping import Lambda
from ranvier.module import Functional, Module, Sequential
from ranvier.module.arguments import container_type
from ranvier.module.symbolic import Operators
from ranvier.support.custom_objects import in_scope
from ranvier.support.errors import snake_case
from ranvier.support.tree import flatten
from ranvier.tensor.context import get_dtype

DEEPEST = 32  # nested models
MOST_LAYERS = 100_000
OPERATIONS = ("keras.src.ops.", "keras.ops")
# Keras's operations that have another name here.
RENAMED = {"true_divide": "divide", "mod": "remainder"}
TENSOR = "__keras_tensor__"
MODELS = ("Sequential", "Functional", "Model")


class _Shared:
    """What all models of one file share: the layers that several hold, by the numbers that the file has for them; and
    by path the vocabularies and their weights that are apart from the configuration.
    """

    def __init__(self, assets: Mapping[str, bytes], arrays: Mapping[str, Array]) -> None:
        self.assets, self.arrays = assets, arrays
        self.layers: dict[Any, Module] = {}
        self.made = 0

    def add(self, words: Mapping[str, Any], layer: Module) -> Module:
        self.made += 1
        if self.made > MOST_LAYERS:
            raise ConfigError(f"it has more than {MOST_LAYERS:,} layers")
        number = words.get("shared_object_id")
        if isinstance(number, int):
            self.layers[number] = layer
        return layer

    def vocabulary(self, path: str, title: str, config: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a layer that looks up, where the file has them apart."""
        text = self.assets.get(f"{path}vocabulary.txt")
        if text is None or config.get("vocabulary") is not None:
            return {}
        tokens: list[Any] = text.decode("utf-8").splitlines()
        while tokens and not tokens[-1]:
            tokens.pop()
        weights = self.arrays.get(f"{path}vars/idf_weights")
        found = {"vocabulary": list(map(int, tokens)) if title == "IntegerLookup" else tokens}
        return found if weights is None else {**found, "idf_weights": weights.tolist()}


def network(words: Mapping[str, Any], assets: Mapping[str, bytes], arrays: Mapping[str, Array]) -> Module:
    """The model of a configuration. Raises ConfigError naming the layer that cannot be brought over."""
    return _layer(words, _Shared(assets, arrays), 0)


def _layer(words: Any, shared: _Shared, depth: int, path: str = "") -> Module:
    if depth > DEEPEST:
        raise ConfigError(f"models are nested more than {DEEPEST} deep")
    if not isinstance(words, Mapping) or not isinstance(words.get("class_name"), str):
        raise ConfigError("a layer has no class_name")
    number = words.get("shared_object_id")
    if isinstance(number, int) and number in shared.layers and words["class_name"] != "InputLayer":
        return shared.layers[number]
    title, config = words["class_name"], words.get("config")
    name = words.get("name", config.get("name") if isinstance(config, Mapping) else None)
    try:
        return shared.add(words, _made(words, title, config, shared, depth, path))
    except ConfigError as error:
        if getattr(error, "named", False) or not depth:
            raise
        named = ConfigError(f"layer {name!r}: {error}")
        named.named = True  # type: ignore[attr-defined]  # the innermost layer is the one to name
        raise named from None


def _made(words: Mapping[str, Any], title: str, config: Any, shared: _Shared, depth: int, path: str) -> Module:
    if isinstance(config, list):  # of a Sequential of early versions
        config = {"layers": config}
    if not isinstance(config, Mapping):
        raise ConfigError("it has no configuration")
    own = values.own(str(words.get("registered_name") or title))
    if own is None and title == "Sequential":
        return _sequential(config, shared, depth, path)
    if own is None and title in ("Functional", "Model") and "output_layers" in config:
        return _functional(config, shared, depth, path)
    if str(words.get("module", "")).startswith(OPERATIONS):
        return _operation(title, config)
    if own is None and title == "Lambda":
        return _lambda(config)
    layer = values.made(
        {
            **words,
            "config": _with_models(_plain(title, config), shared, depth) | shared.vocabulary(path, title, config),
        },
        Input if title == "InputLayer" else values.class_named(words),
    )
    if not isinstance(layer, Module):
        raise ConfigError(f"{title} is no layer")
    if own is not None and isinstance(words.get("name"), str):
        layer.name = words["name"]
    if config.get("trainable") is False:
        layer.trainable = False
    built = words.get("build_config")
    if own is not None and isinstance(built, Mapping) and not layer.built:
        _build(layer, built, words.get("input_dtypes"), not depth)
    return layer


def _with_models(tree: Any, shared: _Shared, depth: int) -> Any:
    """A configuration with the models in it made, such as a Sequential that a wrapper calls on each step."""
    if isinstance(tree, list):
        return [_with_models(part, shared, depth) for part in tree]
    if not isinstance(tree, Mapping):
        return tree
    if tree.get("class_name") in MODELS and isinstance(tree.get("config"), (Mapping, list)):
        return _layer(tree, shared, depth + 1)
    return {key: _with_models(part, shared, depth) for key, part in tree.items()}


def _build(layer: Any, built: Mapping[str, Any], dtypes: Any, outermost: bool) -> None:
    """Make the weights of a layer of the user's, by its own methods or by a call on inputs of the file's shapes."""
    by_name = "shapes_dict" in built
    shapes = _shapes(built["shapes_dict"] if by_name else built.get("input_shape"))
    if hasattr(layer, "build_from_config"):
        layer.build_from_config(dict(built))
    elif type(layer)._builds:
        layer.build(**shapes) if by_name else layer.build(shapes)
    leaves = [shapes] if isinstance(shapes, tuple) else list(shapes.values() if isinstance(shapes, Mapping) else shapes)
    if not outermost or not all(leaves) or all(module.built for module in layer.modules()):
        return
    given = zip(leaves, dtypes or [get_dtype()] * len(leaves), strict=True)
    types = [Type((BATCH, *map(opened, shape[1:])), dtype) for shape, dtype in given]
    texts = [] if dtypes else [text for module in layer.modules() for text in module._text_layers()]
    if texts:
        types = [texts[0].codes_type(Type(type_.shape, "int32")) for type_ in types]
    alone = isinstance(shapes, tuple)
    layer._input_type, layer._input_types = types[0], () if alone else tuple(types)
    layer._input_container = None if by_name or alone else container_type(shapes)
    layer._trace()


def _shapes(words: Any) -> Any:
    """The shape of an input, or those of several in the container that holds them; none for None."""
    if isinstance(words, Mapping):
        return {str(key): _shapes(part) for key, part in words.items()}
    if words and all(part is None or isinstance(part, (list, Mapping)) for part in words) and any(words):
        return [_shapes(part) for part in words]
    return tuple(words or ())


def _plain(title: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a layer, without the shape that its constructor's users write, and with its dtype alone."""
    kept = dict(config)
    shape = kept.pop("batch_input_shape", None)
    if shape is not None and title == "InputLayer":
        kept["batch_shape"] = shape
    elif shape is not None:
        kept["input_shape"] = shape[1:]
    if title == "BatchNormalization" and isinstance(kept.get("axis"), list) and len(kept["axis"]) == 1:
        (kept["axis"],) = kept["axis"]  # before Keras 3
    for key in ("layer", "backward_layer") if title == "Bidirectional" else ():
        inner = kept.get(key)
        if isinstance(inner, Mapping) and isinstance(inner.get("config"), Mapping):  # as both do within it anyway
            own = {name: part for name, part in inner["config"].items() if name != "zero_output_for_mask"}
            kept[key] = {**inner, "config": own}
    kept.pop("trainable", None)
    dtype = values.value(kept.get("dtype"))
    if dtype in (None, get_dtype()):
        kept.pop("dtype", None)
    else:
        kept["dtype"] = dtype
    return kept


def _lambda(config: Mapping[str, Any]) -> Module:
    """A Lambda of a named function; one of code is refused, unless the user gives a function for it."""
    name, said = str(config.get("name")), config.get("function")
    given = in_scope(name)
    if given is None:
        coded = isinstance(said, list) or (isinstance(said, Mapping) and said.get("class_name") == "__lambda__")
        if coded:
            raise ConfigError(
                "it is a Lambda, and its code is not run. Write the function, and custom_objects="
                f"{{{name!r}: function}} with it"
            )
        given = values.value(said) if isinstance(said, Mapping) else values.function(str(said))
    return Lambda(given, name=name)


def _sequential(config: Mapping[str, Any], shared: _Shared, depth: int, path: str) -> Module:
    parts = config.get("layers")
    if not isinstance(parts, Sequence):
        raise ConfigError("a Sequential has no layers")
    named = paths_of(parts, ("InputLayer",), path)
    layers = _layers(named, shared, depth)
    model = Sequential(layers, name=str(config.get("name", "sequential")))
    shape = config.get("build_input_shape")
    if model._input_type is None and isinstance(shape, list):
        model.build(tuple(shape))
    return model


def _layers(named: Iterable[tuple[Any, str]], shared: _Shared, depth: int) -> list[Module]:
    """The layers of a model. Raises ConfigError naming all that cannot be brought over."""
    layers, refused = [], list[ConfigError]()
    for part, place in named:
        try:
            layers.append(_layer(part, shared, depth + 1, place))
        except ConfigError as error:
            refused.append(error)
    if len(refused) > 1:
        several = ConfigError("; ".join(map(str, refused)))
        several.named = True  # type: ignore[attr-defined]  # each names its layer
        raise several from None
    if refused:
        raise refused[0]
    return layers


def paths_of(parts: Sequence[Any], without: tuple[str, ...], path: str) -> Iterator[tuple[Any, str]]:
    """The layers of a model, each with its path in the file; operations and those of these classes have none."""
    held = [
        part
        for part in parts
        if isinstance(part, Mapping)
        and part.get("class_name") not in without
        and not str(part.get("module", "")).startswith(OPERATIONS)
    ]
    paths = dict(zip(map(id, held), numbered(str(part.get("class_name")) for part in held), strict=True))
    for part in parts:
        yield part, f"{path}layers/{paths.get(id(part), '')}/"


def _operation(title: str, config: Mapping[str, Any]) -> Module:
    """An operation of Keras's as a layer, with the arguments of its class: those of its function but for tensors."""
    name = snake_case(title)
    options = {key: values.value(part) for key, part in config.items() if key != "name"}
    if name == "get_item":
        layer: Module = _Indexing()
    else:
        try:
            layer = Operation(RENAMED.get(name, name))
        except ValueError:
            raise ConfigError(f"it is the operation {name!r}, which is not known here") from None
    layer.name = str(config.get("name", name))
    layer.__dict__["_options"] = options
    return layer


class _Indexing(Module):
    """In the place of `GetItem`, whose index is an argument of Keras's call."""


# --- functional models --------------------------------------------------------------------------------------------


def _functional(config: Mapping[str, Any], shared: _Shared, depth: int, path: str) -> Module:
    """A functional model: its layers are called in an order in which the arguments of each call are known."""
    parts = config.get("layers")
    if not isinstance(parts, Sequence) or not all(isinstance(part, Mapping) for part in parts):
        raise ConfigError("a functional model has no layers")
    named = paths_of(parts, (), path)
    layers = dict(zip((str(part.get("name")) for part in parts), _layers(named, shared, depth), strict=True))
    results: dict[tuple[str, int], Any] = {}
    ends: dict[tuple[str, int], Any] = {}  # for outputs, where Keras counts the calls of models from 1
    pending = [(name, i, node) for part in parts for name, i, node in _nodes(part)]
    for name, layer in layers.items():
        if isinstance(layer, Input):
            results[name, 0] = layer
    while pending:
        waiting = []
        for name, i, node in pending:
            called = _call(layers[name], node, results)
            if called is _LATER:
                waiting.append((name, i, node))
            else:
                number = i + (layers[name]._recorded is not None)
                # Before Keras 3, nodes, which were lists, counted so too.
                results[name, number if isinstance(node, list) else i] = ends[name, number] = called
        if len(waiting) == len(pending):
            raise ConfigError(f"the call of {waiting[0][0]!r} depends on a layer that is not there")
        pending = waiting

    def found(tree: Any) -> Any:
        if isinstance(tree, list) and len(tree) == 3 and isinstance(tree[0], str):
            return _output({**results, **ends}, tree)
        return map_structure_of(tree, found)

    inputs, outputs = config.get("input_layers"), config["output_layers"]
    model = Functional(_alone(found(inputs)), _alone(found(outputs)))
    model.name = str(config.get("name", model.name))
    if config.get("trainable") is False:
        model.trainable = False
    return model


def map_structure_of(tree: Any, function: Any) -> Any:
    """A list or dict with the function applied to its parts."""
    if isinstance(tree, list):
        return [function(part) for part in tree]
    if isinstance(tree, Mapping):
        return {key: function(part) for key, part in tree.items()}
    raise ConfigError("the inputs and outputs of a model are no layers")


def _alone(tree: Any) -> Any:
    return tree[0] if isinstance(tree, list) and len(tree) == 1 else tree


_LATER = object()


def _nodes(part: Mapping[str, Any]) -> Iterator[tuple[str, int, Any]]:
    for i, node in enumerate(part.get("inbound_nodes") or ()):
        yield str(part["name"]), i, node


def _output(results: Mapping[tuple[str, int], Any], place: Sequence[Any]) -> Any:
    """The symbolic value of ``[layer, number of the call, number of the output]``."""
    name, call, number = place
    return list(flatten(results[str(name), int(call)], Operators))[int(number)]


def _call(layer: Module, node: Any, results: Mapping[tuple[str, int], Any]) -> Any:
    """What a call returns, or `_LATER` if an argument is not known yet."""
    try:
        arguments, options = _arguments(node, results)
    except KeyError as error:
        if isinstance(error.args[0], tuple):
            return _LATER
        raise ConfigError("a call has no arguments") from None
    options = {key: part for key, part in options.items() if key != "training"}  # the model's own call says it
    if all(part is None for part in flatten([options.get("mask")])):
        options.pop("mask", None)
    own = layer.__dict__.get("_options", {})
    if isinstance(layer, _Indexing):
        index = arguments[1] if len(arguments) > 1 else options["key"]
        indexed = GetItem(tuple(index) if isinstance(index, list) else index, name=layer.name)
        return indexed(arguments[0])
    return layer(*arguments, **options, **own)


def _arguments(node: Any, results: Mapping[tuple[str, int], Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call, in the form of Keras 3 or in that before it."""

    def decoded(words: Any) -> Any:
        if isinstance(words, Mapping) and words.get("class_name") == TENSOR:
            return _output(results, words["config"]["keras_history"])
        if isinstance(words, Mapping) and words.get("class_name") == "__tuple__":
            return tuple(decoded(part) for part in words["config"]["value"])
        if isinstance(words, list):
            return [decoded(part) for part in words]
        if isinstance(words, Mapping) and "class_name" not in words:
            return {key: decoded(part) for key, part in words.items()}
        return values.value(words)

    if isinstance(node, Mapping):
        return tuple(decoded(node["args"])), decoded(node["kwargs"])
    places = [node] if isinstance(node[0], str) else node
    found = [_output(results, place[:3]) for place in places]
    options = places[0][3] if len(places[0]) > 3 else {}

    def old(part: Any) -> Any:
        if isinstance(part, list) and len(part) == 3 and isinstance(part[0], str) and (part[0], part[1]) in results:
            return _output(results, part)
        return part

    return (found[0] if len(found) == 1 else found,), {key: old(part) for key, part in options.items()}
