"""Arrays on their way into a model: checks and conversions, samplers, images from folders, and files of arrays.

``arrays.py`` is what the training loop calls; ``convert.py``, ``cast.py``, ``targets.py`` and ``batches.py`` are its
parts.
"""

from typing import TYPE_CHECKING

from ranvier.support.errors import missing

if TYPE_CHECKING:
    from ranvier.data import datasets as datasets
    from ranvier.data.image_folder import ImageFolder, images_from_folder
    from ranvier.data.samplers import BalancedSampler, Sampler, WeightedSampler
    from ranvier.datasets import DatasetUnavailable, load_digits, load_fashion_mnist, load_mnist

__all__ = [
    "BalancedSampler", "DatasetUnavailable", "ImageFolder", "Sampler", "WeightedSampler", "images_from_folder",
    "load_digits", "load_fashion_mnist", "load_mnist",
]  # fmt: skip

_LAZY = {
    "BalancedSampler": "ranvier.data.samplers:BalancedSampler",
    "DatasetUnavailable": "ranvier.datasets:DatasetUnavailable",
    "ImageFolder": "ranvier.data.image_folder:ImageFolder",
    "Sampler": "ranvier.data.samplers:Sampler",
    "WeightedSampler": "ranvier.data.samplers:WeightedSampler",
    "datasets": "ranvier.data.datasets",
    "images_from_folder": "ranvier.data.image_folder:images_from_folder",
    "load_digits": "ranvier.datasets:load_digits",
    "load_fashion_mnist": "ranvier.datasets:load_fashion_mnist",
    "load_mnist": "ranvier.datasets:load_mnist",
}

__getattr__, __dir__ = missing(globals(), "ranvier.data", __all__, _LAZY)
