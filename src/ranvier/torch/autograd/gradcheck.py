"""``gradcheck``: gradients compared with differences of values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ranvier.graph.dtypes import FLOATS
from ranvier.support.tree import flatten
from ranvier.tensor.context import no_grad
from ranvier.tensor.tensor import Tensor
from ranvier.torch.autograd.gradients import grad
from ranvier.torch.autograd.modes import enable_grad
from ranvier.torch.autograd.transforms import jacobian_rows

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """A gradient that differs from the differences of values."""


def _wanted(inputs: Sequence[Any]) -> list[Tensor]:
    """The inputs that require a gradient. Raises ValueError where there is none, or one of too few bits."""
    found = [t for t in inputs if isinstance(t, Tensor) and t.requires_grad]
    if not found:
        raise ValueError("gradcheck needs an input that requires a gradient. Write x.requires_grad_() first.")
    for tensor in found:
        if tensor.dtype not in FLOATS:
            raise ValueError(f"gradcheck cannot take differences of {tensor.dtype}. Write x.double() instead.")
    return found


def _outputs(func: Callable[..., Any], inputs: Sequence[Any]) -> list[Tensor]:
    return [t for t in flatten(func(*inputs), Tensor) if t.dtype in FLOATS]


def _differences(func: Callable[..., Any], inputs: Sequence[Any], place: int, eps: float) -> list[np.ndarray[Any, Any]]:
    """The slopes of each output by the elements of one input, (elements, size of the output)."""
    array = np.array(inputs[place].compute(), order="C")

    def values(i: int, step: float) -> list[Any]:
        moved = array.copy()
        moved.reshape(-1)[i] += step
        given = [*inputs[:place], Tensor.wrap(moved), *inputs[place + 1 :]]
        return [np.array(o.compute(), "float64").reshape(-1) for o in _outputs(func, given)]

    with no_grad():
        rows = [
            [(a - b) / (2 * eps) for a, b in zip(values(i, eps), values(i, -eps), strict=True)]
            for i in range(array.size)
        ]
    return [np.array(column) for column in zip(*rows, strict=True)]


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether the gradients of a function agree with the differences of its values, at inputs of float64.

    Raises GradcheckError where they do not, unless ``raise_exception`` is False. The options after that one do not
    change the result: every element is compared, and there is one way to compute gradients.
    """
    given = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    wanted = _wanted(given)
    outputs = _outputs(func, given)
    if not any(o.requires_grad for o in outputs):
        raise ValueError("gradcheck needs an output that requires a gradient, and this function returns none.")
    by_input = {id(t): _differences(func, given, i, eps) for i, t in enumerate(given) if any(t is w for w in wanted)}
    for number, output in enumerate(outputs):
        jacobians = jacobian_rows(output, wanted, False)
        for place, (tensor, exact) in enumerate(zip(wanted, jacobians, strict=True)):
            numeric = by_input[id(tensor)][number].T
            computed = np.asarray(exact.compute(), "float64").reshape(numeric.shape)
            if np.allclose(computed, numeric, rtol, atol):
                continue
            if not raise_exception:
                return False
            worst = np.unravel_index(np.argmax(np.abs(computed - numeric)), numeric.shape)
            raise GradcheckError(
                f"the gradient of output {number} by input {place} is {computed[worst]:.6g} at element {int(worst[0])} "
                f"of the output and {int(worst[1])} of the input, and the differences of values give "
                f"{numeric[worst]:.6g}."
            )
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    gen_non_contig_grad_outputs: bool = False,
    **options: Any,
) -> bool:
    """`gradcheck` of the gradients of a function, by the inputs and by ``grad_outputs``, whose default is drawn."""
    given = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    outputs = [o for o in _outputs(func, given) if o.requires_grad]
    if grad_outputs is None:
        random = np.random.default_rng(0)
        seeds = [Tensor.wrap(random.standard_normal(o.shape).astype(o.dtype, order="C")) for o in outputs]
        for seed in seeds:
            seed.requires_grad = True
    else:
        seeds = list(grad_outputs) if isinstance(grad_outputs, (tuple, list)) else [grad_outputs]
    places = [i for i, t in enumerate(given) if isinstance(t, Tensor) and t.requires_grad]

    @enable_grad()
    def slopes(*arguments: Any) -> tuple[Tensor, ...]:
        own, factors = list(arguments[: len(given)]), arguments[len(given) :]
        for i in places:
            if not own[i].requires_grad:  # a moved copy
                own[i] = own[i].detach().requires_grad_()
        results = [o for o in _outputs(func, own) if o.requires_grad]
        return grad(results, [own[i] for i in places], factors, create_graph=True, materialize_grads=True)

    return gradcheck(slopes, (*given, *seeds), **options)
