"""Dropout as ``torch.nn.functional`` names it."""

from __future__ import annotations

from typing import Any

from ranvier.ops import functional
from ranvier.ops.dispatch import written_into
from ranvier.ops.indexing import written
from ranvier.ops.torch.sizes import batched
from ranvier.tensor.rng import draw


def share(p: Any, what: str) -> float:
    """A dropout probability as a float; raises ValueError naming what was given it."""
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:
        raise ValueError(f"{what} with p={p!r}. Write a share from 0 to 1 instead.")
    return float(p)


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """While training, a share of ``p`` of the elements set to zero and the rest divided by ``1 - p``."""
    p = share(p, "dropout")
    if not training or not p:
        return input
    return written(input, functional.dropout(input, *draw(), rate=p), inplace)


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """`dropout` to where `selu` saturates, scaled and shifted so that mean 0 and variance 1 stay so."""
    p = share(p, "alpha_dropout")
    if not training or not p:
        return input
    return written(input, functional.alpha_dropout(input, *draw(), rate=p), inplace)


def feature_alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """`alpha_dropout` of whole features: of (batch, features, ...), a feature in all of the rest."""
    p = share(p, "feature_alpha_dropout")
    if not training or not p:
        return input
    shape = (None,) * 2 + (1,) * (input.ndim - 2)
    return written(input, functional.alpha_dropout(input, *draw(), rate=p, noise_shape=shape), inplace)


def _channel_dropout(n: int) -> Any:
    def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
        if isinstance(p, bool) or not 0 <= p <= 1:
            raise ValueError(f"dropout{n}d with p={p!r}. Write a share from 0 to 1 instead.")
        if not training or not p:
            return input
        shape = (None, None, *(1,) * n)
        result = batched(
            lambda x: functional.dropout(x, *draw(), rate=float(p), noise_shape=shape[-x.ndim :]), input, n
        )
        return written(input, result, inplace)

    dropout.__name__ = dropout.__qualname__ = f"dropout{n}d"
    dropout.__doc__ = f"While training, whole channels set to zero, the rest divided by ``1 - p``; see `Dropout{n}d`."
    return dropout


dropout1d, dropout2d, dropout3d = (_channel_dropout(n) for n in (1, 2, 3))


def rrelu(
    input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Any:
    """`relu` with a slope below 0: random from ``lower`` to ``upper`` while training, else their mean."""
    if not 0 <= lower <= upper:
        raise ValueError(f"rrelu with lower={lower!r} and upper={upper!r}. Write the smaller one first instead.")
    if training:
        result = functional.rrelu(input, *draw(), lower=float(lower), upper=float(upper))
    else:
        result = functional.leaky_relu(input, (lower + upper) / 2)
    return written(input, result, inplace)


rrelu_ = written_into(rrelu)
dropout_, alpha_dropout_, feature_alpha_dropout_ = map(written_into, (dropout, alpha_dropout, feature_alpha_dropout))


def gumbel_softmax(logits: Any, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Any:
    """A sample of classes as probabilities along ``dim``, which the gradient passes (Jang et al., 2017).

    The lower ``tau`` is, the nearer to one class; with ``hard`` it is one, with the gradient of the probabilities.
    """
    if not tau > 0:
        raise ValueError(f"gumbel_softmax with tau={tau!r}. Write a temperature above 0 instead.")
    return functional.gumbel_softmax(logits, *draw(), tau=float(tau), hard=bool(hard), axis=dim)
