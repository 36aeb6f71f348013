"""The update rules, with Keras's names and defaults; ``formula="torch"`` selects PyTorch's formula if it differs."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
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
    shifted,
    sqrt,
)
from ranvier.optimizers.base import Optimizer


@dataclass(eq=False, repr=False)
class SGD(Optimizer):
    """Gradient descent, with momentum (Polyak, 1964) or Nesterov's (Sutskever et al., 2013).

    ``formula="torch"`` keeps the learning rate out of the momentum; PyTorch's ``dampening`` needs it.
    """

    learning_rate: Any = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    _: KW_ONLY
    dampening: float = 0.0

    @property
    def slot_starts(self) -> dict[str, float]:
        return {"momentum": 0.0} if self.uses("momentum") else {}

    variable = frozenset({"momentum"})

    @property
    def reads_count(self) -> bool:
        return bool(self.dampening)

    def rule(self, p: Node, g: Node, slots: Slots, lr: Node, t: Node) -> Updated:
        if not self.momentum:
            return p - scaled(g, lr), {}
        old = scaled(slots["momentum"], self.momentum)
        if not self.torch:
            step = scaled(g, lr)
            m = old - step
            return p + (scaled(m, self.momentum) - step if self.nesterov else m), {"momentum": m}
        m = old + g
        if self.dampening:  # PyTorch does not dampen the first gradient
            first = broadcast(apply("equal", t, like(t, 1.0)), g.shape)
            m = apply("select", first, g, old + scaled(g, 1.0 - self.dampening))
        return p - scaled(g + scaled(m, self.momentum) if self.nesterov else m, lr), {"momentum": m}


@dataclass(eq=False, repr=False)
class AdamBase(Optimizer):
    """The settings of Adam and its variants."""

    learning_rate: Any = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    variable = frozenset({"beta_1"})

    def first_moment(self, g: Node, slots: Slots) -> Node:
        """The new mean of gradients."""
        return lerp(slots["momentum"], g, one_minus(self.beta_1))

    def moments(self, g: Node, slots: Slots) -> tuple[Node, Node]:
        """The new means of gradients and of their squares."""
        return self.first_moment(g, slots), lerp(slots["velocity"], squared(g), 1.0 - self.beta_2)


@dataclass(eq=False, repr=False)
class Adam(AdamBase):
    """Adam (Kingma and Ba, 2014), with ``amsgrad`` (Reddi et al., 2018).

    Keras adds epsilon to the root of the uncorrected second moment, PyTorch to that of the corrected one.
    """

    amsgrad: bool = False

    @property
    def slot_starts(self) -> dict[str, float]:
        return {"momentum": 0.0, "velocity": 0.0, **({"velocity_max": 0.0} if self.amsgrad else {})}

    lasting = frozenset({"velocity_max"})
    elementwise = True

    def rule(self, p: Node, g: Node, slots: Slots, lr: Node, t: Node) -> Updated:
        m, v = self.moments(g, slots)
        new = {"momentum": m, "velocity": v}
        if self.amsgrad:
            v = new["velocity_max"] = apply("maximum", slots["velocity_max"], v)
        root = sqrt(one_minus_power(self.beta_2, t))
        rate = lr * root / one_minus_power(self.beta_1, t)
        epsilon = scaled(root, self.epsilon) if self.torch else self.epsilon
        return p - scaled(m, rate) / shifted(sqrt(v), epsilon), new


@dataclass(eq=False, repr=False)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2017)."""

    weight_decay: float | None = 0.004


@dataclass(eq=False, repr=False)
class Adamax(AdamBase):
    """Adam's variant for the infinity norm (Kingma and Ba, 2014, section 7.1)."""

    slot_starts: ClassVar[dict[str, float]] = {"momentum": 0.0, "norm": 0.0}

    def rule(self, p: Node, g: Node, slots: Slots, lr: Node, t: Node) -> Updated:
        m = self.first_moment(g, slots)
        size = apply("abs", g)
        size = shifted(size, self.epsilon) if self.torch else size
        u = apply("maximum", scaled(slots["norm"], self.beta_2), size)
        rate = lr / one_minus_power(self.beta_1, t)
        return p - scaled(m, rate) / (u if self.torch else shifted(u, self.epsilon)), {"momentum": m, "norm": u}


@dataclass(eq=False, repr=False)
class NAdam(AdamBase):
    """Adam with Nesterov momentum (Dozat, 2016). ``momentum_decay`` is 1 in Keras, 0.004 in PyTorch."""

    _: KW_ONLY
    momentum_decay: float = 1.0

    slot_starts: ClassVar[dict[str, float]] = {"momentum": 0.0, "velocity": 0.0, "product": 1.0}
    scalar = frozenset({"product"})

    def rule(self, p: Node, g: Node, slots: Slots, lr: Node, t: Node) -> Updated:
        def schedule(t: Node) -> Node:
            power = apply("exp", scaled(t, self.momentum_decay * math.log(0.96)))
            return scaled(shifted(scaled(power, -0.5), 1.0), self.beta_1)

        m, v = self.moments(g, slots)
        one, now, later = like(t, 1.0), schedule(t), schedule(shifted(t, 1.0))
        product = slots["product"] * now
        ahead = scaled(m, lr * later / (one - product * later)) + scaled(g, lr * (one - now) / (one - product))
        size = sqrt(v / broadcast(one_minus_power(self.beta_2, t), v.shape))
        return p - ahead / shifted(size, self.epsilon), {"momentum": m, "velocity": v, "product": product}


@dataclass(eq=False, repr=False)
class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton, 2012); ``centered`` divides by an estimate of the gradient's deviation.

    Keras adds epsilon under the root and keeps the learning rate in the momentum, PyTorch neither.
    """

    learning_rate: Any = 0.001
    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7
    centered: bool = False

    @property
    def slot_starts(self) -> dict[str, float]:
        more = (*(["momentum"] if self.uses("momentum") else []), *(["average"] if self.centered else []))
        return dict.fromkeys(("velocity", *more), 0.0)

    reads_count = False
    variable = frozenset({"momentum"})

    def rule(self, p: Node, g: Node, slots: Slots, lr: Node, t: Node) -> Updated:
        v = lerp(slots["velocity"], squared(g), 1.0 - self.rho)
        new, spread = {"velocity": v}, v
        if self.centered:
            mean = new["average"] = lerp(slots["average"], g, 1.0 - self.rho)
            spread = v - squared(mean)
        if self.torch:
            step = g / shifted(sqrt(spread), self.epsilon)
        else:
            step = scaled(g, lr) / sqrt(shifted(spread, self.epsilon))
        if self.momentum:
            step = new["momentum"] = scaled(slots["momentum"], self.momentum) + step
        return p - (scaled(step, lr) if self.torch else step), new


@dataclass(eq=False, repr=False)
class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan and Singer, 2011). ``lr_decay`` is PyTorch's: the rate over ``1 + (t - 1) * lr_decay``."""

    learning_rate: Any = 0.001
    initial_accumulator_value: float = 0.1
    epsilon: float = 1e-7
    _: KW_ONLY
    lr_decay: float = 0.0

    lasting = frozenset({"accumulator"})

    @property
    def slot_starts(self) -> dict[str, float]:
        return {"accumulator": self.initial_accumulator_value}

    @property
    def reads_count(self) -> bool:
        return bool(self.lr_decay)

    def rule(self, p: Node, g: Node, slots: Slots, lr: Node, t: Node) -> Updated:
        a = slots["accumulator"] + squared(g)
        if self.lr_decay:
            lr = lr / shifted(scaled(shifted(t, -1.0), self.lr_decay), 1.0)
        size = shifted(sqrt(a), self.epsilon) if self.torch else sqrt(shifted(a, self.epsilon))
        return p - scaled(g, lr) / size, {"accumulator": a}


@dataclass(eq=False, repr=False)
class Adadelta(Optimizer):
    """Adadelta (Zeiler, 2012)."""

    learning_rate: Any = 0.001
    rho: float = 0.95
    epsilon: float = 1e-7

    slot_starts: ClassVar[dict[str, float]] = {"velocity": 0.0, "delta": 0.0}
    reads_count = False

    def rule(self, p: Node, g: Node, slots: Slots, lr: Node, t: Node) -> Updated:
        v = lerp(slots["velocity"], squared(g), 1.0 - self.rho)
        step = sqrt(shifted(slots["delta"], self.epsilon)) / sqrt(shifted(v, self.epsilon)) * g
        return p - scaled(step, lr), {"velocity": v, "delta": lerp(slots["delta"], squared(step), 1.0 - self.rho)}


@dataclass(eq=False, repr=False)
class Ftrl(Optimizer):
    """Follow the regularized leader (McMahan et al., 2013), with Keras's shrinkage."""

    learning_rate: Any = 0.001
    learning_rate_power: float = -0.5
    initial_accumulator_value: float = 0.1
    l1_regularization_strength: float = 0.0
    l2_regularization_strength: float = 0.0
    l2_shrinkage_regularization_strength: float = 0.0
    beta: float = 0.0

    lasting = frozenset({"accumulator", "linear"})

    @property
    def slot_starts(self) -> dict[str, float]:
        return {"accumulator": self.initial_accumulator_value, "linear": 0.0}

    def rule(self, p: Node, g: Node, slots: Slots, lr: Node, t: Node) -> Updated:
        def root(a: Node) -> Node:
            return arrays.divide(arrays.power(a, -self.learning_rate_power), broadcast(lr, a.shape))

        l1, l2 = self.l1_regularization_strength, self.l2_regularization_strength
        a = slots["accumulator"] + squared(g)
        g = g + scaled(p, 2 * self.l2_shrinkage_regularization_strength)
        linear = slots["linear"] + g - (root(a) - root(slots["accumulator"])) * p
        size = shifted(root(a), 2 * l2)
        if self.beta:
            size = shifted(size, arrays.divide(self.beta, lr))
        return (arrays.clip(linear, -l1, l1) - linear) / size, {"accumulator": a, "linear": linear}


@dataclass(eq=False, repr=False)
class Lion(Optimizer):
    """Lion: the sign of an interpolated momentum (Chen et al., 2023)."""

    learning_rate: Any = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.99

    variable = frozenset({"beta_1"})

    slot_starts: ClassVar[dict[str, float]] = {"momentum": 0.0}

    def rule(self, p: Node, g: Node, slots: Slots, lr: Node, t: Node) -> Updated:
        m = slots["momentum"]
        direction = apply("sign", lerp(m, g, one_minus(self.beta_1)))
        return p - scaled(direction, lr), {"momentum": lerp(m, g, 1.0 - self.beta_2)}
