"""What ``model.explain_step`` returns: one training step with every number in it, as arrays, text and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ranvier.explain.step_numbers import StepNumbers
from ranvier.explain.step_tables import parts

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

WIDTH = 110  # of the text, in columns


class ExplainedStep(StepNumbers):
    """One training step: ``layers`` (`ExplainedLayer`) in the order of their calls, ``loss`` (before the step) and its
    ``loss_name``, ``optimizer`` and ``learning_rate``, inputs ``x`` and targets ``y`` (None for several outputs).

    ``penalized`` says whether the loss has terms of regularizers, which the gradients of weights include.
    ``print(step)`` shows it as text, a notebook as tables; ``step["name"]`` is the layer of this name.
    """

    def __str__(self) -> str:
        import io

        from rich.console import Console

        text = io.StringIO()
        Console(file=text, width=WIDTH, color_system=None, legacy_windows=False).print(self)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines()).rstrip()

    __repr__ = __str__

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        for place, part in enumerate(parts(self)):
            if part.heading:  # as Text: a name may hold what looks like markup
                yield Text("\n" * (part.level == 1 and place > 0) + part.heading, "bold" if part.level == 1 else "")
            if part.columns:
                table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
                for column, title in enumerate(part.columns):
                    table.add_column(Text(title), justify="left" if column in part.texts else "right")
                for row in part.rows:
                    table.add_row(*map(Text, row))
                yield table

    def _repr_html_(self) -> str:
        return "".join(part.html() for part in parts(self))
