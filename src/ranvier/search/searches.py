"""Cross-validation, grid search and random search, each a call of `fit_many`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ranvier.module import Module
from ranvier.search.distributions import draw_points
from ranvier.search.folds import Folds
from ranvier.search.many import check_options, fit_many
from ranvier.search.results import Results
from ranvier.search.variants import Grid, grid_points
from ranvier.support.validation import whole


def cross_validate(
    build: Callable[..., Module],
    x: Any,
    y: Any = None,
    *,
    folds: Folds = 5,
    settings: Mapping[str, Any] | None = None,
    **options: Any,
) -> Results:
    """Evaluate one setting on held-out rows, with a model for each fold (and each of ``seeds``).

    ``settings`` are passed to ``build``. All other arguments are those of `fit_many`. ``results.best.metrics`` has the
    means and intervals.
    """
    check_options(cross_validate, options, "cross_validate")
    return fit_many(build, x, y, [dict(settings or {})], folds=folds, **options)


def grid_search(
    build: Callable[..., Module], x: Any, y: Any = None, *, grid: Grid, folds: Folds = 5, **options: Any
) -> Results:
    """Cross-validate every combination of the values in a grid: a dict of lists, or a list of such dicts.

    Models are not kept unless ``keep_models=True``: ``results.refit()`` trains the best setting on all rows.
    All other arguments are those of `fit_many`.
    """
    check_options(grid_search, options, "grid_search")
    options.setdefault("keep_models", False)
    return fit_many(build, x, y, grid_points(grid), folds=folds, **options)


def random_search(
    build: Callable[..., Module],
    x: Any,
    y: Any = None,
    *,
    space: Mapping[str, Any],
    n: int = 20,
    seed: int = 0,
    folds: Folds = 5,
    **options: Any,
) -> Results:
    """Cross-validate ``n`` settings drawn from ``space``: a dict of distributions and of lists of values.

    Distributions are `uniform`, `log_uniform`, `integers` and `choice` of ``rv.search``, or frozen ones of scipy.stats.
    No setting is tried twice. A smaller space than ``n`` is tried completely, with a warning. The draws depend only on
    ``seed``, and a search for more settings starts with those of a shorter one. Where few of the settings matter,
    random search needs fewer trials than a grid (Bergstra and Bengio, Journal of Machine Learning Research 13, 2012).
    All other arguments are those of `grid_search`.
    """
    check_options(random_search, options, "random_search")
    n, seed = whole("n", n), whole("seed", seed, 0)
    options.setdefault("keep_models", False)
    return fit_many(build, x, y, draw_points(space, n, seed), folds=folds, **options)
