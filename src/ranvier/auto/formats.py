"""Columns as the bytes of a file: CSV and its kin, Excel, Parquet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.auto.tables import PARQUET, SEPARATED, needs_frames
from ranvier.data.convert import Array

SIGNS = {".tsv": "\t", ".tab": "\t", ".psv": "|"}  # others: commas
EXCEL = ".xlsx"
WRITTEN = (*SEPARATED, EXCEL, *PARQUET)
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")  # and not a code such as 007


def check_ending(path: Path) -> None:
    """Raise ValueError where the end of a name says no format that is written. Without one it is CSV."""
    if path.suffix and path.suffix.lower() not in WRITTEN:
        raise ValueError(
            f"{path} ends in {path.suffix!r}. Write a file that ends in one of {', '.join(WRITTEN)} instead."
        )


def written(columns: Mapping[str, Array], path: Path) -> bytes:
    """The file, by the end of its name. Raises ValueError and, without pandas or polars, ModuleNotFoundError."""
    check_ending(path)
    suffix = path.suffix.lower()
    if suffix == EXCEL:
        return _excel(columns)
    return _parquet(columns) if suffix in PARQUET else text(columns, SIGNS.get(suffix, ",")).encode()


def text(columns: Mapping[str, Array], sign: str = ",") -> str:
    """A line of names, and the rows."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=sign, lineterminator="\n")
    writer.writerow(columns)
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    writer.writerows(["" if v is None or v != v else v for v in row] for row in rows)
    return buffer.getvalue()


def rounded(values: Array) -> Array:
    """Numbers of seven digits, which is what float32 has; others as they are."""
    return values if values.dtype.kind != "f" else np.array([float(f"{v:.7g}") for v in values.tolist()])


def values_of(values: Array) -> list[Any]:
    """Values as Python's: texts that are all numbers as numbers, and missing ones as None."""
    found = [None if v is None or v == "" or v != v else v for v in values.tolist()]
    known = [v for v in found if v is not None]
    if known and all(isinstance(v, str) and NUMBER.fullmatch(v) for v in known):
        kind = int if all(v.lstrip("-").isdigit() for v in known) else float
        return [None if v is None else kind(v) for v in found]
    return found


def _excel(columns: Mapping[str, Array]) -> bytes:
    buffer = io.BytesIO()
    try:
        import pandas as pd

        frame = pd.DataFrame({name: pd.Series(values_of(v), dtype=object) for name, v in columns.items()})
        frame.to_excel(buffer, index=False)
    except ImportError as error:
        raise needs_frames(EXCEL, error) from error
    return buffer.getvalue()


def _parquet(columns: Mapping[str, Array]) -> bytes:
    buffer = io.BytesIO()
    frame = {name: values_of(v) for name, v in columns.items()}
    try:
        import polars as pl
    except ImportError:
        try:
            import pandas as pd

            pd.DataFrame(frame).to_parquet(buffer)
        except ImportError as error:
            raise needs_frames(PARQUET[0], error) from error
    else:
        pl.DataFrame(frame, strict=False).write_parquet(buffer)
    return buffer.getvalue()
