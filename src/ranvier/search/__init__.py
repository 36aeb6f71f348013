"""Many small models: seeds, folds and settings side by side, cross-validation, grid and random search."""

from ranvier.search.distributions import Distribution, choice, integers, log_uniform, uniform
from ranvier.search.folds import GroupKFold, KFold, StratifiedKFold
from ranvier.search.interval import Estimate
from ranvier.search.many import fit_many
from ranvier.search.results import Interrupted, Results, Setting, Trained
from ranvier.search.searches import cross_validate, grid_search, random_search
from ranvier.search.variants import Variant
from ranvier.support.errors import missing

__all__ = [
    "Distribution",
    "Estimate",
    "GroupKFold",
    "Interrupted",
    "KFold",
    "Results",
    "Setting",
    "StratifiedKFold",
    "Trained",
    "Variant",
    "choice",
    "cross_validate",
    "fit_many",
    "grid_search",
    "integers",
    "log_uniform",
    "random_search",
    "uniform",
]

__getattr__, __dir__ = missing(globals(), "ranvier.search", __all__)
