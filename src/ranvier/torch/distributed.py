"""``torch.distributed``, for programs that ask whether there are several processes; there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ranvier.ops.torch.missing_names import PROCESSES
from ranvier.support.errors import missing

__all__ = [
    "all_gather", "all_reduce", "barrier", "broadcast", "destroy_process_group", "get_rank", "get_world_size",
    "init_process_group", "is_available", "is_initialized", "is_torchelastic_launched", "reduce",
]  # fmt: skip


def is_available() -> bool:
    """False: there is one process."""
    return False


is_initialized = is_torchelastic_launched = is_available


def _refused(name: str) -> Callable[..., Any]:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        """Raises RuntimeError: there is one process."""
        raise RuntimeError(
            f"torch.distributed.{name}: {PROCESSES}. Leave the call out, or make it where "
            "torch.distributed.is_available() is true."
        )

    refuse.__name__ = refuse.__qualname__ = name
    return refuse


all_gather, all_reduce, barrier = _refused("all_gather"), _refused("all_reduce"), _refused("barrier")
broadcast, reduce = _refused("broadcast"), _refused("reduce")
init_process_group, destroy_process_group = _refused("init_process_group"), _refused("destroy_process_group")
get_rank, get_world_size = _refused("get_rank"), _refused("get_world_size")

__getattr__, __dir__ = missing("torch.distributed", __all__)
