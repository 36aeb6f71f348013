"""Data of any form as checked arrays, for each input and output of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ranvier.data.arrays import as_features, check_column_names, check_lengths, warn_of_other_labels
from ranvier.data.cast import not_finite
from ranvier.data.convert import Array, all_finite, first_where, refuse_sparse, to_numeric
from ranvier.data.mapped import is_mapped
from ranvier.data.sampled import fraction_of_zeros
from ranvier.data.targets import as_weights
from ranvier.graph.dtypes import ARITHMETIC
from ranvier.graph.extents import Dim
from ranvier.graph.node import FLOATS, Type
from ranvier.graph.open_extents import ANY_ROWS, OpenExtent, is_open
from ranvier.layers.embedding import Embedding
from ranvier.layers.text import text_layers_of
from ranvier.metrics.custom import CustomMetric
from ranvier.module import Module, mode, versions
from ranvier.module.arguments import input_parameters, pack_inputs
from ranvier.module.batch_extent import for_any_batch, for_any_or
from ranvier.support import processes
from ranvier.support.columns import column_names
from ranvier.tensor.call_state import isolated_tape
from ranvier.tensor.context import get_dtype
from ranvier.tensor.rng import traced_draws
from ranvier.tensor.tensor import Tensor
from ranvier.training.adapters.sample_weights import by_class, by_class_among, class_weights_of, loss_shape, weights_of
from ranvier.training.adapters.trees import as_given
from ranvier.training.step.arrays import Data
from ranvier.training.step.compiled import Compiled
from ranvier.training.step.objective import target_array
from ranvier.training.step.outputs import OutputSpecs
from ranvier.training.step.placeholders import placeholders
from ranvier.training.step.step import KEPT
from ranvier.training.step.structure import (
    OutputStructure,
    container_of,
    inputs_of,
    is_alone,
    is_container,
    outputs_of,
    pick,
)

LARGEST = 2**31 - 1  # the most rows, since the shuffled order numbers them in int32


def value_of(x: Any) -> Any:
    """The value of a tensor; anything else as it is."""
    return x.compute() if isinstance(x, Tensor) else x


def input_arrays(
    model: Module, x: Any, *, name: str = "x", check_finite: bool = True, learn: bool = False, rows: int | None = None
) -> tuple[Array, ...]:
    """The arrays of each input of ``model``, which is built for them if it is not yet. Raises as `as_features` does.

    Frames must have the columns of the frame that the model was trained on; with ``learn`` the model remembers the
    columns of this one. ``rows`` is the number of samples if it is known from the targets.
    """
    form = container_of(model, x, rows)
    parts = inputs_of(model, x, name, form)
    first = next((m for m in model.modules() if m._parameters), model)
    owner = f"layer {first.name!r}" if len(parts) == 1 else f"model {model.name!r}"
    arrays = []
    texts = text_layers_of(model, list(parts.values()), form)
    wanted = model._input_types or (model._input_type,)
    for i, (label, part) in enumerate(parts.items()):
        key = str(i)
        check_column_names(part, model._frame_columns.get(key), name=label)
        type_ = wanted[i] if i < len(wanted) else None
        expected = (
            None
            if type_ is None
            else tuple(d if isinstance(d, int) and type(d) is not OpenExtent else None for d in type_.shape[1:])
        )
        if i < len(texts) and texts[i] is not None:
            part = texts[i].encode(part)
        given = value_of(part)
        divided = check_finite and processes.group is not None and is_mapped(given)
        array = as_features(
            given, name=label, expected=expected, check_finite=check_finite and not divided, owner=owner,
            dtype=get_dtype(),
        )  # fmt: skip
        if divided and not all_finite(array[slice(*processes.share(len(array)))]):
            raise ValueError(not_finite(array, given, label))
        names = column_names(part) if learn and key not in model._frame_columns else None
        if names is not None:  # after the checks, which may refuse the frame
            model._frame_columns[key] = list(names)
        if len(array) > LARGEST:
            raise ValueError(
                f"{label} has {len(array):,} rows, more than the {LARGEST:,} that one fit numbers. Write batches."
            )
        if type_ is None and array.ndim == 1 and form is None:
            raise ValueError(
                f"{owner} expects rows of features, and {label} has shape {array.shape}. Write "
                f"{label}.reshape(-1, 1) for one feature a sample, or {label}.reshape(1, -1) for one sample, instead."
            )
        if type_ is not None:
            check_elements(array, type_, label)
        arrays.append(array)
    check_lengths(**dict(zip(parts, arrays, strict=True)))
    if (len(arrays) > 1 or form is not None) and not model._input_types:
        shapes = [(None, *a.shape[1:]) for a in arrays]
        Module.build(model, dict(zip(form, shapes, strict=True)) if isinstance(form, tuple) else shapes)
    elif wanted[0] is None:
        model.build((None, *arrays[0].shape[1:]))
    return tuple(arrays)


def check_elements(array: Array, type_: Type, label: str) -> None:
    """Raise ValueError for sequences of no elements, and for fractions where the input is of whole numbers."""
    if is_open(type_.shape) and 0 in array.shape[1:]:
        raise ValueError(
            f"{label} has shape {array.shape}: its sequences are empty. Leave them out, or write one element of "
            "padding, instead."
        )
    if type_.dtype not in FLOATS and array.dtype.kind == "f":
        found = first_where(array, lambda piece: piece != np.trunc(piece))
        if found is not None:
            (row, *rest), _ = found
            place = f", position {', '.join(map(str, rest))}" if rest else ""
            raise ValueError(
                f"{label} has {array[(row, *rest)]:g} in row {row}{place}, and the network takes whole numbers there "
                f"({type_.dtype}). Write indices, such as those of TextVectorization or StringLookup, instead."
            )


def rows_of(y: Any) -> int | None:
    """The number of samples of targets, by those of the first output if there are several."""
    if isinstance(y, Mapping) and is_container(y):
        y = list(y.values())
    if is_container(y) and y and getattr(y[0], "shape", ()):
        y = y[0]
    shape = getattr(y, "shape", ())
    return int(shape[0]) if shape else len(y) if is_container(y) else None


def likely_several(model: Module, x: Any) -> bool:
    """Whether a list that a model with one input was given looks like several inputs."""
    if (
        model._input_container
        or input_parameters(model)[1] != 1
        or not isinstance(x, (list, tuple))
        or not 1 < len(x) < 9
    ):
        return False
    shapes: list[Any] = [getattr(part, "shape", ()) for part in x]
    return all(shapes) and len({shape[0] for shape in shapes}) == 1


def check_order(model: Module, x: Any, y: Any, x_name: str, y_name: str) -> None:
    """Raise ValueError where x and y are likely swapped."""
    expected = () if model._input_types or model._input_type is None else model._input_type.shape[1:]
    inputs, targets = (tuple(getattr(a, "shape", ())) for a in (x, y))
    if expected and inputs[:1] == targets[:1] and inputs[1:] != expected == targets[1:]:
        raise ValueError(
            f"{x_name} has shape {inputs} and {y_name} has {targets}, and the network takes samples of shape "
            f"{expected}: they are likely swapped. Write fit(x, y), the inputs first, instead."
        )
    kinds = [getattr(getattr(a, "dtype", None), "kind", "") for a in (x, y)]
    unbuilt = not model._input_types and model._input_type is None
    unbuilt = unbuilt and not any(isinstance(module, Embedding) for module in model.modules())  # which takes indices
    if unbuilt and kinds == ["i", "f"] and len(inputs) == 1 and len(targets) == 2 and inputs == targets[:1]:
        raise ValueError(
            f"{x_name} has shape {inputs} and {y_name} has {targets}: they are likely swapped. Write fit(x, y), the "
            "inputs first, instead."
        )


def has_open_sizes(model: Module) -> bool:
    """Whether sizes of the inputs may differ from batch to batch, as those of `Input((None, None, 3))`."""
    return any(type_ is not None and is_open(type_.shape) for type_ in model._input_types or (model._input_type,))


def traced_outputs(model: Module, state: Compiled, arrays: Sequence[Array]) -> tuple[OutputStructure, tuple[Type, ...]]:
    """The structure and the types of the model's outputs for such inputs, by tracing it once."""
    key = (tuple(a.shape[1:] for a in arrays), versions.structure(model))
    known = state.traced.get(key)
    if known is None:
        while len(state.traced) >= KEPT:
            state.traced.pop(next(iter(state.traced)), None)
        if has_open_sizes(model):
            output = for_any_batch(
                model, lambda rows: model(*pack_inputs(placeholders(model, arrays, rows), model._input_container))
            )
        else:
            output = model._trace()
        structure = outputs_of(model, output)
        known = state.traced[key] = (structure, tuple(t.spec for t in structure.flat(output)))
    return known


def adds_losses(model: Module, arrays: Sequence[Array]) -> bool:
    """Whether layers add to the loss in training (`Module.add_loss`, regularizers)."""

    def trace(rows: Dim) -> bool:
        with mode(model, True), isolated_tape(model), traced_draws():
            model(*pack_inputs(placeholders(model, arrays, rows), model._input_container))
            return bool(model._losses())

    return bool(for_any_or(trace, OpenExtent(ANY_ROWS)))


def to_data(
    model: Module,
    compiled: Compiled,
    x: Any,
    y: Any,
    weight: Any = None,
    *,
    class_weight: Any = None,
    check_finite: bool = True,
    prefix: str = "",
) -> Data:
    """Checked arrays of x, y and the samples' weights. Raises ValueError or TypeError before anything is trained.

    ``x`` may be `Data` already: ``fit_many`` gives each model some rows of it.
    """
    if compiled.calls_methods:
        return as_given(x, y, weight, class_weight, prefix=prefix, check_finite=check_finite)
    try:
        return checked(model, compiled, x, y, weight, class_weight, check_finite, prefix)
    except (TypeError, ValueError) as error:
        if likely_several(model, x):
            error.add_note(
                f"(x is a list of {len(x)} arrays, and {model.name!r} takes one input, so they were read as samples. "
                "If they are separate inputs, write def forward(self, a, b).)"
            )
        raise


def checked(
    model: Module, compiled: Compiled, x: Any, y: Any, weight: Any, class_weight: Any, check_finite: bool, prefix: str
) -> Data:
    if isinstance(x, Data):
        structure, types = traced_outputs(model, compiled, x.x)
        specs = compiled.resolve(structure)
        if class_weight is None:
            return x
        return replace(x, weight=by_class_among(x, specs, types, class_weight))
    x_name, y_name, w_name = (prefix + n for n in ("x", "y", "sample_weight"))
    without_loss = compiled.given["loss"] is None  # `fit` may minimize the losses that layers add
    compared = not without_loss or any(compiled.given[kind] for kind in ("metrics", "weighted_metrics"))
    if y is None and compared and likely_several(model, x):
        raise TypeError(
            f"{x_name} is a {type(x).__name__} of {len(x)} arrays, and {y_name} is missing. Write fit(x, y), or "
            "fit(*data) where they are one tuple, instead."
        )
    check_order(model, x, y, x_name, y_name)
    for part, name in ((y, y_name), (weight, w_name)):
        warn_of_other_labels(x, part, x_name, name)
    arrays = input_arrays(model, x, name=x_name, check_finite=check_finite, learn=not prefix, rows=rows_of(y))
    if without_loss and not adds_losses(model, arrays):
        raise RuntimeError(
            f"{model.name!r} was compiled without a loss, and none of its layers adds one. Write compile(loss=...), or "
            "self.add_loss(...) in a forward or call, instead."
        )
    if y is None and compared:
        raise ValueError(
            f"{y_name} is missing. Write the targets after the inputs, as in fit(x, y), evaluate(x, y) and "
            "validation_data=(x, y), or give a generator of (x, y) batches, instead."
        )
    structure, types = traced_outputs(model, compiled, arrays)
    specs = compiled.resolve(structure)
    last = next((m for m in reversed(list(model.modules())) if m._parameters), model)
    owner = f"layer {last.name!r}" if len(specs) == 1 else f"model {model.name!r}"
    lengths = {x_name: arrays[0]}
    targets: list[Array | None] = []
    weights: list[Array | None] = []
    given_weights = weights_of(weight, structure, w_name)
    by_output = class_weights_of(class_weight, structure)
    if structure.kind == "one":
        y = target_of(model, y, len(arrays[0]), structure, y_name)
    parts = [None] * len(specs) if y is None else targets_of(y, specs, y_name)
    given: list[tuple[tuple[int, ...], str] | None] = []
    for i, (spec, part) in enumerate(zip(specs, parts, strict=True)):
        label, shape = structure.label(i, y_name), types[i].shape[1:]
        weights_given = given_weights[i]
        if part is None or not spec.used:
            targets.append(None)
            weights.append(None)
            given.append(None)
            continue
        refuse_sparse(part, label)
        if hasattr(part, "__len__") and np.ndim(part) and len(part):
            check_lengths(**lengths, **{label: part, w_name: weights_given})
        target = target_array(part, spec.loss, shape, name=label, owner=owner, check_finite=check_finite)
        check_lengths(**lengths, **{label: target})
        if weights_given is not None:
            wanted = loss_shape(compiled, i, spec, target, types[i])
            w_label = w_name if weights_given is weight else structure.label(i, w_name)
            weights_given = as_weights(
                value_of(weights_given), len(target), name=w_label, dtype=get_dtype(), sample_shape=wanted[1:]
            )
        if by_output[i] is not None:
            weights_given = by_class(
                target, spec, shape, by_output[i], weights_given, structure.label(i, "class_weight")
            )
        targets.append(target)
        weights.append(weights_given)
        own = any(isinstance(metric, CustomMetric) for metric, _ in spec.metrics)
        given.append(kind_of(part, label) if own else None)
    zeros = tuple(map(fraction_of_zeros, arrays))
    return Data(arrays, tuple(targets), tuple(weights), zeros=zeros, given=tuple(given) if any(given) else ())


def kind_of(y: Any, label: str) -> tuple[tuple[int, ...], str]:
    """The shape and dtype of a sample's targets as Keras's metrics get them: floats of the default dtype, int32 for
    int64, and a Series of pandas as a column.
    """
    array = to_numeric(value_of(y), label)
    shape = (1,) if array.ndim == 1 and hasattr(y, "iloc") else array.shape[1:]
    name = get_dtype() if array.dtype.kind == "f" else array.dtype.name
    return tuple(shape), name if name in ARITHMETIC and name != "int64" else "int32"


def target_of(model: Module, y: Any, rows: int, structure: OutputStructure, name: str) -> Any:
    """The targets of a model with one output, which may be in a dict by the output's name, or alone in a list."""
    if isinstance(y, Mapping) and is_container(y):
        names = getattr(model, "output_names", None) or [None]
        return pick(y, replace(structure, names=tuple(names)), name)[0]
    return y[0] if is_alone(y, rows) else y


def targets_of(y: Any, specs: OutputSpecs, name: str) -> list[Any]:
    """The targets of each output; None for an output without loss and metrics."""
    structure = specs.structure
    if structure.kind == "one":
        return [y]
    used = [i for i, spec in enumerate(specs) if spec.used]
    if not isinstance(y, (list, tuple, Mapping)) or hasattr(y, "columns"):
        if len(specs) == 1:
            return [y]
        if len(used) == 1:  # that of the one output with a loss
            return [y if i in used else None for i in range(len(specs))]
        raise TypeError(
            f"{name} is one {type(y).__name__}, and the model has {len(specs)} outputs. Write a list with the targets "
            "of each output, or a dict by their names, instead."
        )
    if not isinstance(y, Mapping) and len(y) == len(used) < len(specs):  # those that are compared with something
        found = dict(zip(used, y, strict=True))
        return [found.get(i) for i in range(len(specs))]
    parts = pick(y, structure, name)
    missing = [structure.label(i, name) for i in used if parts[i] is None]
    if missing:
        raise ValueError(
            f"{', '.join(missing)} is missing, and that output has a loss or metrics. Write targets for it, or leave "
            "its loss and metrics out of compile, instead."
        )
    return parts
