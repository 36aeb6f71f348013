"""Small data sets of two features between -1 and 1, drawn by their seed: classes, or numbers to predict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Points = tuple[Array, Array]


def circles(count: int, noise: float, rng: np.random.Generator) -> Points:
    """A disc within a ring."""
    y = np.arange(count) % 2
    radius = np.where(y == 1, rng.uniform(0, 0.42, count), rng.uniform(0.62, 0.95, count))
    return polar(radius, rng.uniform(0, 2 * np.pi, count)) + spread(count, noise, rng), y


def xor(count: int, noise: float, rng: np.random.Generator) -> Points:
    """Opposite quarters of a square share a class."""
    x = rng.uniform(0.06, 0.92, (count, 2)) * rng.choice([-1.0, 1.0], (count, 2))
    return x + spread(count, noise, rng), (x[:, 0] * x[:, 1] > 0).astype(int)


def moons(count: int, noise: float, rng: np.random.Generator) -> Points:
    """Two half circles that reach into each other."""
    y, angle = np.arange(count) % 2, rng.uniform(0, np.pi, count)
    upper = np.stack([np.cos(angle) - 0.5, np.sin(angle) - 0.25], 1)
    x = np.where(y[:, None] == 0, upper, -upper) * 0.62
    return x + spread(count, noise, rng), y


def spirals(count: int, noise: float, rng: np.random.Generator) -> Points:
    """Two arms that turn around each other."""
    y, along = np.arange(count) % 2, np.sqrt(rng.uniform(0.005, 1, count))
    return polar(0.95 * along, 1.75 * 2 * np.pi * along + np.pi * y) + spread(count, noise, rng), y


def gaussians(count: int, noise: float, rng: np.random.Generator) -> Points:
    """Three clouds."""
    y = np.arange(count) % 3
    centers = polar(np.full(3, 0.55), np.array([0.5, 2.6, 4.7]))
    return centers[y] + rng.normal(0, 0.14, (count, 2)) + spread(count, noise, rng), y


def plane(count: int, noise: float, rng: np.random.Generator) -> Points:
    """A number that rises along the diagonal."""
    x = rng.uniform(-1, 1, (count, 2))
    return x, (x.sum(1) / 2 + rng.normal(0, 1, count) * noise).astype(np.float32)


def hills(count: int, noise: float, rng: np.random.Generator) -> Points:
    """A number with a hill and a valley."""
    x = rng.uniform(-1, 1, (count, 2))
    up, down = (np.exp(-((x - center) ** 2).sum(1) / 0.18) for center in (np.array([0.4, 0.4]), np.array([-0.4, -0.3])))
    return x, (up - down + rng.normal(0, 1, count) * noise).astype(np.float32)


def polar(radius: Array, angle: Array) -> Array:
    """Points by their distance and direction."""
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)


def spread(count: int, noise: float, rng: np.random.Generator) -> Array:
    """What noise adds to each point."""
    return rng.normal(0, 1, (count, 2)) * noise


TOYS: dict[str, Callable[[int, float, np.random.Generator], Points]] = {
    "circles": circles, "xor": xor, "moons": moons, "spirals": spirals, "gaussians": gaussians,
    "plane": plane, "hills": hills,
}  # fmt: skip
OF_NUMBERS = ("plane", "hills")
