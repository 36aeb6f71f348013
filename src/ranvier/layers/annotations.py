"""The types of arguments that many layers take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

# A name, an object or function, or {"class_name": ..., "config": {...}}.
ActivationLike = str | Callable[..., Any] | None
InitializerLike = str | Callable[..., Any] | Mapping[str, Any]
RegularizerLike = str | Callable[..., Any] | Mapping[str, Any] | None
ConstraintLike = str | Callable[..., Any] | Mapping[str, Any] | None

Sizes = int | Sequence[int]  # one for all dimensions, or one for each
Factor = float | Sequence[float]  # of a random change: one number, or the least and the most


class CommonOptions(TypedDict, total=False):
    """The keywords that every layer takes: see `Layer`."""

    name: str | None
    trainable: bool
    input_shape: Sequence[int] | int | None
    dtype: str | None


class OptionsWithInputDim(CommonOptions, total=False):
    """The keywords of layers that name their ``activity_regularizer`` themselves."""

    input_dim: int | None


class EmbeddingOptions(CommonOptions, total=False):
    """The keywords of layers that name their ``input_dim`` themselves."""

    activity_regularizer: RegularizerLike


class CellOptions(OptionsWithInputDim, total=False):
    """The keywords of cells and of layers of them, of which ``implementation`` changes nothing."""

    activity_regularizer: RegularizerLike
    implementation: int


class LayerOptions(OptionsWithInputDim, total=False):
    """The keywords of all other layers."""

    activity_regularizer: RegularizerLike
