"""Checks of how the model trains: measured on a few rows before the first step, and again after the first epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ranvier.module import Module
from ranvier.module.explain import called
from ranvier.training.preflight.probe import ROWS, Activation, Probe
from ranvier.training.preflight.report import Fault

__all__ = ["dead", "exploding", "fast", "not_finite", "saturated", "vanishing"]

APART = 1e5  # the largest gradient of a layer by the smallest, each relative to its weights
GROWTH = 10.0  # of the loss in a few steps
IDLE, UNITS = 0.5, 8  # the share of units from which it is told, and the fewest units


def fault(probe: Probe, text: str, fix: str, module: Module) -> Fault:
    return Fault(text, fix, called(module, probe.model), module._made)


def ends(probe: Probe) -> tuple[int, int] | None:
    """The places of the smallest and the largest gradient among the layers, where these are far apart."""
    sizes = [g.relative for g in probe.gradients]
    if len(sizes) < 2 or not all(map(math.isfinite, sizes)):
        return None
    moving = [
        s for s in sizes if s
    ]  # a layer after which zeros stand (a new output layer) gets no gradient yet
    if not moving or max(moving) < APART * min(moving):
        return None
    return sizes.index(min(moving)), sizes.index(max(moving))


def vanishing(probe: Probe) -> Iterator[Fault]:
    found = ends(probe)
    if found is not None and found[0] < found[1]:
        small, large = (probe.gradients[i] for i in found)
        yield fault(
            probe,
            f"its gradient is {large.relative / small.relative:.0e} times smaller than that of layer "
            f"{called(large.module, probe.model)!r}, relative to the weights: it will hardly learn",
            "Write activation='relu' with kernel_initializer='he_normal', fewer layers, or a BatchNormalization "
            "between them, instead.",
            small.module,
        )


def exploding(probe: Probe) -> Iterator[Fault]:
    found = ends(probe)
    if found is not None and found[0] > found[1]:
        small, large = (probe.gradients[i] for i in found)
        yield fault(
            probe,
            f"its gradient is {large.relative / small.relative:.0e} times larger than that of layer "
            f"{called(small.module, probe.model)!r}, relative to the weights: it grows from layer to layer",
            "Write kernel_initializer='glorot_uniform' (he_normal with relu), and clipnorm=1.0 in the optimizer, "
            "instead.",
            large.module,
        )


def fast(probe: Probe) -> Iterator[Fault]:
    losses, other, change = probe.trial
    if not losses or not math.isfinite(losses[0]):
        return
    # A trained model's loss is near 0, from which any step takes it far: then the loss on wrong targets is the measure.
    start = max(losses[0], other if math.isfinite(other) else 0.0)
    worst = max((x if math.isfinite(x) else math.inf) for x in losses)
    last = losses[-1] if math.isfinite(losses[-1]) else math.inf
    if start > 0 and worst >= GROWTH * start and last >= 2 * start:
        yield Fault(
            f"with a learning rate of {probe.rate:g} the loss goes from {losses[0]:.3g} to {worst:.3g} in "
            f"{len(losses) - 1} steps on the same {len(probe.picked(ROWS))} samples, and the first step changes the "
            f"weights by {change:.0%}",
            f"Write a learning rate of {probe.rate / 10:g} or less instead.",
        )


def not_finite(probe: Probe) -> Iterator[Fault]:
    losses = probe.trial[0]
    if losses and not math.isfinite(losses[0]):
        yield Fault(
            f"the loss of the first batch is {losses[0]}",
            "Look for NaN or infinity in the data and the weights, or write a loss that is finite there, instead.",
        )


def idle(probe: Probe, *kinds: str) -> Iterator[Activation]:
    for found in probe.activations:
        if found.kind in kinds and found.units >= UNITS and found.idle > IDLE * found.units:
            yield found


def dead(probe: Probe) -> Iterator[Fault]:
    for found in idle(probe, "relu"):
        yield fault(
            probe,
            f"{found.idle} of the {found.units} units after it are zero on each of {found.rows} sampled rows, and so "
            "learn nothing any more",
            "Write a smaller learning rate, activation='leaky_relu', or scaled inputs, instead.",
            found.module,
        )


def saturated(probe: Probe) -> Iterator[Fault]:
    for found in idle(probe, "tanh", "sigmoid"):
        yield fault(
            probe,
            f"{found.idle} of the {found.units} {found.kind} units after it stay within 1 % of one end on each of "
            f"{found.rows} sampled rows, where the gradient is all but zero",
            "Write a smaller learning rate, scaled inputs, or activation='relu', instead.",
            found.module,
        )
