"""``torch.save`` and ``torch.load`` for checkpoints, as safetensors files without pickles or code.

The tensors of a state dict are stored under their names. For nested values, such as a dict with the state dicts of a
model and an optimizer, the tensors are numbered, and the file's metadata holds the rest as JSON.
"""

from __future__ import annotations

import io
import json
import os
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np

from ranvier.graph.dtypes import widened
from ranvier.tensor.tensor import Tensor

KEY = "torch"  # the key in the metadata
BFLOAT16 = "bfloat16"
PLAIN = (str, int, float, bool, type(None))


def save(obj: Any, f: Any) -> None:
    """Write a state dict, or dicts, lists and tuples of state dicts, numbers and texts.

    ``f`` is a path, whose file is replaced atomically, or a file open for binary writing, such as ``io.BytesIO()``.
    Raises TypeError for other values: save a whole model with ``model.save(path)``.
    """
    from pathlib import Path

    from ranvier.data.files import to_bytes, write

    opened = _is_open(f, "write")
    if isinstance(obj, Mapping) and obj and all(map(_is_plain, obj.values())):
        tensors, metadata = {str(name): np.asarray(value) for name, value in obj.items()}, {}
    else:
        tensors = {}
        metadata = {KEY: json.dumps(_encode(obj, "", tensors))}
    if opened:
        f.write(to_bytes(tensors, metadata))
    else:
        write(Path(f), tensors, metadata)


def _is_plain(value: Any) -> bool:
    """Whether a file holds a value as it is: a tensor or an array, not of bfloat16, which is stored as float32."""
    return isinstance(value, np.ndarray) or (isinstance(value, Tensor) and value.dtype != BFLOAT16)


def _is_open(f: Any, method: str) -> bool:
    """Whether ``f`` is an open binary file, and no path. Raises TypeError for anything else."""
    if isinstance(f, (str, os.PathLike)):
        return False
    if isinstance(f, io.TextIOBase):
        raise TypeError(f"{f!r} is open for text. Write open(path, '{method[0]}b'), or the path, instead.")
    if not hasattr(f, method):
        raise TypeError(f"a {type(f).__name__} is no file to {method}. Write a path, or a file that is open, instead.")
    return True


def _encode(value: Any, path: str, tensors: dict[str, Any]) -> Any:
    """A value as JSON can hold it; tensors are replaced by their numbers."""
    if isinstance(value, (Tensor, np.ndarray)):
        name = str(len(tensors))
        if isinstance(value, Tensor) and value.dtype == BFLOAT16:
            tensors[name] = widened(value.compute())
            return {BFLOAT16: name}
        tensors[name] = np.asarray(value)
        return {"tensor": name}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, Mapping):
        return {"dict": [[_key(k, path), _encode(v, f"{path}[{k!r}]", tensors)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        parts = [_encode(v, f"{path}[{i}]", tensors) for i, v in enumerate(value)]
        return {"tuple": parts} if isinstance(value, tuple) else parts
    raise TypeError(
        f"torch.save writes tensors, numbers, texts, and dicts and lists of them, and here is a {type(value).__name__}"
        f"{f' at {path}' if path else ''}. Write torch.save(model.state_dict(), path), or model.save(path)."
    )


def _key(key: Any, path: str) -> Any:
    if not isinstance(key, (str, int)):
        raise TypeError(f"the key {key!r}{f' at {path}' if path else ''} is neither text nor a whole number.")
    return key


def load(f: Any, map_location: Any = None, *, weights_only: bool = True) -> Any:
    """What `save` wrote, or the tensors of any safetensors file by their names.

    ``f`` is a path, or a file open for binary reading, which is read from its position to its end. Raises ValueError
    for other contents.
    """
    from pathlib import Path

    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    from ranvier.data.files import PICKLED, UNPICKLED, check_source

    if _is_open(f, "read"):
        data = f.read()
        if not data:
            raise ValueError(f"{f!r} holds nothing after its position. Write f.seek(0) before torch.load(f).")
    else:
        check_source(f)
        data = Path(f).read_bytes()
    try:
        arrays = from_bytes(data)
    except SafetensorError as error:
        if data.startswith(PICKLED):
            raise ValueError(f"{f} is a pickle, as PyTorch and Python write: {UNPICKLED}") from None
        raise ValueError(
            f"{f} is no safetensors file ({error}). Write it with torch.save(model.state_dict(), path)."
        ) from None
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    tensors = OrderedDict((name, Tensor(array, dtype=array.dtype.name)) for name, array in arrays.items())
    described = header.get("__metadata__", {}).get(KEY)
    return tensors if described is None else _decode(json.loads(described), tensors)


def _decode(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_decode(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    ((kind, held),) = value.items()
    if kind == "tensor":
        return tensors[held]
    if kind == BFLOAT16:
        return Tensor(tensors[held].compute(), dtype=BFLOAT16)
    if kind == "tuple":
        return tuple(_decode(v, tensors) for v in held)
    return {key: _decode(v, tensors) for key, v in held}
