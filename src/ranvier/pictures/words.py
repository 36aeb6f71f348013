"""Texts whose words are coloured by what they speak for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from unicodedata import east_asian_width

from ranvier.pictures.style import INK, Target, figure, finish

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACROSS = 84  # characters of a line
SIZE = 10  # of the letters, in points; they are all 0.602 as wide
CHARACTER, LINE = 0.602 * SIZE / 72, 0.26  # inches
MOST = 40  # the most texts of a picture


def letters(word: str) -> float:
    """The width of a word in letters of the font; a Chinese character is as wide as the font is large."""
    wide = sum(east_asian_width(sign) in "WF" for sign in word)
    return len(word) + wide * (1 / 0.602 - 1)


def words(
    explained: Sequence[Sequence[tuple[str, float]]], path: Target = None, *, captions: Sequence[str] = ()
) -> Figure:
    """Draw the words of texts on the colour of their scores, which `ranvier.explain.words` gives.

    Red words speak for the class and blue ones against it. Each text has its scale, up to the largest score. At most 40
    texts are drawn. ``captions`` are lines above the texts. ``path`` names a file to write. Returns the figure. Raises
    ValueError for no texts.
    """
    texts = [list(text) for text in explained[:MOST]]
    if not texts:
        raise ValueError("there are no texts to draw. Write rv.explain.words(model, ['a text']) instead.")
    placed: list[tuple[int, float, str, float]] = []  # line, column, word, share of the largest score
    heads: list[tuple[int, str]] = []
    line = 0
    for number, text in enumerate(texts):
        if number < len(captions):
            heads.append((line, captions[number]))
            line += 1
        column, limit = 0.0, max((abs(score) for _, score in text), default=0) or 1
        for word, score in text:
            if column and column + letters(word) > ACROSS:
                line, column = line + 1, 0.0
            placed.append((line, column, word, score / limit))
            column += letters(word) + 1
        line += 2
    made = figure(ACROSS * CHARACTER + 0.4, line * LINE + 0.3)
    from matplotlib import colormaps

    axes = made.subplots()
    axes.set_axis_off()
    axes.set_xlim(0, ACROSS)
    axes.set_ylim(line - 0.5, -0.5)
    colours = colormaps["RdBu_r"]
    common: dict[str, Any] = {"fontsize": SIZE, "family": "DejaVu Sans Mono", "va": "center"}
    for row, column, word, share in placed:
        box = {"facecolor": colours(0.5 + 0.3 * share), "edgecolor": "none", "pad": 1.5}
        axes.text(column, row, word, color=INK, bbox=box, parse_math=False, **common)
    for row, caption in heads:
        axes.text(0, row, caption, color=INK, fontsize=SIZE, fontweight="bold", va="center", parse_math=False)
    return finish(made, path)
