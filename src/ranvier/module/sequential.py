"""Sequential: modules one after the other, as a list that computes."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, cast

from ranvier.graph.node import Type
from ranvier.module.calls import trace_calls
from ranvier.module.core import Module
from ranvier.module.members import ModuleBase
from ranvier.module.properties import overridable_property
from ranvier.module.serialization import POSITIONAL, class_of, register_module
from ranvier.module.symbolic import record_of
from ranvier.support.foreign import check_own
from ranvier.support.tree import flatten
from ranvier.tensor.masks import set_mask


@register_module
class Sequential(Module):
    """Modules applied one after the other.

    Written as Keras writes it, ``Sequential([a, b])``, or as PyTorch does, ``Sequential(a, b)`` or with an
    ``OrderedDict`` of names. When the first layer says its ``input_shape`` (or is an ``Input``) the weights are made at
    once, and layers that do not fit raise ValueError; otherwise at the first call.
    """

    _has_call = True

    def __init__(
        self,
        *modules: Module | Iterable[Module] | Mapping[str, Module],
        layers: Iterable[Module] | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name)
        self._types: list[tuple[ModuleBase | None, Type | None]] = []
        self._end: Type | None = None
        self._end_mask: Type | None = None  # that of what the last layer returns
        self._batch: int | None = None  # of `Input(batch_shape=...)`, which shapes show
        given: Any = modules
        if layers is not None or (len(modules) == 1 and not isinstance(modules[0], Module)):
            given = layers if layers is not None else modules[0]
        check_own(given)
        if isinstance(given, Mapping):
            for key, module in given.items():
                self._add_layer(str(key), module)
        else:
            self.extend(given or ())
        if not trainable:
            self.trainable = False

    def config(self) -> dict[str, Any]:
        if type(self).__init__ is not Sequential.__init__:  # a subclass that makes its layers itself
            return super().config()
        names = list(self._modules)
        if names == [str(i) for i in range(len(names))]:
            return {POSITIONAL: list(self)}
        return {POSITIONAL: [dict(self._modules)]}

    def get_config(self) -> dict[str, Any]:
        """The whole architecture, which ``from_config`` makes anew."""
        return self.architecture()

    def _add_layer(self, key: str, module: Any) -> None:
        if not isinstance(module, Module):
            check_own(module)
            raise TypeError(f"{module!r} is no layer. Write a Module, such as rv.layers.Dense(64), instead.")
        first = not self._modules
        if first and module._input_type is not None and self._input_type is None:
            self._begin_with(module._input_type)
            self._batch = getattr(module, "_batch", None)
        if getattr(module, "is_input", False):
            if not first:
                raise ValueError(f"{module.name!r} is an Input; write it first in the Sequential, before all layers.")
            return
        # Only a name that was chosen is unique: automatic ones are equal where a layer is a copy.
        if "name" in module._arguments[1] and any(m.name == module.name and m is not module for m in self):
            raise ValueError(
                f"{self.name!r} has a layer {module.name!r} already. Write another name=, or none, instead."
            )
        if first and self._input_type is not None and (texts := module._text_layers()):
            self._begin_with(texts[0].codes_type(self._input_type))
        self.add_module(key, module)
        self._point_to_self(module)
        self._forget_graph()
        if self._end is not None:
            try:
                self._types, self._end_mask = trace_calls(module, self._end, self._types, self._end_mask)
            except ValueError:
                self._forget(key)
                del self.__dict__[key]
                vars(module).pop("_within", None)
                raise
            self._end = self._types[-1][1]

    def _begin_with(self, type_: Type | None) -> None:
        """Note the type of the inputs, before there are layers; None if only data will show it."""
        self._input_type = self._end = type_
        self._types = [] if type_ is None else [(None, type_)]

    def _point_to_self(self, module: Module) -> None:
        """Point a layer to this Sequential, which records its ``input`` and ``output`` when they are first read, and
        knows the size of a batch that was given.
        """
        if module.__dict__.get("_within", lambda: None)() is None:
            module.__dict__["_within"] = weakref.ref(self)

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        for module in self:
            self._point_to_self(module)

    def append(self, module: Module) -> Self:
        """Add a layer at the end."""
        self._add_layer(str(len(self._modules)), module)
        return self

    def add(self, layer: Module) -> None:
        """Add a layer at the end (Keras)."""
        self.append(layer)

    def extend(self, modules: Iterable[Module]) -> Self:
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        rest = list(self)
        rest.insert(index, module)
        return self._replace_layers(rest)

    def pop(self, index: int = -1) -> Module:
        """Remove a layer, by default the last, and return it."""
        rest = list(self)
        removed = rest.pop(index)
        self._replace_layers(rest)
        return removed

    def _replace_layers(self, modules: list[Module] | dict[str, Any]) -> Self:
        for key in list(self._modules):
            vars(self._modules[key]).pop("_within", None)
            delattr(self, key)
        self._forget_graph()
        start = self._input_type
        self._types, self._end, self._end_mask = [] if start is None else [(None, start)], start, None
        if isinstance(modules, list):
            return self.extend(modules)
        for key, module in modules.items():
            self._add_layer(key, module)
        return self

    def _symbolic_values(self) -> list[Any]:
        """The symbolic values of an `Input` and of each layer's output, recorded when they are first read."""
        if "_graph" not in self.__dict__:
            if self._input_type is None:
                raise ValueError(
                    f"the shape of the inputs of {self.name!r} is not known yet. Write rv.Input((features,)) as its "
                    "first layer."
                )
            begin: Any = class_of("Input")
            shape, batch = self._input_type.shape[1:], self._batch
            values = [begin(shape, self._input_type.dtype, batch_size=batch).symbol()]
            for layer in self:
                values.append(layer(values[-1]))
            self.__dict__["_graph"] = values
        return cast("list[Any]", self.__dict__["_graph"])

    def _forget_graph(self) -> None:
        """Drop the symbolic values, and the layers' records of the calls that made them."""
        for value in self.__dict__.pop("_graph", ())[1:]:
            for part in flatten(value):
                record = record_of(part.call.module)
                record[:] = [call for call in record if call is not part.call]

    @overridable_property
    def input(self) -> Any:
        """The symbolic input, from which models of inner layers begin."""
        return self._symbolic_values()[0]

    @overridable_property
    def output(self) -> Any:
        """The symbolic output of the last layer."""
        return self._symbolic_values()[-1]

    @overridable_property
    def inputs(self) -> Any:
        return [self._symbolic_values()[0]]

    @overridable_property
    def outputs(self) -> Any:
        return [self._symbolic_values()[-1]]

    def forward(self, x: Any, mask: Any = None) -> Any:
        if mask is not None:
            set_mask(x, mask)
        for module in self._modules.values():
            x = module(x)  # type: ignore[misc]  # _add_layer keeps None out
        return x

    def _text_layers(self) -> tuple[Any, ...]:
        return next((module._text_layers() for module in self), ())

    def _takes_lists(self) -> bool:
        return self._by_call() or any(module._takes_lists() for module in list(self)[:1])

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter([cast("Module", m) for m in self._modules.values() if m is not None])

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(dict(list(self.named_children())[index]))
        return list(self)[index]

    def __setitem__(self, index: int, module: Module) -> None:
        named = dict(self._modules)
        self._replace_layers({**named, list(named)[index]: module})

    def __delitem__(self, index: int) -> None:
        self.pop(index)
