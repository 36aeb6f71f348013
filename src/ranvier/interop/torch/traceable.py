"""Functions of PyTorch that ``torch.export`` cannot trace, because they look at numbers, in forms that it can."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator
from typing import Any

SPACE = "ranvier"  # of operators that stand for such functions
SCHEMA = (
    "(Tensor log_probs, Tensor targets, Tensor input_lengths, Tensor target_lengths, int blank, str reduction, "
    "bool zero_infinity) -> Tensor"
)


@contextlib.contextmanager
def traceable(torch: Any) -> Iterator[None]:
    """Within this context modules call these forms."""
    functional = torch.nn.functional
    forms = {"gaussian_nll_loss": _gaussian_nll_loss(torch), "ctc_loss": _ctc_loss(torch)}
    before = {name: getattr(functional, name) for name in forms}
    try:
        for name, form in forms.items():
            setattr(functional, name, form)
        yield
    finally:
        for name, function in before.items():
            setattr(functional, name, function)


def _gaussian_nll_loss(torch: Any) -> Any:
    """Without the check that no variance is negative."""

    def gaussian_nll_loss(
        input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
    ) -> Any:
        if not isinstance(var, torch.Tensor):
            var = torch.full_like(input, var)
        if var.size() != input.size() and input.dim() == var.dim() + 1:
            var = var.unsqueeze(-1)
        with torch.no_grad():
            bounded = var.clamp(min=eps)
        var = var + (bounded - var).detach()
        loss = 0.5 * (var.log() + (input - target) ** 2 / var)
        if full:
            loss = loss + 0.5 * math.log(2 * math.pi)
        return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss

    return gaussian_nll_loss


@functools.cache
def _ctc_loss(torch: Any) -> Any:
    """An operator that is known by its name, since its own reads the lengths."""

    def loss(*given: Any) -> Any:
        raise NotImplementedError  # never called: an export asks for the shape alone

    def shape(log_probs: Any, *given: Any) -> Any:
        rows = given[-2] == "none" and log_probs.ndim == 3
        return log_probs.new_empty(log_probs.shape[1:2] if rows else ())

    operator = torch.library.custom_op(f"{SPACE}::ctc_loss", loss, mutates_args=(), schema=SCHEMA)
    operator.register_fake(shape)

    def ctc_loss(
        log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0, reduction: str = "mean",
        zero_infinity: bool = False,
    ) -> Any:  # fmt: skip
        lengths = (torch.as_tensor(part) for part in (input_lengths, target_lengths))
        return operator(log_probs, targets, *lengths, blank, reduction, zero_infinity)

    return ctc_loss
