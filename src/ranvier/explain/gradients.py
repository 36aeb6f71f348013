"""Explanations by the gradient of the score: at the inputs, near them, and on the way to them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.explain.scores import Scorer
from ranvier.module.calls import in_its_floats
from ranvier.module.core import Module
from ranvier.support.validation import whole
from ranvier.tensor.rng import numpy_generator

__all__ = ["integrated_gradients", "saliency", "smooth_grad"]

Array = npt.NDArray[Any]


@in_its_floats
def saliency(
    model: Module, x: Any, target: Any = None, *, logits: bool = True, batch_size: int = 32
) -> Array:
    """The derivative of each sample's score by its inputs, in the shape of ``x`` (Simonyan et al., 2013).

    ``target`` is the class (one, or one for each sample) whose score is explained; without it the class that the model
    chose; 0 (no) or 1 (yes) of one output with a sigmoid. The score is the one before a softmax or sigmoid at the end,
    unless not ``logits``. Computed in evaluation mode. Raises ValueError for targets that are none, TypeError for
    networks of whole numbers or of several inputs.
    """
    scorer = Scorer(model, batch_size, logits)
    array = scorer.inputs(x)
    return scorer.gradient(array, scorer.masks(array, target))


@in_its_floats
def smooth_grad(
    model: Module,
    x: Any,
    target: Any = None,
    *,
    samples: int = 25,
    noise: float = 0.15,
    seed: int | None = None,
    logits: bool = True,
    batch_size: int = 32,
) -> Array:
    """The mean of `saliency` over noisy copies of each sample (Smilkov et al., 2017).

    ``noise`` is its standard deviation as a share of the range of the sample's values; ``samples`` is the number of
    copies. Reproducible by ``seed``, or by `set_seed`.
    """
    scorer = Scorer(model, batch_size, logits)
    array = scorer.inputs(x)
    masks = scorer.masks(array, target)
    if not noise >= 0:
        raise ValueError(f"noise={noise!r}: write a share of 0 or more, such as 0.15, instead.")
    axes = tuple(range(1, array.ndim))
    spread = noise * (array.max(axes, keepdims=True) - array.min(axes, keepdims=True))
    generator = numpy_generator("explain", seed)
    total = np.zeros(array.shape)
    for _ in range(whole("samples", samples)):
        noisy = array + spread * generator.standard_normal(array.shape)
        total += scorer.gradient(noisy.astype(array.dtype), masks)
    return (total / samples).astype(array.dtype)


@in_its_floats
def integrated_gradients(
    model: Module,
    x: Any,
    target: Any = None,
    *,
    baseline: Any = 0.0,
    steps: int = 50,
    logits: bool = True,
    batch_size: int = 32,
) -> Array:
    """What each input adds to the score on the way from a baseline (Sundararajan et al., 2017), in the shape of ``x``.

    The inputs' distance from ``baseline`` (a number, or an array of one sample or of all) times the mean gradient along
    the straight line between them, at ``steps`` points of a Gauss-Legendre quadrature. The sum over a sample is the
    difference of the two scores, up to the quadrature's error.
    """
    scorer = Scorer(model, batch_size, logits)
    array = scorer.inputs(x)
    masks = scorer.masks(array, target)
    try:
        start = np.broadcast_to(np.asarray(baseline, array.dtype), array.shape)
    except ValueError:
        raise ValueError(
            f"the baseline has shape {np.shape(baseline)}, and the samples {array.shape}. Write a number, or an array "
            "of the shape of one sample, instead."
        ) from None
    points, weights = np.polynomial.legendre.leggauss(whole("steps", steps))
    total = np.zeros(array.shape)
    for point, weight in zip(points, weights, strict=True):
        between = start + (array - start) * array.dtype.type((point + 1) / 2)
        total += weight / 2 * scorer.gradient(between.astype(array.dtype, copy=False), masks)
    return ((array - start) * total).astype(array.dtype)
