"""The weights of a model by their places in Keras's files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, cast

import numpy as np

from ranvier.data.convert import Array
from ranvier.graph.dtypes import widened
from ranvier.interop.keras import hdf5
from ranvier.interop.keras.hdf5 import Tree
from ranvier.layers.base import Layer
from ranvier.layers.lookup import Lookup
from ranvier.layers.operators import GetItem, Operation
from ranvier.layers.preprocessing import Normalization
from ranvier.layers.text_vectorization import TextVectorization
from ranvier.module import Module, Sequential
from ranvier.support.errors import snake_case
from ranvier.support.source_lines import warn
from ranvier.tensor.tensor import Tensor

# Where Keras's own names differ: of a class, and of the attributes that hold its layers.
TITLES = {"GroupQueryAttention": "GroupedQueryAttention"}
TOP = "top_level_model_weights"  # the group of what a model itself holds, before Keras 3
PREFIXES = {"GroupQueryAttention": "_"}


class Place(NamedTuple):
    """A layer with the group that holds its weights in the order of their numbers."""

    path: str
    layer: Module
    weights: list[Tensor]


def places(model: Module) -> list[Place]:
    """The layers of a model, each once, in Keras's order."""
    return list(_walk(model, "", set()))


def _walk(module: Module, path: str, seen: set[int]) -> Iterator[Place]:
    if id(module) in seen:
        return
    seen.add(id(module))
    yield Place(f"{path}vars", module, own_weights(module))
    if isinstance(module, Sequential):
        yield from _walk_all(module, f"{path}layers/", seen)
    elif module._recorded is not None:
        yield from _walk_all(layers_of(module), f"{path}layers/", seen)
    else:
        # Keras walks attributes by their names, of models `layers` too: those after it are stored there.
        found = vars(module) | module._modules
        listed = {"layers": list(module.children())} if not isinstance(module, Layer) and "layers" not in found else {}
        for name in sorted(found | listed, key=lambda n: f"~{n}" if n.startswith("_") else n):
            part = listed[name] if name in listed else module._modules.get(name, vars(module).get(name))
            if isinstance(part, Module) and name in module._modules:
                prefix = PREFIXES.get(type(module).__name__, "")
                yield from _walk(part, f"{path}{prefix}{name}/", seen)
            elif isinstance(part, (list, tuple, dict)) and not name.startswith("_"):
                inner = part.values() if isinstance(part, dict) else part
                yield from _walk_all([p for p in inner if isinstance(p, Module)], f"{path}{name}/", seen)


def layers_of(model: Module) -> list[Module]:
    """The layers of a functional model without its operations, which Keras counts as no layers."""
    layers = cast("list[Module]", model._recorded_layers())
    return [layer for layer in layers if not isinstance(layer, (Operation, GetItem))]


def _walk_all(layers: Iterable[Module], path: str, seen: set[int]) -> Iterator[Place]:
    """Layers in a container, which go by the names of their classes."""
    held = list(layers)
    for layer, name in zip(held, numbered(map(class_name, held)), strict=True):
        yield from _walk(layer, f"{path}{name}/", seen)


def numbered(titles: Iterable[str]) -> Iterator[str]:
    """The names that layers have in a container, by those of their classes: ``dense``, ``dense_1`` and so on."""
    counts: dict[str, int] = {}
    for title in titles:
        name = snake_case(title)
        counts[name] = number = counts.get(name, -1) + 1
        yield f"{name}_{number}" if number else name


def class_name(layer: Module) -> str:
    """Keras's name for the class of a layer."""
    name = type(layer).__name__
    return "InputLayer" if getattr(layer, "is_input", False) else TITLES.get(name, name)


def own_weights(module: Module) -> list[Tensor]:
    """What a layer itself holds, in Keras's order: what is trained, then the rest."""
    if isinstance(module, Normalization) and module.given is not None:
        return []
    kept = (b for name, b in module._buffers.items() if name not in module._non_persistent)
    return [p for p in (*module._parameters.values(), *kept) if p is not None]


# --- reading ------------------------------------------------------------------------------------------------------


def take(model: Module, tree: Tree, skip_mismatch: bool = False, by_name: bool = False) -> None:
    """Overwrite the weights of a model by those of a file; nothing is written unless all fit.

    With ``skip_mismatch`` a layer that does not fit is left out, with a warning. ``by_name`` is of the form before
    Keras 3. Raises ValueError.
    """
    if "layer_names" in tree.attributes.get("", {}) or "layer_names0" in tree.attributes.get("", {}):
        pairs = _legacy(model, tree, by_name)
    elif by_name:
        raise ValueError("by_name=True is for files of Keras 2 (.h5), in which layers have names. Leave it out instead")
    else:
        held = hdf5.nested(tree.arrays)
        pairs = [(place, held.get(place.path, [])) for place in places(model)]
    names = {id(t): name for name, t in model._state()}
    problems, values = _unexpected(pairs, tree), list[tuple[Tensor, Array]]()
    for place, arrays in pairs:
        if isinstance(place.layer, Normalization):
            arrays = arrays[: len(place.weights)]  # the third counts what it was adapted to
        if len(arrays) != len(place.weights):
            shapes = [", ".join(str(tuple(a.shape)) for a in part) or "none" for part in (place.weights, arrays)]
            problems.append(f"other weights: {place.layer.name!r} has {shapes[0]} here and {shapes[1]} in the file")
            continue
        before = len(problems)
        for weight, array in zip(place.weights, arrays, strict=True):
            if tuple(weight.shape) != array.shape:
                name = f"{names[id(weight)]} of {place.layer.name!r}"
                problems.append(f"wrong shape: {name} is {tuple(weight.shape)} here and {array.shape} in the file")
        if len(problems) == before:
            values += zip(place.weights, arrays, strict=True)
    if problems and skip_mismatch:
        warn("layers that do not fit keep their weights:\n  " + "\n  ".join(problems))
    elif problems:
        raise ValueError("the weights do not fit:\n  " + "\n  ".join(problems))
    for weight, array in values:
        weight.assign(from_stored(array))


def _unexpected(pairs: Sequence[tuple[Place, list[Array]]], tree: Tree) -> list[str]:
    """The layers of a file that the model lacks; what layers of Keras hold besides, such as seeds, is passed by."""
    own = {place.path.split("/")[1] for place, _ in pairs if place.path.startswith("layers/")}
    held = dict.fromkeys(path.split("/")[1] for path in tree.arrays if path.startswith("layers/"))
    return [f"unexpected: layers/{name}" for name in held if name not in own]


def from_stored(array: Array) -> Array:
    """Numbers as arrays of a dtype that NumPy has: h5py gives bfloat16 as two bytes without a meaning."""
    if array.dtype.kind == "V" and array.dtype.itemsize == 2:
        return np.asarray((np.ascontiguousarray(array).view(np.uint16).astype(np.uint32) << 16).view(np.float32))
    return array


def _legacy(model: Module, tree: Tree, by_name: bool) -> list[tuple[Place, list[Array]]]:
    """The form before Keras 3: by layer, all that is trained, then the rest. Layers without weights are passed by."""
    groups = dict[str, list[Array]]()
    for name in hdf5.texts(tree, "", "layer_names"):
        inner = tree.below(name)
        found = [inner.arrays[title] for title in hdf5.texts(inner, "", "weight_names")]
        if found:
            groups[name] = found
    own = [place for place in legacy_places(model) if place.weights]
    if by_name:
        return [(place, groups[place.layer.name]) for place in own if place.layer.name in groups]
    if len(groups) != len(own):
        here, there = (", ".join(map(repr, names)) for names in ([place.layer.name for place in own], groups))
        raise ValueError(f"the weights do not fit: the layers with weights here are {here}, and in the file {there}")
    pairs = list(zip(own, groups.values(), strict=True))
    if weights := own_weights(model):
        inner = tree.below(TOP)
        pairs.append(
            (Place("", model, weights), [inner.arrays[name] for name in hdf5.texts(inner, "", "weight_names")])
        )
    return pairs


def _in_order(module: Module, seen: set[int]) -> Iterator[Module]:
    """A layer and those inside it, each once, in the order in which they became attributes."""
    if id(module) not in seen:
        seen.add(id(module))
        yield module
        for part in module.children() if module._recorded is None else layers_of(module):
            yield from _in_order(part, seen)


def legacy_places(model: Module) -> list[Place]:
    """The layers of a model with all that each holds, in the order before Keras 3."""
    if isinstance(model, Sequential):
        layers = list(model)
    elif model._recorded is not None:
        layers = layers_of(model)
    else:
        layers = list(model.children())
    found = []
    for layer in layers:
        inside = [weight for part in _in_order(layer, set()) for weight in own_weights(part)]
        once = list({id(weight): weight for weight in inside}.values())
        found.append(Place(layer.name, layer, sorted(once, key=lambda weight: not weight.requires_grad)))
    return found


# --- writing ------------------------------------------------------------------------------------------------------


def collected(model: Module) -> Tree:
    """The tree of a file with the weights of a model."""
    tree = Tree()
    for place in places(model):
        tree.groups.add(place.path)
        tree.attributes[place.path] = {"name": place.layer.name}
        stored = [widened(weight.compute()) for weight in place.weights]
        if isinstance(place.layer, Normalization) and stored:
            stored.append(np.zeros((), np.int32))
        for i, array in enumerate(stored):
            tree.arrays[f"{place.path}/{i}"] = array
        if isinstance(place.layer, Lookup) and place.layer.table.weights is not None:
            paths = [place.path]
            if isinstance(place.layer, TextVectorization):  # which holds a lookup there, with the same weights
                paths.append(f"{place.path.removesuffix('vars')}_lookup_layer/vars")
            for path in paths:
                tree.groups.add(path)
                tree.arrays[f"{path}/idf_weights"] = place.layer.table.weights
    return tree
