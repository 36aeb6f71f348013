"""A training step on one sample for the page: the numbers of ``model.explain_step`` as plain values."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.cli.page.frames import plain
from ranvier.cli.page.settings import SettingError
from ranvier.cli.page.sources import some
from ranvier.module.shape_errors import user_names
from ranvier.support.tree import flatten

UNITS, FEATURES = 24, 24  # of a dense layer, the most that are sent
MOVES = ("Input", "GetItem")  # layers that change no number
WEIGHTS = 36  # of a weight of another layer


def sample(session: Any, message: dict[str, Any]) -> tuple[Any, Any]:
    """The inputs and the targets of the sample that a message names: a training row, or a test row."""
    part = "test" if message.get("part") == "test" else "train"
    source, network = session.source, session.network
    x, y = (source.x_test, network.y_test) if part == "test" else (source.x, network.y)
    row, count = message.get("row", 0), len(source.y_test if part == "test" else source.y)
    if isinstance(row, bool) or not isinstance(row, int) or not 0 <= row < count:
        raise SettingError(f"row={row!r}: write a row from 0 to {count - 1}.")
    return some(x, slice(row, row + 1)), some(y, slice(row, row + 1))


def explained(session: Any, message: dict[str, Any]) -> dict[str, Any]:
    """One step on a sample, and with ``apply`` the step is made too."""
    session.pause()
    with session.model_in_use():
        x, y = sample(session, message)
        model = session.network.model
        step = model.explain_step(x, y)
        names = user_names(model)
        modules = {names[id(module)]: module for module in model.modules()}
        found = {
            "loss": plain(step.loss),
            "lossName": step.loss_name,
            "optimizer": step.optimizer,
            "rate": step.learning_rate,
            "target": [value for part in flatten(y, np.ndarray) for value in np.reshape(plain(part[0]), -1).tolist()],
            "penalized": step.penalized,
            "layers": [
                layer_of(step, layer) | place_of(layer, modules.get(layer.name))
                for layer in step.layers
                if layer.kind not in MOVES
            ],
        }
        if message.get("apply"):
            model.train_on_batch(x, y)
            session.steps += 1
            session.publish()
    return found


def layer_of(step: Any, layer: Any) -> dict[str, Any]:
    """The numbers of a layer: neuron by neuron where it is dense, else shapes and ranges."""
    found: dict[str, Any] = {"name": layer.name, "kind": layer.kind, "activation": layer.activation}
    if not layer.is_dense:
        gradients = layer.output_gradients
        return found | {
            "shape": list(layer.outputs.shape[1:]),
            "outputs": spread(layer.outputs),
            "gradients": None if gradients is None else spread(gradients),
            "weights": [weight_of(name, weight) for name, weight in layer.weights.items()],
        }
    following = step.fed_by(layer)
    weight, bias = layer.weights[layer.kernel], layer.weights.get("bias")

    def part(values: Any) -> Any:
        return None if values is None else plain(values[0, :UNITS])

    def matrix(values: Any) -> Any:
        turned = values.T if layer.transposed and values is not None else values
        return None if values is None else plain(turned[:FEATURES, :UNITS])

    return found | {
        "dense": True,
        "inputs": plain(layer.inputs[0, :FEATURES]),
        "features": int(layer.inputs.shape[1]),
        "units": int(layer.sums.shape[1]),
        "sums": part(layer.sums),
        "outputs": part(layer.outputs),
        "outputGradients": part(layer.output_gradients),
        "slopes": part(layer.slopes),
        "deltas": part(layer.deltas),
        "next": None if following is None else following.name,
        "kernel": {name: matrix(getattr(weight, name)) for name in ("before", "gradient", "after")},
        "bias": None if bias is None else {n: plain(getattr(bias, n)[:UNITS]) for n in ("before", "gradient", "after")},
    }


def place_of(layer: Any, module: Any) -> dict[str, Any]:
    """Of a plain convolution of images the largest output, written out: the pixels, the kernel, and their products.

    Of several channels it is the one that adds most; ``others`` is what the others add.
    """
    plain_steps = ("strides", "dilation_rate", "groups")
    if type(module).__name__ != "Conv2D" or any(np.any(np.not_equal(getattr(module, n), 1)) for n in plain_steps):
        return {}
    if module.data_format == "channels_first" or "kernel" not in layer.weights:
        return {}
    outputs, kernel = layer.outputs[0], layer.weights["kernel"].before
    high, wide = kernel.shape[:2]
    row, column, filter = (int(k) for k in np.unravel_index(outputs.argmax(), outputs.shape))
    before = [((n - 1) // 2, n // 2) if module.padding == "same" else (0, 0) for n in (high, wide)]
    pixels = np.pad(layer.inputs[0], [*before, (0, 0)])[row : row + high, column : column + wide]
    products = pixels * kernel[..., filter]
    added = products.sum((0, 1))
    channel = int(np.abs(added).argmax())
    bias = layer.weights.get("bias")
    offset = 0.0 if bias is None else float(bias.before[filter])
    return {
        "place": {
            "row": row, "column": column, "filter": filter, "channel": channel, "channels": int(kernel.shape[2]),
            "pixels": plain(pixels[..., channel]), "kernel": plain(kernel[..., channel, filter]),
            "products": plain(products[..., channel]), "others": float(added.sum() - added[channel]), "bias": offset,
            "sum": float(added.sum()) + offset, "output": float(outputs[row, column, filter]),
            "activation": getattr(module.activation, "__name__", None),
        }
    }  # fmt: skip


def weight_of(name: str, weight: Any) -> dict[str, Any]:
    """The first numbers of a weight, with their places."""
    shape = weight.before.shape
    places = [list(map(int, place)) for place, _ in zip(np.ndindex(*shape), range(WEIGHTS), strict=False)]

    def first(values: Any) -> Any:
        return None if values is None else plain(values.reshape(-1)[:WEIGHTS])

    parts = {part: first(getattr(weight, part)) for part in ("before", "gradient", "after")}
    return {"name": name, "shape": list(shape), "count": int(weight.before.size), "places": places, **parts}


def spread(values: Any) -> dict[str, Any]:
    """The range and the norm of an array."""
    return {
        "low": plain(values.min()), "high": plain(values.max()), "norm": plain(np.linalg.norm(values.astype(float)))
    }  # fmt: skip
