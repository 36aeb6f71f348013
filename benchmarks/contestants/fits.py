"""Complete fits of scikit-learn estimators: the time of a fit, and the held-out accuracy."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from benchmarks.contestants import Job

Array = NDArray[Any]
SEEDS = 16  # whose mean accuracy is reported


def fits(
    make: Callable[[int], Any], x: Array, y: Array, limit: Callable[[], AbstractContextManager[Any]] = nullcontext,
    note: str = "",
) -> Job:  # fmt: skip
    """A job of `make(random_state).fit`: every fifth row is held out, and no two fits have the same seed."""
    held = np.arange(len(x)) % 5 == 4
    train, test = (x[~held], y[~held]), (x[held], y[held])
    seed = 0

    def fit() -> Any:
        nonlocal seed
        seed += 1
        with warnings.catch_warnings(), limit():
            warnings.simplefilter("ignore", ConvergenceWarning)  # max_iter is part of the job
            return make(seed).fit(*train)

    def begin(_: int) -> float:
        return float(np.mean([fit().score(*test) for _ in range(SEEDS)]))

    def run(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            fit()
        return time.perf_counter() - start

    return Job(begin, run, note)
