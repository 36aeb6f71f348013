"""Checks of the targets: whether the outputs can reach them, and whether a model can learn from them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ranvier.data.sampled import sample
from ranvier.training.preflight.inspection import MIN_ROWS, InspectedOutput, Inspection, of_outputs
from ranvier.training.preflight.report import Fault

INFINITY = float("inf")
RANGES = {  # the range of an activation
    "sigmoid": (0.0, 1.0), "softmax": (0.0, 1.0), "hard_sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0), "hard_tanh": (-1.0, 1.0), "relu": (0.0, INFINITY), "relu6": (0.0, 6.0),
    "softplus": (0.0, INFINITY), "exponential": (0.0, INFINITY),
}  # fmt: skip
OF_CLASSES = (
    "Accuracy", "BinaryAccuracy", "CategoricalAccuracy", "SparseCategoricalAccuracy", "BalancedAccuracy", "Precision",
    "Recall", "F1Score", "AUC",
)  # fmt: skip
RARE = 20  # ratio of the most frequent class to the rarest
MANY = 1000  # with more classes some may be missing by chance
LARGE = 1000.0


@of_outputs
def unreachable(output: InspectedOutput) -> Iterator[Fault]:
    if not output.regression or output.last not in RANGES:
        return
    low, high = RANGES[output.last]
    least, most = float(output.y.min()), float(output.y.max())
    if least < low - 1e-6 or most > high + 1e-6:
        missed = np.mean((output.y < low - 1e-6) | (output.y > high + 1e-6))
        room = f"{low:g} or more" if high == INFINITY else f"{low:g} to {high:g}"
        yield Fault(
            f"the targets {output.name} range from {least:.4g} to {most:.4g}, and {output.last} at the end of the "
            f"model gives {room}, so the model cannot reach {missed:.2%} of them",
            "Write a last layer without activation, or scale the targets, instead.",
        )


def classes_of_sizes(view: Inspection) -> Iterator[Fault]:
    """Metrics that count correct classes, for targets that are numbers."""
    for output in view.outputs:
        counting = [m.name for m in view.metrics(output) if type(m).__name__ in OF_CLASSES]
        if not counting or not output.regression:
            continue
        some = sample(output.y)
        whole = (some == 0) | (some == 1) if output.tensor.shape[-1:] in ((), (1,)) else (some >= 0) & (some <= 1)
        if whole.all():  # classes, or probabilities of them
            continue
        yield Fault(
            f"the metric {counting[0]!r} counts correct classes, and the targets {output.name} of the loss "
            f"{output.loss.name!r} are numbers from {some.min():.4g} to {some.max():.4g}, so the metric has no meaning",
            "Write metrics=['mae'], 'rmse' or 'r2' instead.",
        )


@of_outputs
def no_shares(output: InspectedOutput) -> Iterator[Fault]:
    if not (output.binary or output.categorical) or output.y.dtype.kind != "f":
        return
    wrong = (output.y < -1e-6) | (output.y > 1 + 1e-6)
    if wrong.any():
        row = int(np.flatnonzero(wrong.reshape(len(wrong), -1).any(1))[0])
        value = output.y[row].ravel()[wrong[row].ravel()][0]
        fix = "targets from 0 to 1, or loss='mse' for a regression,"
        if set(np.unique(sample(output.y)).tolist()) == {-1.0, 1.0}:
            fix = f"({output.name} + 1) / 2, or loss='hinge' with activation='tanh',"
        yield Fault(
            f"the loss {output.loss.name!r} takes targets from 0 to 1, and {output.name} has {value:g} at row {row}, "
            "so the loss has no minimum",
            f"Write {fix} instead.",
        )


@of_outputs
def no_distribution(output: InspectedOutput) -> Iterator[Fault]:
    if not output.categorical or output.y.dtype.kind != "f" or output.y.shape[1:] != tuple(output.tensor.shape[1:]):
        return
    sums = sample(output.y).sum(-1)
    wrong = np.abs(sums - 1) > 1e-3
    if output.y.shape[-1] > 1 and wrong.any():
        yield Fault(
            f"the loss {output.loss.name!r} takes targets with a sum of 1 in each row, and {wrong.mean():.2%} of the "
            f"rows of {output.name} have another (one has {sums[wrong].flat[0]:g})",
            "Write activation='sigmoid' with loss='binary_crossentropy' where a sample may have several classes or "
            "none, or y / y.sum(-1, keepdims=True), instead.",
        )


@of_outputs
def one_class(output: InspectedOutput) -> Iterator[Fault]:
    counts = output.counts(output.y)
    if counts is None or counts.sum() < MIN_ROWS or np.count_nonzero(counts) != 1 or output.classes < 2:
        return
    yield Fault(
        f"all {counts.sum():,} targets {output.name} are of class {output.label(int(counts.argmax()))}, so the model "
        "can only learn to predict this class",
        "Check how the labels were read and the rows chosen; write rows of two classes or more instead.",
    )


@of_outputs
def constant_targets(output: InspectedOutput) -> Iterator[Fault]:
    if output.regression and len(output.y) >= MIN_ROWS and (output.y == output.y.flat[0]).all():
        yield Fault(
            f"all {len(output.y):,} targets {output.name} are {output.y.flat[0]:g}, so the model can only learn to "
            "predict this number",
            "Check how the targets were read, and write targets that vary instead.",
        )


@of_outputs
def imbalance(output: InspectedOutput) -> Iterator[Fault]:
    weighed = output.weight is not None or output.loss.weighs_classes
    counts = None if weighed else output.counts(output.y)
    if counts is None or len(counts) > MANY:
        return
    present = np.flatnonzero(counts)
    if len(present) < 2:
        return
    often, rare = int(counts.argmax()), int(present[counts[present].argmin()])
    if counts[often] >= RARE * counts[rare]:
        yield Fault(
            f"class {output.label(often)} is {counts[often] / counts[rare]:.0f} times as frequent in {output.name} as "
            f"class {output.label(rare)} ({counts[often]:,} and {counts[rare]:,} of {counts.sum():,} samples), so a "
            f"model that always predicts {output.label(often)} is {counts[often] / counts.sum():.1%} accurate",
            "Write fit(..., class_weight='balanced'), and use the metric 'balanced_accuracy', instead.",
        )


@of_outputs
def absent_classes(output: InspectedOutput) -> Iterator[Fault]:
    counts = output.counts(output.y)
    if counts is None or output.classes > MANY or counts.sum() < MIN_ROWS * output.classes:
        return
    absent = np.flatnonzero(counts == 0)
    if not len(absent) or len(absent) == output.classes - 1:
        return
    fix = f"Write {output.classes - len(absent)} outputs with labels numbered from 0"
    if absent.tolist() == [0]:
        fix = f"Write {output.name} - 1 and {output.classes - 1} outputs if the labels are numbered from 1"
    yield Fault(
        f"the model has {output.classes} outputs, and class {output.listed(absent)} never occurs in "
        f"the {counts.sum():,} targets {output.name}",
        f"{fix}, or rows of every class, instead.",
    )


@of_outputs
def large_targets(output: InspectedOutput) -> Iterator[Fault]:
    if not output.regression or output.last in RANGES or len(output.y) < MIN_ROWS:
        return
    some = sample(output.y).astype(np.float64)
    size = float(np.sqrt(np.square(some).mean()))
    if size >= LARGE:
        yield Fault(
            f"the targets {output.name} are large ({some.min():.4g} to {some.max():.4g}), so the loss starts near "
            f"{size**2:.1g} and training will be slow or fail",
            f"Write ({output.name} - mean) / deviation of the training data, and scale predictions back, instead.",
        )
