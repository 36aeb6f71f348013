"""Python's operators as layers: what a functional model holds for ``a / b``, ``x ** 2`` or ``x[:, 0]``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from ranvier.layers.base import Layer
from ranvier.module.core import automatic_name
from ranvier.module.serialization import register_module
from ranvier.ops import vocabulary

# Python's operators by the names that saved models have for them: the one that Keras calls otherwise.
NAMES = {"remainder": "mod"}


def compute_of(operation: str) -> Callable[..., Any] | None:
    """What the operation of this name does; None where there is none."""
    try:
        return cast("Callable[..., Any]", vocabulary.find("keras", NAMES.get(operation, operation)))
    except KeyError:
        return None


@register_module
class Operation(Layer):
    """An operator by the name of its tensor function ("divide", "power", ...), called on tensors and numbers; or one of
    Keras's operations (`ranvier.ops`), with its arguments.

    Raises ValueError naming the operators there are for any other.
    """

    _shown = "{operation}"

    def __init__(self, operation: str, **options: Any) -> None:
        super().__init__(**options)
        if compute_of(operation) is None:
            raise ValueError(
                f"operation {operation!r} is not one that a layer does. Write the name of an operator, such as "
                "'divide', or of one of rv.ops instead."
            )
        self.operation = operation
        if options.get("name") is None:
            self.name = automatic_name(operation.rpartition(".")[2])

    def forward(self, *operands: Any, **options: Any) -> Any:
        compute: Any = compute_of(self.operation)
        return compute(*operands, **options)


@register_module
class GetItem(Layer):
    """``x[index]`` by whole numbers, slices, None and ``...``; the batch's dimension is taken whole: ``x[:, 0]``."""

    def __init__(self, index: Any, **options: Any) -> None:
        super().__init__(**options)
        items = index if isinstance(index, (tuple, list)) else (index,)
        self.index = tuple(map(self._item, items))
        if not self.index or self.index[0] not in (slice(None), ...):
            raise ValueError(
                f"x[{index!r}] would choose among the samples of a batch. Write x[:, ...] with ':' first instead."
            )

    def _item(self, item: Any) -> Any:
        """A whole number, a slice, None or ``...``, from itself or from the words of `config`."""
        if item is None or item is ... or isinstance(item, slice):
            return item
        if item == "...":
            return ...
        if isinstance(item, (list, tuple)) and len(item) == 3:
            return slice(*item)
        if hasattr(item, "__index__") and not isinstance(item, bool):
            return item.__index__()
        raise TypeError(
            f"a symbolic value cannot be indexed by {item!r}. Write whole numbers, slices, None or ... instead."
        )

    def config(self) -> dict[str, Any]:
        return {**super().config(), "index": [self._words_of(item) for item in self.index]}

    @staticmethod
    def _words_of(item: Any) -> Any:
        return [item.start, item.stop, item.step] if isinstance(item, slice) else "..." if item is ... else item

    def forward(self, x: Any) -> Any:
        return x[self.index]

    def extra_repr(self) -> str:
        return str(self.config()["index"])
