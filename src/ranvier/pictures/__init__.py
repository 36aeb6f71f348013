"""Pictures of training runs, confusion matrices, networks, weights, learning-rate tests, calibration, and explanations.

They need matplotlib (``pip install 'ranvier[plot]'``), which is imported when the first picture is drawn. Each function
returns a matplotlib figure, which a notebook displays, and writes it to ``path`` if given.
"""

from ranvier.pictures.attention_maps import attention
from ranvier.pictures.comparison import compare
from ranvier.pictures.curves import curves
from ranvier.pictures.histograms import activations, weights
from ranvier.pictures.images import attributions, feature_maps, filters, mistakes
from ranvier.pictures.learning_rates import learning_rates
from ranvier.pictures.matrix import confusion_matrix
from ranvier.pictures.network import network
from ranvier.pictures.reliability import reliability
from ranvier.pictures.signals import moments, spectrogram
from ranvier.pictures.states import states
from ranvier.pictures.words import words
from ranvier.support.errors import missing

__all__ = [
    "activations", "attention", "attributions", "compare", "confusion_matrix", "curves", "feature_maps", "filters",
    "learning_rates", "mistakes", "moments", "network", "reliability", "spectrogram", "states", "weights", "words",
]  # fmt: skip

__getattr__, __dir__ = missing("ranvier.pictures", __all__)
