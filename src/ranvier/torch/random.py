"""PyTorch's ``torch.random``."""

from ranvier.ops.torch.random import *  # noqa: F403 - its __all__ is the vocabulary
from ranvier.ops.torch.random import __all__ as __all__  # noqa: PLC0414 - shown
from ranvier.ops.torch.random import __dir__ as __dir__  # noqa: PLC0414 - shown
from ranvier.ops.torch.random import __getattr__ as __getattr__  # noqa: PLC0414 - shown
