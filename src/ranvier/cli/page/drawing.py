"""What a network makes of one image: probabilities, the maps of each convolution, its kernels, and saliency."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.cli.page.frames import NEURONS, level, packed, plain
from ranvier.cli.page.settings import SettingError
from ranvier.cli.page.sources import Array
from ranvier.explain import saliency

MAPS = 16  # of a layer, the most that are sent


def image_of(session: Any, message: dict[str, Any]) -> Array:
    """The image of a message: a test image by its row, or its values from 0 to 1."""
    source = session.source
    if source.kind != "images":
        raise SettingError("the data are no images.")
    shape = source.pictures(source.x[:1]).shape[1:]
    if "row" in message:
        row = message["row"]
        if isinstance(row, bool) or not isinstance(row, int) or not 0 <= row < len(source.x_test):
            raise SettingError(f"row={row!r}: write a row from 0 to {len(source.x_test) - 1}.")
        return source.x_test[row : row + 1]
    values = message.get("image")
    count = int(np.prod(shape[:2]))
    if not isinstance(values, list) or len(values) != count or not all(isinstance(v, (int, float)) for v in values):
        raise SettingError(f"image: write {count} numbers, {shape[0]} x {shape[1]}.")
    array = np.clip(np.nan_to_num(np.array(values, np.float32)), 0, 1).reshape(1, *shape[:2], 1)
    return source.as_inputs(np.repeat(array * np.float32(source.white), shape[2], 3))


def looked_at(session: Any, message: dict[str, Any]) -> dict[str, Any]:
    """All that the page shows of an image. Training waits for it."""
    with session.model_in_use():
        x = image_of(session, message)
        network, source = session.network, session.source
        outputs = network.outline.outputs(x)
        share = network.probabilities(outputs, source.target)[0]
        chosen = int(share.argmax())
        slopes = source.pictures(saliency(network.of_output(source), x, chosen))[0].sum(-1)
        drawn = network.outline
        maps = [
            maps_of(layer, name, part)
            for layer, name, part in zip(drawn.shown, drawn.names, outputs, strict=True)
            if part.ndim == 4
        ]
        neurons = [neurons_of(part) for part in outputs]
    most = float(np.abs(slopes).max()) or 1.0
    return {
        "probabilities": plain(share),
        "chosen": chosen,
        "image": packed(level(source.pictures(x)[0], 0.0, source.white)),
        "saliency": packed(level(slopes, -most, most)),
        "maps": maps,
        "neurons": neurons,
    }


def neurons_of(outputs: Array) -> dict[str, Any]:
    """What the first neurons of a layer give: a map each, or a number each, around 0."""
    values = outputs[0, ..., :NEURONS]
    most = float(np.abs(values).max()) or 1.0
    size = list(values.shape[:2]) if values.ndim == 3 else [1, 1]
    return {"size": size, "values": [packed(level(values[..., k], -most, most)) for k in range(values.shape[-1])]}


def maps_of(layer: Any, name: str, outputs: Array) -> dict[str, Any]:
    """The maps of a layer, each around 0 by the largest of all; and the kernels of a convolution."""
    values = outputs[0, ..., :MAPS]
    most = float(np.abs(values).max()) or 1.0
    found: dict[str, Any] = {
        "name": name,
        "size": list(values.shape[:2]),
        "maps": [packed(level(values[..., k], -most, most)) for k in range(values.shape[2])],
    }
    kernel, weight = getattr(layer, "kernel", None), getattr(layer, "weight", None)
    if kernel is None and weight is not None and weight.numpy().ndim == 4:  # PyTorch's: (filters, channels, ...)
        kernel = weight.permute(2, 3, 1, 0)
    if kernel is not None:
        weights = kernel.numpy().mean(2)[..., :MAPS]  # over the channels that come in
        top = float(np.abs(weights).max()) or 1.0
        found["kernelSize"] = list(weights.shape[:2])
        found["kernels"] = [packed(level(weights[..., k], -top, top)) for k in range(weights.shape[2])]
    return found
