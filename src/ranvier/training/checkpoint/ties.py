"""Tied weights in files: the names under which a network holds one and the same tensor."""

from __future__ import annotations

from collections.abc import Sequence

from ranvier.module import Module


def tied_names(model: Module) -> list[list[str]]:
    """The names of each tensor that is held by several modules, or by one under several names."""
    names: dict[int, list[str]] = {}
    for name, tensor in model._state():  # each module once: an architecture says where it stands twice
        names.setdefault(id(tensor), []).append(name)
    return [group for group in names.values() if len(group) > 1]


def tie(model: Module, groups: Sequence[Sequence[str]]) -> None:
    """Make the tensors of each of these names one. Raises ValueError for tensors of different types."""
    for first, *others in groups:
        tensor = getattr(model.get_submodule(first.rpartition(".")[0]), first.rpartition(".")[2])
        for name in others:
            path, _, own = name.rpartition(".")
            holder = model.get_submodule(path)
            if getattr(holder, own).spec != tensor.spec:
                raise ValueError(f"{first} is {tensor.spec}, and {name} has another type: {getattr(holder, own).spec}")
            setattr(holder, own, tensor)
