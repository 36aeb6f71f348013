"""Pictures: how training went, which classes are confused, what a network looks like, how its weights are spread.

They need matplotlib (``pip install 'ranvier[plot]'``), which is imported when the first one is drawn. Each returns a
matplotlib figure, which a notebook shows, and writes it to ``path`` if given.
"""

from ranvier.pictures.comparison import compare
from ranvier.pictures.curves import curves
from ranvier.pictures.histograms import activations, weights
from ranvier.pictures.matrix import confusion_matrix
from ranvier.pictures.network import network

__all__ = ["activations", "compare", "confusion_matrix", "curves", "network", "weights"]
