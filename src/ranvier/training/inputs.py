"""The gate of `fit`, `evaluate` and `predict`: every form of data as checked arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ranvier.data.arrays import (
    Array,
    as_features,
    as_weights,
    batches_from,
    check_column_names,
    check_lengths,
    column_names,
)
from ranvier.data.convert import to_numeric
from ranvier.graph.node import BATCH, Type
from ranvier.module import Module
from ranvier.module.changes import structure
from ranvier.tensor import Tensor, get_dtype
from ranvier.training.heads import Head
from ranvier.training.objective import target_array
from ranvier.training.state import Compiled
from ranvier.training.step import Data
from ranvier.training.structure import Outputs, inputs_of, is_container, outputs_of, pick, takes
from ranvier.training.weights import by_class, by_class_among, class_weights_of, loss_shape, weights_of

__all__ = [
    "Resident",
    "batch_of",
    "batches",
    "evaluated",
    "features",
    "gate",
    "is_source",
    "parted",
    "resident",
    "split",
    "traced",
]

LARGEST = 2**31 - 1  # rows, which the shuffled order numbers by int32


def is_source(x: Any) -> bool:
    """Whether ``x`` gives batches (a generator, a DataLoader, a PyDataset) rather than being an array."""
    if isinstance(x, (np.ndarray, Tensor, list, tuple, str, bytes, Mapping)) or x is None:
        return False
    array = any(hasattr(x, name) for name in ("__array__", "shape", "to_numpy", "__dlpack__", "columns"))
    return not array and (hasattr(x, "__iter__") or hasattr(x, "__getitem__"))


def plain(x: Any) -> Any:
    """A tensor's value; anything else as it is."""
    return x.compute() if isinstance(x, Tensor) else x


def features(
    model: Module,
    x: Any,
    *,
    name: str = "x",
    check_finite: bool = True,
    columns: dict[str, list[str]] | None = None,
    learn: bool = False,
) -> tuple[Array, ...]:
    """The arrays of each input of ``model``, which is built for them if it is not yet. Raises as `as_features` does.

    ``columns`` are the names that frames must have, by input; with ``learn`` those of new frames are put in.
    """
    parts = inputs_of(model, x, name)
    wanted = model._input_types or (model._input_type,)
    first = next((m for m in model.modules() if m._parameters), model)
    owner = f"layer {first.name!r}" if len(parts) == 1 else f"model {model.name!r}"
    arrays = []
    for i, (label, part) in enumerate(parts.items()):
        key = label.removeprefix(name)
        if columns is not None:
            check_column_names(part, columns.get(key), name=label)
            names = column_names(part)
            if learn and key not in columns and names is not None:
                columns[key] = list(names)
        type_ = wanted[i] if i < len(wanted) else None
        expected = (
            None if type_ is None else tuple(d if isinstance(d, int) else None for d in type_.shape[1:])
        )
        array = as_features(
            plain(part),
            name=label,
            expected=expected,
            check_finite=check_finite,
            owner=owner,
            dtype=get_dtype(),
        )
        if len(array) > LARGEST:
            raise ValueError(
                f"{label} has {len(array):,} rows, more than the {LARGEST:,} that one fit numbers. Write batches."
            )
        if type_ is None and array.ndim == 1:
            raise ValueError(
                f"{owner} expects rows of features, and {label} has shape {array.shape}. Write "
                f"{label}.reshape(-1, 1) for one feature a sample, or {label}.reshape(1, -1) for one sample, instead."
            )
        arrays.append(array)
    check_lengths(**dict(zip(parts, arrays, strict=True)))
    if len(arrays) > 1 and not model._input_types:
        model._input_types = tuple(Type((BATCH, *a.shape[1:]), get_dtype()) for a in arrays)
        model._input_type = model._input_types[0]
        model.trace()
    elif wanted[0] is None:
        model.build((None, *arrays[0].shape[1:]))
    return tuple(arrays)


def traced(model: Module, state: Compiled, arrays: Sequence[Array]) -> tuple[Outputs, tuple[Type, ...]]:
    """What the model returns for such inputs, and the types of its outputs, by tracing it once."""
    key = (tuple(a.shape[1:] for a in arrays), structure(model))
    known = state.traced.get(key)
    if known is None:
        output = model.trace()
        outputs = outputs_of(model, output)
        known = state.traced[key] = (outputs, tuple(t.type for t in outputs.flat(output)))
    return known


def gate(
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
    """Checked arrays of x, y and the samples' weights. Raises ValueError or TypeError before anything is done.

    ``x`` may be such arrays already, of which ``fit_many`` gives each model some rows.
    """
    if isinstance(x, Data):
        outputs, types = traced(model, compiled, x.x)
        heads = compiled.meet(outputs).heads
        if class_weight is None:
            return x
        return replace(x, weight=by_class_among(x, heads, outputs, types, class_weight))
    x_name, y_name, w_name = (prefix + n for n in ("x", "y", "sample_weight"))
    arrays = features(
        model, x, name=x_name, check_finite=check_finite, columns=compiled.columns, learn=not prefix
    )
    if y is None:
        raise ValueError(f"{y_name} is missing. Write fit(x, y), or a generator of (x, y) batches, instead.")
    outputs, types = traced(model, compiled, arrays)
    heads = compiled.meet(outputs).heads
    last = next((m for m in reversed(list(model.modules())) if m._parameters), model)
    owner = f"layer {last.name!r}" if len(heads) == 1 else f"model {model.name!r}"
    lengths = {x_name: arrays[0]}
    targets: list[Array | None] = []
    weights: list[Array | None] = []
    given_weights = weights_of(weight, outputs, w_name)
    by_output = class_weights_of(class_weight, outputs)
    for i, (head, part) in enumerate(zip(heads, targets_of(y, outputs, heads, y_name), strict=True)):
        label, shape = outputs.label(i, y_name), types[i].shape[1:]
        own = given_weights[i]
        if part is None or not head.used:
            targets.append(None)
            weights.append(None)
            continue
        if hasattr(part, "__len__") and np.ndim(part) and len(part):
            check_lengths(**lengths, **{label: part, w_name: own})
        target = target_array(part, head.loss, shape, name=label, owner=owner, check_finite=check_finite)
        check_lengths(**lengths, **{label: target})
        if own is not None:
            wanted = loss_shape(compiled, i, head, target, types[i])
            w_label = w_name if own is weight else outputs.label(i, w_name)
            own = as_weights(
                plain(own), len(target), name=w_label, dtype=get_dtype(), sample_shape=wanted[1:]
            )
        if by_output[i] is not None:
            own = by_class(target, head, shape, by_output[i], own, outputs.label(i, "class_weight"))
        targets.append(target)
        weights.append(own)
    return Data(arrays, tuple(targets), tuple(weights))


def targets_of(y: Any, outputs: Outputs, heads: Sequence[Head], name: str) -> list[Any]:
    """The targets of each output, None where an output has no loss and no metric."""
    if outputs.kind == "one":
        return [y]
    if not isinstance(y, (list, tuple, Mapping)) or hasattr(y, "columns"):
        if len(heads) == 1:
            return [y]
        raise TypeError(
            f"{name} is one {type(y).__name__}, and the model has {len(heads)} outputs. Write a list with the targets "
            "of each output, or a dict by their names, instead."
        )
    used = [i for i, head in enumerate(heads) if head.used]
    if not isinstance(y, Mapping) and len(y) == len(used) < len(
        heads
    ):  # those that are compared with something
        found = dict(zip(used, y, strict=True))
        return [found.get(i) for i in range(len(heads))]
    parts = pick(y, outputs, name)
    missing = [outputs.label(i, name) for i in used if parts[i] is None]
    if missing:
        raise ValueError(
            f"{', '.join(missing)} is missing, and that output has a loss or metrics. Write targets for it, or leave "
            "its loss and metrics out of compile, instead."
        )
    return parts


def split(data: Data, share: float) -> tuple[Data, Data]:
    """The first rows to train on and the last ``share`` of them to validate on, before any shuffling."""
    if not 0 < share < 1:
        raise ValueError(f"validation_split={share}: write a share between 0 and 1, such as 0.2, instead.")
    at = int(np.floor(len(data) * (1 - share)))
    if at in (0, len(data)):
        raise ValueError(
            f"validation_split={share} of {len(data)} samples leaves none to {'train' if at == 0 else 'validate'} on. "
            "Write another share, or validation_data=(x, y), instead."
        )
    return data.rows(slice(0, at)), data.rows(slice(at, None))


# --- batches --------------------------------------------------------------------------------------------------------


def parted(
    model: Module, outputs: Callable[[Any], int] | None = None
) -> Callable[[Any], tuple[Any, ...] | None]:
    """How a batch falls into (x, y, sample_weight) for models of several inputs or outputs; None for the usual way.

    Besides ``((a, b), (y, z))``, as Keras has it, a batch may hold all one after the other, ``(a, b, y, z)``, as a
    TensorDataset gives them. ``outputs`` tells how many the model has, for such inputs.
    """
    _, needed, any_number = takes(model)
    many = needed > 1 and not any_number

    def part(item: Any) -> tuple[Any, ...] | None:
        if not isinstance(item, (list, tuple)) or not item or is_container(item[0]):
            return None
        if not many:
            count = (
                outputs(item[0]) if outputs is not None and len(item) > 2 and not is_container(item[1]) else 1
            )
            return None if count == 1 else (item[0], *tail(item[1:], count))
        if len(item) < needed:
            return None
        x, rest = tuple(item[:needed]), item[needed:]
        if not rest or is_container(rest[0]):
            return (x, *rest)
        return (x, *tail(rest, 1 if outputs is None else outputs(x)))

    def tail(rest: Sequence[Any], count: int) -> tuple[Any, ...]:
        if count == 1:
            return tuple(rest)
        y, weights = tuple(rest[:count]), tuple(rest[count:])
        return (y, weights if len(weights) > 1 else weights[0]) if weights else (y,)

    return part


@dataclass
class Resident:
    """A loader whose data set lies in memory: run as arrays, in the order that it draws for each epoch."""

    arrays: tuple[Array, ...]
    batch: int
    draw: Callable[[], Array]  # the numbers of an epoch's rows, in order
    loader: Any  # itself
    checked: Data | None = None

    def x(self, model: Module, rows: Array) -> Any:
        """The inputs at these rows."""
        found = parted(model)(self.arrays)
        x = self.arrays[0] if found is None else found[0]
        whole = np.arange(len(self.arrays[0]))

        def at(array: Array) -> Array:
            return array if np.array_equal(rows, whole) else array[rows]

        return tuple(map(at, x)) if isinstance(x, tuple) else at(x)

    def data(self, model: Module, compiled: Compiled, **options: Any) -> Data | None:
        """All of it as checked arrays; None where weights of zero leave samples out, which changes batches."""
        if self.checked is not None:
            return self.checked

        def outputs(x: Any) -> int:
            return len(
                compiled.meet(traced(model, compiled, features(model, x, check_finite=False))[0]).heads
            )

        found = parted(model, outputs)(self.arrays)
        x, y, weight = (*(self.arrays if found is None else found), None, None)[:3]
        data = gate(model, compiled, x, y, weight, **options)
        self.checked = data if all(w is None or w.all() for w in data.weight) else None
        return self.checked


def resident(source: Any) -> Resident | None:
    """A DataLoader over a TensorDataset (or a Subset of one) as arrays; None for anything else that gives batches."""
    if isinstance(source, Resident):
        return source
    find = getattr(source, "resident", None)
    found = find() if callable(find) else None
    return None if found is None else Resident(*found, source)


def batch_of(source: Any) -> int | None:
    """The size of the batches that a source gives, where one size is known for all."""
    loader = resident(source)
    return None if loader is None else loader.batch


def evaluated(
    model: Module, compiled: Compiled, source: Any, steps: int | None, check_finite: bool = True
) -> Iterable[Data]:
    """What gives batches, for evaluation: as arrays in the loader's order where they lie in memory."""
    options: Any = {"class_weight": None, "check_finite": check_finite}
    loader = resident(source)
    data = None if loader is None else loader.data(model, compiled, **options)
    if loader is None or data is None:
        return batches(model, compiled, source, steps, **options)
    order = loader.draw()
    return [replace(data, among=order if steps is None else order[: steps * loader.batch])]


def batches(
    model: Module,
    compiled: Compiled,
    source: Any,
    steps: int | None,
    *,
    class_weight: Any,
    check_finite: bool,
) -> Iterator[Data]:
    """The batches of a generator or a DataLoader, each checked like a data set of its own."""
    if isinstance(source, Resident):
        source = source.loader

    def simple(part: Any) -> Any:
        if isinstance(part, Tensor):
            return part.compute()
        return part if hasattr(part, "shape") or hasattr(part, "columns") else to_numeric(part)

    last: list[Any] = []

    def inputs(part: Any) -> Any:
        found = tuple(simple(p) for p in inputs_of(model, part).values())
        last[:] = [found if len(found) > 1 else found[0]]
        return last[0]

    def outputs(x: Any) -> int:
        if not compiled.known:
            compiled.meet(traced(model, compiled, features(model, x, check_finite=False))[0])
        return len(compiled.heads.heads)

    def targets(part: Any) -> Any:
        if isinstance(part, Mapping) and not hasattr(part, "columns"):
            return {name: None if p is None else simple(p) for name, p in part.items()}
        if is_container(part) and outputs(last[0]) > 1:
            return tuple(None if p is None else simple(p) for p in part)
        return simple(part)

    name = getattr(source, "__name__", type(source).__name__)
    parts = parted(model, outputs)
    for index, (x, y, weight) in enumerate(
        batches_from(source, steps=steps, as_x=inputs, as_y=targets, as_w=targets, parts=parts, name=name)
    ):
        try:
            yield gate(model, compiled, x, y, weight, class_weight=class_weight, check_finite=check_finite)
        except (TypeError, ValueError) as error:
            error.add_note(f"(in batch {index} of {name})")
            raise
