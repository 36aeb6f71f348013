"""RANVIER_DUMP: stages of the compiler printed as they are made."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

STAGES = {"all", "graph"}  # and those below, and the passes, which add their names
LATE = ("schedule", "llvm", "optimized", "assembly")
"""What follows the passes; a program found in the cache needs none of it."""


def asked(*stages: str) -> bool:
    """Whether RANVIER_DUMP asks for one of these stages. Raises ValueError where what it asks for does not exist."""
    given = os.environ.get("RANVIER_DUMP", "")
    wanted = given.split(",") if given else []
    unknown = [stage for stage in wanted if stage not in STAGES and stage not in LATE]
    if unknown:
        known = ", ".join(sorted({*STAGES, *LATE}))
        raise ValueError(
            f"RANVIER_DUMP={given}: there is no stage {unknown[0]!r}. Write some of {known}, with commas between, "
            "instead."
        )
    return "all" in wanted or any(stage in wanted for stage in stages)


def dump(stage: str, text: Callable[[], object]) -> None:
    """Print a stage if RANVIER_DUMP asks for it."""
    if asked(stage):
        sys.stderr.write(f"--- {stage} ---\n{text()}\n")
