"""Array operations on tensors and nodes: NumPy's broadcasting and a short dtype promotion over the strict primitives.

Each is a tensor function: given tensors or arrays it is recorded, given nodes it builds graph at once. Integers meet
floats as that float, booleans meet numbers as numbers, a Python number takes the dtype of what it meets. Extents may be
symbols such as the batch: reshapes keep them and means divide by them.
"""

from ranvier.support.errors import lazy_names

__getattr__, __dir__, __all__ = lazy_names("ranvier.ops.arrays", {
    "ranvier.ops.arrays.creation": "arange filled full_like iota one_hot ones_like take take_along zeros_like",
    "ranvier.ops.arrays.division": "floor_divide fmod remainder",
    "ranvier.ops.arrays.elementwise":
        "abs add cast ceil clip cos divide equal erf exp expm1 floor greater greater_equal isfinite isnan less "
        "less_equal log log1p logical_and logical_not logical_or logical_xor maximum minimum multiply negative "
        "not_equal power reciprocal rsqrt sigmoid sign sin sqrt square stop_gradient subtract tanh where",
    "ranvier.ops.arrays.products": "einsum matmul",
    "ranvier.ops.arrays.promotion":
        "as_node axes_of axis_of broadcast_shape count expand floating keep result_dtype signed together",
    "ranvier.ops.arrays.reductions": "all any argmax argmin logsumexp max mean min norm std sum var",
    "ranvier.ops.arrays.shape":
        "broadcast_to concatenate diagonal expand_dims flatten flip index_basic pad reshape split squeeze stack "
        "swapaxes transpose",
})  # fmt: skip
