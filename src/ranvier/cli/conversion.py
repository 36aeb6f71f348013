"""``ranvier convert``: a model, its weights or its program, from one format to another."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ranvier.cli.targets import check_targets
from ranvier.support.errors import likely

STATES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".index.json")
KERAS_WEIGHTS = ".weights.h5"
ONNX, PROGRAM = ".onnx", ".py"
MODELS = (".ranvier", ".keras", ".h5", ONNX)


def convert(
    source: Path, target: Path, model: Path | None = None, library: str = "ranvier", max_shard_size: str | None = None
) -> None:
    """Read a file, and write it in the format that the end of the other name says.

    The weights of a model go to a file of weights as PyTorch has them: the state dict of ``model.to_torch()``, in
    files of at most ``max_shard_size`` where that is given. Weights become a model with the architecture of the file
    ``model``. To a name that ends with ``.py`` the program of the model for ``library`` is written. Raises ValueError
    for weights without a model and for a name of no format, TypeError naming a layer that the other format lacks,
    FileNotFoundError for a source that is not there, FileExistsError for a target that is read, and changes nothing.
    """
    ends = (*MODELS, *STATES[:-1], KERAS_WEIGHTS, PROGRAM)
    if not target.name.lower().endswith(ends):
        close = likely(target.suffix, ends) if target.suffix else None
        hint = f" Did you mean {close}?" if close else ""
        raise ValueError(f"the end of {target} says no format. Write a name that ends with {', '.join(ends)}.{hint}")
    for path in (source, model):
        if path is not None and not path.exists():  # before a package is asked for that would read it
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    check_targets([target, *written(target)], [*_read(source), *([] if model is None else _read(model))])
    states = [path.name.endswith(STATES) for path in (source, target)]
    weights = [path.name.endswith((*STATES, KERAS_WEIGHTS)) for path in (source, target)]
    if all(states):
        _save_state(_state(source), target, max_shard_size)
        return
    if weights[0] and model is None:
        raise ValueError(
            f"{source} is for weights alone. Write --model FILE, too, a model of which all but the weights is taken."
        )
    whole = _model(source if model is None else model)
    if weights[0]:
        whole.load_weights(source)
    if target.name.endswith(KERAS_WEIGHTS):
        whole.save_weights(target)
    elif states[1]:
        from ranvier.interop.torch.states import torch_state

        _save_state(torch_state(whole), target, max_shard_size)
    elif target.name.endswith(PROGRAM):
        from ranvier.data import files
        from ranvier.interop.code import to_code

        files.write_bytes(target, to_code(whole, library).encode(), "model.py")
    elif target.name.endswith(ONNX):
        whole.export(target)
    else:
        whole.save(target)


def written(target: Path) -> list[Path]:
    """The files that writing a target replaces or removes; called afterwards, those that were written."""
    from ranvier.data.safetensors_files import END, INDEX, replaced_by

    return sorted(replaced_by(target)) if target.name.endswith((END, INDEX)) else [target]


def _read(source: Path) -> list[Path]:
    """The files that are read of a source: itself, and those that it names."""
    from ranvier.data.safetensors_files import INDEX, places_of

    if source.name.endswith(INDEX) and source.is_file():
        return [source, *(source.parent / file for file in set(places_of(source.read_bytes(), source).values()))]
    if source.name.endswith(ONNX) and source.is_file():
        from ranvier.interop.onnx.model import check_growth, parsed

        return [source, *check_growth(parsed(source), source)]
    return [source]


def _model(path: Path) -> Any:
    import ranvier as rv

    return rv.from_onnx(path) if path.name.endswith(ONNX) else rv.load_model(path)


def _state(path: Path) -> Any:
    import ranvier.torch as torch

    return torch.load(path)


def _save_state(state: Mapping[str, Any], path: Path, max_shard_size: str | None) -> None:
    import ranvier.torch as torch

    torch.save(state, path, max_shard_size=max_shard_size)
