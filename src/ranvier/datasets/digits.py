"""Small images of handwritten digits, which are part of the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ranvier.datasets.dataset import Images

__all__ = ["classes", "load_data"]

classes = tuple(map(str, range(10)))


def load_data() -> Images:
    """Load the bundled digits: 1,437 + 360 images 8x8 of handwritten digits, values 0 to 16, 10 classes.

    They need no network. The last 36 images of each class are the test set. E. Alpaydin, C. Kaynak (1998), *Optical
    Recognition of Handwritten Digits*, UCI Machine Learning Repository, CC BY 4.0.
    """
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as stored:
        images, labels = stored["images"], stored["labels"]
    test = np.zeros(len(labels), bool)
    for digit in range(10):
        test[np.flatnonzero(labels == digit)[-36:]] = True
    return (images[~test], labels[~test]), (images[test], labels[test])
