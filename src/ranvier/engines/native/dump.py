"""RANVIER_DUMP: print stages of the compiler as they are made."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

STAGES: list[str] = []  # `compiler` fills it, in the order of the stages


def asked(*stages: str) -> bool:
    """Whether RANVIER_DUMP names one of these stages. Raises ValueError if it names a stage that does not exist."""
    given = os.environ.get("RANVIER_DUMP", "")
    wanted = given.split(",") if given else []
    unknown = [stage for stage in wanted if stage not in STAGES]
    if unknown:
        raise ValueError(
            f"RANVIER_DUMP={given}: there is no stage {unknown[0]!r}. Write some of {', '.join(STAGES)}, with commas "
            "between, instead."
        )
    return "all" in wanted or any(stage in wanted for stage in stages)


def dump(stage: str, text: Callable[[], object]) -> None:
    """Print a stage if RANVIER_DUMP names it."""
    if asked(stage):
        sys.stderr.write(f"--- {stage} ---\n{text()}\n")
