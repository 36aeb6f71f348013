"""Errors of shape in the words of the network: the layers so far, the line that made the failing one, the fix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ranvier.graph.node import Type

if TYPE_CHECKING:
    from ranvier.module.core import Module

__all__ = ["ShapeError", "explain"]


class ShapeError(ValueError):
    """Layers that do not fit each other; the message holds the whole trace of shapes."""


def explain(
    module: Module,
    args: Sequence[Any],
    trace: Sequence[tuple[Any, Any]],
    error: Exception,
    root: Module | None,
) -> ShapeError:
    """The error to raise when ``module`` cannot take ``args`` after the calls in ``trace``, all within ``root``."""
    paths = {} if root is None else {id(m): path for path, m in root.named_modules()}

    def label(m: Module) -> str:
        path = paths.get(id(m), "")
        return f"{type(m).__name__} {(m.name if not path or path.rsplit('.', 1)[-1].isdecimal() else path)!r}"

    given = [t for a in args if isinstance(t := getattr(a, "type", None), Type)]
    file, line = module._made
    name = label(module).split(" ", 1)[1]
    what = f"layer {name} ({type(module).__name__}({module.extra_repr()}), made at {file}:{line})"
    misfit = module.misfit(given[0]) if given else None
    reason, fix = misfit or (str(error), "Change its size, or that of the layer before it.")
    rows = [
        ("input" if m is None else label(m), str(t))
        for m, t in trace
        if t is not None and (m is None or not m._modules)
    ]
    if given and (not rows or rows[-1][1] != str(given[0])):
        rows.append(("given to it", str(given[0])))
    rows.append((label(module), "<- does not fit"))
    width = max(len(name) for name, _ in rows)
    shapes = "\n".join(f"  {name:<{width}}  {text}" for name, text in rows)
    return ShapeError(f"{what} cannot take {', '.join(map(str, given))}: {reason}\n{shapes}\n{fix}")
