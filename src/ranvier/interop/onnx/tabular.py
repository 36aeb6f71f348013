"""Operators of ``ai.onnx.ml`` on tables: what prepares columns, and linear models."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ranvier import ops as o
from ranvier.interop.foreign import refuse
from ranvier.interop.onnx.budgets import check_size
from ranvier.interop.onnx.labels import of_classes
from ranvier.interop.onnx.table import row
from ranvier.interop.onnx.values import FLOATS, Context, cast, fixed, floating, like, tensor
from ranvier.ops.functional.label_checks import in_range


def columns(x: Any) -> Any:
    """A table in floats. Raises UnsupportedError for what is none."""
    if x.ndim != 2:
        raise refuse(f"an input of {x.ndim} axes. Write (samples, features)")
    return floating(x)


def numbers_of(x: Any, values: Any) -> Any:
    """An attribute in the element type of an operand."""
    return tensor(np.array(values, np.float32).astype(x.dtype.name))


@row("ai.onnx.ml.Scaler")
def scaler(c: Context, x: Any, offset: Any = (0.0,), scale: Any = (1.0,)) -> Any:
    x = floating(x)
    return cast(o.multiply(o.subtract(x, numbers_of(x, offset)), numbers_of(x, scale)), "float32")


@row("ai.onnx.ml.Normalizer")
def normalizer(c: Context, x: Any, norm: str = "MAX") -> Any:
    x = floating(x)
    if norm == "MAX":  # of absolute values, as ONNX's reference and scikit-learn
        size = o.max(o.abs(x), axis=-1, keepdims=True)
    elif norm == "L1":
        size = o.sum(o.abs(x), axis=-1, keepdims=True)
    elif norm == "L2":
        size = o.sqrt(o.sum(o.square(x), axis=-1, keepdims=True))
    else:
        raise refuse(f"the norm {norm}. Write MAX, L1 or L2")
    return cast(o.divide(x, o.where(o.equal(size, 0), o.ones_like(size), size)), "float32")


@row("ai.onnx.ml.Binarizer")
def binarizer(c: Context, x: Any, threshold: float = 0.0) -> Any:
    return like(o.greater(floating(x), threshold), x)


@row("ai.onnx.ml.Imputer")
def imputer(
    c: Context, x: Any, imputed_value_floats: Any = (), imputed_value_int64s: Any = (),
    replaced_value_float: float = 0.0, replaced_value_int64: int = 0,
) -> Any:  # fmt: skip
    is_float = x.dtype.name in FLOATS
    values, old = (
        (imputed_value_floats, replaced_value_float) if is_float else (imputed_value_int64s, replaced_value_int64)
    )
    if not values:
        raise refuse(f"no values to impute in {x.dtype.name}. Write {'floats' if is_float else 'whole numbers'}")
    missing = o.isnan(x) if math.isnan(old) else o.equal(x, old)
    return like(o.where(missing, tensor(np.array(values, x.dtype.name)), x), x)


@row("ai.onnx.ml.FeatureVectorizer")
def feature_vectorizer(c: Context, *xs: Any, inputdimensions: Any = None) -> Any:
    """Tables side by side, each cut or filled with zeros to the number of columns that is given for it."""
    parts = []
    for x, size in zip(xs, inputdimensions or [fixed(x, 1) for x in xs], strict=True):
        check_size((size,), "a line of it")
        part = cast(columns(x)[:, :size], "float32")
        parts.append(o.pad(part, ((0, 0), (0, max(size - fixed(x, 1), 0)))))
    return o.concatenate(parts, axis=1)


@row("ai.onnx.ml.ArrayFeatureExtractor")
def array_feature_extractor(c: Context, x: Any, indices: Any) -> Any:
    flat = in_range(o.reshape(indices, (-1,)), "element", fixed(x, -1))
    found = o.take(x, flat, axis=-1)
    return o.reshape(found, (1, -1)) if x.ndim == 1 else like(found, x)


# --- scores and labels --------------------------------------------------------------------------------------------


def transformed(scores: Any, transform: str) -> Any:
    """The ``post_transform`` of scores, (samples, classes)."""
    if transform == "NONE":
        return scores
    if transform == "LOGISTIC":
        return o.sigmoid(scores)
    if transform == "SOFTMAX":
        return o.softmax(scores, axis=-1)
    if transform == "SOFTMAX_ZERO":  # in which scores of 0 stay 0
        top = o.max(scores, axis=-1, keepdims=True)
        parts = o.where(
            o.greater(o.abs(scores), 1e-7), o.exp(o.subtract(scores, top)), o.multiply(scores, o.exp(o.negative(top)))
        )
        total = o.sum(parts, axis=-1, keepdims=True)
        empty = o.equal(total, 0)
        half = o.multiply(o.ones_like(parts), 0.5)
        return o.where(empty, half, o.divide(parts, o.where(empty, o.ones_like(total), total)))
    if transform == "PROBIT":  # by the approximation of ONNX's reference, Winitzki 2008, "A handy approximation"
        y = o.subtract(o.multiply(cast(scores, "float64"), 2), 1)
        log = o.log(o.multiply(o.subtract(1, y), o.add(1, y)))
        first = o.add(o.multiply(log, 0.5), 2 / (math.pi * 0.147))
        root = o.sqrt(o.subtract(o.sqrt(o.subtract(o.square(first), o.divide(log, 0.147))), first))
        ends = o.equal(o.abs(y), 1)
        size = o.where(ends, o.zeros_like(root), o.multiply(root, math.sqrt(2)))
        return o.where(o.less(y, 0), o.negative(size), size)
    raise refuse(f"the post_transform {transform}. Write NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO or PROBIT")


def both(score: Any) -> Any:
    """The scores of two classes by that of the second, (samples, 1)."""
    return o.concatenate([o.negative(score), score], axis=1)


def count_classes(ints: Any, strings: Any) -> int:
    """How many classes a classifier has. Raises UnsupportedError for one without several."""
    count = len(strings or ints or ())
    if count < 2:
        raise refuse(f"labels of {count} classes. Write two or more")
    return count


def _affine(x: Any, weights: Any, intercepts: Any) -> Any:
    count = weights.shape[1]
    if len(intercepts or ()) not in (0, count):
        raise refuse(f"{len(intercepts)} intercepts for {count} rows of coefficients")
    return o.add(o.matmul(x, weights), numbers_of(x, intercepts or [0.0] * count))


@row("ai.onnx.ml.LinearClassifier")
def linear_classifier(
    c: Context, x: Any, coefficients: Any, intercepts: Any = (), classlabels_ints: Any = (),
    classlabels_strings: Any = (), post_transform: str = "NONE", multi_class: int = 0,
) -> Any:  # fmt: skip
    x, count = columns(x), count_classes(classlabels_ints, classlabels_strings)
    weights = numbers_of(x, np.reshape(coefficients, (-1, fixed(x, 1))).T)
    scores = _affine(x, weights, intercepts)
    if weights.shape[1] == 1 and count == 2:
        scores = both(scores)
    if scores.shape[1] != count:
        raise refuse(f"coefficients of {weights.shape[1]} classes for {count} labels")
    label = of_classes(o.argmax(scores, axis=1), classlabels_ints, classlabels_strings)
    return label, cast(transformed(scores, post_transform), "float32")


@row("ai.onnx.ml.LinearRegressor")
def linear_regressor(
    c: Context, x: Any, coefficients: Any, intercepts: Any = (), targets: int = 1, post_transform: str = "NONE"
) -> Any:
    x = columns(x)
    weights = numbers_of(x, np.reshape(coefficients, (targets, fixed(x, 1))).T)
    scores = _affine(x, weights, intercepts)
    return cast(transformed(scores, post_transform), "float32")


@row("ai.onnx.ml.ZipMap")
def zip_map(c: Context, x: Any, classlabels_int64s: Any = (), classlabels_strings: Any = ()) -> Any:
    """The table itself, whose columns are in the order of the keys: a tensor has no names of columns."""
    keys = len(classlabels_strings or classlabels_int64s)
    if fixed(x, -1) != keys:
        raise refuse(f"{keys} keys for {fixed(x, -1)} columns")
    return x
