"""What the data sets of texts share: their folder, and the copies that are kept there."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ranvier.datasets.places import own_folder
from ranvier.support.source_lines import warn
from ranvier.support.whole_files import write_whole


@dataclass(frozen=True)
class TextData:
    """A data set of text files, which are kept in a folder of the data folder."""

    title: str
    folder: str

    def keep(self, name: str, raw: bytes) -> None:
        """Write a file into the folder, whole or not at all, unless it is there. Warns where that fails."""
        target = own_folder(self) / name
        if target.exists():
            return
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target.with_name(f".{name}.{os.getpid()}.{os.urandom(4).hex()}.tmp"), target, raw)
        except OSError as error:
            warn(
                f"{self.title} could not be kept in {target.parent} ({error.strerror or error}), so each call searches "
                "for it again. Set the environment variable RANVIER_DATA to a folder of yours instead.",
                RuntimeWarning,
            )

    def unavailable(self, reasons: dict[str, str], ways: str) -> str:
        """The message where no place has it: why, and the ways to get it."""
        tried = "; ".join(f"{title}: {reason}" for title, reason in reasons.items())
        return (
            f"{self.title} is not on this machine and could not be downloaded ({tried or 'no place has it'}). Do one "
            f"of these instead: {ways}."
        )
