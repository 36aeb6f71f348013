"""``torch.cuda.amp``: `ranvier.torch.amp` under its older name, with the older arguments."""

from __future__ import annotations

from typing import Any

from ranvier.support.errors import missing
from ranvier.torch import amp

__all__ = ["GradScaler", "autocast"]


class autocast(amp.autocast):  # noqa: N801  # PyTorch's name
    """A context, or a decorator, without effect: there is no accelerator."""

    def __init__(self, enabled: bool = True, dtype: Any = None, cache_enabled: bool = True) -> None:
        super().__init__("cuda", dtype, enabled, cache_enabled)


class GradScaler(amp.GradScaler):
    """A scaler that leaves losses unchanged: there is no accelerator."""

    def __init__(
        self,
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        super().__init__("cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled)


__getattr__, __dir__ = missing("torch.cuda.amp", __all__)
