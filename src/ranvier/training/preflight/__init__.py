"""Checks before training: mistakes that train without an error, told with a code, the place and the fix.

`fit` runs them before its first step and after its first epoch; ``model.check(x, y)`` returns them as a `Report`.
"""

from ranvier.training.preflight.report import Finding, PreflightError, PreflightWarning, Report
from ranvier.training.preflight.run import after_epoch, check, likely_cause, preflight

__all__ = [
    "Finding", "PreflightError", "PreflightWarning", "Report", "after_epoch", "check", "likely_cause", "preflight",
]  # fmt: skip
