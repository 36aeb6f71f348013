"""Which format a file of a model has, by its first bytes, and which function reads it."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import NamedTuple

from ranvier.data.files import CheckpointError
from ranvier.data.safetensors_files import looks_like
from ranvier.data.torch_archive import DAMAGED, OLD, ZIP

HDF5 = b"\x89HDF\r\n\x1a\n"
# A file of ONNX: the version of its form, then the producer, the graph or the sets of operators.
ONNX = re.compile(rb"\x08.[\x12\x1a\x3a\x42]", re.DOTALL)


class Kind(NamedTuple):
    """A format: its name here, what a file of it is, and what reads it."""

    name: str
    what: str
    reads: str


KERAS = Kind("keras", "a file of Keras", "rv.load_model(path) or model.load_weights(path)")
TORCH = Kind("torch", "a checkpoint of PyTorch", "ranvier.torch.load(path)")
ONNX_MODEL = Kind("onnx", "a model of ONNX", "rv.from_onnx(path)")
TENSORS = Kind("safetensors", "a safetensors file", "rv.load_model(path) or ranvier.torch.load(path)")


def kind_of(data: bytes, file: Path | None = None) -> Kind | None:
    """The format of a file's bytes, or of its first bytes and itself; None for one that is not known, or damaged."""
    if data.startswith(HDF5):
        return KERAS
    if data.startswith(OLD):
        return TORCH
    if data.startswith(ZIP):
        return _of_zip(io.BytesIO(data) if file is None else file)
    if looks_like(data):
        return TENSORS
    return ONNX_MODEL if ONNX.match(data) else None


def _of_zip(file: Path | io.BytesIO) -> Kind | None:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except DAMAGED:
        return None
    if "config.json" in names:
        return KERAS
    return TORCH if any(name.endswith("/data.pkl") for name in names) else None


def check_kind(data: bytes, source: object, *read: str) -> None:
    """Raise CheckpointError for a file of another format than those that are read here."""
    kind = kind_of(data)
    if kind is not None and kind.name not in read:
        raise CheckpointError(f"{source} is {kind.what}. Write {kind.reads} instead.")
