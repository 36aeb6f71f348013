"""``torch.save`` and ``torch.load``: checkpoints as PyTorch writes and reads them, and safetensors files.

Neither needs PyTorch, and no file is run as code: see `ranvier.data.torch_archive`. In a safetensors file the tensors
of a state dict are stored under their names. For nested values the tensors are numbered, and the file's metadata holds
the rest as JSON.
"""

from __future__ import annotations

import io
import json
import os
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np

from ranvier.graph.dtypes import DTYPES, dtype_of, widened
from ranvier.module.parameter import Parameter
from ranvier.tensor.tensor import Tensor

KEY = "torch"  # the key in the metadata
BFLOAT16 = "bfloat16"
PLAIN = (str, int, float, bool, type(None))
SAFETENSORS = ".safetensors"


def save(obj: Any, f: Any, *, max_shard_size: int | str | None = None) -> None:
    """Write a state dict, or dicts, lists and tuples of state dicts, numbers and texts.

    PyTorch reads the file with ``torch.load``. ``f`` is a path, whose file is replaced atomically, or a file open for
    binary writing, such as ``io.BytesIO()``. To a path that ends with ``.safetensors`` such a file is written. A state
    dict that is larger than ``max_shard_size`` (bytes, or ``'5GB'``) is written to several, ``model-00001-of-00002``
    and so on, with the index ``model.safetensors.index.json``; so it is for the path of an index, by 5GB. Raises
    TypeError for other values: save a whole model with ``model.save(path)``; ValueError for another size.

    >>> torch.save(net.state_dict(), 'model.safetensors', max_shard_size='500MB')
    """
    from ranvier.data import files, safetensors_files

    opened = _is_open(f, "write")
    if not opened and (max_shard_size is not None or os.fspath(f).endswith(SAFETENSORS + safetensors_files.INDEX)):
        _save_shards(obj, f, safetensors_files.LARGEST if max_shard_size is None else max_shard_size)
        return
    if max_shard_size is not None:
        raise TypeError("an open file has no max_shard_size. Write a path that ends with .safetensors instead.")
    if not opened and os.fspath(f).endswith(SAFETENSORS):
        data = _safetensors(obj)
    else:
        from ranvier.data.torch_archive import to_bytes

        data = to_bytes(obj, _stored, _refusal)
    if opened:
        f.write(data)
    else:
        files.write_bytes(f, data, "model.pt")


def _save_shards(obj: Any, f: Any, largest: int | str) -> None:
    from pathlib import Path

    from ranvier.data.safetensors_files import INDEX, write_shards

    if not os.fspath(f).removesuffix(INDEX).endswith(SAFETENSORS):
        raise ValueError(f"{f} has max_shard_size={largest!r}. Write a path that ends with .safetensors instead.")
    if not isinstance(obj, Mapping) or not obj or not all(map(_is_plain, obj.values())):
        raise TypeError(
            "files of safetensors with an index hold a state dict of tensors, none of them bfloat16. Write "
            "torch.save(model.state_dict(), path, max_shard_size='5GB')."
        )
    write_shards(Path(f), {str(name): np.asarray(value) for name, value in obj.items()}, largest)


def _stored(value: Any) -> Any:
    """A tensor or an array as a checkpoint holds it; None for anything else."""
    from ranvier.data.torch_archive import StoredTensor

    if isinstance(value, Tensor):
        return StoredTensor(value.compute(), value.requires_grad, isinstance(value, Parameter))
    if not isinstance(value, np.ndarray):
        return None
    if dtype_of(value) not in DTYPES:
        raise TypeError(f"an array of {value.dtype} is no tensor. Write one of {', '.join(DTYPES)} instead.")
    return StoredTensor(value)


def _refusal(value: Any, path: str) -> TypeError:
    return TypeError(
        f"torch.save writes tensors, numbers, texts, and dicts and lists of them, and here is a {type(value).__name__}"
        f"{f' at {path}' if path else ''}. Write torch.save(model.state_dict(), path), or model.save(path)."
    )


def _is_open(f: Any, method: str) -> bool:
    """Whether ``f`` is an open binary file, and no path. Raises TypeError for anything else."""
    if isinstance(f, (str, os.PathLike)):
        return False
    if isinstance(f, io.TextIOBase):
        raise TypeError(f"{f!r} is open for text. Write open(path, '{method[0]}b'), or the path, instead.")
    if not hasattr(f, method):
        raise TypeError(f"a {type(f).__name__} is no file to {method}. Write a path, or a file that is open, instead.")
    return True


# --- safetensors --------------------------------------------------------------------------------------------------


def _safetensors(obj: Any) -> bytes:
    from ranvier.data.files import to_bytes

    if isinstance(obj, Mapping) and obj and all(map(_is_plain, obj.values())):
        return to_bytes({str(name): np.asarray(value) for name, value in obj.items()}, {})
    tensors: dict[str, Any] = {}
    described = json.dumps(_encode(obj, "", tensors))
    return to_bytes(tensors, {KEY: described})


def _is_plain(value: Any) -> bool:
    """Whether a file holds a value as it is: a tensor or an array, not of bfloat16, which is stored as float32."""
    return isinstance(value, np.ndarray) or (isinstance(value, Tensor) and value.dtype != BFLOAT16)


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
    raise _refusal(value, path)


def _key(key: Any, path: str) -> Any:
    if not isinstance(key, (str, int)):
        raise TypeError(f"the key {key!r}{f' at {path}' if path else ''} is neither text nor a whole number.")
    return key


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


# --- reading ------------------------------------------------------------------------------------------------------


def load(f: Any, map_location: Any = None, *, weights_only: bool = True) -> Any:
    """What `save` wrote here or in PyTorch, or the tensors of any safetensors file by their names.

    ``f`` is a path, or a file open for binary reading, which is read from its position to its end; or the path of the
    index of several safetensors files (``model.safetensors.index.json``), which lie beside it; its ``.index.json`` may
    be left out. Of PyTorch's checkpoints it reads tensors, parameters, numbers and texts, and dicts, lists and tuples
    of them. Raises ValueError for other contents, of which none is run as code.
    """
    from pathlib import Path

    from ranvier.data import safetensors_files, torch_archive
    from ranvier.data.files import PICKLED, UNPICKLED, CheckpointError, check_source
    from ranvier.data.kinds import check_kind

    if _is_open(f, "read"):
        data = f.read()
        if not data:
            raise ValueError(f"{f!r} holds nothing after its position. Write f.seek(0) before torch.load(f).")
    else:
        index = f"{os.fspath(f)}{safetensors_files.INDEX}"
        if os.fspath(f).endswith(SAFETENSORS) and not Path(f).exists() and Path(index).exists():
            f = index  # it is in several files
        check_source(f)
        data = Path(f).read_bytes()
        if os.fspath(f).endswith(safetensors_files.INDEX):
            return OrderedDict((name, _tensor(a)) for name, a in safetensors_files.read_shards(data, Path(f)).items())
    check_kind(data, f, "torch", "safetensors")
    if data.startswith((torch_archive.ZIP, torch_archive.OLD)):
        return torch_archive.read(data, f, _tensor, Parameter)
    if not safetensors_files.looks_like(data):
        if data.startswith(PICKLED):
            raise CheckpointError(f"{f} is a pickle, as Python writes: {UNPICKLED}")
        raise CheckpointError(
            f"{f} is neither a checkpoint of PyTorch nor a safetensors file. Write it with "
            "torch.save(model.state_dict(), path)."
        )
    arrays, metadata = safetensors_files.read(data, f)
    tensors = OrderedDict((name, _tensor(array)) for name, array in arrays.items())
    if KEY not in metadata:
        return tensors
    try:
        return _decode(json.loads(metadata[KEY]), tensors)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{f} is damaged: its description cannot be read ({error}).") from None


def _tensor(array: Any, requires_grad: bool = False) -> Tensor:
    return Tensor(array, dtype=dtype_of(array), requires_grad=requires_grad)
