"""Results of the checks. A finding has a code, what is wrong, where, and the fix; a report is a list of findings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from ranvier.data.convert import Array
from ranvier.module import Module
from ranvier.support.errors import nearest
from ranvier.support.source_lines import location, warn

ERROR, WARNING = "error", "warning"
LISTED = 5  # numbers in a message


class PreflightWarning(UserWarning):
    """A likely mistake in the model or its data, found before training or after its first epoch.

    ``report`` holds all findings of the same check.
    """

    def __init__(self, message: str, report: Report | None = None) -> None:
        super().__init__(message)
        self.report = report


class PreflightError(ValueError):
    """A mistake that makes training useless; ``report`` holds all findings."""

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report


@dataclass(frozen=True)
class Fault:
    """What a check found: what is wrong, with the values, and a sentence that says what to write instead.

    Of several faults that one check finds, the one of the greatest ``severity`` is the worst.
    """

    text: str
    fix: str
    module: Module | None = None
    severity: float = 0.0


@dataclass(frozen=True)
class Check:
    """A row of the table of checks.

    ``find`` takes the subject of the check's stage, and yields a `Fault` for each mistake. ``whole`` checks need all
    the data, and are skipped for the first batch of a generator. ``always`` checks run at every ``fit``, all others at
    the first one after ``compile``. A check is skipped if a check of ``unless`` has found its cause already.
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
    found, ``fix``, and the place: the ``layer``'s name and ``line``, "file:number" of your code that made the layer.
    """

    code: str
    title: str
    level: str
    text: str
    fix: str
    layer: str | None = None
    line: str | None = None
    severity: float = field(default=0.0, repr=False, compare=False)

    @classmethod
    def of(cls, check: Check, fault: Fault, names: Mapping[int, str], advice: Mapping[str, str]) -> Finding:
        """``names`` are those of modules, by their ids; ``advice`` has the fix by the check's code, where it is not
        that of the fault.
        """
        layer, line = None, None
        if fault.module is not None:
            layer = names.get(id(fault.module), fault.module.name)
            line = location(fault.module._made)
        fix = advice.get(check.code, fault.fix)
        return cls(check.code, check.title, check.level, fault.text, fix, layer, line, fault.severity)

    @property
    def where(self) -> str:
        """Layer and line in words; empty if the mistake is in no layer."""
        if self.layer is None:
            return ""
        return f"layer {self.layer!r}" + ("" if self.line is None else f", made at {self.line}")

    @property
    def sentence(self) -> str:
        """What is wrong, where, and the fix."""
        if not self.fix:  # the message of an error, which has its own fix
            return self.text
        return f"{self.text}{f' ({self.where})' * bool(self.where)}. {self.fix}"

    def __str__(self) -> str:
        return f"{self.code} {self.title}: {self.sentence}"


class Report(Sequence[Finding]):
    """The findings of `check`, errors first. Empty (false) if there are none; prints as text or as a table.

    ``notes`` say which data were checked in part only.
    """

    def __init__(self, findings: Iterable[Finding] = (), notes: Sequence[str] = ()) -> None:
        self.findings = sorted(findings, key=lambda f: (f.level != ERROR, f.code))
        self.notes = tuple(notes)

    def __len__(self) -> int:
        return len(self.findings)

    @overload
    def __getitem__(self, index: int) -> Finding: ...
    @overload
    def __getitem__(self, index: slice) -> list[Finding]: ...
    def __getitem__(self, index: int | slice) -> Finding | list[Finding]:
        return self.findings[index]

    @property
    def codes(self) -> list[str]:
        """The codes of the findings, each as often as it was found."""
        return [f.code for f in self.findings]

    @property
    def errors(self) -> list[Finding]:
        """The findings that make training useless."""
        return [f for f in self.findings if f.level == ERROR]

    @property
    def warnings(self) -> list[Finding]:
        """The other findings."""
        return [f for f in self.findings if f.level != ERROR]

    def __repr__(self) -> str:
        head = f"{len(self.errors)} errors, {len(self.warnings)} warnings" if self else "No findings."
        return "\n".join([head, *(f"{f.level}: {f}" for f in self), *(f"({note})" for note in self.notes)])

    def _repr_html_(self) -> str:
        from html import escape

        def row(tag: str, cells: Sequence[str]) -> str:
            opened = f'<{tag} style="text-align: left">'
            return f"<tr>{''.join(f'{opened}{escape(cell)}</{tag}>' for cell in cells)}</tr>"

        head = row("th", ("code", "level", "what", "where", "fix"))
        body = "".join(row("td", (f.code, f.level, f"{f.title}: {f.text}", f.where, f.fix)) for f in self)
        table = f"<table>{head}{body}</table>" if self else "<p>No findings.</p>"
        return table + "".join(f"<p>({escape(note)})</p>" for note in self.notes)


# --- warnings and errors ------------------------------------------------------------------------------------------


def silencer(ignore: Any, codes: Collection[str]) -> tuple[str, ...]:
    """``ignore`` as prefixes of codes: "RV203", a group such as "RV2", or "RV" for all; one or several.

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


def summary(findings: Sequence[Finding]) -> str:
    """One text for all findings of a check: how many, the worst one, and how to list the others."""
    worst = max(findings, key=lambda finding: finding.severity)
    count = len(findings)
    if count == 1:
        return str(worst)
    places = f"{count} layers" if len({f.layer for f in findings}) == count else f"{count} times"
    which = "The worst" if worst.severity else "The first"
    return f"{worst.code} {worst.title}, {places}. {which}: {worst.sentence} model.check(x, y) lists all {count}."


def raise_or_warn(findings: Iterable[Finding], reported: set[str]) -> None:
    """Warn once for each code that is not in ``reported``, at the user's line, and add it; then raise the errors.

    Raises PreflightError, whose report holds all findings.
    """
    report = Report(findings)
    by_code: dict[str, list[Finding]] = {}
    for finding in report:
        by_code.setdefault(finding.code, []).append(finding)
    for code, same in by_code.items():
        if same[0].level != ERROR and code not in reported:
            reported.add(code)
            warn(PreflightWarning(summary(same), Report(same)))
    if report.errors:
        texts = [summary(same) for same in by_code.values() if same[0].level == ERROR]
        raise PreflightError("; ".join(texts), report)


def listed(numbers: Sequence[Any] | Array) -> str:
    """The first of some numbers, and how many more there are."""
    more = f" and {len(numbers) - LISTED:,} more" if len(numbers) > LISTED else ""
    return ", ".join(map(str, numbers[:LISTED])) + more
