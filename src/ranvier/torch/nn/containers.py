"""ModuleList, ModuleDict, ParameterList: modules and parameters in Python's containers, registered."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from ranvier.module import Module, Parameter, register_module
from ranvier.support.foreign import check_own
from ranvier.tensor.tensor import Tensor

Pairs = Mapping[str, Any] | Iterable[Any]


def _lines(parameters: Mapping[str, Any]) -> str:
    """One line for each parameter, formatted as in PyTorch."""
    return "\n  ".join(
        f"({name}): Parameter containing: [torch.{p.dtype.name} of size {'x'.join(map(str, p.shape))}]"
        for name, p in parameters.items()
    )


class _Container(Module):
    """Modules or parameters, registered."""

    _kind: type = Module

    def _items(self) -> dict[str, Any]:
        return self._modules if self._kind is Module else self._parameters

    def __repr__(self) -> str:
        lines = _lines(self._parameters)
        return f"{type(self).__name__}(\n  {lines}\n)" if lines else super().__repr__()

    def __len__(self) -> int:
        return len(self._items())


class _List(_Container):
    """A list whose items are registered under their positions."""

    def __init__(self, items: Iterable[Any] | None = None) -> None:
        super().__init__()
        self.extend(items or ())

    def config(self) -> dict[str, Any]:
        return {"*": [list(self)]}

    def _renew(self, items: list[Any]) -> Self:
        for key in list(self._items()):
            delattr(self, key)
        return self.extend(items)

    def append(self, item: Any) -> Self:
        if not isinstance(item, self._kind):
            check_own(item)
            raise TypeError(f"{item!r} is no {self._kind.__name__}.")
        setattr(self, str(len(self)), item)
        return self

    def extend(self, items: Iterable[Any]) -> Self:
        for item in items:
            self.append(item)
        return self

    def insert(self, index: int, item: Any) -> None:
        items = list(self)
        items.insert(index, item)
        self._renew(items)

    def pop(self, index: int = -1) -> Any:
        items = list(self)
        removed = items.pop(index)
        self._renew(items)
        return removed

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._items().values()))

    def __getitem__(self, index: Any) -> Any:
        items = list(self)[index]
        return type(self)(items) if isinstance(index, slice) else items

    def __setitem__(self, index: int, item: Any) -> None:
        setattr(self, str(range(len(self))[index]), item)

    def __delitem__(self, index: int) -> None:
        self.pop(index)

    def __iadd__(self, items: Iterable[Any]) -> Self:
        return self.extend(items)


@register_module(name="torch.ModuleList")
class ModuleList(_List):
    """A list of modules, registered so that their parameters are found. It has no forward."""

    def __repr__(self) -> str:
        """As of other modules; equal ones in a row share a line."""
        lines, place = [], 0
        for text, alike in itertools.groupby(repr(module).replace("\n", "\n  ") for module in self):
            n = len(list(alike))
            lines.append(f"({place}): {text}" if n == 1 else f"({place}-{place + n - 1}): {n} x {text}")
            place += n
        body = "".join(f"\n  {line}" for line in lines)
        return f"{type(self).__name__}({body}\n)" if lines else f"{type(self).__name__}()"


class ParameterList(_List):
    """A list of parameters, registered so that they are found."""

    _kind = Parameter


class _Dict(_Container):
    """A dictionary whose values are registered under their keys."""

    def __init__(self, items: Pairs | None = None) -> None:
        super().__init__()
        self.update({} if items is None else items)

    def config(self) -> dict[str, Any]:
        return {"*": [dict(self._items())]}

    def __getattr__(self, name: str) -> Any:
        items = self.__dict__.get("_modules" if self._kind is Module else "_parameters", {})
        if name in items:  # ``self.blocks.first``, where the key hides no method
            return items[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def update(self, items: Pairs) -> None:
        """Set the items of a dictionary, or of pairs of a key and a value."""
        try:
            given: Iterable[Any] = items.items() if isinstance(items, (Mapping, _Dict)) else items
            pairs = [(key, item) for key, item in given]
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(
                f"{type(self).__name__}: {error}. Write a dictionary, or pairs such as [['first', nn.Linear(2, 2)]]."
            ) from None
        for key, item in pairs:
            self[key] = item

    def keys(self) -> Iterable[str]:
        return self._items().keys()

    def values(self) -> Iterable[Any]:
        return self._items().values()

    def items(self) -> Iterable[tuple[str, Any]]:
        return self._items().items()

    def pop(self, key: str) -> Any:
        item = self._items()[key]
        del self[key]
        return item

    def clear(self) -> None:
        self._items().clear()

    def __getitem__(self, key: str) -> Any:
        return self._items()[key]

    def __setitem__(self, key: str, item: Any) -> None:
        # Not as an attribute: a key such as "keys" or "train" would hide the method.
        if not isinstance(item, self._kind):
            check_own(item)
            raise TypeError(f"{item!r} is no {self._kind.__name__}.")
        if not isinstance(key, str):
            raise TypeError(f"{key!r} cannot name a part of a module. Write a string as the key instead.")
        if "." in key or not key:
            raise KeyError(f"{key!r} cannot name a part of a module. Write a key without dots.")
        if key in self._items():
            self.__dict__.pop(key, None)  # of one that was assigned as an attribute
        self._items()[key] = item

    def __delitem__(self, key: str) -> None:
        del self._items()[key]
        self.__dict__.pop(key, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._items())

    def __contains__(self, key: object) -> bool:
        return key in self._items()


@register_module(name="torch.ModuleDict")
class ModuleDict(_Dict):
    """A dictionary of modules, registered so that their parameters are found. It has no forward."""

    def __init__(self, modules: Pairs | None = None) -> None:
        super().__init__(modules)


class ParameterDict(_Dict):
    """A dictionary of parameters, registered so that they are found. Tensors become parameters."""

    _kind = Parameter

    def __init__(self, parameters: Pairs | None = None) -> None:
        super().__init__(parameters)

    def __setitem__(self, key: str, item: Any) -> None:
        plain = isinstance(item, Tensor) and not isinstance(item, Parameter)
        super().__setitem__(key, Parameter(item) if plain else item)
        self[key].name = self[key].name or key
