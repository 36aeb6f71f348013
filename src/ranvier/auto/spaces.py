"""The settings that are tried, of each kind of data: a linear network, then some that are known to be good, then random
ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

FITTED = ("batch", "epochs", "cycle")  # settings that are not of the network

Draw = Callable[[np.random.Generator], Any]


@dataclass(frozen=True)
class Space:
    """``linear`` is a linear network, or None. ``base`` are settings, of which each of ``first`` changes
    some, and each of ``drawn`` one. ``rates`` are the learning rates that are compared first, and ``batch`` is the
    largest batch. Where the setting "cycle" is a number of epochs, the rate rises and falls once in them. ``networks``
    change ``base`` where another network is asked for. ``again`` is whether networks are trained again on all rows,
    where those are few.
    """

    linear: dict[str, Any] | None
    base: dict[str, Any]
    first: tuple[dict[str, Any], ...]
    drawn: dict[str, Draw] = field(default_factory=dict)
    rates: tuple[float, ...] = ()
    batch: int = 512
    networks: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    again: bool = False

    def candidates(
        self, seed: int, fixed: Mapping[str, Any], rate: float | None
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Settings without end, with their numbers. That of the linear network is 0."""
        if self.linear is not None:
            yield 0, dict(self.linear)
        base = {**self.base, **({} if rate is None else {"rate": rate})}
        seen: list[dict[str, Any]] = []
        number = 0
        for change in self.first:
            settings = self.settings(base, change, fixed)
            if settings not in seen:
                seen.append(settings)
                number += 1
                yield number, settings
        rng = np.random.Generator(np.random.Philox(seed))
        while True:
            made = {name: draw(rng) for name, draw in self.drawn.items()}
            factor = 10 ** rng.uniform(-0.6, 0.4)
            number += 1
            settings = self.settings(base, made, fixed)
            if "rate" not in fixed:
                settings["rate"] = float(np.round(settings["rate"] * factor, 6))
            yield number, settings

    def settings(self, base: Mapping[str, Any], change: Mapping[str, Any], fixed: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of one candidate."""
        network = {**base, **change, **fixed}["network"]
        return {**base, **self.networks.get(network, {}), **change, **fixed}


def _of(*values: Any) -> Draw:
    return lambda rng: values[int(rng.integers(len(values)))]


def _decay(rng: np.random.Generator) -> float:
    return float(np.round(10 ** rng.uniform(-3, 0), 6))


TABLES = Space(
    linear={"network": "linear", "view": "standard", "rate": 0.01, "decay": 1e-3},
    base={
        "network": "mlp", "view": "pieces", "width": 128, "depth": 2, "dropout": 0.1, "rate": 2e-3, "decay": 1e-2,
        "smoothing": 0.0, "cycle": 0,
    },
    first=(
        {},
        {"view": "standard", "rate": 5e-3, "cycle": 60},
        {"view": "standard", "depth": 1, "dropout": 0.0, "rate": 1e-3, "decay": 1e-4, "cycle": 200},  # the plainest one
        {"width": 256, "dropout": 0.3, "decay": 0.1},
        {"view": "quantile", "rate": 5e-3, "cycle": 60, "dropout": 0.2},
        {"rate": 5e-3, "cycle": 60, "dropout": 0.2, "smoothing": 0.05},
        {"view": "standard", "width": 256, "dropout": 0.3, "rate": 5e-3, "cycle": 120},
        {"width": 64, "depth": 1, "dropout": 0.0},
    ),
    drawn={
        "view": _of("standard", "quantile", "pieces"), "width": _of(64, 128, 256, 512), "depth": _of(1, 2, 3),
        "dropout": _of(0.0, 0.1, 0.2, 0.3, 0.5), "decay": _decay, "smoothing": _of(0.0, 0.0, 0.05),
        "cycle": _of(0, 30, 60, 120),
    },
    rates=(5e-4, 1e-3, 2e-3, 5e-3),
    again=True,
)  # fmt: skip
IMAGES = Space(
    linear={"network": "linear", "rate": 1e-3, "decay": 1e-3},
    base={
        "network": "vgg_small", "width": 32, "depth": 1, "dropout": 0.3, "rate": 6e-3, "decay": 1e-2,
        "smoothing": 0.05, "mirror": True, "cycle": 60,
    },
    first=(
        {},
        {"mirror": False},
        {"width": 48, "dropout": 0.4},
        {"network": "cnn", "mirror": False},
    ),
    drawn={
        "width": _of(24, 32, 48), "depth": _of(1, 1, 2), "dropout": _of(0.2, 0.3, 0.4, 0.5), "decay": _decay,
        "mirror": _of(False, True),
    },
    batch=128,
    networks={
        "cnn": {"rate": 3e-3, "dropout": 0.5},
        "mlp": {"rate": 2e-3, "width": 256, "depth": 2},
        "lenet5": {"rate": 2e-3},
        "resnet": {"rate": 3e-3},
    },
)  # fmt: skip
SOUNDS = Space(
    linear=None,
    base={"network": "speech", "dropout": 0.3, "rate": 1e-3, "decay": 1e-2, "smoothing": 0.0},
    first=({}, {"dropout": 0.5}, {"rate": 3e-3}),
    drawn={"dropout": _of(0.2, 0.3, 0.5), "decay": _decay},
    batch=32,
)
OWN = Space(
    linear=None,
    base={"network": "own", "rate": 1e-3, "decay": 1e-2, "smoothing": 0.0},
    first=({}, {"rate": 3e-3}, {"rate": 3e-4}),
    drawn={"decay": _decay, "smoothing": _of(0.0, 0.0, 0.05)},
    again=True,
)
SPACES = {"table": TABLES, "image": IMAGES, "sound": SOUNDS, "own": OWN}
