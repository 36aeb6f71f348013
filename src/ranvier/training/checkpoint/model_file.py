"""Saved models: architecture, how it was compiled, weights and optimizer state in one file, with no code in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.data import files
from ranvier.data.convert import Array
from ranvier.data.files import CheckpointError
from ranvier.data.memory import weights_within
from ranvier.graph.dtypes import widened
from ranvier.module import Module, from_architecture
from ranvier.support.custom_objects import UnknownNameError, custom_object_scope
from ranvier.support.source_lines import warn
from ranvier.training.checkpoint import further_optimizers
from ranvier.training.checkpoint.ties import tie, tied_names
from ranvier.training.step import custom_objects
from ranvier.training.step.argument_types import FilePath
from ranvier.training.step.compiled import Compiled
from ranvier.training.step.compiled import compile as compile_model
from ranvier.training.step.outputs import described

# What a description that was changed by hand may raise.
MALFORMED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, MemoryError, RecursionError)
SLACK = 1 << 20  # bytes that a network may have in fresh weights beyond what its file holds

# --- writing ------------------------------------------------------------------------------------------------------


def save(model: Module, filepath: FilePath, *, include_optimizer: bool = True, overwrite: bool = True) -> None:
    """Write ``model`` to ``filepath``: architecture, weights, how it was compiled, and the state of its optimizers.

    These are the one of `compile` and those that are attributes of the model, whose ``train_step`` uses them.
    The file is the whole old one or the whole new one, whatever happens meanwhile. Raises TypeError naming a layer
    whose arguments no file can hold, OSError if the file cannot be written, and warns if a loss or metric is a function
    of yours, which no file can hold.
    """
    check_target(filepath, overwrite)
    description = describe(model)
    tensors = tensors_of(model, include_optimizer and description["compiled"] is not None)
    if include_optimizer and (further := further_optimizers.describe(model)):
        description["optimizers"] = further
        tensors |= further_optimizers.tensors_of(model, further)
    files.store(filepath, tensors, description)


def save_weights(model: Module, filepath: FilePath, *, overwrite: bool = True) -> None:
    """Write the weights of ``model`` alone, which may be of any class. Raises OSError if that fails."""
    check_target(filepath, overwrite)
    files.store(filepath, tensors_of(model, False), {"architecture": None, "compiled": None})


def check_target(path: FilePath, overwrite: bool) -> None:
    files.check_target(path, "model.ranvier")
    target = Path(path)
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists. Write overwrite=True, or another name, instead.")


def describe(model: Module) -> dict[str, Any]:
    """Architecture and settings as JSON values."""
    state = model.__dict__.get("_compiled")
    settings = settings_of(state) if isinstance(state, Compiled) else None
    described = {"architecture": model.architecture(), "compiled": settings, "columns": model._frame_columns}
    return {**described, "tied": tied} if (tied := tied_names(model)) else described


def tensors_of(model: Module, include_optimizer: bool = True) -> dict[str, Array]:
    """Weights and buffers, and the optimizer's state if there is one, by their names in a file."""
    tensors = {f"weights/{name}": np.array(widened(tensor.compute())) for name, tensor in model._state()}
    state = model.__dict__.get("_compiled")
    # A step of the model's own may train some weights alone: see `further_optimizers`.
    own = list(map(id, model.parameters()))
    if include_optimizer and isinstance(state, Compiled) and own and own == list(map(id, state.optimizer.parameters)):
        tensors |= {f"optimizer/{name}": array for name, array in state.optimizer.state().items()}
    return tensors


def settings_of(state: Compiled) -> dict[str, Any] | None:
    """The arguments of `compile` as plain values; None, with a warning, if a function that you wrote is among them."""
    try:
        return state.settings()
    except ValueError as error:
        warn(f"{error} cannot be saved, since a file holds no code. Write compile(...) again after load_model.")
        return None


# --- reading ------------------------------------------------------------------------------------------------------


def load_model(
    filepath: FilePath, custom_objects: Mapping[str, Any] | None = None, compile: bool = True, safe_mode: bool = True
) -> Any:
    """The model that ``save`` wrote, compiled as it was (unless ``compile=False``) and with its optimizer's state.

    ``custom_objects`` are your classes and functions by their names, unless they are registered
    (`ranvier.saving.register_keras_serializable`); ``safe_mode`` is accepted as in Keras, and has no effect. If a loss,
    metric or schedule is neither, a warning says so and the model is not compiled. No code in the file is run. Raises
    CheckpointError for a file that is truncated, altered, no model, or of a newer version, naming the tensor if there
    is one.
    """
    source = Path(filepath)
    described, tensors = files.read(source)
    if described.get("architecture") is None:
        raise CheckpointError(
            f"{source} holds weights and no architecture. Build the network and write model.load_weights(path) instead."
        )
    held = sum(array.nbytes for array in part(tensors, "weights/").values())
    try:
        with weights_within(8 * held + SLACK):
            model = from_architecture(described["architecture"], custom_objects)
        tie(model, described.get("tied", ()))
    except MALFORMED as error:
        raise CheckpointError(f"{source}: {error}") from error
    take_weights(model, tensors, source)
    try:
        columns = dict(described.get("columns") or {})
        model.__dict__["_frame_columns"] = {key: [str(name) for name in names] for key, names in columns.items()}
    except MALFORMED as error:
        raise CheckpointError(f"{source} does not say which columns its inputs have: {error}") from error
    settings = described.get("compiled")
    if compile and settings is not None:
        with custom_object_scope(custom_objects or {}):
            restore(model, settings, tensors, source)
    if compile and described.get("optimizers"):
        try:
            further_optimizers.restore(model, described["optimizers"], tensors)
        except MALFORMED as error:
            raise CheckpointError(f"{source} does not fit the optimizers of the model: {error}") from error
    return model


def load_weights(model: Module, filepath: FilePath, skip_mismatch: bool = False) -> None:
    """Overwrite the weights of ``model`` with those in a file that `save`, `save_weights` or a backup wrote.

    The weights are unchanged unless all tensors fit; with ``skip_mismatch`` those that do not fit are left out, with a
    warning. Raises CheckpointError naming every tensor that is missing, unexpected or of another shape.
    """
    source = Path(filepath)
    take_weights(model, files.read(source)[1], source, skip_mismatch)


def take_weights(model: Module, tensors: Mapping[str, Array], source: Path, skip_mismatch: bool = False) -> None:
    state = part(tensors, "weights/")
    if skip_mismatch:
        shapes = {name: tuple(tensor.shape) for name, tensor in model._state(remove_duplicate=False)}
        state = {name: array for name, array in state.items() if shapes.get(name) == array.shape}
    try:
        left_out = model.load_state_dict(state, strict=not skip_mismatch)
        if left_out.missing_keys:
            warn(f"{source}: tensors that do not fit keep their values: {', '.join(left_out.missing_keys)}")
    except ValueError as error:
        raise CheckpointError(f"{source}: {error}") from error


def part(tensors: Mapping[str, Array], start: str) -> dict[str, Array]:
    """The tensors whose names have this prefix, without it."""
    return {name.removeprefix(start): array for name, array in tensors.items() if name.startswith(start)}


def restore(model: Module, settings: dict[str, Any], tensors: dict[str, Array], source: Path) -> None:
    try:
        for name in ("loss", "metrics", "weighted_metrics"):
            settings[name] = described(settings.get(name), custom_objects.found)
        compile_model(model, **settings)
        state = model.__dict__["_compiled"]
        kept = part(tensors, "optimizer/")
        if kept:
            state.optimizer.attach(model.parameters())
            state.optimizer.set_state(kept)
    except UnknownNameError as error:
        warn(
            f"{source} names {error}, a loss, metric or schedule of yours, and the model is not compiled. Write "
            f"custom_objects={{'{error}': ...}} with the function or class, or compile(...) again."
        )
    except MALFORMED as error:
        raise CheckpointError(f"{source} does not say how to train the model: {error}") from error
