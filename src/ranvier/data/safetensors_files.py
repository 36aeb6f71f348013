"""Tensors by name in safetensors files that any library wrote, and in several of them with an index."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.data.files import (
    DTYPES,
    CheckpointError,
    check_places,
    check_source,
    header_of,
    place_of,
    to_bytes,
    unique,
    write_set,
)
from ranvier.graph.dtypes import array_dtype

END = ".safetensors"
INDEX = ".index.json"  # the end of the name of an index
LARGEST = "5GB"  # of a shard, as others write them
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(I?)B", re.IGNORECASE)
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


def places_of(index: bytes, source: Path) -> dict[str, str]:
    """The file beside an index in which each tensor is. Raises CheckpointError for a file that is missing, and for a
    name that leads out of the folder.
    """
    try:
        places = json.loads(index, object_pairs_hook=unique)["weight_map"]
        if not isinstance(places, Mapping) or not all(isinstance(file, str) for file in places.values()):
            raise ValueError("its weight_map is no table of names")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{source} is no index of safetensors files: {error}.") from None
    for file in dict.fromkeys(places.values()):
        if not file or Path(file).name != file or "\\" in file or "\0" in file:
            raise CheckpointError(f"{source} names the file {file!r}, which is not beside it.")
        path = source.parent / file
        if not path.exists():
            raise CheckpointError(f"{source} names {file}, and {path} does not exist. Put the files in one folder.")
        check_source(path)
    return dict(places)


def read_shards(index: bytes, source: Path) -> dict[str, Array]:
    """The tensors that an index lists, from the files beside it. Raises CheckpointError as `places_of` does, and for a
    tensor that its file lacks.
    """
    places = places_of(index, source)
    shards: dict[str, dict[str, Array]] = {}
    for file in dict.fromkeys(places.values()):
        path = source.parent / file
        shards[file] = read(path.read_bytes(), path)[0]
    lost = [name for name, file in places.items() if name not in shards[file]]
    if lost:
        raise CheckpointError(f"{source} names tensors that its files lack: {', '.join(lost[:10])}.")
    return {name: shards[file][name] for name, file in places.items()}


# --- writing ------------------------------------------------------------------------------------------------------


def bytes_of(size: int | str) -> int:
    """A number of bytes, from itself or from a text: "5GB" (10**9 each) or "5GiB" (2**30). Raises ValueError."""
    found = SIZE.fullmatch(size.strip()) if isinstance(size, str) else None
    if found is not None:
        number, prefix, binary = found.groups()
        count = int(float(number) * (1024 if binary else 1000) ** " KMGT".index(prefix.upper() or " "))
    else:
        count = int(size) if isinstance(size, int) and not isinstance(size, bool) else 0
    if count < 1:
        raise ValueError(f"max_shard_size={size!r} is no size. Write a number of bytes, or '5GB', instead.")
    return count


def write_shards(path: Path, tensors: Mapping[str, Array], largest: int | str = LARGEST) -> None:
    """Write tensors to files of at most so many bytes of numbers, in their order, and an index of them.

    For ``model.safetensors``, or its index, they are ``model-00001-of-00002.safetensors`` and so on, and
    ``model.safetensors.index.json``; what fits one file is one, without an index. A tensor that is larger has a file of
    its own. Files of an earlier save that the new ones do not replace are removed. Raises OSError as `write_set`.
    """
    title = path.name.removesuffix(INDEX).removesuffix(END)
    whole, index = (path.with_name(title + end) for end in (END, END + INDEX))
    groups = [dict[str, Array]()]
    room = limit = bytes_of(largest)
    for name, array in tensors.items():
        if groups[-1] and array.nbytes > room:
            groups.append({})
            room = limit
        groups[-1][name] = array
        room -= array.nbytes
    names = [f"{title}-{i:05d}-of-{len(groups):05d}{END}" for i in range(1, len(groups) + 1)]
    names = names if len(groups) > 1 else [whole.name]

    def files() -> Iterator[tuple[Path, bytes]]:
        for name, group in zip(names, groups, strict=True):
            yield path.with_name(name), to_bytes(group, {"format": "pt"})
        if len(groups) > 1:
            places = {key: name for name, group in zip(names, groups, strict=True) for key in group}
            total = sum(array.nbytes for array in tensors.values())
            described = {"metadata": {"total_size": total}, "weight_map": places}
            yield index, (json.dumps(described, indent=2, ensure_ascii=False) + "\n").encode()

    write_set(files())
    kept = {*names, *([index.name] if len(groups) > 1 else [])}
    for old in replaced_by(path):
        if old.name not in kept:
            old.unlink()


def replaced_by(path: Path) -> list[Path]:
    """The files that `write_shards` replaces or removes."""
    title = re.escape(path.name.removesuffix(INDEX).removesuffix(END))
    pattern = re.compile(rf"{title}(-\d{{5}}-of-\d{{5}}{re.escape(END)}|{re.escape(END)}({re.escape(INDEX)})?)")
    folder = path.parent
    return [
        old for old in (folder.iterdir() if folder.is_dir() else ()) if pattern.fullmatch(old.name) and old.is_file()
    ]
