"""Operators of ``ai.onnx.ml`` on support vectors."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ranvier import ops as o
from ranvier.interop.foreign import refuse
from ranvier.interop.onnx.budgets import check_size
from ranvier.interop.onnx.labels import of_classes
from ranvier.interop.onnx.table import row
from ranvier.interop.onnx.tabular import both, columns, count_classes, transformed
from ranvier.interop.onnx.values import Context, cast, fixed, tensor
from ranvier.ops.loops import scan

MOST_ROUNDS = 100  # of the search for probabilities, as in libsvm


def _kernel(x: Any, vectors: Any, kind: str, parameters: Any) -> Any:
    """The kernel of samples and vectors, (samples, vectors), in 64 bits, in which libsvm computes."""
    gamma, offset, degree = parameters or (0.0, 0.0, 0.0)
    if kind == "RBF":
        apart = o.subtract(o.expand_dims(x, 1), tensor(vectors))
        return o.exp(o.multiply(o.sum(o.square(apart), axis=-1), -gamma))
    product = o.matmul(x, tensor(vectors.T))
    if kind == "LINEAR":
        return product
    if kind == "POLY":
        return o.power(o.add(o.multiply(product, gamma), offset), int(degree) if degree == int(degree) else degree)
    if kind == "SIGMOID":
        return o.tanh(o.add(o.multiply(product, gamma), offset))
    raise refuse(f"the kernel_type {kind}. Write LINEAR, POLY, RBF or SIGMOID")


@row("ai.onnx.ml.SVMRegressor")
def svm_regressor(
    c: Context, x: Any, coefficients: Any, rho: Any = (0.0,), support_vectors: Any = (), n_supports: int = 0,
    kernel_type: str = "LINEAR", kernel_params: Any = None, one_class: int = 0, post_transform: str = "NONE",
) -> Any:  # fmt: skip
    x = cast(columns(x), "float64")
    weights = np.array(coefficients, np.float64)[:, None]
    if n_supports:
        vectors = np.array(support_vectors, np.float64).reshape(n_supports, fixed(x, 1))
        x = _kernel(x, vectors, kernel_type, kernel_params)
    scores = o.add(o.matmul(x, tensor(weights)), rho[0])
    if one_class:
        scores = o.subtract(o.multiply(cast(o.greater(scores, 0), "float64"), 2), 1)
    return cast(transformed(scores, post_transform), "float32")


@row("ai.onnx.ml.SVMClassifier")
def svm_classifier(
    c: Context, x: Any, coefficients: Any, rho: Any, support_vectors: Any = (), vectors_per_class: Any = (),
    kernel_type: str = "LINEAR", kernel_params: Any = None, prob_a: Any = (), prob_b: Any = (),
    classlabels_ints: Any = (), classlabels_strings: Any = (), post_transform: str = "NONE",
) -> Any:  # fmt: skip
    """One classifier for each pair of classes, which votes for one of them."""
    x, count = cast(columns(x), "float64"), count_classes(classlabels_ints, classlabels_strings)
    if len(vectors_per_class) != count:
        raise refuse(f"vectors_per_class of {len(vectors_per_class)} for {count} classes. Write a LinearClassifier")
    if count == 2 and min(coefficients) >= 0:
        raise refuse("coefficients of two classes that are all of one sign")
    check_size((count, count, count), "the table of votes")
    ends = np.cumsum([0, *vectors_per_class])
    vectors = np.array(support_vectors, np.float64).reshape(ends[-1], fixed(x, 1))
    own = np.array(coefficients, np.float64).reshape(count - 1, ends[-1])
    pairs = list(itertools.combinations(range(count), 2))
    if any(len(values) != len(pairs) for values in (rho, *([prob_a, prob_b] if prob_a or prob_b else []))):
        raise refuse(f"rho, prob_a or prob_b are not of {len(pairs)} numbers, one for each pair of classes")
    weights, wins, losses = (
        np.zeros((ends[-1], len(pairs))),
        np.zeros((len(pairs), count)),
        np.zeros((len(pairs), count)),
    )
    for n, (i, j) in enumerate(pairs):
        for one, other in ((i, j - 1), (j, i)):
            members = slice(ends[one], ends[one + 1])
            weights[members, n] = own[other, members]
        wins[n, i] = losses[n, j] = 1
    scores = o.add(o.matmul(_kernel(x, vectors, kernel_type, kernel_params), tensor(weights)), tensor(np.array(rho)))
    first = cast(o.greater(scores, 0), "float64")
    votes = o.add(o.matmul(first, tensor(wins)), o.matmul(o.subtract(1, first), tensor(losses)))
    label = of_classes(o.argmax(votes, axis=1), classlabels_ints, classlabels_strings)
    if len(prob_a):
        logits = o.add(o.multiply(scores, tensor(np.array(prob_a))), tensor(np.array(prob_b)))
        scores = _probabilities(o.clip(o.sigmoid(o.negative(logits)), 1e-7, 1 - 1e-7), pairs, count)
    elif count == 2:
        scores = both(scores)
    return label, cast(transformed(scores, post_transform), "float32")


def _probabilities(first: Any, pairs: list[tuple[int, int]], count: int) -> Any:
    """The probabilities of classes by those of the first of each pair, by the second method of Wu, Lin and Weng 2004.

    The search ends where libsvm ends it, short of the minimum, so that the numbers are those of libsvm.
    """
    pair = {classes: first[:, n] for n, classes in enumerate(pairs)}
    wins = {**pair, **{(j, i): o.subtract(1, p) for (i, j), p in pair.items()}}
    zero = o.zeros_like(first[:, 0])
    products = []
    for i in range(count):
        squares = [o.square(wins[j, i]) for j in range(count) if j != i]
        line = [o.negative(o.multiply(wins[j, i], wins[i, j])) if j != i else sum(squares, zero) for j in range(count)]
        products.append(o.stack(line, axis=1))
    matrix = o.stack(products, axis=1)  # (samples, classes, classes)

    def step(p: Any, _: Any) -> Any:
        slopes = o.sum(o.multiply(matrix, o.expand_dims(p, 1)), axis=2)
        total = o.sum(o.multiply(p, slopes), axis=1, keepdims=True)
        ended = o.less(o.max(o.abs(o.subtract(slopes, total)), axis=1, keepdims=True), 0.005 / count)
        after = p
        for i in range(count):
            line, own, slope = matrix[:, i], matrix[:, i, i : i + 1], slopes[:, i : i + 1]
            change = o.divide(o.subtract(total, slope), own)
            grown = o.add(change, 1)
            at = tensor(np.eye(count)[i : i + 1])
            after = o.divide(o.add(after, o.multiply(change, at)), grown)
            more = o.multiply(change, o.add(o.multiply(change, own), o.multiply(slope, 2)))
            total = o.divide(o.add(total, more), o.square(grown))
            slopes = o.divide(o.add(slopes, o.multiply(change, line)), grown)
        return o.where(ended, p, after), None

    start = o.multiply(o.ones_like(matrix[:, 0]), 1 / count)
    return scan(step, start, None, length=max(MOST_ROUNDS, count))[0]
