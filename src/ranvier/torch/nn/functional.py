"""``torch.nn.functional``: the functions of networks, with PyTorch's argument names and defaults."""

from ranvier.ops import vocabulary
from ranvier.support.errors import missing

__all__ = vocabulary.names("torch", "F.")  # noqa: PLE0605 - what the table holds

__getattr__, __dir__ = missing(
    "torch.nn.functional", __all__, hints={"upsample": "interpolate"}, made=vocabulary.maker("torch", "F.")
)
