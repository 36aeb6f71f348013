"""The notebooks in docs/lessons, which are written from the sources of the lessons, with pictures.

``python -m tests.lessons`` lists the notebooks that differ from the sources, ``python -m tests.lessons --write`` runs and
writes those anew, and with ``--all`` every one. It needs nbclient and ipykernel. A test holds all but the pictures against the sources.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ranvier.cli import lessons

FOLDER = Path(__file__).parents[1] / "docs" / "lessons"
SUFFIX = {"en": "", "zh": ".zh"}


def path_of(name: str, language: str) -> Path:
    return FOLDER / f"{name}{SUFFIX[language]}.ipynb"


def without_pictures(notebook: dict[str, Any]) -> dict[str, Any]:
    """The notebook without the outputs that show pictures, which differ between versions of matplotlib."""
    cells = [
        {**cell, "outputs": [o for o in cell["outputs"] if o["output_type"] == "stream"]} if "outputs" in cell else cell
        for cell in notebook["cells"]
    ]
    return {**notebook, "cells": cells}


def differing() -> list[Path]:
    """The notebooks that differ from what the sources give."""
    found = []
    for name in lessons.names():
        for language in lessons.LANGUAGES:
            path = path_of(name, language)
            written = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"cells": []}
            if without_pictures(written) != lessons.notebook(name, language):
                found.append(path)
    return found


def write(every: bool) -> None:
    """Run each lesson that has changed, or ``every`` lesson, and write its notebooks with the pictures that it shows."""
    import nbformat
    from nbclient import NotebookClient

    FOLDER.mkdir(parents=True, exist_ok=True)
    changed = {path.name.split(".")[0] for path in differing()}
    for name in lessons.names():
        if not every and name not in changed:
            continue
        run = nbformat.reads(json.dumps(lessons.notebook(name, "en")), as_version=4)
        NotebookClient(run, timeout=300, kernel_name="python3").execute()
        pictures = [
            [
                {"output_type": "display_data", "metadata": {}, "data": {"image/png": output.data["image/png"].strip()}}
                for output in cell.outputs
                if "image/png" in output.get("data", {})
            ]
            for cell in run.cells
            if cell.cell_type == "code"
        ]
        for language in lessons.LANGUAGES:
            notebook = lessons.notebook(name, language)
            code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
            for cell, shown in zip(code, pictures, strict=True):
                cell["outputs"] += shown
            text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
            path_of(name, language).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if "--write" in sys.argv:
        write("--all" in sys.argv)
    for path in differing():
        print(path)
