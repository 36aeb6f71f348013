"""``torch.random``: the seed of the process and where its random numbers stand, and generators apart from it."""

from ranvier.ops import vocabulary
from ranvier.ops.torch.random import Generator, default_generator
from ranvier.support.errors import missing

__all__ = [  # noqa: PLE0604 - names of the table
    "Generator",
    "default_generator",
    *vocabulary.names("torch", "random."),
]

__getattr__, __dir__ = missing("torch.random", __all__, made=vocabulary.maker("torch", "random."))
