"""Arrays on their way into a model: checks and conversions, samplers, images from folders, and files of arrays.

``arrays.py`` is what the training loop calls; ``convert.py``, ``cast.py``, ``targets.py`` and ``batches.py`` are its
parts.
"""

from ranvier.support.errors import lazy_names

__getattr__, __dir__, __all__ = lazy_names("ranvier.data", {
    "ranvier.data.": "-datasets",
    "ranvier.data.buckets": "BucketedDataset batches_by_length",
    "ranvier.data.clips": "Windows windows_of",
    "ranvier.data.image_folder": "ImageFolder images_from_folder",
    "ranvier.data.samplers": "BalancedSampler Sampler WeightedSampler",
    "ranvier.data.sound_files": "Sound load_sound",
    "ranvier.data.text_files": "LabelledTexts texts_from_csv",
    "ranvier.datasets": "DatasetUnavailable load_digits load_fashion_mnist load_mnist",
})  # fmt: skip
