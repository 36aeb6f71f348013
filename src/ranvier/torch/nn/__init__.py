"""``torch.nn``: modules with PyTorch's names, arguments, defaults and initial values."""

from ranvier.module import Module, Parameter, Sequential
from ranvier.support.errors import missing
from ranvier.torch.nn import (
    activations,
    containers,
    convolution,
    functional,
    groups,
    init,
    layers,
    losses,
    normalization,
    pairs,
    pooling,
    shaping,
    utils,
)
from ranvier.torch.nn.activations import *  # noqa: F403 - its __all__ is part of this one
from ranvier.torch.nn.containers import *  # noqa: F403 - its __all__ is part of this one
from ranvier.torch.nn.convolution import *  # noqa: F403 - its __all__ is part of this one
from ranvier.torch.nn.groups import *  # noqa: F403 - its __all__ is part of this one
from ranvier.torch.nn.layers import *  # noqa: F403 - its __all__ is part of this one
from ranvier.torch.nn.losses import *  # noqa: F403 - its __all__ is part of this one
from ranvier.torch.nn.normalization import *  # noqa: F403 - its __all__ is part of this one
from ranvier.torch.nn.pairs import *  # noqa: F403 - its __all__ is part of this one
from ranvier.torch.nn.pooling import *  # noqa: F403 - its __all__ is part of this one
from ranvier.torch.nn.shaping import *  # noqa: F403 - its __all__ is part of this one

__all__ = ["Module", "Parameter", "Sequential", "functional", "init", "utils"]
__all__ += activations.__all__
__all__ += containers.__all__
__all__ += convolution.__all__
__all__ += groups.__all__
__all__ += layers.__all__
__all__ += losses.__all__
__all__ += normalization.__all__
__all__ += pairs.__all__
__all__ += pooling.__all__
__all__ += shaping.__all__

__getattr__, __dir__ = missing(globals(), "torch.nn", __all__)
