"""Training of many small models in parallel: seeds, folds and settings, cross-validation, grid and random search."""

from ranvier.support.errors import lazy_names

__getattr__, __dir__, __all__ = lazy_names("ranvier.search", {
    "ranvier.search.distributions": "Distribution choice integers log_uniform uniform",
    "ranvier.search.folds": "GroupKFold KFold StratifiedKFold",
    "ranvier.search.interval": "Estimate",
    "ranvier.search.learning_curves": "LearningCurve learning_curve",
    "ranvier.search.many": "fit_many",
    "ranvier.search.results": "Interrupted Results Setting Trained",
    "ranvier.search.searches": "cross_validate grid_search random_search",
    "ranvier.search.studies": "optuna_search",
    "ranvier.search.variants": "Variant",
})  # fmt: skip
