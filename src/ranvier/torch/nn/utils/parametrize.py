"""``torch.nn.utils.parametrize``: weights that modules of your own compute from others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ranvier.module import Module, Parameter
from ranvier.support.errors import missing
from ranvier.tensor.tensor import Tensor
from ranvier.torch.nn.containers import ModuleDict, ModuleList

__all__ = [
    "ParametrizationList", "cached", "is_parametrized", "register_parametrization", "remove_parametrizations",
]  # fmt: skip


class ParametrizationList(ModuleList):
    """The modules that compute a weight one after the other, and the parameters that the first of them takes:
    ``original``, or ``original0``, ``original1`` and so on.
    """

    def __init__(self, modules: list[Any], original: Tensor) -> None:
        super().__init__(modules)
        start: Any = original.detach().clone()
        for module in reversed(modules):
            if hasattr(module, "right_inverse"):
                start = module.right_inverse(start)
        self.is_tensor = isinstance(start, Tensor)
        self.ntensors = 1 if self.is_tensor else len(start)
        for i, part in enumerate([start] if self.is_tensor else start):
            setattr(self, "original" if self.is_tensor else f"original{i}", Parameter(part))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The weight."""
        names = ["original"] if self.is_tensor else [f"original{i}" for i in range(self.ntensors)]
        first, *others = self
        value = first(*(getattr(self, name) for name in names))
        for module in others:
            value = module(value)
        return value


def compute(module: Any, args: tuple[Any, ...] = ()) -> None:
    """Compute the weights of a module as its parametrizations say: a hook that runs before each call."""
    for name, parts in module.parametrizations.items():
        setattr(module, name, parts())


def register_parametrization(module: Any, tensor_name: str, parametrization: Module, *, unsafe: bool = False) -> Any:
    """Let ``parametrization(original)`` be the weight of this name; returns the module.

    It is computed before each call of the module; ``right_inverse(weight)`` of the parametrization, if it has that,
    gives the parameters that begin. Raises ValueError for a name that the module does not have, and, unless ``unsafe``,
    for a result of another shape.

    Example:
        >>> import ranvier.torch as torch
        >>> from ranvier.torch.nn.utils import parametrize
        >>> class Symmetric(torch.nn.Module):
        ...     def forward(self, x):
        ...         return x.triu() + x.triu(1).T
        >>> layer = parametrize.register_parametrization(torch.nn.Linear(2, 2), 'weight', Symmetric())
        >>> bool((layer.weight == layer.weight.T).all())
        True
    """
    known = is_parametrized(module, tensor_name)
    if not known and not isinstance(module._parameters.get(tensor_name), Parameter):
        raise ValueError(
            f"{type(module).__name__} has no parameter {tensor_name!r}. Write the name of one that it has instead."
        )
    before = getattr(module, tensor_name)
    if known:
        module.parametrizations[tensor_name].append(parametrization)
    else:
        parts = ParametrizationList([parametrization], before)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            module.parametrizations = ModuleDict()
            module._computing = module.register_forward_pre_hook(compute)
        module.parametrizations[tensor_name] = parts
    compute(module)
    after = getattr(module, tensor_name)
    if not unsafe and (after.shape != before.shape or after.dtype != before.dtype):
        raise ValueError(
            f"the parametrization of {tensor_name!r} makes {after.dtype} of shape {tuple(after.shape)}, and the weight "
            f"is {before.dtype} of shape {tuple(before.shape)}. Write one that keeps them, or unsafe=True, instead."
        )
    return module


def is_parametrized(module: Any, tensor_name: str | None = None) -> bool:
    """Whether a module has a computed weight, of this name if one is given."""
    found = module._modules.get("parametrizations")
    return isinstance(found, ModuleDict) and (len(found) > 0 if tensor_name is None else tensor_name in found)


def remove_parametrizations(module: Any, tensor_name: str, leave_parametrized: bool = True) -> Any:
    """Make the weight a parameter again: the computed value, or with ``leave_parametrized=False`` the original."""
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"{tensor_name!r} of {module!r} is not parametrized.")
    parts = module.parametrizations[tensor_name]
    if not leave_parametrized and not parts.is_tensor:
        raise ValueError(f"{tensor_name!r} is computed from several parameters. Leave leave_parametrized out instead.")
    value = (parts() if leave_parametrized else parts.original).detach().clone()
    delattr(module, tensor_name)
    del module.parametrizations[tensor_name]
    if not len(module.parametrizations):
        module._computing.remove()
        del module._computing
        delattr(module, "parametrizations")
    module.register_parameter(tensor_name, Parameter(value))
    return module


@contextlib.contextmanager
def cached() -> Iterator[None]:
    """Without effect: a weight is computed once for each call of its module."""
    yield


__getattr__, __dir__ = missing("torch.nn.utils.parametrize", __all__)
