"""A network drawn: a box for each layer, an arrow for each tensor that goes from one to another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ranvier.graph.node import Symbol, Type
from ranvier.module.calls import isolated, mode, watched
from ranvier.pictures.style import BLUE, INK, PALE, figure, finish
from ranvier.tape import Entry
from ranvier.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.module.core import Module

__all__ = ["Box", "Drawing", "network", "scopes"]

WIDTH, HEIGHT, GAP = 2.9, 0.62, 0.34  # inches of a box, at least, and between two below each other
LETTER = 0.088  # inches
INPUT = "Input"


@dataclass
class Box:
    """A call of a layer, or an input: where the layer is, its class, what it gives, the boxes it takes that from."""

    scope: str  # "encoder/dense"
    kind: str
    types: list[Type | None]
    parameters: int | None = None  # None where there are none
    sources: list[int] = field(default_factory=list)
    level: int = 0

    @property
    def title(self) -> str:
        name = self.scope.rpartition("/")[2]
        return "input" if self.kind == INPUT else f"{name} ({self.kind})"

    @property
    def shape(self) -> str:
        return ", ".join(map(shape_of, self.types))


def scopes(model: Module) -> dict[int, str]:
    """The place of each module, by its identity: the names on the way to it, joined by "/"."""
    found: dict[int, str] = {}
    modules = dict(model.named_modules())
    for path, module in modules.items():
        outer, _, last = path.rpartition(".")
        name = module.name if last.isdecimal() or not last else last
        above = found.get(id(modules[outer]), "") if outer else ""
        found[id(module)] = f"{above}/{name}" if above else name
    return found


def shape_of(type_: Type | None) -> str:
    if type_ is None:
        return "?"
    return "(" + ", ".join("batch" if isinstance(d, Symbol) else str(d) for d in type_.shape) + ")"


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors in an argument or a result: itself, or those of a sequence or mapping."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for v in value for t in tensors_in(v)] if isinstance(value, (list, tuple)) else []


class Drawing:
    """The boxes of a model, as its calls are watched."""

    def __init__(self, model: Module) -> None:
        self.boxes: list[Box] = []
        self.made: dict[Any, int] = {}  # the box of an entry of the tape, or of a placeholder by its identity
        self.scopes = scopes(model)
        with mode(model, False), isolated(model), watched(self.note):
            model.trace()
        for box in self.boxes:
            box.level = 1 + max((self.boxes[i].level for i in box.sources), default=-1)

    def note(self, module: Any, arguments: tuple[Any, ...], result: Any) -> None:
        if module._modules:  # its parts have boxes
            return
        sources: dict[int, None] = {}
        for argument in arguments:
            for tensor in tensors_in(argument):
                sources |= dict.fromkeys(self.makers(tensor))
        results = tensors_in(result)
        own = [p for p in module._parameters.values() if p is not None]
        count = sum(p.value.size for p in own) if own else None
        scope = self.scopes.get(id(module), module.name)
        self.boxes.append(Box(scope, type(module).__name__, [t.type for t in results], count, list(sources)))
        for tensor in results:
            self.made[tensor.entry if tensor.entry is not None else id(tensor)] = len(self.boxes) - 1

    def makers(self, tensor: Tensor) -> list[int]:
        """The boxes that a tensor comes from, past everything that is computed between layers."""
        if tensor.entry is None or id(tensor) in self.made:
            return [self.given(tensor)]
        found: dict[int, None] = {}
        pending: list[Entry] = [tensor.entry]
        seen: set[Entry] = set()
        while pending:
            entry = pending.pop()
            if entry in seen:
                continue
            seen.add(entry)
            if entry in self.made:
                found[self.made[entry]] = None
            elif entry.function is None and tensor.segment is not None:
                leaf = tensor.segment.leaves[entry.options[0][1]]
                if leaf.type.shape and isinstance(leaf.type.shape[0], Symbol):
                    found[self.given(leaf)] = None
            else:
                pending.extend(entry.children)
        return sorted(found)

    def given(self, tensor: Tensor) -> int:
        """The box of an input."""
        known = self.made.get(id(tensor))
        if known is None:
            self.boxes.append(Box("input", INPUT, [tensor.type]))
            known = self.made[id(tensor)] = len(self.boxes) - 1
        return known


def network(model: Module, path: Any = None, *, title: str | None = None) -> Figure:
    """Draw a network from its inputs down to its outputs, with the shape that each layer gives and its parameters.

    ``path`` names a file to write (.png, .svg, .pdf). Returns the figure. Raises ValueError for a network that does not
    know the shape of its inputs yet.
    """
    if model._input_type is None:
        raise ValueError(
            f"{model.name!r} does not know the shape of its inputs yet. Write model.build((None, 784)), or call it, "
            "before it is drawn."
        )
    boxes = Drawing(model).boxes
    levels: dict[int, list[Box]] = {}
    for box in boxes:
        levels.setdefault(box.level, []).append(box)
    across = max(map(len, levels.values()))
    wide = max(WIDTH, 0.3 + LETTER * max(len(box.title) for box in boxes))
    width = across * (wide + GAP) + GAP
    height = len(levels) * (HEIGHT + GAP) + GAP
    made = figure(width, height + 0.45)
    made.set_layout_engine(None)
    axes = made.add_axes((0, 0, 1, height / (height + 0.45)))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    total = sum(p.value.size for p in model.parameters())
    made.text(
        0.5, 1 - 0.24 / (height + 0.45), title or f"{model.name}: {total:,} parameters", ha="center", va="center",
        fontsize=12, fontweight="bold", color=INK,
    )  # fmt: skip
    places = {}
    for level, row in levels.items():
        for i, box in enumerate(row):
            x = width / 2 + (i - (len(row) - 1) / 2) * (wide + GAP)
            places[id(box)] = x, GAP + level * (HEIGHT + GAP) + HEIGHT / 2
    for box in boxes:
        x, y = places[id(box)]
        for source in box.sources:
            from_x, from_y = places[id(boxes[source])]
            axes.annotate(
                "", (x, y - HEIGHT / 2), (from_x, from_y + HEIGHT / 2),
                arrowprops={"arrowstyle": "-|>", "color": PALE, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0},
            )  # fmt: skip
        _draw_box(axes, box, x, y, wide)
    return finish(made, path)


def _draw_box(axes: Any, box: Box, x: float, y: float, wide: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    weights = box.parameters is not None
    axes.add_patch(
        FancyBboxPatch(
            (x - wide / 2, y - HEIGHT / 2), wide, HEIGHT, boxstyle="round,pad=0,rounding_size=0.07",
            facecolor="#E3EEF7" if weights else "#F4F4F4", edgecolor=BLUE if weights else PALE, linewidth=1.1,
        )
    )  # fmt: skip
    below = box.shape if not weights else f"{box.shape}   {box.parameters:,} parameters"
    axes.text(x, y - 0.12, box.title, ha="center", va="center", fontsize=9.5, fontweight="bold", color=INK)
    axes.text(x, y + 0.14, below, ha="center", va="center", fontsize=8.5, color=INK)
