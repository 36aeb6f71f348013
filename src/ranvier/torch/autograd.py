"""Gradients as PyTorch spells them: ``torch.autograd.grad``, and whether they are recorded."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from ranvier import entries
from ranvier.modes import no_grad
from ranvier.names import missing
from ranvier.recording import gradients
from ranvier.tensor import Tensor

__all__ = [
    "Variable", "detect_anomaly", "enable_grad", "grad", "is_grad_enabled", "no_grad", "set_detect_anomaly",
    "set_grad_enabled",
]  # fmt: skip


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor, ...]:
    """The derivative of an output by each input, which may be differentiated again with ``create_graph=True``.

    What was recorded is kept in any case: ``retain_graph`` changes nothing. Of an input that the output does not depend
    on the gradient is zeros, where PyTorch gives None with ``allow_unused``.
    """
    if is_grads_batched:
        raise ValueError("is_grads_batched=True does not exist here. Write a loop over grad_outputs instead.")
    (output,) = outputs if isinstance(outputs, Sequence) else (outputs,)
    (seed,) = grad_outputs if isinstance(grad_outputs, Sequence) else (grad_outputs,)
    wanted = list(inputs) if isinstance(inputs, Sequence) else [inputs]
    with set_grad_enabled(create_graph):
        return tuple(gradients(output, wanted, seed))


class set_grad_enabled(contextlib.ContextDecorator):  # noqa: N801  # PyTorch's name
    """Record gradients from here on, or not; as a context, within it alone."""

    def __init__(self, mode: bool) -> None:
        self.before = entries.state.grad_enabled
        entries.state.grad_enabled = bool(mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        entries.state.grad_enabled = self.before


class enable_grad(no_grad):  # noqa: N801  # PyTorch's name
    """Within this context (or a function decorated with it) gradients are recorded, also inside of ``no_grad``."""

    _records = True


def Variable(data: Any, requires_grad: bool = False) -> Tensor:  # noqa: N802  # PyTorch's name
    """``data`` as a tensor, as programs from before PyTorch 0.4 write it."""
    tensor: Tensor = data if isinstance(data, Tensor) else Tensor(data)
    return tensor.requires_grad_() if requires_grad else tensor


class set_detect_anomaly(contextlib.ContextDecorator):  # noqa: N801  # PyTorch's name
    """Accepted, as a call and as a context, and without effect: ``model.check`` says where nan comes from."""

    def __init__(self, mode: bool = True, check_nan: bool = True) -> None:
        self.mode, self.check_nan = mode, check_nan

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass


class detect_anomaly(set_detect_anomaly):  # noqa: N801  # PyTorch's name
    """The same as a context alone."""

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(True, check_nan)


def is_grad_enabled() -> bool:
    """Whether gradients are recorded."""
    return entries.state.grad_enabled


__getattr__, __dir__ = missing("torch.autograd", __all__)
