"""A network as plain JSON values and back: constructor arguments by name, classes from a fixed registry, no code."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast, overload

import numpy as np

from ranvier.graph.node import BATCH, DTYPES, FLOATS, Type
from ranvier.graph.open_extents import ANY, OpenExtent
from ranvier.module.arguments import Container
from ranvier.module.members import ModuleBase
from ranvier.module.recorded_calls import MOST_CALLS
from ranvier.support import rows
from ranvier.support.custom_objects import (
    configured_by,
    construct,
    custom_object_scope,
    file_name,
    find,
    in_scope,
    name_of,
    register,
)
from ranvier.support.tree import map_structure
from ranvier.tensor.context import get_dtype
from ranvier.tensor.function import same_function

M = TypeVar("M", bound=ModuleBase)
REGISTRY: dict[str, type[ModuleBase]] = {}  # the only classes that a file can name
POSITIONAL = "*"  # the key of positional-only arguments
DEEPEST = 64  # nested modules; a hostile file must not reach Python's recursion limit


@overload
def register_module(cls: type[M], *, name: str | None = None) -> type[M]: ...


@overload
def register_module(cls: None = None, *, name: str | None = None) -> Callable[[type[M]], type[M]]: ...


def register_module(cls: type[M] | None = None, *, name: str | None = None) -> Any:
    """Register a class, so that models of it are saved with their architecture (a decorator), by its name or ``name``.

    Its constructor's arguments must be plain values, sequences or mappings of them, or modules. Raises ValueError when
    another class has the name.
    """
    if cls is None:
        return lambda cls: register_module(cls, name=name)
    known = name or cls.__name__
    if not cls.__module__.startswith("ranvier."):
        load_class(known)  # so that the names of the library's classes are taken
    cls._registered = known
    return register(REGISTRY, cls, known)


def load_class(name: str) -> None:
    """Import the library's class of this name in files, if there is one, which registers it."""
    for start in rows.names("classes"):
        if name.startswith(start) and name not in REGISTRY:
            package = rows.look_up("classes", start)
            for attribute in {name, name.removeprefix(start)} & set(dir(package)):
                getattr(package, attribute)


def arguments_of(module: ModuleBase) -> dict[str, Any]:
    """The arguments a module was constructed with, by name; those of ``*args`` as a list under ``"*"``."""
    args, kwargs = module._arguments
    if not args:
        return dict(kwargs)
    parameters = list(inspect.signature(type(module).__init__).parameters.values())[1:]
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return {POSITIONAL: list(args), **kwargs}
    return {**dict(zip((p.name for p in parameters), args, strict=False)), **kwargs}


def all_arguments(module: ModuleBase) -> dict[str, Any]:
    """The arguments of a module's configuration and the defaults of those that were not given, in order."""
    config, given = module.config(), arguments_of(module)
    if POSITIONAL in config:
        return config
    older = getattr(module, "_older", ())
    parameters = [p for p in inspect.signature(type(module).__init__).parameters.values() if p.name not in older]
    found = {p.name: config.get(p.name, p.empty if p.name in given else p.default) for p in parameters}
    return {**{name: value for name, value in found.items() if value is not inspect.Parameter.empty}, **config}


def architecture_of(module: ModuleBase, known: dict[int, int] | None = None) -> dict[str, Any]:
    """See `Module.architecture`. ``known`` numbers the modules that are described already: each is described once."""
    whole = known is None
    known = {} if known is None else known
    registered = vars(type(module)).get("_registered")
    functional = module._recorded is not None and not module._own_arguments
    name = registered or (type(module).__name__ if module._recorded is None else "Functional")
    if module._recorded is None and not registered:
        load_class(name)
        if REGISTRY.get(name, type(module)) is not type(module):
            raise TypeError(
                f"the architecture of {module.name!r} cannot be saved: its class {type(module).__qualname__} is not "
                f"registered, and {name!r} is the name of another one. Write "
                "@rv.register_module(name='...') above the class, or save only its weights."
            )
    result: dict[str, Any] = {"class": name, "name": module.name}
    where = f"{name} {module.name!r}"
    result["config"] = {
        key: encode(value, f"{where}, argument {key!r}", known) for key, value in module.config().items()
    }
    if name != "Functional" and functional:
        result["described"] = True  # a subclass with recorded calls
    if not module._trainable:
        result["trainable"] = False
    frozen = [n for n, p in module._parameters.items() if p is not None and not p.requires_grad]
    if frozen and module._trainable:
        result["frozen"] = frozen
    treated: dict[str, dict[str, Any]] = {}
    for n, p in module._parameters.items():
        for kind in ("regularizer", "constraint"):  # which may have been set after the parameter was made
            if (value := getattr(p, kind, None)) is not None:
                treated.setdefault(n, {})[kind] = encode(value, f"{where}, {n}, {kind}")
    if treated:
        result["treated"] = treated
    if module._input_type is not None:
        result["input"] = _described_input(module._input_type)
    if module._input_types:
        result["inputs"] = list(map(_described_input, module._input_types))
    if module._input_container is not None:
        form = module._input_container
        result["inputs_in"] = form if isinstance(form, str) else list(form)
    if type(module)._builds and module.built:
        result["built"] = map_structure(module._built_shape, tuple, lambda shape: list(shape[1:]))
    # Vocabularies and their like, of layers that constructors of the user's make.
    inner = {path: m._learned() for path, m in module.named_modules() if whole and path and id(m) not in known}
    if learned := {path: value for path, value in inner.items() if value is not None}:
        result["learned"] = learned
    return result


def with_batch(shape: Any) -> Any:
    """Shapes of one argument, or of a list or a dict of them, with the batch's dimension, which files leave out."""
    if isinstance(shape, Mapping):
        return {key: with_batch(part) for key, part in shape.items()}
    if any(isinstance(part, (list, Mapping)) for part in shape):
        return [with_batch(part) for part in shape]
    return (None, *(int(n) for n in shape))


def encode(value: Any, where: str, known: dict[int, int] | None = None) -> Any:
    known = {} if known is None else known
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, ModuleBase):
        if id(value) in known:
            return {"again": known[id(value)]}
        words = {"module": architecture_of(value, known)}
        known[id(value)] = len(known)
        return words
    if isinstance(value, (list, tuple)):
        return [encode(v, where, known) for v in value]
    if isinstance(value, Mapping):
        return {"mapping": [[str(k), encode(v, where, known)] for k, v in value.items()]}
    if (known_object := _described(value)) is not None:
        return dict([known_object])
    if (name := file_name(value)) is not None:
        return {"registered": name}
    if hasattr(value, "get_config") and not isinstance(value, type):
        name = name_of(type(value)) or type(value).__name__
        return {"object": [name, {k: encode(v, f"{where}, {k!r}") for k, v in value.get_config().items()}]}
    fix = "Write its name or a plain value instead."
    if callable(value):
        fix = "Write a function with a name, or a class with a get_config or a forward, instead; or save_weights()."
    raise TypeError(f"{where} is {value!r}, which a file cannot hold. {fix}")


def _classes() -> dict[str, dict[str, Any]]:
    """By kind, the classes whose objects are written as a name and a ``config()``."""
    kinds = ("initializer", "regularizer", "constraint")
    return {kind: rows.look_up("registry", kind).classes for kind in kinds}


def _described(value: Any) -> tuple[str, Any] | None:
    """The kind of an argument that is no plain value, and how it is written: an activation as its name, an object of
    the library as the name of its class and its config. None for any other.
    """
    for name, known in rows.look_up("registry", "activation").names.items():
        if same_function(known, value):
            return "activation", name
    name = type(value).__name__
    for kind, classes in _classes().items():
        if classes.get(name) is type(value):
            return kind, [name, {key: encode(v, name) for key, v in value.config().items()}]
    return None


def plain(value: Any) -> Any:
    """An argument as in Keras's ``get_config``: a name, or an object's class and settings."""
    if isinstance(value, ModuleBase):
        return value.architecture()
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(plain, value)) if type(value) in (list, tuple) else value
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    known = _described(value) if callable(value) else None
    if known is None:
        return value
    kind, words = known
    return words if kind == "activation" else {"class_name": words[0], "config": plain(value.config())}


def from_plain(value: Any, classes: Mapping[str, Any] | None) -> Any:
    """The inverse of `plain`; layers take names and configurations of objects as they are."""
    if isinstance(value, dict):
        if {"class", "config"} <= set(value):
            return from_architecture(value, classes)
        return {key: from_plain(part, classes) for key, part in value.items()}
    return type(value)(from_plain(part, classes) for part in value) if type(value) in (list, tuple) else value


def _refuse(what: str) -> ValueError:
    return ValueError(f"this is not the architecture of a model: {what}.")


@dataclass
class _Made:
    """The modules made so far, in the order of completion, and how many calls of layers a call of each makes."""

    modules: list[ModuleBase] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    pending: int = 0  # calls by a call of the module that is being made

    def add(self, number: int) -> ModuleBase:
        """Module ``number``, which the module that is being made holds: its calls are added."""
        self.pending += self.calls[number]
        if self.pending > MOST_CALLS:
            raise _refuse(f"more than {MOST_CALLS:,} calls of layers")
        return self.modules[number]


def _decode(value: Any, depth: int, made: _Made) -> Any:
    if isinstance(value, list):
        return [_decode(v, depth, made) for v in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise _refuse(f"an argument with the keys {sorted(value)}")
    kind, content = next(iter(value.items()))
    if kind == "module":
        outer, made.pending = made.pending, 1
        module = _make(content, depth + 1, made)
        made.modules.append(module)
        made.calls.append(max(made.pending, getattr(module._recorded, "effort", 0)))
        made.pending = outer
        return made.add(-1)
    if kind == "again" and type(content) is int and content >= 0:
        return made.add(content)
    if kind == "mapping":
        return {k: _decode(v, depth, made) for k, v in content}
    activations = rows.look_up("registry", "activation").names
    if kind == "activation" and content in activations:
        return activations[content]
    classes = _classes().get(kind, {})
    if classes and content[0] in classes:
        return classes[content[0]](**{k: _decode(v, depth, made) for k, v in content[1].items()})
    if kind in ("registered", "object"):
        name, config = (content, None) if kind == "registered" else content
        thing = find(str(name))
        if thing is None:
            raise ValueError(_unknown(name, "not registered", "@rv.saving.register_keras_serializable()"))
        return thing if config is None else construct(thing, {k: _decode(v, depth, made) for k, v in config.items()})
    raise _refuse(f"an argument of kind {kind!r}: {content!r}")


def _unknown(name: Any, which: str, decorator: str) -> str:
    """The message for a name in a file that is neither registered nor in ``custom_objects``."""
    return (
        f"the model holds a {name!r}, which is {which}. If it is of yours, define it, and put {decorator} above it or "
        f"write custom_objects={{{name!r}: ...}} with it."
    )


def classes_of(module: ModuleBase) -> dict[str, type[ModuleBase]]:
    """The classes that a module is made of and that are not registered, by their names in files."""
    kinds = (type(m) for m in module.modules() if m._recorded is None)
    return {kind.__name__: kind for kind in kinds if not vars(kind).get("_registered")}


def from_architecture(description: Mapping[str, Any], classes: Mapping[str, Any] | None = None) -> Any:
    """A fresh module from what ``Module.architecture()`` returned, with fresh weights.

    Only registered classes are made, and those of ``classes`` and of `custom_object_scope`, by their names there:
    raises ValueError with the name of any other, and for anything malformed.
    """
    try:
        with custom_object_scope(classes or {}), configured_by(description):
            module = _make(description, 0, _Made())
        if module._input_type is not None and not all(m.built for m in module.modules()):
            module._trace()  # builds the layers that a user's constructor made
        return module
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise _refuse(f"{type(error).__name__}: {error}") from error


def _make(description: Mapping[str, Any], depth: int, made: _Made) -> ModuleBase:
    if depth > DEEPEST:
        raise _refuse(f"modules nested more than {DEEPEST} deep")
    cls: Any = class_of(description["class"])
    config = {key: _decode(value, depth, made) for key, value in description["config"].items()}
    module: ModuleBase = cls.from_config(config)
    module.name = str(description["name"])
    # Types that the constructor has set stay: they have its dtype, or the current dtype of floats.
    if "input" in description and module._input_type is None:
        module._input_type = _input(*description["input"])
    if "inputs" in description and not module._input_types:
        module._input_types = tuple(_input(*one) for one in description["inputs"])
        module._input_container = _form(description.get("inputs_in"), len(module._input_types))
    if learned := description.get("learned"):
        inner = dict(module.named_modules())
        for path, value in learned.items():
            inner[path]._learn(value)
    if "built" in description and not module.built:
        module._build_of(with_batch(description["built"]))
    module._find_contained()  # registers the parameters in lists
    for name, words in description.get("treated", {}).items():
        known = module._parameters[name]
        for kind, value in words.items():
            if known is not None and kind in ("regularizer", "constraint"):
                setattr(known, kind, _decode(value, depth, made))
    if not description.get("trainable", True):
        module.trainable = False
    for name in description.get("frozen", ()):
        parameter = module._parameters[name]
        if parameter is not None:
            parameter.requires_grad = False
    return module


def _described_input(type_: Type) -> list[Any]:
    """The sizes of inputs, None for those that may be any, and their dtype."""
    return [[None if type(n) is OpenExtent else n for n in type_.shape[1:]], type_.dtype]


def _input(shape: Any, dtype: Any) -> Type:
    if dtype not in DTYPES:
        raise _refuse(f"inputs of dtype {dtype!r}")
    return Type(
        (BATCH, *(OpenExtent(ANY) if n is None else int(n) for n in shape)), get_dtype() if dtype in FLOATS else dtype
    )


def _form(form: Any, count: int) -> Container:
    if form is None or form in ("list", "tuple"):
        return cast("Container", form)
    if not isinstance(form, list) or len(form) != count or not all(isinstance(key, str) for key in form):
        raise _refuse(f"inputs in {form!r}")
    return tuple(form)


def class_of(name: Any) -> type[ModuleBase]:
    if not isinstance(name, str):
        raise _refuse(f"a {type(name).__name__} for the name of a class")
    known = in_scope(name)
    if isinstance(known, type) and issubclass(known, ModuleBase):
        return known
    load_class(name)  # a file makes nothing else be imported
    if name not in REGISTRY:
        raise ValueError(_unknown(name, "no registered layer", "@rv.register_module"))
    return REGISTRY[name]
