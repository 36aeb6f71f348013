"""What a page draws of its data and its network, before it trains."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from ranvier.cli.page.calls import Operation
from ranvier.cli.page.frames import EDGE, GRID, NEURONS, PLACES, ROWS, THUMB, level, packed, plain
from ranvier.cli.page.outline import matrix_of
from ranvier.cli.page.sources import some

BOXED = ("images", "arrays")  # kinds of data whose inputs are not drawn one by one
POINTS = 1000  # of each part, the most that are drawn
PREVIEW = 4  # values of an array, of which a row of the page's table has the first
IMAGES = 40  # that a page can choose from


def described(session: Any) -> dict[str, Any]:
    """The data and the layers of a session, as plain values."""
    source, network = session.source, session.network
    layers: list[dict[str, Any]] = []
    inputs = [part.shape[1:] for part in source.parts]
    before: list[tuple[int, ...]] = []

    def shape_at(place: int) -> tuple[int, ...]:
        return before[place - 1] if place > 0 else inputs[-place]

    drawn = network.outline
    for k, (layer, output, sources) in enumerate(zip(drawn.shown, drawn.shapes, drawn.sources, strict=True)):
        own = getattr(getattr(layer, "activation", None), "__name__", None)
        layers.append({
            "from": sources,
            "lines": lines_of(layer, [shape_at(place) for place in sources], output),
            "name": drawn.names[k],
            "kind": "" if isinstance(layer, Operation) else type(layer).__name__,
            "activation": drawn.activations.get(k, own),
            "units": int(output[-1]),
            "shape": list(output),
            "weights": sum(int(w.numpy().size) for w in layer.weights),
        })  # fmt: skip
        before.append(output)
    return {
        "version": session.version,
        "isGiven": source.open_model is not None,
        "data": data_of(session),
        "outputs": [target.name for target in source.targets],
        "output": source.output,
        "inputs": sum(int(np.prod(shape)) for shape in inputs),
        "boxes": boxes_of(source),
        "layers": layers,
        "parameters": sum(layer["weights"] for layer in layers),
        "loss": network.loss,
        "perEpoch": session.per_epoch,
        "grid": GRID, "thumb": THUMB, "edge": EDGE, "neurons": NEURONS, "places": PLACES,
    }  # fmt: skip


def boxes_of(source: Any) -> list[dict[str, str]]:
    """The inputs that are drawn as a box, with its name and its shape: images and arrays."""
    names = source.features if len(source.parts) > 1 else [""]
    shapes = ["×".join(map(str, part.shape[1:])) or "text" for part in source.parts]
    return [{"name": n, "shape": s} for n, s in zip(names, shapes, strict=True)] if source.kind in BOXED else []


def lines_of(layer: Any, before: list[tuple[int, ...]], output: tuple[int, ...]) -> str:
    """How a layer is joined to those before it: by its "weights", "each" unit to one, or "all" to all."""
    matrix = matrix_of(layer)
    if matrix is not None and len(before) == 1 and before[0] == matrix.shape[:1]:
        return "weights"
    merges = not layer.weights and (len(before) > 1 or before[0][-1:] == output[-1:])
    return "each" if merges else "all"


def data_of(session: Any) -> dict[str, Any]:
    """The samples that the page shows: points of the plane, images, or the first rows of a table."""
    source = session.source
    found: dict[str, Any] = {
        "kind": source.kind,
        "task": source.task,
        "classes": list(source.classes),
        "features": list(source.features),
        "train": len(source.y),
        "test": len(source.y_test),
        "invented": source.invented,
    }
    if source.kind == "images":
        chosen = spread_over_classes(source.y_test, IMAGES)
        shown = source.pictures(source.x_test[chosen])
        height, width, channels = shown.shape[1:]
        images = [packed(level(one, 0.0, source.white)) for one in shown]
        return found | {
            "size": [height, width, channels], "images": images, "rows": chosen,
            "labels": [int(source.y_test[i]) for i in chosen],
        }  # fmt: skip
    most = POINTS if source.kind == "plane" else ROWS
    for name, x, y in (("points", source.x, source.y), ("testPoints", source.x_test, source.y_test)):
        rows = some(x, slice(most))
        shown = previews(rows) if source.kind == "arrays" else plain(np.round(rows, 4))
        found[name] = {"x": shown, "y": plain(source.in_units(y[:most]))}
    return found


def previews(x: Any) -> list[list[str]]:
    """Of each row the beginning of each input, as text."""

    def text(values: Any) -> str:
        if isinstance(values, str):
            return values
        flat = np.reshape(values, -1)
        return ", ".join(f"{v:.3g}" for v in flat[:PREVIEW]).replace("-", "−") + ", …" * (flat.size > PREVIEW)

    parts = x if isinstance(x, list) else [x]
    return [[text(part[row]) for part in parts] for row in range(len(parts[0]))]


def spread_over_classes(y: Any, count: int) -> list[int]:
    """Rows of each class in turn."""
    turns = Counter[int]()
    keyed = []
    for row, label in enumerate(map(int, y)):
        keyed.append((turns[label], label, row))
        turns[label] += 1
    return [row for _, _, row in sorted(keyed)[:count]]
