"""``torch.utils.checkpoint``: functions whose results PyTorch computes again for the gradient."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ranvier.ops.loops import remat, repeated, updates
from ranvier.support.errors import missing
from ranvier.support.tree import flatten
from ranvier.tensor.hooks import register_hook
from ranvier.tensor.tensor import Tensor

__all__ = ["checkpoint", "checkpoint_sequential"]


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Any = None,
    determinism_check: str = "default",
    debug: bool = False,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """``function(*args, **kwargs)``, computed again for the gradient: see `ranvier.remat`.

    The running statistics of batch and instance normalization move again with it, as in PyTorch.
    """
    waiting: list[Any] = []

    def run(*args: Any, **kwargs: Any) -> Any:
        waiting.clear()  # of a first attempt, to compute in chunks
        return function(*args, **kwargs)

    def update(gradient: Any) -> None:
        for again in waiting:
            repeated(again)
        waiting.clear()

    before = updates.set(waiting)
    try:
        result = remat(run)(*args, **kwargs)
    finally:
        updates.reset(before)
    for tensor in flatten(result, Tensor) if waiting else ():
        if tensor.requires_grad:
            register_hook(tensor, update)
    return result


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **options: Any
) -> Any:
    """The functions, or the modules of a Sequential, one after the other, in segments that are computed again for the
    gradient; the last one is not, as in PyTorch.
    """
    every, size = list(functions), max(len(list(functions)) // segments, 1)
    ends = [*range(size, size * segments, size), len(every)]
    for start, end in zip([0, *ends], ends, strict=False):
        run = functools.partial(_in_turn, every[start:end])
        input = run(input) if end == len(every) else checkpoint(run, input)
    return input


def _in_turn(functions: Any, input: Any) -> Any:
    for function in functions:
        input = function(input)
    return input


__getattr__, __dir__ = missing("torch.utils.checkpoint", __all__)
