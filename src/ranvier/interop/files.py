"""The files of models by their formats: which one a name or the contents stand for, and what reads and writes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ranvier.data.files import CheckpointError, check_source, describes
from ranvier.data.kinds import KERAS as KERAS_FILE
from ranvier.data.kinds import ONNX_MODEL, TENSORS, TORCH, Kind, kind_of
from ranvier.data.safetensors_files import END as SAFETENSORS
from ranvier.data.safetensors_files import INDEX
from ranvier.data.torch_archive import ZIP
from ranvier.graph.dtypes import widened
from ranvier.module import Module
from ranvier.training.checkpoint import model_file
from ranvier.training.step.argument_types import FilePath

KERAS = (".keras", ".h5", ".hdf5")
CHECKPOINTS = (".pt", ".pth", ".bin", ".ckpt")
# The ends of names of formats that `save` does not write, and what writes them.
OTHERS = {
    **dict.fromkeys(CHECKPOINTS, "ranvier.torch.save(model.state_dict(), path)"),
    ".onnx": "model.export(path, format='onnx')",
    **dict.fromkeys(
        (".pb", ".tflite", ".mlmodel", ".npz", ".npy", ".pkl", ".pickle", ".joblib"),
        "another name, since nothing here writes that format",
    ),
}


def save(model: Module, filepath: FilePath, *, include_optimizer: bool = True, overwrite: bool = True) -> None:
    """Write ``model`` to ``filepath``: architecture, weights, how it was compiled, and the state of its optimizers.

    A name that ends with ``.keras``, or with ``.h5`` for the form of earlier versions, makes a file of Keras, which
    Keras loads too; any other a file of Ranvier. The file is the whole old one or the whole new one, whatever happens
    meanwhile. Raises TypeError naming a layer whose arguments no file can hold, or that Keras lacks; ValueError for a
    name of another format; OSError if the file cannot be written; and warns if a loss or metric is a function of yours,
    which no file can hold.
    """
    if _is_keras(filepath):
        from ranvier.interop.keras import files

        model_file.check_target(filepath, overwrite)
        files.save(model, Path(filepath), include_optimizer)
        return
    _refuse_others(filepath)
    model_file.save(model, filepath, include_optimizer=include_optimizer, overwrite=overwrite)


def save_weights(model: Module, filepath: FilePath, *, overwrite: bool = True) -> None:
    """Write the weights of ``model`` alone, which may be of any class.

    A name that ends with ``.h5`` makes a file of Keras; one that ends with ``.pt``, ``.pth`` or ``.ckpt`` a checkpoint
    of PyTorch, which holds the state dict of ``model.to_torch()``, and is written without PyTorch. Raises
    TypeError naming a layer that PyTorch lacks, OSError if that fails, ValueError for a name of another format.
    """
    if Path(filepath).name.lower().endswith(CHECKPOINTS):
        from ranvier import torch
        from ranvier.interop.torch.states import torch_state

        model_file.check_target(filepath, overwrite)
        torch.save(torch_state(model), filepath)
        return
    if _is_keras(filepath):
        from ranvier.interop.keras import files

        if not Path(filepath).name.lower().endswith(".h5"):
            raise ValueError(f"{filepath} would hold weights alone. Write a name that ends with .weights.h5 instead.")
        model_file.check_target(filepath, overwrite)
        files.save_weights(model, Path(filepath))
        return
    _refuse_others(filepath)
    model_file.save_weights(model, filepath, overwrite=overwrite)


def load_model(
    filepath: FilePath, custom_objects: Mapping[str, Any] | None = None, compile: bool = True, safe_mode: bool = True
) -> Any:
    """The model that ``save`` wrote, here or in Keras, compiled as it was (unless ``compile=False``) and with its
    optimizer's state.

    Files of Keras need h5py, and not Keras. ``custom_objects`` are your classes and functions by their names, unless
    they are registered (`ranvier.saving.register_keras_serializable`); ``safe_mode`` is accepted as in Keras, and has
    no effect. If a loss, metric or schedule is neither, a warning says so and the model is not compiled. No code in the
    file is run. Raises CheckpointError for a file that is truncated, altered, no model, or of a newer version, naming
    the tensor, or the layer that cannot be brought over, if there is one.
    """
    kind = _kind(filepath)
    if kind == "keras":
        from ranvier.interop.keras import files

        return files.load_model(Path(filepath), custom_objects, compile)
    return model_file.load_model(filepath, custom_objects, compile, safe_mode)


def load_weights(model: Module, filepath: FilePath, skip_mismatch: bool = False, by_name: bool = False) -> None:
    """Overwrite the weights of ``model`` with those in a file that `save`, `save_weights` or a backup wrote, or Keras;
    or with a state dict of the module that ``model.to_torch()`` makes, in a checkpoint of PyTorch or in safetensors.

    The weights are unchanged unless all tensors fit. With ``skip_mismatch`` layers whose weights do not fit keep
    theirs, and a warning names them. With ``by_name``, for files of Keras 2 (``.h5``), layers take the weights of those
    of their name. Raises CheckpointError naming every tensor that is missing, unexpected or of another shape, and
    ValueError for an option that the format of the file does not have.
    """
    state = _is_state(filepath)
    keras = not state and _kind(filepath) == "keras"
    if (by_name and not keras) or (skip_mismatch and state):
        option = "by_name" if by_name else "skip_mismatch"
        raise ValueError(f"{option}=True is not for files such as {filepath}. Leave it out instead.")
    if state:
        _load_state(model, filepath)
    elif keras:
        from ranvier.interop.keras import files

        files.load_weights(model, Path(filepath), skip_mismatch, by_name)
    else:
        model_file.load_weights(model, filepath, skip_mismatch)


def _is_state(path: FilePath) -> bool:
    """Whether a file has tensors by name, as PyTorch's state dicts: a checkpoint, safetensors of others, an index."""
    source = Path(path)
    if source.name.endswith(INDEX) and source.exists():
        return True
    check_source(source)
    kind = _kind_of(source)
    return kind is TORCH or (kind is TENSORS and source.name.endswith(SAFETENSORS) and not describes(source))


def _kind_of(source: Path) -> Kind | None:
    """The format of a file; of a damaged zip what its name says."""
    with source.open("rb") as file:
        start = file.read(16)
    kind = kind_of(start, source)
    if kind is None and start.startswith(ZIP):
        return TORCH if source.name.lower().endswith(CHECKPOINTS) else KERAS_FILE
    return kind


def _load_state(model: Module, path: FilePath) -> None:
    from ranvier import torch
    from ranvier.interop.torch.states import from_torch_state

    state = torch.load(path)
    if not isinstance(state, Mapping) or not all(isinstance(t, torch.Tensor) for t in state.values()):
        raise CheckpointError(
            f"{path} holds more than a state dict. Write model.load_state_dict(ranvier.torch.load(path)[...]) with the "
            "part of it that is one."
        )
    try:
        arrays = from_torch_state(model, {str(key): widened(t.compute()) for key, t in state.items()})
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    model_file.take_weights(model, {f"weights/{name}": a for name, a in arrays.items()}, Path(path))


def _is_keras(path: FilePath) -> bool:
    return Path(path).name.lower().endswith(KERAS)


def _refuse_others(path: FilePath) -> None:
    """Raise ValueError for a name that ends as those of another format, which would then hold one of ours."""
    fix = next((fix for end, fix in OTHERS.items() if Path(path).name.lower().endswith(end)), None)
    if fix is not None:
        raise ValueError(
            f"{path} has the name of another format. Write {fix}, or a name that ends with .ranvier, instead."
        )


def _kind(path: FilePath) -> str:
    """The format of a file by its contents; raises CheckpointError for one that holds no model of here or of Keras."""
    source = Path(path)
    check_source(source)
    kind = _kind_of(source)
    if kind is TORCH:
        raise CheckpointError(
            f"{source} is a checkpoint of PyTorch, which holds no architecture. Build the network and write "
            "model.load_state_dict(ranvier.torch.load(path)) instead."
        )
    if kind is ONNX_MODEL:
        raise CheckpointError(f"{source} is {kind.what}. Write {kind.reads} instead.")
    return "keras" if kind is KERAS_FILE else "ranvier"
