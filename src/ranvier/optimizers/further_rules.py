"""Update rules that one vocabulary alone has: PyTorch's RAdam, Rprop and ASGD, Keras's Lamb and ScheduleFreeAdamW."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ranvier.graph.node import Node, apply, like
from ranvier.graph.tiny import squared
from ranvier.ops import arrays
from ranvier.optimizers.arithmetic import (
    Slots,
    Updated,
    broadcast,
    lerp,
    one_minus,
    one_minus_power,
    scaled,
    select,
    shifted,
    sqrt,
    sum_of_squares,
)
from ranvier.optimizers.base import Optimizer
from ranvier.optimizers.rules import AdamBase

MOMENTS = {"momentum": 0.0, "velocity": 0.0}


def first_rate(optimizer: Optimizer) -> float:
    """The learning rate of the first step."""
    rate = optimizer.learning_rate
    return float(rate if isinstance(rate, (int, float)) else rate.at(0))


@dataclass(eq=False, repr=False)
class RAdam(AdamBase):
    """Adam whose first steps, of few squares of gradients, do without them (Liu et al., 2019). Formula: PyTorch's."""

    slot_starts: ClassVar[dict[str, float]] = MOMENTS

    def rule(self, p: Node, g: Node, slots: Slots, lr: Node, t: Node) -> Updated:
        m, v = self.moments(g, slots)
        rest = one_minus_power(self.beta_2, t)
        most = 2.0 / (1.0 - self.beta_2) - 1.0
        length = shifted(scaled(t * (like(t, 1.0) - rest) / rest, -2.0), most)
        enough = apply("less", like(length, 5.0), length)
        sure = select(enough, length, like(length, 6.0))  # the root of no negative number
        share = shifted(sure, -4.0) * shifted(sure, -2.0) / sure
        root = sqrt(scaled(share, most / ((most - 4.0) * (most - 2.0)))) * sqrt(rest)
        rate = lr / one_minus_power(self.beta_1, t)
        adapted = scaled(m, rate * root) / shifted(sqrt(v), self.epsilon)
        return p - select(enough, adapted, scaled(m, rate)), {"momentum": m, "velocity": v}


@dataclass(eq=False, repr=False)
class Rprop(Optimizer):
    """Steps by the signs of gradients: longer while they stay, shorter when they change (Riedmiller and Braun, 1993).

    Each weight has a step of its own, which begins as the learning rate and stays within ``step_sizes``.
    """

    learning_rate: Any = 0.01
    etas: tuple[float, float] = (0.5, 1.2)
    step_sizes: tuple[float, float] = (1e-6, 50.0)

    def __post_init__(self) -> None:
        (less, more), (low, high) = self.etas, self.step_sizes
        self.etas, self.step_sizes = (less, more), (low, high)  # files hold lists
        super().__post_init__()

    reads_count = False

    @property
    def slot_starts(self) -> dict[str, float]:
        return {"previous": 0.0, "size": first_rate(self)}

    def rule(self, p: Node, g: Node, slots: Slots, lr: Node, t: Node) -> Updated:
        (less, more), (low, high) = self.etas, self.step_sizes
        sign = g * slots["previous"]
        changed, stays = apply("less", sign, like(g, 0.0)), apply("less", like(g, 0.0), sign)
        factor = apply("select", changed, like(g, less), apply("select", stays, like(g, more), like(g, 1.0)))
        size = arrays.clip(slots["size"] * factor, low, high)
        g = apply("select", changed, like(g, 0.0), g)
        return p - apply("sign", g) * size, {"previous": g, "size": size}


@dataclass(eq=False, repr=False)
class ASGD(Optimizer):
    """Gradient descent with a rate that falls, and the mean of the weights after step ``t0`` (Polyak, Juditsky, 1992).

    The rate is divided by ``(1 + lambd * rate * steps) ** rho``, where PyTorch says ``alpha``.
    """

    learning_rate: Any = 0.01
    lambd: float = 1e-4
    rho: float = 0.75
    t0: float = 1e6

    scalar = frozenset({"eta", "mu"})

    @property
    def slot_starts(self) -> dict[str, float]:
        return {"eta": first_rate(self), "mu": 1.0, "mean": 0.0}

    def rule(self, p: Node, g: Node, slots: Slots, lr: Node, t: Node) -> Updated:
        eta, mu = slots["eta"], slots["mu"]
        p = scaled(p, shifted(scaled(eta, -self.lambd), 1.0)) - scaled(g, eta)
        mean = lerp(slots["mean"], p, mu)
        falling = arrays.power(shifted(scaled(lr * t, self.lambd), 1.0), self.rho)
        after = like(t, 1.0) / apply("maximum", like(t, 1.0), shifted(t, -self.t0))
        return p, {"eta": lr / falling, "mu": after, "mean": mean}


@dataclass(eq=False, repr=False)
class Lamb(AdamBase):
    """Adam whose step for a tensor is as long, relative to it, as the rate says (You et al., 2019)."""

    slot_starts: ClassVar[dict[str, float]] = MOMENTS

    def rule(self, p: Node, g: Node, slots: Slots, lr: Node, t: Node) -> Updated:
        m, v = self.moments(g, slots)
        first, second = (broadcast(one_minus_power(beta, t), m.shape) for beta in (self.beta_1, self.beta_2))
        step = (m / first) / shifted(sqrt(v / second), self.epsilon)
        lengths = [sqrt(sum_of_squares(x)) for x in (p, step)]
        nothing = like(lengths[0], 0.0)
        known = arrays.logical_and(*(apply("less", nothing, length) for length in lengths))
        ratio = select(known, lengths[0] / select(known, lengths[1], like(nothing, 1.0)), like(nothing, 1.0))
        return p - scaled(step, lr * ratio), {"momentum": m, "velocity": v}


@dataclass(eq=False, repr=False)
class ScheduleFreeAdamW(AdamBase):
    """AdamW that needs no schedule: it averages its weights as it goes (Defazio et al., 2024).

    The slot ``momentum`` holds the weights z that gradients move, x is their mean over all steps, and the model has
    ``(1 - beta_1) * z + beta_1 * x``, as in Keras. The rate rises linearly over ``warmup_steps``.
    """

    learning_rate: Any = 0.0025
    epsilon: float = 1e-8
    warmup_steps: int = 0

    slot_starts: ClassVar[dict[str, float]] = MOMENTS
    copied = frozenset({"momentum"})
    lasting = frozenset({"momentum"})

    def rule(self, p: Node, g: Node, slots: Slots, lr: Node, t: Node) -> Updated:
        one = like(t, 1.0)
        if self.warmup_steps:
            lr = lr * apply("minimum", scaled(t, 1.0 / self.warmup_steps), one)
        before, away, share = slots["momentum"], one_minus(self.beta_1), one / t
        v = lerp(slots["velocity"], squared(g), 1.0 - self.beta_2)
        corrected = v / broadcast(one_minus_power(self.beta_2, t), v.shape)
        z = before - scaled(g, lr) / shifted(sqrt(corrected), self.epsilon)
        mean = scaled(p - scaled(before, away), one - share) + scaled(scaled(z, self.beta_1), share)
        return scaled(z, away) + mean, {"momentum": z, "velocity": v}


FURTHER = (RAdam, Rprop, ASGD, Lamb, ScheduleFreeAdamW)
