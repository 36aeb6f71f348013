"""Keras's operations on derivatives: a derivative along a direction, and a gradient of one's own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ranvier.graph.dtypes import FLOATING, array_dtype
from ranvier.ops import arrays
from ranvier.ops.keras.arrays import convert_to_tensor
from ranvier.support.tree import flatten, map_structure
from ranvier.tensor import trace
from ranvier.tensor.context import no_grad
from ranvier.tensor.cuts import PlacedCut, cut
from ranvier.tensor.gradient_tape import GradientTape
from ranvier.tensor.tensor import Tensor


def _tensors(tree: Any) -> Any:
    return map_structure(tree, (np.ndarray, int, float), convert_to_tensor)


def jvp(fun: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False) -> Any:
    """``fun(*primals)`` and its derivative along ``tangents``, of one structure; with ``has_aux`` what ``fun`` returns
    beside its output, too.

    It is the derivative, by its seed, of the reverse derivative, which is linear in the seed.
    Raises ValueError for tangents of another structure or shape.
    """
    given, along = _tensors(tuple(primals)), list(flatten(_tensors(tuple(tangents)), Tensor))
    copies = map_structure(given, Tensor, lambda x: arrays.multiply(x, 1.0))
    wanted = list(flatten(copies, Tensor))
    if [x.shape for x in wanted] != [t.shape for t in along]:
        raise ValueError(
            f"ops.jvp of inputs of shapes {[x.shape for x in wanted]} and tangents of {[t.shape for t in along]}. "
            "Write a tangent of its shape for each input."
        )
    with GradientTape(watch_accessed_variables=False) as outer:
        with GradientTape(watch_accessed_variables=False) as inner:
            inner.watch(wanted)
            returned = fun(*copies)
            output, aux = returned if has_aux else (returned, None)
        outputs = list(flatten(output, Tensor))
        # The seed's value is irregular because gradients near zero are rounded to zero.
        random = np.random.default_rng(0)
        seeds = [Tensor(random.uniform(1, 2, y.shape), dtype=y.dtype) for y in outputs]
        outer.watch(seeds)
        reverse = inner.gradient(outputs, wanted, output_gradients=seeds, unconnected_gradients="zero")
    found = outer.gradient(reverse, seeds, output_gradients=along, unconnected_gradients="zero")
    rest = iter(found)
    derivative = map_structure(output, Tensor, lambda _: next(rest))
    return (output, derivative, aux) if has_aux else (output, derivative)


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function with a gradient of its own: ``f`` returns its result, and a function of ``(*args, upstream)`` that
    returns the gradient of each argument; ``upstream`` is the gradient of the result.

    Raises ValueError for another number of gradients than of arguments.
    """

    @functools.wraps(f)
    def called(*args: Any, **options: Any) -> Any:
        given = [convert_to_tensor(a) if isinstance(a, (np.ndarray, int, float)) else a for a in args]
        with no_grad():
            result, grad = f(*given, **options)
        sources = [a for a in given if isinstance(a, Tensor) and a.requires_grad]
        if not sources or not trace.state.grad_enabled:
            return result
        values = list(flatten(result, Tensor))
        made = iter(cut(functools.partial(_own_gradients, grad, given, result), values, sources, sources))
        return map_structure(result, Tensor, lambda _: next(made))

    return called


def _own_gradients(
    grad: Callable[..., Any], args: Sequence[Any], result: Any, gradients: list[Any], place: PlacedCut
) -> list[Any]:
    """The rule of the cut: what ``grad`` returns for the arguments that require a gradient."""
    needed = [isinstance(a, Tensor) and a.requires_grad for a in args]
    saved = iter(range(sum(needed)))
    given = [place.saved(next(saved)) if need else a for need, a in zip(needed, args, strict=True)]
    parts = iter(arrays.zeros_like(place.result(i)) if g is None else g for i, g in enumerate(gradients))
    upstream = map_structure(result, Tensor, lambda _: next(parts))
    named = inspect.signature(grad).parameters
    keyword = "upstream" in named and named["upstream"].kind is inspect.Parameter.KEYWORD_ONLY
    returned = (
        grad(*given, upstream=upstream) if keyword else grad(*given, upstream) if len(named) > 1 else grad(upstream)
    )
    slopes = list(returned) if isinstance(returned, (tuple, list)) else [returned]
    if len(slopes) != len(args):
        raise ValueError(
            f"the gradient of a function of {len(args)} arguments returned {len(slopes)} gradients. Return one for "
            "each argument, and None for those without."
        )
    return [_fitted(s, a) for s, a, need in zip(slopes, args, needed, strict=True) if need]


def _fitted(part: Any, argument: Tensor) -> Any:
    if part is None:
        return None
    value = part if isinstance(part, Tensor) else Tensor(np.asarray(part, array_dtype(argument.dtype)))
    value = value if value.dtype in FLOATING else arrays.cast(value, argument.dtype)
    return value if value.shape == argument.shape else arrays.broadcast_to(value, argument.shape)
