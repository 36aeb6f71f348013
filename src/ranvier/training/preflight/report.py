"""What the checks say: a finding has a code, what is wrong, where, and the fix; a report is a list of findings."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from ranvier.support.errors import nearest
from ranvier.support.source_lines import shown

__all__ = [
    "ERROR", "WARNING", "Check", "Fault", "Finding", "PreflightError", "PreflightWarning", "Report", "is_silenced",
    "silencer",
]  # fmt: skip

ERROR, WARNING = "error", "warning"


class PreflightWarning(UserWarning):
    """A likely mistake in the model or its data, found before training (or after its first epoch)."""


class PreflightError(ValueError):
    """A mistake with which training can only give nonsense; ``report`` holds all that was found."""

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report


@dataclass(frozen=True)
class Fault:
    """What a check found: what is wrong, with the values, and a sentence that says what to write instead."""

    text: str
    fix: str
    layer: str | None = None
    made: tuple[str, int] | None = None


@dataclass(frozen=True)
class Check:
    """A row of the table of checks.

    ``find`` is given what the check's stage looks at, and yields a `Fault` for each mistake. ``whole`` checks need all
    the data, and are left out for the first batch of a generator; ``always`` checks run at every ``fit``, all others at
    the first one after ``compile``. A check is left out where one of ``unless`` has found its cause already.
    """

    code: str
    title: str
    level: str
    find: Callable[[Any], Iterator[Fault]]
    whole: bool = False
    always: bool = False
    unless: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One mistake: ``code`` and ``title`` of the check, its ``level`` ("error" or "warning"), ``text`` with the values
    found, ``fix``, and where: the ``layer``'s name and ``line``, "file:number" of the user's code that made it.
    """

    code: str
    title: str
    level: str
    text: str
    fix: str
    layer: str | None = None
    line: str | None = None

    @classmethod
    def of(cls, check: Check, fault: Fault) -> Finding:
        line = None if fault.made is None else shown(fault.made)
        return cls(check.code, check.title, check.level, fault.text, fault.fix, fault.layer, line)

    @property
    def where(self) -> str:
        """Layer and line in words; empty where no layer is to blame."""
        if self.layer is None:
            return ""
        return f"layer {self.layer!r}" + ("" if self.line is None else f", made at {self.line}")

    def __str__(self) -> str:
        if not self.fix:  # an error's own words, which say it all
            return f"{self.code} {self.title}: {self.text}"
        place = f" ({self.where})" if self.where else ""
        return f"{self.code} {self.title}: {self.text}{place}. {self.fix}"


class Report(Sequence[Finding]):
    """The findings of `check`, worst first. Empty (false) when there is nothing to tell; prints as text or as a table.

    ``notes`` say what was looked at in part only.
    """

    def __init__(self, findings: Iterable[Finding] = (), notes: Sequence[str] = ()) -> None:
        self.findings = sorted(findings, key=lambda f: (f.level != ERROR, f.code))
        self.notes = tuple(notes)

    def __len__(self) -> int:
        return len(self.findings)

    def __getitem__(self, index: Any) -> Any:
        return self.findings[index]

    @property
    def codes(self) -> list[str]:
        """The codes of the findings, each as often as it was found."""
        return [f.code for f in self.findings]

    @property
    def errors(self) -> list[Finding]:
        """The findings with which training can only give nonsense."""
        return [f for f in self.findings if f.level == ERROR]

    @property
    def warnings(self) -> list[Finding]:
        """The other findings."""
        return [f for f in self.findings if f.level != ERROR]

    def __repr__(self) -> str:
        head = f"{len(self.errors)} errors, {len(self.warnings)} warnings" if self else "Nothing to tell."
        return "\n".join([head, *(f"{f.level}: {f}" for f in self), *(f"({note})" for note in self.notes)])

    def _repr_html_(self) -> str:
        from html import escape

        def row(tag: str, cells: Sequence[str]) -> str:
            opened = f'<{tag} style="text-align: left">'
            return f"<tr>{''.join(f'{opened}{escape(cell)}</{tag}>' for cell in cells)}</tr>"

        head = row("th", ("code", "level", "what", "where", "fix"))
        body = "".join(row("td", (f.code, f.level, f"{f.title}: {f.text}", f.where, f.fix)) for f in self)
        table = f"<table>{head}{body}</table>" if self else "<p>Nothing to tell.</p>"
        return table + "".join(f"<p>({escape(note)})</p>" for note in self.notes)


# --- telling ------------------------------------------------------------------------------------------------------


def silencer(ignore: Any, codes: Collection[str]) -> tuple[str, ...]:
    """``ignore`` as beginnings of codes: "RV203", a group such as "RV2", or "RV" for all; one or several.

    Raises ValueError naming the nearest code for one that does not exist.
    """
    given = (ignore,) if isinstance(ignore, str) else tuple(ignore or ())
    for item in given:
        if not isinstance(item, str) or not item or not any(code.startswith(item) for code in codes):
            near = nearest(str(item), codes)
            raise ValueError(
                f'ignore={ignore!r}: there is no check {item!r}. Write ignore=("{near}",), a group such as '
                '("RV2",), or ("RV",) for all checks, instead.'
            )
    return given


def is_silenced(code: str, silenced: Sequence[str]) -> bool:
    return any(code.startswith(item) for item in silenced)


def tell(findings: Iterable[Finding], told: set[str], frame: FrameType) -> None:
    """Warn of each finding at the user's line, once a code (``told`` keeps them); raise if there are errors.

    Raises PreflightError holding all findings.
    """
    report = Report(findings)
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    module = frame.f_globals.get("__name__", "__main__")
    for code in dict.fromkeys(f.code for f in report.warnings):
        if code not in told:
            told.add(code)
            for finding in report:
                if finding.code == code:
                    warnings.warn_explicit(
                        str(finding),
                        PreflightWarning,
                        frame.f_code.co_filename,
                        frame.f_lineno,
                        module,
                        registry,
                    )
    if report.errors:
        known = "; ".join(map(str, report.errors))
        raise PreflightError(known, report)
