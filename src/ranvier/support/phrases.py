"""Counts in sentences; sentences with values in another language: templates, matched against finished ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property

FIELD = re.compile(r"\{(\d)\}")


def counted(n: int, what: str, verbs: tuple[str, str] | None = None) -> str:
    """``"1 row"`` or ``"1,200 rows"``; with a pair of verbs, such as ``("has", "have")``, the one that fits, too."""
    words = f"{n:,} {what}{'s' * (n != 1)}"
    return words if verbs is None else f"{words} {verbs[n != 1]}"


class Phrases:
    """Translates sentences by a table of templates: ``{"{0} rows are empty": "{0} 行为空"}``.

    A template matches a whole sentence, or some sentences that follow one another; values are translated too where the
    table knows them. Templates that begin with letters are tried first, and of them the longest.
    """

    def __init__(self, table: Mapping[str, str]) -> None:
        self.table = table

    @cached_property
    def patterns(self) -> list[tuple[re.Pattern[str], str]]:
        templates = sorted(self.table, key=lambda text: (text.startswith("{"), -len(FIELD.sub("", text))))
        return [(_pattern(text), self.table[text]) for text in templates]

    def __call__(self, text: str) -> str:
        """The translation; the text itself where the table does not know it."""
        if text in self.table:
            return self.table[text]
        for pattern, translated in self.patterns:
            found = pattern.fullmatch(text)
            if found is not None:
                parts = FIELD.split(translated)  # text and numbers of fields by turns
                return "".join(self(found[f"f{part}"]) if k % 2 else part for k, part in enumerate(parts))
        return text


def _pattern(template: str) -> re.Pattern[str]:
    parts = FIELD.split(template)  # text and numbers of fields by turns
    made, known = [re.escape(parts[0])], set[str]()
    for field, text in zip(parts[1::2], parts[2::2], strict=True):
        made.append(f"(?P=f{field})" if field in known else f"(?P<f{field}>.*?)")
        made.append(re.escape(text))
        known.add(field)
    return re.compile("".join(made), re.DOTALL)
