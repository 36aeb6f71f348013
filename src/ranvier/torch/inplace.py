"""PyTorch's functions that change their argument and return it; their names end in an underscore."""

from __future__ import annotations

from typing import Any

from ranvier.ops import tensor_methods as common
from ranvier.ops.torch import tensor_methods
from ranvier.ops.torch.noise import alpha_dropout_, dropout_, feature_alpha_dropout_
from ranvier.torch.nn.functional import celu_, relu_, selu_, threshold_

__all__ = [
    "abs_", "alpha_dropout_", "ceil_", "celu_", "clamp_", "clamp_max_", "clamp_min_", "clip_", "cos_", "detach_",
    "dropout_", "erf_", "exp_", "expm1_", "feature_alpha_dropout_", "fill_", "floor_", "frac_", "log1p_", "log_",
    "logit_", "nan_to_num_", "neg_", "reciprocal_", "relu_", "round_", "rsqrt_", "selu_", "sigmoid_", "sin_", "sqrt_",
    "square_", "tan_", "tanh_", "threshold_", "trunc_", "zero_",
]  # fmt: skip


def _methods(names: str) -> list[Any]:
    known = {**common.METHODS, **tensor_methods.METHODS}
    return [known[name] for name in names.split()]


abs_, ceil_, clamp_, clamp_max_, clamp_min_, clip_, cos_, detach_, erf_, exp_, expm1_, fill_ = _methods(
    "abs_ ceil_ clamp_ clamp_max_ clamp_min_ clip_ cos_ detach_ erf_ exp_ expm1_ fill_"
)
floor_, frac_, log1p_, log_, logit_, nan_to_num_, neg_, reciprocal_, round_, rsqrt_, sigmoid_ = _methods(
    "floor_ frac_ log1p_ log_ logit_ nan_to_num_ neg_ reciprocal_ round_ rsqrt_ sigmoid_"
)
sin_, sqrt_, square_, tan_, tanh_, trunc_, zero_ = _methods("sin_ sqrt_ square_ tan_ tanh_ trunc_ zero_")
