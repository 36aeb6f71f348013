# Written by `python -m tests.stubs --write`; a test holds it against the code.
from ranvier.ops.arrays.decompositions import cholesky as cholesky
from ranvier.ops.arrays.decompositions import det as det
from ranvier.ops.arrays.decompositions import eigh as eigh
from ranvier.ops.arrays.decompositions import inv as inv
from ranvier.ops.arrays.decompositions import slogdet as slogdet
from ranvier.ops.arrays.decompositions import solve as solve
from ranvier.ops.keras.differentiation import jvp as jvp
from ranvier.ops.keras.elementwise import Axes as Axes
from ranvier.ops.keras.elementwise import Operand as Operand
from ranvier.ops.keras.placing import lstsq as lstsq
from ranvier.ops.keras.placing import lu_factor as lu_factor
from ranvier.ops.keras.placing import matrix_rank as matrix_rank
from ranvier.ops.keras.placing import pinv as pinv
from ranvier.ops.keras.placing import qr as qr
from ranvier.ops.keras.placing import solve_triangular as solve_triangular
from ranvier.ops.keras.placing import svd as svd
from typing import Any as Any

__all__ = ['cholesky', 'cholesky_inverse', 'det', 'eigh', 'inv', 'jvp', 'lstsq', 'lu_factor', 'matrix_rank', 'norm', 'pinv', 'qr', 'slogdet', 'solve', 'solve_triangular', 'svd']
def cholesky_inverse(x: Any, upper: bool = False) -> Any: ...
def norm(x: Operand, ord: Any = None, axis: Axes | None = None, keepdims: bool = False) -> Any: ...
