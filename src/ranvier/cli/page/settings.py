"""What a page chooses: data, network and training, read from JSON and held within limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ranvier.cli.page.toys import TOYS

ACTIVATIONS = ("relu", "tanh", "sigmoid", "linear", "leaky_relu", "elu", "gelu", "silu", "softplus")
KINDS = ("dense", "conv", "pool")
OPTIMIZERS = ("sgd", "momentum", "adam", "rmsprop", "adagrad")
LOSSES = {"classes": ("crossentropy", "mse"), "number": ("mse", "mae", "huber")}
PENALTIES = ("none", "l1", "l2")
DATA = (*TOYS, "points", "digits", "given", "table")
MOST = {"layers": 8, "units": 128, "points": 2000, "classes": 6}


class SettingError(ValueError):
    """A setting that does not fit; the page shows the message."""


@dataclass(frozen=True)
class LayerChoice:
    """A hidden layer: its kind, its units (filters of a convolution) and its activation."""

    kind: str
    units: int
    activation: str


@dataclass(frozen=True)
class Settings:
    """All choices of a page. ``placed`` are points set by hand: (x, y, class), coordinates from -1 to 1.

    ``output`` is the number of the output that is shown, of a model of several.
    """

    data: str = "circles"
    count: int = 300
    noise: float = 0.05
    test: float = 0.3
    target: str = ""
    placed: tuple[tuple[float, float, int], ...] = ()
    layers: tuple[LayerChoice, ...] = field(
        default_factory=lambda: (LayerChoice("dense", 4, "tanh"), LayerChoice("dense", 3, "tanh"))
    )
    loss: str = ""
    optimizer: str = "adam"
    rate: float = 0.01
    penalty: str = "none"
    penalty_rate: float = 0.001
    dropout: float = 0.0
    batch: int = 16
    seed: int = 0
    output: int = 0

    @classmethod
    def of(cls, given: Any) -> Settings:
        """The settings in a page's message; what is left out is usual. Raises SettingError naming what is wrong."""
        if not isinstance(given, dict):
            raise SettingError("settings are an object with a value for each name.")
        known = cls()
        layers = given.get("layers", None)
        return cls(
            data=one_of("data", given.get("data", known.data), DATA),
            count=whole("count", given.get("count", known.count), 10, MOST["points"]),
            noise=number("noise", given.get("noise", known.noise), 0, 0.5),
            test=number("test", given.get("test", known.test), 0.1, 0.9),
            target=str(given.get("target", ""))[:200],
            placed=points(given.get("placed", ())),
            layers=known.layers if layers is None else chosen_layers(layers),
            loss=one_of("loss", given.get("loss", ""), ("", *LOSSES["classes"], *LOSSES["number"])),
            optimizer=one_of("optimizer", given.get("optimizer", known.optimizer), OPTIMIZERS),
            rate=number("rate", given.get("rate", known.rate), 0, 10),
            penalty=one_of("penalty", given.get("penalty", known.penalty), PENALTIES),
            penalty_rate=number("penalty_rate", given.get("penalty_rate", known.penalty_rate), 0, 10),
            dropout=number("dropout", given.get("dropout", known.dropout), 0, 0.9),
            batch=whole("batch", given.get("batch", known.batch), 1, 1024),
            seed=whole("seed", given.get("seed", known.seed), 0, 2**31 - 1),
            output=whole("output", given.get("output", known.output), 0, 999),
        )


def one_of(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """One of some words."""
    if not isinstance(value, str) or value not in choices:
        raise SettingError(f"{name}={value!r}: write one of {', '.join(filter(None, choices))}.")
    return value


def some_of(name: str, values: Any, choices: tuple[str, ...]) -> tuple[str, ...]:
    """A list of some words."""
    if not isinstance(values, list) or len(values) > len(choices):
        raise SettingError(f"{name}: write a list of {', '.join(choices)}.")
    return tuple(one_of(name, value, choices) for value in values)


def number(name: str, value: Any, low: float, high: float) -> float:
    """A number within limits."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise SettingError(f"{name}={value!r}: write a number from {low:g} to {high:g}.")
    return float(value)


def whole(name: str, value: Any, low: int, high: int) -> int:
    """A whole number within limits."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SettingError(f"{name}={value!r}: write a whole number from {low} to {high}.")
    return value


def chosen_layers(given: Any) -> tuple[LayerChoice, ...]:
    """The hidden layers of a message."""
    if not isinstance(given, list) or len(given) > MOST["layers"] or not all(isinstance(g, dict) for g in given):
        raise SettingError(f"layers: write a list of at most {MOST['layers']} layers.")
    return tuple(
        LayerChoice(
            one_of("kind", g.get("kind", "dense"), KINDS),
            whole("units", g.get("units", 4), 1, MOST["units"]),
            one_of("activation", g.get("activation", "relu"), ACTIVATIONS),
        )
        for g in given
    )


def points(given: Any) -> tuple[tuple[float, float, int], ...]:
    """Points that were set by hand."""
    if not isinstance(given, (list, tuple)) or len(given) > MOST["points"]:
        raise SettingError(f"placed: write a list of at most {MOST['points']} points.")
    found = []
    for point in given:
        if not isinstance(point, (list, tuple)) or len(point) != 3:
            raise SettingError("placed: a point is [x, y, class].")
        x, y = (number("a coordinate", c, -1.5, 1.5) for c in point[:2])
        found.append((x, y, whole("a class", point[2], 0, MOST["classes"] - 1)))
    return tuple(found)
