"""Data: samplers, the gate every array passes (``arrays``), and the readers of the standard data sets (``datasets``).

``arrays.py`` is what the training loop calls; ``convert.py``, ``memory.py`` and ``batches.py`` are its parts.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ranvier.data.datasets import DatasetUnavailable, load_digits, load_fashion_mnist, load_mnist
    from ranvier.data.image_folder import ImageFolder, images_from_folder
    from ranvier.data.samplers import BalancedSampler, Sampler, WeightedSampler

__all__ = [
    "BalancedSampler", "DatasetUnavailable", "ImageFolder", "Sampler", "WeightedSampler", "images_from_folder",
    "load_digits", "load_fashion_mnist", "load_mnist",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """The public names, from where they are, when they are first asked for."""
    from importlib import import_module

    if name == "datasets":
        return import_module("ranvier.data.datasets")
    if name not in __all__:
        raise AttributeError(f"ranvier.data.{name} does not exist. It has {', '.join(__all__)}.")
    home = "samplers" if "Sampler" in name else "image_folder" if "mage" in name else "datasets"
    return getattr(import_module(f"ranvier.data.{home}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "datasets"])
