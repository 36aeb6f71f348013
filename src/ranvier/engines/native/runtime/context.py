"""The interface between a run and a program: the context, and what a program requires of a run."""

from __future__ import annotations

from typing import NamedTuple

# The context that every thread is given has 64-bit words: these, then the extent of each symbol, then the addresses of
# the inputs and outputs.
SYNC, START, STOP, TOTAL, SCRATCH, PRIVATE, WORDS = range(7)
CLOCK = 8  # bytes of a clock
# The context of a program with checks ends with the address of the words that report what is out of range, and these
# words: the number of the check that failed, from 1, or 0; the position of the first such element of its operand; its
# value, floats as the bits of float64; and the step.
FAULT, POSITION, VALUE, STEP, FAULT_WORDS = range(5)


class Text(NamedTuple):
    """A program as LLVM text, and what it requires of a run."""

    text: str
    symbols: tuple[str, ...]
    scratch: int  # bytes
    private: int  # bytes for each thread
    work: float  # multiply-adds of a step, roughly
    clocks: int | None = None  # offset of a timed program's clocks in a thread's private memory (profile.py)
