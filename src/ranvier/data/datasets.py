"""The module `ranvier.datasets` by its former name."""

from ranvier.datasets import (
    DatasetUnavailable,
    digits,
    fashion_mnist,
    letter_recognition,
    load_digits,
    load_fashion_mnist,
    load_letter_recognition,
    load_mnist,
    load_shuttle,
    mnist,
    shuttle,
)
from ranvier.support.errors import missing

__all__ = [
    "DatasetUnavailable",
    "digits",
    "fashion_mnist",
    "letter_recognition",
    "load_digits",
    "load_fashion_mnist",
    "load_letter_recognition",
    "load_mnist",
    "load_shuttle",
    "mnist",
    "shuttle",
]

__getattr__, __dir__ = missing("ranvier.data.datasets", __all__)
