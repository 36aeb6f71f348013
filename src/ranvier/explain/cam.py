"""Class activation maps: the positions where the channels of a convolution are evidence for the class.

Grad-CAM weights whole channels, by the mean of the gradient of the score. HiResCAM weights each position.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.explain.scores import Scorer, chosen
from ranvier.graph.node import Node
from ranvier.module.calls import in_model_dtype, mode
from ranvier.module.core import Module
from ranvier.module.data_format import channels_come_first
from ranvier.ops import arrays
from ranvier.ops.functional.resizing import shares
from ranvier.support.source_lines import warn
from ranvier.tensor.autograd import gradients
from ranvier.tensor.call_state import forward_hook
from ranvier.tensor.context import no_grad
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor


@function
def weighted(maps: Node, gradient: Node, axis: int) -> Node:
    """The positive part of the sum over channels, each weighted by the mean of its gradient over all positions."""
    positions = tuple(a for a in range(1, maps.ndim) if a != axis)
    weight = arrays.mean(gradient, axis=positions, keepdims=True)
    return arrays.maximum(arrays.sum(arrays.multiply(maps, weight), axis=axis), 0.0)


@function
def weighted_here(maps: Node, gradient: Node, axis: int) -> Node:
    """The positive part of the sum over channels, each weighted by its gradient at the position."""
    return arrays.maximum(arrays.sum(arrays.multiply(maps, gradient), axis=axis), 0.0)


def _is_convolution(layer: Module, result: Any) -> bool:
    kernels = [p for p in layer._parameters.values() if p is not None and p.ndim == getattr(result, "ndim", 0)]
    return result is not None and getattr(result, "ndim", 0) >= 3 and bool(kernels) and not layer._modules


def _layer(model: Module, layer: str | Module | None, x: npt.NDArray[Any]) -> Module:
    """The layer with this name or path, or the object itself, or the last convolution that is called."""
    if isinstance(layer, Module):
        if any(m is layer for m in model.modules()):
            return layer
        raise ValueError(f"{layer.name!r} is not a layer of {model.name!r}. Write one of its layers instead.")
    if layer is not None:
        named = dict(model.named_modules())
        found = named.get(str(layer)) or next((m for m in named.values() if m.name == layer), None)
        if found is None:
            known = ", ".join(m.name for m in model.modules() if m is not model and not m._modules)
            raise ValueError(f"{model.name!r} has no layer {layer!r}. Write one of {known} instead.")
        return found
    last: list[Module] = []

    def note(module: Any, arguments: tuple[Any, ...], result: Any) -> None:
        if _is_convolution(module, result):
            last.append(module)

    with mode(model, False), no_grad(), forward_hook(note):
        model(Tensor(x[:1]))
    if not last:
        raise ValueError(
            f"{model.name!r} has no convolution for Grad-CAM. Write layer='...' with the name of a layer that gives "
            "maps (samples, height, width, channels), or integrated_gradients instead."
        )
    return last[-1]


@in_model_dtype
def grad_cam(
    model: Module,
    x: Any,
    target: Any = None,
    *,
    layer: str | Module | None = None,
    resize: bool = True,
    logits: bool = True,
    batch_size: int = 32,
) -> npt.NDArray[Any]:
    """Class activation maps (Selvaraju et al., 2017): (samples, height, width), 0 or more.

    Each channel of ``layer`` (its name, its path or the object; by default the last convolution) is weighted by the
    mean over positions of the gradient of the score. The positive part of the sum is interpolated to the size of the
    inputs if ``resize`` is True. ``target`` and ``logits`` are those of `saliency`. Warns of maps that are zero
    everywhere, where the weighted channels are evidence against the class; `hires_cam` may show more there. Raises
    ValueError for an unknown layer.
    """
    scorer = Scorer(model, x, target, logits, batch_size)
    cam = _maps(scorer, layer, weighted, resize)
    empty = np.flatnonzero(~cam.reshape(len(cam), -1).any(1))
    if empty.size:
        rows = f"{len(empty)} of {len(cam)} samples, the first in row {empty[0]}" if len(cam) > 1 else "this sample"
        warn(
            f"Grad-CAM is empty for {rows}: weighted by their mean gradient, the channels are nowhere evidence for the "
            "class. Write hires_cam(model, x), which weights each position, or another layer= instead."
        )
    return cam


@in_model_dtype
def hires_cam(
    model: Module,
    x: Any,
    target: Any = None,
    *,
    layer: str | Module | None = None,
    resize: bool = True,
    logits: bool = True,
    batch_size: int = 32,
) -> npt.NDArray[Any]:
    """Class activation maps by position, HiResCAM (Draelos and Carin, 2020): (samples, height, width), 0 or more.

    Each channel of ``layer`` is weighted by the gradient of the score at the same position, not by its mean as in
    `grad_cam`. Where the layers after ``layer`` are linear, the map shows exactly the positions that raise the score.
    The arguments, and the errors, are those of `grad_cam`.
    """
    return _maps(Scorer(model, x, target, logits, batch_size), layer, weighted_here, resize)


def _maps(scorer: Scorer, layer: str | Module | None, weigh: Callable[..., Any], resize: bool) -> npt.NDArray[Any]:
    """The maps of a layer as ``weigh`` adds its channels, in the size of the inputs if ``resize`` is True."""
    array, masks = scorer.x, scorer.masks
    chosen_layer = _layer(scorer.model, layer, array)
    first = channels_come_first(chosen_layer)

    def run(part: Tensor, mask: Tensor) -> list[Tensor]:
        maps: list[Any] = []

        def note(module: Any, arguments: tuple[Any, ...], result: Any) -> None:
            if module is chosen_layer:
                maps.append(result)

        part.requires_grad = True  # also where all weights are frozen
        with forward_hook(note):
            score = chosen(scorer.outputs(part), mask)
        if not maps or getattr(maps[-1], "ndim", 0) < 3:
            raise ValueError(
                f"{chosen_layer.name!r} gives no maps (samples, height, width, channels). Write the name of a "
                "convolution, or of a layer after one, instead."
            )
        (gradient,) = gradients(score, [maps[-1]])
        return [weigh(maps[-1], gradient, axis=1 if first else maps[-1].ndim - 1)]

    (cam,) = scorer.over(array, masks, run=run)
    if resize:
        sizes = array.shape[2:] if first else array.shape[1:-1]
        for axis, (old, new) in enumerate(zip(cam.shape[1:], sizes, strict=True), 1):
            if old != new:
                matrix = shares(old, new).astype(cam.dtype)
                cam = np.moveaxis(np.tensordot(matrix, cam, (1, axis)), 0, axis)
    return np.ascontiguousarray(cam)
