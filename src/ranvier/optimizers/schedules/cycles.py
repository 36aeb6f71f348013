"""Schedules that also rise: warm-up before any other, cosines with restarts, and one cycle."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from ranvier.ops import arrays as rn
from ranvier.optimizers.schedules.base import REGISTRY, Settings, get, look_up, named, passed
from ranvier.optimizers.schedules.decays import cosine
from ranvier.tensor.tensor import Tensor

COUNTED = 2.0**32  # steps, after which the count wraps
LONGEST = 1 << 16  # the most rows of a table in a program


@REGISTRY.register
@dataclass(frozen=True, repr=False)
class WarmUp(Settings):
    """A line from ``start`` to the first rate of ``schedule`` over ``steps``, then that schedule from its beginning.

    ``schedule`` may be a number too. (Goyal et al., 2017.)
    """

    schedule: Any
    steps: float
    start: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "schedule", get(self.schedule))

    def rate(self, step: Tensor) -> Any:
        after = self.schedule(rn.maximum(step - self.steps, 0.0))  # its first rate until the line ends
        line = (after - self.start) * (step / self.steps) + self.start
        return rn.where(step < self.steps, line, after)


@REGISTRY.register
@dataclass(frozen=True, repr=False)
class CosineDecayRestarts(Settings):
    """Half cosines, each ``t_mul`` times as long and ``m_mul`` times as high as the one before (SGDR, 2016).

    The first takes ``first_decay_steps``; each ends at ``alpha`` times the initial rate. The formula is Keras 3's, with
    restarts at exactly the steps it means: they are looked up in a table, not computed by logarithms.
    """

    initial_learning_rate: float
    first_decay_steps: float
    t_mul: float = 2.0
    m_mul: float = 1.0
    alpha: float = 0.0
    name: str = named("SGDRDecay")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.t_mul > 1 and len(self.stretches()) > LONGEST:
            raise ValueError(
                f"CosineDecayRestarts({self.initial_learning_rate:g}, {self.first_decay_steps:g}, t_mul={self.t_mul}) "
                f"restarts more than {LONGEST:,} times. Write t_mul=1.0, or more first_decay_steps, instead."
            )

    def stretches(self) -> list[tuple[float, float, float]]:
        """First step, length and height of each cosine, up to the last step that is counted."""
        found: list[tuple[float, float, float]] = []
        start, length, height = 0.0, self.first_decay_steps, 1.0
        while start < COUNTED and len(found) <= LONGEST:
            found.append((start, length, height))
            start, length, height = start + length, length * self.t_mul, height * self.m_mul
        return found

    def rate(self, step: Tensor) -> Any:
        if self.t_mul == 1:
            number = rn.floor(step / self.first_decay_steps)
            done = (step - number * self.first_decay_steps) / self.first_decay_steps  # keeps the digits of late steps
            return cosine(self.initial_learning_rate, done, self.alpha, rn.power(self.m_mul, number))
        starts, lengths, heights = zip(*self.stretches(), strict=True)
        number = passed(starts[1:], step, rn.less_equal)
        done = (step - look_up(starts, number)) / look_up(lengths, number)
        return cosine(self.initial_learning_rate, done, self.alpha, look_up(heights, number))


@REGISTRY.register
@dataclass(frozen=True, repr=False)
class OneCycle(Settings):
    """One rise and one fall over ``total_steps``, then constant (Smith and Topin, 2017), by PyTorch's formula.

    The rate starts at ``max_learning_rate / div_factor``, peaks after the fraction ``pct_start`` of the steps, and ends
    at the first rate over ``final_div_factor``. ``three_phase`` falls to the first rate in as many steps as it rose,
    then to the last. ``anneal_strategy`` is "cos" or "linear". Raises ValueError for a phase without steps.
    """

    max_learning_rate: float
    total_steps: float
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    _: KW_ONLY
    three_phase: bool = False

    choices: ClassVar[dict[str, tuple[str, ...]]] = {"anneal_strategy": ("cos", "linear")}

    def __post_init__(self) -> None:
        super().__post_init__()
        ends = phase_ends(self.total_steps, self.pct_start, self.three_phase)
        if any(end <= begin for begin, end in zip([0.0, *ends], ends, strict=False)):
            raise ValueError(
                f"OneCycle({self.max_learning_rate:g}, {self.total_steps:g}, pct_start={self.pct_start:g}) has a phase "
                f"without steps: its phases would end at steps {', '.join(f'{e:g}' for e in ends)}. Write more steps, "
                "or another pct_start, instead."
            )

    def rate(self, step: Tensor) -> Any:
        ends = phase_ends(self.total_steps, self.pct_start, self.three_phase)
        top, first = self.max_learning_rate, self.max_learning_rate / self.div_factor
        rates = [first, top, *([first] if self.three_phase else []), first / self.final_div_factor]
        step = rn.minimum(step, ends[-1])
        result = None
        for i, (begin, end) in enumerate(zip([0.0, *ends], ends, strict=False)):
            done = (step - begin) / (end - begin)
            part = anneal(self.anneal_strategy, rates[i], rates[i + 1], done, rn.cos)
            result = part if i == 0 else rn.where(step <= begin, result, part)
        return result


def phase_ends(total_steps: float, pct_start: float, three_phase: bool) -> list[float]:
    """The steps at which the phases of one cycle end."""
    rise = pct_start * total_steps
    return [rise - 1, *([2 * rise - 2] if three_phase else []), total_steps - 1.0]


def anneal(strategy: str, start: float, end: float, done: Any, cos: Callable[[Any], Any]) -> Any:
    """From ``start`` to ``end`` as ``done`` goes from 0 to 1: half a cosine ("cos"), or a line ("linear")."""
    if strategy == "cos":
        return end + (start - end) / 2.0 * (cos(math.pi * done) + 1.0)
    return (end - start) * done + start
