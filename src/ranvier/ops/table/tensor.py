"""Rows of what tensors alone have: operators, conversions, gradients, writing."""

from __future__ import annotations

from ranvier.ops.table.row import SAME, Row, each

T = "tensor_methods"
P = "torch.tensor_methods"
E = "arrays.elementwise"
D = "arrays.division"

OPERATORS = {
    "__add__": f"{E}:add", "__sub__": f"{E}:subtract", "__mul__": f"{E}:multiply", "__truediv__": f"{E}:divide",
    "__floordiv__": f"{D}:whole_quotient", "__mod__": f"{D}:whole_remainder", "__pow__": f"{E}:power",
    "__matmul__": "arrays.products:matmul", "__neg__": "torch.elementwise:neg", "__abs__": f"{E}:abs", "__lt__": f"{E}:less",
    "__le__": f"{E}:less_equal", "__gt__": f"{E}:greater", "__ge__": f"{E}:greater_equal",
    "__getitem__": "indexing:indexed", "__setitem__": "indexing:set_item",
}  # fmt: skip
RENAMED = {  # names of Python's, and those of two methods
    "__and__": "and_", "__array__": "array", "__copy__": "shallow_copy", "__or__": "or_", "astype": "to", "type_as": "to",
    "bool": "to_bool", "double": "to_double",
    "float": "to_float", "int": "to_int", "long": "to_long", "short": "to_short", "char": "to_char", "half": "to_half",
    "bfloat16": "to_bfloat16",
}  # fmt: skip
OWN = (
    "__radd__ __iadd__ __rsub__ __isub__ __rmul__ __imul__ __rtruediv__ __itruediv__ __rfloordiv__ __rmod__ __rpow__ "
    "__ifloordiv__ __imod__ __ipow__ __iand__ __ior__ __ixor__ __rmatmul__ __pos__ __eq__ __ne__ __xor__ __rand__ __ror__ __rxor__ __invert__ "
    "__lshift__ __rshift__ __rlshift__ __rrshift__ __ilshift__ __irshift__"
)
METHODS = "assign_add assign_sub contiguous cpu dim numel numpy requires_grad_ size to normal_ uniform_"
PYTORCH = (
    "bernoulli_ byte cuda element_size exponential_ fill_diagonal_ is_contiguous ndimension nelement pin_memory "
    "random_ register_hook register_post_accumulate_grad_hook retain_grad stride type"
)

ROWS = (
    *(Row(name, method=f"{name} -> {place}") for name, place in OPERATORS.items()),
    *(Row(name, method=f"{name} -> {T}:{name.strip('_')}") for name in OWN.split()),
    *(Row(name, method=f"{name} -> {T}:{place}") for name, place in RENAMED.items()),
    Row("__getattr__", method="__getattr__ -> torch.missing_names:explain"),
    *each("method", T, METHODS),
    *each("method", P, PYTORCH),
    *each("torch", T, "numel", ""),
    Row("detach", torch=f"detach -> {T}:detach; detach_ -> {P}:detach_", method=f"detach -> {T}:detach; detach_ -> {P}:detach_"),
    Row("fill_", torch=f"fill_ -> {T}:fill_; zero_ -> {T}:zero_", method=f"fill_ -> {T}:fill_; zero_ -> {T}:zero_; copy_ -> {T}:copy_"),
    Row("backward", method="backward -> tensor_methods:backward"),
    *each("torch", "torch.elementwise", "is_complex is_floating_point", SAME),
    *(Row(name, attribute=f"{name} -> {P}:{name}") for name in ("device", "grad_fn", "is_cpu", "is_cuda", "itemsize", "layout", "nbytes", "retains_grad")),
    Row("data", attribute=f"data -> {T}:data"),
)  # fmt: skip
