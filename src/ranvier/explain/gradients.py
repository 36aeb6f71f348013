"""Explanations by the gradient of the score: at the inputs, near them, and on the line to them from a baseline."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.explain.pipelines import fitted, owners_of
from ranvier.explain.scores import Scorer
from ranvier.module.calls import in_model_dtype
from ranvier.module.core import Module
from ranvier.support.tables import Table
from ranvier.support.validation import whole
from ranvier.tensor.rng import numpy_generator


@in_model_dtype
def saliency(model: Module, x: Any, target: Any = None, *, logits: bool = True, batch_size: int = 32) -> Array:
    """The gradient of each sample's score with respect to its inputs, in the shape of ``x`` (Simonyan et al., 2013).

    ``target`` is the class whose score is explained: one for all samples, or one for each. By default it is the
    predicted class. For one output with a sigmoid it is 0 (no) or 1 (yes). With ``logits`` the score is the input of a
    final softmax or sigmoid, otherwise its output. The model runs in evaluation mode. Raises ValueError for targets
    that do not exist, and TypeError for networks with integer inputs or several inputs.
    """
    scorer = Scorer(model, x, target, logits, batch_size)
    return scorer.gradient(scorer.x)


@in_model_dtype
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

    ``noise`` is the standard deviation as a fraction of the range of the sample's values. ``samples`` is the number of
    copies. The result is reproducible with ``seed``, or with `set_seed`.
    """
    scorer = Scorer(model, x, target, logits, batch_size)
    array = scorer.x
    if not noise >= 0:
        raise ValueError(f"noise={noise!r}: write a number of 0 or more, such as 0.15, instead.")
    axes = tuple(range(1, array.ndim))
    spread = noise * (array.max(axes, keepdims=True) - array.min(axes, keepdims=True))
    generator = numpy_generator("explain", seed)
    total = np.zeros(array.shape)
    for _ in range(whole("samples", samples)):
        noisy = array + spread * generator.standard_normal(array.shape)
        total += scorer.gradient(noisy.astype(array.dtype))
    return (total / samples).astype(array.dtype)


def integrated_gradients(
    model: Any,
    x: Any,
    target: Any = None,
    *,
    baseline: Any = 0.0,
    steps: int = 50,
    logits: bool = True,
    batch_size: int = 32,
) -> Array:
    """The contribution of each input to the score, relative to a baseline (Sundararajan et al., 2017), shaped as ``x``.

    It is the difference between the inputs and ``baseline`` (a number, or an array of one sample or of all), times the
    mean gradient along the straight line between them, by Gauss-Legendre quadrature with ``steps`` points. The sum over
    a sample is the difference of the two scores, up to the error of the quadrature.

    ``model`` is a network, or an estimator or pipeline that ends in one. Then ``x`` is the table before the first step,
    and the result (rows, columns): the contributions of all inputs of the network that a column becomes, such as the
    columns of a one-hot encoding, are added. ``target`` is one of the estimator's classes. ``baseline`` is a number, in
    units of the inputs of the network (0 is the mean after StandardScaler), or rows of the table, one or as many as
    ``x``. Raises TypeError for an estimator without a network, and ValueError for a step that mixes columns, such as
    PCA.
    """
    options: dict[str, Any] = {"steps": steps, "logits": logits, "batch_size": batch_size}
    if isinstance(model, Module):
        return _integrated(model, x, target, baseline=baseline, **options)
    whole_model, table = fitted(model), Table(x)
    if np.ndim(baseline) or hasattr(baseline, "columns"):
        start: Any = whole_model.transformed(baseline)
        start = start[0] if len(start) == 1 else start
    else:
        start = baseline
    owners = owners_of(whole_model.steps, table)
    inputs = whole_model.transformed(x)
    each = _integrated(whole_model.network, inputs, whole_model.target(target), baseline=start, **options)
    total = np.zeros((len(table.names), len(each)), each.dtype)
    np.add.at(total, owners, each.T)
    return np.ascontiguousarray(total.T)


@in_model_dtype
def _integrated(
    model: Module, x: Any, target: Any, *, baseline: Any, steps: int, logits: bool, batch_size: int
) -> Array:
    scorer = Scorer(model, x, target, logits, batch_size)
    array = scorer.x
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
        total += weight / 2 * scorer.gradient(between.astype(array.dtype, copy=False))
    return ((array - start) * total).astype(array.dtype)
