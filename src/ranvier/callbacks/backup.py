"""A backup of a run, from which another process resumes it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from ranvier.callbacks.model_checkpoint import frequency
from ranvier.data.files import CheckpointError, make_folder
from ranvier.support import processes
from ranvier.support.source_lines import warn
from ranvier.training.loop.callback import Callback, Logs
from ranvier.training.loop.resume import NAME, AnotherRun, exists, remove
from ranvier.training.step.argument_types import FilePath


def plain(callback: Any) -> dict[str, Any]:
    """The plain attributes of a callback, such as its counters."""
    return {n: v for n, v in getattr(callback, "__dict__", {}).items() if type(v) in (bool, int, float, str)}


class BackupAndRestore(Callback):
    """Keep the whole run in a file of ``backup_dir``, and resume from it when the same `fit` is called again.

    A run that was killed at any moment and called again ends in the same bits as a run without a stop: weights,
    optimizer and its rate, order of the samples, dropout, history, and the state of the other callbacks. The backup is
    written at the end of every epoch or every ``save_freq`` steps, counted exactly, also in the middle of an epoch, and
    after Ctrl-C or SIGTERM, which clusters send before they stop a machine. It is written after all other callbacks,
    whole or not at all, and never with a NaN in it. At the end of a run it is removed (unless
    ``delete_checkpoint=False``), so that the next call starts from the beginning. ``double_checkpoint`` keeps the
    backup before the last one too, in case a disk loses data.

    You may raise ``epochs`` before you resume. Any other difference (data, batch size, optimizer, callbacks, seed)
    raises CheckpointError, since it would be another run. Your own callbacks need ``state`` and ``set_state``.
    """

    _run: Any = None
    _last = True

    def __init__(
        self,
        backup_dir: FilePath,
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        if not str(backup_dir):
            raise ValueError("BackupAndRestore(backup_dir=''): write the name of a folder instead.")
        self.backup_dir, self.save_freq = Path(backup_dir), save_freq
        self.double_checkpoint, self.delete_checkpoint = double_checkpoint, delete_checkpoint
        self.step_interval = frequency("BackupAndRestore", save_freq)

    @property
    def path(self) -> Path:
        """The file that holds the run."""
        return self.backup_dir / NAME

    @property
    def previous(self) -> Path:
        return self.backup_dir / f"previous-{NAME}"

    def writes_to(self) -> Path:
        return self.backup_dir

    def on_train_begin(self, logs: Logs = None) -> None:
        if processes.writes():
            make_folder(self.backup_dir, "the backup")
        self._began, self._warned = {id(c): plain(c) for c in self.others()}, set[str]()
        try:
            if exists(self.path) or not exists(self.previous):
                self._run.resume(self.path, missing_ok=True)
                return
        except AnotherRun:
            raise
        except CheckpointError:
            if not exists(self.previous):
                raise
        self._run.resume(self.previous)
        if processes.writes():
            remove(self.path)  # it is damaged, and must not replace the one before

    def others(self) -> list[Any]:
        """The run's other callbacks without a state for the backup."""
        empty = Callback.state
        known = [c for c in self._run.training.callbacks.callbacks if c is not self and not getattr(c, "_saved", ())]
        return [c for c in known if getattr(type(c), "state", empty) is empty]

    def on_step(self, epoch: int, step: int, logs: Logs = None) -> None:
        self.save()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.save_freq == "epoch":
            self.save()

    def on_interrupt(self) -> None:
        self.save()

    def save(self) -> None:
        """Write the run in its present state."""
        self.warn_of_forgetful()
        if not processes.writes():
            return
        make_folder(self.backup_dir, "the backup")  # it may have been removed since
        if self.double_checkpoint and self.path.exists():
            os.replace(self.path, self.previous)  # noqa: PTH105  # one system call, whose failure is tested
        self._run.save(self.path)

    def warn_of_forgetful(self) -> None:
        """Warn of callbacks that count and have no state: they would start from zero after a stop."""
        for callback in self.others():
            before, kind = self._began[id(callback)], type(callback).__name__
            changed = [n for n, v in plain(callback).items() if n not in before or before[n] != v]
            if changed and kind not in self._warned:
                self._warned.add(kind)
                warn(
                    f"{kind} changes {', '.join(changed)} in training and has no state(), so a resumed run would lose "
                    f"it. Write {kind}.state() and set_state(state), and try rv.verify_resume(...)."
                )

    def on_train_end(self, logs: Logs = None) -> None:
        if self.delete_checkpoint and processes.writes():
            remove(self.path)
            remove(self.previous)
            with contextlib.suppress(FileNotFoundError):
                if not any(self.backup_dir.iterdir()):
                    self.backup_dir.rmdir()
