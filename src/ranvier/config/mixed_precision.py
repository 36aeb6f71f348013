"""Keras's ``mixed_precision``: the older names of `ranvier.dtype_policies`. There is no half precision."""

from __future__ import annotations

from typing import Any

from ranvier.config.dtype_policies import DTypePolicy, dtype_policy, set_dtype_policy
from ranvier.support.errors import missing

__all__ = [
    "DTypePolicy", "LossScaleOptimizer", "Policy", "dtype_policy", "global_policy", "set_dtype_policy",
    "set_global_policy",
]  # fmt: skip

Policy = DTypePolicy
global_policy = dtype_policy
set_global_policy = set_dtype_policy


def LossScaleOptimizer(inner_optimizer: Any, *arguments: Any, **options: Any) -> Any:  # noqa: N802  # Keras's name
    """Raises ValueError: losses are scaled for half precision, and there is none."""
    del arguments, options
    raise ValueError(
        f"LossScaleOptimizer({inner_optimizer!r}): gradients are float32 or float64, in which small ones do not "
        "vanish. Write the optimizer within it instead."
    )


__getattr__, __dir__ = missing("ranvier.mixed_precision", __all__)
