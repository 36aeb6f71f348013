"""``torch.nn.functional``: the functions of networks, with PyTorch's argument names and defaults.

``input`` is a tensor, (samples, features) or (samples, channels, ...); ``target`` has its shape, or holds class numbers
(samples,). ``reduction`` is "mean", "sum" or "none". ``training`` says whether dropout drops. ``inplace`` changes
``input`` itself. Arguments that do not fit raise ValueError or TypeError.
"""

from ranvier.ops import vocabulary
from ranvier.support.errors import missing

__all__ = vocabulary.names("torch", "F.")  # noqa: PLE0605 - what the table holds

__getattr__, __dir__ = missing(
    "torch.nn.functional", __all__, hints={"upsample": "interpolate"}, made=vocabulary.maker("torch", "F.")
)
