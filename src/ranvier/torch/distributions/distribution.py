"""The base of distributions: shapes, checks of parameters and values, and what does not exist."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from ranvier.graph.dtypes import FLOATING, widened
from ranvier.graph.extents import Extent
from ranvier.ops import vocabulary
from ranvier.support.constructors import CheckedConstructor
from ranvier.tensor.attribute_types import Size
from ranvier.tensor.context import get_dtype, no_grad
from ranvier.tensor.tensor import Tensor

ROUNDING = 1e-5  # of the sum of probabilities


def _rows(good: Any, a: Any) -> Any:
    """The truth values of whole rows, or matrices, for each of their elements."""
    return good.reshape(good.shape + (1,) * (a.ndim - good.ndim)) & np.ones(a.shape, bool)


def _is_simplex(a: Any) -> Any:
    return _rows((a >= 0).all(-1) & (np.abs(a.sum(-1) - 1) < ROUNDING), a)


def _is_one_hot(a: Any) -> Any:
    return _rows(((a == 0) | (a == 1)).all(-1) & (a.sum(-1) == 1), a)


def _is_lower_cholesky(a: Any) -> Any:
    return _rows((np.triu(a, 1) == 0).all((-2, -1)) & (np.diagonal(a, axis1=-2, axis2=-1) > 0).all(-1), a)


def _is_positive_definite(a: Any) -> Any:
    turned = np.swapaxes(a, -1, -2)
    symmetric = (np.abs(a - turned) <= ROUNDING * (1 + np.abs(a))).all((-2, -1))
    return _rows(symmetric & (np.linalg.eigvalsh((a + turned) / 2) > 0).all(-1), a)


# What parameters and values can be: the check of an array, which gives truth values, and how a message words it.
KINDS: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "real": (lambda a: ~np.isnan(a), "a number"),
    "positive": (lambda a: a > 0, "above 0"),
    "nonnegative": (lambda a: a >= 0, "0 or more"),
    "count": (lambda a: (a >= 0) & (a == np.floor(a)), "a whole number, 0 or more"),
    "unit": (lambda a: (a >= 0) & (a <= 1), "from 0 to 1"),
    "boolean": (lambda a: (a == 0) | (a == 1), "0 or 1"),
    "simplex": (_is_simplex, "part of probabilities whose sum is 1"),
    "one_hot": (_is_one_hot, "part of a row with one 1 and zeros"),
    "lower_cholesky": (_is_lower_cholesky, "part of a lower triangular matrix with a diagonal above 0"),
    "positive_definite": (_is_positive_definite, "part of a symmetric, positive definite matrix"),
}


def is_known(value: Any) -> bool:
    """Whether a tensor has its value: it is neither pending nor traced."""
    return (
        isinstance(value, Tensor)
        and value._value is not None
        and (value.segment is None or value.trace_node is not None)
    )


def check(who: str, name: str, value: Any, kind: str) -> None:
    """Raise ValueError for the first number of a known tensor that is not of a kind."""
    if not is_known(value):
        return
    array = np.asarray(widened(value.detach().compute()), np.float64)
    good = KINDS[kind][0](array)
    if not good.all():
        index = tuple(map(int, np.argwhere(~good)[0]))
        place = f" at index {index}" if index else ""
        raise ValueError(
            f"{who}: {name} is {array[index]:g}{place}, and has to be {KINDS[kind][1]}. Write other values, or "
            "validate_args=False."
        )


def broadcast(*values: Any) -> list[Tensor]:
    """Numbers and tensors as tensors of one shape; numbers take the dtype of the tensors, or the default one."""
    given = [v for v in values if isinstance(v, Tensor)]
    dtype = next((v.dtype for v in given if v.dtype in FLOATING), get_dtype())
    shapes = {v.shape for v in given}
    if len(shapes) > 1 or any(isinstance(n, Extent) for shape in shapes for n in shape):
        tensors = [v if isinstance(v, Tensor) else Tensor(v, dtype=dtype) for v in values]
        return list(vocabulary.find("torch", "broadcast_tensors")(*tensors))
    shape = next(iter(shapes), ())  # values that are known stay known
    return [v if isinstance(v, Tensor) else Tensor(np.full(shape, v), dtype=dtype) for v in values]


class Distribution(CheckedConstructor):
    """A distribution for each element of ``batch_shape``; a sample of one has the shape ``event_shape``.

    Parameters and values are checked where they are known: those that are pending in a loop, or traced, are not.
    """

    has_rsample = False
    has_enumerate_support = False
    arg_constraints: ClassVar[dict[str, str]] = {}  # by parameter: a kind of `KINDS`
    support: str = "real"
    _event_dims: ClassVar[dict[str, int]] = {}  # by parameter: its dimensions that are not of the batch, 0 by default
    _validates = True

    def __init__(self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validates = validate_args
        if self._validates:
            for name, kind in self.arg_constraints.items():
                if name in vars(self):
                    check(type(self).__name__, name, vars(self)[name], kind)

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Set whether distributions check their parameters and values where ``validate_args`` is left out."""
        Distribution._validates = bool(value)

    @property
    def batch_shape(self) -> Size:
        """The shape of the parameters: one distribution for each element."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one sample of one distribution."""
        return self._event_shape

    @property
    def stddev(self) -> Tensor:
        """The standard deviation."""
        deviation: Tensor = self.variance.sqrt()
        return deviation

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Samples of the shape ``sample_shape + batch_shape + event_shape``, without gradient."""
        with no_grad():
            drawn: Tensor = self.rsample(sample_shape)
            return drawn.detach()

    def sample_n(self, n: int) -> Tensor:
        """``sample((n,))``."""
        return self.sample((n,))

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same distribution for a larger batch; its parameters are expanded."""
        given = {
            name: value.expand(*batch_shape, *value.shape[value.ndim - self._event_dims.get(name, 0) :])
            for name, value in self._own().items()
        }
        return type(self)(**given, validate_args=False)

    def _own(self) -> dict[str, Tensor]:
        """The parameters that the constructor was given."""
        return {name: vars(self)[name] for name in self.arg_constraints if name in vars(self)}

    def _extended_shape(self, sample_shape: Any = ()) -> Size:
        return Size((*sample_shape, *self._batch_shape, *self._event_shape))

    def _validate_sample(self, value: Any) -> None:
        if self._validates:
            check(type(self).__name__, "value", value, self.support)

    def perplexity(self) -> Tensor:
        """``exp(entropy())``."""
        value: Tensor = self.entropy().exp()
        return value

    def __getattr__(self, name: str) -> Any:
        if name in METHODS:
            raise NotImplementedError(f"{type(self).__name__} has no {name} here.")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        shown = [f"{name}: {value.item() if value.ndim == 0 else value.shape}" for name, value in self._own().items()]
        return f"{type(self).__name__}({', '.join(shown)})"


METHODS = (
    "cdf", "entropy", "enumerate_support", "icdf", "log_prob", "mean", "mode", "rsample", "variance",
)  # fmt: skip

LOG_2PI = math.log(2 * math.pi)
EULER = 0.57721566490153286
