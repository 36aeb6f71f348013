"""The rows of the test part, and of the folds within the training part: by class, by group, by time, or by chance."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ranvier.data.convert import Array
from ranvier.search.folds import GroupKFold, KFold, StratifiedKFold

SMALL = 20_000  # rows up to which the larger fraction is held out
FOLDED = {"image": 2_000, "sound": 200}  # rows up to which there are five folds: of other kinds `SMALL`


def fraction_of(rows: int) -> float:
    """The fraction of so many rows that one part holds out."""
    return 0.2 if rows <= SMALL else 0.1


def test_rows(
    fraction: float, truth: Array, classes: bool, order: Array | None, groups: Array | None, seed: int
) -> Array:
    """The numbers of the test rows, in order, about ``fraction`` of all.

    With ``order`` (a number for each row, such as a time) they are the last; with ``groups`` whole groups; of classes
    the same fraction of each.
    """
    n = len(truth)
    if not fraction:
        return np.zeros(0, np.int64)
    if order is not None:
        ranked = np.argsort(order, kind="stable")
        return np.sort(ranked[n - max(1, round(fraction * n)) :])
    rng = np.random.default_rng(seed)
    if groups is not None:
        names, sizes = np.unique(groups, return_counts=True)
        shuffled = rng.permutation(len(names))
        taken = shuffled[: max(1, int(np.searchsorted(np.cumsum(sizes[shuffled]), fraction * n)))]
        return np.flatnonzero(np.isin(groups, names[taken]))
    if not classes:
        return np.sort(rng.permutation(n)[: max(1, round(fraction * n))])
    chosen = []
    for label in np.unique(truth):
        places = rng.permutation(np.flatnonzero(truth == label))
        chosen.append(places[: round(fraction * len(places))])
    return np.sort(np.concatenate(chosen))


def folds_of(
    folds: int, truth: Array, classes: bool, order: Array | None, groups: Array | None, seed: int
) -> list[tuple[Array, Array]]:
    """Pairs of row numbers (training, held out) within the training part.

    One fold holds out a fifth. With ``order`` each holds out a later stretch, and trains on what was before.
    """
    n = len(truth)
    rows = np.arange(n)
    if order is not None:
        ranked = np.argsort(order, kind="stable")
        bounds = np.linspace(0.5 if folds > 1 else 0.8, 1, folds + 1) * n
        cuts = [int(b) for b in bounds]
        return [(ranked[:a], ranked[a:b]) for a, b in pairwise(cuts)]
    if folds == 1:
        held = test_rows(fraction_of(n), truth, classes, None, groups, seed)
        return [(np.setdiff1d(rows, held), held)]
    if groups is not None:
        return [(a, b) for a, b in GroupKFold(min(folds, len(np.unique(groups))), seed=seed).split(rows, None, groups)]
    if classes and np.bincount(truth[truth >= 0]).max() >= folds:
        return [(a, b) for a, b in StratifiedKFold(folds, seed=seed).split(rows, truth)]
    return [(a, b) for a, b in KFold(folds, seed=seed).split(rows)]
