"""Errors of shape: the layers before the failing one, the line that made it, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ranvier.graph.node import FLOATS, Type
from ranvier.module.members import ModuleBase
from ranvier.support.source_lines import forward_line, location

SIZES = "Change its size, or that of the layer before it."


class ShapeError(ValueError):
    """Layers that do not fit each other; the message holds the whole trace of shapes.

    ``layer`` is the name of the one that failed, ``made`` the (file, line) that made it.
    """

    layer: str | None = None
    made: tuple[str, int] | None = None


def user_name(module: ModuleBase, root: ModuleBase | None) -> str:
    """The name of a module of ``root`` in messages: its path (``fc1``, ``encoder.fc1``) or, in a list, its name."""
    return module.name if root is None else user_names(root).get(id(module), module.name)


def user_names(root: ModuleBase) -> dict[int, str]:
    """The names of all modules of ``root`` in messages, by their ids."""
    return {
        id(module): module.name if not path or path.rsplit(".", 1)[-1].isdecimal() else path
        for path, module in root.named_modules()
    }


def dtypes(error: str, given: Sequence[Type]) -> str | None:
    """What to write where an error names operands of two floating dtypes; None otherwise."""
    met = set(re.findall(rf"\b({'|'.join(FLOATS)})\[", error))
    if len(met) < 2:
        return None
    data = given[0].dtype if given and given[0].dtype in met else min(met)
    other = next(iter(met - {data}))
    return (
        f"{data} meets {other}. Write .astype({other!r}) on what is given to it, or rv.set_dtype({data!r}) before the "
        "network is made, instead."
    )


def explain(
    module: ModuleBase, args: Sequence[Any], trace: Sequence[tuple[Any, Any]], error: Exception, root: ModuleBase | None
) -> ShapeError:
    """The error to raise when ``module`` cannot take ``args`` after the calls in ``trace``, all within ``root``."""

    def label(m: ModuleBase) -> str:
        return f"{type(m).__name__} {user_name(m, root)!r}"

    given = [t for a in args if isinstance(t := getattr(a, "spec", None), Type)]
    line = forward_line(error)
    at = f"made at {location(module._made)}" + ("" if line is None else f", in forward at {location(line)}")
    name = user_name(module, root)
    what = f"layer {name!r} ({type(module).__name__}({module.extra_repr()}), {at})"
    known = module.shape_error(given[0]) if given else None
    reason, fix = known or (str(error), dtypes(str(error), given) or SIZES)
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
    found = ShapeError(f"{what} cannot take {', '.join(map(str, given))}: {reason}\n{shapes}\n{fix}")
    found.layer, found.made = name, module._made
    return found
