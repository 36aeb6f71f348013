"""The networks that are tried, by settings, and the one network that a run keeps: their mean, calibrated."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ranvier import layers, losses, optimizers
from ranvier.auto.scores import CLASSES, LABELS, Task
from ranvier.calibration.temperature import Calibrated
from ranvier.data.convert import Array
from ranvier.module import Module
from ranvier.support import rows
from ranvier.support.errors import nearest

VIEWS = {  # the blocks of features that a network takes: see `ranvier.auto.preparation`
    "standard": ("standard", "rest"),
    "quantile": ("quantile", "rest"),
    "pieces": ("standard", "pieces", "rest"),
}
FEW_STEPS = 0.9  # the momentum of batch normalization: a folder has few sounds
Blocks = Mapping[str, tuple[int, int]]
NETWORKS = ("linear", "mlp", "cnn", "lenet5", "vgg_small", "resnet", "speech")  # names for ``network``


def build(
    task: Task,
    shape: tuple[int, ...],
    blocks: Blocks | None,
    *,
    scale: float = 1.0,
    sampling_rate: int = 0,
    own: Any = None,
) -> Callable[..., Module]:
    """The function of settings that builds and compiles a network from rows of ``shape`` to logits or numbers.

    ``blocks`` are those of a table, None for images, whose pixels are multiplied by ``scale``, and for sounds.
    ``own(input_shape, outputs)`` builds the network "own".
    """

    def built(
        network: str = "mlp",
        view: str = "pieces",
        width: int = 128,
        depth: int = 2,
        dropout: float = 0.1,
        rate: float = 2e-3,
        decay: float = 1e-2,
        smoothing: float = 0.0,
        mirror: bool = False,
    ) -> Module:
        if network == "own":
            model = own(shape, task.outputs)
        elif network in ("linear", "mlp"):
            model = dense(shape, blocks, task.outputs, view, width, depth if network == "mlp" else 0, dropout, scale)
        else:
            options = {"dropout": dropout, "width": width, "depth": depth}
            model = _of_models(network, shape, task.outputs, sampling_rate, scale, mirror, options)
        return compiled(model, task, rate, decay, smoothing)

    return built


def scale_of(x: Array) -> float:
    """The factor that brings the largest pixel to 1; 1 for arrays that are no images."""
    return 1.0 if x.ndim != 4 else 1.0 / max(float(x.max()), 1e-9)


def _of_models(
    network: str,
    shape: tuple[int, ...],
    outputs: int,
    sampling_rate: int,
    scale: float,
    mirror: bool,
    options: Mapping[str, Any],
) -> Module:
    """A network of `ranvier.models`, with pixels multiplied by ``scale``; in training images are mirrored by chance."""
    models = rows.look_up("classes", "models.")
    if network not in NETWORKS:
        raise ValueError(
            f"network={network!r} does not exist. Write {nearest(network, NETWORKS)!r}, another one of "
            f"{', '.join(NETWORKS)}, or FILE.py:FUNCTION, instead."
        )
    fitting = {1: ("speech",), 3: ("cnn", "lenet5", "vgg_small", "resnet")}.get(len(shape), ())
    if network not in fitting:
        raise ValueError(f"the network {network!r} does not take rows of shape {shape}. Write --network auto instead.")
    dropout = {"dropout": options["dropout"]}
    if network == "speech":
        made: Module = models.speech_classifier(
            shape[0], outputs, sampling_rate, **dropout, activation=None, momentum=FEW_STEPS
        )
        return made
    if network == "vgg_small":
        dropout["blocks"] = blocks_of(shape, options["width"], options["depth"])
    taken = dropout if network in ("cnn", "vgg_small") else {}
    body = getattr(models, network)(shape, outputs, **taken, activation=None)
    inputs = layers.Input(shape, name="features")
    x: Any = layers.Rescaling(scale, name="scale")(inputs)
    if mirror:
        x = layers.RandomFlip("horizontal", name="mirror")(x)
    return Module(inputs, body(x), name="network")


def blocks_of(shape: tuple[int, ...], width: int, depth: int) -> tuple[tuple[int, ...], ...]:
    """The filters of `vgg_small`: blocks of ``depth`` convolutions until some four pixels a side are left.

    The first has ``width`` filters, each further one twice as many, at most four times.
    """
    count = int(np.clip(round(np.log2(min(shape[:2]) / 3.5)), 2, 5))
    return tuple((width * min(2**k, 4),) * depth for k in range(count))


def own_network(text: str) -> Any:
    """The function of (input_shape, outputs) that ``FILE.py:FUNCTION`` names. Its network gives logits, or numbers.

    Raises ValueError for a file without it, and OSError where the file cannot be read.
    """
    path, _, name = text.rpartition(":")
    found = runpy.run_path(path).get(name)
    if not callable(found):
        raise ValueError(f"{path} has no function {name!r}. Write --network {path}:NAME with one that it has instead.")
    return found


def compiled(model: Module, task: Task, rate: float, decay: float, smoothing: float = 0.0) -> Module:
    """Compile a network for its task: AdamW (Loshchilov and Hutter, 2019) on cross entropy or squared error."""
    loss: Any = "mse"
    if task.kind == CLASSES:
        loss = losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    elif task.kind == LABELS:
        loss = losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing)
    model.compile(optimizers.AdamW(rate, weight_decay=decay), loss)
    return model


def dense(
    shape: tuple[int, ...],
    blocks: Blocks | None,
    outputs: int,
    view: str,
    width: int,
    depth: int,
    dropout: float,
    scale: float,
) -> Module:
    """A dense network on some blocks of the features, or on pixels: ``depth`` layers of ``width`` with ReLU."""
    inputs = layers.Input(shape, name="features")
    x: Any = inputs
    if blocks is None:
        x = layers.Flatten(name="flat")(layers.Rescaling(scale, name="scale")(x) if len(shape) == 3 else x)
    elif view not in VIEWS:
        raise ValueError(f"view={view!r}. Write one of {', '.join(VIEWS)} instead.")
    else:
        ranges = [blocks[name] for name in VIEWS[view] if blocks[name][0] < blocks[name][1]]
        if sum(b - a for a, b in ranges) < shape[0]:
            taken = [x[:, a:b] for a, b in ranges]
            x = layers.Concatenate(name="view")(taken) if len(taken) > 1 else taken[0]
    for k in range(depth):
        x = layers.Dense(width, activation="relu", kernel_initializer="he_normal", name=f"dense{k}")(x)
        if dropout:
            x = layers.Dropout(dropout, name=f"dropout{k}")(x)
    return Module(inputs, layers.Dense(outputs, name="output")(x), name="network")


def combined(
    task: Task,
    members: Sequence[tuple[float, Sequence[Module]]],
    temperature: float,
    mean: Array | None,
    deviation: Array | None,
) -> Module:
    """One network from the networks of each member, (weight, networks): the weighted mean of their outputs.

    Logits are divided by ``temperature`` and become probabilities; standardized numbers get their ``mean`` and
    ``deviation`` back.
    """
    shape = members[0][1][0].input_shape[1:]
    inputs = layers.Input(shape, name="features")
    parts = []
    for k, (weight, networks) in enumerate(members):
        outputs = []
        for fold, network in enumerate(networks):
            network.name = f"network{k}_{fold}"
            outputs.append(network(inputs))
        mixed = layers.Average(name=f"mean{k}")(outputs) if len(outputs) > 1 else outputs[0]
        parts.append(layers.Rescaling(weight, name=f"weight{k}")(mixed) if len(members) > 1 else mixed)
    whole = layers.Add(name="sum")(parts) if len(parts) > 1 else parts[0]
    if task.kind in (CLASSES, LABELS):
        kind = "softmax" if task.kind == CLASSES else "sigmoid"
        model: Module = Calibrated(Module(inputs, whole, name="networks"), temperature, kind, True)
        loss = "categorical_crossentropy" if task.kind == CLASSES else "binary_crossentropy"
    else:
        assert mean is not None
        assert deviation is not None
        units = layers.Normalization(
            mean=np.asarray(mean).tolist(), variance=np.square(deviation).tolist(), invert=True, name="units"
        )
        model, loss = Module(inputs, units(whole), name="networks"), "mse"
    model.compile("adam", loss)
    return model
