"""Checks of the training: measured on a few rows before the first step, and again after the first epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import numpy as np

from ranvier.module.shape_errors import user_name
from ranvier.training.preflight.probe import Probe
from ranvier.training.preflight.report import Fault

APART = 1e5  # ratio of the sensitivities of two layers
EXPLODED = 1e4  # ratio of the first loss to that of outputs of zero
GROWTH = 10.0  # growth of the loss in a few steps
NOTHING = 1e-9  # ratio of a learning rate to the highest of its schedule


def vanishing(probe: Probe) -> Iterator[Fault]:
    gradients = probe.first[1]
    sensitivities = [g.sensitivity for g in gradients]
    # A layer before weights of zero, such as those of a new last layer, has no gradient yet.
    moving = [p for p in sensitivities if p]
    if not moving or not all(map(math.isfinite, sensitivities)) or max(moving) < APART * min(moving):
        return
    small, large = (gradients[sensitivities.index(p)] for p in (min(moving), max(moving)))
    yield Fault(
        f"a relative change of its weights changes the loss {large.sensitivity / small.sensitivity:.0e} times less "
        f"than the same change in layer {user_name(large.module, probe.model)!r}, so the layer will hardly learn",
        "Write activation='relu' with kernel_initializer='he_normal', fewer layers, or a BatchNormalization between "
        "them, instead.",
        small.module,
    )


def exploding(probe: Probe) -> Iterator[Fault]:
    now, gradients = probe.first
    if not gradients or not math.isfinite(now) or now < EXPLODED:
        return
    silent = probe.loss_without_kernels()
    if now >= EXPLODED * silent:
        largest = max(gradients, key=lambda g: g.size)
        yield Fault(
            f"the outputs are so large that the loss starts at {now:.1e}, and with outputs of zero it would be "
            f"{silent:.1e}; this layer has the largest gradient, of norm {largest.size:.1e}",
            "Write kernel_initializer='glorot_uniform' (he_normal with relu), or a BatchNormalization between the "
            "layers, instead.",
            largest.module,
        )


def fast(probe: Probe) -> Iterator[Fault]:
    losses, change = probe.trial
    if not losses or not all(map(math.isfinite, losses)) or max(losses) < GROWTH * max(losses[0], 0.0):
        return
    # The loss of a trained model is near 0 and may grow by any factor, so it is compared with that of wrong targets.
    start = max(losses[0], probe.loss_of_mixed_targets())
    if start > 0 and max(losses) >= GROWTH * start and losses[-1] >= 2 * start:
        yield Fault(
            f"with a learning rate of {probe.rate:g} the loss goes from {losses[0]:.3g} to {max(losses):.3g} in "
            f"{len(losses) - 1} trial steps on the same rows, and the first step changes the weights by {change:.0%}",
            f"Write a learning rate of {lower(probe.rate):g} or less instead.",
        )


def over(probe: Probe) -> Iterator[Fault]:
    """A rate of 0, or a schedule whose rate is 0 in the last quarter of the first epoch, and afterwards."""
    optimizer = probe.state.optimizer
    if optimizer.schedule is None and optimizer.current_rate() == 0:
        yield Fault("the learning rate is 0, at which no step changes a weight", "Write a rate such as 0.001 instead.")
    schedule, every = optimizer.schedule, optimizer.gradient_accumulation_steps or 1
    steps = probe.steps // every
    if schedule is None or not steps:
        return
    at = np.unique(np.linspace(0, steps - 1, 1000).astype(np.int64))
    begun = optimizer.iterations.item() // every
    rates, later = schedule.at(begun + at), schedule.at(begun + steps * 2 ** np.arange(12))
    nothing = NOTHING * schedule.peak()
    if rates[at >= 0.75 * (steps - 1)].max() <= nothing and later.max() <= nothing:
        first = at[np.argmax(rates <= nothing)]
        yield Fault(
            f"the learning rate is 0 from step {first} on, and one epoch has {steps} steps; the schedule is {schedule}",
            f"Write its length in steps, {steps} times the number of epochs, instead.",
        )


def no_epsilon(probe: Probe) -> Iterator[Fault]:
    """An epsilon of 0: a weight whose gradients are all 0 so far becomes 0 / 0."""
    if getattr(probe.state.optimizer, "epsilon", None) == 0:
        yield Fault(
            "epsilon is 0, so that a weight without a gradient so far is divided by 0 and becomes NaN",
            "Write epsilon=1e-7, or leave it out, instead.",
        )


def lower(rate: float) -> float:
    """A rate to try after a rate that was too high."""
    return min(rate / 10, 0.01)


def not_finite(probe: Probe) -> Iterator[Fault]:
    losses = probe.trial[0]
    step = next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), None)
    if step == 0:
        yield Fault(
            f"the loss of some rows is {losses[0]} before the first step",
            "Check for NaN or infinity in the data and the weights, or write a loss that is finite there, instead.",
        )
    elif step is not None:
        yield Fault(
            f"with a learning rate of {probe.rate:g} the loss goes from {losses[0]:.3g} to {losses[step]} in {step} "
            "trial steps on the same rows",
            f"Write a learning rate of {lower(probe.rate):g} or less instead.",
        )


def idle(probe: Probe, kinds: tuple[str, ...], text: str, fix: str) -> Iterator[Fault]:
    """Layers with idle units of some activations; ``text`` is filled with the fields of an `Activation`."""
    for found in probe.activations:
        if found.kind in kinds:
            yield Fault(text.format(**vars(found)), fix, found.module, found.idle / found.units)


dead = partial(
    idle, kinds=("relu",),
    text="{idle} of the {units} relu units of this layer are zero for each of {rows} sampled rows, so they no longer "
    "learn",
    fix="Write a smaller learning rate, activation='leaky_relu', or scaled inputs, instead.",
)  # fmt: skip
saturated = partial(
    idle, kinds=("tanh", "sigmoid"),
    text="{idle} of the {units} {kind} units of this layer stay within 1 % of one end of their range for each of "
    "{rows} sampled rows, where the gradient is nearly zero",
    fix="Write a smaller learning rate, scaled inputs, or activation='relu', instead.",
)  # fmt: skip
