"""Distributions for random search: `uniform`, `log_uniform`, `integers`, `choice`, or frozen ones of scipy.stats."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.search.variants import SettingSet
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.source_lines import warn

# The search for new points ends after so many repeated draws in a row, for each point that is known.
PATIENCE = 100


@dataclass(frozen=True)
class Distribution(CheckedConstructor):
    """A distribution of one setting. ``draw`` returns a value from a generator. ``text`` is its source text.

    ``kind`` is the name of the function that made it, and ``values`` are its bounds or choices.
    """

    text: str
    draw: Callable[[np.random.Generator], Any]
    kind: str = ""
    values: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        return self.text


def _bounds(name: str, low: float, high: float, least: float = -math.inf) -> str:
    numbers = all(isinstance(v, (int, float, np.number)) for v in (low, high))
    if not (numbers and math.isfinite(low) and math.isfinite(high) and least < low < high):
        more = f" above {least:g}" if math.isfinite(least) else ""
        raise ValueError(f"{name}({low!r}, {high!r}): write two numbers{more}, the lower first, instead.")
    return f"{name}({low!r}, {high!r})"


def uniform(low: float, high: float) -> Distribution:
    """Numbers from ``low`` to ``high``, all equally likely."""
    return Distribution(_bounds("uniform", low, high), lambda g: float(g.uniform(low, high)), "uniform", (low, high))


def log_uniform(low: float, high: float) -> Distribution:
    """Positive numbers whose logarithm is uniform: 1e-4 to 1e-3 is as likely as 1e-3 to 1e-2. For learning rates."""
    text = _bounds("log_uniform", low, high, 0.0)
    start, end = math.log(low), math.log(high)
    return Distribution(
        text, lambda g: min(max(math.exp(g.uniform(start, end)), low), high), "log_uniform", (low, high)
    )


def integers(low: int, high: int) -> Distribution:
    """Integers from ``low`` to ``high``, both included. For numbers of units."""
    text = _bounds("integers", low, high)
    if int(low) != low or int(high) != high:
        raise ValueError(f"{text}: write two whole numbers, or uniform({low!r}, {high!r}), instead.")
    return Distribution(text, lambda g: int(g.integers(int(low), int(high), endpoint=True)), "integers", (low, high))


def choice(values: Sequence[Any]) -> Distribution:
    """One of ``values``, all equally likely. A list in a search space means the same."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"choice({values!r}): write a list of values, choice([{values!r}]), instead.")
    options = list(values)
    if not options:
        raise ValueError("choice([]): write at least one value instead.")
    return Distribution(
        f"choice({options!r})", lambda g: options[int(g.integers(len(options)))], "choice", tuple(options)
    )


def _drawn(name: str, given: Any, generator: np.random.Generator) -> Any:
    if isinstance(given, Distribution):
        return given.draw(generator)
    if hasattr(given, "rvs"):  # scipy.stats
        value = given.rvs(random_state=generator)
        return value.item() if isinstance(value, (np.generic, np.ndarray)) else value
    if isinstance(given, (list, tuple, range, np.ndarray)) and len(given):
        value = given[int(generator.integers(len(given)))]
        return value.item() if isinstance(value, np.generic) else value
    raise TypeError(
        f"space[{name!r}] is {given!r}. Write a list of values, rv.search.uniform(low, high), log_uniform, "
        "integers, or a distribution of scipy.stats instead."
    )


def draw_points(space: Mapping[str, Any], n: int, seed: int) -> list[dict[str, Any]]:
    """Draw ``n`` different settings from ``space``: the beginning of a sequence that depends only on ``seed``.

    A search for more points therefore starts with those of a shorter one. Where the space has fewer points, it warns
    and returns all of them. Raises TypeError for an invalid distribution.
    """
    if not isinstance(space, Mapping):
        raise TypeError(
            f"a space is a dict, not {space!r}. Write {{'learning_rate': log_uniform(1e-4, 1e-1)}} instead."
        )
    generator = np.random.Generator(np.random.Philox(seed))
    points: list[dict[str, Any]] = []
    known, repeats = SettingSet(), 0
    while len(points) < n and repeats < PATIENCE * (1 + len(points)):
        point = {name: _drawn(name, given, generator) for name, given in space.items()}
        if known.adds(point):  # a repeated point would train the same models again
            points.append(point)
            repeats = 0
        else:
            repeats += 1
    if len(points) < n:
        warn(
            f"the space has no more than {len(points)} settings, and n={n}: each is tried once. Write n={len(points)}, "
            "or grid_search, instead."
        )
    return points
