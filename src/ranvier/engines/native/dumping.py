"""RANVIER_DUMP: stages of the compiler printed as they are made."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

LATE = ("schedule", "llvm", "optimized", "assembly")
"""What follows the passes; a program found in the cache needs none of it."""


def asked(*stages: str) -> bool:
    """Whether RANVIER_DUMP asks for one of these stages."""
    wanted = os.environ.get("RANVIER_DUMP", "").split(",")
    return "all" in wanted or any(stage in wanted for stage in stages)


def dump(stage: str, text: Callable[[], object]) -> None:
    """Print a stage if RANVIER_DUMP asks for it."""
    if asked(stage):
        sys.stderr.write(f"--- {stage} ---\n{text()}\n")
