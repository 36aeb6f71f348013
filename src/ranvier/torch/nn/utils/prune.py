"""``torch.nn.utils.prune``: weights of which a mask keeps some.

The parameter becomes ``weight_orig``, the mask is the buffer ``weight_mask``, and their product is computed before each
call of the module.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ranvier.module import Parameter
from ranvier.ops.arrays.promotion import axis_of
from ranvier.support.errors import missing
from ranvier.tensor import rng
from ranvier.tensor.tensor import Tensor

__all__ = [
    "BasePruningMethod", "CustomFromMask", "Identity", "L1Unstructured", "LnStructured", "PruningContainer",
    "RandomStructured", "RandomUnstructured", "custom_from_mask", "global_unstructured", "identity", "is_pruned",
    "l1_unstructured", "ln_structured", "random_structured", "random_unstructured", "remove",
]  # fmt: skip


def _count(amount: float, size: int) -> int:
    """How many of so many are removed. Raises ValueError for a share outside of 0 to 1, and for too many."""
    if not amount >= 0:
        raise ValueError(f"amount={amount!r}. Write a share from 0 to 1, or how many to remove, instead.")
    if not isinstance(amount, int) and amount > 1:
        raise ValueError(f"amount={amount!r} as a share. Write one from 0 to 1, or a whole number, instead.")
    number = amount if isinstance(amount, int) else round(amount * size)
    if number > size:
        raise ValueError(f"amount={amount!r} of {size}. Write a smaller one instead.")
    return int(number)


def _array(values: Any) -> Any:
    return np.asarray(values.detach().numpy() if isinstance(values, Tensor) else values)


class BasePruningMethod(ABC):
    """A way to choose what is removed: ``compute_mask(t, default_mask)`` returns 1 for what stays and 0 for the rest.

    ``PRUNING_TYPE`` says what a further pruning of the same weight looks at: of "unstructured" what is left, of
    "structured" the slices along ``dim`` that are left, of "global" all.
    """

    PRUNING_TYPE = "unstructured"
    _tensor_name: str
    dim: int = 0
    handle: Any = None

    def __call__(self, module: Any, args: tuple[Any, ...]) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask of what stays, given what stayed before."""

    def apply_mask(self, module: Any) -> Any:
        """The weight where the mask keeps it, and 0 elsewhere."""
        original, mask = (getattr(module, f"{self._tensor_name}_{part}") for part in ("orig", "mask"))
        return mask * original

    @classmethod
    def apply(cls, module: Any, name: str, *args: Any, importance_scores: Any = None, **kwargs: Any) -> Any:
        """Prune the weight ``name``, which may be pruned already; returns the method."""
        method = cls(*args, **kwargs)
        method._tensor_name = name
        before = _method_of(module, name)
        if before is None and not isinstance(module._parameters.get(name), Parameter):
            raise ValueError(f"{type(module).__name__} has no parameter {name!r}. Write name= of one that it has.")
        weight = getattr(module, f"{name}_orig" if before is not None else name)
        if importance_scores is not None and tuple(importance_scores.shape) != tuple(weight.shape):
            raise ValueError(
                f"importance_scores of shape {tuple(importance_scores.shape)} for {name!r} of {tuple(weight.shape)}. "
                "Write one for each weight instead."
            )
        kept = np.ones(weight.shape, np.float32) if before is None else _array(getattr(module, f"{name}_mask"))
        scores = _array(getattr(module, name) if importance_scores is None else importance_scores)
        found: BasePruningMethod = method if before is None else PruningContainer(before, method)
        if before is not None:
            before.handle.remove()
        mask = method._mask_of(scores, kept).astype(weight.dtype)
        if before is None:
            delattr(module, name)
            module.register_parameter(f"{name}_orig", weight)
        module.register_buffer(f"{name}_mask", Tensor(mask))
        found._tensor_name = name
        setattr(module, name, found.apply_mask(module))
        found.handle = module.register_forward_pre_hook(found)
        return found

    def _mask_of(self, scores: Any, kept: Any) -> Any:
        """The mask after this method, of scores of which ``kept`` were left."""
        if kept.all() or self.PRUNING_TYPE == "global":
            return _array(self.compute_mask(Tensor(scores), Tensor(kept)))
        if self.PRUNING_TYPE == "structured":
            axis = axis_of(self.dim, scores.ndim)
            part: Any = (*(slice(None),) * axis, kept.any(tuple(i for i in range(kept.ndim) if i != axis)))
        else:
            part = kept == 1
        mask = kept.copy()
        mask[part] = _array(self.compute_mask(Tensor(scores[part]), Tensor(kept[part])))
        return mask

    def prune(self, t: Any, default_mask: Any = None, importance_scores: Any = None) -> Any:
        """``t`` with 0 for what is removed."""
        kept = np.ones(t.shape, np.float32) if default_mask is None else default_mask
        scores = t if importance_scores is None else importance_scores
        return t * self.compute_mask(scores, kept if isinstance(kept, Tensor) else Tensor(kept))

    def remove(self, module: Any) -> None:
        """Make the pruned weight a parameter again."""
        name = self._tensor_name
        value, original = self.apply_mask(module).detach().clone(), getattr(module, f"{name}_orig")
        self.handle.remove()
        delattr(module, name)
        delattr(module, f"{name}_mask")
        delattr(module, f"{name}_orig")
        original.data.copy_(value)
        module.register_parameter(name, original)


class PruningContainer(BasePruningMethod):
    """Several methods that prune one weight, one after the other."""

    def __init__(self, *methods: BasePruningMethod) -> None:
        inner = [part for m in methods for part in (m._methods if isinstance(m, PruningContainer) else [m])]
        self._methods: list[BasePruningMethod] = inner

    def __len__(self) -> int:
        return len(self._methods)

    def __iter__(self) -> Any:
        return iter(self._methods)

    def __getitem__(self, index: int) -> BasePruningMethod:
        return self._methods[index]

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        return self._methods[-1]._mask_of(_array(t), _array(default_mask))


class Identity(BasePruningMethod):
    """Removes nothing."""

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        return default_mask


class CustomFromMask(BasePruningMethod):
    """Removes what a mask says."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Any) -> None:
        self.mask = mask

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        return _array(default_mask) * _array(self.mask)


class _Ranked(BasePruningMethod):
    """Removes those of the smallest scores; of equal ones the first."""

    def __init__(self, amount: float) -> None:
        _count(amount, 2**62 if isinstance(amount, int) else 1)
        self.amount = amount

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        mask, scores = _array(default_mask).copy(), self._scores(_array(t))
        mask.reshape(-1)[np.argsort(scores.reshape(-1), kind="stable")[: _count(self.amount, scores.size)]] = 0
        return mask

    @abstractmethod
    def _scores(self, t: Any) -> Any:
        """A score for each weight."""


class L1Unstructured(_Ranked):
    """Removes the weights of the smallest sizes: a share of them, or so many."""

    def _scores(self, t: Any) -> Any:
        return np.abs(t)


class RandomUnstructured(_Ranked):
    """Removes weights at random."""

    def _scores(self, t: Any) -> Any:
        return rng.numpy_generator("tensor").random(t.shape)


class _Slices(BasePruningMethod):
    """Removes the slices along ``dim`` of the smallest scores."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, dim: int = -1) -> None:
        _count(amount, 2**62 if isinstance(amount, int) else 1)
        self.amount, self.dim = amount, dim

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        array, mask = _array(t), _array(default_mask).copy()
        axis = axis_of(self.dim, array.ndim)
        scores = self._scores(array, tuple(i for i in range(array.ndim) if i != axis), array.shape[axis])
        gone = np.argsort(scores, kind="stable")[: _count(self.amount, len(scores))]
        mask[(*(slice(None),) * axis, gone)] = 0
        return mask

    @abstractmethod
    def _scores(self, t: Any, rest: tuple[int, ...], size: int) -> Any:
        """A score for each slice."""


class LnStructured(_Slices):
    """Removes the slices along ``dim`` of the smallest norms of order ``n``."""

    def __init__(self, amount: float, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _scores(self, t: Any, rest: tuple[int, ...], size: int) -> Any:
        return _array(Tensor(t).norm(2 if self.n == "fro" else self.n, rest))


class RandomStructured(_Slices):
    """Removes slices along ``dim`` at random."""

    def _scores(self, t: Any, rest: tuple[int, ...], size: int) -> Any:
        return rng.numpy_generator("tensor").random(size)


def _method_of(module: Any, name: str) -> BasePruningMethod | None:
    found = (hook for hook in module._forward_pre_hooks.values() if isinstance(hook, BasePruningMethod))
    return next((hook for hook in found if hook._tensor_name == name), None)


def identity(module: Any, name: str) -> Any:
    """Prune nothing yet; returns the module, as all functions here."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Any, name: str, amount: float) -> Any:
    """Remove a share of the weights, or so many, at random."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module: Any, name: str, amount: float, importance_scores: Any = None) -> Any:
    """Remove a share of the weights, or so many: those of the smallest sizes.

    Example:
        >>> import ranvier.torch as torch
        >>> from ranvier.torch.nn.utils import prune
        >>> layer = prune.l1_unstructured(torch.nn.Linear(4, 2), 'weight', amount=0.5)
        >>> int((layer.weight == 0).sum()), sorted(name for name, _ in layer.named_buffers())
        (4, ['weight_mask'])
    """
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module: Any, name: str, amount: float, dim: int) -> Any:
    """Remove a share of the slices along ``dim``, or so many, at random."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(module: Any, name: str, amount: float, n: Any, dim: int, importance_scores: Any = None) -> Any:
    """Remove a share of the slices along ``dim``, or so many: those of the smallest norms of order ``n``."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Any, name: str, mask: Any) -> Any:
    """Remove the weights where the mask is 0."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Any, str]],
    pruning_method: type[BasePruningMethod],
    importance_scores: Any = None,
    **kwargs: Any,
) -> None:
    """Prune the weights ``(module, name)`` together, as if they were one."""
    given: Sequence[tuple[Any, str]] = list(parameters)
    scores = importance_scores or {}
    ranked = [_array(scores.get((module, name), getattr(module, name))).reshape(-1) for module, name in given]
    kept = [
        np.ones(part.shape, np.float32) if _method_of(module, name) is None
        else _array(getattr(module, f"{name}_mask")).reshape(-1)
        for part, (module, name) in zip(ranked, given, strict=True)
    ]  # fmt: skip
    method = pruning_method(**kwargs)
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(f"{pruning_method.__name__} for weights of several shapes. Write one that is unstructured.")
    mask, start = method._mask_of(np.concatenate(ranked), np.concatenate(kept)), 0
    for module, name in given:
        shape = getattr(module, name).shape
        stop = start + int(np.prod(shape))
        custom_from_mask(module, name, Tensor(mask[start:stop].reshape(shape)))
        start = stop


def remove(module: Any, name: str) -> Any:
    """Make the pruned weight a parameter again. Raises ValueError where it is not pruned."""
    method = _method_of(module, name)
    if method is None:
        raise ValueError(f"{name!r} of {module!r} is not pruned.")
    method.remove(module)
    return module


def is_pruned(module: Any) -> bool:
    """Whether a weight of the module, or of one within it, is pruned."""
    return any(isinstance(hook, BasePruningMethod) for m in module.modules() for hook in m._forward_pre_hooks.values())


__getattr__, __dir__ = missing("torch.nn.utils.prune", __all__)
