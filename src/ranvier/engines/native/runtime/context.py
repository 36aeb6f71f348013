"""What a run hands to a program, and what a program says that a run must provide."""

from __future__ import annotations

from dataclasses import dataclass

# The context that a run hands to every thread: 64-bit words, these first, then a word for each symbol's extent, then
# the addresses of the inputs and of the outputs.
SYNC, START, STOP, TOTAL, SCRATCH, PRIVATE, WORDS = range(7)
CLOCK = 8  # bytes of a clock


@dataclass(frozen=True)
class Text:
    """A program as LLVM text, and what a run of it must provide."""

    text: str
    symbols: tuple[str, ...]
    scratch: int  # bytes
    private: int  # bytes for each thread
    work: float  # multiply-adds of a step, roughly: what a barrier is weighed against
    clocks: int | None = None  # where in a thread's own memory a timed program counts, see profile.py
