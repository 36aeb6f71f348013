# Written by `python -m tests.stubs --write`; a test holds it against the code.
from ranvier.ops.arrays.decompositions import LinAlgError as LinAlgError
from ranvier.ops.arrays.decompositions import cholesky as cholesky
from ranvier.ops.arrays.decompositions import det as det
from ranvier.ops.arrays.decompositions import eigh as eigh
from ranvier.ops.arrays.decompositions import eigvalsh as eigvalsh
from ranvier.ops.arrays.decompositions import inv as inv
from ranvier.ops.arrays.decompositions import matrix_power as matrix_power
from ranvier.ops.arrays.decompositions import matrix_rank as matrix_rank
from ranvier.ops.arrays.decompositions import pinv as pinv
from ranvier.ops.arrays.decompositions import qr as qr
from ranvier.ops.arrays.decompositions import slogdet as slogdet
from ranvier.ops.arrays.decompositions import solve as solve
from ranvier.ops.arrays.decompositions import svd as svd
from ranvier.ops.arrays.decompositions import svdvals as svdvals
from ranvier.ops.torch.linalg import lstsq as lstsq
from ranvier.tensor.tensor import Tensor as Tensor
from typing import Any as Any

__all__ = ['LinAlgError', 'cholesky', 'det', 'eigh', 'eigvalsh', 'inv', 'lstsq', 'matmul', 'matrix_norm', 'matrix_power', 'matrix_rank', 'norm', 'pinv', 'qr', 'slogdet', 'solve', 'svd', 'svdvals', 'vector_norm']
def matmul(input: Any, other: Any) -> Tensor: ...
def matrix_norm(A: Any, ord: Any = 'fro', dim: Any = ..., keepdim: bool = False) -> Any: ...
def norm(A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any: ...
def vector_norm(x: Any, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any: ...
