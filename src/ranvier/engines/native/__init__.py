"""The native engine: a graph becomes one machine-code program. `compiler` lists the stages."""

from ranvier.engines.native.compiler import compile as compile  # noqa: A004  # every engine has it
from ranvier.engines.native.runtime.llvm import resolve_target as target
from ranvier.engines.native.runtime.shuffle import shuffled as shuffled

__all__ = ["compile", "shuffled", "target"]
