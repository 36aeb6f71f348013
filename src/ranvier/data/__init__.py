"""Data: the one gate every array passes (``arrays``), and the readers of the standard data sets (``datasets``).

``arrays.py`` is what the training loop calls; ``convert.py``, ``memory.py`` and ``batches.py`` are its parts.
"""

from ranvier.data.datasets import DatasetUnavailable, load_digits, load_fashion_mnist, load_mnist

__all__ = ["DatasetUnavailable", "load_digits", "load_fashion_mnist", "load_mnist"]
