"""How the house is measured: every import of every file, as arrows between rooms and between the parts of each folder.

``python -m tests.house [ROOM ...]`` lists what breaks a rule of the house, of all rooms or of some.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "ranvier"

# A room is a file or folder directly in src/ranvier. It imports from rooms of its own floor and of those below.
FLOORS = {
    "graph": 1, "support": 1,
    "engines": 2, "data": 2, "datasets": 2,
    "tensor": 3, "distribution": 3,
    "ops": 4, "initializers": 4, "config": 4,
    "module": 5, "losses": 5, "optimizers": 5, "activations": 5, "constraints": 5, "regularizers": 5, "random": 5,
    "layers": 6, "metrics": 6, "explain": 6, "pictures": 6,
    "training": 7, "torch": 7,
    "callbacks": 8, "calibration": 8, "estimators": 8, "saving": 8, "interop": 8,
    "cli": 9, "auto": 9, "search": 9, "models": 9, "utils": 9,
    "backend": 10, "__main__": 10,
}  # fmt: skip
FACE = "ranvier"
DOOR = "__main__"  # of `python -m ranvier`: no room, as the face is none
MODULE_NAME = re.compile(r"ranvier(?:\.\w+)+(?::\w+(?:\.\w+)*)?")


class Arrow(NamedTuple):
    """An import: the dotted names of the file that imports and of the one imported, and the line."""

    source: str
    target: str
    line: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line} -> {self.target}"


@cache
def files() -> dict[str, Path]:
    """Every file of the package by its dotted name; a package's name is that of its ``__init__``."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def packages() -> frozenset[str]:
    return frozenset(name for name, path in files().items() if path.name == "__init__.py")


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(files()[name].read_text(encoding="utf-8"))


@cache
def nodes(name: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree(name)))


def file_of(name: str) -> str | None:
    """The file that a dotted name is in: its own, or that of the longest part of it that is one."""
    while name and name not in files():
        name = name.rpartition(".")[0]
    return name or None


def docstrings(module: Iterable[ast.AST]) -> set[int]:
    """The strings, by identity, that stand alone as statements."""
    return {id(node.value) for node in module if isinstance(node, ast.Expr)}


@cache
def imported(name: str) -> tuple[tuple[str, int], ...]:
    """What a file imports, wherever in it: at the top, in a function, for types, or as a string that names a module."""
    found = []
    prose = docstrings(nodes(name))
    for node in nodes(name):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            named = node.value.replace(":", ".")
            if MODULE_NAME.fullmatch(node.value) and file_of(named) != FACE:
                found.append((named, node.lineno))
    return tuple(found)


@cache
def arrows() -> tuple[Arrow, ...]:
    """Every import within the package; those of the face are not counted (it imports all rooms, lazily)."""
    found = []
    for name in files():
        if name == FACE:
            continue
        for target, line in imported(name):
            if target.split(".")[0] == FACE:
                to = file_of(target)
                if to is not None and to != name:
                    found.append(Arrow(name, to, line))
    return tuple(dict.fromkeys(found))


def room_of(name: str) -> str:
    return name.split(".")[1] if "." in name else FACE


def upward() -> list[Arrow]:
    """Imports of a room on a higher floor, and of the face by any room but the command line."""
    found = []
    for arrow in arrows():
        source, target = room_of(arrow.source), room_of(arrow.target)
        if target == FACE:
            if source != "cli":
                found.append(arrow)
        elif source != target and FLOORS.get(target, 99) > FLOORS.get(source, 0):
            found.append(arrow)
    return found


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected parts of a graph that hold more than one node (Tarjan, 1972), each in order."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(edges.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            part: list[str] = []
            while not part or part[-1] != node:
                part.append(stack.pop())
            if len(part) > 1:
                found.append(sorted(part))

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return found


def circles_of_rooms() -> list[list[str]]:
    edges: dict[str, set[str]] = defaultdict(set)
    for arrow in arrows():
        source, target = room_of(arrow.source), room_of(arrow.target)
        if source != target and target != FACE:
            edges[source].add(target)
    return circles(edges)


def floors_used() -> int:
    """The length of the longest way down, where there is no circle."""
    edges: dict[str, set[str]] = defaultdict(set)
    for arrow in arrows():
        source, target = room_of(arrow.source), room_of(arrow.target)
        if source not in (target, DOOR) and target != FACE:
            edges[source].add(target)
    heights: dict[str, int] = {}

    def height(room: str) -> int:
        if room not in heights:
            heights[room] = 0  # where a circle would come back
            heights[room] = 1 + max((height(other) for other in edges.get(room, ())), default=0)
        return heights[room]

    return max(height(room) for room in list(edges))


def part_of(folder: str, name: str) -> str | None:
    """The file or subfolder directly in a folder that a file is or lies in; None for others and the folder's face."""
    if not name.startswith(folder + "."):
        return None
    return name[len(folder) + 1 :].split(".", maxsplit=1)[0]


def circles_in_folders() -> dict[str, list[list[str]]]:
    """Of each folder its circles of files and subfolders; its own ``__init__`` is apart."""
    found = {}
    for folder in sorted(packages() - {FACE}):
        edges: dict[str, set[str]] = defaultdict(set)
        for arrow in arrows():
            source, target = part_of(folder, arrow.source), part_of(folder, arrow.target)
            if source and target and source != target:
                edges[source].add(target)
        if circular := circles(edges):
            found[folder] = circular
    return found


def own_faces() -> list[Arrow]:
    """Imports of a folder's ``__init__`` by a file within the folder: they close a circle through what it shows."""
    return [
        arrow
        for arrow in arrows()
        if arrow.target in packages() - {FACE} and arrow.source.startswith(arrow.target + ".")
    ]


def dynamic() -> list[str]:
    """Calls of import_module with anything but a text, outside of the two mechanisms that load by name."""
    found = []
    for name in files():
        if room_of(name) in ("support", FACE) or name == "ranvier.engines":
            continue
        for node in nodes(name):
            if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)):
                called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                text = node.args and isinstance(node.args[0], ast.Constant)
                if called.endswith(("import_module", "__import__")) and not text:
                    found.append(f"{name}:{node.lineno}")
    return found


# --- what files must not hold -------------------------------------------------------------------------------------

LINES_OF_A_FILE, LINES_OF_A_FUNCTION = 400, 80
FORBIDDEN_NAMES = {"Entry", "Segment", "hand_over", "telling", "told", "misfit", "untold"}


def long_files() -> dict[str, int]:
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in files().items()}
    return {name: length for name, length in lengths.items() if length > LINES_OF_A_FILE}


def long_functions() -> dict[str, int]:
    found = {}
    for name in files():
        for node in nodes(name):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > LINES_OF_A_FUNCTION:
                    found[f"{name}.{node.name}"] = length
    return found


def names_in(module: Iterable[ast.AST]) -> Iterator[tuple[str, int]]:
    for node in module:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name, node.lineno
        elif isinstance(node, ast.Name):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute):
            yield node.attr, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno


def forbidden_names() -> list[str]:
    return [
        f"{name}:{line} {word}"
        for name in files()
        for word, line in names_in(nodes(name))
        if word.strip("_") in FORBIDDEN_NAMES
    ]


def class_swaps() -> list[str]:
    """Assignments to ``__class__`` or a class's ``__init__``, and names that are written into a module's globals."""
    found = []
    for name in files():
        for node in nodes(name):
            if isinstance(node, ast.Attribute) and node.attr == "update":
                if ast.unparse(node) in ("globals().update", "vars().update"):
                    found.append(f"{name}:{node.lineno} {ast.unparse(node)}")
            elif isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, ast.Store):
                swapped = isinstance(node, ast.Attribute) and node.attr in ("__class__", "__init__")
                if swapped or (isinstance(node, ast.Subscript) and ast.unparse(node.value) == "globals()"):
                    found.append(f"{name}:{node.lineno} {ast.unparse(node)} = ...")
    return found


def outside() -> list[str]:
    """Imports of the benchmarks, documents, examples or tests by the library."""
    return [
        f"{name}:{line} {target}"
        for name in files()
        for target, line in imported(name)
        if target.split(".")[0] in ("benchmarks", "docs", "examples", "tests")
    ]


def about(rooms: Iterable[str]) -> Iterator[str]:
    """What breaks a rule, a line each, in some rooms or in all."""
    wanted = set(rooms)

    def here(name: str) -> bool:
        return not wanted or room_of(name) in wanted

    yield from (f"upward: {arrow}" for arrow in upward() if here(arrow.source))
    yield from (f"circle of rooms: {', '.join(c)}" for c in circles_of_rooms() if not wanted or wanted & set(c))
    for folder, found in circles_in_folders().items():
        if here(folder):
            yield from (f"circle in {folder}: {', '.join(c)}" for c in found)
    yield from (f"own face: {arrow}" for arrow in own_faces() if here(arrow.source))
    yield from (f"dynamic import: {where}" for where in dynamic() if here(where.split(":")[0]))
    yield from (f"long file: {name} {length}" for name, length in long_files().items() if here(name))
    yield from (f"long function: {name} {length}" for name, length in long_functions().items() if here(name))
    yield from (f"word: {where}" for where in forbidden_names() if here(where.split(":")[0]))
    yield from (f"class: {where}" for where in class_swaps() if here(where.split(":")[0]))
    yield from (f"outside: {where}" for where in outside() if here(where.split(":")[0]))


if __name__ == "__main__":
    for fault in about(sys.argv[1:]):
        print(fault)
