"""Training: compile, fit, evaluate, predict, save and load. `ranvier.Module` has them all as methods."""

from ranvier.training.checkpoint import CheckpointError, load_model, save
from ranvier.training.fit import evaluate, fit, train_on_batch
from ranvier.training.history import Callback, History
from ranvier.training.nonfinite import NonFiniteLoss
from ranvier.training.predict import predict
from ranvier.training.preflight import PreflightWarning
from ranvier.training.state import compile  # noqa: A004

__all__ = [
    "Callback", "CheckpointError", "History", "NonFiniteLoss", "PreflightWarning", "compile", "evaluate", "fit",
    "load_model", "predict", "save", "train_on_batch",
]  # fmt: skip
