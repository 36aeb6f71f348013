"""What transforms of functions (`torch.func`, `torch.autograd.functional`) have in common.

A transform calls the function on copies of its arguments that gradients reach, and differentiates what it returns.
Transforms may be nested: the copies are recorded, so that an outer transform differentiates through an inner one.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ranvier.graph.dtypes import FLOATING, array_dtype
from ranvier.ops import arrays
from ranvier.support.tree import map_structure
from ranvier.tensor import tape
from ranvier.tensor.context import no_grad
from ranvier.tensor.function import detach
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import WATCH, intern, state
from ranvier.torch.autograd.gradients import grad
from ranvier.torch.autograd.modes import enable_grad

DEEPEST = 1000  # copies of one transform: a number tells each copy from those of other arguments and transforms


class _Depth(threading.local):
    depth = 0


_current = _Depth()


@contextlib.contextmanager
def transform() -> Iterator[bool]:
    """The context of a transform, in which gradients are recorded; gives whether it is the outermost one."""
    _current.depth += 1
    try:
        with enable_grad():
            yield _current.depth == 1 and not state.tracing
    finally:
        _current.depth -= 1


def is_outermost() -> bool:
    """Whether no transform is in progress, nor the trace of a model."""
    return not _current.depth and not state.tracing


def copies(tensors: Sequence[Any], name: str) -> list[Tensor]:
    """Copies of the arguments of a function, which gradients reach. Raises TypeError for what has no gradient."""
    made = []
    for i, tensor in enumerate(tensors):
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{name} differentiates by tensors, and here is {type(tensor).__name__}. Write a tensor.")
        if tensor.dtype not in FLOATING:
            raise TypeError(f"{name} differentiates by floats, and here is {tensor.dtype}. Write x.float() instead.")
        segment = tape.segment_of([tensor])
        options = (("tape", -(_current.depth * DEEPEST + i)),)
        node = intern(WATCH, (segment.node_of(tensor),), options, state.grad_enabled)[0]
        made.append(Tensor.pending(node, segment))
    return made


def constant(tensor: Tensor) -> Tensor:
    """A tensor as a constant for gradients."""
    with no_grad():
        value: Tensor = detach(tensor)
    return value


def derivatives(outputs: Sequence[Tensor], by: Sequence[Tensor], seeds: Sequence[Any]) -> list[Tensor]:
    """The derivatives of the outputs, times the seeds; zeros where none depends on a tensor."""
    pairs = [(o, s) for o, s in zip(outputs, seeds, strict=True) if o.requires_grad]
    if not pairs:
        return [arrays.zeros_like(t) for t in by]
    used, given = zip(*pairs, strict=True)
    return list(grad(used, list(by), given, create_graph=True, materialize_grads=True))


def checked_seed(seed: Any, output: Tensor, name: str) -> Tensor:
    """A vector that multiplies a derivative. Raises RuntimeError for one of another shape."""
    if not isinstance(seed, Tensor) or seed.shape != output.shape:
        given = f"one of shape {seed.shape}" if isinstance(seed, Tensor) else type(seed).__name__
        raise RuntimeError(f"{name} needs a vector of the shape {output.shape}, and here is {given}.")
    return seed


def forward_derivatives(outputs: Sequence[Tensor], by: Sequence[Tensor], tangents: Sequence[Tensor]) -> list[Tensor]:
    """The derivatives of the outputs along the tangents: those, by its seed, of the reverse derivative.

    That is linear in the seed, whose value is irregular because gradients near zero are rounded to zero.
    """
    random = np.random.default_rng(0)
    given = [
        Tensor.wrap(np.asarray(random.uniform(1, 2, o.shape), array_dtype(o.dtype)), type_=o.spec) for o in outputs
    ]
    seeds = copies(given, "jvp")
    reverse = derivatives(outputs, by, seeds)
    return derivatives(reverse, seeds, tangents)


def jacobian_rows(output: Tensor, by: Sequence[Tensor], recorded: bool) -> list[Tensor]:
    """The derivative of each element of the output by each tensor: (*output.shape, *tensor.shape).

    Where nobody differentiates them again (``recorded`` is False), one program computes one row after the other.
    """
    size = math.prod(output.shape)
    shapes = [(*output.shape, *t.shape) for t in by]
    if not size or not output.requires_grad:
        return [Tensor.wrap(np.zeros(shape, array_dtype(t.dtype))) for shape, t in zip(shapes, by, strict=True)]
    units = np.eye(size, dtype=array_dtype(output.dtype)).reshape(size, *output.shape)
    if recorded:
        rows = [derivatives([output], by, [Tensor.wrap(np.array(unit, order="C"))]) for unit in units]
        return [
            arrays.reshape(arrays.stack(row), shape) for row, shape in zip(zip(*rows, strict=True), shapes, strict=True)
        ]
    seed = Tensor.wrap(np.array(units[0], order="C"))
    wholes: list[Any] = [np.empty((size, *t.shape), array_dtype(t.dtype)) for t in by]
    with no_grad():
        for i, unit in enumerate(units):
            np.copyto(seed._value, unit)  # nothing that is pending reads it: the row before has been computed
            parts = grad(output, list(by), seed, materialize_grads=True)
            for whole, part in zip(wholes, parts, strict=True):
                whole[i] = part.compute()
    return [Tensor.wrap(whole.reshape(shape)) for whole, shape in zip(wholes, shapes, strict=True)]


def finished(tree: Any, outermost: bool) -> Any:
    """Results of a transform. Those of the outermost one that no leaf's gradient reaches require no gradient."""
    if not outermost:
        return tree

    def result(tensor: Tensor) -> Tensor:
        node = tensor.trace_node
        return constant(tensor) if node is not None and node.requires_grad and not node.grad_leaves else tensor

    return map_structure(tree, Tensor, result)


def has_leaves(output: Tensor) -> bool:
    """Whether the gradient of an output reaches leaves, besides the copies."""
    return output.trace_node is not None and bool(output.trace_node.grad_leaves)
