"""Gradients as PyTorch spells them: ``torch.autograd.grad``, and whether they are recorded."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from ranvier import tape
from ranvier.modes import no_grad
from ranvier.module.names import missing
from ranvier.recording import gradients
from ranvier.tensor import Tensor

__all__ = ["enable_grad", "grad", "is_grad_enabled", "no_grad", "set_grad_enabled"]


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor, ...]:
    """The derivative of an output by each input, which may be differentiated again with ``create_graph=True``.

    What was recorded is kept in any case: ``retain_graph`` changes nothing. Of an input that the output does not depend
    on the gradient is zeros, where PyTorch gives None with ``allow_unused``.
    """
    (output,) = outputs if isinstance(outputs, Sequence) else (outputs,)
    (seed,) = grad_outputs if isinstance(grad_outputs, Sequence) else (grad_outputs,)
    wanted = list(inputs) if isinstance(inputs, Sequence) else [inputs]
    with set_grad_enabled(create_graph):
        return tuple(gradients(output, wanted, seed))


class set_grad_enabled(contextlib.ContextDecorator):  # noqa: N801  # PyTorch's name
    """Record gradients from here on, or not; as a context, within it alone."""

    def __init__(self, mode: bool) -> None:
        self.before = tape.state.grad_enabled
        tape.state.grad_enabled = bool(mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        tape.state.grad_enabled = self.before


class enable_grad(no_grad):  # noqa: N801  # PyTorch's name
    """Within this context (or a function decorated with it) gradients are recorded, also inside of ``no_grad``."""

    _records = True


def is_grad_enabled() -> bool:
    """Whether gradients are recorded."""
    return tape.state.grad_enabled


__getattr__, __dir__ = missing("torch.autograd", __all__)
