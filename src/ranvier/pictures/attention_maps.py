"""Maps of attention: which words are read for each word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.pictures.style import INK, PALE, Target, finish, grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 12  # panels of one figure
SIDE = 0.3  # inches of a word
LONGEST = 40  # words that are written out along an axis


def attention(
    weights: Any,
    words: Sequence[str],
    keys: Sequence[str] | None = None,
    path: Target = None,
    *,
    captions: Sequence[str] = (),
) -> Figure:
    """Draw weights of attention, (words, keys) or for each head (heads, words, keys): dark where a word reads a key.

    Each row has the weights of one word, which add up to 1; they are what ``return_attention_scores=True`` gives for a
    sample. ``keys`` are the words that are read (None: the same). Words beyond the rows, padding, are left out, as are
    heads after the 12th. ``path`` names a file to write. Returns the figure. Raises ValueError where there are fewer
    rows than words, or columns than keys.
    """
    array = np.asarray(weights, np.float64)
    array = array[None] if array.ndim == 2 else array
    columns = list(words if keys is None else keys)
    if array.ndim != 3 or array.shape[1] < len(words) or array.shape[2] < len(columns) or not len(words):
        raise ValueError(
            f"weights of shape {np.shape(weights)} for {len(words)} words and {len(columns)} keys. Write those of one "
            "sample, (heads, words, keys), with a row for each word and a column for each key."
        )
    shown = array[:MOST, : len(words), : len(columns)]
    width, height = (max(1.6, SIDE * len(each)) for each in (columns, words))
    longest = max(map(len, words)) * 0.075, max(map(len, columns)) * 0.075
    most = max(1, int(12 // (width + longest[0])))
    across = -(-len(shown) // -(-len(shown) // most))  # rows of equally many
    made, panels = grid(len(shown), across, (width + longest[0], height + longest[1]), (0.6, 0.3))
    names = list(captions) or [f"head {i + 1}" for i in range(len(shown))] * (len(shown) > 1)
    for i, (axes, head) in enumerate(zip(panels, shown, strict=True)):
        drawn = _draw(axes, head, list(words), columns)
        axes.set_title(names[i] if i < len(names) else "", loc="left", fontsize=11, color=INK)
    bar = made.colorbar(drawn, ax=panels, shrink=0.6, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8, labelcolor=PALE)
    return finish(made, path)


def _draw(axes: Axes, weights: Array, words: list[str], keys: list[str]) -> Any:
    """One head: a cell for each pair, labels where they can be read."""
    drawn = axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, interpolation="nearest", aspect="equal")
    for axis, names in ((axes.xaxis, keys), (axes.yaxis, words)):
        axis.set_ticks(range(len(names)) if len(names) <= LONGEST else [])
    if len(keys) <= LONGEST:
        axes.set_xticklabels(keys, rotation=60, ha="right", rotation_mode="anchor", fontsize=8)
    if len(words) <= LONGEST:
        axes.set_yticklabels(words, fontsize=8)
    axes.set_xticks(np.arange(len(keys) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(words) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    return drawn
