"""``torch.distributions``: PyTorch's names, parameters and formulas. The random numbers are those of this library."""

from ranvier.support.errors import lazy_names

__getattr__, __dir__, __all__ = lazy_names("torch.distributions", {
    "ranvier.torch.distributions.continuous":
        "Beta Dirichlet Exponential Gamma Gumbel Laplace LogNormal Normal Uniform",
    "ranvier.torch.distributions.counts":
        "Binomial Geometric MixtureSameFamily Multinomial NegativeBinomial RelaxedBernoulli RelaxedOneHotCategorical",
    "ranvier.torch.distributions.discrete":
        "Bernoulli Categorical OneHotCategorical OneHotCategoricalStraightThrough Poisson",
    "ranvier.torch.distributions.distribution": "Distribution",
    "ranvier.torch.distributions.independent": "Independent",
    "ranvier.torch.distributions.kl": "kl_divergence register_kl",
    "ranvier.torch.distributions.multivariate": "MultivariateNormal",
    "ranvier.torch.distributions.low_rank": "LowRankMultivariateNormal",
    "ranvier.torch.distributions.shares": "FisherSnedecor GeneralizedPareto InverseGamma Kumaraswamy VonMises",
    "ranvier.torch.distributions.tails": "Cauchy Chi2 HalfCauchy HalfNormal Pareto StudentT Weibull",
    "ranvier.torch.distributions.transforms":
        "AbsTransform AffineTransform ComposeTransform ExpTransform IndependentTransform PowerTransform "
        "SigmoidTransform SoftmaxTransform SoftplusTransform TanhTransform Transform TransformedDistribution "
        "identity_transform",
})  # fmt: skip
