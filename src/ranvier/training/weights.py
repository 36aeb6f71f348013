"""Weights of samples and of classes, for each output of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ranvier.data.arrays import Array, as_weights
from ranvier.graph.node import BATCH, GraphError, Type
from ranvier.module import isolated
from ranvier.tensor import Tensor, get_dtype
from ranvier.training.heads import Head
from ranvier.training.objective import ignored_by, of_labels, one_number
from ranvier.training.state import Compiled
from ranvier.training.step import Data
from ranvier.training.structure import Outputs, pick

__all__ = ["by_class", "by_class_among", "class_weights_of", "loss_shape", "weights_of"]


def weights_of(weight: Any, outputs: Outputs, name: str) -> list[Any]:
    """The weights of each output's samples; one array stands for all outputs."""
    several = isinstance(weight, Mapping) and not hasattr(weight, "columns")
    if isinstance(weight, (list, tuple)) and outputs.kind != "one":
        several = any(part is None or np.ndim(part) for part in weight)
    return pick(weight, outputs, name) if several else [weight] * len(outputs)


def loss_shape(compiled: Compiled, i: int, head: Head, target: Array, output: Type) -> tuple[Any, ...]:
    """The shape of what sample weights multiply: the losses of an output, (samples, ...)."""
    if head.loss is None:
        return (BATCH,)
    y = Type((BATCH, *target.shape[1:]), target.dtype.name)
    key = ("losses", i, y, output)
    known = compiled.traced.get(key)
    if known is None:
        with isolated():
            try:
                values = head.loss.per_sample(Tensor.placeholder(y), Tensor.placeholder(output))
            except GraphError:  # told where the step is built, with the shapes of the layers
                return (BATCH,)
        known = compiled.traced[key] = tuple(values.shape)
    if not known:
        raise one_number(head.loss)
    return known


# --- weights of classes ---------------------------------------------------------------------------------------------


def class_weights_of(class_weight: Any, outputs: Outputs) -> list[Any]:
    """The weights of each output's classes: a dict or "balanced" for each, by name or in the order of the outputs."""
    if class_weight is None:
        return [None] * len(outputs)
    listed = isinstance(class_weight, (list, tuple))
    named = isinstance(class_weight, Mapping) and (
        any(isinstance(v, (Mapping, str)) for v in class_weight.values())
        or any(name is not None and name in class_weight for name in outputs.names)
    )
    if outputs.kind != "one" and (listed or named):
        return pick(class_weight, outputs, "class_weight")
    if len(outputs) > 1 and class_weight != "balanced":
        raise ValueError(
            f"class_weight is {class_weight!r}, and the model has {len(outputs)} outputs. Write a list with a dict (or "
            "'balanced', or None) for each output, or a dict of them by the outputs' names, instead."
        )
    return [class_weight] * len(outputs)


def classes_in(target: Array, head: Head, output_shape: Sequence[Any], name: str) -> Array:
    """The class of each sample (or of each of its places) that targets stand for."""
    if of_labels(head.loss, target, output_shape):
        return target
    if target.ndim > 1 and target.shape[-1] > 1:
        return np.asarray(target.argmax(-1))
    classes = target.reshape(len(target)) if target.size == len(target) else target[..., 0]
    if not np.array_equal(classes, np.rint(classes)):
        raise ValueError(
            f"{name} weighs classes, and the targets hold {classes[classes != np.rint(classes)][0]:g}, which is none. "
            "Write sample_weight for a regression instead."
        )
    return classes.astype(np.int32)


def balanced(classes: Array, ignored: int | None, name: str) -> dict[int, float]:
    """``samples / (classes * samples of the class)``: scikit-learn's, after King and Zeng (2001)."""
    values, counts = np.unique(classes, return_counts=True)
    if ignored is not None:
        values, counts = values[values != ignored], counts[values != ignored]
    if len(values) < 2:
        only = f"only class {values[0]}" if len(values) else "no class"
        raise ValueError(
            f"{name}='balanced', and the targets hold {only}. Write targets of two classes or more, or leave "
            "class_weight out, instead."
        )
    shares = counts.sum() / (len(values) * counts)
    return {int(v): float(s) for v, s in zip(values, shares, strict=True)}


def by_class(
    target: Array,
    head: Head,
    output_shape: Sequence[Any],
    class_weight: Any,
    weights: Array | None,
    name: str,
) -> Array:
    """The samples' weights times those of their classes; a class that is not named has 1."""
    if class_weight != "balanced" and not isinstance(class_weight, Mapping):
        raise TypeError(f"{name} is {class_weight!r}. Write {{0: 1.0, 1: 5.0}}, or 'balanced', instead.")
    classes = classes_in(target, head, output_shape, name)
    if isinstance(class_weight, str):
        class_weight = balanced(classes, ignored_by(head.loss), name)
    result = np.ones(classes.shape, get_dtype())
    for label, value in class_weight.items():
        if isinstance(value, str) or not value >= 0 or not np.isfinite(value):
            raise ValueError(f"{name}[{label!r}] is {value!r}. Write a weight of 0 or more instead.")
        result[classes == label] = value
    if weights is not None:
        if weights.ndim > result.ndim:
            raise ValueError(
                f"{name} weighs classes of shape {result.shape}, and the sample weights have shape {weights.shape}. "
                "Write sample weights that hold both instead."
            )
        result = result * weights.reshape(*weights.shape, *(1,) * (result.ndim - weights.ndim))
    return as_weights(
        result,
        len(result),
        name=f"sample_weight with {name}",
        dtype=get_dtype(),
        sample_shape=result.shape[1:],
    )


def by_class_among(
    data: Data, heads: Sequence[Head], outputs: Outputs, types: Sequence[Type], class_weight: Any
) -> tuple[Array | None, ...]:
    """`by_class` for each output of checked arrays; the rows that are not meant weigh nothing, and count in nothing."""
    rows = slice(None) if data.among is None else data.among
    found: list[Array | None] = []
    for i, (head, target, own) in enumerate(zip(heads, data.y, data.weight, strict=True)):
        wanted = class_weights_of(class_weight, outputs)[i]
        if target is None or wanted is None:
            found.append(own)
            continue
        before = None if own is None else own[rows]
        name = outputs.label(i, "class_weight")
        part = by_class(target[rows], head, types[i].shape[1:], wanted, before, name)
        full = np.zeros((len(target), *part.shape[1:]), part.dtype)
        full[rows] = part
        found.append(full)
    return tuple(found)
