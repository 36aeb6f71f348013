"""The reference of the manual: a page for each public module, made from the signatures and docstrings of the code."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import ranvier

EXAMPLE = re.compile(r"^## `([\w.]+)`$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
ROOT = Path(ranvier.__file__).resolve().parents[1]
LEFT_OUT = {"auto", "interop"}  # rooms of the command line and of the functions that ranvier itself shows


def modules(module: ModuleType = ranvier, seen: set[str] | None = None) -> Iterator[ModuleType]:
    """A module, and after it the public modules that it shows, each once."""
    seen = set() if seen is None else seen
    if module.__name__ in seen:
        return
    seen.add(module.__name__)
    yield module
    for name in sorted(names_of(module)):
        value = getattr(module, name)
        if isinstance(value, ModuleType) and value.__name__.startswith("ranvier.") and name not in LEFT_OUT:
            yield from modules(value, seen)


def names_of(module: ModuleType) -> list[str]:
    """The public names of a module."""
    return [name for name in getattr(module, "__all__", dir(module)) if not name.startswith("_")]


def entries(module: ModuleType) -> dict[str, Any]:
    """The public classes and functions of a module by name, in the order of the alphabet."""
    values = {name: getattr(module, name) for name in sorted(names_of(module), key=str.casefold)}
    return {
        name: value
        for name, value in values.items()
        if callable(value) and not isinstance(value, ModuleType) and module_of(value).startswith("ranvier")
    }


def module_of(value: Any) -> str:
    return str(getattr(value, "__module__", "") or "")


def signature(value: Any) -> str:
    """The arguments as a person writes them, without ``self``, and with defaults that have no address in them."""
    try:
        made = inspect.signature(value)
    except (TypeError, ValueError):
        return "()"
    parameters = [p for p in made.parameters.values() if p.name not in ("self", "cls")]
    clean = [p.replace(default=_Shown(p.default)) if p.default is not p.empty else p for p in parameters]
    text = str(made.replace(parameters=clean, return_annotation=made.empty)).replace("'", "").replace('"', "'")
    return re.sub(r"\b(Node|Operand)\b", "Tensor", text)  # compositions are written on nodes, and called on tensors


class _Shown:
    """A default value that prints as in a program."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        if isinstance(self.value, str):
            return f'"{self.value}"'
        if inspect.isroutine(self.value) or inspect.isclass(self.value):
            return str(self.value.__name__)
        return re.sub(r"<.*>", "...", repr(self.value))


def text_of(value: Any) -> str:
    return inspect.getdoc(value) or "No description."


def source_of(value: Any) -> str:
    """Where a name is defined: the file, and the line where it is known; "" for what is made elsewhere."""
    own = inspect.unwrap(value)
    try:
        path = Path(inspect.getsourcefile(own) or "").resolve().relative_to(ROOT)
    except (TypeError, ValueError, OSError):
        return ""
    if path.name == "dispatch.py":  # made from a row of the table of operations
        return "Source: `ranvier/ops/table`."
    try:
        line = f", line {inspect.getsourcelines(own)[1]}" if module_of(own) == module_of(value) else ""
    except (TypeError, OSError):
        line = ""
    return f"Source: `{path.as_posix()}`{line}."


def examples(folder: Path) -> dict[str, str]:
    """The programs of docs/examples by name."""
    found = {}
    for path in sorted(folder.glob("*.md")):
        for name, text in EXAMPLE.findall(path.read_text(encoding="utf-8")):
            full = name.removeprefix("rv.") if name.startswith("rv.") else name
            found[f"ranvier.{full}"] = text.strip()
    return found


def methods(cls: type) -> dict[str, Any]:
    """The public methods that a class describes itself."""
    found = {}
    for name, value in sorted(vars(cls).items()):
        function = getattr(value, "__func__", value)
        if not name.startswith("_") and inspect.isroutine(function) and function.__doc__:
            found[name] = function
    return found


def entry(name: str, value: Any, shown: dict[str, str]) -> str:
    """A name's part of a page: its arguments, its description, its example, and the methods of a class."""
    kind = "class" if inspect.isclass(value) else "function"
    lines = [f"::::{{py:{kind}}} {name}{signature(value)}", "", text_of(value), ""]
    if source := source_of(value):
        lines += [source, ""]
    if name in shown:
        lines += ["Example:", "", shown[name], ""]
    if inspect.isclass(value):
        for method, function in methods(value).items():
            lines += [f":::{{py:method}} {method}{signature(function)}", "", text_of(function), "", ":::", ""]
            if f"{name}.{method}" in shown:
                lines += [shown[f"{name}.{method}"], ""]
    return "\n".join([*lines, "::::", ""])


def write(folder: Path, programs: Path) -> list[str]:
    """Write a page for each module into ``folder``, and return their names in order."""
    folder.mkdir(parents=True, exist_ok=True)
    shown, pages, described = examples(programs), [], set[int]()
    for module in modules():
        found = entries(module)
        if not found:
            continue
        name, parts = module.__name__, []
        for own, value in found.items():
            if id(value) in described and name != "ranvier":  # the same object by another name
                first = f"{module_of(value)}.{getattr(value, '__qualname__', own)}"
                parts.append(f"::::{{py:data}} {name}.{own}\n\nThe same as `{first}`.\n\n::::\n")
                continue
            described.add(id(value))
            parts.append(entry(f"{name}.{own}", value, shown))
        head = [f"# {name}", "", inspect.getdoc(module) or "", ""]
        (folder / f"{name}.md").write_text("\n".join([*head, *parts]), encoding="utf-8")
        pages.append(name)
    return pages
