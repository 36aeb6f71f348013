"""Pictures of images: convolution kernels, feature maps, misclassified images, and explanations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.module.calls import check_network, mode, model_dtype_scope
from ranvier.module.data_format import channels_come_first, looks_channels_first
from ranvier.pictures.style import INK, Target, finish, grid
from ranvier.tensor.call_state import forward_hook
from ranvier.tensor.context import no_grad
from ranvier.tensor.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ranvier.module.core import Module

# The largest value of images from 0 to 1 (some overshoot), and of images in another range than 0 to 255.
OVERSHOOT, DIM = 1.5, 32
SIDE, MOST = 1.25, 64  # inches of a panel; the most panels in one figure


def as_pixels(images: Any, channels_first: bool | None = None) -> Array:
    """Images to draw: (samples, height, width, 3) or (samples, height, width), between 0 and 1.

    Values from 0 to 1 (with a little overshoot) do not change. Values up to 255 are divided by 255. All others, also
    those up to 32 such as the digits from 0 to 16, are scaled from their minimum to their maximum. ``channels_first``
    follows from the shape where it is None.
    """
    array = np.asarray(images)
    if looks_channels_first(array.shape) if channels_first is None else channels_first and array.ndim == 4:
        array = array.transpose(0, 2, 3, 1)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim == 4 and array.shape[3] not in (3, 4):
        array = array.mean(3)
    if array.ndim not in (3, 4):
        raise ValueError(
            f"images of shape {np.shape(images)} cannot be drawn. Write (samples, height, width, channels), or "
            "(samples, channels, height, width) with channels_first=True, instead."
        )
    pixels = array.astype(np.float64)
    low, high = float(pixels.min(initial=0)), float(pixels.max(initial=0))
    if low < 0 or OVERSHOOT < high <= DIM or high > 255:
        return (pixels - low) / max(high - low, 1e-12)
    return pixels / 255 if high > DIM else np.minimum(pixels, 1.0)


def _grid(count: int, across: int, width: float, height: float, title: str | None = None) -> tuple[Figure, list[Axes]]:
    """A figure of panels without axes."""
    made, panels = grid(count, across, (width, height), (0.3, 0.15), title, fontsize=11, fontweight="normal")
    for axes in panels:
        axes.set_axis_off()
    return made, panels


def _show(axes: Axes, image: Array, caption: str = "", **options: Any) -> None:
    grey = {} if image.ndim == 3 else {"cmap": "gray", "vmin": 0, "vmax": 1}
    axes.imshow(image, interpolation="nearest", **{**grey, **options})
    if caption:
        axes.set_title(caption, fontsize=8, color=INK, pad=3)


def _kernel(model: Module, layer: str | Module | None) -> tuple[str, Array]:
    """The kernels of a layer, or of the first convolution: (height, width, channels, filters)."""
    check_network(model)
    for path, module in model.named_modules():
        if layer is not None and layer not in (module, module.name, path):
            continue
        kernels = [p for p in module._parameters.values() if p is not None and p.ndim == 4]
        if kernels:
            array = kernels[0].numpy()
            from_torch = ".torch" in type(module).__module__  # (filters, channels, height, width)
            return module.name, array.transpose(2, 3, 1, 0) if from_torch else array
        if layer is not None:
            break
    what = f"layer {layer!r}" if layer is not None else f"{model.name!r}"
    raise ValueError(f"{what} has no two-dimensional kernels to draw. Write the name of a Conv2D, once it is built.")


def filters(model: Module, layer: str | Module | None = None, path: Target = None) -> Figure:
    """Draw the kernels of a convolution: of ``layer`` (its name or the object), or of the first one.

    Kernels over three channels are drawn in colour. Of others the first channels are drawn one by one: blue is
    negative, red is positive. ``path`` names a file to write. Returns the figure. Raises ValueError where there are no
    kernels.
    """
    name, kernel = _kernel(model, layer)
    count = kernel.shape[3] * (1 if kernel.shape[2] == 3 else kernel.shape[2])
    limit = max(float(np.abs(kernel).max(initial=0)), 1e-12)
    shown = min(count, MOST)
    title = f"{name}: {shown} of {count:,} kernels" if shown < count else f"{name}: {count} kernels"
    made, panels = _grid(shown, 8, 0.8, 0.8, title)
    for i, axes in enumerate(panels[:shown]):
        if kernel.shape[2] == 3:
            _show(axes, kernel[..., i] / (2 * limit) + 0.5)
        else:
            one = kernel[:, :, i % kernel.shape[2], i // kernel.shape[2]]
            _show(axes, one, cmap="RdBu_r", vmin=-limit, vmax=limit)
    return finish(made, path)


def _maps(model: Module, image: Any, layer: str | Module | None) -> tuple[str, Array]:
    """The output of a layer, or of the first convolution, for one image, channels last."""
    check_network(model)
    array = np.asarray(image)
    array = array[None] if array.ndim == 3 else array[:1]
    paths = {id(module): path for path, module in model.named_modules()}
    noted: list[tuple[str, Array]] = []

    def note(module: Any, arguments: tuple[Any, ...], result: Any) -> None:
        named = layer is not None and layer in (module, module.name, paths.get(id(module)))
        wanted = named or (layer is None and bool(module._parameters))
        if module._modules or not wanted or getattr(result, "ndim", 0) != 4:
            return
        values = result.numpy()[0]
        noted.append((module.name, values.transpose(1, 2, 0) if channels_come_first(module) else values))

    with model_dtype_scope(model), mode(model, False), no_grad(), forward_hook(note):
        model(Tensor(array))
    if not noted:
        what = f"layer {layer!r}" if layer is not None else f"{model.name!r}"
        raise ValueError(f"{what} gives no maps to draw. Write the name of a convolution, or of a layer after one.")
    return noted[0]


def feature_maps(model: Module, image: Any, layer: str | Module | None = None, path: Target = None) -> Figure:
    """Draw the feature maps of a layer for one image: of ``layer`` (its name or the object), or the first convolution.

    ``image`` is one sample, (height, width, channels). Bright pixels are large values. All maps have the same scale; a
    map that is zero everywhere is labelled "silent". ``path`` names a file to write. Returns the figure. Raises
    ValueError for layers without maps.
    """
    name, maps = _maps(model, image, layer)
    count = min(maps.shape[2], MOST)
    made, panels = _grid(count, 8, SIDE, SIDE + 0.2, f"{name}: {maps.shape[0]} x {maps.shape[1]} x {maps.shape[2]}")
    low, high = float(maps.min()), float(maps.max())
    for i, axes in enumerate(panels[:count]):
        caption = str(i) if maps[..., i].any() else f"{i}, silent"
        _show(axes, maps[..., i], caption, cmap="viridis", vmin=low, vmax=max(high, low + 1e-12))
    return finish(made, path)


def mistakes(
    x: Any,
    y: Any,
    probabilities: Any,
    classes: Sequence[str] | None = None,
    path: Target = None,
    *,
    count: int = 16,
    channels_first: bool | None = None,
) -> Figure:
    """Draw the worst misclassified images: those with the largest margin of a wrong class come first.

    ``probabilities`` (samples, classes) are the predictions of the network, ``y`` the class numbers. Above each image
    are its predicted and its true class, their probabilities, and its row. ``classes`` names the classes. ``path``
    names a file to write. Returns the figure. Raises ValueError where all images are classified correctly, or where the
    arrays do not match.
    """
    p, labels = np.asarray(probabilities, np.float64), np.asarray(y).reshape(-1)
    if p.shape in ((len(labels),), (len(labels), 1)):  # probabilities of the second of two classes
        p = np.stack([1 - p.reshape(-1), p.reshape(-1)], 1)
    if p.ndim != 2 or not len(p) == len(labels) == len(x):
        raise ValueError(
            f"x, y and probabilities have the shapes {np.shape(x)}, {np.shape(y)} and {p.shape}. Write images, their "
            "class numbers and (samples, classes), as model.predict(x) gives it."
        )
    if not (p.min(initial=0) >= -1e-6 and p.max(initial=0) <= 1 + 1e-6):
        raise ValueError(
            f"the probabilities range from {p.min():.3g} to {p.max():.3g}. If they are logits z, write "
            "np.exp(z) / np.exp(z).sum(1, keepdims=True) instead."
        )
    if labels.dtype.kind not in "iu" or not (labels.min(initial=0) >= 0 and labels.max(initial=0) < p.shape[1]):
        raise ValueError(
            f"y has {labels.dtype} values beyond the classes 0 to {p.shape[1] - 1}. Write class numbers instead."
        )
    names = [str(i) for i in range(p.shape[1])] if classes is None else [str(c) for c in classes]
    taken = p.argmax(1)
    missed = np.flatnonzero(taken != labels)
    if not missed.size:
        raise ValueError(f"none of the {len(labels):,} images is misclassified: there is nothing to draw.")
    order = missed[np.argsort(p[missed, labels[missed]] - p[missed, taken[missed]], kind="stable")][:count]
    title = f"{len(missed):,} of {len(labels):,} misclassified"
    made, panels = _grid(len(order), 6, 1.6, 2.0, title if len(order) == len(missed) else f"{title}, the worst {count}")
    images = as_pixels(np.stack([np.asarray(x[row]) for row in order]), channels_first)
    for axes, row, image in zip(panels, order, images, strict=False):
        predicted, true = (f"{names[c]}, {100 * p[row, c]:.0f} %" for c in (taken[row], labels[row]))
        _show(axes, image, f"predicted {predicted}\ntrue {true}\nrow {row}")
    return finish(made, path)


def attributions(
    x: Any, values: Any, path: Target = None, *, captions: Sequence[str] = (), channels_first: bool | None = None
) -> Figure:
    """Draw explanations over the images: a row for each image, a column for each explanation (see `ranvier.explain`).

    ``values`` is an explanation of the images ``x``, or a dict of them by name. Red pixels speak for the class and blue
    ones against it, over the image in grey; channels are added. Each image has its scale, up to the 99 % quantile.
    ``captions`` are titles of the images. ``channels_first`` means that images are (samples, channels, height, width);
    where None, it follows from the shapes. ``path`` names a file to write. Returns the figure. Raises ValueError for
    explanations of other images.
    """
    named: Mapping[str, Any] = values if isinstance(values, Mapping) else {"attribution": values}
    if channels_first is None:
        channels_first = looks_channels_first(np.shape(x), *map(np.shape, named.values()))
    images = as_pixels(x, channels_first)
    grey = images if images.ndim == 3 else images[..., :3].mean(3)
    rows = min(len(images), MOST // (len(named) + 1) or 1)
    made, panels = _grid(rows * (len(named) + 1), len(named) + 1, 1.9, 2.1)
    for i in range(rows):
        line = panels[i * (len(named) + 1) : (i + 1) * (len(named) + 1)]
        _show(line[0], images[i], captions[i] if i < len(captions) else "")
        for axes, (name, given) in zip(line[1:], named.items(), strict=True):
            heat = np.asarray(given, np.float64)
            if heat.ndim == 4:
                heat = heat.sum(1 if channels_first else 3)
            if heat.shape != (len(images), *grey.shape[1:]):
                raise ValueError(
                    f"{name} has shape {np.shape(given)}, and the images {np.shape(x)}. Write what ranvier.explain "
                    f"gives for these images, and channels_first={not channels_first} if their channels come "
                    f"{'last' if channels_first else 'first'}."
                )
            one = heat[i]
            limit = max(float(np.quantile(np.abs(one), 0.99)), 1e-12)
            _show(axes, 0.25 + grey[i] / 2, name if i == 0 else "")
            strength = np.clip(np.abs(one) / limit, 0, 1)
            axes.imshow(one, cmap="RdBu_r", vmin=-limit, vmax=limit, alpha=0.85 * strength, interpolation="nearest")
    return finish(made, path)
