"""Data: samplers, the gate every array passes (``arrays``), and the readers of the standard data sets (``datasets``).

``arrays.py`` is what the training loop calls; ``convert.py``, ``memory.py`` and ``batches.py`` are its parts.
"""

from ranvier.data.datasets import DatasetUnavailable, load_digits, load_fashion_mnist, load_mnist
from ranvier.data.samplers import BalancedSampler, Sampler, WeightedSampler

__all__ = [
    "BalancedSampler", "DatasetUnavailable", "Sampler", "WeightedSampler", "load_digits", "load_fashion_mnist",
    "load_mnist",
]  # fmt: skip
