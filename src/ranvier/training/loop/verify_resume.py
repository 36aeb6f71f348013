"""A test that your run, stopped anywhere and resumed, ends in the same bits."""

from __future__ import annotations

import contextlib
import tempfile
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.module import Module
from ranvier.tensor import rng as seeds
from ranvier.training.checkpoint import model_file
from ranvier.training.checkpoint.values import pack
from ranvier.training.loop.callback import Callback
from ranvier.training.loop.fit import fit
from ranvier.training.loop.resume import NAME

BUILD = "a function that builds and compiles the model, and returns it"


class ResumeMismatch(AssertionError):  # noqa: N818  # it reads as what happened
    """A run that was stopped and resumed ended differently; ``report`` has all differences."""

    def __init__(self, report: ResumeReport) -> None:
        super().__init__(str(report))
        self.report = report


@dataclass
class ResumeReport:
    """The result of `verify_resume`: the steps at which runs were stopped (since the beginning), and the differences.

    ``differences`` maps each such step to a line for each difference, in the order of the model.
    """

    steps: int
    stopped: list[int]
    compared: int
    differences: dict[int, list[str]] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        return not self.differences

    @property
    def first(self) -> str | None:
        """The first difference after the earliest stop; None if there is none."""
        return next(iter(self.differences.values()))[0] if self.differences else None

    def __str__(self) -> str:
        where = f"stopped after steps {', '.join(map(str, self.stopped))} of {self.steps}"
        if self.exact:
            return f"Exact: {where} and resumed, all {self.compared} values end in the same bits."
        lines = [
            f"Not exact: {where} and resumed, {len(self.differences)} of {len(self.stopped)} runs end differently."
        ]
        for step, found in self.differences.items():
            lines.append(
                f"  Stopped after step {step}, {found[0]}" + (f" (and {len(found) - 1} more)" * (len(found) > 1))
            )
        lines.append(
            "What changes while training must be a parameter, a buffer, or in a callback's state() and set_state()."
        )
        return "\n".join(lines)


class _Stop(BaseException):
    """Stands for the end of a process."""


class _StopAt(Callback):
    """Saves the run after so many steps and ends it there; with 0 it does nothing."""

    _run: Any = None
    _last = True

    def __init__(self, folder: Path, at: int = 0) -> None:
        self.folder, self.step_interval = folder, at or None

    def on_step(self, epoch: int, step: int, logs: Mapping[str, Any] | None = None) -> None:
        self._run.save(self.folder / NAME)
        raise _Stop


def verify_resume(
    build: Callable[[], Module],
    x: Any = None,
    y: Any = None,
    *,
    callbacks: Callable[[], Any] | None = None,
    stops: int | Iterable[int] = 3,
    seed: int = 0,
    strict: bool = True,
    **options: Any,
) -> ResumeReport:
    """Train a model once without a stop, then again with a stop at each of several steps, and compare every bit.

    ``build`` makes and compiles the model, as a new process would; ``callbacks`` makes the callbacks likewise, and
    ``x`` may be a function that makes the generator or loader to train on. ``stops`` is the number of stops to try,
    spread over the run and at least one at the end of an epoch, or the steps after which to stop (counted from 1 over
    all epochs). All other arguments are those of `fit`. Each run begins with the seed ``seed``. A resumed run has other
    global generators of NumPy, Python and PyTorch, as a new process has: seed them in ``build`` if you need them.

    It compares weights, buffers, the optimizer's state and settings, the history, the state of callbacks, and the
    random state. Returns a report; with ``strict`` a difference raises `ResumeMismatch` instead, which names the first
    tensor that differs, by how much, and after which stop.
    """
    check_makers(build, callbacks)
    options = {"epochs": 2, "verbose": 0, **options}
    for name in ("resume", "callbacks"):
        if name in options:
            raise TypeError(f"verify_resume({name}=...): write callbacks=lambda: [...] alone instead.")

    with tempfile.TemporaryDirectory() as name:
        folder, models = Path(name), weakref.WeakSet[Module]()

        def run(watch: _StopAt, resume: bool = False) -> dict[str, Any]:
            seeds.set_state(begin)
            if resume:
                seeds.reseed_globals()  # as in a new process
            model = fresh(build, models)
            made = [] if callbacks is None else callbacks()
            listed = list(made) if isinstance(made, (list, tuple)) else [made]
            if any(hasattr(callback, "_run") for callback in listed):
                raise TypeError("verify_resume makes backups itself. Write callbacks without BackupAndRestore instead.")
            given = x() if callable(x) and not hasattr(x, "__array__") else x
            path = folder / NAME if resume else None
            fit(model, given, y, callbacks=[*listed, watch], resume=path, **options)
            return outcome(model, listed)

        state = seeds.get_state()
        seeds.set_seed(seed)
        begin = seeds.get_state()
        try:
            watch = _StopAt(folder)
            expected = run(watch)
            steps = watch._run.training.taken
            report = ResumeReport(steps, places(stops, steps, len(watch._run.history.epoch)), len(expected))
            for at in report.stopped:
                with contextlib.suppress(_Stop):
                    run(_StopAt(folder, at))
                found = run(_StopAt(folder), resume=True)
                wrong = differences(expected, found)
                if wrong:
                    report.differences[at] = wrong
        finally:
            seeds.set_state(state)
    if strict and not report.exact:
        raise ResumeMismatch(report)
    return report


def check_makers(build: Any, callbacks: Any) -> None:
    """Raise TypeError for objects in place of functions that make them for each run."""
    if not callable(build) or isinstance(build, Module):
        what = f"the model {build.name!r}" if isinstance(build, Module) else f"a {type(build).__name__}"
        raise TypeError(f"verify_resume makes a new model for each run, and here is {what}. Write {BUILD}, instead.")
    if callbacks is not None and not callable(callbacks):
        raise TypeError(
            f"verify_resume makes new callbacks for each run, and here is a {type(callbacks).__name__}. Write a "
            "function that makes them, callbacks=lambda: [...], instead."
        )


def fresh(build: Any, seen: weakref.WeakSet[Module]) -> Module:
    """A new model. Raises TypeError if ``build`` returns anything else."""
    model = build()
    if not isinstance(model, Module) or model in seen:
        got = "the same model twice" if isinstance(model, Module) else type(model).__name__
        raise TypeError(f"build returned {got}. Write {BUILD}, instead.")
    seen.add(model)
    return model


def places(stops: int | Iterable[int], steps: int, epochs: int) -> list[int]:
    """The steps after which to stop."""
    if not isinstance(stops, int):
        wanted = sorted({int(n) for n in stops})
        if not wanted or not 1 <= wanted[0] <= wanted[-1] <= steps:
            raise ValueError(f"stops={wanted}: write steps from 1 to {steps}, the number of this run, instead.")
        return wanted
    if stops < 1:
        raise ValueError(f"stops={stops}: write 1 or more instead.")
    spread = {max(1, round(steps * (i + 1) / (stops + 1))) for i in range(stops - 1)}
    return sorted({*spread, max(1, steps // epochs)})  # the last is the end of an epoch if possible


def outcome(model: Module, callbacks: Sequence[Any]) -> dict[str, Any]:
    """The results of a run, by name."""
    tensors: dict[str, Any] = model_file.tensors_of(model)
    optimizer = model.__dict__["_compiled"].optimizer
    values: dict[str, Any] = {
        "optimizer": {n: v for n, v in optimizer.config().items() if isinstance(v, (bool, int, float, str))},
        "history": {"epoch": model.history.epoch, **model.history.history},
        "random": seeds.get_state(),
    }
    for number, callback in enumerate(callbacks):
        if hasattr(callback, "state"):
            values[f"callbacks/{number} ({type(callback).__name__})"] = dict(callback.state())
    result = dict(tensors)
    for name, value in values.items():
        flatten(name, value, result)
    return result


def flatten(name: str, value: Any, into: dict[str, Any]) -> None:
    if isinstance(value, Mapping):
        for key, part in value.items():
            flatten(f"{name}/{key}", part, into)
    elif isinstance(value, (list, tuple)) and any(isinstance(v, (np.ndarray, list, tuple)) for v in value):
        for number, part in enumerate(value):
            flatten(f"{name}/{number}", part, into)
    else:
        pack(value, name, {})  # raises for values that a file cannot hold
        into[name] = value


def differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    lines = [f"{name} is missing" for name in expected if name not in found]
    lines += [f"{name} is there only after the stop" for name in found if name not in expected]
    for name, value in expected.items():
        if name in found and not equal_bits(value, found[name]):
            lines.append(f"{name} differs{by(value, found[name])}")
    return lines


def equal_bits(a: Any, b: Any) -> bool:
    if isinstance(a, (np.ndarray, np.generic)):
        other = np.asarray(b)
        return bool(a.dtype == other.dtype and a.shape == other.shape and a.tobytes() == other.tobytes())
    return type(a) is type(b) and repr(a) == repr(b)  # repr: NaN is the same as NaN, and 0.0 is not -0.0


def by(a: Any, b: Any) -> str:
    try:
        one, other = np.asarray(a, np.float64), np.asarray(b, np.float64)
        return f" by up to {np.abs(one - other).max():.3g}" if one.shape == other.shape else " in shape"
    except (TypeError, ValueError):
        return f": {a!r} and {b!r}"[:200]
