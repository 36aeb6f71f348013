"""What a command writes is none of the files that it reads."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def check_targets(targets: Iterable[Path], sources: Iterable[Path | None]) -> None:
    """Raise FileExistsError where a file to write is one to read, by whatever link or spelling."""
    known = [source for source in sources if source is not None and source.exists()]
    for target in targets:
        same = next((source for source in known if target.exists() and target.samefile(source)), None)
        if same is not None:
            raise FileExistsError(f"{target} is {same}, which is read here. Write another name instead.")
