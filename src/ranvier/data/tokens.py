"""Texts as tokens: standardization, splitting and n-grams, as Keras does them."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Change = Callable[[Any], Any]

STANDARDIZE = ("lower_and_strip_punctuation", "lower", "strip_punctuation")
SPLIT = ("whitespace", "character")
PIECE = 1024  # texts in an array for a user's function: the longest of them decides its size
_WORDS = re.compile(r"[^ \t\n\v\f\r]+")  # ASCII's white space, as TensorFlow splits
_LOWER = {ord(letter): letter.lower() for letter in string.ascii_uppercase}
_STRIP = {ord(mark): None for mark in string.punctuation}
TABLES: dict[str, dict[int, Any]] = {
    "lower": _LOWER,
    "strip_punctuation": _STRIP,
    "lower_and_strip_punctuation": {**_LOWER, **_STRIP},
}


def standardized(texts: list[str], how: str | Change | None, name: str) -> list[str]:
    """Texts in small letters, without punctuation (both of ASCII, as in Keras), or as a function changes an array."""
    if how is None:
        return texts
    if isinstance(how, str):
        return [text.translate(TABLES[how]) for text in texts]
    changed = [part for piece in _pieces(texts) for part in _rows(how(piece), len(piece), "standardize", name)]
    others = [part for part in changed if not isinstance(part, str)]
    if others:
        raise TypeError(f"the standardize of layer {name!r} returned {others[0]!r}. Return an array of texts instead.")
    return changed


def tokens_of(texts: list[str], how: str | Change, name: str) -> list[list[str]]:
    """The tokens of each text: words between white space, characters, or what a function of an array returns."""
    if how == "whitespace":
        return [_WORDS.findall(text) for text in texts]
    if isinstance(how, str):
        return [list(text) for text in texts]
    found = [row for piece in _pieces(texts) for row in _rows(how(piece), len(piece), "split", name)]
    if any(isinstance(row, str) for row in found):
        raise TypeError(f"the split of layer {name!r} returned texts. Return a list of tokens for each text instead.")
    return [list(map(str, row)) for row in found]


def _pieces(texts: list[str]) -> list[Array]:
    return [np.array(texts[i : i + PIECE], str) for i in range(0, len(texts), PIECE)]


def _rows(returned: Any, count: int, what: str, name: str) -> list[Any]:
    values = returned.tolist() if hasattr(returned, "tolist") else list(returned)
    if len(values) != count:
        raise ValueError(f"the {what} of layer {name!r} returned {len(values)} rows for {count} texts. Return as many.")
    return values


def with_ngrams(tokens: Sequence[str], widths: Sequence[int]) -> list[str]:
    """The n-grams of a text: those of the first width in order, joined by spaces, then those of the next."""
    found: list[str] = []
    for width in widths:
        found += tokens if width == 1 else map(" ".join, zip(*(tokens[i:] for i in range(width)), strict=False))
    return found
