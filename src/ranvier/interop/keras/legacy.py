"""The one HDF5 file that Keras wrote for a model before its third version."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ranvier.data.convert import Array
from ranvier.graph.dtypes import widened
from ranvier.interop.keras import hdf5, weights
from ranvier.interop.keras.described import VERSION, configuration
from ranvier.interop.keras.hdf5 import Tree
from ranvier.module import Module


def to_bytes(model: Module, include_optimizer: bool) -> bytes:
    """The bytes of an ``.h5`` file."""
    words, described = configuration(model, include_optimizer)
    settings = words.pop("compile_config", None)
    tree = Tree()
    top = {"keras_version": VERSION, "backend": "ranvier"}
    tree.attributes[""] = {**top, "model_config": json.dumps(words)}
    places = weights.legacy_places(model)
    tree.attributes["model_weights"] = {**top, "layer_names": [place.layer.name for place in places]}
    for place in places:
        _add(tree, f"model_weights/{place.layer.name}", [widened(weight.compute()) for weight in place.weights])
    _add(tree, f"model_weights/{weights.TOP}", [widened(weight.compute()) for weight in weights.own_weights(model)])
    if settings:
        optimizer = settings.pop("optimizer")
        settings["optimizer_config"] = {"class_name": optimizer["class_name"], "config": optimizer["config"]}
        tree.attributes[""]["training_config"] = json.dumps(settings)
        _add(tree, "optimizer_weights", hdf5.nested(described.arrays).get("optimizer/vars", []))
    return hdf5.write(tree)


def _add(tree: Tree, path: str, arrays: Sequence[Array]) -> None:
    """A group of arrays by their numbers, whose names it lists in order."""
    names = [f"weights/{i}" for i in range(len(arrays))]
    tree.groups.add(path)
    held: dict[str, Any] = {"weight_names": names}
    tree.attributes[path] = held
    for name, array in zip(names, arrays, strict=True):
        tree.arrays[f"{path}/{name}"] = array
