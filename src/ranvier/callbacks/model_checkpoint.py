"""The model saved in training: at intervals, or when it has improved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Formatter
from typing import Any

from ranvier.callbacks.monitor import Monitor
from ranvier.data.files import make_folder
from ranvier.support import processes
from ranvier.support.results import number_of
from ranvier.training.loop.callback import Logs
from ranvier.training.step.argument_types import FilePath


class ModelCheckpoint(Monitor):
    """Save the model at the end of every epoch, or every ``save_freq`` steps, counted exactly and across epochs.

    ``filepath`` may hold ``{epoch:02d}`` (from 1), ``{batch}`` (from 1) and any result, such as ``{val_loss:.2f}``;
    folders are made. With ``save_best_only`` the model is saved only if ``monitor`` is better than in all epochs before
    (and than ``initial_value_threshold``). ``save_weights_only`` writes a file for ``model.load_weights`` in place of
    one for `load_model`. Files are written whole or not at all, and saving by steps does not slow the steps between.

    To resume a run after a stop, bit for bit, use `BackupAndRestore`.
    """

    _saved = ("best",)

    def __init__(
        self,
        filepath: FilePath,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        self.filepath, self.verbose = str(filepath), verbose
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        self.save_freq, self.step_interval = save_freq, frequency("ModelCheckpoint", save_freq)

    def writes_to(self) -> str:
        return self.filepath

    def on_train_begin(self, logs: Logs = None) -> None:
        """Raise for errors that would come after training: a network that no file can hold, and a file name with a
        result of validation without validation.
        """
        if not self.save_weights_only:
            self.model.architecture()
        names = self.params.get("metrics", ())
        validated = self.step_interval is None and any(name.startswith("val_") for name in names)
        for name in fields(self.filepath):
            if not validated and name.startswith("val_") and name.removeprefix("val_") in names:
                fix = "save_freq='epoch'" if self.step_interval else "validation_data=... in fit"
                raise self.unnamed(f"there is no {name} when it saves", ("epoch", *names), f"{fix}, or a name")

    def on_step(self, epoch: int, step: int, logs: Logs = None) -> None:
        self.save(epoch, logs or {}, {"batch": step + 1})

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.save_freq == "epoch":
            self.save(epoch, logs or {}, {})

    def save(self, epoch: int, logs: Mapping[str, Any], place: Mapping[str, Any]) -> None:
        reason = ""
        if self.save_best_only:
            current = self.value(logs)
            if current is not None:
                before = "" if self.best is None else f" from {self.best:.5f}"
                if not self.improves(current, self.best):
                    if self.verbose > 0:
                        self.say(f"Epoch {epoch + 1}: {self.monitor} did not improve{before}")
                    return
                self.best, reason = current, f"{self.monitor} improved{before} to {current:.5f}, "
        path = self.path(epoch, logs, place)
        if not processes.writes():
            return
        make_folder(path.parent, "the models")
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        if self.verbose > 0:
            self.say(f"Epoch {epoch + 1}: {reason}saved to {path}")

    def path(self, epoch: int, logs: Mapping[str, Any], place: Mapping[str, Any]) -> Path:
        numbers = {name: number for name, value in logs.items() if (number := number_of(value)) is not None}
        known = {"epoch": epoch + 1, **place, **logs, **numbers}
        try:
            return Path(self.filepath.format(**known))
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise self.unnamed(str(error), known, "it") from error

    def unnamed(self, why: str, known: Iterable[str], fix: str) -> ValueError:
        return ValueError(
            f"ModelCheckpoint cannot make a name from {self.filepath!r} ({why}). Write {fix} with any of "
            f"{', '.join(known)} instead."
        )


def fields(text: str) -> list[str]:
    """The names between braces; none if the braces do not match, which raises when they are filled in."""
    try:
        return [field for _, field, _, _ in Formatter().parse(text) if field]
    except ValueError:
        return []


def frequency(who: str, given: Any, name: str = "save_freq", texts: tuple[str, ...] = ("epoch",)) -> int | None:
    """A number of steps, or None for every epoch. The text "batch", if it is among ``texts``, is 1."""
    if given == "epoch":
        return None
    steps = 1 if given in texts else given
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        words = ", ".join(map(repr, texts))
        raise ValueError(f"{who}({name}={given!r}): write {words} or a number of steps instead.")
    return steps
