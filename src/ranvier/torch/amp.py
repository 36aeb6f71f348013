"""``torch.amp``, for programs that may use half precision on an accelerator; this library has neither."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, Self

from ranvier.support.constructors import CheckedConstructor
from ranvier.support.errors import missing

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]


class autocast(CheckedConstructor, contextlib.ContextDecorator):  # noqa: N801  # PyTorch's name
    """A context, or a decorator, that does not change the precision.

    It has no effect for an accelerator, with ``enabled=False``, and for float32, as in PyTorch without an accelerator.
    Raises RuntimeError for half precision on the processor.
    """

    def __init__(
        self, device_type: Any, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        name = str(getattr(device_type, "type", device_type)).partition(":")[0]
        if enabled and name == "cpu" and dtype != "float32":
            raise RuntimeError(
                "there is no half precision: programs compute in float32. Write autocast('cpu', enabled=False), or "
                "leave it out, instead."
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def is_autocast_available(device_type: str) -> bool:
    """False: there is no half precision."""
    del device_type
    return False


def custom_fwd(fwd: Any = None, *, device_type: str = "cpu", cast_inputs: Any = None) -> Any:
    """A decorator without effect: there is no half precision to leave."""
    del device_type, cast_inputs
    return (lambda function: function) if fwd is None else fwd


def custom_bwd(bwd: Any = None, *, device_type: str = "cpu") -> Any:
    """A decorator without effect."""
    return custom_fwd(bwd, device_type=device_type)


class GradScaler(CheckedConstructor):
    """A scaler of losses for half precision that leaves them unchanged, as PyTorch's does without an accelerator."""

    def __init__(
        self,
        device: Any = "cuda",
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        pass

    def is_enabled(self) -> bool:
        """False."""
        return False

    def get_scale(self) -> float:
        """1: nothing is scaled."""
        return 1.0

    def scale(self, outputs: Any) -> Any:
        """``outputs``, unchanged."""
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        """No effect."""

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """``optimizer.step(...)``."""
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """No effect."""

    def state_dict(self) -> dict[str, Any]:
        """An empty dict."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """No effect."""


__getattr__, __dir__ = missing("torch.amp", __all__)
