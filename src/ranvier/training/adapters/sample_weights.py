"""Weights of samples and of classes, for each output of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ranvier.data.convert import Array, place
from ranvier.data.targets import as_weights
from ranvier.graph.node import BATCH, GraphError, Type
from ranvier.support.source_lines import warn
from ranvier.tensor.call_state import isolated_tape
from ranvier.tensor.context import get_dtype
from ranvier.tensor.tensor import Tensor
from ranvier.training.step.arrays import Data
from ranvier.training.step.compiled import Compiled
from ranvier.training.step.objective import classes_of, ignored_by, is_own, of_labels, one_number
from ranvier.training.step.outputs import OutputSpec, OutputSpecs
from ranvier.training.step.placeholders import losses_of
from ranvier.training.step.structure import OutputStructure, pick


def weights_of(weight: Any, structure: OutputStructure, name: str) -> list[Any]:
    """The weights of each output's samples; one array is used for all outputs."""
    if isinstance(weight, str):
        raise TypeError(
            f"{name} is {weight!r}. Write class_weight={weight!r}, or an array with one weight a sample, instead."
        )
    several = isinstance(weight, Mapping) and not hasattr(weight, "columns")
    if isinstance(weight, (list, tuple)) and structure.kind != "one":
        several = any(part is None or np.ndim(part) for part in weight)
    return pick(weight, structure, name) if several else [weight] * len(structure)


def loss_shape(compiled: Compiled, i: int, spec: OutputSpec, target: Array, output: Type) -> tuple[Any, ...]:
    """The shape of what sample weights multiply: the losses of an output, (samples, ...)."""
    if spec.loss is None:
        return (BATCH,)
    y = Type((BATCH, *target.shape[1:]), target.dtype.name)
    key = ("losses", i, y, output)
    known = compiled.traced.get(key)
    if known is None:
        with isolated_tape():
            try:
                values = losses_of(spec.loss, Tensor.placeholder(y), Tensor.placeholder(output))
            except GraphError:  # raised again when the step is built, with the shapes of the layers
                return (BATCH,)
        known = compiled.traced[key] = tuple(values.shape)
    if not known and is_own(spec.loss):
        raise one_number(spec.loss)
    return known or (BATCH,)


# --- weights of classes ---------------------------------------------------------------------------------------------


def class_weights_of(class_weight: Any, structure: OutputStructure) -> list[Any]:
    """The weights of each output's classes: a dict or "balanced" for each, by name or in the order of the outputs."""
    if class_weight is None:
        return [None] * len(structure)
    listed = isinstance(class_weight, (list, tuple))
    named = isinstance(class_weight, Mapping) and (
        any(isinstance(v, (Mapping, str)) for v in class_weight.values())
        or any(name is not None and name in class_weight for name in structure.names)
    )
    if structure.kind != "one" and (listed or named):
        return pick(class_weight, structure, "class_weight")
    if len(structure) > 1 and not is_balanced(class_weight):
        raise ValueError(
            f"class_weight is {class_weight!r}, and the model has {len(structure)} outputs. Write a list with a dict "
            "(or 'balanced', or None) for each output, or a dict of them by the outputs' names, instead."
        )
    return [class_weight] * len(structure)


def is_balanced(class_weight: Any) -> bool:
    return isinstance(class_weight, str) and class_weight == "balanced"


def classes_in(target: Array, spec: OutputSpec, output_shape: Sequence[Any]) -> tuple[Array, Array]:
    """The class of each sample (or of each of its positions), and where the targets have no single class.

    Rows of several columns are one-hot or add up to 1; a row of several labels has no single class.
    """
    if of_labels(spec.loss, target, output_shape):
        return target, np.zeros(target.shape, bool)
    if target.ndim > 1 and target.shape[-1] > 1:
        distribution = (target >= 0).all(-1) & np.isclose(target.sum(-1, dtype=np.float64), 1, atol=1e-3)
        return target.argmax(-1), ~distribution
    classes = target.reshape(len(target)) if target.size == len(target) else target[..., 0]
    return np.rint(classes).astype(np.int32), classes != np.rint(classes)


def balanced(classes: Array, ignored: int | None, name: str) -> dict[int, float]:
    """``samples / (classes * samples of the class)``, as in scikit-learn, after King and Zeng (2001)."""
    values, counts = np.unique(classes, return_counts=True)
    if ignored is not None:
        values, counts = values[values != ignored], counts[values != ignored]
    if len(values) < 2:
        only = f"only class {values[0]}" if len(values) else "no class"
        raise ValueError(
            f"{name}='balanced', and the targets hold {only}. Write targets of two classes or more, or leave "
            "class_weight out, instead."
        )
    weights = counts.sum() / (len(values) * counts)
    return {int(v): float(w) for v, w in zip(values, weights, strict=True)}


def by_class(
    target: Array, spec: OutputSpec, output_shape: Sequence[Any], class_weight: Any, weights: Array | None, name: str
) -> Array:
    """The samples' weights times those of their classes; a class without a weight has 1.

    A sample of weight zero is treated as if it were left out: it counts in no class.
    """
    if not is_balanced(class_weight) and not isinstance(class_weight, Mapping):
        listed = isinstance(class_weight, (list, tuple, np.ndarray)) and np.ndim(class_weight) == 1
        fix = f"dict(enumerate({name}))" if listed else "{0: 1.0, 1: 5.0}"
        raise TypeError(f"{name} is {class_weight!r}. Write {fix}, or 'balanced', instead.")
    classes, none = classes_in(target, spec, output_shape)
    if weights is not None and weights.ndim > classes.ndim:
        raise ValueError(
            f"{name} weighs classes of shape {classes.shape}, and the sample weights have shape {weights.shape}. "
            "Write sample weights that hold both instead."
        )
    each = np.ones(classes.shape, get_dtype())
    if weights is not None:
        each *= weights.reshape(*weights.shape, *(1,) * (classes.ndim - weights.ndim))
    none &= each != 0
    if none.any():
        at = tuple(np.argwhere(none)[0])
        held = np.array2string(np.asarray(target[at]), precision=6, separator=", ", threshold=8)
        raise ValueError(
            f"{name} weighs classes, and the targets hold {held} at {place(at)}, which is not one class. "
            "Write sample_weight with a weight for each sample instead."
        )
    if isinstance(class_weight, str):
        class_weight = balanced(classes[each != 0], ignored_by(spec.loss), name)
    labelled = of_labels(spec.loss, target, output_shape)
    known = classes_of(spec.loss, output_shape) if labelled else target.shape[-1] if target.ndim > 1 else 1
    result = np.ones(classes.shape, get_dtype())
    for label, value in class_weight.items():
        if not isinstance(label, (int, np.integer)):
            raise TypeError(
                f"{name} has the key {label!r}, and classes are whole numbers. Write {{0: 1.0, 1: 5.0}} instead."
            )
        if (labelled or known > 1) and not 0 <= label < known and label != ignored_by(spec.loss):
            raise ValueError(
                f"{name} has the class {label}, and the classes are 0 to {known - 1}. Write the numbers of classes "
                "instead."
            )
        if isinstance(value, str) or not value >= 0 or not np.isfinite(value):
            raise ValueError(f"{name}[{label!r}] is {value!r}. Write a weight of 0 or more instead.")
        result[classes == label] = value
    weighed = {int(c) for c in class_weight} | {ignored_by(spec.loss)}
    without = sorted({int(c) for c in np.unique(classes[each != 0])} - weighed)
    if without:
        more = f" and {len(without) - 1} more" if without[1:] else ""
        warn(
            f"{name} has no weight for class {without[0]}{more}, which counts as 1. Write {{..., {without[0]}: 1.0}} "
            "instead.",
            key=f"{name} without {without}",
        )
    return as_weights(
        result * each, len(result), name=f"sample_weight with {name}", dtype=get_dtype(), sample_shape=result.shape[1:]
    )


def by_class_among(
    data: Data, specs: OutputSpecs, types: Sequence[Type], class_weight: Any
) -> tuple[Array | None, ...]:
    """`by_class` for each output of checked arrays; the rows that are not used have weight zero."""
    rows = slice(None) if data.among is None else data.among
    by_output = class_weights_of(class_weight, specs.structure)
    found: list[Array | None] = []
    for i, (spec, target, weight) in enumerate(zip(specs, data.y, data.weight, strict=True)):
        if target is None or by_output[i] is None:
            found.append(weight)
            continue
        before = None if weight is None else weight[rows]
        name = specs.structure.label(i, "class_weight")
        part = by_class(target[rows], spec, types[i].shape[1:], by_output[i], before, name)
        full = np.zeros((len(target), *part.shape[1:]), part.dtype)
        full[rows] = part
        found.append(full)
    return tuple(found)
