"""``torch.save`` and ``torch.load`` for state dicts, as safetensors files: no pickle, no code in them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np

from ranvier.tensor import Tensor

__all__ = ["load", "save"]


def save(obj: Any, f: Any) -> None:
    """Write a state dict (names and tensors) into a safetensors file, whole or not at all.

    Raises TypeError for anything else: a whole model is saved with ``model.save(path)``.
    """
    from pathlib import Path

    from ranvier.training.files import write

    if not isinstance(obj, Mapping) or not all(isinstance(v, (Tensor, np.ndarray)) for v in obj.values()):
        raise TypeError(
            "torch.save writes state dicts. Write torch.save(model.state_dict(), path), or model.save(path)."
        )
    write(Path(f), {str(name): np.asarray(value) for name, value in obj.items()}, {})


def load(f: Any, map_location: Any = None, *, weights_only: bool = True) -> OrderedDict[str, Tensor]:
    """The state dict in a safetensors file. Raises ValueError for a file of another kind."""
    from pathlib import Path

    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    try:
        arrays = from_bytes(Path(f).read_bytes())
    except SafetensorError as error:
        raise ValueError(
            f"{f} is no safetensors file ({error}). Write it with torch.save(model.state_dict(), path)."
        ) from None
    return OrderedDict((name, Tensor(array, dtype=array.dtype.name)) for name, array in arrays.items())
