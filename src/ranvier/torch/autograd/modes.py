"""Whether gradients are recorded, and whether NaN in them is an error: contexts, and decorators of functions."""

from __future__ import annotations

import contextlib
from typing import Any

from ranvier.support.constructors import CheckedConstructor
from ranvier.tensor import trace
from ranvier.tensor.context import GradMode, no_grad

__all__ = [
    "detect_anomaly", "enable_grad", "inference_mode", "is_anomaly_enabled", "is_grad_enabled",
    "is_inference_mode_enabled", "no_grad", "set_detect_anomaly", "set_grad_enabled",
]  # fmt: skip


class set_grad_enabled(CheckedConstructor, GradMode):  # noqa: N801  # PyTorch's name
    """Set whether gradients are recorded: from here on, or within a context or a decorated function only."""

    def __init__(self, mode: bool) -> None:
        self.mode, self.before = bool(mode), trace.state.grad_enabled
        trace.state.grad_enabled = self.mode

    def __call__(self, func: Any) -> Any:
        trace.state.grad_enabled = self.before
        return super().__call__(func)

    def _recreate_cm(self) -> set_grad_enabled:
        return type(self)(self.mode)

    def __enter__(self) -> None:
        trace.state.grad_enabled = self.mode


class enable_grad(no_grad):  # noqa: N801  # PyTorch's name
    """Record gradients within this context or decorated function, even inside ``no_grad``."""

    _records = True


class inference_mode(GradMode):  # noqa: N801  # PyTorch's name
    """`no_grad` whose tensors are inference tensors, as a context and as a decorator; with ``mode=False`` gradients are
    recorded.
    """

    def __new__(cls, mode: Any = True) -> Any:
        return cls()(mode) if callable(mode) else super().__new__(cls)

    def __init__(self, mode: Any = True) -> None:
        self.mode = bool(mode)

    def _recreate_cm(self) -> inference_mode:
        return type(self)(self.mode)

    def __enter__(self) -> None:
        state = trace.state
        self.before, self.outside = state.grad_enabled, state.inference
        state.grad_enabled, state.inference = not self.mode, self.mode

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        trace.state.inference = self.outside


def is_inference_mode_enabled() -> bool:
    """Whether `inference_mode` is in effect."""
    return trace.state.inference


class set_detect_anomaly(CheckedConstructor, contextlib.ContextDecorator):  # noqa: N801  # PyTorch's name
    """Let `backward` raise RuntimeError where a gradient is NaN, and name the function that it comes from.

    It is in effect from here on, or within a context only. Each ``backward()`` then computes the gradients at once.
    """

    def __init__(self, mode: bool = True, check_nan: bool = True) -> None:
        self.mode, self.check_nan, self.before = mode, check_nan, trace.state.refuses_nan
        trace.state.refuses_nan = bool(mode and check_nan)

    def __enter__(self) -> None:
        trace.state.refuses_nan = bool(self.mode and self.check_nan)

    def __exit__(self, *error: object) -> None:
        trace.state.refuses_nan = self.before


class detect_anomaly(set_detect_anomaly):  # noqa: N801  # PyTorch's name
    """`set_detect_anomaly` as a context only."""

    def __init__(self, check_nan: bool = True) -> None:
        before = trace.state.refuses_nan
        super().__init__(True, check_nan)
        trace.state.refuses_nan = self.before = before


def is_grad_enabled() -> bool:
    """Whether gradients are recorded."""
    return bool(trace.state.grad_enabled)


def is_anomaly_enabled() -> bool:
    """Whether `set_detect_anomaly` is in effect."""
    return trace.state.refuses_nan
