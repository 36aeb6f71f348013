"""Columns of a table: the kind of each, which is found or given, and its values as numbers, dates and levels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from ranvier.auto.tables import Table
from ranvier.data.convert import Array
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.errors import nearest
from ranvier.support.sampling import some_rows

KINDS = ("number", "category", "yes/no", "date", "text", "identifier", "constant", "image", "sound")
ARRAYS = ("image", "sound")  # kinds of columns with an array in each row
IGNORED = "ignore"  # given in place of a kind
ROLES = ("input", "target", "time", "group", "ignored")
MISSING = frozenset(["", "na", "n/a", "nan", "null", "none", "#n/a", "?", "<na>", "nat"])
PAIRS = (
    ("no", "yes"),
    ("false", "true"),
    ("n", "y"),
    ("f", "t"),
    ("nein", "ja"),
    ("non", "oui"),
    ("否", "是"),
    ("0", "1"),
)
SPELLINGS = 40  # levels that are at most looked at for such pairs: "yes", "Yes", "YES", ...
FORMATS = (
    "iso", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y", "%m/%d/%y", "%d/%m/%y", "%b %d %Y",
    "%d %b %Y", "%B %d, %Y", "%d-%b-%Y", "%Y-%m", "%b %Y",
)  # fmt: skip
CLOCKS = ("", " %H:%M", " %H:%M:%S")
MOSTLY = 0.95  # the fraction of values that must be numbers, or dates, for a column to be of them
PARTLY = 0.5  # the same from which a column of another kind is noted
FEW_CLASSES = 12  # whole numbers of a target that are at most so many are classes
MOST_LEVELS = 2000  # levels of a category that are kept, to tell which values are new
WORDS = 4.0  # the mean number of words from which a column is free text
COMMAS, DATES, TEXTS = 100, 200, 1000  # values, drawn by chance, that decimal signs, dates and texts are told by
COMMA = re.compile(r"[-+]?(\d{1,3}(\.\d{3})+|\d*)(,\d+)?")  # a number with a decimal comma
DATE = re.compile(r"\d{1,4}[-/. ]\w{1,9}[-/., ]?|[A-Za-z]{3,9} \d")


@dataclass
class Column(CheckedConstructor):
    """A column of a table: its name, kind and role, and what was found.

    ``kind`` is one of `KINDS`, ``role`` one of `ROLES`. ``given`` is whether the user named the kind. ``missing`` and
    ``distinct`` count values. ``facts`` are plain values by name: "lowest", "highest" and "mean" of numbers, "decimal"
    where it is a comma, "format" of dates, "levels" of categories, "shape" of arrays, "examples", and "unreadable",
    the number of values of no use.
    """

    name: str
    kind: str
    role: str = "input"
    given: bool = False
    missing: int = 0
    distinct: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def numbers(self, values: Array) -> tuple[Array, Array]:
        """The values as float64 with NaN where they are missing or no numbers, and a mask of the latter."""
        return numbers_of(values, self.facts.get("decimal", "."))

    def dates(self, values: Array) -> tuple[Array, Array]:
        """The values as datetime64[s] with NaT where they are missing or no dates, and a mask of the latter."""
        return dates_of(values, self.facts.get("format", "iso"))

    @property
    def used(self) -> bool:
        """Whether the network sees it."""
        return self.role == "input" and self.kind not in ("identifier", "constant")


# --- values ---------------------------------------------------------------------------------------------------------


def is_missing(values: Array) -> Array:
    """A mask of the missing values."""
    if values.ndim > 1:
        return np.zeros(len(values), bool)
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype.kind == "M":
        return np.isnat(values)
    if values.dtype.kind != "O":
        return np.zeros(len(values), bool)
    if (numbers := _all_numbers(values)) is not None:
        return np.isnan(numbers)
    found = [v is None or (v.strip().lower() in MISSING if isinstance(v, str) else v != v) for v in values]
    return np.array(found, bool)


def texts_of(values: Array, lacking: Array | None = None) -> Array:
    """The values as texts without blanks at both ends, "" where they are missing. Whole numbers have no point.

    ``lacking`` is `is_missing` of them, where it is known.
    """
    lacking = is_missing(values) if lacking is None else lacking
    if values.dtype.kind == "f":
        texts = [str(int(v)) if v.is_integer() else repr(v) for v in np.where(lacking, 0.0, values).tolist()]
    else:
        texts = [str(v).strip() for v in values.tolist()]
    array = np.array(texts, object)
    array[lacking] = ""
    return array


def numbers_of(values: Array, decimal: str = ".") -> tuple[Array, Array]:
    """See `Column.numbers`."""
    if values.dtype.kind in "biuf":
        return values.astype(np.float64), np.zeros(len(values), bool)
    if decimal == "." and values.dtype.kind == "O" and (numbers := _all_numbers(values)) is not None:
        infinite = np.isinf(numbers)
        numbers[infinite] = np.nan
        return numbers, infinite
    lacking = is_missing(values)
    result = np.full(len(values), np.nan)
    present = values[~lacking]
    if values.dtype.kind == "M":
        return result, ~lacking
    if decimal == ",":
        present = np.array([v.replace(".", "").replace(",", ".") if isinstance(v, str) else v for v in present], object)
    try:
        result[~lacking] = present.astype(np.float64)
    except (ValueError, TypeError):
        result[~lacking] = [_number(v) for v in present]
    wrong = ~lacking & ~np.isfinite(result)
    result[wrong] = np.nan
    return result, wrong


def _all_numbers(values: Array) -> Array | None:
    """Objects as float64 where NumPy takes each for a number, which is much faster than a look at each."""
    try:
        return values.astype(np.float64)
    except (ValueError, TypeError):
        return None


def _number(value: Any) -> float:
    try:
        return float(value)
    except (ValueError, TypeError):
        return float("nan")


def dates_of(values: Array, form: str = "iso") -> tuple[Array, Array]:
    """See `Column.dates`."""
    if values.dtype.kind == "M":
        return values.astype("datetime64[s]"), np.zeros(len(values), bool)
    lacking = is_missing(values)
    result = np.full(len(values), np.datetime64("NaT", "s"))
    for place in np.flatnonzero(~lacking):
        made = _date(values[place], form)
        if made is not None:
            result[place] = np.datetime64(made.replace(tzinfo=None), "s")
    return result, ~lacking & np.isnat(result)


def _date(value: Any, form: str) -> datetime | None:
    if isinstance(value, datetime):
        return value
    try:
        text = str(value).strip()
        return datetime.fromisoformat(text) if form == "iso" else datetime.strptime(text, form)
    except ValueError:
        return None


def seconds(dates: Array) -> Array:
    """Dates as seconds since 1970, float64, with NaN where they are NaT."""
    return np.where(np.isnat(dates), np.nan, dates.astype("datetime64[s]").astype(np.int64))


# --- kinds ----------------------------------------------------------------------------------------------------------


def find_columns(table: Table, given: Mapping[str, str] | None = None) -> dict[str, Column]:
    """The columns of a table, by name. ``given`` are kinds of some, which overrule what is found.

    Raises ValueError for a name that the table does not have, and for a kind that does not exist.
    """
    given = dict(given or {})
    for name, kind in given.items():
        if name not in table.columns:
            raise ValueError(no_column(table, name))
        if kind not in (*KINDS, IGNORED):
            raise ValueError(
                f"column {name!r} is given as {kind!r}. Write one of {', '.join(KINDS)}, {IGNORED} instead."
            )
    found = {}
    for name, values in table.columns.items():
        known = given.get(name, table.kinds.get(name))
        if values.ndim > 1:
            found[name] = Column(name, known or "image", distinct=len(values), facts={"shape": list(values.shape[1:])})
        else:
            found[name] = _column(name, values, known)
        found[name].given = name in given
    return found


def no_column(table: Table, name: str) -> str:
    near = nearest(name, table.columns)
    return f"{table.source} has no column {name!r}. Write {near!r}, or another one of {names_of(table)}, instead."


def names_of(table: Table) -> str:
    """The names of the first columns, and how many others there are."""
    names = list(table.columns)
    return ", ".join(map(repr, names[:12])) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _column(name: str, values: Array, given: str | None) -> Column:
    lacking = is_missing(values)
    texts = texts_of(values, lacking)
    present = texts[~lacking]
    levels = list(dict.fromkeys(present.tolist()))
    column = Column(name, "constant", missing=int(lacking.sum()), distinct=len(levels))
    if given == IGNORED:
        column.role, given = "ignored", None
    column.facts["examples"] = [text[:40] for text in levels[:3]]
    found = _kind(column, values, present, levels)
    column.kind = given or found
    if column.kind in ("category", "yes/no") and len(levels) <= MOST_LEVELS:
        column.facts["levels"] = sorted(levels)
    elif column.kind == "number":
        _describe_numbers(column, values)
    elif column.kind == "date":
        _describe_dates(column, values, present)
    if given and column.facts.get("unreadable", 0) == len(present) > 0:
        raise ValueError(
            f"the column {name!r} is given as {given}, and no value in it is one ({levels[0][:40]!r} ...). Write "
            f"--columns {name}={found} instead."
        )
    return column


def _kind(column: Column, values: Array, present: Array, levels: Sequence[str]) -> str:
    """The kind that the values have."""
    if len(levels) < 2:
        return "constant"
    low = {level.lower() for level in levels[:SPELLINGS]}
    if values.dtype.kind == "b" or (len(levels) <= SPELLINGS and any(low == set(pair) for pair in PAIRS)):
        return "yes/no"
    if values.dtype.kind == "M":
        return "date"
    numbers, decimal = _as_numbers(values, present)
    if numbers is None and (readable := float(np.mean(~numbers_of(present)[1]))) > PARTLY:
        column.facts["readable"] = readable
    if numbers is not None:
        if decimal == ",":
            column.facts["decimal"] = ","
        return "identifier" if _is_counter(column.name, numbers) else "number"
    if _date_format(present) is not None:
        return "date"
    texts = present[some_rows(len(present), TEXTS)]
    words = float(np.mean([len(text.split()) for text in texts]))
    unique = len(levels) / len(present)
    if unique > 0.5 and (words >= WORDS or np.mean([len(text) for text in texts]) > 60):
        return "text"
    return "identifier" if unique > 0.9 and len(present) >= 20 else "category"


def _as_numbers(values: Array, present: Array) -> tuple[Array | None, str]:
    """The present values as numbers if nearly all of them are, and the decimal sign."""
    texts = present[some_rows(len(present), COMMAS)].tolist()
    european = any("," in text for text in texts) and all(COMMA.fullmatch(text) for text in texts)
    for decimal in (".", ",") if european else (".",):
        numbers, wrong = numbers_of(values if values.dtype.kind != "O" else present, decimal)
        if wrong.sum() <= (1 - MOSTLY) * len(present):
            return numbers[np.isfinite(numbers)], decimal
    return None, "."


def _is_counter(name: str, numbers: Array) -> bool:
    """Whether numbers count the rows: whole, all different, and one more each time."""
    if len(numbers) < 20 or (numbers != np.round(numbers)).any():
        return False
    return bool((np.diff(numbers) == 1).all()) and "year" not in name.lower()


def _date_format(texts: Array) -> str | None:
    """The first format in which nearly all texts are dates; of many, some that are drawn by chance."""
    if not len(texts) or not DATE.match(texts[0]):
        return None
    objects = np.asarray(texts[some_rows(len(texts), DATES)], object)
    for form in FORMATS:
        for clock in CLOCKS if form != "iso" else ("",):
            if dates_of(objects, form + clock)[1].mean() <= 1 - MOSTLY:
                return form + clock
    return None


def _describe_numbers(column: Column, values: Array) -> None:
    numbers, wrong = column.numbers(values)
    finite = numbers[np.isfinite(numbers)]
    if len(finite):
        column.facts |= {"lowest": float(finite.min()), "highest": float(finite.max()), "mean": float(finite.mean())}
    if wrong.any():
        column.facts["unreadable"] = int(wrong.sum())


def _describe_dates(column: Column, values: Array, present: Array) -> None:
    if values.dtype.kind != "M":
        column.facts["format"] = _date_format(present) or "iso"
    dates, wrong = column.dates(values)
    known = dates[~np.isnat(dates)]
    if len(known):
        column.facts |= {"lowest": str(known.min()), "highest": str(known.max())}
    if wrong.any():
        column.facts["unreadable"] = int(wrong.sum())


def unreadable(table: Table, columns: Sequence[Column]) -> list[str]:
    """A line for each value that is no number, or no date, in a column of these."""
    found = []
    for column in columns:
        if column.kind not in ("number", "date") or column.name not in table.columns:
            continue
        values = table.columns[column.name]
        wrong = (column.numbers if column.kind == "number" else column.dates)(values)[1]
        found += [
            f"{table.line(place)}, column {column.name!r}: {str(values[place])[:40]!r} is no {column.kind}; it counts "
            "as missing"
            for place in np.flatnonzero(wrong)
        ]
    return found
