"""Stubs for type checkers and editors: what packages show, and what tables and makers give, as plain declarations.

``python -m tests.stubs`` lists the stubs that differ from the code, ``python -m tests.stubs --write`` writes them anew.
A package whose names are loaded when they are first used has a stub beside its ``__init__``; a test holds it against
the code.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.house import PACKAGE, files, tree

HEAD = "# Written by `python -m tests.stubs --write`; a test holds it against the code.\n"
KNOWN = {  # names in annotations, and where a stub imports them from
    "Any": "typing", "Literal": "typing", "Callable": "collections.abc", "Iterable": "collections.abc",
    "Iterator": "collections.abc", "Mapping": "collections.abc", "Sequence": "collections.abc",
    "Tensor": "ranvier.tensor.tensor", "Module": "ranvier.module.core", "DTypeLike": "numpy.typing",
    "LearningRateSchedule": "ranvier.optimizers.schedules.base",
}  # fmt: skip
MADE = {"ranvier.losses", "ranvier.metrics", "ranvier.torch.optim"}  # their classes are made by a maker
BUILTINS = {"None", "bool", "bytes", "dict", "float", "int", "list", "object", "set", "str", "tuple", "type"}


@cache
def faces() -> dict[str, Path]:
    """The modules that show names which are written nowhere in them: each with its stub."""
    found = {}
    for name, path in files().items():
        text = path.read_text(encoding="utf-8")
        if (path.name == "__init__.py" and "lazy_names(" in text) or "vocabulary.maker(" in text or name in MADE:
            found[name] = path.with_suffix(".pyi")
    found.pop("ranvier.ops.vocabulary", None)
    if importlib.util.find_spec("sklearn") is None:  # the classes of scikit-learn, which are made only with it
        found.pop("ranvier.estimators", None)
    return found


@cache
def places(name: str) -> dict[str, tuple[str, str]]:
    """Of each lazy name of a package the module and what that calls it; "" where the name is the module."""
    found = {}
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "lazy_names":
            for path, names in ast.literal_eval(node.args[1]).items():
                for entry in names.split():
                    shown, _, attribute = entry.removeprefix("-").partition("=")
                    found[shown] = (path.rstrip("."), "") if path.endswith(".") else (path, attribute or shown)
    return found


@cache
def declared(module: str, attribute: str) -> bool:
    """Whether a checker that reads a module finds a declaration: a class, a function, an import or a typed value."""
    if module not in files() or module in faces():
        return module in faces()
    for node in ast.walk(tree(module)):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == attribute:
            return True
        if isinstance(node, ast.ImportFrom) and any((a.asname or a.name) == attribute for a in node.names):
            return True
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == attribute:
            return True
    return False


def held(module: str, attribute: str) -> Any:
    """What a module has under a name. An operation of a vocabulary is another view of it, with arguments of its own."""
    return getattr(importlib.import_module(module), attribute, None)


class Stub:
    """One stub: its imports are gathered while its declarations are written."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.imports: set[tuple[str, str]] = set()
        self.body: list[str] = []

    def annotation(self, given: Any, home: str = "", *, result: bool = False) -> str:
        """An annotation whose names the stub imports, from where the module ``home`` has them.

        It is ``Any`` where it names something that is in no import. Operands may be arrays and numbers too; results are
        tensors.
        """
        text = given if isinstance(given, str) else inspect.formatannotation(given)
        text = re.sub(r"\b(?:typing|collections\.abc)\.", "", text).strip("'\"")
        text = re.sub(r"\bNode\b", "Tensor" if result else "Any", text)
        known = KNOWN | (imports_of(home) if home in files() else {})
        for word in set(re.findall(r"(?<![\w.])[A-Za-z_]\w*", re.sub(r"'[^']*'|\"[^\"]*\"", "", text))):
            if word in known:
                self.imports.add((known[word], word))
            elif word not in BUILTINS:
                self.imports.add(("typing", "Any"))
                return "Any"
        return text

    def parameters(self, signature: inspect.Signature, home: str = "") -> str:
        """The parameters of a function as a stub writes them: ``...`` for what a text cannot say of a default."""
        written: list[str] = []
        only = False
        kinds = inspect.Parameter
        listed = list(signature.parameters.values())
        for place, p in enumerate(listed):
            if p.kind is kinds.KEYWORD_ONLY and not only:
                only = True
                if not any(q.kind is kinds.VAR_POSITIONAL for q in listed):
                    written.append("*")
            given = "Any" if p.annotation is p.empty else p.annotation
            typed = "" if p.name == "self" and not place else f": {self.annotation(given, home)}"
            star = "*" if p.kind is kinds.VAR_POSITIONAL else "**" if p.kind is kinds.VAR_KEYWORD else ""
            plain = p.default is None or isinstance(p.default, (bool, int, float, str))
            default = "" if p.default is p.empty else f" = {p.default!r}" if plain else " = ..."
            if default in (" = inf", " = -inf", " = nan"):
                default = " = ..."
            if default == " = None" and typed and "None" not in typed and "Any" not in typed:
                typed += " | None"
            written.append(f"{star}{p.name}{typed}{default}")
            if p.kind is kinds.POSITIONAL_ONLY:
                following = listed[place + 1] if place + 1 < len(listed) else None
                if following is None or following.kind is not kinds.POSITIONAL_ONLY:
                    written.append("/")
        return ", ".join(written)

    def function(self, name: str, value: Any, method: bool = False) -> str:
        """A function, or the method that has it: what it calls ``model`` is ``self``."""
        signature, home = inspect.signature(value), value.__module__
        listed = list(signature.parameters.values())
        if method:
            first = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
            rest = listed if listed[0].kind is listed[0].VAR_POSITIONAL else listed[1:]
            signature = signature.replace(parameters=[first, *rest])
        returned = signature.return_annotation
        result = self.annotation("Any" if returned is signature.empty else returned, home, result=True)
        return f"def {name}({self.parameters(signature, home)}) -> {result}: ..."

    def made_class(self, name: str, value: type) -> str:
        """A class that a maker made: its base, and its constructor."""
        base = next(b for b in value.__mro__[1:] if declared(b.__module__, b.__name__) or b is object)
        if base is not object:
            self.imports.add((base.__module__, base.__name__))
        if "__init__" not in vars(value):
            return f"class {name}({base.__name__}): ..."
        parameters = self.parameters(inspect.signature(vars(value)["__init__"]))
        return f"class {name}({base.__name__}):\n    def __init__({parameters}) -> None: ..."

    def add(self, name: str, module: str, attribute: str, value: Any) -> None:
        """Declare one name: import it from where a checker finds it, or write what is made there."""
        module = STANDING.get((module, attribute), module)
        if isinstance(value, ModuleType):
            place = vars(value).get("_place") or value.__name__  # of a module that shows the names of another
            parent, _, last = place.rpartition(".")
            self.body.append(f"from {parent} import {last} as {name}")
        elif module != self.module and declared(module, attribute) and held(module, attribute) == value:
            self.body.append(f"from {module} import {attribute} as {name}")
        elif inspect.isclass(value):
            self.body.append(self.made_class(name, value))
        elif callable(value):
            self.body.append(self.function(name, value))
        else:
            kind = type(value)
            if kind.__module__ in files():
                self.imports.add((kind.__module__, kind.__name__))
                self.body.append(f"{name}: {kind.__name__}")
            else:
                self.body.append(f"{name}: {self.annotation(kind.__name__)}")

    def text(self, public: list[str]) -> str:
        own = {found[1] for line in self.body if (found := re.match(r"\s*(?:def |class )?(\w+)", line))}
        for place, line in enumerate(self.body):  # a name such as `int` hides the type
            for word in BUILTINS & own:
                self.imports.add(("builtins", "builtins"))
                pattern = rf"(?<=[:\[|>,] ){word}\b(?!\()|(?<=\[){word}\b"
                self.body[place] = line = re.sub(pattern, f"builtins.{word}", line)
        named = {line.rpartition(" ")[2] for line in self.body if line.startswith("from ")}
        imports = [
            f"import {n} as {n}" if m == n else f"from {m} import {n} as {n}"
            for m, n in sorted(self.imports)
            if n not in named
        ]
        lines = [line for line in self.body if line.startswith("from ")]
        made = [line for line in self.body if not line.startswith("from ")]
        shown = [f"__all__ = {sorted(public)}"]  # a checker takes no import under another name for an export
        return HEAD + "\n".join([*sorted({*imports, *lines}), "", *shown, *made]).rstrip() + "\n"


@cache
def imports_of(name: str) -> dict[str, str]:
    """Where each name that a module imports or defines comes from."""
    found: dict[str, str] = {}
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {alias.name: node.module for alias in node.names if alias.asname in (None, alias.name)}
    for node in tree(name).body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = name
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = name
    return found


def names_of(module: ModuleType) -> list[str]:
    """What a module shows, and what it defines for other modules of the library."""
    names = set(dir(module))
    for node in tree(module.__name__).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return sorted(name for name in names if name in dir(module) or name[0] != "_")


def stub_of(name: str) -> str:
    """The stub of a package."""
    module = importlib.import_module(name)
    stub, known = Stub(name), places(name)
    for shown in names_of(module):
        value = getattr(module, shown)
        path, attribute = known.get(shown, (getattr(value, "__module__", name), shown))
        stub.add(shown, path, attribute, value)
    return stub.text(module.__all__)


# Classes that stand for another, of which what they make is: a checker knows that one.
STANDING = {("ranvier.ops.torch.tensor_types", "Tensor"): "ranvier.tensor.tensor"}
TENSOR_METHODS = "ranvier.tensor.methods"


def stub_of_tensor_methods() -> str:
    """The stub of `TensorMethods`: every method and attribute that the table of operations gives to tensors."""
    vocabulary = importlib.import_module("ranvier.ops.vocabulary")
    stub, own = Stub(TENSOR_METHODS), set(vocabulary.names("method"))
    stub.imports.add(("ranvier.tensor.tensor", "Tensor"))
    stub.body.append("class TensorMethods:")
    for name in sorted(own - {"__getattr__"}):  # what is not there is a mistake
        written = stub.function(name, vocabulary.find("method", name), method=True)
        if name in ("__eq__", "__ne__"):
            written = f"def {name}(self, other: object) -> Tensor: ...  # type: ignore[override]  # elementwise"
        stub.body.append(f"    {written}")
    for name in vocabulary.names("attribute"):
        value = vocabulary.find("attribute", name)
        stub.body.append(f"    @property\n    {stub.function(name, value.fget, method=True)}")
        if value.fset is not None:
            stub.body.append(f"    @{name}.setter\n    {stub.function(name, value.fset, method=True)}")
    return stub.text(["TensorMethods"])


METHODS = "ranvier.module.training_api"  # whose methods are rows of the face, and name types from above


def stub_of_methods() -> str:
    """The stub of `TrainingAPI`: each row with the arguments of its function."""
    module = importlib.import_module(METHODS)
    stub = Stub(METHODS)
    base = module.TrainingAPI.__bases__[0]
    stub.imports.add((base.__module__, base.__name__))
    stub.body.append(f"class TrainingAPI({base.__name__}):")
    for name, value in sorted(vars(module.TrainingAPI).items()):
        if isinstance(value, module.RowMethod) or inspect.isfunction(value):
            stub.body.append(f"    {stub.function(name, getattr(module.TrainingAPI, name), method=True)}")
    stub.body.append("class RowMethod: ...")
    return stub.text(["RowMethod", "TrainingAPI"])


def stubs() -> dict[Path, str]:
    """Every stub, and what it must hold."""
    importlib.import_module("ranvier")
    written = {path: stub_of(name) for name, path in faces().items()}
    return written | {
        files()[METHODS].with_suffix(".pyi"): stub_of_methods(),
        files()[TENSOR_METHODS].with_suffix(".pyi"): stub_of_tensor_methods(),
    }


def differing() -> Iterator[tuple[Path, str]]:
    """The stubs that are not what the code gives, and what it gives."""
    for path, text in stubs().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            yield path, text


if __name__ == "__main__":
    for path, text in differing():
        print(path.relative_to(PACKAGE.parent))
        if "--write" in sys.argv:
            path.write_text(text, encoding="utf-8")
