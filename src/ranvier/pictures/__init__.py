"""Pictures of data, networks, training runs, searches, predictions, and explanations.

They need matplotlib (``pip install 'ranvier[plot]'``), which is imported when the first picture is drawn. Each function
returns a matplotlib figure, which a notebook displays, and writes it to ``path`` if given.
"""

from ranvier.pictures.activation_curves import activation_functions
from ranvier.pictures.attention_maps import attention
from ranvier.pictures.boundary import decision_boundary
from ranvier.pictures.comparison import compare
from ranvier.pictures.curves import curves
from ranvier.pictures.feature_effects import importances, partial_dependence
from ranvier.pictures.histograms import activations, weights
from ranvier.pictures.images import attributions, feature_maps, filters, mistakes
from ranvier.pictures.learning_rates import learning_rates
from ranvier.pictures.matrix import confusion_matrix
from ranvier.pictures.network import network
from ranvier.pictures.ranked import precision_recall, roc, threshold_costs
from ranvier.pictures.reliability import reliability
from ranvier.pictures.residual_plots import residuals
from ranvier.pictures.signals import moments, spectrogram
from ranvier.pictures.states import states
from ranvier.pictures.trials import learning_curve, search_results
from ranvier.pictures.words import words
from ranvier.support.errors import missing

__all__ = [
    "activation_functions", "activations", "attention", "attributions", "compare", "confusion_matrix", "curves",
    "decision_boundary", "feature_maps", "filters", "importances", "learning_curve", "learning_rates",
    "mistakes", "moments", "network", "partial_dependence", "precision_recall", "reliability", "residuals",
    "roc", "search_results", "spectrogram", "states", "threshold_costs", "weights", "words",
]  # fmt: skip

__getattr__, __dir__ = missing("ranvier.pictures", __all__)
