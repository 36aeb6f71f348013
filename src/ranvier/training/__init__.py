"""Training: compile, fit, evaluate, predict, save and load. `ranvier.Module` has them all as methods."""

from ranvier.data.files import CheckpointError
from ranvier.training.checkpoint.model_file import load_model, load_weights, save, save_weights
from ranvier.training.loop.callback_list import Callback
from ranvier.training.loop.evaluate import evaluate
from ranvier.training.loop.fit import fit, train_on_batch
from ranvier.training.loop.history import History
from ranvier.training.loop.nonfinite import NonFiniteLoss
from ranvier.training.loop.predict import predict
from ranvier.training.loop.verify_resume import ResumeMismatch, ResumeReport, verify_resume
from ranvier.training.preflight import PreflightError, PreflightWarning, check
from ranvier.training.step.compiled import compile  # noqa: A004 - the name in the vocabulary

__all__ = [
    "Callback", "CheckpointError", "History", "NonFiniteLoss", "PreflightError", "PreflightWarning", "ResumeMismatch",
    "ResumeReport", "check", "compile",
    "evaluate", "fit", "load_model", "load_weights", "predict", "save", "save_weights", "train_on_batch",
    "verify_resume",
]  # fmt: skip
