"""What a file of a model holds, of every format, without its numbers: for ``ranvier inspect``."""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.data import safetensors_files, torch_archive
from ranvier.data.files import KEY, CheckpointError, check_places, check_source, description_of, header_of, unique
from ranvier.data.kinds import HDF5, ONNX
from ranvier.graph.dtypes import dtype_of
from ranvier.interop.contents import Contents, Layer, Row, grouped

DEEPEST = 64  # models within models
START = "weights/"  # of the names of weights in files of Ranvier


def inspect(path: Any) -> Contents:
    """What a file holds. Raises CheckpointError for a damaged one, and for one of no known format."""
    source = Path(path)
    check_source(source)
    if source.name.endswith(safetensors_files.INDEX):
        return _index(source)
    with source.open("rb") as file:
        start = file.read(16)
    if start.startswith(HDF5):
        return _hdf5(source)
    if start.startswith(torch_archive.ZIP):
        return _zip(source)
    if start.startswith(torch_archive.OLD[: len(start)]):
        value = torch_archive.read(source.read_bytes(), source, lambda a, grad: _type_of(a), lambda kind, grad: kind)
        return _checkpoint(value, "the format has no checksums")
    if safetensors_files.looks_like(start):
        return _safetensors(source)
    if source.name.endswith(".onnx") or ONNX.match(start):
        return _onnx(source)
    raise CheckpointError(
        f"{source} has no format that is known here. Write a file of this library, Keras, PyTorch, safetensors or ONNX "
        "instead."
    )


def _layers(config: Any) -> str:
    """The classes of the layers in a configuration of Keras's, counted."""
    inner = config.get("layers", ()) if isinstance(config, Mapping) else ()
    kinds = Counter(str(part.get("class_name")) for part in inner if isinstance(part, Mapping))
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items())


def _words(text: Any, source: Path) -> Mapping[str, Any]:
    try:
        words = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{source} is damaged: its configuration cannot be read ({error}).") from None
    return words if isinstance(words, Mapping) else {}


def _zip(source: Path) -> Contents:
    from ranvier.interop.keras import hdf5
    from ranvier.interop.keras.files import check_unpacked

    try:
        with zipfile.ZipFile(source) as archive:
            names = archive.namelist()
            if "config.json" not in names:
                return _checkpoint(torch_archive.described(source, source), "every part of the zip has a checksum")
            check_unpacked(archive, source, source.stat().st_size)
            words = _words(archive.read("config.json"), source)
            weights = archive.read("model.weights.h5") if "model.weights.h5" in names else b""
    except torch_archive.DAMAGED as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{source} is no zip, or a damaged one: {error}.") from None
    facts = _facts_of_keras(words, words.get("compile_config"), "optimizer")
    facts["checks"] = "every part of the zip has a checksum"
    rows = [Row(*part) for part in hdf5.listed(io.BytesIO(weights), source)]
    return Contents("Keras 3", facts, rows, grouped(rows, list(_layers_of_keras(words, "", "", 0))))


def _layers_of_keras(words: Any, path: str, names: str, depth: int) -> Iterator[tuple[str, str, str]]:
    """The name and the class of each layer in a configuration, and where its tensors are; also of models within."""
    from ranvier.interop.keras.networks import paths_of

    kind, config = str(words.get("class_name")), words.get("config")
    config = {"layers": config} if isinstance(config, list) else config
    parts = config.get("layers") if isinstance(config, Mapping) else None
    if depth and (kind not in ("Sequential", "Functional", "Model") or not isinstance(parts, list) or depth > DEEPEST):
        yield names, kind, path
        return
    without = ("InputLayer",) if kind == "Sequential" else ()
    for part, place in paths_of([p for p in parts or () if isinstance(p, Mapping)], without, path):
        own = part.get("config")
        name = str(own.get("name") if isinstance(own, Mapping) else part.get("name"))
        yield from _layers_of_keras(part, place, f"{names}/{name}" if names else name, depth + 1)


def _facts_of_keras(words: Mapping[str, Any], settings: Any, key: str) -> dict[str, str]:
    """What the configuration of a model of Keras's says, and how it was compiled."""
    facts = {"model": str(words.get("class_name")), "layers": _layers(words.get("config"))}
    if isinstance(settings, Mapping):
        facts["compiled"] = str(_named(settings.get(key)))
    return facts


def _named(words: Any) -> Any:
    return words.get("class_name") if isinstance(words, Mapping) else words


def _type_of(array: Any) -> torch_archive.TensorType:
    return torch_archive.TensorType(array.shape, dtype_of(array))


def _checkpoint(value: Any, checks: str) -> Contents:
    rows = [Row(name, part.shape, part.dtype) for name, part in _leaves(value, "")]
    return Contents("PyTorch checkpoint", {"checks": checks}, rows, grouped(rows))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, torch_archive.TensorType]]:
    if isinstance(value, torch_archive.TensorType):
        yield path, value
    elif isinstance(value, (Mapping, list, tuple)):
        for key, part in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _leaves(part, f"{path}.{key}" if path else str(key))


def _hdf5(source: Path) -> Contents:
    from ranvier.interop.keras import hdf5

    rows = [Row(*part) for part in hdf5.listed(source, source)]
    top = hdf5.top(source, source)
    facts, titles, layers = dict[str, str](), dict[str, str](), list[tuple[str, str, str]]()
    if "model_config" in top:
        settings = _words(top["training_config"], source) if "training_config" in top else None
        words = _words(top["model_config"], source)
        facts = _facts_of_keras(words, settings, "optimizer_config")
        layers = [(name, kind, f"model_weights/{name}/") for name, kind, _ in _layers_of_keras(words, "", "", DEEPEST)]
    else:
        titles = hdf5.names(source, source)
    facts["checks"] = "the format has no checksums"
    return Contents("Keras HDF5", facts, rows, grouped(rows, layers, titles))


def _header(source: Path) -> dict[str, Any]:
    with source.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        file.seek(0)
        return header_of(file.read(8 + min(size, source.stat().st_size)), source)


def _safetensors(source: Path) -> Contents:
    header = _header(source)
    metadata = header.pop("__metadata__", {})
    with source.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
    check_places(header, source.stat().st_size - start, source, safetensors_files.TYPES)
    rows = []
    for name, entry in header.items():
        try:
            dtype = np.dtype(safetensors_files.TYPES[entry["dtype"]])
            rows.append(Row(name, tuple(int(n) for n in entry["shape"]), "bfloat16" if dtype.names else dtype.name))
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{source} is damaged: tensor {name!r} has a wrong description ({error}).") from None
    if not isinstance(metadata, Mapping) or KEY not in metadata:
        return Contents("safetensors", {"checks": "the format has no checksums"}, rows, grouped(rows))
    described = description_of(metadata, source)
    kinds = Counter(words["class"] for words in _modules(described.get("architecture")))
    facts = {"layers": ", ".join(f"{count} {kind}" for kind, count in kinds.items())}
    settings = described.get("compiled")
    if isinstance(settings, Mapping):
        facts["compiled"] = str(_named(settings.get("optimizer")))
    held = len(described["checksums"])
    facts["checks"] = f"the description has its checksum, and {held:,} tensors have one each, not compared here"
    return Contents(
        "Ranvier", facts, rows, grouped(rows, list(_layers_of(described.get("architecture"), "", START, 0)))
    )


def _layers_of(words: Any, names: str, path: str, depth: int) -> Iterator[tuple[str, str, str]]:
    """The name and the class of each layer in a description, and what its tensors' names begin with."""
    if not isinstance(words, Mapping) or not isinstance(words.get("config"), Mapping):
        return
    name = str(words.get("name", ""))
    names = f"{names}/{name}" if names and depth > 1 else name
    held = words["config"].get("*" if words.get("class") == "Sequential" else "layers")
    if words.get("class") not in ("Sequential", "Functional") or not isinstance(held, list) or depth > DEEPEST:
        yield names, str(words.get("class")), path
        return
    for number, part in enumerate(held):
        inner = part.get("module") if isinstance(part, Mapping) else None
        yield from _layers_of(inner, names, f"{path}{number}.", depth + 1)


def _modules(words: Any) -> Iterator[Mapping[str, Any]]:
    """The descriptions of modules within a description."""
    if isinstance(words, Mapping):
        if isinstance(words.get("class"), str) and "config" in words:
            yield words
        for part in words.values():
            yield from _modules(part)
    elif isinstance(words, list):
        for part in words:
            yield from _modules(part)


def _index(source: Path) -> Contents:
    places = safetensors_files.places_of(source.read_bytes(), source)
    files = sorted(set(places.values()))
    rows = [row for file in files for row in _safetensors(source.parent / file).rows]
    rows = [row for row in rows if row.name in places]
    return Contents("safetensors in shards", {"files": ", ".join(files)}, rows, grouped(rows))


def _onnx(source: Path) -> Contents:
    from ranvier.interop.onnx.graphs import library
    from ranvier.interop.onnx.model import check_growth, fault_of, parsed
    from ranvier.interop.onnx.values import ELEMENTS

    library()
    proto = parsed(source)
    check_growth(proto, source)
    kinds = Counter(node.op_type for node in proto.graph.node)

    def shown(value: Any) -> str:
        held = value.type.tensor_type
        dims = [d.dim_param or (str(d.dim_value) if d.HasField("dim_value") else "?") for d in held.shape.dim]
        return f"{value.name} {ELEMENTS.get(held.elem_type, 'unknown')} ({', '.join(dims)})"

    facts = {
        "made by": f"{proto.producer_name} {proto.producer_version}".strip(),
        "operators": ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()),
        "versions": ", ".join(f"{v.domain or 'ai.onnx'} {v.version}" for v in proto.opset_import),
        "inputs": ", ".join(map(shown, proto.graph.input)),
        "outputs": ", ".join(map(shown, proto.graph.output)),
        "checks": fault_of(str(source)) or "passes the full check of onnx",
    }
    held = {t.name: Row(t.name, tuple(t.dims), ELEMENTS.get(t.data_type, "unknown")) for t in proto.graph.initializer}
    rows, layers = list(held.values()), []
    for node in proto.graph.node:  # a weight is in the table once, at the first operator that takes it
        own = [held.pop(name) for name in dict.fromkeys(node.input) if name in held]
        layers.append(Layer(node.name or ", ".join(node.output), node.op_type, own))
    return Contents("ONNX", facts, rows, layers + grouped(held.values()))
