"""Results written to a file, one line for each epoch."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.data.files import check_target, make_folder
from ranvier.support import processes
from ranvier.support.whole_files import naming
from ranvier.training.loop.callback import Callback, Logs
from ranvier.training.step.argument_types import FilePath


class CSVLogger(Callback):
    """Write the results of each epoch as a line of a CSV file: the epoch's number from 0, then the results by name.

    ``append`` adds to a file that exists instead of replacing it. A result that is missing in an epoch is "NA", an
    array is written as a list. A resumed run continues its file, without the lines of epochs that it trains again.
    Raises OSError before training if the file cannot be written.
    """

    _saved = ("keys", "_end")

    def __init__(self, filename: FilePath, separator: str = ",", append: bool = False) -> None:
        self.filename, self.separator, self.append = Path(filename), separator, append
        self.keys: list[str] | None = None
        self._end = 0  # bytes of the file that stay

    def writes_to(self) -> Path:
        return self.filename

    def on_train_begin(self, logs: Logs = None) -> None:
        if not processes.writes():
            return
        check_target(self.filename, "log.csv")
        with self.filename.open("ab") as file:  # created, and known to be writable, before any work is done
            self.keys, self._end = None, file.seek(0, os.SEEK_END) if self.append else 0

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if not processes.writes():
            return
        logs = logs or {}
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(key.startswith("val_") for key in self.keys):  # validation may come later
                self.keys += [f"val_{key}" for key in self.keys]
        make_folder(self.filename.parent, "the log")  # it may have been removed since
        with naming(self.filename), self.filename.open("a+", newline="", encoding="utf-8") as file:
            end = file.seek(0, os.SEEK_END)
            if self._end <= end:
                file.truncate(self._end)
                end = file.seek(self._end)
            writer = csv.writer(file, delimiter=self.separator)
            if end == 0:
                writer.writerow(["epoch", *self.keys])
            writer.writerow([epoch, *(cell(logs.get(key, "NA")) for key in self.keys)])
            self._end = file.tell()


def cell(value: Any) -> Any:
    if isinstance(value, str) or not np.ndim(value):
        return value.item() if isinstance(value, (np.ndarray, np.generic)) else value
    return f"[{', '.join(map(str, np.asarray(value).tolist()))}]"
