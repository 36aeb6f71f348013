"""Columns of a table as one array of numbers: a preprocessing layer for each column, and crosses of columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ranvier.layers.base import Layer
from ranvier.layers.core import Input, Rescaling
from ranvier.layers.discretization import Discretization
from ranvier.layers.embedding import CategoryEncoding, Identity
from ranvier.layers.hashing import HashedCrossing, Hashing, cardinality
from ranvier.layers.lookup import IntegerLookup, Lookup, StringLookup
from ranvier.layers.merging import Concatenate
from ranvier.layers.preprocessing import Normalization
from ranvier.module.serialization import register_module
from ranvier.module.symbolic import Operators
from ranvier.tensor.context import get_dtype
from ranvier.tensor.tensor import Tensor


@register_module
class Feature(Layer):
    """A column of a `FeatureSpace`: its dtype, the layer that encodes it, and "int", "one_hot" or "float" as output."""

    preprocessor: Any

    def __init__(self, dtype: str, preprocessor: Any, output_mode: str) -> None:
        super().__init__()
        if output_mode not in ("int", "one_hot", "float"):
            raise ValueError(f"output_mode={output_mode!r}. Write 'int', 'one_hot' or 'float' instead.")
        self.of, self.preprocessor, self.output_mode = dtype, preprocessor, output_mode

    def config(self) -> dict[str, Any]:
        return {"dtype": self.of, "preprocessor": self.preprocessor, "output_mode": self.output_mode}

    @property
    def adaptable(self) -> bool:
        """Whether the layer learns from data."""
        layer = self.preprocessor
        if isinstance(layer, (Lookup, Normalization)):
            return not layer.given
        return layer.num_bins is not None if isinstance(layer, Discretization) else hasattr(layer, "adapt")

    def values(self, column: Any) -> Any:
        """A column as what the layer takes: (rows, 1)."""
        array = np.asarray(column.compute() if isinstance(column, Tensor) else column)
        array = array.reshape(-1, 1) if array.ndim < 2 else array
        if self.of == "string":
            return array
        return array.astype(get_dtype() if self.of.startswith("float") else np.int64)


@register_module
class Cross(Layer):
    """A cross of columns of a `FeatureSpace`: their names, and the number of buckets."""

    def __init__(self, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot") -> None:
        super().__init__(name="_X_".join(feature_names))
        if output_mode not in ("int", "one_hot"):
            raise ValueError(f"output_mode={output_mode!r}. Write 'int' or 'one_hot' instead.")
        self.feature_names, self.output_mode = tuple(feature_names), output_mode
        self.preprocessor = HashedCrossing(crossing_dim)


@register_module
class FeatureSpace(Layer):
    """The columns of a table, a dict of arrays or a frame, as one array ("concat") or a dict of arrays ("dict").

    ``features`` are names of columns, each with a method of this class, as ``FeatureSpace.float_normalized()``, or its
    name. ``crosses`` are tuples of names whose values are hashed together. ``adapt(data)`` learns vocabularies, means
    and boundaries; then a call encodes data, or the inputs of a model. `save` writes all of it to a file.
    """

    def __init__(
        self,
        features: Mapping[str, Any],
        output_mode: str = "concat",
        crosses: Iterable[Any] | None = None,
        crossing_dim: int = 32,
        hashing_dim: int = 32,
        num_discretization_bins: int = 32,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        if output_mode not in ("concat", "dict"):
            raise ValueError(f"output_mode={output_mode!r}. Write 'concat' or 'dict' instead.")
        if not features:
            raise ValueError("a FeatureSpace needs features. Write features={'age': 'float_normalized'} instead.")
        self.output_mode, self.crossing_dim, self.hashing_dim = output_mode, crossing_dim, hashing_dim
        self.num_discretization_bins = num_discretization_bins
        self.features = {column: self._feature(column, kind) for column, kind in features.items()}
        self.crosses = [c if isinstance(c, Cross) else Cross(tuple(c), crossing_dim) for c in crosses or ()]
        unknown = [n for cross in self.crosses for n in cross.feature_names if n not in self.features]
        if unknown:
            raise ValueError(f"crosses has the names {unknown}. Write some of {list(self.features)} instead.")

    def config(self) -> dict[str, Any]:
        return {"features": dict(self.features), "output_mode": self.output_mode, "crosses": list(self.crosses)}

    # --- kinds of features ------------------------------------------------------------------------------------------

    def _feature(self, name: str, kind: Any) -> Feature:
        if isinstance(kind, Feature):
            return kind
        options = {
            "float_discretized": {"num_bins": self.num_discretization_bins},
            "integer_hashed": {"num_bins": self.hashing_dim},
            "string_hashed": {"num_bins": self.hashing_dim},
        }
        known = ("float", "float_normalized", "float_rescaled", "integer_categorical", "string_categorical", *options)
        if kind not in known:
            raise ValueError(f"a feature is {kind!r}. Write one of {', '.join(map(repr, known))} instead.")
        made: Feature = getattr(type(self), kind)(**options.get(kind, {}), name=name)
        return made

    @classmethod
    def feature(cls, dtype: str, preprocessor: Any, output_mode: str) -> Feature:
        """A column that a layer of yours encodes."""
        return Feature(dtype, preprocessor, output_mode)

    @classmethod
    def cross(cls, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot") -> Cross:
        """A cross of columns."""
        return Cross(feature_names, crossing_dim, output_mode)

    @classmethod
    def float(cls, name: str | None = None) -> Any:
        """Numbers as they are."""
        return Feature("float32", Identity(name=layer_name(name)), "float")

    @classmethod
    def float_rescaled(cls, scale: Any = 1.0, offset: Any = 0.0, name: str | None = None) -> Feature:
        """``x * scale + offset``."""
        return Feature("float32", Rescaling(scale, offset, name=layer_name(name)), "float")

    @classmethod
    def float_normalized(cls, name: str | None = None) -> Feature:
        """Numbers at mean 0 and variance 1."""
        return Feature("float32", Normalization(name=layer_name(name)), "float")

    @classmethod
    def float_discretized(
        cls, num_bins: int | None, bin_boundaries: Any = None, output_mode: str = "one_hot", name: str | None = None
    ) -> Feature:
        """Numbers as intervals."""
        return Feature("float32", Discretization(bin_boundaries, num_bins, name=layer_name(name)), output_mode)

    @classmethod
    def integer_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Whole numbers as indices of a vocabulary."""
        return Feature("int32", IntegerLookup(max_tokens, num_oov_indices, name=layer_name(name)), output_mode)

    @classmethod
    def string_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Texts as indices of a vocabulary."""
        return Feature("string", StringLookup(max_tokens, num_oov_indices, name=layer_name(name)), output_mode)

    @classmethod
    def string_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Texts as buckets."""
        return Feature("string", Hashing(num_bins, name=layer_name(name)), output_mode)

    @classmethod
    def integer_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Whole numbers as buckets."""
        return Feature("int32", Hashing(num_bins, name=layer_name(name)), output_mode)

    # --- data -------------------------------------------------------------------------------------------------------

    @property
    def preprocessors(self) -> dict[str, Any]:
        """The layer of each column."""
        return {name: feature.preprocessor for name, feature in self.features.items()}

    @property
    def crossers(self) -> dict[str, Any]:
        """The layer of each cross."""
        return {cross.name: cross.preprocessor for cross in self.crosses}

    def adapt(self, dataset: Any) -> None:
        """Learn from a dict of arrays or a frame, or from batches of such, alone or as (x, y)."""
        whole_table = isinstance(dataset, Mapping) or hasattr(dataset, "columns")
        for name, feature in self.features.items():
            if not feature.adaptable:
                continue
            tables = [dataset] if whole_table else (b[0] if isinstance(b, (tuple, list)) else b for b in dataset)
            feature.preprocessor.adapt(feature.values(table[name]) for table in tables)

    def get_inputs(self) -> dict[str, Any]:
        """An `Input` for each column, the same in each call."""
        known: dict[str, Any] | None = self.__dict__.get("_inputs_of_columns")
        if known is None:
            known = {name: Input((1,), dtype=feature.of, name=name) for name, feature in self.features.items()}
            self.__dict__["_inputs_of_columns"] = known
        return known

    def get_encoded_features(self) -> Any:
        """What a call on these inputs returns. ``rv.Model(space.get_inputs(), outputs)`` is given the columns, and
        ``rv.Model(encoded, outputs)``, with the same layers, encoded data.
        """
        return self(self.get_inputs())

    def __call__(self, data: Any, **options: Any) -> Any:
        if not isinstance(data, Mapping) and not hasattr(data, "columns"):
            raise TypeError(f"{self.name!r} encodes columns by name. Write a dict of arrays, or a frame, instead.")
        missing = [name for name in self.features if name not in data]
        if missing:
            raise ValueError(f"{self.name!r} was given no {', '.join(map(repr, missing))}. Write all columns.")
        symbolic = any(isinstance(data[name], Operators) for name in self.features)
        alone = not symbolic and all(np.ndim(data[name]) == 0 for name in self.features)
        columns = {n: data[n] if symbolic else feature.values(data[n]) for n, feature in self.features.items()}
        found = {n: feature.preprocessor(columns[n]) for n, feature in sorted(self.features.items())}
        crossed = {c.name: c.preprocessor([found[n] for n in c.feature_names]) for c in self.crosses}
        specs = {**self.features, **{cross.name: cross for cross in self.crosses}}
        result = {}
        for name, part in [*found.items(), *sorted(crossed.items())]:
            if specs[name].output_mode == "one_hot":
                size = cardinality(name, specs[name].preprocessor)
                part = CategoryEncoding(size, name=f"{name}_encoding")(part)
            elif self.output_mode == "concat" and part.dtype.startswith("int"):
                raise ValueError(f"{name!r} is of whole numbers, which are not concatenated. Write output_mode='dict'.")
            result[name] = part[0] if alone else part
        if self.output_mode == "dict":
            return result
        return Concatenate()(list(result.values())) if len(result) > 1 else next(iter(result.values()))


def layer_name(name: str | None) -> str | None:
    """The name of the layer of a column."""
    return None if name is None else f"{name}_preprocessor"
