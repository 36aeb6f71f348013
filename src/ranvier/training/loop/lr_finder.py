"""A learning rate from a short trial: the range test of Smith (2017)."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.module import Module
from ranvier.module.calls import in_model_dtype
from ranvier.optimizers.schedules import ExponentialDecay
from ranvier.support.validation import whole
from ranvier.tensor import rng
from ranvier.tensor.context import get_dtype
from ranvier.tensor.tensor import Tensor
from ranvier.training.adapters.arrays import to_data
from ranvier.training.adapters.generators import Batches, is_source
from ranvier.training.loop.progress import progress_of
from ranvier.training.step.argument_types import ClassWeight, Verbosity
from ranvier.training.step.arrays import Data
from ranvier.training.step.builder import Step
from ranvier.training.step.compiled import Compiled, compiled
from ranvier.training.step.runner import Runner
from ranvier.training.step.step import step_for

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.pictures.style import Target

MEMORY = 0.9  # decay of the smoothed loss: an average over about ten steps
FALL = 0.1  # a total fall of less than this fraction of the first loss is noise
BEGUN = 0.1  # the fraction of the total fall after which the loss is taken to fall, and not to vary by chance
EARLY = 20  # steps that give the loss before anything is learned, a quarter of all steps at most
LASTING = 3  # losses in a row that must be too high: one loss of a small batch may be high by chance


@dataclass(frozen=True, eq=False, repr=False)
class RangeTest:
    """The result of `find_learning_rate`: ``rates``, the loss of one step at each, and whether it ``diverged``.

    ``smoothed`` is the loss as a curve, ``suggestion`` the rate to train with; ``plot()`` draws both.
    """

    rates: Array
    losses: Array
    diverged: bool
    asked: int | None = None  # steps, where the batches may have ended before

    @property
    def smoothed(self) -> Array:
        """The losses, averaged over their neighbours on both sides, so that the curve has no delay.

        They are clipped as far above the first loss as the lowest is below it: greater values add no information.
        """
        finite = self.losses[np.isfinite(self.losses)]
        if not len(finite):
            return finite
        first = float(np.median(finite[:10]))
        cut = np.minimum(finite, first + abs(first - float(finite.min())))
        return average(average(cut)[::-1])[::-1]

    @property
    def steepest(self) -> int | None:
        """The step at which the smoothed loss falls fastest on its last way to the minimum; None if it never falls.

        The ends of the curve are averaged over one side only, so noise in the first steps may be steeper than a fall.
        """
        curve = self.smoothed
        lowest = int(np.argmin(curve)) if len(curve) else 0
        if lowest < 2:
            return None
        level = float(np.median(curve[: max(10, lowest // 2)]))  # at rates too small to learn anything
        fall = level - curve[lowest]
        if fall < FALL * abs(level):
            return None
        begin = int(np.flatnonzero(curve[: lowest + 1] >= level - BEGUN * fall)[-1])
        slopes = np.gradient(curve[: lowest + 1])  # by steps, which are equal in the logarithm of the rate
        return begin + int(np.argmin(slopes[begin:]))

    @property
    def suggestion(self) -> float:
        """The rate at which the loss falls fastest: a constant rate to begin with, or the maximum of a schedule.

        Raises ValueError if the loss fell at no rate.
        """
        at = self.steepest
        if at is None:
            low, high = float(self.rates[0]), float(self.rates[-1])
            if self.asked is not None and not self.diverged and len(self.rates) < self.asked:
                raise ValueError(
                    f"the batches ended after {len(self.rates)} of {self.asked} steps, at the rate {high:.2g}, where "
                    f"the loss had not fallen. Write a generator of {self.asked} batches, a loader, which is read "
                    "again, or fewer steps, instead."
                )
            raise ValueError(
                f"the loss fell at no rate from {low:.2g} to {high:.2g}, so there is no suggestion. See plot(); then "
                "write a smaller start, a larger batch_size, or scaled inputs, instead."
            )
        return float(self.rates[at])

    def __repr__(self) -> str:
        at = self.steepest
        found = "no suggestion" if at is None else f"suggestion={self.rates[at]:.3g}"
        end = "diverged" if self.diverged else "ended"
        return f"RangeTest({len(self.rates)} steps, {end} at {self.rates[-1]:.3g}, {found})"

    def plot(self, path: Target = None) -> Figure:
        """Draw loss over rate, mark the suggestion, and write the picture to ``path`` if given.

        Returns the figure: see `ranvier.pictures.learning_rates`.
        """
        from ranvier.pictures import learning_rates

        return learning_rates(self, path)


def average(values: Array) -> Array:
    """The exponential moving average, without the bias of starting from 0."""
    result, total = np.empty(len(values)), 0.0
    for i, value in enumerate(values):
        total = MEMORY * total + (1.0 - MEMORY) * value
        result[i] = total / (1.0 - MEMORY ** (i + 1))
    return result


@in_model_dtype
def find_learning_rate(
    model: Module,
    x: Any = None,
    y: Any = None,
    *,
    start: float = 1e-6,
    stop: float = 10.0,
    steps: int = 200,
    batch_size: int | None = None,
    sample_weight: Any = None,
    class_weight: ClassWeight = None,
    divergence: float = 4.0,
    check_finite: bool = True,
    verbose: Verbosity = 0,
) -> RangeTest:
    """Train for some steps while the learning rate grows from ``start`` to ``stop``, to find where the loss falls.

    ``model`` is compiled; ``x`` and ``y`` are those of `fit`. Each step has its own rate, higher than the one before by
    the same factor. The test ends early when the loss stays above ``divergence`` times the minimum of its curve and
    above that of the first steps, or is not finite. It restores weights, optimizer state and random numbers to the last
    bit, and trains with a new optimizer of the same settings. ``verbose=1`` shows the progress.

    Raises as `fit` does for wrong data, and ValueError for rates that do not rise.
    """
    if not 0 < start < stop < math.inf:
        raise ValueError(
            f"find_learning_rate(start={start!r}, stop={stop!r}): write rates above 0 that rise, such as 1e-6 and "
            "10.0, instead."
        )
    if not divergence > 1:
        raise ValueError(f"find_learning_rate(divergence={divergence!r}): write a factor above 1 instead.")
    state = compiled(model, "find_learning_rate")
    steps = whole("steps", steps, 10)
    batch = whole("batch_size", 32 if batch_size is None else batch_size)
    schedule = ExponentialDecay(start, steps - 1, stop / start)
    curve, show = LossCurve(steps, divergence), progress_of(verbose)
    saved: dict[int, tuple[Tensor, Array]] = {}
    with state.exclusive():
        options: Any = {"class_weight": class_weight, "check_finite": check_finite}
        source = is_source(x)
        if not source:
            data = to_data(model, state, x, y, sample_weight, **options)
        trial = fresh(state, schedule)
        random = rng.get_state()
        try:
            show.begin("Learning rate", steps)
            if source:
                moments = streamed(model, trial, x, options)
            else:
                moments = drawn(model, trial, data, min(batch, len(data)), steps)
            runner, salt = None, np.asarray(rng.numpy_generator("fit").integers(2**32, dtype=np.uint32))
            for step, data, order, index in moments:
                if runner is None or runner.step is not step:
                    runner = Runner(step, (salt, np.zeros((), get_dtype())))
                    for tensor in step.written:
                        saved.setdefault(id(tensor), (tensor, np.array(tensor)))
                if index == 0 or runner.given is None:
                    runner.begin(data, order)
                step.reset()
                runner.run(index, index + 1)
                value, done = curve.add(float(step.totals[0] / step.totals[1])), len(curve.losses)
                show.update(done, done * step.batch, {"loss": value})
                if curve.diverged or done == steps:
                    break
            losses = curve.losses
            show.end(len(losses) * (step.batch if losses else 0), {"loss": losses[-1]} if losses else {})
        finally:
            show.close()
            for tensor, values in saved.values():
                tensor.assign(values)
            rng.set_state(random)
    if not losses:
        raise ValueError("there was no batch to train on. Write at least one instead.")
    return RangeTest(schedule(np.arange(len(losses))), np.asarray(losses), curve.diverged, steps)


class LossCurve:
    """The losses of a range test, their moving average, and whether it has diverged."""

    def __init__(self, steps: int, divergence: float) -> None:
        self.early, self.divergence = min(EARLY, steps // 4), divergence
        self.losses: list[float] = []
        self.diverged = False
        self.total, self.lowest, self.first = 0.0, math.inf, math.inf

    def add(self, loss: float) -> float:
        """Add the loss of a step; returns the moving average."""
        self.losses.append(loss)
        self.total = MEMORY * self.total + (1.0 - MEMORY) * loss
        value = self.total / (1.0 - MEMORY ** len(self.losses))
        self.diverged = not math.isfinite(value)
        if len(self.losses) == self.early:
            self.first = max(value, float(np.median(self.losses)))
        elif len(self.losses) > self.early:
            self.lowest = min(self.lowest, value)
            limit = max(self.first, self.lowest + (self.divergence - 1.0) * abs(self.lowest))
            self.diverged = not min(value, *self.losses[-LASTING:]) <= limit
        return value


def fresh(state: Compiled, schedule: ExponentialDecay) -> Compiled:
    """The same settings with a new optimizer."""
    trial = copy.copy(state)
    trial.optimizer = state.optimizer.fresh()
    trial.optimizer.learning_rate = schedule
    trial.programs = {}
    return trial


Moment = tuple[Step, Data, Array, int]  # a step, its data, the order of the rows, and the number of the batch


def drawn(model: Module, state: Compiled, data: Data, batch: int, steps: int) -> Iterator[Moment]:
    """Batches of shuffled rows, for as many passes as are needed."""
    step = step_for(model, state, data, batch, "train")
    rows, shuffler = data.numbers, rng.numpy_generator("shuffle")
    rounds = -(-steps * batch // len(rows))
    order = np.concatenate([rng.shuffled(rows, shuffler) for _ in range(rounds)])[: steps * batch]
    for index in range(steps):
        yield step, data, order, index


def streamed(model: Module, state: Compiled, source: Any, options: Any) -> Iterator[Moment]:
    """Batches as they come; a source that can be read again is read again."""
    step: Step | None = None
    while True:
        for data in Batches(model, state, source, None, **options):
            if step is None or len(data) > step.batch:
                step = step_for(model, state, data, len(data), "train")
            yield step, data, data.numbers, 0
        if step is None or iter(source) is source:
            return
