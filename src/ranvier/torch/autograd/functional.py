"""``torch.autograd.functional``: derivatives of functions at given inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ranvier.ops import arrays
from ranvier.support.errors import missing
from ranvier.tensor.tensor import Tensor
from ranvier.torch.autograd.transforms import (
    checked_seed,
    constant,
    copies,
    derivatives,
    forward_derivatives,
    jacobian_rows,
    transform,
)

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _tuple(given: Any, what: str) -> tuple[Tensor, ...]:
    several = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    for one in several:
        if not isinstance(one, Tensor):
            raise TypeError(f"{what} must be a tensor or a tuple of tensors, and here is {type(one).__name__}.")
    return several


def _like(results: Sequence[Any], given: Any) -> Any:
    """A tuple where a tuple was given, else the one result."""
    return tuple(results) if isinstance(given, (tuple, list)) else results[0]


def _called(func: Callable[..., Any], inputs: Any, create_graph: bool, name: str) -> tuple[list[Tensor], Any]:
    """The copies of the inputs, and what the function returns for them."""
    given = _tuple(inputs, f"the inputs of {name}")
    copied = copies(given if create_graph else [constant(t) for t in given], name)
    return copied, func(*copied)


def _kept(results: Sequence[Tensor], create_graph: bool) -> list[Tensor]:
    return list(results) if create_graph else [constant(r) for r in results]


def _seeds(v: Any, wanted: Sequence[Tensor], what: str) -> list[Tensor]:
    """The vectors, one for each tensor; ones where a single number is differentiated."""
    if v is None:
        if len(wanted) != 1 or wanted[0].numel() != 1:
            raise RuntimeError(f"{what} of more than one element needs v=, a vector of the same shape.")
        return [arrays.ones_like(wanted[0])]
    given = _tuple(v, "v")
    if len(given) != len(wanted):
        raise RuntimeError(f"v has {len(given)} tensors, and {what} has {len(wanted)}. Write one for each.")
    return [checked_seed(s, o, what) for s, o in zip(given, wanted, strict=True)]


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The derivative of each element of what ``func`` returns by each element of the inputs.

    It has the output's shape, then the input's; of several inputs it is a tuple, and of several outputs a tuple of
    these. With ``create_graph=True`` it can be differentiated again. ``vectorize`` and ``strategy`` do not change it.
    """
    with transform() as outermost:
        copied, output = _called(func, inputs, create_graph, "jacobian")
        outputs = _tuple(output, "the outputs of func")
        _check_strict(outputs, strict, "jacobian")
        recorded = not outermost or create_graph
        rows = [_like(jacobian_rows(o, copied, recorded), inputs) for o in outputs]
    return _like(rows, output)


def _check_strict(outputs: Sequence[Tensor], strict: bool, name: str) -> None:
    if strict and not all(o.requires_grad for o in outputs):
        raise RuntimeError(f"{name} with strict=True: an output does not depend on the inputs.")


def _scalar(output: Any, name: str) -> Tensor:
    """The one number that a function returns."""
    if not isinstance(output, Tensor) or output.numel() != 1:
        shape = f"a tensor of shape {output.shape}" if isinstance(output, Tensor) else type(output).__name__
        raise RuntimeError(f"{name} needs a function that returns one number, and this one returned {shape}.")
    return output


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of the number that ``func`` returns: of several inputs a tuple of tuples."""

    def slope(*copied: Tensor) -> tuple[Tensor, ...]:
        output = _scalar(func(*copied), "hessian")
        _check_strict([output], strict, "hessian")
        return tuple(derivatives([output], copied, [None]))

    rows = jacobian(slope, _tuple(inputs, "the inputs of hessian"), create_graph=create_graph)
    return rows if isinstance(inputs, (tuple, list)) else rows[0][0]


def vjp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """What ``func`` returns, and its derivative by the inputs, multiplied by ``v`` of the output's shape."""
    with transform():
        copied, output = _called(func, inputs, create_graph, "vjp")
        outputs = _tuple(output, "the outputs of func")
        _check_strict(outputs, strict, "vjp")
        found = derivatives(outputs, copied, _seeds(v, outputs, "an output"))
        return _like(_kept(outputs, create_graph), output), _like(_kept(found, create_graph), inputs)


def jvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """What ``func`` returns, and its derivative along ``v``, which has the inputs' shape."""
    with transform():
        copied, output = _called(func, inputs, create_graph, "jvp")
        outputs = _tuple(output, "the outputs of func")
        _check_strict(outputs, strict, "jvp")
        found = forward_derivatives(outputs, copied, _seeds(v, copied, "an input"))
        return _like(_kept(outputs, create_graph), output), _like(_kept(found, create_graph), output)


def vhp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The number that ``func`` returns, and the product of ``v``, of the inputs' shape, with its second derivatives."""
    with transform():
        copied, output = _called(func, inputs, create_graph, "vhp")
        number = _scalar(output, "vhp")
        _check_strict([number], strict, "vhp")
        slopes = derivatives([number], copied, [None])
        found = derivatives(slopes, copied, _seeds(v, copied, "an input"))
        return _kept([number], create_graph)[0], _like(_kept(found, create_graph), inputs)


hvp = vhp  # second derivatives are symmetric

__getattr__, __dir__ = missing("torch.autograd.functional", __all__)
