"""The members of a module: parameters, buffers and submodules, registered by attribute, and walks over them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np

from ranvier.data.memory import check_memory
from ranvier.graph.node import Type
from ranvier.graph.open_extents import is_open
from ranvier.module.hooks import HookMethods
from ranvier.module.missing_methods import MissingMethods
from ranvier.module.parameter import Buffer, Parameter
from ranvier.module.properties import part_of_module
from ranvier.module.versions import QUIET, changed
from ranvier.ops.indexing import put
from ranvier.support import rows
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.foreign import check_own
from ranvier.tensor import tape, trace
from ranvier.tensor.call_state import call_state
from ranvier.tensor.check_returned import check_initial
from ranvier.tensor.context import get_dtype
from ranvier.tensor.tensor import Tensor, clear_gradients

LONG = 1000  # a longer list is searched only if its first item is a module, a parameter or a container


def _members_in(name: str, value: Any, within: set[int]) -> Iterator[tuple[str, Any]]:
    """The modules and parameters in nested lists and dicts, by dotted path."""
    if isinstance(value, (ModuleBase, Parameter)):
        yield name, value
    elif isinstance(value, (list, tuple, dict)) and value and id(value) not in within:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        first = next(iter(value.values() if isinstance(value, dict) else value))
        if len(value) <= LONG or isinstance(first, (ModuleBase, Parameter, list, tuple, dict)):
            for key, item in list(items):
                yield from _members_in(f"{name}.{key}", item, {*within, id(value)})


def _kept(buffer: Tensor | None, value: Tensor) -> list[Tensor]:
    """A buffer that is one of a model that is traced, and is to have the value from here on; nothing for others."""
    return [buffer] if buffer is not None and buffer is not value and tape.is_owned(buffer) else []


@part_of_module
class ModuleBase(CheckedConstructor, HookMethods, MissingMethods):
    """The base of `ranvier.Module`: its members, PyTorch's ways to register them and to walk over them.

    The files below ``core.py`` know a module by this class.
    """

    training: bool
    name: str
    _trainable: bool
    _non_persistent: set[str]
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, ModuleBase | None]
    __call__: Callable[..., Any]
    _registered: str | None = None  # the name that files know the class by
    _builds = False  # whether the class has a `build` that makes weights
    _floats: str | None = None  # the floats that it computes in, where the user gave them
    _makes_masks = False  # whether the class says what mask its results have: see `ranvier.module.masks`
    _tracks = False  # whether attributes that are lists or dicts are searched for members, as in Keras
    _containers: dict[str, None]  # the names of such attributes, in order
    _contained: dict[str, Any]  # the members found in them, by dotted path

    _arguments: tuple[tuple[Any, ...], dict[str, Any]]  # of the constructor
    _made: tuple[str, int]  # the file and line that called the constructor
    _changes: int
    _input_type: Type | None
    _input_types: tuple[Type, ...]  # of a model that takes several inputs
    _built_shape: tuple[Any, ...]

    if TYPE_CHECKING:  # parameters, buffers and modules are attributes that no class names

        def __getattr__(self, name: str) -> Any: ...

    # --- attributes -----------------------------------------------------------------------------------------------

    def _text_layers(self) -> tuple[Any, ...]:
        """For each input the layer that maps its texts to numbers, if there are any: see `TextLayer`."""
        return ()

    def _learned(self) -> Any:
        """What ``adapt`` found that is no tensor, as plain values for the architecture; None if nothing."""
        return None

    def _learn(self, learned: Any) -> None:
        """Take what `_learned` returned."""
        raise ValueError(f"{type(self).__name__} {self.name!r} learns nothing")

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self.register_parameter(name, value)
        elif isinstance(value, ModuleBase):
            self.add_module(name, value)
        elif isinstance(value, Buffer):
            self.register_buffer(name, value, value.persistent)
        elif trace.state.tracing and isinstance(value, Tensor) and (kept := _kept(self._buffers.get(name), value)):
            put(kept[0], value)  # in each step, and not once
        elif name in self._buffers and (value is None or isinstance(value, Tensor)):
            self.register_buffer(name, value, persistent=name not in self._non_persistent)
        elif value is None and name in self._parameters:
            self.register_parameter(name, None)
        elif name in self._parameters or name in self._buffers:
            raise self._replacement_error(name, value)
        else:
            check_own(value)
            if name in self._modules:
                self._forget(name)
            if name not in QUIET and call_state.results is None and self.__dict__.get(name, QUIET) is not value:
                changed(self)
            if self._tracks and isinstance(value, (list, tuple, dict)):
                self._containers[name] = None
            object.__setattr__(self, name, value)

    def _replacement_error(self, name: str, value: Any) -> TypeError:
        """The error for a value that would replace a parameter or a buffer: it would be neither trained nor saved."""
        what = type(value).__name__
        if name in self._buffers:
            return TypeError(
                f"{name!r} is a buffer of {self.name!r}, and here is {what}. Write a tensor, such as "
                f"torch.tensor(...), {name}.copy_(...), or {name}.assign(...), which keeps the tensor, instead."
            )
        return TypeError(
            f"{name!r} is a parameter of {self.name!r}, and here is {what}, which would not be trained. Write "
            f"nn.Parameter(...), or {name}.copy_(...) under no_grad or {name}.assign(...), which keep the parameter, "
            "instead."
        )

    def __delattr__(self, name: str) -> None:
        self._forget(name)
        changed(self)
        object.__delattr__(self, name)

    def _forget(self, name: str) -> None:
        for registry in (self._parameters, self._modules, self._buffers):
            if name in registry:
                del registry[name]
                changed(self)

    def _register(self, registry: dict[str, Any], name: str, value: Any) -> None:
        if "." in name or not name:
            raise KeyError(f"{name!r} cannot name a member of a module. Write a name without dots.")
        if name not in registry:
            if inspect.isdatadescriptor(getattr(type(self), name, None)):  # it would be read instead
                raise AttributeError(
                    f"{name!r} is a property of every {type(self).__name__} and cannot name a part of it. Write "
                    f"another name, such as self.{name}_layer, instead."
                )
            self._forget(name)
        if registry.get(name) is not value:
            changed(self)
        registry[name] = value
        # Registered by name and readable as a plain attribute: reading one costs no __getattr__.
        self.__dict__[name] = value

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        self._register(self._parameters, name, parameter)
        if parameter is not None:
            self._give_names(parameter, name)
            if not self._trainable:
                parameter.requires_grad = False

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is saved (unless ``persistent`` is False) and not trained."""
        self._register(self._buffers, name, tensor)
        if isinstance(tensor, Buffer):
            self._give_names(tensor, name)
        (self._non_persistent.discard if persistent else self._non_persistent.add)(name)

    def _give_names(self, tensor: Parameter | Buffer, name: str) -> None:
        """Give a tensor its names in this module, unless it has some."""
        tensor.name = tensor.name or name
        if "/" not in tensor.path:
            tensor.path = f"{self.name}/{tensor.name}"

    def add_module(self, name: str, module: ModuleBase | None) -> None:
        self._register(self._modules, name, module)
        if module is not None and not self._trainable and module._trainable:
            module.trainable = False

    register_module = add_module

    def add_weight(
        self,
        shape: Sequence[int] = (),
        initializer: Any = None,
        dtype: str | None = None,
        trainable: bool = True,
        name: str | None = None,
        regularizer: Any = None,
        constraint: Any = None,
    ) -> Parameter:
        """Make and register a parameter (Keras). Raises ValueError or MemoryError for one too large, by its name.

        Without an ``initializer`` it starts with "glorot_uniform" in a dtype of floats, and with zeros in another.
        Without a name it is "weight", "weight_1", and so on; the attribute that it is assigned to names it too.
        ``regularizer`` and ``constraint`` are names, objects or functions: see `Parameter`.
        """
        if name is None:
            taken = (f"weight_{i}" if i else "weight" for i in range(len(self._parameters) + 1))
            name = next(n for n in taken if n not in self._parameters)
        dtype = dtype or get_dtype()
        if is_open(shape):
            raise ValueError(
                f"the {name} of layer {self.name!r} would have a size that depends on the data, since the network's "
                "Input has None as a size. Write the size there, such as Input((28, 28, 3)), or a global pooling "
                "before this layer, instead."
            )
        shape = tuple(int(n) for n in shape)
        check_memory(shape, dtype, f"the {name} of layer {self.name!r}")
        if initializer is None:
            initializer = "glorot_uniform" if np.dtype(dtype).kind == "f" else "zeros"
        made = rows.look_up("get", "initializer")(initializer)
        values = check_initial(made(shape, dtype=dtype), made, shape, dtype, f"the {name} of layer {self.name!r}")
        parameter = Parameter.over(values, name=name, requires_grad=trainable)
        parameter.regularizer, parameter.constraint = regularizer, constraint
        self.register_parameter(name, parameter)
        return parameter

    def _find_contained(self) -> None:
        """Register what lists and dicts hold now, in the order in which attributes were assigned."""
        if not self._containers:
            return
        contained = {
            place: part
            for name in self._containers
            for place, part in _members_in(name, self.__dict__.get(name), set())
        }
        if contained.keys() == self._contained.keys() and all(
            part is self._contained[place] for place, part in contained.items()
        ):
            return
        changed(self)
        registries: list[tuple[dict[str, Any], type]] = [(self._modules, ModuleBase), (self._parameters, Parameter)]
        for registry, kind in registries:
            own = {name: part for name, part in registry.items() if name not in self._contained}
            found = {place: part for place, part in contained.items() if isinstance(part, kind)}
            registry.clear()
            for name in self.__dict__:
                if name in own:
                    registry[name] = own[name]
                registry.update({p: part for p, part in found.items() if p.partition(".")[0] == name})
            registry.update({name: part for name, part in own.items() if name not in registry})
        self.__dict__["_contained"] = contained
        for place, part in contained.items():
            if isinstance(part, Parameter):
                self._give_names(part, place.replace(".", "_"))

    # --- walking --------------------------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, ModuleBase]]:
        self._find_contained()
        return ((name, m) for name, m in self._modules.items() if m is not None)

    def children(self) -> Iterator[ModuleBase]:
        return (m for _, m in self.named_children())

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, ModuleBase]]:
        """This module and all below it under dotted names: each once, or with ``remove_duplicate=False`` under every
        name. Modules in ``memo`` are left out.
        """
        seen = set(map(id, memo or ()))
        stack: list[tuple[str, ModuleBase, tuple[int, ...]]] = [(prefix, self, ())]  # and what the module is in
        while stack:
            path, module, above = stack.pop()
            if id(module) in (seen if remove_duplicate else above):
                continue
            seen.add(id(module))
            module._find_contained()
            yield path, module
            found = ((name, m) for name, m in module._modules.items() if m is not None)
            around = above if remove_duplicate else (*above, id(module))
            below = [(f"{path}.{name}" if path else name, m, around) for name, m in found]
            stack.extend(reversed(below))

    def modules(self) -> Iterator[ModuleBase]:
        return (m for _, m in self.named_modules())

    def get_submodule(self, target: str) -> ModuleBase:
        """The module below this one under a dotted name; this one for "". Raises AttributeError where there is none."""
        return cast("ModuleBase", self._found(target, "_modules", "module")) if target else self

    def set_submodule(self, target: str, module: Any, strict: bool = False) -> None:
        """Put a module in place of the one below this under a dotted name; with ``strict`` there must be one.

        Raises ValueError for "" and AttributeError where a module on the way is missing.
        """
        path, _, name = target.rpartition(".")
        if not name:
            raise ValueError("set_submodule needs a name. Write 'layer' or 'block.layer', as named_modules() has them.")
        if not isinstance(module, ModuleBase):
            check_own(module)
            raise ValueError(f"{target!r} is given {type(module).__name__}. Write a Module instead.")
        if strict:
            self.get_submodule(target)
        setattr(self.get_submodule(path), name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter under a dotted name. Raises AttributeError where there is none."""
        return cast("Parameter", self._found(target, "_parameters", "parameter"))

    def get_buffer(self, target: str) -> Tensor:
        """The buffer under a dotted name. Raises AttributeError where there is none."""
        return cast("Tensor", self._found(target, "_buffers", "buffer"))

    def _found(self, target: str, registry: str, what: str) -> Any:
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path) if path else self
        known = getattr(owner, registry)
        if known.get(name) is None:
            raise AttributeError(
                f"{type(owner).__name__} {owner.name!r} has no {what} {name!r}; it has {sorted(known)}."
            )
        return known[name]

    def _named(
        self, registry: str, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        if not recurse:
            self._find_contained()
        walked: Iterable[tuple[str, ModuleBase]] = [(prefix, self)]
        if recurse:
            walked = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        for path, module in walked:
            for name, tensor in getattr(module, registry).items():
                if tensor is not None and not (remove_duplicate and id(tensor) in seen):
                    seen.add(id(tensor))
                    yield (f"{path}.{name}" if path else name), tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters under dotted names, each once, in the order in which they were registered. With
        ``remove_duplicate=False`` they are under each of their names.
        """
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        return (b for _, b in self.named_buffers(recurse=recurse))

    def apply(self, function: Callable[[Any], Any]) -> Self:
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Training mode (dropout drops) for this module and all below it; ``train(False)`` is ``eval()``."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self) -> Self:
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or with ``set_to_none=False`` fill them with zeros."""
        clear_gradients(self.parameters(), set_to_none)
