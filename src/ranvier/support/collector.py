"""Python's cyclic garbage collector, which is paused while many objects are made that all stay alive."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_collector() -> Iterator[None]:
    """No cyclic garbage is collected meanwhile.

    A graph is thousands of small objects, and while it is built and compiled a collection finds nothing: it would walk
    over all of them and over every object of the libraries that are loaded, ten milliseconds at a time. The collection
    that is due afterwards would do the same, so all objects count as old ones then, which are walked over seldom.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():  # the program froze none itself, which would not stay frozen
            gc.freeze()
            gc.unfreeze()  # into the oldest generation
        gc.enable()
