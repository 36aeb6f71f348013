"""Random numbers in a model or a step that is traced: the program draws new ones in each run."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from ranvier.graph.dtypes import as_array
from ranvier.graph.node import Node, apply, full
from ranvier.ops import arrays, functional
from ranvier.tensor.context import get_dtype
from ranvier.tensor.function import function
from ranvier.tensor.rng import draw, numpy_generator
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import state


@function
def uniform_numbers(seed: Node, stream: Node, shape: tuple[Any, ...], dtype: str) -> Node:
    """Uniform numbers in [0, 1) of a stream."""
    return apply("random", seed, stream, shape=shape, dtype=dtype)


@function
def _normal(seed: Node, stream: Node, shape: tuple[Any, ...], dtype: str) -> Node:
    made: Node = functional.standard_normal(full(0.0, shape, dtype), seed, stream)
    return made


class ProgramGenerator:
    """The methods of NumPy's generator that programs compute. They return tensors."""

    def random(self, shape: Any, dtype: Any = None) -> Tensor:
        """Uniform numbers in [0, 1)."""
        kind = "float64" if dtype == "float64" else get_dtype()
        made: Tensor = uniform_numbers(*draw(), shape=tuple(shape), dtype=kind)
        return made

    def standard_normal(self, shape: Any) -> Tensor:
        """Numbers of the standard normal distribution."""
        made: Tensor = _normal(*draw(), shape=tuple(shape), dtype=get_dtype())
        return made

    def standard_exponential(self, shape: Any) -> Tensor:
        """Numbers of the exponential distribution of rate 1."""
        made: Tensor = arrays.negative(arrays.log(arrays.subtract(1.0, self.random(shape))))
        return made

    def integers(self, low: int, high: int, shape: Any) -> Tensor:
        """Whole numbers from low up to but not including high, float64."""
        made: Tensor = arrays.floor(arrays.multiply(self.random(shape, "float64"), float(high - low)))
        return arrays.add(made, float(low))

    def __getattr__(self, name: str) -> NoReturn:
        raise RuntimeError(
            f"numbers are drawn by {name!r} while a model or a step is traced, which happens once: each batch would "
            "get the same. Write torch.rand, randn, randint or bernoulli, which the program draws anew for each batch, "
            "or give them to the model as an input."
        )


def generator_of(own: np.random.Generator | None) -> Any:
    """What tensors are drawn from: the given generator, else the next of the process's seed, or the program's."""
    if not state.tracing:
        return numpy_generator("tensor") if own is None else own
    if own is not None:
        raise RuntimeError(
            "a generator of your own is given while a model or a step is traced, which happens once. Leave generator= "
            "out: the program draws new numbers for each batch, by torch.manual_seed."
        )
    return ProgramGenerator()


def drawn_tensor(values: Any, dtype: str, requires_grad: bool = False) -> Tensor:
    """What was drawn, an array or a tensor, as a tensor of a dtype."""
    if not isinstance(values, Tensor):
        return Tensor.wrap(as_array(np.asarray(values), dtype), requires_grad=requires_grad)
    made: Tensor = values if values.dtype == dtype else arrays.cast(values, dtype)
    return made
