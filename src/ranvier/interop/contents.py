"""What a file of a model holds, as a table for the terminal: facts, layers, and the tensors of each."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ranvier.graph.dtypes import DTYPES, array_dtype

OPTIMIZER = ("optimizer/", "optimizer_weights/", "optimizer.")  # what names of an optimizer's state begin with


class Row(NamedTuple):
    """A tensor of a file."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def numbers(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        size = np.dtype(array_dtype(self.dtype)).itemsize if self.dtype in DTYPES else 0
        return self.numbers * size


class Layer(NamedTuple):
    """A layer or an operator: its name, its class where the file says it, and its tensors."""

    name: str
    kind: str
    rows: Sequence[Row] = ()

    @property
    def title(self) -> str:
        return f"{self.name} ({self.kind})" if self.kind else self.name


class Contents(NamedTuple):
    """The format of a file, facts about it, its tensors, and its layers in their order."""

    format: str
    facts: dict[str, str]
    rows: list[Row]
    layers: list[Layer]

    def lines(self) -> Iterator[str]:
        """A table for the terminal: facts, layers with their tensors, sums.

        An optimizer's tensors have one line, and are no parameters.
        """
        yield f"format      {self.format}"
        for name, fact in self.facts.items():
            if fact:
                yield f"{name:<11} {_plain(fact)}"
        table = [(*texts, f"{numbers:,}", f"{size:,}") for *texts, numbers, size in self._table()]
        if table:
            table.insert(0, ("layer, tensor", "type", "shape", "numbers", "bytes"))
            widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
            yield ""
            for cells in table:
                left = [f"{text:<{width}}" for text, width in zip(cells[:3], widths, strict=False)]
                right = [f"{text:>{width}}" for text, width in zip(cells[3:], widths[3:], strict=True)]
                yield "  ".join([*left, *right])
        own = [row for row in self.rows if not row.name.startswith(OPTIMIZER)]
        if len(own) < len(self.rows):
            yield f"{sum(row.numbers for row in own):,} parameters, {sum(row.bytes for row in own):,} bytes of them"
        numbers, size = (sum(row.numbers for row in self.rows), sum(row.bytes for row in self.rows))
        yield f"{len(self.rows):,} tensors, {numbers:,} numbers, {size:,} bytes"

    def to_dict(self) -> dict[str, Any]:
        """The same as values of JSON."""
        layers = [
            {"name": layer.name, "class": layer.kind, "tensors": [row._asdict() for row in layer.rows]}
            for layer in self.layers
        ]
        return {"format": self.format, **self.facts, "layers": layers}

    def _table(self) -> Iterator[tuple[str, str, str, int, int]]:
        for layer in self.layers:
            rows = sorted(layer.rows, key=lambda row: natural(row.name))
            state = bool(rows) and rows[0].name.startswith(OPTIMIZER)
            title = f"{layer.title}, {len(rows):,} tensors" if state else layer.title
            yield _plain(title), "", "", sum(row.numbers for row in rows), sum(row.bytes for row in rows)
            for row in () if state else rows:
                yield f"  {_plain(row.name)}", row.dtype, str(row.shape), row.numbers, row.bytes


def _plain(text: str) -> str:
    """A text of a file without what would move the cursor of a terminal."""
    return text if text.isprintable() else ascii(text)[1:-1]


def natural(name: str) -> list[Any]:
    """What names are sorted by: 10 comes after 9."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"([0-9]+)", name)]


def grouped(
    rows: Iterable[Row], layers: Sequence[tuple[str, str, str]] = (), titles: Mapping[str, str] | None = None
) -> list[Layer]:
    """Layers with their tensors: ``layers`` has the name and the class of each, and what its tensors' names begin with.

    A tensor of none of them is of a group that its name begins with, which may have one of the ``titles``.
    """
    held: dict[str, list[Row]] = {start: [] for *_, start in layers}
    rest: dict[str, list[Row]] = {}
    for row in rows:
        starts = [row.name[: at + 1] for at, letter in enumerate(row.name) if letter in "./"]
        start = next((start for start in (*reversed(starts), "") if start in held), None)
        if row.name.startswith(OPTIMIZER) or start is None:
            group = re.split("[./]", row.name)[0] if row.name.startswith(OPTIMIZER) else (starts or [""])[-1][:-1]
            rest.setdefault(group, []).append(row)
        else:
            held[start].append(row)
    found = [Layer(name, kind, held[start]) for name, kind, start in layers]
    return found + [Layer((titles or {}).get(g, g or "(no layer)"), "", rest[g]) for g in sorted(rest, key=natural)]
