"""``torch.autograd``: gradients, functions with gradients of one's own, and whether gradients are recorded."""

from ranvier.support.errors import missing
from ranvier.torch.autograd import forward_ad, function, functional, gradients, modes
from ranvier.torch.autograd.function import Function
from ranvier.torch.autograd.gradcheck import gradcheck, gradgradcheck
from ranvier.torch.autograd.gradients import *  # noqa: F403 - their __all__ is the vocabulary
from ranvier.torch.autograd.modes import *  # noqa: F403 - their __all__ is the vocabulary

__all__ = ["Function", "forward_ad", "function", "functional", "gradcheck", "gradgradcheck"]
__all__ += [*gradients.__all__, *modes.__all__]  # noqa: PLE0604 - their names

__getattr__, __dir__ = missing("torch.autograd", __all__)
