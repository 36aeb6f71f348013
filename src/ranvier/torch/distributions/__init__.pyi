# Written by `python -m tests.stubs --write`; a test holds it against the code.
from ranvier.torch.distributions.continuous import Beta as Beta
from ranvier.torch.distributions.continuous import Dirichlet as Dirichlet
from ranvier.torch.distributions.continuous import Exponential as Exponential
from ranvier.torch.distributions.continuous import Gamma as Gamma
from ranvier.torch.distributions.continuous import Gumbel as Gumbel
from ranvier.torch.distributions.continuous import Laplace as Laplace
from ranvier.torch.distributions.continuous import LogNormal as LogNormal
from ranvier.torch.distributions.continuous import Normal as Normal
from ranvier.torch.distributions.continuous import Uniform as Uniform
from ranvier.torch.distributions.discrete import Bernoulli as Bernoulli
from ranvier.torch.distributions.discrete import Categorical as Categorical
from ranvier.torch.distributions.discrete import OneHotCategorical as OneHotCategorical
from ranvier.torch.distributions.discrete import OneHotCategoricalStraightThrough as OneHotCategoricalStraightThrough
from ranvier.torch.distributions.discrete import Poisson as Poisson
from ranvier.torch.distributions.distribution import Distribution as Distribution
from ranvier.torch.distributions.independent import Independent as Independent
from ranvier.torch.distributions.kl import kl_divergence as kl_divergence
from ranvier.torch.distributions.kl import register_kl as register_kl
from ranvier.torch.distributions.multivariate import MultivariateNormal as MultivariateNormal

__all__ = ['Bernoulli', 'Beta', 'Categorical', 'Dirichlet', 'Distribution', 'Exponential', 'Gamma', 'Gumbel', 'Independent', 'Laplace', 'LogNormal', 'MultivariateNormal', 'Normal', 'OneHotCategorical', 'OneHotCategoricalStraightThrough', 'Poisson', 'Uniform', 'kl_divergence', 'register_kl']
