"""Matrix products and Einstein's summation."""

from __future__ import annotations

import string
from typing import Any

import numpy as np

from ranvier.graph import contraction
from ranvier.graph.dtypes import ELEMENT_TYPES, FLOATS
from ranvier.graph.node import GraphError, Node, apply
from ranvier.ops.arrays.promotion import as_node, broadcast_shape, result_dtype
from ranvier.ops.arrays.shape import diagonal, squeeze, transpose
from ranvier.tensor.function import function


def _product(equation: str, a: Node, b: Node) -> Node:
    """`contraction.einsum` in the operands' common dtype. Integers of 8 and 16 bits go through double precision, which
    is exact; wider ones are multiplied and summed as they are.
    """
    dtype = result_dtype(a, b)
    x, y = as_node(a, dtype), as_node(b, dtype)
    if dtype in FLOATS:
        return contraction.einsum(equation, x, y)
    if ELEMENT_TYPES[dtype].bits > 16:
        return _whole_product(equation, x, y)
    exact = contraction.einsum(equation, as_node(x, "float64"), as_node(y, "float64"))
    return as_node(as_node(exact, "int64"), dtype)


def _whole_product(equation: str, a: Node, b: Node) -> Node:
    """A product of integers as a sum of products, which wraps at their width."""
    operands, output = equation.split("->")
    letters = operands.split(",")
    extents = {c: d for word, x in zip(letters, (a, b), strict=True) for c, d in zip(word, x.shape, strict=True)}
    order = [*output, *sorted(set(extents) - set(output))]
    wide = []
    for word, x in zip(letters, (a, b), strict=True):
        sorted_ = sorted(word, key=order.index)
        x = apply("transpose", x, axes=tuple(word.index(c) for c in sorted_))
        places = tuple(order.index(c) for c in sorted_)
        wide.append(apply("broadcast", x, shape=tuple(extents[c] for c in order), axes=places))
    return apply("reduce_sum", wide[0] * wide[1], axes=tuple(range(len(output), len(order))))


def _drop_ones(x: Node, letters: str, kept: str) -> tuple[Node, str]:
    """Without the axes of extent 1, save those of the letters in ``kept``: a product broadcasts over what is absent."""
    here = [i for i, c in enumerate(letters) if x.shape[i] != 1 or c in kept]
    if len(here) == len(letters):
        return x, letters
    return apply("reshape", x, shape=tuple(x.shape[i] for i in here)), "".join(letters[i] for i in here)


@function
def matmul(a: Node, b: Node) -> Node:
    """The matrix product with NumPy's rules: matrices in the last two axes, those before broadcast, 1-D is a vector."""
    if a.ndim == 0 or b.ndim == 0:
        raise GraphError("matmul needs tensors of at least one dimension: write a * b for a scalar")
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        fix = ""
        if a.ndim > 1 and b.ndim > 1:
            fix = next(
                (
                    f". Write {text} instead"
                    for text, first, second in (
                        ("a @ b.mT", a.shape[-1], b.shape[-1]),
                        ("a.mT @ b", a.shape[-2], b.shape[-2]),
                    )
                    if first == second
                ),
                "",
            )
        raise GraphError(
            f"matmul of {a.shape} and {b.shape}: the last axis of the first must equal the second's rows{fix}"
        )
    lead = broadcast_shape(a.shape[:-2], b.shape[:-2])
    batch = "abcdefgh"[: len(lead)]
    left = (batch[len(batch) - a.ndim + 2 :] if a.ndim > 1 else "") + ("mk" if a.ndim > 1 else "k")
    right = (batch[len(batch) - b.ndim + 2 :] if b.ndim > 1 else "") + ("kn" if b.ndim > 1 else "k")
    shape = (*lead, *(a.shape[-2:-1] if a.ndim > 1 else ()), *(b.shape[-1:] if b.ndim > 1 else ()))
    a, left = _drop_ones(a, left, "mk")
    b, right = _drop_ones(b, right, "kn")
    output = "".join(c for c in batch + "mn" if c in left or c in right)
    result = _product(f"{left},{right}->{output}", a, b)
    return result if result.shape == shape else apply("reshape", result, shape=shape)


def _diagonals(x: Node, letters: str) -> tuple[Node, str]:
    """The diagonal of the axes that have one letter, as the last axis, until each letter is there once."""
    while len(set(letters)) < len(letters):
        double = next(c for c in letters if letters.count(c) > 1)
        first = letters.index(double)
        second = letters.index(double, first + 1)
        x = diagonal(x, 0, first, second)
        letters = "".join(c for i, c in enumerate(letters) if i not in (first, second)) + double
    return x, letters


@function
def _summed(equation: str, a: Node, b: Node | None = None) -> Node:
    """Einstein's summation of one or two operands: ``equation`` names each axis by a letter and has an arrow."""
    inputs, _, output = equation.partition("->")
    operands = [a] if b is None else [a, b]
    pairs = [_diagonals(x, letters) for x, letters in zip(operands, inputs.split(","), strict=True)]
    inputs = ",".join(letters for _, letters in pairs)
    if b is not None:
        return _product(f"{inputs}->{output}", *(x for x, _ in pairs))
    a = pairs[0][0]
    gone = tuple(i for i, c in enumerate(inputs) if c not in output)
    left = [c for c in inputs if c in output]
    return transpose(apply("reduce_sum", a, axes=gone) if gone else a, tuple(left.index(c) for c in output))


def einsum(equation: str, *operands: Any) -> Any:
    """Einstein's summation, for example ``einsum("bik,bkj->bij", a, b)``; of more than two operands from the left.

    A letter that an operand has twice stands for its diagonal: ``einsum("ii", a)`` is the trace. ``...`` stands for
    axes that are broadcast. Raises GraphError for an equation that does not fit.
    """
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    parts = inputs.split(",")
    if not arrow:
        once = "".join(sorted(c for c in set(inputs) - set(",.") if inputs.count(c) == 1))
        output = "..." * ("..." in inputs) + once
    shapes = [np.shape(x) if not hasattr(x, "shape") else tuple(x.shape) for x in operands]
    given = list(operands)
    output, *parts = _named(equation, [output, *parts], shapes)
    wide = _extents(equation, parts, shapes)
    for i, (letters, shape) in enumerate(zip(parts, shapes, strict=True)):
        # One row serves all of another's, and is its own sum.
        alone = [a for a, c in enumerate(letters) if shape[a] == 1 and (c in wide or c not in output)]
        if alone:
            given[i] = squeeze(given[i], tuple(alone))
            parts[i] = "".join(c for a, c in enumerate(letters) if a not in alone)
    known = set("".join(parts))
    if len(set(output)) != len(output) or not set(output) <= known:
        raise GraphError(f"einsum {equation!r} does not fit {len(operands)} operands: write for example 'bik,bkj->bij'")
    while len(given) > 2:
        needed = set(output).union(*parts[2:])
        kept = "".join(c for c in dict.fromkeys(parts[0] + parts[1]) if c in needed)
        given[:2] = [_summed(f"{parts[0]},{parts[1]}->{kept}", *given[:2])]
        parts[:2] = [kept]
    return _summed(f"{','.join(parts)}->{output}", *given)


def _named(equation: str, parts: list[str], shapes: list[tuple[Any, ...]]) -> list[str]:
    """The parts of an equation, its result's first, with letters for the axes of ``...``."""
    if len(parts) != len(shapes) + 1:
        raise GraphError(f"einsum {equation!r} does not fit {len(shapes)} operands: write for example 'bik,bkj->bij'")
    counts = [
        len(shape) - len(part.replace("...", "")) if "..." in part else 0
        for part, shape in zip(parts[1:], shapes, strict=True)
    ]
    most = max(counts, default=0)
    spread = "".join(c for c in string.ascii_letters if c not in equation)[:most]
    if min(counts, default=0) < 0 or len(spread) < most:
        raise GraphError(f"einsum {equation!r} does not fit shapes {shapes}: write a letter for every axis")
    return [part.replace("...", spread[most - count :]) for part, count in zip(parts, [most, *counts], strict=True)]


def _extents(equation: str, parts: list[str], shapes: list[tuple[Any, ...]]) -> dict[str, Any]:
    """For each letter its extent, unless it is 1 everywhere. Raises GraphError where a letter stands for several."""
    found: dict[str, Any] = {}
    for letters, shape in zip(parts, shapes, strict=True):
        if len(letters) != len(shape) or not (letters.isalpha() or not letters):
            raise GraphError(f"einsum {equation!r}: write one letter for every axis of {shape}")
        own: dict[str, Any] = {}  # an operand's diagonal has one extent, which may be 1 while another operand's is not
        for letter, extent in zip(letters, shape, strict=True):
            other = own.setdefault(letter, extent)
            if extent == other != 1:
                other = found.setdefault(letter, extent)
            if extent != other:
                raise GraphError(
                    f"einsum {equation!r} of shapes {' and '.join(map(str, shapes))}: {letter!r} stands for "
                    f"{other} and {extent}. Write operands of one extent, or of 1, along it"
                )
    return found
