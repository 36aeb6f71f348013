"""Pictures: how training went, which classes are confused, what a network looks like, how its weights are spread,
what the learning-rate finder saw, how true probabilities are; what a network makes of images, and why it decided.

They need matplotlib (``pip install 'ranvier[plot]'``), which is imported when the first one is drawn. Each returns a
matplotlib figure, which a notebook shows, and writes it to ``path`` if given.
"""

from ranvier.pictures.comparison import compare
from ranvier.pictures.curves import curves
from ranvier.pictures.histograms import activations, weights
from ranvier.pictures.images import attributions, feature_maps, filters, mistakes
from ranvier.pictures.learning_rates import learning_rates
from ranvier.pictures.matrix import confusion_matrix
from ranvier.pictures.network import network
from ranvier.pictures.reliability import reliability
from ranvier.support.errors import missing

__all__ = [
    "activations", "attributions", "compare", "confusion_matrix", "curves", "feature_maps", "filters", "learning_rates",
    "mistakes", "network", "reliability", "weights",
]  # fmt: skip

__getattr__, __dir__ = missing(globals(), "ranvier.pictures", __all__)
