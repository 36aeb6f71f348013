"""The definitions of a program in units, which are compiled on their own, and as one text."""

from __future__ import annotations

import re

from ranvier.engines.native.codegen import math
from ranvier.engines.native.runtime.units import Unit

SIZE = 1 << 16  # characters of a unit: less than a tenth of a second's work for LLVM
MARK = re.compile(r"@(\w+\.?\d*)\b")
EXTREMA = {f"declare i64 @llvm.{name}.i64(i64, i64)" for name in ("smin", "smax")}


class UnitWriter:
    """Gathers definitions, and what they need: elementary ``functions`` and ``declarations``."""

    def __init__(self, functions: set[tuple[str, str]], declarations: set[str], has_fma: bool) -> None:
        self.needed, self.has_fma = (functions, declarations), has_fma
        self.heads: dict[str, str] = {}  # the declaration of each definition that other units may refer to
        self.waiting: dict[str, str] = {}  # definitions since the last unit, by name
        self.whole: list[str] = []
        self.size = 0
        self.declarations: set[str] = set()  # of all units, and the elementary functions that they need
        self.functions: set[tuple[str, str]] = set()

    def add(self, name: str, text: str, head: str = "") -> None:
        """A definition; ``head`` declares it to other units."""
        if head:
            self.heads[name] = head
        self.waiting[name] = text
        self.whole.append(text)
        self.size += len(text)

    def add_function(self, name: str, text: str, internal: str) -> None:
        """A function that other units may call. Its text calls it ``internal``."""
        text = text.replace(f"@{internal}(", f"@{name}(", 1)
        parameters = re.sub(r" %[\w.]+", "", text[text.index("(") : text.index(")") + 1])
        self.add(name, text, f"declare hidden void @{name}{parameters}")

    @property
    def is_full(self) -> bool:
        return self.size >= SIZE

    def unit(self, internal: str = "") -> Unit:
        """A unit of the definitions since the last one, and of functions that each unit has for itself."""
        functions, declarations = self.needed
        texts = [self._library(functions, declarations), internal, *self.waiting.values()]
        used = {name for text in self.waiting.values() for name in MARK.findall(text)}
        outside = frozenset((used & self.heads.keys()) - self.waiting.keys())
        self.functions |= functions
        self.declarations |= declarations
        functions.clear()
        declarations.clear()
        self.waiting, self.size = {}, 0
        return Unit("\n".join([*(self.heads[name] for name in sorted(outside)), *texts]), outside)

    def text(self) -> str:
        """All definitions, after the last unit."""
        return "\n".join([self._library(self.functions, self.declarations), *self.whole])

    def _library(self, functions: set[tuple[str, str]], declarations: set[str]) -> str:
        library, needed = math.library(functions, self.has_fma)
        return "\n".join([*sorted(declarations | needed | EXTREMA), library])
