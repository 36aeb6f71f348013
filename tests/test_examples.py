"""The programs in examples/, on a few small images in place of the real ones."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from ranvier.datasets import digits, fashion_mnist, mnist

EXAMPLES = Path(__file__).parents[1] / "examples"


def enlarged(images):
    """The bundled digits, 8x8 from 0 to 16, as MNIST has them: 28x28 bytes with a border."""
    large = np.kron(images * np.uint8(15), np.ones((3, 3), np.uint8))
    return np.pad(large, ((0, 0), (2, 2), (2, 2)))


def stand_in():
    (x, y), (x_test, y_test) = digits.load_data()
    return (enlarged(x), y), (enlarged(x_test), y_test)


@pytest.mark.parametrize(("data", "epochs", "least"), [("mnist", 4, 0.8), ("fashion_mnist", 1, 0.15)])
def test_images(monkeypatch, capsys, data, epochs, least):
    for module in (mnist, fashion_mnist):
        monkeypatch.setattr(module, "load_data", stand_in)
    program = runpy.run_path(str(EXAMPLES / "images.py"))
    accuracy = program["main"]([data, "--epochs", str(epochs), "--seed", "1"])
    assert accuracy > least
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(rf"{data}, seed 1: {accuracy:.2%} of the test images, \d+\.\d s", last)
