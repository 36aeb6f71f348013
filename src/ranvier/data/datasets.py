"""The module `ranvier.datasets` by its former name."""

from ranvier.support.errors import lazy_names

__getattr__, __dir__, __all__ = lazy_names("ranvier.data.datasets", {
    "ranvier.datasets.": "digits fashion_mnist fortunes letter_recognition mnist reuters_r8 shuttle",
    "ranvier.datasets":
        "DatasetUnavailable load_digits load_fashion_mnist load_fortunes load_letter_recognition load_mnist "
        "load_reuters_r8 load_shuttle",
})  # fmt: skip
