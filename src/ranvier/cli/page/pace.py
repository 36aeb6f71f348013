"""When a page gets its next frame, and which parts of it fit into a share of the time of training."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

FRAME = 1 / 18  # seconds between frames
SHARE = 0.07  # of the time of training, what frames may take

Part = Callable[[], dict[str, Any]]


class Pace:
    """Decides what the next frame holds. A part that is dear is made less often than others.

    Time is that of the thread that trains: what other threads do beside it costs the training nothing. While that
    thread waits, because epochs are to be slow, its time is free.
    """

    def __init__(self) -> None:
        self.due = 0.0
        self.credit = 0.0  # seconds that frames may take now
        self.counted = time.thread_time()  # until when training has given credit
        self.costs: dict[str, float] = {}
        self.made: dict[str, int] = {}  # the frame that a part was last in
        self.frames = 0

    def is_due(self) -> bool:
        """Whether it is time for a frame, or so nearly that more training would make it late."""
        return self.left() < FRAME / 8

    def left(self) -> float:
        """Seconds until the next frame."""
        return max(0.0, self.due - time.monotonic())

    def waited(self, seconds: float) -> None:
        """Count time in which the thread had nothing to do."""
        self.credit += seconds

    def frame(self, parts: Mapping[str, Part], watched: Collection[str] | None) -> dict[str, Any]:
        """The parts of ``watched`` that the time allows, the oldest first; None makes all, whatever they cost."""
        self.due = time.monotonic() + FRAME
        self.frames += 1
        found: dict[str, Any] = {}
        if watched is None:
            for make in parts.values():
                found |= make()
            self.made.update(dict.fromkeys(parts, self.frames))
            self.counted = time.thread_time()
            return found
        earned = SHARE * (time.thread_time() - self.counted)
        self.credit += earned
        budget = self.credit
        for name in sorted(set(watched) & set(parts), key=lambda n: self.made.get(n, 0)):
            if self.costs.get(name, 0.0) > budget:
                budget = min(budget, earned / 2)  # the rest is saved for this part
                continue
            began = time.thread_time()
            found |= parts[name]()
            cost = time.thread_time() - began
            self.costs[name] = (self.costs.get(name, cost) + cost) / 2
            self.made[name] = self.frames
            budget -= cost
            self.credit -= cost
        self.credit = min(self.credit, FRAME + max(self.costs.values(), default=0.0))
        self.counted = time.thread_time()
        return found
