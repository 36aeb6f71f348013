"""Cross-validation, grid search and random search: `fit_many` with the variants that each of them means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ranvier.module import Module
from ranvier.search.distributions import draw_points
from ranvier.search.many import check_options, fit_many
from ranvier.search.results import Results
from ranvier.search.variants import grid_points
from ranvier.support.validation import whole

__all__ = ["cross_validate", "grid_search", "random_search"]


def cross_validate(
    build: Callable[..., Module],
    x: Any,
    y: Any = None,
    *,
    folds: Any = 5,
    settings: Mapping[str, Any] | None = None,
    **options: Any,
) -> Results:
    """How well one setting does on rows that it has not seen: a model for each fold (and each of ``seeds``).

    ``settings`` are given to ``build``. Everything else is as in `fit_many`; ``results.best.metrics`` has the means
    and intervals.
    """
    check_options(cross_validate, options, "cross_validate")
    return fit_many(build, x, y, [dict(settings or {})], folds=folds, **options)


def grid_search(
    build: Callable[..., Module], x: Any, y: Any = None, *, grid: Any, folds: Any = 5, **options: Any
) -> Results:
    """Cross-validate every combination of a grid's values: a dict of lists, or a list of such dicts.

    Models are not kept unless ``keep_models=True``: ``results.refit()`` trains the best setting on every row.
    Everything else is as in `fit_many`.
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
    folds: Any = 5,
    **options: Any,
) -> Results:
    """Cross-validate ``n`` settings drawn from ``space``: a dict of distributions and of lists of values.

    Distributions are `uniform`, `log_uniform`, `integers` and `choice` of ``rv.search``, or frozen ones of scipy.stats.
    No setting is tried twice, so that a space of fewer than ``n`` is used up, with a warning. ``seed`` decides what
    is drawn, and a search for more settings begins with those of a shorter one. Random settings find a good one
    with fewer trials than a grid where few of the settings matter (Bergstra and Bengio, Journal of Machine Learning
    Research 13, 2012). Everything else is as in `grid_search`.
    """
    check_options(random_search, options, "random_search")
    n, seed = whole("n", n), whole("seed", seed, 0)
    options.setdefault("keep_models", False)
    return fit_many(build, x, y, draw_points(space, n, seed), folds=folds, **options)
