"""Modules of PyTorch's vocabulary as modules of PyTorch.

The ``forward`` of a class of yours is PyTorch's code already: its counterpart has the same methods, with PyTorch's
functions in the place of those of `ranvier.torch`.
"""

from __future__ import annotations

import types
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

import ranvier.torch
from ranvier.interop.foreign import UnsupportedError, refuse
from ranvier.interop.program_text import Call, Code
from ranvier.interop.torch.networks import VOCABULARY, constructor, name_of
from ranvier.module import Module, Sequential
from ranvier.module.members import ModuleBase
from ranvier.module.parameter import Parameter
from ranvier.support.rows import load
from ranvier.support.source_lines import location
from ranvier.tensor.tensor import Tensor
from ranvier.torch import nn

OURS = "ranvier.torch"
PLACES = ("", "nn", "nn.functional", "nn.init", "nn.utils", "linalg")  # where functions and classes are looked for
NETWORKS = "models."  # the start of the registered names of ready networks
CONTAINERS = ("ModuleList", "ModuleDict", "ParameterList", "ParameterDict")
INTERNAL = frozenset(vars(Module()))


class Counterparts:
    """The modules, classes and functions of PyTorch that stand for those here; ``inner`` makes other layers."""

    def __init__(self, torch: Any, inner: Callable[[Any], Any]) -> None:
        self.torch, self.inner = torch, inner
        self.modules: dict[int, Any] = {}
        self.classes: dict[type, Any] = {Module: torch.nn.Module, Sequential: torch.nn.Sequential}
        self.functions: dict[int, Any] = {}
        self.homes: set[str] = set()  # the modules of classes that have counterparts
        self.held: list[Any] = []  # what the keys of these dicts are the identities of

    # --- modules ------------------------------------------------------------------------------------------------

    def module(self, m: ModuleBase) -> Any:
        """The module that stands for one here, with its weights."""
        if id(m) not in self.modules:
            self.held.append(m)
            try:
                self.modules[id(m)] = self._made(m)
            except UnsupportedError as error:
                if getattr(error, "named", False):
                    raise
                named = UnsupportedError(f"{m.name!r} ({type(m).__name__}, made at {location(m._made)}): {error}")
                named.named = True  # type: ignore[attr-defined]  # the innermost is the one to name
                raise named from None
        return self.modules[id(m)]

    def _made(self, m: Any) -> Any:
        name = name_of(m)
        children = {key: part for key, part in m._modules.items() if part is not None}
        if type(m) is Sequential:
            if any(not is_of_torch(part) for part in children.values()):
                return self.inner(m)
            return self.torch.nn.Sequential(OrderedDict((key, self.module(part)) for key, part in children.items()))
        if not is_of_torch(m):
            return self.inner(m)
        if type(m).__name__ in CONTAINERS and name.startswith(VOCABULARY):
            made = getattr(self.torch.nn, type(m).__name__)()
            for key, part in children.items():
                made.add_module(key, self.module(part))
            for key, p in m._parameters.items():
                made.register_parameter(key, None if p is None else self.parameter(p))
        elif name.startswith(VOCABULARY):
            made = self.value(constructor(m))
            self._load(made, m)
        else:
            made = self._own(m)
        made.training = m.training
        return made

    def _load(self, made: Any, m: Module) -> None:
        dtypes = {t.dtype for t in m.parameters()}
        if dtypes == {"float64"}:
            made.double()
        made.load_state_dict({key: self.tensor(t) for key, t in m.state_dict().items()}, strict=True)
        counterparts = dict(made.named_parameters())
        for key, p in m.named_parameters():
            counterparts[key].requires_grad_(p.requires_grad)
        made.train(m.training)

    def _own(self, m: Any) -> Any:
        """The counterpart of a module of a class of yours: an instance of its class's, with the same attributes."""
        counterpart = self.class_of(type(m))
        made = counterpart.__new__(counterpart)
        self.torch.nn.Module.__init__(made)
        self.modules[id(m)] = made
        for key, p in m._parameters.items():
            made.register_parameter(key, None if p is None else self.parameter(p))
        for key, t in m._buffers.items():
            made.register_buffer(key, None if t is None else self.tensor(t), key not in m._non_persistent)
        for key, part in m._modules.items():
            if part is None or made._modules.get(key) is None:
                made.add_module(key, None if part is None else self.module(part))
        known = {*m._parameters, *m._buffers, *m._modules}
        for key, part in vars(m).items():
            if key not in INTERNAL and key not in known:
                setattr(made, key, self.plain(part))
        return made

    def parameter(self, p: Any) -> Any:
        if id(p) not in self.modules:
            self.held.append(p)
            self.modules[id(p)] = self.torch.nn.Parameter(self.tensor(p), requires_grad=p.requires_grad)
        return self.modules[id(p)]

    def tensor(self, t: Any) -> Any:
        array = t.compute()
        if array.dtype.names:  # bfloat16
            return self.torch.from_numpy(np.array(t.to("float32").compute())).bfloat16()
        return self.torch.from_numpy(np.array(array, order="C"))

    # --- other values -------------------------------------------------------------------------------------------

    def value(self, part: Any) -> Any:
        """What a text of a call makes."""
        if isinstance(part, Call):
            make = getattr(self.torch.nn, part.name.removeprefix("nn."))
            return make(*map(self.value, part.arguments), **{key: self.value(v) for key, v in part.options.items()})
        if isinstance(part, Code):
            return getattr(self.torch.nn.functional, part.text.removeprefix("F."))
        return type(part)(map(self.value, part)) if isinstance(part, (list, tuple)) else part

    def plain(self, part: Any) -> Any:
        """A value of an attribute or of a global name."""
        if isinstance(part, Parameter):
            return self.parameter(part)
        if isinstance(part, Tensor):
            return self.tensor(part)
        if isinstance(part, Module):
            return self.module(part)
        if isinstance(part, types.ModuleType):
            return self._namespace(part)
        if isinstance(part, types.MethodType):
            raise refuse(f"it holds the method {part.__qualname__}")
        if type(part) in (list, tuple, set):
            return type(part)(map(self.plain, part))
        if type(part) in (dict, OrderedDict):
            return type(part)((key, self.plain(inner)) for key, inner in part.items())
        if isinstance(part, type) and issubclass(part, Module):
            return self.class_of(part)
        of_ranvier = str(getattr(part, "__module__", "")).startswith("ranvier.")
        if callable(part) and (of_ranvier or getattr(part, "__name__", None) in dir(nn.functional)):
            found = self._named(part)
            if found is not None:
                return found
            if of_ranvier and not isinstance(part, types.FunctionType):
                raise refuse(f"it uses {part!r}, which is none of ranvier.torch")
        if isinstance(part, types.FunctionType):
            if of_ranvier and part.__module__ not in self.homes:
                raise refuse(f"it uses {part.__name__}, which is none of ranvier.torch")
            return self.function(part)
        return part

    def _namespace(self, module: types.ModuleType) -> Any:
        name = module.__name__
        if name == OURS or name.startswith(f"{OURS}."):
            return load("torch" + name.removeprefix(OURS))
        if name.partition(".")[0] == "ranvier":
            raise refuse(f"it uses {name}, which is none of ranvier.torch")
        return module

    def _named(self, part: Any) -> Any:
        """What PyTorch has under the name that `ranvier.torch` has for a value."""
        name = getattr(part, "__name__", "")
        for place in PLACES:
            ours: Any = ranvier.torch
            theirs = self.torch
            for step in filter(None, place.split(".")):
                ours, theirs = getattr(ours, step), getattr(theirs, step)
            if name in dir(ours) and getattr(ours, name) is part:
                return getattr(theirs, name, None)
        return None

    # --- classes and functions ----------------------------------------------------------------------------------

    def class_of(self, kind: type) -> Any:
        """The counterpart of a class: of PyTorch's vocabulary PyTorch's, of yours one with the same code."""
        if kind in self.classes:
            return self.classes[kind]
        registered = str(vars(kind).get("_registered") or "")
        if registered.startswith(VOCABULARY):
            found = getattr(self.torch.nn, kind.__name__)
        elif not issubclass(kind, Module) or not is_own(kind):
            if kind.__module__.startswith("ranvier."):
                raise refuse(f"its class {kind.__name__} is none of ranvier.torch")
            return kind
        else:
            bases = tuple(map(self.class_of, kind.__bases__))
            if any(base.__module__.startswith("torch.") and base is not self.torch.nn.Module for base in bases):
                raise refuse(
                    f"its class {kind.__name__} is made of {kind.__bases__[0].__name__}; write one that holds it"
                )
            self.homes.add(kind.__module__)
            cell = types.CellType()
            found = type(kind.__name__, bases, {})
            cell.cell_contents = found
            self.classes[kind] = found
            for key, part in vars(kind).items():
                if key in ("__dict__", "__weakref__", "__module__", "_registered", "_arguments", "__init__"):
                    continue
                setattr(found, "forward" if key == "call" else key, self._member(part, cell))
            found.__module__ = kind.__module__
        self.classes[kind] = found
        return found

    def _member(self, part: Any, cell: types.CellType) -> Any:
        if isinstance(part, types.FunctionType):
            return self.function(part, cell)
        if isinstance(part, (staticmethod, classmethod)):
            return type(part)(self._member(part.__func__, cell))
        if isinstance(part, property):
            parts = (part.fget, part.fset, part.fdel)
            return property(*(None if f is None else self._member(f, cell) for f in parts))
        return self.plain(part)

    def function(self, function: types.FunctionType, cell: types.CellType | None = None) -> Any:
        """The same code with PyTorch's names."""
        if id(function) in self.functions:
            return self.functions[id(function)]
        self.held.append(function)
        names: dict[str, Any] = {"__builtins__": __builtins__, "__name__": function.__module__}
        closure = None
        if function.__closure__ is not None:
            cells = zip(function.__code__.co_freevars, function.__closure__, strict=True)
            closure = tuple(cell if n == "__class__" and cell is not None else self._cell(c) for n, c in cells)
        found = types.FunctionType(function.__code__, names, function.__name__, function.__defaults__, closure)
        found.__kwdefaults__ = None if function.__kwdefaults__ is None else dict(function.__kwdefaults__)
        found.__doc__, found.__qualname__ = function.__doc__, function.__qualname__
        self.functions[id(function)] = found
        for name in used_names(function.__code__):
            if name in function.__globals__:
                names[name] = self.plain(function.__globals__[name])
        return found

    def _cell(self, cell: types.CellType) -> types.CellType:
        return types.CellType(self.plain(cell.cell_contents))


def used_names(code: types.CodeType) -> set[str]:
    """The names that code, and what it defines, may look up."""
    inner = (part for part in code.co_consts if isinstance(part, types.CodeType))
    return set(code.co_names).union(*map(used_names, inner))


def is_own(kind: type) -> bool:
    """Whether a class is of yours, or a network of this library's own, whose ``forward`` may be PyTorch's code."""
    return not kind.__module__.startswith("ranvier.") or str(vars(kind).get("_registered")).startswith(NETWORKS)


def is_of_torch(m: Any) -> bool:
    """Whether a module is of PyTorch's vocabulary: of `ranvier.torch.nn`, or of a class of yours with a ``forward``."""
    if type(m) is Sequential:
        return all(part is None or is_of_torch(part) for part in m._modules.values())
    if m._recorded is not None:
        return False
    return name_of(m).startswith(VOCABULARY) or is_own(type(m))


def tie(made: Any, m: Module) -> None:
    """Make parameters one that are one here."""
    names: dict[int, list[str]] = {}
    for key, p in m.named_parameters(remove_duplicate=False):
        names.setdefault(id(p), []).append(key)
    for first, *others in (group for group in names.values() if len(group) > 1):
        p = made.get_parameter(first)
        for key in others:
            place, _, name = key.rpartition(".")
            setattr(made.get_submodule(place), name, p)
