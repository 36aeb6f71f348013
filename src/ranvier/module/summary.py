"""The table that ``model.summary()`` prints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ranvier.data.memory import size_in_words
from ranvier.graph.extents import Extent
from ranvier.graph.node import Type
from ranvier.graph.open_extents import OpenExtent
from ranvier.module.calls import trace_calls
from ranvier.module.members import ModuleBase
from ranvier.module.parameter import Constant


def shape_text(type_: Type | None, batch: str = "None") -> str:
    """A shape as text, with a word for the batch; "?" where it is not known."""
    if type_ is None:
        return "?"
    return (
        "("
        + ", ".join(
            batch if isinstance(d, Extent) else "None" if type(d) is OpenExtent else str(d) for d in type_.shape
        )
        + ")"
    )


def _types(module: ModuleBase) -> dict[int, Type]:
    """The type of what each module returns, where the model can be traced."""
    if module._input_type is None:
        return {}
    found, _ = trace_calls(module, None if module._input_types else module._input_type)
    return {id(m): t for m, t in found if t is not None}


def _size(tensors: list[Any]) -> tuple[int, int]:
    return sum(t._value.size for t in tensors), sum(t._value.nbytes for t in tensors)


COLUMNS = ("layer (type)", "output shape", "parameters", "bytes")
NUMBERS = (2, 3)  # the columns that hold some


def rows_of(module: ModuleBase, *, expand_nested: bool = True, show_trainable: bool = False) -> list[tuple[str, ...]]:
    """A row of `COLUMNS` for each module, nested ones indented or left out; and whether it is trained."""
    types = _types(module)
    rows = []
    depths: dict[str, int] = {}
    for path, layer in module.named_modules():
        depths[path] = _depth(path, depths)
        if layer is module and layer._modules:
            continue
        whole = not expand_nested and bool(layer._modules)  # with all modules in it
        if not expand_nested and depths[path]:
            continue
        own: list[Any] = layer._tensors() if whole else own_weights(layer)
        count, size = _size(own)
        indent = "  " * depths[path]
        label = layer.name if not path or path.rsplit(".", 1)[-1].isdecimal() else path.rsplit(".", 1)[-1]
        counted = f"{count:,}" if layer.built else "not built"
        group = layer._modules and not own
        row = [
            f"{indent}{label} ({type(layer).__name__})",
            shape_text(types.get(id(layer))),
            "" if group else counted,
            "" if group else size_in_words(size),
        ]
        if show_trainable:
            row.append("" if not own else "yes" if any(t.requires_grad for t in own) else "no")
        rows.append(tuple(row))
    return rows


def _depth(path: str, depths: dict[str, int]) -> int:
    """The nesting depth of a module below the outermost; a list is a part of the path, and no module."""
    while path := path.rpartition(".")[0]:
        if path in depths:
            return depths[path] + 1
    return 0


def own_weights(layer: ModuleBase) -> list[Any]:
    """The parameters and saved buffers of a module itself, without those that are `Constant`."""
    own: list[Any] = [p for p in layer._parameters.values() if p is not None]
    kept = (b for name, b in layer._buffers.items() if name not in layer._non_persistent)
    return own + [b for b in kept if b is not None and not isinstance(b, Constant)]


def totals_of(module: ModuleBase) -> list[str]:
    """Lines with the number of all parameters, of the trainable and of the frozen ones."""
    weights = module._tensors()
    trained, frozen = ([w for w in weights if w.requires_grad is trains] for trains in (True, False))
    return [
        f"{name + ' parameters:':<22} {count:,} ({size_in_words(size)})"
        for name, (count, size) in (("total", _size(weights)), ("trainable", _size(trained)), ("frozen", _size(frozen)))
    ]


def summary(
    model: ModuleBase,
    *,
    print_fn: Callable[[str], Any] | None = None,
    line_length: int | None = None,
    expand_nested: bool = True,
    show_trainable: bool = False,
) -> None:
    """See `ranvier.Module.summary`."""
    import io

    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text  # names as they are: a plain str would be read as markup

    table = Table(title=Text(f"{type(model).__name__} {model.name!r}"), title_justify="left", box=box.SIMPLE_HEAD)
    for place, name in enumerate([*COLUMNS, "trainable"] if show_trainable else COLUMNS):
        table.add_column(name, justify="right" if place in NUMBERS else "left")
    for row in rows_of(model, expand_nested=expand_nested, show_trainable=show_trainable):
        table.add_row(*map(Text, row))
    text = io.StringIO()
    console = Console(file=text) if print_fn is not None else Console()
    if line_length is not None:
        console.width = line_length
    console.print(table)
    console.print("\n".join(totals_of(model)), highlight=False)
    if print_fn is not None:
        print_fn(text.getvalue().rstrip())
