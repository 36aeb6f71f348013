"""Fashion-MNIST: images of clothes, in the format of MNIST."""

from __future__ import annotations

from ranvier.datasets.dataset import Dataset, Images, image_members
from ranvier.datasets.loading import load

__all__ = ["classes", "load_data"]

classes = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_FASHION_MNIST = Dataset(
    title="Fashion-MNIST",
    folder="fashion-mnist",
    members=image_members(
        ("c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888", "b4f29f28"),
        ("bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9", "741a4657"),
        ("5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b", "678fe0b1"),
        ("0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34", "80142c1f"),
    ),
    homes=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    debian="dataset-fashion-mnist",
)


def load_data() -> Images:
    """Load Fashion-MNIST: 60,000 + 10,000 images 28x28 of clothes, values 0 to 255, 10 classes.

    H. Xiao, K. Rasul, R. Vollgraf (2017), *Fashion-MNIST*, arXiv:1708.07747. Raises ``DatasetUnavailable``.
    """
    return load(_FASHION_MNIST)
