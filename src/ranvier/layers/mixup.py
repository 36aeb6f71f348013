"""Augmentation by mixing samples: what ``fit(augment=...)`` calls on inputs and targets within the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack

from ranvier.graph.node import FLOATS, GraphError, Node, apply, like
from ranvier.layers.annotations import LayerOptions
from ranvier.layers.base import Layer
from ranvier.losses.mixture import Mixture, blend
from ranvier.module.serialization import register_module
from ranvier.ops import arrays as n
from ranvier.ops.arrays.promotion import count
from ranvier.ops.arrays.shape import with_ones
from ranvier.ops.functional.beta import beta_quantiles, from_quantiles
from ranvier.tensor.context import get_dtype
from ranvier.tensor.function import function
from ranvier.tensor.rng import draw
from ranvier.tensor.tensor import Tensor


@function
def partners(x: Node, seed: Node, stream: Node) -> Node:
    """Another sample of the batch for each, (samples,) int32: the one at a random distance in the batch.

    Every other sample is equally likely; a batch of one is its own partner.
    """
    size = count(x.shape[:1], "int32")
    real = count(x.shape[:1], "float32")
    drawn = apply("random", seed, stream, shape=(), dtype="float32")
    places = n.add(n.cast(n.floor(n.multiply(drawn, n.subtract(real, 1.0))), "int32"), 1)
    place = n.add(apply("iota", shape=x.shape[:1], axis=0, dtype="int32"), places)
    beyond = n.greater_equal(place, size)
    return n.where(beyond, n.subtract(place, size), place)


@function
def rows_at(x: Node, index: Node) -> Node:
    """The samples of ``x`` at these numbers."""
    return apply("gather", x, index)


@function
def mix_weights(fraction: Node, first: Node, second: Node) -> tuple[Node, Node]:
    """The weights of mixed samples, and the fractions that give each of the two its own weight."""
    part = n.expand(with_ones(n.cast(fraction, first.dtype), first.ndim), first.shape)
    own = part * first
    total = own + (like(part, 1.0) - part) * second
    return total, own / total


ALONE = object()  # the default of targets: none were given


class Mixing(Layer):
    """A layer that mixes each sample with a partner, by a fraction of its own; ``_mixing`` says how."""

    _starts_training = True
    _shown = "alpha={alpha:g}"

    def __init__(self, alpha: float = 0.2, seed: int | None = None, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.alpha, self.seed = float(alpha), seed
        quantiles = beta_quantiles(alpha).astype(get_dtype())
        self.register_buffer("quantiles", Tensor.wrap(quantiles), persistent=False)

    def forward(self, x: Any, y: Any = ALONE, weight: Any = None) -> Any:
        if y is ALONE:  # as a Sequential calls it
            kind = type(self).__name__
            raise TypeError(
                f"{kind} {self.name!r} mixes inputs and their targets, and was called on inputs alone. Write "
                f"fit(x, y, augment=rv.layers.{kind}()), and leave it out of the network, instead."
            )
        if not self.training:
            return (x, y) if weight is None else (x, y, weight)
        some = x[0] if isinstance(x, (tuple, list)) else x
        kept, mix = self._mixing(some, from_quantiles(some, self.quantiles, *draw(self.seed)))
        return mixed(x, y, weight, kept, partners(some, *draw(self.seed)), mix)

    def _mixing(self, some: Any, fraction: Any) -> tuple[Any, Callable[[Any, Any], Any]]:
        """The fraction of each target that stays, and a function of inputs and their partners that mixes them."""
        raise NotImplementedError


@register_module
class MixUp(Mixing):
    """Each sample mixed with another of the batch, and its targets with the other's (Zhang et al., 2017).

    ``fit(..., augment=MixUp(0.2))`` calls it on inputs and targets within the compiled step; in an explicit loop write
    ``x, y = mixup(x, y)``. Each sample's fraction is drawn from Beta(alpha, alpha). Targets become a `losses.Mixture`,
    which losses take. Sample weights (class weights among them) are mixed so that each of the two targets counts with
    its own.

    With ``seed`` the layer draws from a generator of its own. Raises ValueError for integer inputs, which do not mix.
    """

    def _mixing(self, some: Any, fraction: Any) -> tuple[Any, Callable[[Any, Any], Any]]:
        return fraction, lambda own, other: blend(fraction, own, other)


def mixed(x: Any, y: Any, weight: Any, fraction: Any, partner: Any, inputs: Callable[[Any, Any], Any]) -> Any:
    """Inputs, targets and (unless None) weights of samples mixed with their partners, by these fractions.

    ``inputs`` mixes a tensor of inputs with that of the partners. Each of x, y and weight is a tensor or a tuple of
    them; None among them stays.
    """

    def mix_input(x: Any) -> Any:
        if x.dtype not in FLOATS:
            raise GraphError(f"inputs of {x.dtype} do not mix. Write fit without augment for a model of whole numbers")
        return inputs(x, rows_at(x, partner))

    def mix_target(y: Any, weight: Any) -> Any:
        if y is None:
            return None, weight
        own = fraction
        if weight is not None:
            weight, own = mix_weights(fraction, weight, rows_at(weight, partner))
        other = rows_at(y, partner)
        return Mixture(y, other, own), weight

    several = isinstance(y, (tuple, list))
    weights = weight if isinstance(weight, (tuple, list)) else (weight,) * (len(y) if several else 1)
    pairs = [mix_target(t, w) for t, w in zip(y if several else (y,), weights, strict=True)]
    x = tuple(map(mix_input, x)) if isinstance(x, (tuple, list)) else mix_input(x)
    targets, weighting = tuple(t for t, _ in pairs), tuple(w for _, w in pairs)
    if not several:
        targets, weighting = targets[0], weighting[0]
    return (x, targets) if weight is None else (x, targets, weighting)
