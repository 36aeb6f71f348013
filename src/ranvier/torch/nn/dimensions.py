"""Modules for one, two and three spatial dimensions, made from one base class."""

from __future__ import annotations

from typing import Any, TypeVar

from ranvier.module import Module, register_module

Base = TypeVar("Base", bound=Module)
INPUTS = {
    1: "(batch, channels, length)",
    2: "(batch, channels, height, width)",
    3: "(batch, channels, depth, height, width)",
}


def in_dimensions(base: type[Base], name: str, doc: str, least: int = 1, **members: Any) -> list[type[Base]]:
    """The classes ``name1d``, ``name2d`` and ``name3d``, from ``least`` dimensions on, registered for files.

    Their ``dimensions`` is the number, which ``{n}`` is in the docstring; ``{inputs}`` there is the shape of inputs.
    """
    made = []
    for n in range(least, 4):
        text = doc.format(n=n, inputs=INPUTS[n])
        body = {"dimensions": n, "__module__": base.__module__, "__doc__": text, **members}
        cls: type[Base] = type(f"{name}{n}d", (base,), body)
        register_module(cls, name=f"torch.{cls.__name__}")
        made.append(cls)
    return made
