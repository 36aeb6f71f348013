"""The demo: train a small network on Fashion-MNIST, evaluate and save it, and draw its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["run"]

_HELD_OUT = 0.1  # the fraction of the training images that validation takes
_NEXT = "ranvier inspect {model}, or with data of your own: ranvier train DATA.csv --target COLUMN"
_NO_PLOT = "No picture: matplotlib is not installed. Write: pip install 'ranvier[plot]'"


@dataclass(frozen=True)
class _Data:
    """Images (n, height, width) uint8 from 0 to ``brightest``, labels (n,), and the names of the classes."""

    name: str
    train: tuple[npt.NDArray[Any], npt.NDArray[Any]]
    test: tuple[npt.NDArray[Any], npt.NDArray[Any]]
    classes: Sequence[str]
    brightest: int


def run(out: Path, console: Console, *, epochs: int = 5, seed: int = 0) -> float:
    """Train inputs-64-64-10 with Adam, print its scores, and write ``demo.ranvier`` and ``demo.png`` into ``out``.

    A tenth of the training images validates; the test images are scored once, at the end. Returns the test accuracy,
    from 0 to 1. Without Fashion-MNIST the bundled digits are used, and without matplotlib
    no picture is drawn; each prints a line. Raises ``OSError`` before training where ``out`` cannot be written.
    """
    import ranvier as rv

    if out.exists() and not out.is_dir():
        raise FileExistsError(f"{out} is a file, and the model and the picture need a folder. Write another --out.")
    out.mkdir(parents=True, exist_ok=True)
    picture = find_spec("matplotlib") is not None
    if not picture:
        console.print(_NO_PLOT, style="yellow", highlight=False)
    data = _load(console)
    (x, y), (x_test, y_test) = data.train, data.test

    rv.set_seed(seed)
    model = rv.Sequential(
        [
            rv.layers.Rescaling(1 / data.brightest, input_shape=x.shape[1:]),
            rv.layers.Flatten(),
            rv.layers.Dense(64, activation="relu"),
            rv.layers.Dense(64, activation="relu"),
            rv.layers.Dense(len(data.classes), activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    shape = f"{x[0].size}-64-64-{len(data.classes)}"
    held_out = round(_HELD_OUT * len(x))
    parts = f"{len(x) - held_out:,} training, {held_out:,} validation and {len(x_test):,} test images"
    console.print(f"{shape} on {data.name}: {parts}", highlight=False, soft_wrap=True)
    history = model.fit(x, y, epochs=epochs, batch_size=32, validation_split=_HELD_OUT, verbose=1).history

    report = rv.metrics.report(y_test, model.predict(x_test, verbose=0), data.classes)
    assert report.accuracy is not None  # each image has one class
    assert report.confusion is not None
    accuracy = report.accuracy
    console.print(report)
    console.print(f"test accuracy {accuracy:.4f}", style="bold", highlight=False)

    model.save(out / "demo.ranvier")
    written = [out / "demo.ranvier"]
    if picture:
        from ranvier.cli.demo.picture import draw

        images = f"{100 * accuracy:.1f} % of the {len(x_test):,} test images classified correctly"
        title = f"{shape} on {data.name}, {epochs} epoch{'s' * (epochs != 1)}: {images}"
        draw(out / "demo.png", title=title, history=history, confusion=report.confusion, classes=data.classes)
        written.append(out / "demo.png")
    console.print(f"wrote {' and '.join(map(str, written))}", highlight=False, soft_wrap=True)
    console.print(f"next: {_NEXT.format(model=written[0])}", highlight=False, markup=False, soft_wrap=True)
    return accuracy


def _load(console: Console) -> _Data:
    from ranvier import datasets

    try:
        train, test = datasets.load_fashion_mnist()
    except datasets.DatasetUnavailable as reason:
        console.print(f"{reason}\nUsing the bundled digits instead.", style="yellow", highlight=False, soft_wrap=True)
        train, test = datasets.load_digits()
        return _Data("the bundled digits", train, test, datasets.digits.classes, brightest=16)
    return _Data("Fashion-MNIST", train, test, datasets.fashion_mnist.classes, brightest=255)
