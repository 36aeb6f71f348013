"""Embedding and EmbeddingBag: rows of a trained table, with PyTorch's arguments and initial values."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike

from ranvier.data.memory import check_memory
from ranvier.initializers import RandomNormal
from ranvier.layers.base import whole
from ranvier.module import Module, Parameter, register_module
from ranvier.ops.torch.device import Device, check_device
from ranvier.ops.torch.dtypes import dtype_name
from ranvier.tensor.context import get_dtype
from ranvier.torch.nn import functional as F


class _Table(Module):
    """A weight (num_embeddings, embedding_dim) that starts normal, of mean 0 and deviation 1."""

    weight: Parameter
    _defaults = {"max_norm": None, "norm_type": 2.0, "scale_grad_by_freq": False, "sparse": False}  # noqa: RUF012

    def _make(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None, given: Any, frozen: bool,
        device: Device, dtype: DTypeLike | None,
    ) -> None:  # fmt: skip
        check_device(device)
        self.num_embeddings = whole(num_embeddings, "num_embeddings", self.name)
        self.embedding_dim = whole(embedding_dim, "embedding_dim", self.name)
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(f"padding_idx={padding_idx} is out of range for {num_embeddings} rows.")
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        shape, name = (self.num_embeddings, self.embedding_dim), dtype_name(dtype) or get_dtype()
        check_memory(shape, name, f"the weight of layer {self.name!r}")
        values = None if given is None else np.array(given, name)
        if values is not None and values.shape != shape:
            raise ValueError(f"the weight has shape {values.shape} instead of {shape}.")
        self.weight = Parameter.over(self._drawn(name) if values is None else values, requires_grad=not frozen)

    def _drawn(self, dtype: str) -> Any:
        shape = (self.num_embeddings, self.embedding_dim)
        values = np.asarray(RandomNormal(0.0, 1.0)(shape, dtype), dtype)
        if self.padding_idx is not None:
            values[self.padding_idx] = 0
        return values

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        self.weight.assign(self._drawn(self.weight.dtype))

    @classmethod
    def from_pretrained(cls, embeddings: Any, freeze: bool = True, *settings: Any, **options: Any) -> Self:
        """A module with the given rows, (rows, width), which are not trained unless ``freeze=False``.

        The rest are the constructor's arguments after the sizes.
        """
        rows, width = embeddings.shape
        kind: Any = cls
        made: Self = kind(rows, width, *settings, _weight=embeddings, **options)
        made.weight.requires_grad_(not freeze)
        return made

    def extra_repr(self) -> str:
        shown = {"padding_idx": None, **self._defaults, "mode": None}
        changed = [f"{n}={getattr(self, n)!r}" for n, v in shown.items() if getattr(self, n, v) != v]
        return ", ".join([str(self.num_embeddings), str(self.embedding_dim), *changed])


@register_module(name="torch.Embedding")
class Embedding(_Table):
    """A row of the weight (num_embeddings, embedding_dim) for each index: integers (...) -> (..., embedding_dim).

    The weight starts normal, of mean 0 and deviation 1. The row ``padding_idx`` starts at 0 and gets no gradient. For
    the other arguments see `ranvier.torch.nn.functional.embedding`. Raises IndexError for an index out of range.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Any = None,
        _freeze: bool = False,
        device: Device = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        self._make(num_embeddings, embedding_dim, padding_idx, _weight, _freeze, device, dtype)

    def forward(self, input: Any) -> Any:
        return F.embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse
        )


@register_module(name="torch.EmbeddingBag")
class EmbeddingBag(_Table):
    """The sum, mean or largest elements (``mode``) of the rows in each bag of indices: (bags, embedding_dim).

    Called with indices (bags, indices), or a vector of them and the ``offsets`` where bags start; see
    `ranvier.torch.nn.functional.embedding_bag`. The weight is that of `Embedding`.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Any = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Device = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        self.mode, self.include_last_offset = mode, include_last_offset
        self._make(num_embeddings, embedding_dim, padding_idx, _weight, False, device, dtype)

    def forward(self, input: Any, offsets: Any = None, per_sample_weights: Any = None) -> Any:
        return F.embedding_bag(
            input, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode,
            self.sparse, per_sample_weights, self.include_last_offset, self.padding_idx,
        )  # fmt: skip
