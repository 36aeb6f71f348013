"""Passes over a source of batches: the batches of each epoch, and how a backup returns to its position."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from ranvier.data.batches import by_number, check_source, in_order, name_of, notify, number_of
from ranvier.support.source_lines import warn
from ranvier.tensor import rng

END = object()


def hooked(source: Any) -> bool:
    """Whether a data set overrides a method that is called between epochs; empty ones of a base class do not count."""
    packages = ("ranvier", "keras", "tensorflow")
    methods = (getattr(type(source), event, None) for event in ("on_epoch_begin", "on_epoch_end"))
    return by_number(source) and any(
        method is not None and str(getattr(method, "__module__", "")).split(".")[0] not in packages
        for method in methods
    )


class Passes:
    """The batches of a source, epoch after epoch, as one iterator that ends where a pass does.

    An iterator continues from epoch to epoch; after `rewind` it begins with its first ``repeated`` batches again. A
    source that can be read again is read once in each epoch; with ``steps`` an epoch continues where the last one
    stopped, and begins a new pass where that was the end of one. ``shuffler`` draws the order of batches that are read
    by number. ``taken`` returns how many batches have been trained on.
    """

    def __init__(
        self,
        source: Any,
        steps: int | None = None,
        shuffler: np.random.Generator | None = None,
        taken: Callable[[], int] | None = None,
        repeated: int = 0,
    ) -> None:
        check_source(source, name_of(source))
        self.source, self.steps, self.shuffler = source, steps, shuffler
        self.__name__ = name_of(source)  # its name in errors
        self.once = hasattr(source, "__next__")
        self.generators = [*rng.generators_of(source), *([] if shuffler is None else [shuffler])]
        # A source whose state is unknown is read again from its beginning.
        self.replayed = self.once or hooked(source)
        self.begun = rng.get_state(*self.generators) if self.replayed else None
        self.repeated = repeated
        self.first: list[Any] = []  # those batches, and how many of them came since `rewind`
        self.place = self.rewound = 0
        self.count = 0  # batches that were read
        self.since = 0  # of this epoch
        self.settled = 0  # batches whose results are known
        self.taken = taken or (lambda: self.settled)
        # Passes of which not all batches are trained on: the number of batches before, and the random state then.
        self.starts: deque[tuple[int, Mapping[str, Any]]] = deque()
        self.current: Iterator[Any] | None = None
        self.epochs = 0  # that have begun
        self.ended = False  # whether on_epoch_end of the source has been called for this epoch
        self.pending: Mapping[str, Any] | None = None  # the position to return to

    # --- reading --------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self.place < len(self.first):
            self.place += 1
            return self.first[self.place - 1]
        if self.once:
            item = next(self.source, END)
            if item is END:
                if self.rewound > 1 and self.steps is None:
                    warn(
                        f"{self.__name__} has ended, and each further validation is on its first {len(self.first)} "
                        "batches, as in Keras. Write arrays, a loader, or a generator that does not end, instead.",
                        key=f"{self.__name__} has ended",
                    )
                raise StopIteration
            if len(self.first) < self.repeated:
                self.first.append(item)
                self.place += 1
        else:
            item = next(self.begin_pass() if self.current is None else self.current, END)
            if item is END and self.steps is not None and not self.since:
                item = next(self.begin_pass(), END)
            if item is END:
                self.current = None
                raise StopIteration
        self.count, self.since = self.count + 1, self.since + 1
        return item

    def rewind(self) -> None:
        """Begin with the first batches again, of an iterator."""
        self.place, self.rewound = 0, self.rewound + 1

    def begin_pass(self) -> Iterator[Any]:
        if not self.replayed:
            self.forget()
            self.starts.append((self.count, rng.get_state(*self.generators)))
        order, number = None, number_of(self.source)
        if self.shuffler is not None and number is not None:
            order = rng.shuffled(np.arange(number, dtype=np.int32), self.shuffler).tolist()
        self.current = in_order(self.source, order)
        return self.current

    def forget(self) -> None:
        """Drop the starts of passes that are over."""
        while len(self.starts) > 1 and self.starts[1][0] <= self.taken():
            self.starts.popleft()

    def begin(self) -> None:
        """An epoch begins."""
        self.epochs, self.ended, self.since = self.epochs + 1, False, 0
        if self.steps is None:
            self.current = None
        notify(self.source, "on_epoch_begin")

    def end(self) -> None:
        """It has ended, with all its batches."""
        if not self.ended:
            self.ended = True
            notify(self.source, "on_epoch_end")

    # --- what a backup keeps --------------------------------------------------------------------------------------

    def state(self, done: int) -> Any:
        """How to reach the next batch: the random state at the start of a pass, and the batches to read from there.

        ``done`` batches of this epoch have been trained on.
        """
        if self.pending is not None:
            return self.pending
        now, taken = rng.get_state(*self.generators), self.taken()
        place = {"random": now, "now": now, "skip": 0, "epochs": 0, "ended": False}
        self.forget()
        if self.once:
            place |= {"random": self.begun, "skip": taken}
        elif self.replayed:
            epochs = self.epochs - (done > 0)
            place |= {"random": self.begun, "skip": done, "epochs": epochs, "ended": self.ended and done > 0}
        elif self.starts and (done or self.steps is not None):
            start, begun = self.starts[0]
            place |= {"random": begun, "skip": taken - start}
        return place

    def set_state(self, state: Mapping[str, Any], epoch: int) -> None:
        """Restore what `state` returned in epoch ``epoch``. Raises ValueError for a position that is not before it."""
        place = {**state, **{name: int(state[name]) for name in ("skip", "epochs")}}
        if min(place["skip"], place["epochs"]) < 0 or place["epochs"] > epoch:
            raise ValueError(
                f"{place['epochs']} epochs and {place['skip']} batches are not a position in epoch {epoch}"
            )
        for random in (state["random"], state["now"]):  # a state that is not valid raises before anything is read
            rng.set_state(random, *self.generators)
        self.settled = place["skip"]
        self.pending = place

    def seek(self) -> None:
        """Read up to the position of a backup."""
        if self.pending is None:
            return
        place, self.pending = self.pending, None
        here = rng.get_state(*self.generators)
        rng.set_state(place["random"], *self.generators)
        self.begun = place["random"] if self.replayed else None
        skip, self.current = place["skip"], None
        for _ in range(place["epochs"]):
            self.begin()
            self.read(self.steps)
            self.end()
        self.count = self.taken() - skip
        if skip and self.replayed and not self.once:
            self.begin()
        self.read(skip)
        if place["ended"]:
            self.end()
        rng.set_state(here, *self.generators)

    def read(self, batches: int | None) -> None:
        for _ in islice(self, batches):
            pass
