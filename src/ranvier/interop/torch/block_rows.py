"""The blocks of this library's ready networks, as modules of PyTorch that hold those of their layers."""

from __future__ import annotations

from typing import Any

from ranvier.interop.torch.builder import Builder, Row, Value
from ranvier.support.registry import decorator_of

BLOCKS: dict[str, Row] = {}
"""By registered name, what adds a block to a class of its own, in which layers have the names of the attributes."""
block = decorator_of(BLOCKS)


@block("models.ResidualBlock")
def residual_block(b: Builder, m: Any, x: Value) -> Value:
    y = b.add(m.first_norm, b.add(m.first, x))
    y = b.apply("F.relu({0})", y, shape=y.shape, wraps=True, first=y.first)
    y = b.add(m.second_norm, b.add(m.second, y))
    shortcut = b.moved(x)
    more = y.shape[-1] - x.shape[-1]
    if m.projection is not None and (more or m.strides > 1):
        shortcut = b.add(m.projection, x)
    elif m.strides > 1:
        shortcut = b.apply("{0}[:, :, ::S, ::S]".replace("S", str(m.strides)), shortcut, shape=y.shape, first=True)
    if m.projection is None and more:
        low = more // 2
        shortcut = b.apply(f"F.pad({{0}}, (0, 0, 0, 0, {low}, {more - low}))", shortcut, shape=y.shape, first=True)
    y, shortcut = b.alike([y, shortcut])
    return b.apply("F.relu({0} + {1})", y, shortcut, shape=y.shape, first=y.first)


@block("models.InvertedResidual")
def inverted_residual(b: Builder, m: Any, x: Value) -> Value:
    x = b.moved(x)
    y = b.add(m.body, x)
    return b.apply("{0} + {1}", x, y, shape=y.shape, first=y.first) if m.adds else y
