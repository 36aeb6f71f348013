"""``torch.utils``: ``data``."""

from ranvier.support.errors import missing
from ranvier.torch.utils import data

__all__ = ["data"]

__getattr__, __dir__ = missing("torch.utils", __all__)
