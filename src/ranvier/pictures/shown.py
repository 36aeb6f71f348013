"""The class of all figures: shown by a notebook without pyplot, and written with fonts that have all its characters.

This module imports matplotlib. `style.figure` imports it when the first picture is drawn.
"""

from __future__ import annotations

import io
import logging
from contextlib import suppress
from functools import cache
from typing import Any

from matplotlib import font_manager, rcParams
from matplotlib.figure import Figure
from matplotlib.text import Text

# Fonts with Chinese, Japanese and Korean characters, of the usual systems. Simplified Chinese comes first.
CJK = (
    "Noto Sans CJK SC", "Source Han Sans SC", "Source Han Sans CN", "Microsoft YaHei", "PingFang SC", "Heiti SC",
    "Hiragino Sans GB", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "SimHei", "Noto Sans SC", "Noto Sans CJK JP",
    "Noto Sans CJK TC", "Droid Sans Fallback", "AR PL UMing CN", "Arial Unicode MS", "Hiragino Sans", "Malgun Gothic",
)  # fmt: skip
PLAIN = 0x250  # characters below are in every font: Latin letters and signs


class Picture(Figure):
    """A figure that a notebook displays. Text whose font lacks a character falls back to an installed font."""

    def _repr_png_(self) -> bytes:
        """The picture for a notebook; matplotlib registers one only for figures of pyplot."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()

    def draw(self, renderer: Any) -> None:
        log = logging.getLogger("matplotlib.font_manager")
        log.addFilter(no_weights)
        try:
            for text in self._texts():
                wanted = {ord(sign) for sign in text.get_text() if ord(sign) >= PLAIN}
                if wanted:
                    fill_in(text, wanted)
            super().draw(renderer)
        finally:
            log.removeFilter(no_weights)

    def _texts(self) -> list[Text]:
        """Texts that may need another font. Numbers do not; names of ticks are set when an axis is asked for them."""
        axes = [axis for each in self.axes for axis in (each.xaxis, each.yaxis)]
        named = [axis for axis in axes if has_others("".join(map(str, getattr(axis.get_major_formatter(), "seq", ()))))]
        found: list[Any] = self.findobj(lambda artist: isinstance(artist, Text) and has_others(artist.get_text()))
        return [label for axis in named for label in axis.get_ticklabels()] + found


def has_others(text: str) -> bool:
    """Whether a text has characters that not every font has."""
    return not text.isascii() and any(ord(sign) >= PLAIN for sign in text)


def no_weights(record: logging.LogRecord) -> bool:
    """Whether a message of matplotlib is not that a fallback font lacks a weight, which it says for each text."""
    return "Failed to find font weight" not in record.getMessage()


def fill_in(text: Text, wanted: set[int]) -> None:
    """Add the first installed font that has the characters which the fonts of the text lack."""
    families = text.get_fontfamily()
    missing = wanted - set().union(*map(characters, map(found_font, families)))
    if not missing:
        return
    add_new_fonts()
    for family in CJK:
        path = found_font(family)
        if path is not None and missing <= characters(path):
            text.set_fontfamily([*families, family])
            return


def found_font(family: str) -> str | None:
    """The file of a font, None where it is not installed."""
    try:
        return str(font_manager.findfont(font_manager.FontProperties(family=[family]), fallback_to_default=False))
    except ValueError:
        return None


@cache
def add_new_fonts() -> None:
    """Tell matplotlib of fonts that were installed after it made its list."""
    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    for path in set(font_manager.findSystemFonts()) - known:
        with suppress(OSError, RuntimeError):  # a damaged file, or a format that it does not read
            font_manager.fontManager.addfont(path)


@cache
def characters(path: str | None) -> frozenset[int]:
    """The numbers of the characters that the font has."""
    return frozenset() if path is None else frozenset(font_manager.get_font(path).get_charmap())


def fonts_were_set() -> bool:
    """Whether the user chose fonts other than matplotlib's own."""
    from matplotlib import rcParamsDefault

    names = ("font.family", "font.sans-serif")
    return any(rcParams[name] != rcParamsDefault[name] for name in names)
