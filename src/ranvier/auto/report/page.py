"""The HTML of a report: one file without network or script, read on a phone, on a screen and on paper.

Every text goes through `Html.of`, which escapes it. Only what these functions make is HTML.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Container, Iterable, Sequence
from html import escape
from typing import Any

from ranvier.auto.report.words import Say, translate_figure
from ranvier.data.convert import Array
from ranvier.pictures.style import svg_of

LARGEST_SVG = 80_000  # characters; a larger figure is a PNG
LONGEST = 80  # characters of a cell
DOTS = 110  # an inch, of a PNG

CSS = """
:root{color-scheme:light}
*{box-sizing:border-box}
body{margin:0 auto;max-width:62rem;padding:1rem;color:#222;background:#fff;line-height:1.5;
font-family:system-ui,-apple-system,"Segoe UI","Noto Sans","Noto Sans CJK SC","PingFang SC","Microsoft YaHei",
sans-serif;overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.25;margin:.2rem 0 .6rem}
h2{font-size:1.2rem;margin:2.2rem 0 .6rem;padding-top:.4rem;border-top:2px solid #0072b2}
h3{font-size:1rem;margin:1.2rem 0 .4rem}
p{margin:.5rem 0;max-width:46rem}
.lead{font-size:1.1rem;border-left:4px solid #0072b2;padding:.4rem .8rem;background:#f2f7fb}
.lead.worse{border-color:#d55e00;background:#fdf3ec}
nav{display:flex;flex-wrap:wrap;gap:.2rem .9rem;margin:.8rem 0;font-size:.92rem}
a{color:#00578a}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.6rem;margin:.8rem 0}
.card{border:1px solid #ddd;border-radius:.4rem;padding:.5rem .7rem}
.card b{display:block;font-size:1.35rem;font-variant-numeric:tabular-nums}
.card span,.small{font-size:.85rem;color:#555}
.scroll{overflow-x:auto;margin:.6rem 0}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;overflow-wrap:normal}
caption{text-align:left;color:#555;padding:.2rem 0}
th,td{padding:.28rem .6rem;border-bottom:1px solid #e4e4e4;text-align:right;vertical-align:top}
th{font-weight:600;background:#f6f6f6}
th.t,td.t{text-align:left;overflow-wrap:break-word;max-width:24rem}
td:not(.t),td .small{white-space:nowrap}td .small{font-size:.85em;font-weight:400}
:lang(zh) table{word-break:keep-all}
tr.best td{font-weight:700;background:#eef5fa}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,21rem),1fr));gap:1rem;align-items:start}
figure{margin:.4rem 0;min-width:0}
figure svg,figure img{display:block;width:100%;height:auto;max-width:34rem}
figure.wide{grid-column:1/-1;overflow-x:auto}
figure.wide svg,figure.wide img{min-width:34rem;max-width:none}
figcaption{font-size:.85rem;color:#555;max-width:34rem}
pre{white-space:pre-wrap;background:#f6f6f6;padding:.6rem;border-radius:.3rem;font-size:.85rem}
ul{padding-left:1.2rem}
@media (max-width:30rem){body{padding:.7rem}h1{font-size:1.3rem}th,td{padding:.25rem .4rem}}
@media print{@page{margin:16mm}body{max-width:none;padding:0;font-size:10pt}nav{display:none}
h2,h3,caption,section>p{break-after:avoid}figure,.card,tr,.lead,p{break-inside:avoid}
.scroll,figure.wide{overflow:visible}figure.wide svg,figure.wide img{min-width:0;max-width:100%}
table{font-size:8.5pt}td:not(.t){white-space:normal}
.figures{grid-template-columns:1fr 1fr}a{color:inherit;text-decoration:none}}
"""


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()

    @classmethod
    def of(cls, value: Any) -> Html:
        """Any value as HTML: other text is escaped."""
        return value if isinstance(value, Html) else cls(escape(str(value)))

    @classmethod
    def join(cls, parts: Iterable[Any], between: str = "") -> Html:
        return cls(between.join(map(cls.of, parts)))


def element(tag: str, *parts: Any, css: str = "", **attributes: str) -> Html:
    """An element with its parts, escaped."""
    given = {"class": css, **attributes} if css else attributes
    opened = "".join(f' {name}="{escape(value)}"' for name, value in given.items())
    return Html(f"<{tag}{opened}>{Html.join(parts)}</{tag}>")


def table(
    head: Sequence[Any], rows: Iterable[Sequence[Any]], *, texts: int | Container[int] = 1, caption: Any = "",
    stressed: Container[int] = (),
) -> Html:  # fmt: skip
    """A table that scrolls sideways where it is too wide. ``texts`` are the columns of text, a number of the first ones
    or their numbers, others are of numbers. ``stressed`` are numbers of rows.
    """
    of_text: Container[int] = range(texts) if isinstance(texts, int) else texts

    def line(cells: Sequence[Any], tag: str, css: str = "") -> Html:
        made = [element(tag, cell, css="t" if place in of_text else "") for place, cell in enumerate(cells)]
        return element("tr", *made, css=css)

    body = [line(row, "td", "best" if place in stressed else "") for place, row in enumerate(rows)]
    parts = [element("caption", caption)] if caption else []
    parts += [element("thead", line(head, "th"))] if any(head) else []
    return element("div", element("table", *parts, element("tbody", *body)), css="scroll")


def pairs(rows: Iterable[tuple[Any, Any]]) -> Html:
    """A table of names and values, both texts."""
    return table(("", ""), rows, texts=2)


def lines(values: Iterable[Any]) -> Html:
    """A list."""
    return element("ul", *(element("li", value) for value in values))


def cards(values: Iterable[tuple[Any, Any]]) -> Html:
    """Large numbers with what they are."""
    return element(
        "div", *(element("div", element("b", v), element("span", n), css="card") for n, v in values), css="cards"
    )


def picture(made: Any, say: Say, caption: Any = "", *, wide: bool = False) -> Html:
    """A figure in the words of the report: SVG, whose text can be searched, or PNG where that is large."""
    translate_figure(made, say)
    with say.glyphs():
        svg = svg_of(made)
        if len(svg) <= LARGEST_SVG:
            # Names of clips and markers are unique within a file, not within a page of several.
            drawn = _own_names(svg)
        else:
            buffer = io.BytesIO()
            made.savefig(buffer, format="png", dpi=DOTS)
            text = base64.b64encode(buffer.getvalue()).decode()
            drawn = f'<img alt="" src="data:image/png;base64,{text}">'
    label = element("figcaption", caption) if caption else ""
    return element("figure", Html(drawn), label, css="wide" if wide else "")


def _own_names(svg: str) -> str:
    """Ids with the hash of the figure before them."""
    import hashlib
    import re

    mark = "f" + hashlib.sha256(svg.encode()).hexdigest()[:8]
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{mark}\1"', svg)
    svg = re.sub(r'xlink:href="#([^"]+)"', rf'xlink:href="#{mark}\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{mark}\1)", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    return re.sub(r' width="[^"]*pt"', "", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1), count=1)


def document(title: str, lead: Html, sections: Sequence[tuple[str, str, Html]], say: Say) -> str:
    """The whole page: title, lead, links to the sections, and the sections: id, heading and content."""
    links = element("nav", *(element("a", heading, href=f"#{name}") for name, heading, _ in sections))
    parts = [element("section", element("h2", heading, id=name), content) for name, heading, content in sections]
    body = Html.join([element("h1", title), lead, links, *parts])
    return (
        f'<!doctype html>\n<html lang="{say.lang}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head>\n<body>{body}</body></html>\n"
    )


def number(value: Any, digits: int = 4) -> str:
    """A number as the report shows all: four decimals, fewer where it is large; a dash for NaN."""
    if value is None or value != value:
        return "\u2013"
    size = abs(float(value))
    if size and (size < 10.0**-digits or size >= 1e7):
        return f"{float(value):.3e}"
    return f"{float(value):,.{digits if size < 100 else 2}f}"


def interval(bounds: Array | Sequence[float] | None) -> str:
    """The ends of an interval."""
    return "" if bounds is None or bounds[0] != bounds[0] else f"{number(bounds[0])} \u2013 {number(bounds[1])}"


def cut(value: Any) -> str:
    """A text that is not too long for a cell or an axis."""
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}\u2026"
