"""Integers on PyTorch: their quotients; uint16, uint32 and uint64, which it stores and does not compute with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ranvier.engines.tables import Function
from ranvier.graph.dtypes import limits
from ranvier.graph.node import Node

Array = Any
MASKS = {torch.uint16: 0xFFFF, torch.uint32: 0xFFFFFFFF}


def quotient(x: Array, y: Array) -> Array:
    """See `ranvier.graph.values.quotient_value`."""
    negated = (
        y == -1 if y.dtype.is_signed else torch.zeros_like(y, dtype=torch.bool)
    )  # the smallest number has no quotient by -1
    whole = torch.div(x, torch.where((y == 0) | negated, 1, y), rounding_mode="floor")
    return torch.where(y == 0, 0, torch.where(negated, -x, whole)).to(x.dtype)


def without_sign(row: Function, node: Node) -> Function:
    """The function of a node, whose operands may be such integers."""
    for operand in node.inputs:
        if operand.dtype == "uint64":
            return of_64_bits(row, node.op.name)
        if operand.dtype in ("uint16", "uint32"):
            return widened(row, getattr(torch, operand.dtype))
    return row


def widened(function: Function, kind: Any) -> Function:
    """The function for uint16 or uint32: PyTorch stores these and does not compute with them, so int64 does, modulo
    2**16 or 2**32.
    """

    def value(a: Sequence[Array], s: Any, e: Any) -> Array:
        found = function([x.long() if x.dtype is kind else x for x in a], s, e)
        return (found & MASKS[kind]).to(kind) if found.dtype is torch.int64 else found

    return value


SIGN = -(2**63)
ORDERED = ("less", "less_equal", "reduce_max", "argmax")
"""Rows that compare: numbers without a sign have the order of those whose sign is flipped."""


def of_64_bits(function: Function, name: str) -> Function:
    """The function for uint64, whose bits int64 has: PyTorch computes with that alone."""
    flipped = name in ORDERED

    def value(a: Sequence[Array], s: Any, e: Any) -> Array:
        given = [x.view(torch.int64) if x.dtype is torch.uint64 else x for x in a]
        if flipped:
            given = [x ^ SIGN for x in given]
        found = unsigned_quotient(*given) if name == "quotient" else function(given, s, e)
        found = found ^ SIGN if name == "reduce_max" else found
        return found.view(torch.uint64) if found.dtype is torch.int64 else found

    return value


def unsigned_quotient(x: Array, y: Array) -> Array:
    """The bits of the quotient of numbers without a sign: of half of x, twice, and one more where the rest is left."""
    divisor = torch.where(y == 0, 1, y)
    half = (x >> 1) & ~SIGN
    twice = torch.div(half, torch.where(divisor < 0, 1, divisor), rounding_mode="floor") << 1
    rest = x - twice * divisor
    small = twice + ((rest ^ SIGN) >= (divisor ^ SIGN))
    large = ((x ^ SIGN) >= (divisor ^ SIGN)).long()
    return torch.where(y == 0, 0, torch.where(divisor < 0, large, small))


def whole(x: Array, name: str) -> Array:
    """Floats as the integers of an element type, in int64 or uint64: toward zero and saturating, nan to 0."""
    low, high = limits(name)
    wide = torch.trunc(x.double())
    above = wide >= float(high)
    if name != "uint64":
        return torch.where(above, high, torch.where(torch.isnan(wide) | above, 0, wide.clamp(min=low)).long())
    upper = wide >= 2.0**63
    lower = torch.where(upper, wide - 2.0**63, wide.clamp(min=0))
    bits = torch.where(torch.isnan(wide) | above, 0, lower).long()
    return torch.where(above, -1, torch.where(upper, bits ^ SIGN, bits)).view(torch.uint64)
