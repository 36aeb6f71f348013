"""Training: compile, fit, evaluate, predict, save and load. `ranvier.Module` has them all as methods."""

from typing import TYPE_CHECKING

from ranvier.support.errors import missing

if TYPE_CHECKING:
    from ranvier.data.files import CheckpointError
    from ranvier.training.checkpoint.model_file import load_model, load_weights, save, save_weights
    from ranvier.training.loop.callback import Callback
    from ranvier.training.loop.evaluate import evaluate
    from ranvier.training.loop.fit import fit, train_on_batch
    from ranvier.training.loop.history import History
    from ranvier.training.loop.nonfinite import NonFiniteLoss
    from ranvier.training.loop.predict import predict
    from ranvier.training.loop.verify_resume import ResumeMismatch, ResumeReport, verify_resume
    from ranvier.training.preflight.report import PreflightError, PreflightWarning
    from ranvier.training.preflight.run import check
    from ranvier.training.step.compiled import compile  # noqa: A004 - the name in the vocabulary

__all__ = [
    "Callback", "CheckpointError", "History", "NonFiniteLoss", "PreflightError", "PreflightWarning", "ResumeMismatch",
    "ResumeReport", "check", "compile",
    "evaluate", "fit", "load_model", "load_weights", "predict", "save", "save_weights", "train_on_batch",
    "verify_resume",
]  # fmt: skip

_LAZY = {
    name: f"{module}:{name}"
    for module, names in {
        "ranvier.data.files": ("CheckpointError",),
        "ranvier.training.checkpoint.model_file": ("load_model", "load_weights", "save", "save_weights"),
        "ranvier.training.loop.callback": ("Callback",),
        "ranvier.training.loop.evaluate": ("evaluate",),
        "ranvier.training.loop.fit": ("fit", "train_on_batch"),
        "ranvier.training.loop.history": ("History",),
        "ranvier.training.loop.nonfinite": ("NonFiniteLoss",),
        "ranvier.training.loop.predict": ("predict",),
        "ranvier.training.loop.verify_resume": ("ResumeMismatch", "ResumeReport", "verify_resume"),
        "ranvier.training.preflight.report": ("PreflightError", "PreflightWarning"),
        "ranvier.training.preflight.run": ("check",),
        "ranvier.training.step.compiled": ("compile",),
    }.items()
    for name in names
}

__getattr__, __dir__ = missing(globals(), "ranvier.training", __all__, _LAZY)
