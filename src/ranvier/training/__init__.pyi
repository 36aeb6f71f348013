# Written by `python -m tests.stubs --write`; a test holds it against the code.
from ranvier.data.files import CheckpointError as CheckpointError
from ranvier.training.checkpoint.model_file import load_model as load_model
from ranvier.training.checkpoint.model_file import load_weights as load_weights
from ranvier.training.checkpoint.model_file import save as save
from ranvier.training.checkpoint.model_file import save_weights as save_weights
from ranvier.training.loop.callback import Callback as Callback
from ranvier.training.loop.evaluate import evaluate as evaluate
from ranvier.training.loop.fit import fit as fit
from ranvier.training.loop.fit import train_on_batch as train_on_batch
from ranvier.training.loop.history import History as History
from ranvier.training.loop.nonfinite import NonFiniteLoss as NonFiniteLoss
from ranvier.training.loop.predict import predict as predict
from ranvier.training.loop.verify_resume import ResumeMismatch as ResumeMismatch
from ranvier.training.loop.verify_resume import ResumeReport as ResumeReport
from ranvier.training.loop.verify_resume import verify_resume as verify_resume
from ranvier.training.preflight.report import PreflightError as PreflightError
from ranvier.training.preflight.report import PreflightWarning as PreflightWarning
from ranvier.training.preflight.run import check as check
from ranvier.training.step.compiled import compile as compile

__all__ = ['Callback', 'CheckpointError', 'History', 'NonFiniteLoss', 'PreflightError', 'PreflightWarning', 'ResumeMismatch', 'ResumeReport', 'check', 'compile', 'evaluate', 'fit', 'load_model', 'load_weights', 'predict', 'save', 'save_weights', 'train_on_batch', 'verify_resume']
