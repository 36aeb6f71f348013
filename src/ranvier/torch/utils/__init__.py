"""``torch.utils``: ``data``, ``checkpoint``, ``tensorboard``."""

from ranvier.support.errors import missing
from ranvier.torch.utils import data

__all__ = ["checkpoint", "data", "tensorboard"]

_LAZY = {name: f"ranvier.torch.utils.{name}" for name in ("checkpoint", "tensorboard")}
__getattr__, __dir__ = missing("torch.utils", __all__, _LAZY)
