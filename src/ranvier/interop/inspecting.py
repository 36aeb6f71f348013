"""What a file of a model holds, of every format, without its numbers: for ``ranvier inspect``."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ranvier.data import safetensors_files, torch_archive
from ranvier.data.files import KEY, CheckpointError, check_source, header_of, unique
from ranvier.graph.dtypes import DTYPES, array_dtype, dtype_of

HDF5 = b"\x89HDF\r\n\x1a\n"


class Row(NamedTuple):
    """A tensor of a file."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def numbers(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        size = np.dtype(array_dtype(self.dtype)).itemsize if self.dtype in DTYPES else 0
        return self.numbers * size


class Contents(NamedTuple):
    """The format of a file, facts about it, and its tensors."""

    format: str
    facts: dict[str, str]
    rows: list[Row]

    def lines(self) -> Iterator[str]:
        """A table for the terminal."""
        yield f"format      {self.format}"
        for name, fact in self.facts.items():
            yield f"{name:<11} {fact}"
        width = max((len(row.name) for row in self.rows), default=0)
        for row in self.rows:
            yield f"{row.name:<{width}}  {row.dtype:<9} {row.shape!s:<20} {row.numbers:>14,}"
        numbers, size = (sum(row.numbers for row in self.rows), sum(row.bytes for row in self.rows))
        yield f"{len(self.rows):,} tensors, {numbers:,} numbers, {size:,} bytes"


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
        return _checkpoint(value)
    if safetensors_files.looks_like(start):
        return _safetensors(source)
    if source.name.endswith(".onnx"):
        return _onnx(source)
    raise CheckpointError(f"{source} has no format that is known here.")


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
    try:
        with zipfile.ZipFile(source) as archive:
            names = archive.namelist()
            if "config.json" not in names:
                return _checkpoint(torch_archive.described(source, source))
            words = _words(archive.read("config.json"), source)
            weights = archive.read("model.weights.h5") if "model.weights.h5" in names else b""
    except torch_archive.DAMAGED as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{source} is no zip, or a damaged one: {error}.") from None
    from ranvier.interop.keras import hdf5

    facts = {"model": str(words.get("class_name")), "layers": _layers(words.get("config"))}
    if words.get("compile_config"):
        facts["compiled"] = str(_named(words["compile_config"].get("optimizer")))
    return Contents("Keras 3", facts, [Row(*part) for part in hdf5.listed(io.BytesIO(weights), source)])


def _named(words: Any) -> Any:
    return words.get("class_name") if isinstance(words, Mapping) else words


def _type_of(array: Any) -> torch_archive.TensorType:
    return torch_archive.TensorType(array.shape, dtype_of(array))


def _checkpoint(value: Any) -> Contents:
    rows = [Row(name, part.shape, part.dtype) for name, part in _leaves(value, "")]
    return Contents("PyTorch checkpoint", {}, rows)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, torch_archive.TensorType]]:
    if isinstance(value, torch_archive.TensorType):
        yield path, value
    elif isinstance(value, (Mapping, list, tuple)):
        for key, part in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _leaves(part, f"{path}.{key}" if path else str(key))


def _hdf5(source: Path) -> Contents:
    from ranvier.interop.keras import hdf5

    rows = [Row(*part) for part in hdf5.listed(source, source)]
    return Contents("Keras HDF5", {}, rows)


def _header(source: Path) -> dict[str, Any]:
    with source.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        file.seek(0)
        return header_of(file.read(8 + min(size, source.stat().st_size)), source)


def _safetensors(source: Path) -> Contents:
    header = _header(source)
    metadata = header.pop("__metadata__", {})
    rows = []
    for name, entry in header.items():
        try:
            dtype = np.dtype(safetensors_files.TYPES[entry["dtype"]])
            rows.append(Row(name, tuple(int(n) for n in entry["shape"]), "bfloat16" if dtype.names else dtype.name))
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{source} is damaged: tensor {name!r} has a wrong description ({error}).") from None
    if not isinstance(metadata, Mapping) or KEY not in metadata:
        return Contents("safetensors", {}, rows)
    described = _words(metadata[KEY], source)
    kinds = Counter(words["class"] for words in _modules(described.get("architecture")))
    facts = {"layers": ", ".join(f"{count} {kind}" for kind, count in kinds.items())}
    settings = described.get("compiled")
    if isinstance(settings, Mapping):
        facts["compiled"] = str(_named(settings.get("optimizer")))
    return Contents("Ranvier", facts, rows)


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
    places = _words(source.read_bytes(), source).get("weight_map")
    if not isinstance(places, Mapping):
        raise CheckpointError(f"{source} is no index of safetensors files: it has no weight_map.")
    files = sorted({str(file) for file in places.values()})
    if any(Path(file).name != file for file in files):
        raise CheckpointError(f"{source} names a file that is not beside it.")
    rows = [row for file in files for row in _safetensors(source.parent / file).rows]
    return Contents("safetensors in shards", {"files": ", ".join(files)}, [row for row in rows if row.name in places])


def _onnx(source: Path) -> Contents:
    from ranvier.interop.onnx.graphs import library
    from ranvier.interop.onnx.model import parsed
    from ranvier.interop.onnx.values import ELEMENTS

    library()
    proto = parsed(source)
    kinds = Counter(node.op_type for node in proto.graph.node)
    facts = {
        "made by": f"{proto.producer_name} {proto.producer_version}".strip(),
        "operators": ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()),
        "versions": ", ".join(f"{v.domain or 'ai.onnx'} {v.version}" for v in proto.opset_import),
        "inputs": ", ".join(v.name for v in proto.graph.input),
        "outputs": ", ".join(v.name for v in proto.graph.output),
    }
    held = proto.graph.initializer
    return Contents("ONNX", facts, [Row(t.name, tuple(t.dims), ELEMENTS.get(t.data_type, "unknown")) for t in held])
