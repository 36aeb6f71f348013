"""Training: compile, fit, evaluate, predict, save and load. `ranvier.Module` has them all as methods."""

from ranvier.support.errors import lazy_names

__getattr__, __dir__, __all__ = lazy_names("ranvier.training", {
    "ranvier.data.files": "CheckpointError",
    "ranvier.training.checkpoint.model_file": "load_model load_weights save save_weights",
    "ranvier.training.loop.callback": "Callback",
    "ranvier.training.loop.evaluate": "evaluate",
    "ranvier.training.loop.fit": "fit train_on_batch",
    "ranvier.training.loop.history": "History",
    "ranvier.training.loop.nonfinite": "NonFiniteLoss",
    "ranvier.training.loop.predict": "predict",
    "ranvier.training.loop.verify_resume": "ResumeMismatch ResumeReport verify_resume",
    "ranvier.training.preflight.report": "PreflightError PreflightWarning",
    "ranvier.training.preflight.run": "check",
    "ranvier.training.step.compiled": "compile",
})  # fmt: skip
