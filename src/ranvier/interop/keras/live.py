"""Models of Keras in memory, as models here, and back."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ranvier.interop.keras import files
from ranvier.module import Module

NAME = "model.keras"


def from_keras(model: Any, custom_objects: Mapping[str, Any] | None = None, compile: bool = True) -> Any:
    """The same model here: layers, weights, how it was compiled, and the state of its optimizer.

    ``model`` is a model of Keras. ``custom_objects`` are classes and functions here by the names of yours. Raises
    CheckpointError naming a layer that cannot be brought over.
    """
    if isinstance(model, Module) or not hasattr(model, "save") or not hasattr(model, "layers"):
        raise TypeError(
            f"from_keras takes a model of Keras, and this is a {type(model).__name__}. Write a keras.Model."
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        model.save(path)
        return files.load_model(path, custom_objects, compile)


def to_keras(model: Module, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The same model in Keras, which must be installed: layers, weights, how it was compiled, its optimizer's state.

    ``custom_objects`` are classes and functions of Keras by the names of yours. Raises TypeError naming a layer that
    Keras lacks.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        files.save(model, path, True)
        try:
            import keras
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                "to_keras needs Keras, which is not installed. Write: pip install 'ranvier[keras]'"
            ) from None
        return keras.saving.load_model(path, custom_objects=dict(custom_objects or {}))
