"""The layers of the Keras vocabulary. ``REGISTRY`` holds every class that a saved model can name."""

from ranvier.layers.activations import ELU, LeakyReLU, ReLU, Softmax
from ranvier.layers.augmentation import CutMix, RandomBrightness, RandomContrast, RandomErasing
from ranvier.layers.base import Layer
from ranvier.layers.convolution import (
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    Conv3DTranspose,
)
from ranvier.layers.core import Activation, Flatten, Input, Rescaling
from ranvier.layers.dense import Dense
from ranvier.layers.dropout import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)
from ranvier.layers.embedding import CategoryEncoding, Embedding, Identity, PReLU
from ranvier.layers.merging import Add, Average, Concatenate, Dot, Maximum, Minimum, Multiply, Subtract
from ranvier.layers.mixup import MixUp
from ranvier.layers.normalization import BatchNormalization, LayerNormalization
from ranvier.layers.normalization_group import (
    GroupNormalization,
    InstanceNormalization,
    RMSNormalization,
    UnitNormalization,
)
from ranvier.layers.pooling import (
    AdaptiveAveragePooling1D,
    AdaptiveAveragePooling2D,
    AdaptiveAveragePooling3D,
    AdaptiveMaxPooling1D,
    AdaptiveMaxPooling2D,
    AdaptiveMaxPooling3D,
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)
from ranvier.layers.preprocessing import Normalization
from ranvier.layers.resampling import (
    CenterCrop,
    RandomCrop,
    RandomFlip,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
    Resizing,
)
from ranvier.layers.separable import DepthwiseConv1D, DepthwiseConv2D, SeparableConv1D, SeparableConv2D
from ranvier.layers.shaping import (
    Cropping1D,
    Cropping2D,
    Cropping3D,
    Lambda,
    Permute,
    RepeatVector,
    Reshape,
    UpSampling1D,
    UpSampling2D,
    UpSampling3D,
    ZeroPadding1D,
    ZeroPadding2D,
    ZeroPadding3D,
)
from ranvier.module.serialization import REGISTRY
from ranvier.support.errors import missing

__all__ = [
    "ELU",
    "REGISTRY",
    "Activation",
    "ActivityRegularization",
    "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D",
    "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D",
    "AdaptiveMaxPooling3D",
    "Add",
    "AlphaDropout",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "BatchNormalization",
    "CategoryEncoding",
    "CenterCrop",
    "Concatenate",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "CutMix",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Dot",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "GroupNormalization",
    "Identity",
    "Input",
    "InstanceNormalization",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "Maximum",
    "Minimum",
    "MixUp",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "RMSNormalization",
    "RandomBrightness",
    "RandomContrast",
    "RandomCrop",
    "RandomErasing",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Resizing",
    "SeparableConv1D",
    "SeparableConv2D",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "Subtract",
    "UnitNormalization",
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
]

_HINTS = {
    "InputLayer": "Input",
    "RandomCutout": "RandomErasing",
    "Linear": "Dense, or Linear in ranvier.torch.nn",
    "Conv2d": "Conv2D, or Conv2d in ranvier.torch.nn",
    "Sequential": "rv.Sequential",
}

# Keras's other names of the same classes.
_ALSO = {
    f"{short}{n}D": f"ranvier.layers.{module}:{long}{n}D"
    for module, short, long in (
        ("pooling", "MaxPool", "MaxPooling"),
        ("pooling", "AvgPool", "AveragePooling"),
        ("pooling", "GlobalMaxPool", "GlobalMaxPooling"),
        ("pooling", "GlobalAvgPool", "GlobalAveragePooling"),
        ("convolution", "Convolution", "Conv"),
    )
    for n in (1, 2, 3)
}

# Its functions of the same names: layers made and called at once.
_ALSO |= {
    name: f"ranvier.layers.merging:{name}"
    for name in ("add", "average", "concatenate", "dot", "maximum", "minimum", "multiply", "subtract")
}

__getattr__, __dir__ = missing(globals(), "ranvier.layers", __all__, _ALSO, _HINTS)
