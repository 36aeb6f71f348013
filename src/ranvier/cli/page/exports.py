"""What a page hands out: the network as a program, the trained model as a file, and a report of it."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import ranvier as rv
from ranvier.cli.page.guard import in_both
from ranvier.cli.page.settings import one_of

LIBRARIES = ("ranvier", "keras", "torch")
FORMATS = (".ranvier", ".keras", ".onnx")


def code(session: Any, message: dict[str, Any]) -> dict[str, Any]:
    """The program of the network in the vocabulary of a library; in place of one that it lacks, why."""
    library = one_of("library", message.get("library"), LIBRARIES)
    with session.model_in_use():
        try:
            return {"code": rv.utils.to_code(session.network.model, library)}
        except TypeError as error:
            return {"code": "", **in_both(re.sub(r", made at \S+:\d+", "", str(error)))}


def model_file(session: Any, message: dict[str, Any]) -> tuple[str, bytes]:
    """The name and the bytes of the trained model."""
    suffix = one_of("format", message.get("format"), FORMATS)
    with session.model_in_use(), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{suffix}"
        if suffix == ".onnx":
            session.network.model.export(path)
        else:
            session.network.model.save(path)
        return path.name, path.read_bytes()


def report(session: Any, message: dict[str, Any]) -> tuple[str, bytes]:
    """The name and the bytes of a report of the model on the test data, in the page's language.

    With ``of="run"`` it is the report of the training that the page was opened with.
    """
    lang, source = one_of("lang", message.get("lang"), ("en", "zh")), session.source
    if message.get("of") == "run" and source.run is not None:
        with tempfile.TemporaryDirectory() as folder:
            path = rv.auto.write_report(source.run, path=Path(folder) / "run-report.html", lang=lang)
            return path.name, path.read_bytes()
    names = source.features if source.kind in ("plane", "table") else None
    with session.model_in_use(), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        session.network.of_output(source).report(
            source.x_test, source.y_test, path, lang=lang, classes=source.classes or None,
            names=names, train=(source.x, source.y), seed=session.settings.seed,
        )  # fmt: skip
        return path.name, path.read_bytes()
