"""The workloads on images: training, prediction, memory, compilation, complete trainings on real data; their limits."""

from __future__ import annotations

from benchmarks.networks import NETWORKS
from benchmarks.workload import FASTEST, Requirement, Workload

IMAGES = 10_240  # of one epoch
_SLOW = (("keras-jax", "too slow for the rounds: 11 ms an image, 115 s an epoch, in a trial on a busy machine"),)
# Network, batch, images of the two epochs whose loss is compared, excluded contestants.
_TRAINED: tuple[tuple[str, int, int, tuple[tuple[str, str], ...]], ...] = (
    ("cnn", 128, 2560, ()),
    ("cnn", 32, 2560, ()),
    ("bn", 128, 640, ()),
    ("lenet", 32, 2560, ()),
    ("lenet", 128, 2560, ()),
    ("resnet", 128, 640, _SLOW),
    ("depthwise", 128, 5120, ()),
)
_TRAINERS = ("ranvier", "torch", "keras-tf", "keras-jax")
_PREDICTED = (1, 64)  # batches
_LONG = (("keras-jax", "it would take some 8 minutes, by its time on the network `bn` of the rows above"),)
DATASETS = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}
# Data set, network, epochs, excluded contestants: the recipes of examples/images.py.
_RECIPES: tuple[tuple[str, str, int, tuple[tuple[str, str], ...]], ...] = (
    ("mnist", "digits", 8, ()),
    ("fashion_mnist", "clothes", 12, _LONG),
)


def _train(network: str, batch: int, checked: int, without: tuple[tuple[str, str], ...]) -> Workload:
    title = f"{NETWORKS[network].title}: training, batch {batch}, Adam, {IMAGES:,} images"
    return Workload(
        f"image-train-{network}-{batch}", title, "images", batch=batch, samples=IMAGES, loss_at=2,
        network=network, checked=checked, without=without, contestants=_TRAINERS,
    )  # fmt: skip


def _predict(network: str, batch: int) -> Workload:
    title = f"{NETWORKS[network].title}: prediction, batch {batch}"
    return Workload(
        f"image-predict-{network}-{batch}", title, "infer", batch=batch, samples=256, network=network, unit="call"
    )  # fmt: skip


def _memory(network: str, batch: int) -> Workload:
    title = f"{NETWORKS[network].title}: peak resident memory of a training process, batch {batch}"
    return Workload(
        f"image-memory-{network}-{batch}", title, "memory", batch=batch, samples=IMAGES, loss_at=2,
        network=network, checked=4 * batch, unit="MB",
    )  # fmt: skip


def _recipe(dataset: str, network: str, epochs: int, without: tuple[tuple[str, str], ...]) -> Workload:
    title = f"{DATASETS[dataset]}, {epochs} epochs: {NETWORKS[network].title}; batch 128, Adam, one cycle"
    return Workload(
        f"image-accuracy-{dataset.removesuffix('_mnist')}", title, "accuracy", batch=128, samples=60_000,
        learning_rate=6e-3, metrics=("accuracy",), epochs=epochs, network=network, without=without,
        dataset=dataset, unit="training",
    )  # fmt: skip


_NETWORKS = tuple(dict.fromkeys(network for network, *_ in _TRAINED))

IMAGE_WORKLOADS: tuple[Workload, ...] = (
    *(_train(*row) for row in _TRAINED),
    *(_predict(network, batch) for network in _NETWORKS for batch in _PREDICTED),
    *(_memory(network, batch) for network, batch, *_ in _TRAINED),
    Workload(
        "image-compile-cnn", f"compile the training program of {NETWORKS['cnn'].title}, batch 128", "compile",
        batch=128, samples=128, network="cnn", unit="compilation",
    ),
    *(_recipe(*row) for row in _RECIPES),
)  # fmt: skip

IMAGE_REQUIREMENTS: tuple[Requirement, ...] = (
    Requirement("image-train-cnn-128", "ratio", 0.7, "keras-tf"),
    Requirement("image-train-cnn-128", "ratio", 0.4, "torch"),
    Requirement("image-train-cnn-128", "ratio", 0.2, "keras-jax"),
    Requirement("image-train-cnn-128", "share", 0.75),
    Requirement("image-train-cnn-32", "ratio", 0.6, FASTEST),
    Requirement("image-train-bn-128", "ratio", 0.5, "torch"),
    Requirement("image-train-bn-128", "ratio", 0.75, FASTEST),
    Requirement("image-train-bn-128", "share", 0.7),
    Requirement("image-train-lenet-32", "ratio", 0.35, FASTEST),
    Requirement("image-train-lenet-32", "share", 0.45),
    Requirement("image-train-lenet-128", "ratio", 0.35, FASTEST),
    Requirement("image-train-lenet-128", "share", 0.45),
    Requirement("image-train-resnet-128", "ratio", 0.6, FASTEST),
    Requirement("image-train-depthwise-128", "ratio", 0.4, FASTEST),
    *(Requirement(w.name, "ratio", 1.0, "onnx") for w in IMAGE_WORKLOADS if w.kind == "infer"),
    *(Requirement(w.name, "ratio", 0.5, "torch") for w in IMAGE_WORKLOADS if w.kind == "memory"),
    Requirement("image-compile-cnn", "seconds", 1.5, contestant="ranvier"),
    Requirement("image-compile-cnn", "seconds", 0.1, contestant="ranvier-cache"),
    Requirement("image-accuracy-mnist", "accuracy", 0.992),
    Requirement("image-accuracy-fashion", "accuracy", 0.93),
)
