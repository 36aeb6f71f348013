"""Devices: there is one, "cpu"."""

from __future__ import annotations

from typing import Any

from ranvier.ops.tensor_methods import no_device
from ranvier.support.constructors import CheckedConstructor


class device(CheckedConstructor):  # noqa: N801  # PyTorch's name
    """``torch.device("cpu")``. Raises RuntimeError for any other."""

    def __init__(self, type: Any = "cpu", index: int | None = None) -> None:
        name = str(getattr(type, "type", type)).split(":")[0]
        if name != "cpu":
            raise no_device(type)
        self.type, self.index = name, index

    def __str__(self) -> str:
        return self.type

    def __repr__(self) -> str:
        return f"device(type={self.type!r})"

    def __eq__(self, other: object) -> bool:
        return str(other) == self.type

    def __hash__(self) -> int:
        return hash(self.type)


def check_device(name: object) -> None:
    if name is not None:
        device(name)


Device = str | device | None  # what arguments named device may be
