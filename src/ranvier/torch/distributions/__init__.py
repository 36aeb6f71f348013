"""``torch.distributions``: PyTorch's names, parameters and formulas. The random numbers are those of this library."""

from ranvier.support.errors import lazy_names

__getattr__, __dir__, __all__ = lazy_names("torch.distributions", {
    "ranvier.torch.distributions.continuous":
        "Beta Dirichlet Exponential Gamma Gumbel Laplace LogNormal Normal Uniform",
    "ranvier.torch.distributions.discrete":
        "Bernoulli Categorical OneHotCategorical OneHotCategoricalStraightThrough Poisson",
    "ranvier.torch.distributions.distribution": "Distribution",
    "ranvier.torch.distributions.independent": "Independent",
    "ranvier.torch.distributions.kl": "kl_divergence register_kl",
    "ranvier.torch.distributions.multivariate": "MultivariateNormal",
})  # fmt: skip
