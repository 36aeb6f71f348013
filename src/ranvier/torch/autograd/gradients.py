"""Gradients of outputs: ``grad`` returns them, ``backward`` adds them to those of the leaves."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.tensor.autograd import backward as backward_of
from ranvier.tensor.autograd import check_history, check_operands, gradients, joint_gradients, meets_rules, reaches
from ranvier.tensor.function import add
from ranvier.tensor.tensor import Tensor
from ranvier.torch.autograd.modes import set_grad_enabled

__all__ = ["Variable", "backward", "grad"]


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The derivative of an output, or of the sum of several, by each input.

    With ``create_graph=True`` you can differentiate it again. ``grad_outputs`` are the derivatives by the outputs,
    required for those with more than one element. The recorded graph is always kept: ``retain_graph`` has no effect.
    Raises RuntimeError for an input that no output depends on; with ``allow_unused=True`` its derivative is None, and
    zeros with ``materialize_grads=True``.
    """
    if is_grads_batched:
        raise ValueError("is_grads_batched=True does not exist here. Write a loop over grad_outputs instead.")
    given, wanted = _several(outputs), _several(inputs)
    seeds = [None] * len(given) if grad_outputs is None else _several(grad_outputs)
    if len(seeds) != len(given):
        raise RuntimeError(f"{len(seeds)} grad_outputs for {len(given)} outputs. Write one for each, or None.")
    results: list[Tensor | None] = [None] * len(wanted)
    for place, tensor in enumerate(wanted):
        if not tensor.requires_grad:
            raise RuntimeError(
                f"input {place} of shape {tensor.shape} requires no gradient. Write x.requires_grad_() before it "
                "is used."
            )
    with set_grad_enabled(create_graph):
        check_operands(given, wanted)
        if meets_rules(given, wanted):
            results = joint_gradients(given, wanted, seeds)
        else:
            _add_gradients(results, given, wanted, seeds)
    for place, (tensor, result) in enumerate(zip(wanted, results, strict=True)):
        if result is None and materialize_grads:
            results[place] = Tensor.wrap(np.zeros(tensor.shape, tensor.dtype))
        elif result is None and not allow_unused:
            raise RuntimeError(
                f"no output depends on input {place} of shape {tensor.shape}. Write allow_unused=True, which gives "
                "None for it, or leave it out."
            )
    return tuple(results)


def _add_gradients(results: list[Tensor | None], given: list[Any], wanted: list[Any], seeds: list[Any]) -> None:
    """Add the derivatives of each output to the results."""
    for output, seed in zip(given, seeds, strict=True):
        check_history(output)
        used = [place for place, tensor in enumerate(wanted) if reaches(output, tensor)]
        parts = gradients(output, [wanted[place] for place in used], seed) if used else []
        for place, part in zip(used, parts, strict=True):
            known = results[place]
            results[place] = part if known is None else add(known, part)


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """`Tensor.backward` of each of the tensors, whose derivatives are ``grad_tensors``."""
    given = _several(tensors)
    seeds = grad_variables if grad_tensors is None else grad_tensors
    seeds = [None] * len(given) if seeds is None else _several(seeds)
    if len(seeds) != len(given):
        raise RuntimeError(f"{len(seeds)} grad_tensors for {len(given)} tensors. Write one for each, or None.")
    for tensor, seed in zip(given, seeds, strict=True):
        backward_of(tensor, seed, retain_graph, create_graph, inputs)


def _several(given: Any) -> list[Any]:
    return [given] if isinstance(given, Tensor) or given is None else list(given)


def Variable(data: Any, requires_grad: bool = False) -> Tensor:  # noqa: N802  # PyTorch's name
    """``data`` as a tensor, for programs from before PyTorch 0.4."""
    tensor: Tensor = data if isinstance(data, Tensor) else Tensor(data)
    return tensor.requires_grad_() if requires_grad else tensor
