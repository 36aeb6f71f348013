"""Files of Keras: ``.keras`` (a zip of JSON and HDF5), ``.h5`` of earlier versions, and ``.weights.h5``."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ranvier.data import files
from ranvier.data.files import CheckpointError, unique
from ranvier.data.memory import weights_within
from ranvier.interop.keras import hdf5, legacy, networks, training, weights
from ranvier.interop.keras.described import VERSION, configuration
from ranvier.interop.keras.hdf5 import Tree
from ranvier.interop.keras.values import ConfigError
from ranvier.module import Module
from ranvier.support.custom_objects import configured_by, custom_object_scope
from ranvier.support.source_lines import warn
from ranvier.support.version import __version__

CONFIG, METADATA, WEIGHTS, ASSETS = "config.json", "metadata.json", "model.weights.h5", "assets/"
LARGEST_RATIO = 100  # of compressed parts, as Keras has it
SLACK = 64 << 20
# What a configuration that was changed by hand may raise.
MALFORMED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, MemoryError, RecursionError)


# --- reading ------------------------------------------------------------------------------------------------------


def load_model(source: Path, custom_objects: Mapping[str, Any] | None, compile: bool) -> Module:
    """The model of a ``.keras`` or an ``.h5`` file. Raises CheckpointError naming what cannot be brought over."""
    data = source.read_bytes()
    with custom_object_scope(custom_objects or {}):
        if data.startswith(hdf5.MAGIC):
            return _load_legacy(data, source, compile)
        parts = _unzipped(data, source)
        for name in (CONFIG, WEIGHTS):
            if name not in parts:
                raise CheckpointError(f"{source} is no model of Keras: it has no {name}.")
        words = _json(parts[CONFIG], source)
        tree = hdf5.read(parts[WEIGHTS], source)
        assets = {name.removeprefix(ASSETS): part for name, part in parts.items() if name.startswith(ASSETS)}
        model = _built(words, tree, source, assets)
        settings = words.get("compile_config")
        if compile and isinstance(settings, Mapping):
            arrays = hdf5.nested(tree.arrays).get("optimizer/vars", [])
            training.compile_as(model, settings, arrays, source)
        return model


def _built(words: Any, tree: Tree, source: Path, assets: Mapping[str, bytes]) -> Module:
    held = sum(array.nbytes for array in tree.arrays.values())
    try:
        with weights_within(8 * held + SLACK), configured_by(words):
            model = networks.network(words, assets, tree.arrays)
        try:
            weights.take(model, tree)
        except ValueError as error:
            if model.built:
                raise
            raise ConfigError("it does not say the shape of the inputs, so that there are no weights") from error
    except MALFORMED as error:
        raise CheckpointError(f"{source}: {error}") from error
    if any("float16" in str(_policy(layer)) for layer in _layers(words)):
        warn(f"{source} computes in 16-bit floats; here it computes in float32.")
    return model


def _layers(words: Any) -> list[Any]:
    config = words.get("config") if isinstance(words, Mapping) else None
    inner = config.get("layers", ()) if isinstance(config, Mapping) else ()
    return [words, *inner] if isinstance(inner, list) else [words]


def _policy(words: Any) -> Any:
    config = words.get("config") if isinstance(words, Mapping) else None
    return config.get("dtype") if isinstance(config, Mapping) else None


def _load_legacy(data: bytes, source: Path, compile: bool) -> Module:
    tree = hdf5.read(data, source)
    top = tree.attributes[""]
    if "model_config" not in top:
        raise CheckpointError(
            f"{source} holds weights and no architecture. Build the network and write model.load_weights(path) instead."
        )
    words = _json(str(top["model_config"]).encode("utf-8", "surrogatepass"), source)
    model = _built(words, tree.below("model_weights"), source, {})
    if compile and "training_config" in top:
        settings = _json(str(top["training_config"]).encode("utf-8", "surrogatepass"), source)
        inner = tree.below("optimizer_weights")
        arrays = [inner.arrays[name] for name in hdf5.texts(inner, "", "weight_names") if name in inner.arrays]
        training.compile_as(model, training.legacy(settings), arrays, source)
    return model


def load_weights(model: Module, source: Path, skip_mismatch: bool = False, by_name: bool = False) -> None:
    """Overwrite the weights of a model by those of a file. Raises CheckpointError listing all that do not fit."""
    data = source.read_bytes()
    if not data.startswith(hdf5.MAGIC):
        parts = _unzipped(data, source)
        if WEIGHTS not in parts:
            raise CheckpointError(f"{source} is no model of Keras: it has no {WEIGHTS}.")
        data = parts[WEIGHTS]
    tree = hdf5.read(data, source)
    try:
        inner = tree.below("model_weights") if "model_weights" in tree.groups else tree
        weights.take(model, inner, skip_mismatch, by_name)
    except MALFORMED as error:
        raise CheckpointError(f"{source}: {error}") from error


def check_unpacked(archive: zipfile.ZipFile, source: Any, size: int) -> None:
    """Raise CheckpointError for a zip of ``size`` bytes whose parts are much larger."""
    if sum(entry.file_size for entry in archive.infolist()) > LARGEST_RATIO * size + SLACK:
        raise CheckpointError(f"{source} unpacks to more than {LARGEST_RATIO} times its size.")


def _unzipped(data: bytes, source: Path) -> dict[str, bytes]:
    """The parts of a zip, whose sizes are limited by that of the file."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            check_unpacked(archive, source, len(data))
            entries = archive.infolist()
            if len({entry.filename for entry in entries}) < len(entries):
                raise CheckpointError(f"{source} is damaged: it has two parts of one name.")
            return {entry.filename: archive.read(entry) for entry in entries if not entry.is_dir()}
    except CheckpointError:
        raise
    except (
        ArithmeticError, EOFError, LookupError, NotImplementedError, OSError, RuntimeError, ValueError, struct.error,
        zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        raise CheckpointError(f"{source} is not a saved model: it is no zip, or a damaged one: {error}.") from None


def _json(data: bytes, source: Path) -> Any:
    try:
        words = json.loads(data.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{source} is damaged: its configuration cannot be read ({error}).") from None
    if not isinstance(words, Mapping):
        raise CheckpointError(f"{source} is damaged: its configuration is no object.")
    return words


# --- writing ------------------------------------------------------------------------------------------------------


def save(model: Module, path: Path, include_optimizer: bool) -> None:
    """Write a ``.keras`` file, or an ``.h5`` file in the form of earlier versions."""
    if path.name.endswith(".h5"):
        files.write_bytes(path, legacy.to_bytes(model, include_optimizer), "model.h5")
        return
    words, tree = configuration(model, include_optimizer)
    buffer = io.BytesIO()
    metadata = {"keras_version": VERSION, "written_by": f"ranvier {__version__}"}
    parts = {METADATA: json.dumps(metadata).encode(), CONFIG: json.dumps(words).encode(), WEIGHTS: hdf5.write(tree)}
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in parts.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    files.write_bytes(path, buffer.getvalue(), "model.keras")


def save_weights(model: Module, path: Path) -> None:
    """Write a ``.weights.h5`` file."""
    files.write_bytes(path, hdf5.write(weights.collected(model)), "model.weights.h5")
