"""From the columns of a table to one array of numbers. All that it learns comes from the rows that it is fitted on.

The features are in blocks, of which each network that is tried takes some (`View`): the numbers standardized, their
quantiles as normal scores, and their places between quantiles (the piecewise linear encoding of Gorishniy, Rubachev and
Babenko, 2022), with which a network follows steps as trees do; and then everything else: indicators of missing values,
levels of categories (one of them 1), and weights of words. Dates become numbers: year, month, weekday, hour, days.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ranvier.auto.columns import ARRAYS, PAIRS, Column, texts_of
from ranvier.auto.tables import Table
from ranvier.data.convert import Array

BLOCKS = ("standard", "quantile", "pieces", "rest")
KNOTS = 256  # quantiles that the normal scores interpolate
PIECES = 16  # intervals of the piecewise linear encoding, at most
BLOCK_NUMBERS = 400  # numbers above which they have no pieces
CLIP = 5.0  # standardized values beyond are cut
LEVELS = 100  # levels of a category that have features of their own, at most
RARE = 2  # a level in fewer rows counts as an unseen one
WORDS = 2000  # words of a text that have features of their own, at most
OTHER = "\x00other"  # the level of those that were not seen, or were rare
TOKEN = re.compile(r"\w+", re.UNICODE)
DAY = 86400.0


def words_of(text: str) -> list[str]:
    """The words of a text and their pairs; of texts without blanks, such as Chinese, the characters and their pairs."""
    words = [w for token in TOKEN.findall(text.lower()) for w in (token if wide(token) else [token])]
    return words + [f"{a} {b}" for a, b in pairwise(words)]


def wide(token: str) -> bool:
    return any("\u3040" <= c <= "\u9fff" for c in token)


class Preparation:
    """What turns the columns of a table into an array of float32 (rows, features).

    `fit` learns it, `transform` does it. ``names`` are those of the features, ``sources`` the column of each, and
    ``blocks`` the range of each block (`BLOCKS`). `get_config` and `arrays` hold all of it, for a file.
    """

    def __init__(self, columns: Sequence[Column], config: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        self.columns = list(columns)
        self.config = {name: dict(part) for name, part in config.items()}
        self._arrays = dict(arrays)
        self.names, self.sources, self.blocks = self._layout()

    @classmethod
    def fit(cls, table: Table, columns: Sequence[Column]) -> Preparation:
        """Learn from the rows of ``table``, those of training alone. Columns that are not used are left out."""
        used = [column for column in columns if column.used]
        config: dict[str, dict[str, Any]] = {}
        arrays: dict[str, Array] = {}
        for column in used:
            values = table.columns[column.name]
            if column.kind in ("number", "date"):
                parts = _parts(column, values)
                kept = {name: numbers for name, numbers in parts.items() if _varies(numbers)}
                first = next(iter(parts.values()))
                config[column.name] = {"parts": list(kept), "missing": bool(np.isnan(first).any())}
                for name, numbers in kept.items():
                    arrays |= {f"{column.name}/{name}/{k}": v for k, v in _learned(numbers).items()}
            elif column.kind == "text":
                words, weights = _vocabulary(texts_of(values))
                config[column.name] = {"words": words}
                arrays[f"{column.name}/weights"] = weights
            else:
                config[column.name] = {"levels": _levels(texts_of(values), column.kind)}
        return cls(used, config, arrays)

    # --- what is saved ----------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Columns, levels and words, as values of JSON."""
        return {"columns": [column.to_dict() for column in self.columns], "config": self.config}

    def arrays(self) -> dict[str, Array]:
        """Means, deviations and quantiles by name."""
        return dict(self._arrays)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], arrays: Mapping[str, Array]) -> Preparation:
        """The opposite of `get_config` and `arrays`."""
        columns = [Column(**column) for column in config["columns"]]
        kind = ArrayPreparation if columns and columns[0].kind in ARRAYS else Preparation
        return kind(columns, config["config"], arrays)

    # --- features ---------------------------------------------------------------------------------------------------

    def _numbers(self) -> list[tuple[str, str]]:
        """The column and the part of each number."""
        return [(c.name, part) for c in self.columns for part in self.config[c.name].get("parts", ())]

    def _layout(self) -> tuple[list[str], list[str], dict[str, tuple[int, int]]]:
        names: list[str] = []
        sources: list[str] = []
        blocks: dict[str, tuple[int, int]] = {}
        numbers = self._numbers()
        for block in BLOCKS:
            began = len(names)
            for source, part in numbers if block != "rest" else ():
                label = source if part == "value" else f"{source} ({part})"
                count = 1 if block != "pieces" else len(self._edges(source, part)) - 1
                names += (
                    [label] if count == 1 and block == "standard" else [f"{label} {block} {k}" for k in range(count)]
                )
                sources += [source] * count
            for column in self.columns if block == "rest" else ():
                made = self._rest_names(column)
                names += made
                sources += [column.name] * len(made)
            blocks[block] = (began, len(names))
        return names, sources, blocks

    def _rest_names(self, column: Column) -> list[str]:
        config = self.config[column.name]
        if "parts" in config:
            return [f"{column.name} is missing"] * config["missing"]
        if "words" in config:
            return [f"{column.name}: {word}" for word in config["words"]]
        return [f"{column.name} = {level if level != OTHER else 'others'}" for level in config["levels"]]

    def _edges(self, source: str, part: str) -> Array:
        if len(self._numbers()) > BLOCK_NUMBERS:
            return np.zeros(1)
        return self._arrays[f"{source}/{part}/edges"]

    def transform(self, table: Table) -> Array:
        """The features of the rows of a table, float32 (rows, features).

        Columns may be in any order, and there may be more. A level that was not seen is the level of others, a value
        that is missing or cannot be read has the median. Raises ValueError for a column that the table does not have.
        """
        return self._features(table, FEATURES)

    def standardized(self, table: Table) -> Array:
        """The features of a linear model: numbers standardized and, unlike those of networks, not cut; and the rest."""
        return self._features(table, {"standard": _standardized})

    def _features(self, table: Table, blocks: Mapping[str, Callable[[Array, Mapping[str, Array]], Array]]) -> Array:
        lacking = [column.name for column in self.columns if column.name not in table.columns]
        if lacking:
            raise ValueError(
                f"{table.source} has no column {lacking[0]!r}{f' and {len(lacking) - 1} others' * (len(lacking) > 1)}, "
                "which the model was trained with. Write a table that has it, empty where it is not known, instead."
            )
        width = sum(b - a for a, b in (self.blocks[name] for name in (*blocks, "rest")))
        result = np.zeros((len(table), width), np.float32)
        parts = {c.name: _parts(c, table.columns[c.name]) for c in self.columns if "parts" in self.config[c.name]}
        at = 0
        for transformed in blocks.values():
            for source, part in self._numbers():
                learned = {k: self._arrays[f"{source}/{part}/{k}"] for k in ("median", "mean", "deviation", "knots")}
                learned["edges"] = self._edges(source, part)
                numbers = parts[source][part]
                made = transformed(np.where(np.isnan(numbers), learned["median"], numbers), learned)
                result[:, at : at + made.shape[1]] = made
                at += made.shape[1]
        for column in self.columns:
            made = self._rest(column, table.columns[column.name], parts)
            result[:, at : at + made.shape[1]] = made
            at += made.shape[1]
        return result

    def _rest(self, column: Column, values: Array, parts: Mapping[str, Mapping[str, Array]]) -> Array:
        config = self.config[column.name]
        if "parts" in config:
            first = next(iter(parts[column.name].values()))
            return np.isnan(first)[:, None] if config["missing"] else np.zeros((len(values), 0))
        texts = texts_of(values)
        if "words" in config:
            return _weighted(texts, config["words"], self._arrays[f"{column.name}/weights"])
        places = {level: k for k, level in enumerate(config["levels"])}
        other = places.get(OTHER, -1)
        result = np.zeros((len(texts), len(places)), np.float32)
        for row, text in enumerate(_lowered(texts, column.kind)):
            place = places.get(text, other)
            if place >= 0:
                result[row, place] = 1
        return result

    def plain(self, table: Table) -> tuple[Array, Array]:
        """The columns for trees: numbers as they are, with NaN, and the number of each level: float64 (rows, n); and
        a mask (n,) of those that are levels.
        """
        made: list[Array] = []
        levels: list[bool] = []
        for column in self.columns:
            values, config = table.columns[column.name], self.config[column.name]
            if "parts" in config:
                parts = _parts(column, values)
                made += [parts[name][:, None] for name in config["parts"]]
                levels += [False] * len(config["parts"])
            else:
                rest = self._rest(column, values, {})
                of_levels = "levels" in config and rest.shape[1] < 255
                made.append(np.where(rest.any(1), rest.argmax(1), rest.shape[1])[:, None] if of_levels else rest)
                levels += [of_levels] * made[-1].shape[1]
        return np.concatenate([np.zeros((len(table), 0)), *made], 1), np.array(levels, bool)


class ArrayPreparation(Preparation):
    """The same for images and sounds: the array of the one column of them, as it is.

    Networks take it whole: there are no names of features and no blocks.
    """

    @classmethod
    def fit(cls, table: Table, columns: Sequence[Column]) -> ArrayPreparation:
        return cls([c for c in columns if c.name in table.columns and c.used and c.kind in ARRAYS][:1], {}, {})

    def _layout(self) -> tuple[list[str], list[str], dict[str, tuple[int, int]]]:
        return [], [], {}

    def transform(self, table: Table) -> Array:
        """The array (rows, ...). Raises ValueError where it has another shape than that of the training."""
        (column,) = self.columns
        if column.name not in table.columns:
            raise ValueError(
                f"{table.source} has no {column.kind}s, which the model takes. Write a folder of them instead."
            )
        values, shape = table.columns[column.name], tuple(column.facts["shape"])
        if values.shape[1:] != shape:
            raise ValueError(
                f"{table.source} has {column.kind}s of {values.shape[1:]}, and the model takes {shape}. Write those "
                "instead."
            )
        return values

    def standardized(self, table: Table) -> Array:
        return self.transform(table).reshape(len(table), -1).astype(np.float32)


def prepared(table: Table, columns: Sequence[Column]) -> Preparation:
    """The preparation for these columns, fitted on a table. Beside images or sounds no other column is used."""
    arrays = any(column.used and column.kind in ARRAYS for column in columns)
    return (ArrayPreparation if arrays else Preparation).fit(table, columns)


# --- numbers --------------------------------------------------------------------------------------------------------


def _parts(column: Column, values: Array) -> dict[str, Array]:
    """The numbers of a column: its values, or what a date consists of."""
    if column.kind == "number":
        return {"value": column.numbers(values)[0]}
    dates = column.dates(values)[0]
    known = ~np.isnat(dates)

    def numbers(of: Any) -> Array:
        result = np.full(len(dates), np.nan)
        result[known] = of(dates[known])
        return result

    day = numbers(lambda d: d.astype("datetime64[D]").astype(np.int64))
    month = numbers(lambda d: d.astype("datetime64[M]").astype(np.int64))
    return {
        "days": day,
        "year": np.floor(month / 12) + 1970,
        "month": month % 12 + 1,
        "weekday": (day + 3) % 7,  # Monday is 0
        "hour": numbers(lambda d: d.astype("datetime64[s]").astype(np.int64) % DAY / 3600),
    }


def _varies(numbers: Array) -> bool:
    present = numbers[~np.isnan(numbers)]
    return len(present) > 1 and bool((present != present[0]).any())


def _learned(numbers: Array) -> dict[str, Array]:
    present = np.sort(numbers[~np.isnan(numbers)])
    edges = np.unique(np.quantile(present, np.linspace(0, 1, PIECES + 1)))
    return {
        "median": np.median(present),
        "mean": present.mean(),
        "deviation": np.maximum(present.std(), 1e-12),
        "knots": np.quantile(present, np.linspace(0, 1, min(KNOTS, max(len(present), 2)))),
        "edges": edges,
    }


def _standardized(numbers: Array, learned: Mapping[str, Array]) -> Array:
    return ((numbers - learned["mean"]) / learned["deviation"])[:, None]


def _standard(numbers: Array, learned: Mapping[str, Array]) -> Array:
    return np.clip(_standardized(numbers, learned), -CLIP, CLIP)


def _normal_scores(numbers: Array, learned: Mapping[str, Array]) -> Array:
    """The rank of each number among those of training, from both sides where several are equal, as a normal score."""
    knots = learned["knots"]
    share = np.linspace(0, 1, len(knots))
    rank = (np.interp(numbers, knots, share) + 1 - np.interp(-numbers, -knots[::-1], share)) / 2
    return _normal_quantile(np.clip(rank, 1e-3, 1 - 1e-3))[:, None]


def _normal_quantile(p: Array) -> Array:
    """The inverse of the normal distribution within 4.5e-4 (Abramowitz and Stegun, 1964, formula 26.2.23)."""
    t = np.sqrt(-2 * np.log(np.minimum(p, 1 - p)))
    z = t - (2.515517 + 0.802853 * t + 0.010328 * t * t) / (1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t**3)
    return np.where(p < 0.5, -z, z)


def _places(numbers: Array, learned: Mapping[str, Array]) -> Array:
    """For each interval between quantiles, how much of it is below the number: from 0 to 1."""
    edges = learned["edges"]
    return np.clip((numbers[:, None] - edges[:-1]) / np.diff(edges), 0, 1)


FEATURES = {
    "standard": _standard,
    "quantile": _normal_scores,
    "pieces": _places,
}  # of numbers, in the order of `BLOCKS`


# --- levels and words -----------------------------------------------------------------------------------------------


def _lowered(texts: Array, kind: str) -> list[str]:
    """The levels of texts: of yes and no in either case."""
    return [text.lower() if kind == "yes/no" else text for text in texts.tolist()]


def _levels(texts: Array, kind: str) -> list[str]:
    """The levels that have features, in order: all that are not rare, then others; yes alone of yes and no."""
    counts = Counter(_lowered(texts, kind))
    if kind == "yes/no":
        present = sorted(level for level in counts if level)
        yes = next((pair[1] for pair in PAIRS if set(present) <= set(pair)), present[-1])
        return [yes] + [""] * ("" in counts)
    common = sorted((level for level, n in counts.items() if n >= RARE), key=lambda v: (-counts[v], v))[:LEVELS]
    return [*sorted(common), OTHER]


def _vocabulary(texts: Array) -> tuple[list[str], Array]:
    """The words that the most texts hold, and the weight of each: the logarithm of its rarity."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(set(words_of(text)))
    most = max(1, len(texts) // 2) if len(texts) > 20 else len(texts)
    common = sorted((w for w, n in counts.items() if RARE <= n <= most), key=lambda w: (-counts[w], w))[:WORDS]
    words = sorted(common)
    weights = np.array([np.log((1 + len(texts)) / (1 + counts[w])) + 1 for w in words], np.float64)
    return words, weights


def _weighted(texts: Array, words: Sequence[str], weights: Array) -> Array:
    """Frequencies of words, weighted and of length 1 (Salton and Buckley, 1988), times 4: about as large as others."""
    places = {word: k for k, word in enumerate(words)}
    result = np.zeros((len(texts), len(words)), np.float32)
    for row, text in enumerate(texts):
        for word, times in Counter(words_of(text)).items():
            place = places.get(word)
            if place is not None:
                result[row, place] = (1 + np.log(times)) * weights[place]
    length = np.sqrt(np.square(result).sum(1, keepdims=True))
    return result / np.maximum(length, 1e-9) * 4
