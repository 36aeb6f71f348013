"""``torch.autograd.forward_ad``: derivatives along a direction, of what is computed within ``dual_level()``.

A dual tensor is a copy that gradients reach, and the level remembers its tangent. The tangent of a result is the
derivative along these, from reverse derivatives: see `transforms.forward_derivatives`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

from ranvier.tensor.autograd import reaches
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import state
from ranvier.torch.autograd.modes import enable_grad, set_grad_enabled
from ranvier.torch.autograd.transforms import checked_seed, constant, copies, forward_derivatives, has_leaves

__all__ = [
    "UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual", "set_grad_enabled",
    "unpack_dual",
]  # fmt: skip


class UnpackedDualTensor(NamedTuple):
    """What `unpack_dual` returns: the value, and its derivative along the tangents, or None."""

    primal: Tensor
    tangent: Tensor | None


class _Levels(threading.local):
    def __init__(self) -> None:
        self.duals: list[tuple[Tensor, Tensor]] | None = None  # and their tangents; None outside of a level


_current = _Levels()


def enter_dual_level() -> int:
    """Begin a level, in which `make_dual` makes dual tensors. Raises RuntimeError within another."""
    if _current.duals is not None:
        raise RuntimeError("a dual level is in progress, and there is one at a time. Write torch.func.jvp in it.")
    _current.duals = []
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """End the level. Raises RuntimeError where there is none."""
    if _current.duals is None:
        raise RuntimeError("no dual level is in progress. Write: with dual_level(): ...")
    _current.duals = None


@contextlib.contextmanager
def dual_level() -> Iterator[int]:
    """The context of a level: tangents are gone after it."""
    level = enter_dual_level()
    try:
        with enable_grad():
            yield level
    finally:
        exit_dual_level()


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """A dual tensor of the value of a tensor, with a tangent of its shape.

    Raises RuntimeError outside of a level, and under ``no_grad``, where nothing is recorded.
    """
    if _current.duals is None:
        raise RuntimeError("make_dual outside of a dual level. Write: with dual_level(): ...")
    if not state.grad_enabled:
        raise RuntimeError("make_dual under no_grad, where no derivative is recorded. Write it outside of no_grad.")
    checked_seed(tangent, tensor, "make_dual")
    if tangent.dtype != tensor.dtype:
        raise RuntimeError(f"a tangent of {tangent.dtype} for a tensor of {tensor.dtype}. Write one of its dtype.")
    [dual] = copies([tensor], "make_dual")
    _current.duals.append((dual, tangent))
    return dual


def unpack_dual(tensor: Any, *, level: int | None = None) -> UnpackedDualTensor:
    """The value of a tensor, and its derivative along the tangents of the level, or None where it depends on none."""
    if not isinstance(tensor, Tensor) or not _current.duals or not tensor.requires_grad:
        return UnpackedDualTensor(tensor, None)
    used = [(dual, tangent) for dual, tangent in _current.duals if reaches(tensor, dual)]
    if not used:
        return UnpackedDualTensor(tensor, None)
    duals, tangents = zip(*used, strict=True)
    [found] = forward_derivatives([tensor], duals, tangents)
    return UnpackedDualTensor(constant(tensor), found if has_leaves(found) else constant(found))
