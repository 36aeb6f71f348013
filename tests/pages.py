"""A page that must be one file: read, and checked."""

import re
from html.parser import HTMLParser

VOID = {"meta", "img", "br"}
MOST = 3_000_000


class Checked(HTMLParser):
    """Reads a page: elements that close in order, what it loads, and the text of cells by row."""

    def __init__(self, text):
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.tags: set[str] = set()
        self.rows: list[list[str]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        names = ("src", "href", "xlink:href", "action", "data")
        self.loads += [v for k, v in attrs if k in names and not v.startswith(("#", "data:image/png;base64,"))]
        assert not [k for k, _ in attrs if k.startswith("on")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def checked(path):
    """The text of a page and what is in it; it loads nothing, runs nothing, and is not too large."""
    text = path.read_text(encoding="utf-8")
    page = Checked(text)
    assert len(text.encode()) < MOST
    assert page.loads == []
    assert not page.tags & {"script", "link", "iframe", "object", "form", "base"}
    assert not re.search(r"url\((?!#)|@import", text)
    assert "width=device-width" in text
    assert "@media print" in text
    return text, page
