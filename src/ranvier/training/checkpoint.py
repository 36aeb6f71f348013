"""Saved models: one safetensors file with weights, optimizer state and, in its metadata, the architecture as JSON.

No code is saved or run. Files are written whole or not at all, and every tensor has a checksum.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ranvier import metrics, optimizers
from ranvier.data.convert import Array
from ranvier.module import Module, from_architecture
from ranvier.training.objective import Criterion
from ranvier.training.state import Compiled
from ranvier.training.state import compile as compile_model

__all__ = ["CheckpointError", "load_model", "save"]

VERSION = 1
KEY = "ranvier"  # of the metadata
LARGEST_HEADER = 100 << 20
_DTYPES = {"F32": "<f4", "F64": "<f8", "I32": "<i4", "U32": "<u4", "U8": "u1", "BOOL": "?"}


class CheckpointError(ValueError):
    """A file that is no saved model, is damaged, or needs a newer version."""


# --- writing ------------------------------------------------------------------------------------------------------


def save(model: Module, path: Any, *, include_optimizer: bool = True, overwrite: bool = True) -> None:
    """Write ``model`` to ``path``: architecture, weights, how it was compiled, and the optimizer's state.

    The file is the old one or the new one, whole, whatever happens meanwhile. Raises TypeError naming a layer whose
    class is not registered, OSError where the file cannot be written, and warns where a loss or metric is a function
    of yours, which no file can hold.
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a directory. Write {target / 'model.ranvier'} instead.")
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists. Write overwrite=True, or another name, instead.")
    tensors = {f"weights/{name}": tensor.numpy() for name, tensor in model.state_dict().items()}
    state = model.__dict__.get("_compiled")
    settings = None
    if isinstance(state, Compiled):
        settings = settings_of(state)
        if include_optimizer and settings is not None and state.optimizer.parameters:
            tensors |= {f"optimizer/{name}": array for name, array in state.optimizer.state().items()}
    described = {
        "version": VERSION,
        "architecture": model.architecture(),
        "compiled": settings,
        "checksums": {name: checksum(array) for name, array in tensors.items()},
    }
    write(target, tensors, {KEY: json.dumps(described, ensure_ascii=False)})


def settings_of(state: Compiled) -> dict[str, Any] | None:
    """How a model was compiled, as plain values; None, with a warning, where a function of the user's is part of it."""
    own = []
    if isinstance(state.loss, Criterion) or (
        state.loss is not None and type(state.loss).__name__ not in names()
    ):
        own.append(f"the loss {state.loss.name!r}")
    own += [
        f"the metric {m.name!r}"
        for m in state.metrics
        if metrics.CLASSES.get(type(m).__name__) is not type(m)
    ]
    if own:
        warnings.warn(
            f"{' and '.join(own)} cannot be saved, since a file holds no code. "
            "Write compile(...) again after load_model.",
            UserWarning,
            stacklevel=5,
        )
        return None
    loss = (
        None
        if state.loss is None
        else {"class_name": type(state.loss).__name__, "config": state.loss.config()}
    )
    described = [metrics.describe(m) for m in state.metrics]
    return {
        "optimizer": optimizers.describe(state.optimizer),
        "loss": loss,
        "metrics": [m for m, weighted in zip(described, state.weighted, strict=True) if not weighted],
        "weighted_metrics": [m for m, weighted in zip(described, state.weighted, strict=True) if weighted],
        "engine": state.engine,
        "columns": state.columns,
    }


def names() -> Any:
    from ranvier import losses

    return losses.names()


def checksum(array: Array) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:32]


def write(target: Path, tensors: Mapping[str, Array], metadata: dict[str, str]) -> None:
    """Write a file beside the target, make sure that it is on the disk, and only then give it the name."""
    from safetensors.numpy import save as to_bytes

    # Safetensors writes the memory as it lies, which is wrong for any other order than C.
    whole = to_bytes({name: np.array(array, order="C", ndmin=0) for name, array in tensors.items()}, metadata)
    folder = target.parent
    for orphan in folder.glob(
        f".{glob_escape(target.name)}.*.tmp"
    ):  # of a process that was killed while it saved
        with contextlib.suppress(OSError):
            if not alive(orphan.name):
                orphan.unlink()
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.{os.getpid()}-", suffix=".tmp", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(whole)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o666 & ~umask())
        Path(name).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    if hasattr(os, "O_DIRECTORY"):  # the new name is on the disk when its folder is
        folder_handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder_handle)
        finally:
            os.close(folder_handle)


def glob_escape(name: str) -> str:
    import glob

    return glob.escape(name)


def alive(orphan: str) -> bool:
    """Whether the process that is writing this temporary file still runs."""
    number = orphan.rsplit(".", 2)[1].partition("-")[0]
    if not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def umask() -> int:
    """The process's file mode mask, which can only be read by setting it."""
    current = os.umask(0o077)
    os.umask(current)
    return current


# --- reading ------------------------------------------------------------------------------------------------------


def load_model(path: Any, *, compile: bool = True) -> Any:
    """The model that ``save`` wrote, compiled as it was (unless ``compile=False``) and with its optimizer's state.

    Classes come from a fixed registry; nothing in the file is run. Raises CheckpointError for a file that is
    truncated, altered, no model, or of a newer version, naming the tensor where there is one.
    """
    source = Path(path)
    if source.is_dir():
        raise IsADirectoryError(f"{source} is a directory. Write the name of a saved model in it instead.")
    described, tensors = read(source)
    model = from_architecture(described["architecture"])
    weights = {n.removeprefix("weights/"): a for n, a in tensors.items() if n.startswith("weights/")}
    try:
        model.load_state_dict(weights)
    except ValueError as error:
        raise CheckpointError(f"{source}: {error}") from error
    settings = described.get("compiled")
    if compile and settings is not None:
        restore(model, settings, tensors, source)
    return model


def restore(model: Module, settings: dict[str, Any], tensors: dict[str, Array], source: Path) -> None:
    columns = settings.pop("columns", None)
    try:
        compile_model(model, **settings)
        state = model.__dict__["_compiled"]
        state.columns = columns
        kept = {n.removeprefix("optimizer/"): a for n, a in tensors.items() if n.startswith("optimizer/")}
        if kept:
            state.optimizer.attach(model.parameters())
            state.optimizer.set_state(kept)
    except (TypeError, KeyError, ValueError) as error:
        raise CheckpointError(f"{source} does not say how to train the model: {error}") from error


def read(source: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """The description and the checked tensors of a file."""
    data = source.read_bytes()
    header = header_of(data, source)
    metadata = header.pop("__metadata__", {})
    start = 8 + struct.unpack("<Q", data[:8])[0]
    try:
        described = json.loads(metadata[KEY])
        version = int(described["version"])
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(
            f"{source} is a safetensors file, but no saved model: it has no description. Write "
            "model.load_state_dict(safetensors.numpy.load_file(path)) for weights alone."
        ) from None
    if version > VERSION:
        raise CheckpointError(
            f"{source} has format version {version}, and this Ranvier reads up to {VERSION}. Install a newer Ranvier."
        )
    tensors = {}
    for name, entry in header.items():
        tensors[name] = tensor_of(data, start, name, entry, source)
        if described["checksums"].get(name) != checksum(tensors[name]):
            raise CheckpointError(
                f"{source} is damaged: tensor {name!r} does not have the checksum it was saved with."
            )
    missing = described["checksums"].keys() - tensors.keys()
    if missing:
        raise CheckpointError(f"{source} is damaged: it lacks {sorted(missing)}.")
    return described, tensors


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("a name appears twice")
    return result


def header_of(data: bytes, source: Path) -> dict[str, Any]:
    """The header of a safetensors file: its length in eight bytes, then JSON."""
    size = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else 0
    if not 2 <= size <= LARGEST_HEADER:
        raise CheckpointError(f"{source} is no saved model ({len(data):,} bytes that do not begin like one).")
    if 8 + size > len(data):
        raise CheckpointError(
            f"{source} is truncated: {len(data):,} bytes, of which the header alone needs {8 + size:,}."
        )
    try:
        header = json.loads(data[8 : 8 + size].decode("utf-8"), object_pairs_hook=unique)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{source} is damaged: its header cannot be read ({error}).") from None
    if not isinstance(header, dict):
        raise CheckpointError(f"{source} is no saved model: its header is not an object.")
    return header


def tensor_of(data: bytes, start: int, name: str, entry: Any, source: Path) -> Array:
    try:
        dtype = np.dtype(_DTYPES[entry["dtype"]])
        shape = tuple(int(n) for n in entry["shape"])
        low, high = (int(n) for n in entry["data_offsets"])
        count = 1
        for n in shape:
            count *= n
        if min((low, high - low, *shape)) < 0 or count * dtype.itemsize != high - low:
            raise ValueError("its size and its place do not agree")
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{source} is damaged: tensor {name!r} is described wrongly ({error})."
        ) from None
    if start + high > len(data):
        raise CheckpointError(
            f"{source} is truncated: tensor {name!r} ends at byte {start + high:,} of {len(data):,}."
        )
    array = np.frombuffer(data, dtype, count, start + low).reshape(shape)
    return array.astype(dtype.newbyteorder("="))
