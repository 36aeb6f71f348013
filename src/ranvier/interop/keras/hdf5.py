"""HDF5 files as plain dicts of arrays and attributes, which h5py reads and writes.

A file is one tree: links to elsewhere, and arrays whose numbers are in other files, are refused before they are read.
"""

from __future__ import annotations

import atexit
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.data.files import CheckpointError
from ranvier.support.exits import at_end, finite

MAGIC = b"\x89HDF\r\n\x1a\n"
DEEPEST = 64
LARGEST_RATIO = 1100  # of compressed arrays, beyond what deflate reaches
SLACK = 64 << 20
ATTRIBUTE = 64_000  # bytes of an attribute, which HDF5 limits to 64 KiB


@dataclass
class Tree:
    """What an HDF5 file holds, by path: arrays, and the attributes of groups and arrays."""

    arrays: dict[str, Array] = field(default_factory=dict)
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)

    def below(self, path: str) -> Tree:
        """The part of the tree in a group."""
        start = f"{path}/"
        return Tree(
            {name.removeprefix(start): a for name, a in self.arrays.items() if name.startswith(start)},
            {name[len(path) :].lstrip("/"): a for name, a in self.attributes.items() if f"{name}/".startswith(start)},
            {name.removeprefix(start) for name in self.groups if name.startswith(start)},
        )


@cache
def library() -> Any:
    """h5py. Raises ModuleNotFoundError that says how to install it."""
    try:
        import h5py
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "files of Keras need h5py, which is not installed. Write: pip install 'ranvier[h5]'"
        ) from None
    if end := getattr(h5py, "_unregister_converters", None):
        # The last import ends first, before what the program itself does at its end: it may save models.
        atexit.unregister(end)
        at_end(end)
    return h5py


@contextmanager
def _opened(file: Any, source: Any) -> Iterator[Any]:
    """A file that h5py reads. Raises CheckpointError where it is damaged, and where parts of it are elsewhere."""
    h5py = library()
    try:
        with finite.busy(), h5py.File(file, "r") as opened:
            yield opened
    except _RefusedError as error:
        raise CheckpointError(f"{source} cannot be read: {error}.") from None
    except (
        ArithmeticError, LookupError, MemoryError, NotImplementedError, OSError, RuntimeError, TypeError, ValueError,
    ) as error:  # fmt: skip
        raise CheckpointError(f"{source} is a damaged HDF5 file: {error}.") from None


def read(data: bytes, source: Any) -> Tree:
    """The tree of a file. Raises CheckpointError for a damaged file, and for one with parts elsewhere."""
    tree = Tree()
    with _opened(io.BytesIO(data), source) as file:
        left = len(data) + SLACK
        tree.attributes[""] = dict(_attributes(file))
        for path, item in _items(file):
            tree.attributes[path] = dict(_attributes(item))
            if isinstance(item, library().Group):
                tree.groups.add(path)
                continue
            left -= item.nbytes
            if item.nbytes > LARGEST_RATIO * len(data) or left < 0:
                raise _RefusedError(f"the array {path!r} of {item.nbytes:,} bytes is larger than the file")
            tree.arrays[path] = np.asarray(item[()])
    return tree


def listed(file: Any, source: Any) -> list[tuple[str, tuple[int, ...], str]]:
    """The path, the shape and the element type of each array, without its numbers."""
    with _opened(file, source) as opened:
        found = [(path, item) for path, item in _items(opened) if isinstance(item, library().Dataset)]
        return [(path, tuple(item.shape), item.dtype.name) for path, item in found]


def names(file: Any, source: Any) -> dict[str, str]:
    """The names of layers by the paths of the groups that hold their weights, where a file says them."""
    with _opened(file, source) as opened:
        said = ((path, dict(_attributes(item)).get("name")) for path, item in _items(opened))
        return {path: name for path, name in said if isinstance(name, str)}


def top(file: Any, source: Any) -> dict[str, Any]:
    """The attributes of a file itself, of which earlier versions of Keras make the configuration."""
    with _opened(file, source) as opened:
        return dict(_attributes(opened))


class _RefusedError(Exception):
    """Something that no file of weights holds."""


def _items(group: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The paths and the objects of the groups and arrays in a group."""
    h5py = library()
    if depth > DEEPEST:
        raise _RefusedError(f"its groups are nested more than {DEEPEST} deep")
    for name in group:
        place = f"{path}/{name}" if path else str(name)
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise _RefusedError(f"{place!r} is a link to elsewhere, and only the file itself is read")
        item = group[name]
        if isinstance(item, h5py.Group):
            yield place, item
            yield from _items(item, place, depth + 1)
        elif not isinstance(item, h5py.Dataset) or item.is_virtual or item.external or item.dtype.kind not in "biufSV":
            raise _RefusedError(f"{place!r} is no array of numbers in the file itself")
        else:
            yield place, item


def _attributes(item: Any) -> Iterator[tuple[str, Any]]:
    for name in item.attrs:
        value = item.attrs[name]
        yield str(name), value.decode("utf-8") if isinstance(value, bytes) else value


def texts(tree: Tree, path: str, name: str) -> list[str]:
    """An attribute that holds texts, and which may be in several pieces: ``name0``, ``name1`` and so on."""
    held = tree.attributes.get(path, {})
    pieces = [held[name]] if name in held else []
    while name not in held and f"{name}{len(pieces)}" in held:
        pieces.append(held[f"{name}{len(pieces)}"])
    parts = [part for piece in pieces for part in np.asarray(piece).ravel().tolist()]
    # A damaged name is the name of nothing.
    return [part.decode("utf-8", "backslashreplace") if isinstance(part, bytes) else str(part) for part in parts]


@finite.busy()
def write(tree: Tree) -> bytes:
    """The bytes of a file with this tree, without the time of writing."""
    h5py = library()
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for path in sorted(tree.groups):
            file.require_group(path)
        for path, array in tree.arrays.items():
            file.create_dataset(path, data=array, track_times=False)
        for path, held in tree.attributes.items():
            for name, value in held.items():
                _write_attribute(file[path] if path else file, name, value)
    return buffer.getvalue()


def _write_attribute(item: Any, name: str, value: Any) -> None:
    """An attribute; a list of texts that is too long for one is written in pieces."""
    if not isinstance(value, list):
        item.attrs[name] = value
        return
    encoded = np.array([text.encode("utf-8") for text in value]) if value else np.zeros(0)
    count = -(-encoded.nbytes // ATTRIBUTE)
    if count <= 1:
        item.attrs[name] = encoded
        return
    for i, piece in enumerate(np.array_split(encoded, count)):
        item.attrs[f"{name}{i}"] = piece


def nested(arrays: Mapping[str, Array]) -> dict[str, list[Array]]:
    """The arrays of each group ``.../vars`` in the order of their numbers."""
    found: dict[str, dict[int, Array]] = {}
    for path, array in arrays.items():
        group, _, number = path.rpartition("/")
        if number.isdecimal():
            found.setdefault(group, {})[int(number)] = array
    return {group: [held[i] for i in sorted(held)] for group, held in found.items()}
