"""Rows of products of matrices and vectors, and of linear algebra."""

from __future__ import annotations

from ranvier.ops.table.row import IN_PLACE, SAME, Row, each

L = "arrays.linalg"
D = "arrays.decompositions"


def solver(name: str, keras: str = "", torch: str = "", method: str = "") -> Row:
    """A row of one of NumPy's solvers and decompositions."""
    return Row(
        name, f"{D}:{name}", f"{name} linalg.{name} -> {D}:{name}" if keras == "" else keras, f"linalg.{name} -> {D}:{name}; {torch}",
        method,
    )  # fmt: skip


ROWS = (
    Row("matmul", "arrays.products:matmul", "matmul -> keras.arrays:matmul", "matmul linalg.matmul(input, other)", SAME, samples="X, Y.T", value="X @ Y.T"),
    Row("mm", f"{L}:mm", torch="mm(input, mat2)", method=SAME, samples="X, Y.T", value="X @ Y.T"),
    Row("mv", f"{L}:mv", torch="mv(input, vec)", method=SAME, samples="X, Y[0]", value="X @ Y[0]"),
    Row("dot", f"{L}:dot", "dot -> keras.arrays:dot", "dot(input, tensor)", SAME, samples="X[0], Y[0]", value="X[0] @ Y[0]"),
    Row("bmm", f"{L}:bmm", torch="bmm(input, mat2)", method=SAME, samples="C, C.transpose(0, 2, 1)", value="C @ C.transpose(0, 2, 1)"),
    Row("outer", f"{L}:outer", "outer(x1, x2)", "outer ger(input, vec2)", SAME, samples="X[0], Y[1]", value="np.outer(X[0], Y[1])"),
    Row("inner", f"{L}:inner", "inner(x1, x2)", "inner(input, other)", SAME, samples="X, Y", value="np.inner(X, Y)"),
    Row("vdot", f"{L}:vdot", "vdot(x1, x2)", "vdot(input, other)", SAME, samples="X, Y", value="np.vdot(X, Y)"),
    Row("kron", f"{L}:kron", "kron(x1, x2)", "kron(input, other)", SAME, samples="X, Y", value="np.kron(X, Y)"),
    Row("tensordot", f"{L}:tensordot", "tensordot -> keras.reducing:tensordot", "tensordot(a, b, dims=2)"),
    Row("cross", f"{L}:cross", "cross -> keras.reducing:cross", "cross(input, other, dim=-1)", SAME, samples="X[:, :3], Y[:, :3]", value="np.cross(X[:, :3], Y[:, :3])"),
    Row("cdist", f"{L}:cdist", "cdist(x, y)", "cdist(x1, x2, p=2.0, compute_mode=None)", samples="X, Y", value="np.linalg.norm(X[:, None] - Y, axis=-1)"),
    Row("corrcoef", f"{L}:corrcoef", "corrcoef(x)", "corrcoef(input)", SAME, samples="X", value="np.corrcoef(X)"),
    Row("cov", f"{L}:cov", torch="cov(input, *, correction=1, fweights=None, aweights=None)", method=SAME, samples="X", value="np.cov(X)"),
    Row("einsum", "", "einsum -> keras.arrays:einsum", "einsum -> torch.reductions:einsum"),
    *each("torch", "torch.reductions", "addmm addmv baddbmm", SAME, IN_PLACE),
    *each("torch", "torch.matrices", "addr addbmm", SAME, IN_PLACE),
    *each("torch", "torch.matrices", "adjoint cholesky cholesky_inverse logdet matrix_exp qr svd triangular_solve", SAME),
    Row("cholesky_solve", "torch.matrices:cholesky_solve", torch="cholesky_solve(B, L, upper=False)", method="cholesky_solve(B, input2: L, upper=False)"),
    *each("torch", "torch.matrices", "chain_matmul pca_lowrank svd_lowrank vander linalg.cond linalg.cross linalg.diagonal linalg.matrix_exp linalg.multi_dot "
          "linalg.solve_triangular linalg.vecdot"),
    Row("linalg.vander", torch="linalg.vander -> torch.matrices:linalg_vander"),
    *each("keras", "keras.reducing", "correlate vander"),
    # --- decompositions and solvers: evaluated at once --------------------------------------------------------------
    solver("cholesky"), solver("eigh"), solver("matrix_rank", keras="matrix_rank linalg.matrix_rank -> keras.placing:matrix_rank"), solver("slogdet", torch="slogdet(input: A)", method=SAME), solver("solve"),
    solver("det", torch="det(input: A)", method=SAME),
    solver("inv", torch="inverse(input: A)", method=f"inverse -> {D}:inv"),
    solver("pinv", keras="pinv linalg.pinv -> keras.placing:pinv", torch="pinverse(input: A, rcond: rtol = None)", method="pinverse(input: A, rcond: rtol = None)"),
    solver("qr", keras="qr linalg.qr -> keras.placing:qr"),
    solver("svd", keras="svd linalg.svd -> keras.placing:svd"),
    solver("eigvalsh", keras=" "), solver("svdvals", keras=" "), solver("matrix_power", keras=" ", torch="matrix_power(input: A, n)", method="matrix_power(input: A, n)"),
    Row("logdet", keras="logdet -> keras.placing:logdet"),
    *each("torch", "arrays.factors", "linalg.cholesky_ex linalg.inv_ex linalg.lu linalg.lu_factor linalg.lu_factor_ex linalg.lu_solve "
          "linalg.solve_ex linalg.tensorinv linalg.tensorsolve lu_unpack"),
    *each("torch", "arrays.factors", "geqrf", SAME),
    Row("ormqr", "arrays.factors:ormqr", torch="ormqr(input, tau, other, left=True, transpose=False)", method="ormqr(input, input2: tau, input3: other, left=True, transpose=False)"),
    Row("householder_product", "arrays.factors:householder_product", torch="linalg.householder_product -> arrays.factors:householder_product; orgqr(input: A, tau)", method="orgqr(A, input2: tau)"),
    Row("lu_solve", torch="lu_solve -> arrays.factors:solve_packed", method=SAME),
    Row("lu_factor", keras="lu_factor linalg.lu_factor -> keras.placing:lu_factor"),
    Row("solve_triangular", keras="solve_triangular linalg.solve_triangular -> keras.placing:solve_triangular"),
    Row("lstsq", keras="lstsq linalg.lstsq -> keras.placing:lstsq"),
    Row("cholesky_inverse", "torch.matrices:cholesky_inverse", "cholesky_inverse linalg.cholesky_inverse(x: L, upper=False)"),
    *each("torch", "torch.linalg", "linalg.lstsq linalg.matrix_norm linalg.norm linalg.vector_norm"),
)  # fmt: skip
