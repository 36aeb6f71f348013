"""``torch.linalg``: norms, and NumPy's solvers and decompositions, of values at hand and without gradients."""

from ranvier.ops import vocabulary
from ranvier.ops.arrays.decompositions import LinAlgError
from ranvier.support.errors import missing

__all__ = ["LinAlgError", *vocabulary.names("torch", "linalg.")]  # noqa: PLE0604 - names of the table

__getattr__, __dir__ = missing("torch.linalg", __all__, made=vocabulary.maker("torch", "linalg."))
