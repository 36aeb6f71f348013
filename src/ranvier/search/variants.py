"""The variants to train: one for each of seeds x folds x settings."""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ranvier.support.constructors import CheckedConstructor
from ranvier.training.loop.fingerprint import text

Grid = Mapping[str, Sequence[Any]] | Iterable[Mapping[str, Sequence[Any]]]


@dataclass(frozen=True)
class Variant(CheckedConstructor):
    """One model to train: its settings for ``build``, its seed, and its fold.

    ``fold`` is the number of the fold whose rows are held out, None where the model trains on all rows.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    fold: int | None = None

    def __str__(self) -> str:
        words = [f"{name}={value_text(value)}" for name, value in self.settings.items()]
        words += [f"seed={self.seed}"] + ([] if self.fold is None else [f"fold={self.fold}"])
        return ", ".join(words)

    @property
    def name(self) -> str:
        """A name for files and folders of the variant, the same in each process.

        Invalid characters are replaced by "_", and then a checksum keeps names unique.
        """
        parts = {**self.settings, "seed": self.seed} | ({} if self.fold is None else {"fold": self.fold})
        whole = ",".join(f"{k}={v if isinstance(v, str) else text(v)}" for k, v in parts.items())
        name = re.sub(r"[^\w.=,+-]", "_", whole)[:LONGEST]
        return name if name == whole else f"{name}-{zlib.crc32(whole.encode()):08x}"


LONGEST = 120  # characters of a name, which leaves room for suffixes


def value_text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, (float, np.floating)) else f"{value}"


def grid_points(grid: Any) -> list[dict[str, Any]]:
    """All combinations of the values in a grid, which is a dict of lists, or a list of such dicts.

    Repeated combinations are removed, because their models would be equal. Raises TypeError for other objects and
    ValueError for a setting without values.
    """
    grids = [grid] if isinstance(grid, Mapping) or not isinstance(grid, Iterable) else list(grid)
    points: list[dict[str, Any]] = []
    known = SettingSet()
    for part in grids:
        if not isinstance(part, Mapping):
            raise TypeError(
                f"a grid is a dict, not {part!r}. Write {{'units': [16, 32], 'rate': [1e-3, 1e-2]}} instead."
            )
        for name, values in part.items():
            if isinstance(values, str) or not isinstance(values, (Sequence, np.ndarray, range)):
                raise TypeError(f"grid[{name!r}] is {values!r}. Write a list of values, [{values!r}], instead.")
            if len(values) == 0:
                raise ValueError(f"grid[{name!r}] is empty. Write at least one value, or omit it, instead.")
        columns = [[_plain(v) for v in values] for values in part.values()]
        made = (dict(zip(part, row, strict=True)) for row in itertools.product(*columns))
        points += filter(known.adds, made)
    return points


def _plain(value: Any) -> Any:
    """Convert NumPy scalars to Python numbers, which print without their type."""
    return value.item() if isinstance(value, np.generic) else value


def seeds_of(seeds: Any) -> list[int]:
    """``5`` means the seeds 0 to 4. A sequence does not change. Raises ValueError for no seeds and invalid seeds."""
    if isinstance(seeds, (int, np.integer)) and not isinstance(seeds, bool):
        if seeds < 1:
            raise ValueError(f"seeds={seeds!r}: write how many, 1 or more, or a list of seeds, instead.")
        return list(range(int(seeds)))
    given = list(seeds) if isinstance(seeds, Iterable) and not isinstance(seeds, (str, bytes)) else []
    wrong = [s for s in given if isinstance(s, bool) or not isinstance(s, (int, np.integer)) or s < 0]
    if not given or wrong or len(set(given)) < len(given):
        raise ValueError(
            f"seeds={seeds!r}: write how many, or a list of different whole numbers of 0 or more, instead."
        )
    return [int(s) for s in given]


def variants_of(points: Any, seeds: Any, folds: int | None) -> list[Variant]:
    """The variants of a list of settings or `Variant` objects, or of one empty setting.

    The order is settings, then folds, then seeds, so that models with the same structure are adjacent. Raises TypeError
    for other elements, and ValueError for a `Variant` whose fold does not exist.
    """
    numbers = [None] if folds is None else list(range(folds))
    result: list[Variant] = []
    chosen, known = seeds_of(seeds), SettingSet()
    if isinstance(points, (Mapping, str)) or not isinstance(points, Iterable | None):
        raise TypeError(f"variants={points!r}: write a list of settings, [{{...}}, ...], or grid= instead.")
    for point in [{}] if points is None else list(points):
        if isinstance(point, Variant):
            if point.fold is not None and point.fold not in numbers:
                there = f"there are {folds} folds" if folds else "no folds were given"
                raise ValueError(f"{point!r} holds out fold {point.fold}, and {there}. Write folds={point.fold + 1}.")
            result.append(point)
        elif isinstance(point, Mapping):
            if not known.adds(point):
                raise ValueError(
                    f"variants contains {dict(point)!r} twice, whose models would be equal. Write it once, and seeds=2 "
                    "for two models of it, instead."
                )
            result += [Variant(dict(point), seed, fold) for fold in numbers for seed in chosen]
        else:
            raise TypeError(
                f"variants contains {point!r}. Write dicts of settings, such as {{'units': 16}}, or rv.search.Variant."
            )
    if not result:
        raise ValueError("there is no variant to train. Write at least one setting instead.")
    return result


def equal_settings(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two settings are equal. Values that cannot be compared, such as arrays, are compared by identity."""
    if one.keys() != other.keys():
        return False
    for name, value in one.items():
        equal = value is other[name] or value == other[name]
        if not (equal if isinstance(equal, (bool, np.bool_)) else False):
            return False
    return True


class SettingSet:
    """A set of settings, which need not be hashable."""

    def __init__(self) -> None:
        self.hashed: set[Any] = set()
        self.others: list[Mapping[str, Any]] = []

    def adds(self, settings: Mapping[str, Any]) -> bool:
        """Add settings. Return whether they are new."""
        try:
            key = frozenset(settings.items())
            new = key not in self.hashed
            self.hashed.add(key)
        except TypeError:  # lists and arrays
            new = not any(equal_settings(settings, other) for other in self.others)
            self.others.append(settings)
        return new
