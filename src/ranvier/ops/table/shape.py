"""Rows of operations that move, join, repeat and cut elements."""

from __future__ import annotations

from ranvier.ops.table.row import IN_PLACE, ONLY_VIEW, SAME, SHAPE, VIEW, Row, each

S = "arrays.shape"
L = "arrays.linalg"
M = "shape_methods"

ROWS = (
    Row("reshape", f"{S}:reshape", "reshape -> keras.arrays:reshape", "reshape(input, shape)", f"reshape -> {M}:reshape", view=VIEW),
    Row("ravel", f"{S}:ravel", "ravel(x)", "ravel(input)", SAME, samples="X", value="X.ravel()", view=VIEW),
    Row("flatten", f"{S}:flatten", torch="flatten -> torch.shape:flatten", method=SAME, samples="C, 1", value="C.reshape(2, -1)", view=VIEW),
    Row("transpose", f"{S}:transpose", "transpose(x, axes=None)", "permute(input, dims)", f"permute -> {M}:permute", samples="X, (1, 0)", value="X.T", view=VIEW),
    Row("t", "torch.shape:t", torch="t(input)", method=SAME, in_place=SHAPE, samples="X", value="X.T", attribute=f"T -> {M}:T; mT -> {M}:mT; mH -> {M}:mT", view=VIEW),
    Row("swapaxes", f"{S}:swapaxes", "swapaxes(x, axis1, axis2)", "swapaxes(input, axis0, axis1)", SAME, SHAPE, samples="C, 0, 2", value="C.swapaxes(0, 2)", view=VIEW),
    Row("swapdims", f"{S}:swapaxes", torch="swapdims(input, dim0, dim1)", method=SAME, in_place=SHAPE, view=VIEW),
    Row("torch.transpose", f"{S}:swapaxes", torch="transpose(input, dim0, dim1)", method=f"transpose -> {M}:transpose", in_place=SHAPE, view=VIEW),
    Row("moveaxis", f"{S}:moveaxis", "moveaxis(x, source, destination)", "moveaxis movedim(input, source, destination)", SAME,
        samples="C, 0, -1", value="np.moveaxis(C, 0, -1)", view=VIEW),
    Row("expand_dims", "", "expand_dims -> keras.arrays:expand_dims"),
    Row("unsqueeze", f"{S}:expand_dims", torch="unsqueeze(input, dim)", method=SAME, in_place=SHAPE, samples="X, 1", value="X[:, None]", view=VIEW),
    Row("squeeze", f"{S}:squeeze", "squeeze(x, axis=None)", f"squeeze -> {M}:squeeze", SAME, SHAPE, view=VIEW),
    Row("concatenate", f"{S}:concatenate", "concatenate(xs, axis=0)", "cat concat(tensors, dim=0); concatenate(tensors, axis=0)"),
    Row("stack", f"{S}:stack", "stack(x, axis=0)", "stack(tensors, dim=0)"),
    Row("split", f"{M}:split", "split -> keras.arrays:split", "split(tensor, split_size_or_sections, dim=0)", f"split -> {M}:split", view=VIEW),
    *each("torch", M, "chunk unbind", SAME, view=VIEW),
    Row("flip", f"{S}:flip", "flip(x, axis=None)", "flip(input, dims)", f"flip -> {M}:flip", samples="X, 1", value="X[:, ::-1]"),
    Row("fliplr", f"{S}:fliplr", "fliplr(x)", "fliplr(input)", SAME, samples="X", value="np.fliplr(X)"),
    Row("flipud", f"{S}:flipud", "flipud(x)", "flipud(input)", SAME, samples="X", value="np.flipud(X)"),
    Row("broadcast_to", f"{S}:broadcast_to", "broadcast_to(x, shape)", "broadcast_to -> torch.shape:broadcast_to", f"broadcast_to expand -> {M}:expand",
        samples="X[:1], (3, 4)", value="np.broadcast_to(X[:1], (3, 4))", view=VIEW),
    Row("tile", "", "tile -> keras.arrays:tile", "tile -> torch.shape:tile", f"tile -> {M}:tile"),
    Row("repeat", "", "repeat -> keras.arrays:repeat", method=f"repeat -> {M}:repeat"),
    Row("roll", f"{L}:roll", "roll(x, shift, axis=None)", "roll(input, shifts, dims=None)", SAME, samples="X, 1, 1; X, 5", value="np.roll(X, 1, 1); np.roll(X, 5)"),
    Row("rot90", f"{L}:rot90", "rot90(array, k=1, axes=(0, 1))", "rot90(input, k=1, dims=(0, 1))", SAME, samples="X; X, 2", value="np.rot90(X); np.rot90(X, 2)"),
    Row("tril", f"{L}:tril", "tril(x, k=0)", "tril(input, diagonal=0)", SAME, IN_PLACE, "X, -1", "np.tril(X, -1)"),
    Row("triu", f"{L}:triu", "triu(x, k=0)", "triu(input, diagonal=0)", SAME, IN_PLACE, "X, 1", "np.triu(X, 1)"),
    Row("diag", f"{L}:diag", "diag(x, k=0)", "diag(input, diagonal=0)", SAME, samples="X, 1; X[0], -1", value="np.diag(X, 1); np.diag(X[0], -1)"),
    Row("diagonal", f"{S}:diagonal", "diagonal(x, offset=0, axis1=0, axis2=1)", "diagonal(input, offset=0, dim1=0, dim2=1)", SAME,
        samples="C, 1, 2, 1", value="C.diagonal(1, 2, 1)", view=VIEW),
    Row("trace", f"{L}:trace", "trace(x, offset=0, axis1=0, axis2=1)", samples="X", value="np.trace(X)"),
    Row("torch.trace", "torch.reductions:trace", torch="trace(input)", method=SAME, samples="X", value="np.trace(X)"),
    *each("keras", "keras.arrays", "pad unstack"),
    *each("keras", "keras.placing", "append array_split diagflat dsplit dstack hsplit hstack meshgrid vsplit vstack"),
    *each("torch", "torch.shape", "diag_embed repeat_interleave", SAME),
    *each("torch", "torch.shape", "narrow select tensor_split unflatten", SAME, view=VIEW),
    *each("torch", "torch.calculus", "diagflat msort put select_scatter slice_scatter", SAME),
    *(
        Row(f"torch.{name}", f"torch.calculus:{name}", torch=f"{name}(input, indices_or_sections)",
            method=f"{name}(input, split_size_or_sections: indices_or_sections)")
        for name in ("hsplit", "vsplit", "dsplit")
    ),
    Row("renorm", "torch.calculus:renorm", torch="renorm(input, p, dim, maxnorm)", method=SAME, in_place=IN_PLACE, samples="X, 2, 0, 0.5",
        value="X * np.minimum(1, 0.5 / (np.linalg.norm(X, axis=1, keepdims=True) + 1e-7))"),
    Row("split_with_sizes", f"{M}:split", torch="split_with_sizes(input, split_sizes: split_size, dim=0)", method=SAME, view=VIEW),
    *each("torch", "torch.calculus", "dstack unravel_index"),
    Row("row_stack", torch="row_stack -> torch.shape:vstack"),
    Row("range", torch="range -> torch.calculus:inclusive_range"),
    Row("unfold", method="unfold -> torch.shape:unfold", view=VIEW),
    *each("torch", "torch.shape", "block_diag broadcast_shapes broadcast_tensors cartesian_prod column_stack combinations hstack "
          "meshgrid tril_indices triu_indices vstack atleast_1d atleast_2d atleast_3d"),
    *(Row(f"{name}, a method", method=f"{name} -> {M}:{name}", view=VIEW) for name in ("expand_as", "reshape_as")),
    *(Row(f"{name}, a method", method=f"{name} -> {M}:{name}", view=ONLY_VIEW) for name in ("view", "view_as")),
)  # fmt: skip
