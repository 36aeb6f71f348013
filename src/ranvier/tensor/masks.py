"""Masks: which positions of a tensor count. A tensor carries its mask in Keras's attribute, ``_keras_mask``."""

from __future__ import annotations

from typing import Any

from ranvier.tensor.tensor import Tensor

_slot: Any = vars(Tensor)["_keras_mask"]  # read without `Tensor.__getattr__`, which explains names that are missing


class MaskState:
    """Whether a tensor of this process has had a mask: until then nothing looks for one."""

    in_use = False


mask_state = MaskState()


def mask_of(value: Any) -> Tensor | None:
    """The mask of a tensor, true where it counts; None where all of it counts, and for anything else."""
    if not mask_state.in_use:  # most programs have none, and loops ask in each step
        return None
    try:
        found: Tensor | None = _slot.__get__(value)
    except (AttributeError, TypeError):
        return None
    return found


def set_mask(tensor: Tensor, mask: Any) -> Tensor:
    """Give a tensor a mask, or none with None; returns the tensor."""
    mask_state.in_use = True
    _slot.__set__(tensor, mask if mask is None or isinstance(mask, Tensor) else Tensor(mask))
    return tensor
