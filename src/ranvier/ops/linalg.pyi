# Written by `python -m tests.stubs --write`; a test holds it against the code.
from ranvier.ops.arrays.decompositions import cholesky as cholesky
from ranvier.ops.arrays.decompositions import det as det
from ranvier.ops.arrays.decompositions import eigh as eigh
from ranvier.ops.arrays.decompositions import inv as inv
from ranvier.ops.arrays.decompositions import slogdet as slogdet
from ranvier.ops.arrays.decompositions import solve as solve
from ranvier.ops.keras.elementwise import Axes as Axes
from ranvier.ops.keras.elementwise import Operand as Operand
from ranvier.ops.keras.placing import matrix_rank as matrix_rank
from ranvier.ops.keras.placing import pinv as pinv
from ranvier.ops.keras.placing import qr as qr
from ranvier.ops.keras.placing import svd as svd
from typing import Any as Any

__all__ = ['cholesky', 'det', 'eigh', 'inv', 'matrix_rank', 'norm', 'pinv', 'qr', 'slogdet', 'solve', 'svd']
def norm(x: Operand, ord: Any = None, axis: Axes | None = None, keepdims: bool = False) -> Any: ...
