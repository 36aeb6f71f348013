"""Through an estimator's pipeline: the network at its end, and the column of the table behind each of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ranvier.data.convert import Array
from ranvier.module.core import Module
from ranvier.support.tables import Table


class Fitted(NamedTuple):
    """The network of a fitted estimator, the steps before it, and its classes."""

    network: Module
    steps: Sequence[Any]  # transformers
    classes: Any  # None for a regression

    def transformed(self, x: Any) -> Array:
        """The inputs of the network for a table, dense."""
        for step in self.steps:
            x = step.transform(x)
        x = x.toarray() if hasattr(x, "toarray") else x
        return np.asarray(x)

    def target(self, target: Any) -> Any:
        """Class numbers from the classes of the estimator. Raises ValueError for a class that it has not seen."""
        if target is None or self.classes is None or isinstance(self.classes, list):
            return target
        known = {value: k for k, value in enumerate(np.asarray(self.classes).tolist())}
        given = np.asarray(target)
        wrong = [value for value in given.reshape(-1).tolist() if value not in known]
        if wrong:
            raise ValueError(f"target={wrong[0]!r} is no class. Write one of {', '.join(map(repr, known))} instead.")
        numbers = np.array([known[value] for value in given.reshape(-1).tolist()], np.int64)
        return int(numbers[0]) if given.ndim == 0 else numbers


def fitted(model: Any) -> Fitted:
    """The parts of an estimator or a pipeline. Raises TypeError for others than those of Ranvier."""
    model = getattr(model, "best_estimator_", model)  # of a search
    steps = [step for _, step in model.steps] if hasattr(model, "steps") else [model]
    last = getattr(steps[-1], "best_estimator_", steps[-1])
    network = getattr(last, "model_", None)
    if not isinstance(network, Module):
        hint = "Call fit first" if hasattr(last, "hidden_layer_sizes") else "Write permutation_importance instead"
        raise TypeError(
            f"integrated gradients need a network, and {type(last).__name__} has none. {hint}, or end the pipeline "
            "with rv.estimators.NeuralClassifier or NeuralRegressor."
        )
    before = [step for step in steps[:-1] if step is not None and step != "passthrough"]
    return Fitted(network, before, getattr(last, "classes_", None))


def owners_of(steps: Sequence[Any], table: Table) -> Array:
    """The column of the table behind each input of the network. Raises ValueError where a step mixes columns."""
    owners = np.arange(len(table.names))
    names: Sequence[str] | None = table.names
    for step in steps:
        owners, names = owners[sources(step, len(owners), names)], None
    return owners


def sources(step: Any, width: int, names: Sequence[str] | None) -> Array:
    """For each output of a transformer the number of the input that it is computed from.

    Raises ValueError where an output is computed from several inputs.
    """
    if step is None or isinstance(step, str):  # "passthrough"; "drop" is left out before
        return np.arange(width)
    for known, rule in RULES:
        if known(step):
            return np.asarray(rule(step, width, names), np.int64)
    raise ValueError(
        f"each output of {type(step).__name__} depends on several columns, so that no contribution belongs to one of "
        "them. Write permutation_importance(model, x, y), which needs no such assignment, instead."
    )


def _is(*classes: str) -> Callable[[Any], bool]:
    """Whether an object is of a class of one of these names; scikit-learn is not imported."""
    return lambda step: any(base.__name__ in classes for base in type(step).__mro__)


def _of_pipeline(step: Any, width: int, names: Sequence[str] | None) -> Array:
    found = np.arange(width)
    for _, inner in step.steps:
        found, names = found[sources(inner, len(found), names)], None
    return found


def _of_union(step: Any, width: int, names: Sequence[str] | None) -> Array:
    parts = [sources(part, width, names) for _, part in step.transformer_list if part != "drop"]
    return np.concatenate(parts)


def _of_columns(step: Any, width: int, names: Sequence[str] | None) -> Array:
    """Of a ColumnTransformer, whose results are in the order of its slices."""
    placed = []
    for name, part, columns in step.transformers_:
        where = step.output_indices_.get(name)
        if where is None or where.stop <= where.start or (isinstance(part, str) and part == "drop"):
            continue
        chosen = _numbers(columns, width, getattr(step, "feature_names_in_", names))
        inner = [str(names[i]) for i in chosen] if names is not None else None
        placed.append((where.start, chosen[sources(part, len(chosen), inner)]))
    return np.concatenate([found for _, found in sorted(placed, key=lambda pair: pair[0])])


def _numbers(columns: Any, width: int, names: Sequence[str] | None) -> Array:
    """Numbers of columns from names, numbers, a slice or a mask."""
    if isinstance(columns, (str, int)):
        columns = [columns]
    if isinstance(columns, slice):
        if isinstance(columns.start, str) or isinstance(columns.stop, str):
            known = [] if names is None else list(names)
            first = 0 if columns.start is None else known.index(columns.start)
            last = width if columns.stop is None else known.index(columns.stop) + 1
            return np.arange(first, last)
        return np.arange(width)[columns]
    given = list(columns)
    if given and isinstance(given[0], (bool, np.bool_)):
        return np.flatnonzero(given)
    place = {name: i for i, name in enumerate(() if names is None else names)}
    return np.array([place[c] if isinstance(c, str) else int(c) for c in given], np.int64)


def _of_one_hot(step: Any, width: int, names: Sequence[str] | None) -> Array:
    return np.repeat(np.arange(width), step._n_features_outs)


def _of_bins(step: Any, width: int, names: Sequence[str] | None) -> Array:
    return np.arange(width) if step.encode == "ordinal" else np.repeat(np.arange(width), step.n_bins_)


def _of_imputer(step: Any, width: int, names: Sequence[str] | None) -> Array:
    kept = np.arange(width)
    if not getattr(step, "keep_empty_features", False):
        statistics = np.asarray(step.statistics_)
        kept = kept[[value == value for value in statistics.tolist()]]  # a column without a value is left out
    missing = getattr(step, "indicator_", None)
    return kept if missing is None else np.concatenate([kept, missing.features_])


def _of_splines(step: Any, width: int, names: Sequence[str] | None) -> Array:
    return np.repeat(np.arange(width), step.n_features_out_ // width)


# What a transformer is, and which of its inputs each output is computed from.
RULES: tuple[tuple[Callable[[Any], bool], Callable[..., Any]], ...] = (
    (_is("Pipeline"), _of_pipeline),
    (_is("ColumnTransformer"), _of_columns),
    (_is("FeatureUnion"), _of_union),
    (_is("OneHotEncoder"), _of_one_hot),
    (_is("KBinsDiscretizer"), _of_bins),
    (_is("SimpleImputer"), _of_imputer),
    (_is("SplineTransformer"), _of_splines),
    (_is("SelectorMixin"), lambda step, width, names: np.flatnonzero(step.get_support())),
    (_is("OneToOneFeatureMixin"), lambda step, width, names: np.arange(width)),
    (
        lambda step: getattr(step, "feature_names_out", None) == "one-to-one",  # a FunctionTransformer
        lambda step, width, names: np.arange(width),
    ),
)
