"""The layers of the Keras vocabulary. ``REGISTRY`` holds every class that a saved model can name."""

from ranvier.layers.activations import ELU, LeakyReLU, ReLU, Softmax
from ranvier.layers.base import Layer
from ranvier.layers.dense import Dense
from ranvier.layers.simple import Activation, Dropout, Flatten, Input, Rescaling
from ranvier.module.architecture import REGISTRY
from ranvier.module.names import missing

__all__ = [
    "ELU",
    "REGISTRY",
    "Activation",
    "Dense",
    "Dropout",
    "Flatten",
    "Input",
    "Layer",
    "LeakyReLU",
    "ReLU",
    "Rescaling",
    "Softmax",
]

_HINTS = {
    "InputLayer": "Input",
    "Linear": "Dense, or Linear in ranvier.torch.nn",
    "Conv": "Dense",
    "Sequential": "rv.Sequential",
    "Lambda": "a Module with a forward method",
}

__getattr__ = missing("ranvier.layers", __all__, hints=_HINTS)
