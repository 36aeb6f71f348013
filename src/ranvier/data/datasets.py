"""The module `ranvier.datasets` by its former name."""

from ranvier.support.errors import lazy_names

__getattr__, __dir__, __all__ = lazy_names("ranvier.data.datasets", {
    "ranvier.datasets":
        "DatasetUnavailable digits fashion_mnist letter_recognition load_digits load_fashion_mnist "
        "load_letter_recognition load_mnist load_shuttle mnist shuttle",
})  # fmt: skip
