"""Activations, parts of networks and PyTorch's losses, composed of `ranvier.ops.arrays`."""

from ranvier.support.errors import lazy_names

__getattr__, __dir__, __all__ = lazy_names("ranvier.ops.functional", {
    "ranvier.ops.functional.activations":
        "celu cosine_similarity elu embedding exponential gelu hard_shrink hard_sigmoid hard_silu hard_tanh "
        "leaky_relu linear log_sigmoid log_softmax mish normalize pairwise_distance relu relu6 selu sigmoid silu "
        "soft_shrink softmax softplus softsign squareplus tanh tanh_shrink",
    "ranvier.ops.functional.losses_torch":
        "binary_cross_entropy binary_cross_entropy_with_logits cross_entropy huber_loss kl_div l1_loss mse_loss "
        "nll_loss poisson_nll_loss smooth_l1_loss",
    "ranvier.ops.functional.noise":
        "alpha_dropout dropout gaussian_dropout gaussian_noise gumbel_softmax standard_normal rrelu",
})  # fmt: skip
