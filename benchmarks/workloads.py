"""The workloads: the shapes and the settings of every row, and the limits of the project."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import Any

from benchmarks.engines import ENGINE_REQUIREMENTS, ENGINE_WORKLOADS
from benchmarks.growth import GROWTH_REQUIREMENTS, GROWTH_WORKLOADS
from benchmarks.images import IMAGE_REQUIREMENTS, IMAGE_WORKLOADS
from benchmarks.sequences import SEQUENCE_REQUIREMENTS, SEQUENCE_WORKLOADS
from benchmarks.workload import FASTEST, OURS, Requirement, Workload

__all__ = [
    "FASTEST", "FOLDS", "OURS", "RATES", "REQUIREMENTS", "UNITS", "WORKLOADS",
    "Requirement", "Workload", "by_name", "select",
]  # fmt: skip


def _fit(name: str, what: str, layers: tuple[int, ...], samples: int, epochs: int, **data: bool) -> Workload:
    """A complete fit of an estimator. `loss_at` is its max_iter, and its rule may stop it earlier."""
    title = f"scikit-learn: {what}, {'-'.join(map(str, layers))}, batch 200, Adam, alpha 1e-4, max_iter {epochs}"
    return Workload(name, title, "fit", layers, 200, samples, loss_at=epochs, unit="fit", **data)  # type: ignore[arg-type]


ARTICLE = (784, 64, 64, 10)
_ARTICLE_SETUP: dict[str, Any] = {"layers": ARTICLE, "batch": 32, "samples": 60_000, "images": True}


def _small(name: str, layers: tuple[int, ...], batch: int, loss: str) -> Workload:
    title = f"{'-'.join(map(str, layers))}, batch {batch}, Adam, 20,000 samples"
    return Workload(name, title, "train", layers, batch, 20_000, loss=loss, loss_at=5)


WORKLOADS: tuple[Workload, ...] = (
    Workload("article-adam", "784-64-64-10, batch 32, Adam, fit", "train", **_ARTICLE_SETUP, metrics=("accuracy",)),
    Workload(
        "article-sgd",
        "784-64-64-10, batch 32, SGD, fit",
        "train",
        **_ARTICLE_SETUP,
        optimizer="sgd",
        learning_rate=0.01,
        metrics=("accuracy",),
    ),
    Workload(
        "process-adam",
        "784-64-64-10, batch 32, Adam, whole process: `python` to 5 trained epochs, memory-mapped data, cold caches",
        "process",
        **_ARTICLE_SETUP,
        metrics=("accuracy",),
        epochs=5,
        loss_at=5,
        unit="process",
    ),
    Workload(
        "loop-sgd",
        "784-64-64-10, batch 32, SGD, explicit loop with DataLoader",
        "loop",
        **_ARTICLE_SETUP,
        optimizer="sgd",
        learning_rate=0.01,
    ),
    Workload("loop-adam", "784-64-64-10, batch 32, Adam, explicit loop with DataLoader", "loop", **_ARTICLE_SETUP),
    Workload(
        "wide-adam",
        "784-512-512-10, batch 128, Adam, fit",
        "train",
        (784, 512, 512, 10),
        128,
        60_000,
        images=True,
        loss_at=2,
    ),
    _small("ten-16", (10, 46, 46, 10), 16, "sparse_categorical_crossentropy"),
    _small("ten-128", (10, 46, 46, 10), 128, "sparse_categorical_crossentropy"),
    _small("binary-16", (30, 64, 1), 16, "binary_crossentropy"),
    _small("binary-128", (30, 64, 1), 128, "binary_crossentropy"),
    Workload(
        "tanh-full",
        "4-32-16-4 tanh, full batch of 10,000, MSE, Adam, 1,000 epochs a call (slow ones fewer)",
        "train",
        (4, 32, 16, 4),
        10_000,
        10_000,
        hidden="tanh",
        loss="mean_squared_error",
        epochs=1000,
        loss_at=100,
    ),
    Workload(
        "search-digits",
        "64-h-h-10 on digits: h of 16 and 32 x 2 learning rates x 5 folds = 20 models, batch 32, Adam, 20 epochs each",
        "search",
        (64, 32, 32, 10),
        32,
        1437,
        digits=True,
        loss_at=20,
        unit="search",
    ),
    _fit("fit-digits", "digits", (64, 100, 10), 1437, 200, digits=True),
    _fit("fit-digits-stop", "digits, early stopping", (64, 100, 10), 1437, 200, digits=True, early_stopping=True),
    _fit("fit-letters", "LetterRecognition", (16, 100, 26), 20_000, 200, letters=True),
    _fit("fit-fashion", "Fashion-MNIST", (784, 100, 10), 60_000, 10, images=True),
    _fit("fit-fashion-64", "Fashion-MNIST, float64 data", (784, 100, 10), 60_000, 10, images=True, float64=True),
    Workload(
        "predict-one", "784-64-64-10, predict on one sample", "predict", ARTICLE, 1, 256, images=True, unit="call"
    ),
    Workload(
        "compile",
        "compile the 784-64-64-10 fit program",
        "compile",
        ARTICLE,
        32,
        96,
        images=True,
        metrics=("accuracy",),
        unit="compilation",
    ),
    Workload("import", "import", "import", unit="import"),
    Workload("size", "installed size with all hard dependencies", "size", unit="MB"),
    *IMAGE_WORKLOADS,
    *GROWTH_WORKLOADS,
    *SEQUENCE_WORKLOADS,
    *ENGINE_WORKLOADS,
)


# The search cross-validates every combination.
UNITS, RATES, FOLDS = (16, 32), (1e-3, 1e-2), 5


REQUIREMENTS: tuple[Requirement, ...] = (
    *(
        Requirement(workload, "ratio", limit, against)
        for workload in ("article-adam", "article-sgd")
        for against, limit in (("jax", 0.55), ("torch", 0.15), ("keras-tf", 0.07), ("sklearn", 0.2))
    ),
    Requirement("process-adam", "ratio", 0.25, "torch"),
    Requirement("process-adam", "ratio", 0.1, "keras-tf"),
    Requirement("loop-sgd", "ratio", 0.5, "torch-loader"),
    Requirement("loop-adam", "ratio", 0.5, "torch-loader"),
    Requirement("wide-adam", "ratio", 0.9, FASTEST),
    *(Requirement(name, "ratio", 0.3, FASTEST) for name in ("ten-16", "ten-128", "binary-16", "binary-128")),
    Requirement("tanh-full", "ratio", 0.5, FASTEST),
    Requirement("tanh-full", "share", 0.45),
    Requirement("search-digits", "ratio", 1 / 1.8, "ranvier-alone"),
    Requirement("search-digits", "ratio", 0.1, "sklearn"),
    *(Requirement(f"fit-{data}", "ratio", 0.25, "sklearn") for data in ("digits", "letters", "fashion", "fashion-64")),
    Requirement("predict-one", "ratio", 1.0, "onnx"),
    Requirement("predict-one", "ratio", 0.002, "keras-tf"),
    Requirement("compile", "seconds", 0.25, contestant="ranvier"),
    Requirement("compile", "seconds", 0.05, contestant="ranvier-cache"),
    Requirement("import", "seconds", 0.15),
    Requirement("size", "MB", 300.0),
    *IMAGE_REQUIREMENTS,
    *GROWTH_REQUIREMENTS,
    *SEQUENCE_REQUIREMENTS,
    *ENGINE_REQUIREMENTS,
)


def select(pattern: str | None) -> tuple[Workload, ...]:
    """The workloads whose name matches `pattern` (comma-separated shell patterns, or parts of names)."""
    if not pattern:
        return WORKLOADS
    patterns = [p if any(c in p for c in "*?[") else f"*{p}*" for p in pattern.split(",")]
    chosen = tuple(w for w in WORKLOADS if any(fnmatch(w.name, p) for p in patterns))
    if not chosen:
        names = ", ".join(w.name for w in WORKLOADS)
        raise ValueError(f"No workload matches {pattern!r}. Write one of these instead: {names}.")
    return chosen


def by_name(name: str) -> Workload:
    """The workload with this name. Raises KeyError for an unknown one."""
    return {w.name: w for w in WORKLOADS}[name]
