"""The lessons: programs with explanations in English and in Chinese, written out as notebooks for Jupyter.

A lesson is one Markdown file of this folder. A line ``<!-- en -->`` or ``<!-- zh -->`` opens an explanation in that
language. Python blocks belong to both, so both languages run the same program. A ``text`` block is what the python
block before it prints.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from ranvier.data.files import make_folder, write_bytes

LANGUAGES = ("en", "zh")
_BLOCK = re.compile(
    r"^<!-- (en|zh) -->\n(.*?)(?=^<!-- |^```|\Z)|^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
# An end of a line within a Chinese sentence, which would show as a space.
_WIDE = "\u3000-\u303f\u4e00-\u9fff\uff00-\uffef"
_WRAPPED = re.compile(f"(?<=[{_WIDE}])\n(?=[{_WIDE}])|(?<=[\u3001\u3002\uff00-\uff20])\n(?=[A-Za-z`])")


class Block(NamedTuple):
    """A part of a lesson: its kind ("en", "zh", "python" or "text"), and its text."""

    kind: str
    text: str


def names() -> list[str]:
    """The lessons in their order, such as "01-neuron"."""
    return sorted(path.name.removesuffix(".md") for path in files(__name__).iterdir() if path.name.endswith(".md"))


def source(name: str) -> str:
    """The Markdown text of a lesson."""
    return (files(__name__) / f"{name}.md").read_text(encoding="utf-8")


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a lesson in their order."""
    for match in _BLOCK.finditer(text):
        yield Block(match[1] or match[3], (match[2] if match[1] else match[4]).strip("\n"))


def notebook(name: str, language: str) -> dict[str, Any]:
    """A lesson as a notebook (nbformat 4.5) in one language, with what its programs print."""
    cells: list[dict[str, Any]] = []
    for block in blocks(source(name)):
        text = _WRAPPED.sub("", block.text) if block.kind == "zh" else block.text
        common = {"id": f"{name[:2]}-{len(cells)}", "metadata": {}, "source": text.splitlines(keepends=True)}
        if block.kind == "python":
            cells.append({"cell_type": "code", **common, "execution_count": None, "outputs": []})
        elif block.kind == "text":
            lines = f"{block.text}\n".splitlines(keepends=True)
            cells[-1]["outputs"].append({"output_type": "stream", "name": "stdout", "text": lines})
        elif block.kind == language:
            cells.append({"cell_type": "markdown", **common})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def write(folder: Path, language: str = "en", force: bool = False) -> tuple[list[Path], list[Path]]:
    """Write the notebooks of all lessons into ``folder``: those that are written, and those that are kept.

    A file that exists is kept, because it may hold your answers, unless ``force``. Raises ValueError for a language
    that the lessons lack, and OSError where the folder cannot be written.
    """
    if language not in LANGUAGES:
        raise ValueError(f"there are no lessons in {language!r}. Write {' or '.join(map(repr, LANGUAGES))} instead.")
    make_folder(folder, "the lessons")
    written, kept = [], []
    for name in names():
        path = folder / f"{name}.ipynb"
        if path.exists() and not force:
            kept.append(path)
            continue
        text = json.dumps(notebook(name, language), indent=1, ensure_ascii=False) + "\n"
        write_bytes(path, text.encode(), path.name)
        written.append(path)
    return written, kept
