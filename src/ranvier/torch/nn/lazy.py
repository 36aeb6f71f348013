"""LazyLinear and its kin: modules of PyTorch that find the number of their inputs in the first call."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

import numpy as np

from ranvier.graph.node import Type
from ranvier.module import Module
from ranvier.tensor.tape import flush_readers
from ranvier.tensor.tensor import Tensor
from ranvier.torch.nn import convolution, groups, layers, normalization


def _replace(tensor: Tensor, value: Any) -> None:
    """Let a leaf hold a value of another shape: for modules and optimizers it stays the same tensor."""
    flush_readers(tensor)
    tensor._value, tensor.spec, tensor.grad = value, Type(value.shape, tensor.dtype), None
    tensor.version += 1


def _own(module: Module) -> dict[str, Tensor]:
    found = {**module._parameters, **module._buffers}
    return {name: tensor for name, tensor in found.items() if tensor is not None}


class FirstCall:
    """The hook of a module that has no sizes yet: gives it those of its first input, and removes itself."""

    def __init__(self, size: str, axis: int) -> None:
        self.size, self.axis = size, axis
        self.handle: Any = None

    def __call__(self, module: Any, args: tuple[Any, ...]) -> None:
        self.handle.remove()
        given, kwargs = module._arguments
        twin: Any = type(module)(args[0].shape[self.axis], *given[1:], **kwargs)
        module.__dict__.update({n: v for n, v in twin.__dict__.items() if n in (self.size, "_bound", "_arguments")})
        mine = _own(module)
        for name, tensor in _own(twin).items():
            if not mine[name].numel():
                _replace(mine[name], tensor.compute().astype(mine[name].dtype, copy=False))


class LazyModule:
    """The base: a call returns a module of ``made`` that has no inputs, until its first call gives it their number.

    Its weights are empty tensors until then, and stay the same tensors, so an optimizer may have them before. Call the
    network once on a batch before you initialize its weights or load a state.
    """

    made: ClassVar[Any]
    size: ClassVar[str]
    axis: ClassVar[int]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        try:
            bound = inspect.signature(cls.made).bind(1, *args, **kwargs)
        except TypeError:
            return cls.made(1, *args, **kwargs)  # which says what does not fit
        module = cls.made(bound.arguments.get("groups", 1), *args, **kwargs)
        for name, tensor in _own(module).items():
            if name == "weight" or (cls.size == "num_features" and tensor.shape):
                _replace(tensor, np.zeros(0, tensor.dtype))
        setattr(module, cls.size, 0)
        hook = FirstCall(cls.size, cls.axis)
        hook.handle = module.register_forward_pre_hook(hook)
        return module


def _lazy(name: str, made: type[Module], size: str, axis: int = 1) -> Any:
    text = (
        f"`{made.__name__}` with the ``{size}`` of its first input; the other arguments are the same. The module is a "
        f"`{made.__name__}` from the start, with empty weights until the network is called once."
    )
    return type(
        name, (LazyModule,), {"made": made, "size": size, "axis": axis, "__doc__": text, "__module__": __name__}
    )


LazyLinear = _lazy("LazyLinear", layers.Linear, "in_features", -1)
LazyConv1d, LazyConv2d, LazyConv3d, LazyConvTranspose1d, LazyConvTranspose2d, LazyConvTranspose3d = (
    _lazy(f"Lazy{name}", getattr(convolution, name), "in_channels")
    for name in ("Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d")
)
LazyBatchNorm1d, LazyBatchNorm2d, LazyBatchNorm3d = (
    _lazy(f"Lazy{name}", getattr(normalization, name), "num_features")
    for name in ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d")
)
LazyInstanceNorm1d, LazyInstanceNorm2d, LazyInstanceNorm3d = (
    _lazy(f"Lazy{name}", getattr(groups, name), "num_features")
    for name in ("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d")
)
