"""The processor that code is generated for, and the error of a compiler that refuses its input."""

from __future__ import annotations

from typing import NamedTuple


class CompilerError(RuntimeError):
    """The compiler was given something that it refuses; the message holds the offending line or symbol."""


class Target(NamedTuple):
    """A processor to compile for. ``vector_registers`` of ``vector_bytes`` each; ``has_fma`` false: emulate it."""

    name: str
    triple: str
    cpu: str
    features: str
    vector_registers: int
    vector_bytes: int
    has_fma: bool

    @property
    def arch(self) -> str:
        return arch_of(self.triple)

    @property
    def has_masks(self) -> bool:
        """Whether every instruction of vectors can leave out lanes (AVX-512)."""
        return self.arch == "x86_64" and self.vector_bytes == 64


def arch_of(triple: str) -> str:
    name = triple.partition("-")[0].lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)
