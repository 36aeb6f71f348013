"""Training: compile, fit, evaluate, predict, save and load. `ranvier.Module` has them all as methods."""

from ranvier.training.checkpoint import load_model, load_weights, save, save_weights
from ranvier.training.evaluation import evaluate
from ranvier.training.files import CheckpointError
from ranvier.training.fit import fit, train_on_batch
from ranvier.training.history import History
from ranvier.training.hooks import Callback
from ranvier.training.nonfinite import NonFiniteLoss
from ranvier.training.predict import predict
from ranvier.training.preflight import PreflightError, PreflightWarning, check
from ranvier.training.state import compile  # noqa: A004 - the name in the vocabulary
from ranvier.training.verify import ResumeMismatch, ResumeReport, verify_resume

__all__ = [
    "Callback", "CheckpointError", "History", "NonFiniteLoss", "PreflightError", "PreflightWarning", "ResumeMismatch",
    "ResumeReport", "check", "compile",
    "evaluate", "fit", "load_model", "load_weights", "predict", "save", "save_weights", "train_on_batch",
    "verify_resume",
]  # fmt: skip
