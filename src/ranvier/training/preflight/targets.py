"""Checks of the targets: whether the outputs can meet them, and whether they say enough."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ranvier.data.sampled import sample
from ranvier.training.preflight.report import Fault, listed
from ranvier.training.preflight.seen import FEW, Seen

__all__ = [
    "absent_classes", "classes_of_sizes", "constant_targets", "imbalance", "large_targets", "no_distribution",
    "no_shares", "one_class", "unreachable",
]  # fmt: skip

INFINITY = float("inf")
RANGES = {  # what an activation puts out
    "sigmoid": (0.0, 1.0), "softmax": (0.0, 1.0), "hard_sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0), "hard_tanh": (-1.0, 1.0), "relu": (0.0, INFINITY), "relu6": (0.0, 6.0),
    "softplus": (0.0, INFINITY), "exponential": (0.0, INFINITY),
}  # fmt: skip
OF_CLASSES = (
    "Accuracy", "BinaryAccuracy", "CategoricalAccuracy", "SparseCategoricalAccuracy", "BalancedAccuracy", "Precision",
    "Recall", "F1Score", "AUC",
)  # fmt: skip
RARE = 20  # the most frequent class by the rarest
MANY = 1000  # classes, from which some may well be missing
LARGE = 1000.0


def unreachable(seen: Seen) -> Iterator[Fault]:
    for end in seen.ends:
        if not end.regression or end.last not in RANGES:
            continue
        low, high = RANGES[end.last]
        least, most = float(end.y.min()), float(end.y.max())
        if least < low - 1e-6 or most > high + 1e-6:
            share = np.mean((end.y < low - 1e-6) | (end.y > high + 1e-6))
            room = f"{low:g} or more" if high == INFINITY else f"{low:g} to {high:g}"
            yield seen.fault(
                f"the targets {end.name} reach from {least:.4g} to {most:.4g}, and {end.last} at the end of the model "
                f"puts out {room}: it cannot meet {share:.2%} of them",
                "Write a last layer without activation, or scale the targets, instead.",
                seen.blame(end.trace_node),
            )


def classes_of_sizes(seen: Seen) -> Iterator[Fault]:
    """Metrics that count which classes are right, where the targets are sizes."""
    for end in seen.ends:
        counting = [m.name for m in seen.metrics(end) if type(m).__name__ in OF_CLASSES]
        if not counting or not end.regression:
            continue
        some = sample(end.y)
        whole = (
            (some == 0) | (some == 1) if end.output.shape[-1:] in ((), (1,)) else (some >= 0) & (some <= 1)
        )
        if whole.all():  # classes after all, or shares of them
            continue
        yield seen.fault(
            f"the metric {counting[0]!r} counts classes that are right, and the targets {end.name} of the loss "
            f"{end.loss.name!r} are sizes ({some.min():.4g} to {some.max():.4g}): it says nothing of them",
            "Write metrics=['mae'], 'rmse' or 'r2' instead.",
        )


def no_shares(seen: Seen) -> Iterator[Fault]:
    for end in seen.ends:
        if not (end.binary or end.categorical) or end.y.dtype.kind != "f":
            continue
        wrong = (end.y < -1e-6) | (end.y > 1 + 1e-6)
        if wrong.any():
            row = int(np.flatnonzero(wrong.reshape(len(wrong), -1).any(1))[0])
            value = end.y[row].ravel()[wrong[row].ravel()][0]
            signs = set(np.unique(sample(end.y)).tolist()) == {-1.0, 1.0}
            fix = (
                f"Write ({end.name} + 1) / 2, or loss='hinge' with activation='tanh', instead."
                if signs
                else "Write targets from 0 to 1, or loss='mse' for a regression, instead."
            )
            yield seen.fault(
                f"the loss {end.loss.name!r} takes targets from 0 to 1, and {end.name} has {value:g} at row {row}: "
                "there is no smallest loss",
                fix,
                seen.blame(end.trace_node),
            )


def no_distribution(seen: Seen) -> Iterator[Fault]:
    for end in seen.ends:
        if not end.categorical or end.y.dtype.kind != "f" or end.y.shape[1:] != tuple(end.output.shape[1:]):
            continue
        sums = sample(end.y).sum(-1)
        wrong = np.abs(sums - 1) > 1e-3
        if end.y.shape[-1] > 1 and wrong.any():
            yield seen.fault(
                f"the loss {end.loss.name!r} takes targets that add up to 1 in each row, and {wrong.mean():.2%} of the "
                f"rows of {end.name} do not (one adds up to {sums[wrong].flat[0]:g})",
                "Write activation='sigmoid' with loss='binary_crossentropy' where a sample may have several classes or "
                "none, or y / y.sum(-1, keepdims=True), instead.",
                seen.blame(end.trace_node),
            )


def one_class(seen: Seen) -> Iterator[Fault]:
    for end in seen.ends:
        counts = end.counts(end.y)
        if counts is None or counts.sum() < FEW or np.count_nonzero(counts) != 1 or end.classes < 2:
            continue
        yield seen.fault(
            f"all {counts.sum():,} targets {end.name} are of class {counts.argmax()}: the model can only learn to say "
            "so",
            "Check how the labels were read and the rows chosen; write rows of two classes or more instead.",
            seen.blame(end.trace_node),
        )


def constant_targets(seen: Seen) -> Iterator[Fault]:
    for end in seen.ends:
        if end.regression and len(end.y) >= FEW and (end.y == end.y.flat[0]).all():
            yield seen.fault(
                f"all {len(end.y):,} targets {end.name} are {end.y.flat[0]:g}: the model can only learn to say so",
                "Check how the targets were read, and write ones that vary instead.",
                seen.blame(end.trace_node),
            )


def imbalance(seen: Seen) -> Iterator[Fault]:
    for end in seen.ends:
        weighed = end.weight is not None or end.loss.weighs_classes
        counts = None if weighed else end.counts(end.y)
        if counts is None or len(counts) > MANY:
            continue
        present = np.flatnonzero(counts)
        if len(present) < 2:
            continue
        often, rare = int(counts.argmax()), int(present[counts[present].argmin()])
        if counts[often] >= RARE * counts[rare]:
            yield seen.fault(
                f"class {often} is {counts[often] / counts[rare]:.0f} times as frequent in {end.name} as class {rare} "
                f"({counts[often]:,} and {counts[rare]:,} of {counts.sum():,} samples): always saying {often} is "
                f"{counts[often] / counts.sum():.1%} accurate",
                "Write fit(..., class_weight='balanced'), and look at the balanced accuracy, instead.",
                seen.blame(end.trace_node),
            )


def absent_classes(seen: Seen) -> Iterator[Fault]:
    for end in seen.ends:
        counts = end.counts(end.y)
        if counts is None or end.classes > MANY or counts.sum() < FEW * end.classes:
            continue
        absent = np.flatnonzero(counts == 0)
        if not len(absent) or len(absent) == end.classes - 1:
            continue

        fix = f"Write {end.classes - len(absent)} outputs with labels numbered from 0"
        if absent.tolist() == [0]:
            fix = f"Write {end.name} - 1 and {end.classes - 1} outputs if the labels are numbered from 1"
        yield seen.fault(
            f"the model has {end.classes} outputs, and class {listed(absent)} never occurs in the {counts.sum():,} "
            f"targets {end.name}",
            f"{fix}, or rows of every class, instead.",
            seen.blame(end.trace_node),
        )


def large_targets(seen: Seen) -> Iterator[Fault]:
    for end in seen.ends:
        if not end.regression or end.last in RANGES or len(end.y) < FEW:
            continue
        some = sample(end.y).astype(np.float64)
        size = float(np.sqrt(np.square(some).mean()))
        if size >= LARGE:
            yield seen.fault(
                f"the targets {end.name} are large ({some.min():.4g} to {some.max():.4g}), so the loss starts near "
                f"{size**2:.1g} and training will be slow or fail",
                f"Write ({end.name} - mean) / deviation, of the training data's, and scale predictions back, instead.",
                seen.blame(end.trace_node),
            )
