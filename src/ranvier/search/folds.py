"""Cross-validation splitters: k folds, optionally stratified by class or with whole groups.

A fold is a pair of row numbers (train, held out). The arrays are not copied.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ranvier.support.constructors import CheckedConstructor
from ranvier.support.validation import whole

Rows = npt.NDArray[np.int32]
Fold = tuple[Rows, Rows]


class Splitter(Protocol):
    """The interface of cross-validation splitters, here and in scikit-learn."""

    def split(self, x: Any, y: Any = None, groups: Any = None, /) -> Iterable[tuple[Any, Any]]: ...


Folds = int | Splitter | Iterable[tuple[Any, Any]]


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


@dataclass(frozen=True)
class KFold(CheckedConstructor):
    """``n_splits`` folds, whose sizes differ by at most one row. Every row is held out once.

    With ``shuffle`` the rows are assigned in a random order that depends only on ``seed``, otherwise in their order.
    """

    n_splits: int = 5
    shuffle: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        whole("n_splits", self.n_splits, 2)

    def split(self, x: Any, y: Any = None, groups: Any = None) -> list[Fold]:
        """The folds of the rows of ``x``. Raises ValueError where there are fewer rows than folds."""
        number = self.numbers(len(x), y, groups)
        rows = np.arange(len(x), dtype=np.int32)
        return [(rows[number != k], rows[number == k]) for k in range(self.n_splits)]

    def get_n_splits(self, x: Any = None, y: Any = None, groups: Any = None) -> int:
        """``n_splits``, for scikit-learn."""
        return self.n_splits

    def numbers(self, n: int, y: Any, groups: Any) -> npt.NDArray[np.int64]:
        """The fold of each row."""
        self._enough(n, "rows")
        number = np.arange(n) * self.n_splits // n
        return _generator(self.seed).permutation(number) if self.shuffle else number

    def _enough(self, n: int, what: str) -> None:
        if n < self.n_splits:
            raise ValueError(f"{n} {what} cannot make {self.n_splits} folds. Write folds={max(n, 2)} or fewer instead.")


@dataclass(frozen=True)
class StratifiedKFold(KFold):
    """Folds in which every class has the same proportion as in all rows, up to one row."""

    def numbers(self, n: int, y: Any, groups: Any) -> npt.NDArray[np.int64]:
        if y is None or len(y) != n:
            found = "y is None" if y is None else f"y has {len(y)}"
            raise ValueError(
                f"StratifiedKFold needs the class of each of the {n} rows, and {found}. Write y with one class a row, "
                "or rv.search.KFold, instead."
            )
        classes, counts = np.unique(_classes(y), return_inverse=True, return_counts=True)[1:]
        if counts.max() < self.n_splits:
            raise ValueError(
                f"the largest class has {counts.max()} rows, which cannot make {self.n_splits} folds. "
                f"Write folds={max(int(counts.max()), 2)} or fewer, or rv.search.KFold, instead."
            )
        # Rows are sorted by class and assigned to the folds in turn, which balances each class and the fold sizes.
        order = _generator(self.seed).permutation(n) if self.shuffle else np.arange(n)
        order = order[np.argsort(classes[order], kind="stable")]
        number = np.empty(n, np.int64)
        number[order] = np.arange(n) % self.n_splits
        return number


@dataclass(frozen=True)
class GroupKFold(KFold):
    """Folds with whole groups. Each group, the largest first, is assigned to the fold with the fewest rows."""

    def numbers(self, n: int, y: Any, groups: Any) -> npt.NDArray[np.int64]:
        if groups is None or len(groups) != n:
            raise ValueError(f"GroupKFold needs the group of each of the {n} rows. Write groups=array instead.")
        member, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)[1:]
        self._enough(len(counts), "groups")
        order = _generator(self.seed).permutation(len(counts)) if self.shuffle else np.arange(len(counts))
        sizes, of_group = np.zeros(self.n_splits, np.int64), np.empty(len(counts), np.int64)
        for group in order[np.argsort(-counts[order], kind="stable")]:
            of_group[group] = sizes.argmin()
            sizes[of_group[group]] += counts[group]
        return of_group[member]


def _classes(y: Any) -> npt.NDArray[Any]:
    """The class of each row: labels, or the largest column of one-hot rows."""
    array = np.asarray(y)
    return array.argmax(-1) if array.ndim == 2 and array.shape[1] > 1 else array.reshape(len(array))


def is_classes(y: Any) -> bool:
    """Whether targets may be classes: integers of any dtype, bools or strings, one in each row, or one-hot rows.

    Counts and years qualify too, and stratification by their values does no harm.
    """
    array = np.asarray(y) if hasattr(y, "__len__") or hasattr(y, "__array__") else None
    if array is None or array.ndim == 0 or array.dtype.kind not in "iubfUSO":
        return False
    if array.ndim == 1 or array[0].size == 1:
        if array.dtype.kind == "f":  # common for targets of a sigmoid, and for labels from frames
            return bool((array == np.floor(array)).all())
        return array.dtype.kind != "O"
    return array.ndim == 2 and bool(np.isin(array, (0, 1)).all() and (array.sum(1) == 1).all())


def folds_of(folds: Any, n: int, y: Any = None, groups: Any = None) -> list[Fold]:
    """Return folds of ``n`` rows as row numbers.

    ``folds`` is a number (`GroupKFold` with ``groups``, `StratifiedKFold` where ``y`` contains classes with rows for
    all folds, else `KFold`), a splitter with ``split(x, y, groups)``, also of scikit-learn, or pairs of row numbers or
    masks. Raises ValueError for unknown rows, for an empty side and for rows on both sides.
    """
    if isinstance(folds, (int, np.integer)) and not isinstance(folds, bool):
        # Integer years or prices may all be different: then no class has a row for each fold.
        rows = np.unique(_classes(y), return_counts=True)[1].max(initial=0) if is_classes(y) else 0
        kind = GroupKFold if groups is not None else StratifiedKFold if rows >= folds else KFold
        folds = kind(int(folds))
    if hasattr(folds, "split") and not isinstance(folds, (str, bytes)):
        stand_in = np.zeros((n, 1), np.uint8)  # splitters use only the number of rows
        target = None if y is None else _classes(y) if is_classes(y) else np.asarray(y)
        folds = folds.split(stand_in, target, groups)
    if not isinstance(folds, Iterable) or isinstance(folds, (str, bytes)):
        raise TypeError(f"folds={folds!r}: write a number, a splitter, or a list of (train, held out) rows, instead.")
    result = [_checked(pair, n, k) for k, pair in enumerate(folds)]
    if not result:
        raise ValueError("folds is empty. Write at least one pair of (train, held out) rows instead.")
    return result


def _checked(pair: Any, n: int, number: int) -> Fold:
    try:
        train, held_out = pair
    except (TypeError, ValueError):
        raise TypeError(f"fold {number} is {pair!r}. Write a pair of (train, held out) row numbers instead.") from None
    sides = []
    for name, given in (("train", train), ("held-out", held_out)):
        rows = np.asarray(given)
        if rows.dtype == bool and rows.shape == (n,):
            rows = np.flatnonzero(rows)
        if rows.ndim != 1 or rows.dtype.kind not in "iu" or len(rows) == 0:
            raise ValueError(
                f"the {name} side of fold {number} has shape {rows.shape} and dtype {rows.dtype}. Write a list of at "
                f"least one row number, or a mask of {n} bools, instead."
            )
        if rows.min() < 0 or rows.max() >= n:
            bad = rows[(rows < 0) | (rows >= n)][0]
            raise ValueError(
                f"the {name} side of fold {number} contains row {bad}. Write rows from 0 to {n - 1} instead."
            )
        sides.append(np.ascontiguousarray(rows, np.int32))
    shared = np.intersect1d(sides[0], sides[1])
    if len(shared):
        raise ValueError(f"row {shared[0]} of fold {number} is trained on and held out. Write it on one side only.")
    return sides[0], sides[1]
