"""The layers of the Keras vocabulary. ``REGISTRY`` holds every class that a saved model can name."""

from ranvier.layers.activations import ELU, LeakyReLU, ReLU, Softmax
from ranvier.layers.base import Layer
from ranvier.layers.dense import Dense
from ranvier.layers.mixing import MixUp
from ranvier.layers.noise import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)
from ranvier.layers.normalization import BatchNormalization, LayerNormalization
from ranvier.layers.simple import Activation, Flatten, Input, Rescaling
from ranvier.module.architecture import REGISTRY
from ranvier.module.names import missing

__all__ = [
    "ELU",
    "REGISTRY",
    "Activation",
    "ActivityRegularization",
    "AlphaDropout",
    "BatchNormalization",
    "Dense",
    "Dropout",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "Input",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "MixUp",
    "ReLU",
    "Rescaling",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
]

_HINTS = {
    "InputLayer": "Input",
    "Linear": "Dense, or Linear in ranvier.torch.nn",
    "Conv": "Dense",
    "Sequential": "rv.Sequential",
    "Lambda": "a Module with a forward method",
}

__getattr__ = missing("ranvier.layers", __all__, hints=_HINTS)
