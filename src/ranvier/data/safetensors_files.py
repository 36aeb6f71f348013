"""Tensors by name in safetensors files that any library wrote, and in several of them with an index."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.data.files import DTYPES, CheckpointError, check_places, check_source, header_of, place_of, unique
from ranvier.graph.dtypes import array_dtype

INDEX = ".index.json"  # the end of the name of an index
TYPES = {**DTYPES, "BF16": array_dtype("bfloat16")}


def looks_like(data: bytes) -> bool:
    """Whether bytes begin as a safetensors file: the length of the header, and its brace."""
    return len(data) > 8 and data[8:9] == b"{"


def read(data: bytes, source: Any) -> tuple[dict[str, Array], dict[str, Any]]:
    """The tensors of a file by their names, and its metadata. Raises CheckpointError for a damaged file."""
    header = header_of(data, source)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise CheckpointError(f"{source} is damaged: its metadata is not an object.")
    start = 8 + struct.unpack("<Q", data[:8])[0]
    check_places(header, len(data) - start, source, TYPES)
    tensors = {}
    for name, entry in header.items():
        dtype, shape, low, high = place_of(name, entry, source, TYPES)
        array = np.frombuffer(data, dtype, (high - low) // dtype.itemsize, start + low).reshape(shape)
        tensors[name] = array if dtype.names else array.astype(dtype.newbyteorder("="), copy=False)
    return tensors, metadata


def read_shards(index: bytes, source: Path) -> dict[str, Array]:
    """The tensors that an index lists, from the files beside it. Raises CheckpointError for a file that is missing, and
    for a name that leads out of the folder.
    """
    try:
        places = json.loads(index, object_pairs_hook=unique)["weight_map"]
        if not isinstance(places, Mapping) or not all(isinstance(file, str) for file in places.values()):
            raise ValueError("its weight_map is no table of names")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{source} is no index of safetensors files: {error}.") from None
    shards: dict[str, dict[str, Array]] = {}
    for file in dict.fromkeys(places.values()):
        if not file or Path(file).name != file or "\\" in file:
            raise CheckpointError(f"{source} names the file {file!r}, which is not beside it.")
        path = source.parent / file
        if not path.exists():
            raise CheckpointError(f"{source} names {file}, and {path} does not exist. Put the files in one folder.")
        check_source(path)
        shards[file] = read(path.read_bytes(), path)[0]
    lost = [name for name, file in places.items() if name not in shards[file]]
    if lost:
        raise CheckpointError(f"{source} names tensors that its files lack: {', '.join(lost[:10])}.")
    return {name: shards[file][name] for name, file in places.items()}
