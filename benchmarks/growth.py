"""The workloads whose speed must hold as layers get wider, deeper and more, and their limits."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from benchmarks.networks import NETWORKS, stack_name
from benchmarks.workload import FASTEST, FEWEST, FLOAT, Requirement, Workload, sized

TRAINERS = ("ranvier", "torch", "jax", "keras-tf")
PREDICTORS = ("ranvier", "onnx")
LEARNING_RATES = {"sgd": 1e-2}  # elsewhere 1e-3
NAMES = {"adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop", "sgd": "SGD"}
PREDICTED = (1, 8, 64)  # batches
LARGE_STATE = 2e8  # bytes of weights, gradients and two moments above which they dominate the memory of a process
GIGABYTES = 12  # of the mapped file

# Units of every layer, batch, optimizer, limit against PyTorch, and against JAX where there is one.
Dense = tuple[tuple[int, ...], int, str, float, float | None]


def _pair(n: int, batch: int, limit: float, optimizer: str = "adam") -> Dense:
    return (n,) * 3, batch, optimizer, limit, None


DENSE: tuple[Dense, ...] = (
    *(_pair(n, 32, limit) for n, limit in ((256, 0.5), (512, 0.5), (1000, 0.45), (1024, 0.45))),
    *(_pair(n, 32, limit) for n, limit in ((2048, 0.4), (4000, 0.3), (4096, 0.3))),
    *(_pair(n, 256, 0.5) for n in (256, 512, 1000, 1024, 2048, 4000, 4096)),
    ((4096,) * 4, 256, "adam", 0.5, 0.85),
    ((1500, 3000, 700), 48, "adam", 0.45, None),
    *(_pair(2048, 32, 0.4, optimizer) for optimizer in ("sgd", "rmsprop", "adamw")),
)
# Network, batch, limit, against.
IMAGES: tuple[tuple[str, int, float, str], ...] = (
    (stack_name(512, 7, 3), 16, 0.75, "torch"),
    (stack_name(512, 7, 3), 1, 0.75, "torch"),
    (stack_name(256, 14, 3), 16, 0.65, "torch"),
    (stack_name(128, 28, 3), 1, 0.75, "torch"),
    (stack_name(64, 112, 3), 4, 0.55, "torch"),
    (stack_name(16, 224, 3), 2, 0.55, "torch"),
    (stack_name(512, 7, 1), 32, 0.7, "torch"),
    (stack_name(256, 14, 1), 32, 0.7, "torch"),
    ("autoencoder", 64, 0.45, "torch"),
    ("stem", 32, 0.45, "torch"),
    *(("resnet18", 16, 0.65, FASTEST), ("mobilenet", 16, 0.65, FASTEST)),
    *(("unet", 4, 0.65, FASTEST), ("resnet50", 4, 0.65, FASTEST)),
)
# Units of every layer, or a network; limit against ONNX Runtime.
PREDICTIONS: tuple[tuple[tuple[int, ...] | str, float], ...] = (
    ((1024, 1024, 10), 1.0),
    ((4096, 4096, 4096, 10), 1.0),
    (stack_name(512, 7, 3), 1.0),
    *((stack_name(128, 28, 3), 0.8), (stack_name(64, 112, 3), 0.8)),
    *((network, 1.0) for network in ("resnet18", "mobilenet", "unet", "resnet50")),
)


def _units(layers: tuple[int, ...]) -> str:
    """The units of every layer; of equal layers their number and units."""
    equal = len(set(layers)) == 1
    return f"{len(layers) - 1}x{layers[0]}" if equal else "-".join(map(str, layers))


def _dense(row: Dense) -> Workload:
    layers, batch, optimizer, *_ = row
    return sized(
        Workload(
            f"growth-{_units(layers)}-{optimizer}-{batch}",
            f"{_units(layers)}, batch {batch}, {NAMES[optimizer]}, fit",
            "train",
            layers,
            batch,
            batch,
            optimizer,
            LEARNING_RATES.get(optimizer, 1e-3),
            loss="mean_squared_error",
            loss_at=2,
            contestants=TRAINERS,
        )
    )


def _loss(network: str) -> str:
    return "mean_squared_error" if NETWORKS[network].restores else "sparse_categorical_crossentropy"


def _images(network: str, batch: int) -> Workload:
    return sized(
        Workload(
            f"growth-{network}-{batch}", f"{NETWORKS[network].title}: training, batch {batch}, Adam", "images",
            batch=batch, samples=batch, learning_rate=1e-4, loss=_loss(network), loss_at=2, network=network,
            checked=FEWEST * batch,
            contestants=TRAINERS,
        )
    )  # fmt: skip


def _memory(trained: Workload) -> Workload:
    """The memory of a training of some steps."""
    samples = 4 * trained.batch
    return dataclasses.replace(
        trained, name=trained.name.replace("growth-", "growth-memory-", 1), kind="memory", samples=samples,
        title=f"{trained.title}: peak resident memory of a training process", checked=samples, unit="MB",
        contestants=("ranvier", "torch"),
    )  # fmt: skip


def _predict(what: tuple[int, ...] | str, batch: int) -> Workload:
    title, name = (NETWORKS[what].title, what) if isinstance(what, str) else (_units(what), _units(what))
    return Workload(
        f"growth-predict-{name}-{batch}", f"{title}: prediction, batch {batch}",
        "infer" if isinstance(what, str) else "predict", () if isinstance(what, str) else what, batch,
        max(PREDICTED), network=what if isinstance(what, str) else "",
        loss=_loss(what) if isinstance(what, str) else "sparse_categorical_crossentropy", unit="call",
        contestants=PREDICTORS,
    )  # fmt: skip


def _compile(name: str, title: str, **options: Any) -> Workload:
    return Workload(
        f"growth-compile-{name}", f"compile the training program of {title}", "compile", unit="compilation", **options
    )


def _mapped(name: str, title: str, **options: Any) -> Workload:
    return Workload(
        name, f"784-64-64-10, batch 32, Adam, {GIGABYTES} GB in a memory-mapped file, shuffled: {title}", "mapped",
        (784, 64, 64, 10), 32, GIGABYTES * 10**9 // (784 * FLOAT), **options,
    )  # fmt: skip


TRAINED = (*map(_dense, DENSE), *(_images(network, batch) for network, batch, *_ in IMAGES))
HEAVY = tuple(map(_memory, TRAINED))
_DEEP = (
    _compile("dense200", "200 dense layers of 64 units, batch 32", layers=(64,) * 201, batch=32, samples=32,
             loss="mean_squared_error"),
    _compile("resnet110", "ResNet-110, batch 4", network="resnet110", batch=4, samples=4),
)  # fmt: skip
GROWTH_WORKLOADS: tuple[Workload, ...] = (
    *TRAINED,
    *(_predict(what, batch) for what, _ in PREDICTIONS for batch in PREDICTED),
    *HEAVY,
    *_DEEP,
    dataclasses.replace(
        _DEEP[1], name="growth-memory-compile", title=f"{_DEEP[1].title}: peak resident memory", unit="MB",
        contestants=("ranvier",),
    ),
    _mapped("growth-mapped", "time of a sample", unit="sample"),
    _mapped("growth-memory-mapped", "peak private memory", unit="MB", contestants=("ranvier",)),
)  # fmt: skip


def _of_training(workload: Workload) -> Iterator[Requirement]:
    """None above the fastest peer; wide layers near the least possible time; little memory."""
    yield Requirement(workload.name, "ratio", 1.0, FASTEST)
    if workload.layers and min(workload.layers) >= 2048:
        yield Requirement(workload.name, "least", 1.33)
    dominated = 4 * FLOAT * workload.parameters > LARGE_STATE
    yield Requirement(_memory(workload).name, "ratio", 0.75 if dominated else 0.6, "torch")


def _stays_ahead(workload: Workload) -> bool:
    """Whether all of its work is dense layers or convolutions 3x3."""
    return bool(workload.layers) or workload.network.startswith("conv3")


AVX2_REQUIREMENTS = tuple(Requirement(w.name, "ratio", 0.9, "torch") for w in TRAINED if _stays_ahead(w))
"""Where all libraries are held to AVX2."""
GROWTH_REQUIREMENTS: tuple[Requirement, ...] = (
    *(Requirement(_dense(row).name, "ratio", row[3], "torch") for row in DENSE),
    *(Requirement(_dense(row).name, "ratio", row[4], "jax") for row in DENSE if row[4] is not None),
    *(Requirement(_images(network, batch).name, "ratio", limit, peer) for network, batch, limit, peer in IMAGES),
    *(requirement for workload in TRAINED for requirement in _of_training(workload)),
    *(
        Requirement(_predict(what, batch).name, "ratio", limit, "onnx")
        for what, limit in PREDICTIONS
        for batch in PREDICTED
    ),
    Requirement("wide-adam", "ratio", 0.6, "jax"),
    Requirement("growth-compile-dense200", "seconds", 0.6),
    Requirement("growth-compile-resnet110", "seconds", 2.5),
    Requirement("growth-memory-compile", "MB", 300.0),
    Requirement("growth-mapped", "ratio", 1.05, "ranvier-loaded"),
    Requirement("growth-memory-mapped", "MB", 1000.0),
)
