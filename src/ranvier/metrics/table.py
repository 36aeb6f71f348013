"""A table: printed aligned, drawn by rich in a terminal, shown as HTML in a notebook."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
from ranvier.support.constructors import CheckedConstructor

Row = list[str] | None


class Tabular(CheckedConstructor):
    """Subclasses define `table`: a title, the column names, and rows of text; None is a line between rows."""

    def table(self) -> tuple[str, list[str], list[Row]]:
        """The title, the column names and the rows: each report has its own."""
        raise NotImplementedError

    def __str__(self) -> str:
        from rich.cells import cell_len  # columns of a terminal: a Chinese character takes two

        title, columns, rows = self.table()
        filled = [columns, *(row for row in rows if row is not None)]
        widths = [max(map(cell_len, column)) for column in zip(*filled, strict=True)]

        def line(row: list[str]) -> str:
            spaces = [" " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
            return "  ".join(
                [row[0] + spaces[0], *(space + cell for cell, space in zip(row[1:], spaces[1:], strict=True))]
            )

        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        lines = [title, line(columns), rule, *(rule if row is None else line(row) for row in rows)]
        return "\n".join(text.rstrip() for text in lines if text)

    __repr__ = __str__

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.cells import cell_len
        from rich.measure import Measurement
        from rich.table import Table
        from rich.text import Text  # names as they are: a plain str would be read as markup

        title, columns, rows = self.table()
        drawn = Table(title=Text(title) if title else None, title_justify="left")
        drawn.add_column(Text(columns[0]))
        for place, name in enumerate(columns[1:], 1):
            numbers = max((cell_len(row[place]) for row in rows if row is not None), default=0)
            drawn.add_column(Text(name), justify="right", min_width=numbers)  # words may wrap, numbers never
        for row in rows:
            if row is None:
                drawn.add_section()
            else:
                drawn.add_row(*map(Text, row))
        if Measurement.get(console, options.update(width=sys.maxsize), drawn).maximum > options.max_width:
            drawn.box, drawn.padding, drawn.show_edge = None, (0, 1, 0, 0), False
            for column in drawn.columns:
                column.overflow = "fold"
        yield drawn

    def _repr_html_(self) -> str:
        from html import escape

        title, columns, rows = self.table()

        def line(row: list[str], tag: str) -> str:
            first, *rest = (escape(cell) for cell in row)
            right = "".join(f'<{tag} style="text-align:right">{cell}</{tag}>' for cell in rest)
            return f'<tr><th style="text-align:left">{first}</th>{right}</tr>'

        parts: list[list[list[str]]] = [[]]
        for row in rows:
            if row is None:
                parts.append([])
            else:
                parts[-1].append(row)
        bodies = "".join(f"<tbody>{''.join(line(r, 'td') for r in part)}</tbody>" for part in parts if part)
        caption = f"<caption>{escape(title)}</caption>" if title else ""
        return f"<table>{caption}<thead>{line(columns, 'th')}</thead>{bodies}</table>"
