"""The data of a page: toy sets, points set by hand, digits, and what the command line or the page was given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.cli.page.settings import SettingError, Settings
from ranvier.cli.page.toys import OF_NUMBERS, TOYS
from ranvier.datasets import digits
from ranvier.support.tree import map_structure

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Target:
    """What one output of a model is trained on: class numbers, or numbers.

    ``end`` is the output's number, and ``column`` the number of its column where each column has a target of its own.
    ``logits`` says that an output of classes is no probability yet. ``scale`` turns predicted numbers into those of the
    file: (mean, deviation).
    """

    name: str
    task: str
    y: Array
    y_test: Array
    classes: tuple[str, ...] = ()
    scale: tuple[float, float] = (0.0, 1.0)
    logits: bool = False
    end: int = 0
    column: int | None = None


@dataclass(frozen=True, eq=False)
class Source:
    """Training and test data: inputs in float32, class numbers or numbers as targets.

    ``kind`` is "plane" (two features that can be drawn), "table", "images" (samples, height, width, channels) or
    "arrays" (sequences, texts, a list of arrays for several inputs, whose names ``features`` are); ``task`` is
    "classes" or "number". ``scale`` turns predicted numbers into those of the file: (mean, deviation). ``open_model``
    opens the model that the page was given, whose data these are; None where the settings choose one. ``invented``
    says that inputs are random, and targets what the model says of them. ``white`` is the value of a white pixel.

    ``targets`` are those of a model of several outputs; ``y``, ``task``, ``classes`` and ``scale`` are those of the
    output that is shown, whose number is ``output``. ``run`` is the folder of the training that the data are of.
    ``channels_first`` says that images are (samples, channels, height, width), as models of PyTorch take them.
    """

    kind: str
    task: str
    x: Any
    y: Array
    x_test: Any
    y_test: Array
    classes: tuple[str, ...] = ()
    features: tuple[str, ...] = ("x", "y")
    scale: tuple[float, float] = (0.0, 1.0)
    open_model: Callable[[], Any] | None = None
    invented: bool = False
    white: float = 1.0
    logits: bool = False
    targets: tuple[Target, ...] = ()
    output: int = 0
    run: Path | None = None
    channels_first: bool = False

    @property
    def every(self) -> tuple[Target, ...]:
        """The targets of all outputs."""
        whole = Target("", self.task, self.y, self.y_test, self.classes, self.scale, self.logits)
        return self.targets or (whole,)

    @property
    def target(self) -> Target:
        """The target of the output that is shown."""
        return self.every[self.output]

    def showing(self, output: int) -> Source:
        """The same data, with another output shown. Raises SettingError if there is none of this number."""
        if not self.targets and output == 0:
            return self
        if not 0 <= output < len(self.targets):
            raise SettingError(f"output={output!r}: write a whole number from 0 to {len(self.every) - 1}.")
        one = self.targets[output]
        return replace(
            self, task=one.task, y=one.y, y_test=one.y_test, classes=one.classes, scale=one.scale, logits=one.logits,
            output=output,
        )  # fmt: skip

    def pictures(self, x: Array) -> Array:
        """Images as (samples, height, width, channels), and those back as the model takes them: see `as_inputs`."""
        return np.moveaxis(x, 1, -1) if self.channels_first else x

    def as_inputs(self, pictures: Array) -> Array:
        """Images of (samples, height, width, channels) as the model takes them."""
        return np.ascontiguousarray(np.moveaxis(pictures, -1, 1)) if self.channels_first else pictures

    @property
    def parts(self) -> list[Array]:
        """The training inputs: an array, or several."""
        return self.x if isinstance(self.x, list) else [self.x]

    def in_units(self, y: Array) -> Array:
        """Targets or predictions in the units of the file; class numbers stay."""
        return y if self.task == "classes" else y * self.scale[1] + self.scale[0]


def load(settings: Settings, given: dict[str, Any]) -> Source:
    """The data that the settings choose. ``given`` has by name a function of the settings for other data.

    Raises SettingError where there is too little of it.
    """
    name = settings.data
    if name in TOYS:
        return toy(settings)
    if name == "points":
        return placed(settings)
    if name == "digits":
        return images(*digits.load_data(), digits.classes)
    if name not in given:
        raise SettingError("there are no such data yet. Choose a file first, or another data set.")
    found: Source = given[name](settings)
    return found.showing(min(settings.output, len(found.every) - 1))


def toy(settings: Settings) -> Source:
    """A toy set, divided at random by the seed."""
    rng = np.random.default_rng(settings.seed)
    x, y = TOYS[settings.data](settings.count, settings.noise, rng)
    task = "number" if settings.data in OF_NUMBERS else "classes"
    return divided("plane", task, x, y, settings, classes=tuple(map(str, np.unique(y))) if task == "classes" else ())


def placed(settings: Settings) -> Source:
    """Points set by hand; a part of each class is for the test."""
    if len(settings.placed) < 4 or len({p[2] for p in settings.placed}) < 2:
        raise SettingError("set at least four points, of two classes.")
    array = np.array(settings.placed)
    classes, y = np.unique(array[:, 2].astype(int), return_inverse=True)
    return divided("plane", "classes", array[:, :2], y, settings, classes=tuple(map(str, classes)))


def divided(kind: str, task: str, x: Any, y: Array, settings: Settings, **rest: Any) -> Source:
    """Rows for training and for the test, at random by the seed; at least one of each."""
    train, test = parts(len(y), settings)
    y = y.astype(np.int64 if task == "classes" else np.float32)
    x = map_structure(x, np.ndarray, lambda part: part.astype(np.float32) if part.dtype == np.float64 else part)
    return Source(kind, task, some(x, train), y[train], some(x, test), y[test], **rest)


def parts(count: int, settings: Settings) -> tuple[Array, Array]:
    """The rows for training and those for the test, at random by the seed; at least one of each."""
    order = np.random.default_rng(settings.seed + 1).permutation(count)
    held = min(count - 1, max(1, round(settings.test * count)))
    return order[held:], order[:held]


def some(x: Any, rows: Any) -> Any:
    """Some rows of an array, or of each of several."""
    return map_structure(x, np.ndarray, lambda part: part[rows])


def images(train: tuple[Array, Array], test: tuple[Array, Array], classes: Any) -> Source:
    """Images of classes, scaled to 0 to 1 and with a dimension for the channels."""
    brightest = float(max(train[0].max(), 1))

    def scaled(x: Array) -> Array:
        x = x.astype(np.float32) / np.float32(brightest)
        return x if x.ndim == 4 else x[..., None]

    return Source(
        "images", "classes", scaled(train[0]), train[1].astype(np.int64), scaled(test[0]), test[1].astype(np.int64),
        classes=tuple(map(str, classes)), features=(),
    )  # fmt: skip
