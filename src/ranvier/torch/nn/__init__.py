"""``torch.nn``: modules with PyTorch's names, arguments, defaults and initial values."""

from ranvier.module import Module, Parameter, Sequential
from ranvier.module.names import missing
from ranvier.torch.nn import functional, init, utils
from ranvier.torch.nn.activations import (
    ELU,
    GELU,
    SELU,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    Identity,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    Mish,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softmin,
    Softplus,
    Softsign,
    Tanh,
)
from ranvier.torch.nn.containers import ModuleDict, ModuleList, ParameterList
from ranvier.torch.nn.layers import AlphaDropout, Dropout, FeatureAlphaDropout, Flatten, Linear, Unflatten
from ranvier.torch.nn.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
)
from ranvier.torch.nn.normalization import BatchNorm1d, LayerNorm

__all__ = [
    "ELU", "GELU", "SELU", "AlphaDropout", "BCELoss", "BCEWithLogitsLoss", "BatchNorm1d",
    "CrossEntropyLoss", "Dropout", "FeatureAlphaDropout", "Flatten", "Hardsigmoid", "Hardswish",
    "Hardtanh", "HuberLoss", "Identity", "KLDivLoss", "L1Loss", "LayerNorm", "LeakyReLU", "Linear",
    "LogSigmoid", "LogSoftmax", "MSELoss", "Mish", "Module", "ModuleDict", "ModuleList", "NLLLoss",
    "Parameter", "ParameterList", "ReLU", "ReLU6", "Sequential", "SiLU", "Sigmoid", "SmoothL1Loss",
    "Softmax", "Softmin", "Softplus", "Softsign", "Tanh", "Unflatten", "functional", "init", "utils",
]  # fmt: skip

__getattr__ = missing("torch.nn", __all__, hints={"Conv": "Linear", "Lazy": "Linear", "Bilinear": "Linear"})
