"""Histograms of weights and of activations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.data.arrays import check_column_names
from ranvier.data.convert import Array
from ranvier.module.calls import mode, model_dtype_scope
from ranvier.pictures.diagram import scopes
from ranvier.pictures.style import BLUE, ORANGE, PALE, Target, finish, grid, tidy
from ranvier.support.sampling import some_rows
from ranvier.support.tree import flatten
from ranvier.tensor.call_state import forward_hook
from ranvier.tensor.context import no_grad
from ranvier.tensor.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.module.core import Module

ACROSS, BINS, ROWS = 3, 50, 1024


def weights(model: Module, path: Target = None) -> Figure:
    """Draw a histogram of each parameter. ``path`` names a file to write. Returns the figure."""
    places = scopes(model)
    named = ((places[id(module)], module._parameters.items()) for module in model.modules())
    return histograms({f"{at}/{name}": p.numpy() for at, own in named for name, p in own if p is not None}, path)


def activations(model: Module, x: Any, path: Target = None) -> Figure:
    """Draw a histogram of the outputs of each layer for ``x``, of many rows for 1,024 by chance, in evaluation mode.

    ``path`` names a file to write. Returns the figure. A tall bar at zero shows inactive units.
    """
    return histograms(layer_outputs(model, x), path)


def layer_outputs(model: Module, x: Any, rows: int = ROWS) -> dict[str, Array]:
    """The outputs of each layer for at most ``rows`` rows of ``x``, in evaluation mode, in the order of calls.

    The rows are drawn by chance, the same each time. The later calls of a layer have "#2", "#3" ... after its name.
    """
    places = scopes(model)
    noted: list[tuple[str, Tensor]] = []

    def note(module: Any, arguments: tuple[Any, ...], result: Any) -> None:
        if not module._modules:
            noted.extend((places.get(id(module), module.name), t) for t in flatten(result, Tensor))

    given = x if isinstance(x, (tuple, list)) else (x,)
    for i, part in enumerate(given):
        check_column_names(part, model._frame_columns.get(str(i)))
    with model_dtype_scope(model), mode(model, False), no_grad(), forward_hook(note):
        arrays = [np.asarray(part) for part in given]
        model(*(Tensor(array[some_rows(len(array), rows)]) for array in arrays))
    result: dict[str, Array] = {}
    for name, tensor in noted:
        earlier = sum(known == name or known.startswith(f"{name}#") for known in result)
        result[f"{name}#{earlier + 1}" if earlier else name] = tensor.numpy()
    return result


def histograms(arrays: Mapping[str, Array], path: Target = None) -> Figure:
    """Draw a histogram of each array under its name. Raises ValueError where there is no array."""
    if not arrays:
        raise ValueError("there is nothing to draw: the model has no weights yet. Build it, or call it once, first.")
    made, panels = grid(len(arrays), ACROSS, (4.0, 2.5), (0.3, 0.2))
    for axes, (name, array) in zip(panels, arrays.items(), strict=True):
        values = np.asarray(array, np.float64).ravel()
        finite = values[np.isfinite(values)]
        tidy(axes, name)
        if finite.size:
            axes.hist(finite, bins=int(min(BINS, max(8, 2 * finite.size**0.5))), color=BLUE)
        axes.tick_params(labelsize=8)
        axes.set_xlabel(_described(values, finite), fontsize=8, color=PALE if finite.size == values.size else ORANGE)
        axes.set_ylabel("count", fontsize=8, color=PALE)
    return finish(made, path)


def _described(values: Array, finite: Array) -> str:
    lines = [f"{values.size:,} values"]
    if finite.size:
        lines.append(f"mean {finite.mean():.3g}, sd {finite.std():.3g}")
    zeros = np.mean(values == 0) if values.size else 0.0
    if zeros >= 0.005:
        lines.append(f"{100 * zeros:.0f} % zeros")
    if finite.size < values.size:
        lines.append(f"{values.size - finite.size:,} not finite")
    return ", ".join(lines)
