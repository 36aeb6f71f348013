"""``torch.autograd``: gradients of given inputs, and whether gradients are recorded."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from ranvier.support.constructors import CheckedConstructor
from ranvier.support.errors import missing
from ranvier.tensor import trace
from ranvier.tensor.autograd import check_history, gradients, reaches
from ranvier.tensor.context import GradMode, no_grad
from ranvier.tensor.function import add
from ranvier.tensor.tensor import Tensor

__all__ = [
    "Variable", "detect_anomaly", "enable_grad", "grad", "inference_mode", "is_grad_enabled", "no_grad",
    "set_detect_anomaly", "set_grad_enabled",
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
) -> tuple[Any, ...]:
    """The derivative of an output, or of the sum of several, by each input.

    With ``create_graph=True`` you can differentiate it again. ``grad_outputs`` are the derivatives by the outputs,
    required for those with more than one element. The recorded graph is always kept: ``retain_graph`` has no effect.
    Raises RuntimeError for an input that no output depends on; with ``allow_unused=True`` its derivative is None, and
    zeros with ``materialize_grads=True``.
    """
    if is_grads_batched:
        raise ValueError("is_grads_batched=True does not exist here. Write a loop over grad_outputs instead.")
    given, wanted = _several(outputs), _several(inputs)
    seeds = [None] * len(given) if grad_outputs is None else _several(grad_outputs)
    if len(seeds) != len(given):
        raise RuntimeError(f"{len(seeds)} grad_outputs for {len(given)} outputs. Write one for each, or None.")
    results: list[Tensor | None] = [None] * len(wanted)
    for place, tensor in enumerate(wanted):
        if not tensor.requires_grad:
            raise RuntimeError(
                f"input {place} of shape {tensor.shape} requires no gradient. Write x.requires_grad_() before it "
                "is used."
            )
    with set_grad_enabled(create_graph):
        for output, seed in zip(given, seeds, strict=True):
            check_history(output)
            used = [place for place, tensor in enumerate(wanted) if reaches(output, tensor)]
            parts = gradients(output, [wanted[place] for place in used], seed) if used else []
            for place, part in zip(used, parts, strict=True):
                known = results[place]
                results[place] = part if known is None else add(known, part)
    for place, (tensor, result) in enumerate(zip(wanted, results, strict=True)):
        if result is None and materialize_grads:
            results[place] = Tensor.wrap(np.zeros(tensor.shape, tensor.dtype))
        elif result is None and not allow_unused:
            raise RuntimeError(
                f"no output depends on input {place} of shape {tensor.shape}. Write allow_unused=True, which gives "
                "None for it, or leave it out."
            )
    return tuple(results)


def _several(given: Any) -> list[Any]:
    return [given] if isinstance(given, Tensor) or given is None else list(given)


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


def inference_mode(mode: Any = True) -> Any:
    """`no_grad`, as a context and as a decorator; with ``mode=False`` it is `enable_grad`."""
    if callable(mode):
        return no_grad(mode)
    return no_grad() if mode else enable_grad()


class enable_grad(no_grad):  # noqa: N801  # PyTorch's name
    """Record gradients within this context or decorated function, even inside ``no_grad``."""

    _records = True


def Variable(data: Any, requires_grad: bool = False) -> Tensor:  # noqa: N802  # PyTorch's name
    """``data`` as a tensor, for programs from before PyTorch 0.4."""
    tensor: Tensor = data if isinstance(data, Tensor) else Tensor(data)
    return tensor.requires_grad_() if requires_grad else tensor


class set_detect_anomaly(CheckedConstructor, contextlib.ContextDecorator):  # noqa: N801  # PyTorch's name
    """Accepted as a call and as a context, without effect: ``model.check`` finds the origin of nan."""

    def __init__(self, mode: bool = True, check_nan: bool = True) -> None:
        self.mode, self.check_nan = mode, check_nan

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass


class detect_anomaly(set_detect_anomaly):  # noqa: N801  # PyTorch's name
    """`set_detect_anomaly` as a context only."""

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(True, check_nan)


def is_grad_enabled() -> bool:
    """Whether gradients are recorded."""
    return bool(trace.state.grad_enabled)


__getattr__, __dir__ = missing("torch.autograd", __all__)
