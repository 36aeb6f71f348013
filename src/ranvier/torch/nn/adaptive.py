"""The adaptive softmax: classes in clusters, of which the rare ones have smaller projections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ranvier.module import Module, Sequential, register_module
from ranvier.ops import vocabulary
from ranvier.torch.nn import functional as F
from ranvier.torch.nn.containers import ModuleList
from ranvier.torch.nn.layers import Linear

cat: Any = vocabulary.find("torch", "cat")


class AdaptiveLogSoftmax(NamedTuple):
    """What `AdaptiveLogSoftmaxWithLoss` returns: the log-probability of each target, and minus their mean."""

    output: Any
    loss: Any


@register_module(name="torch.AdaptiveLogSoftmaxWithLoss")
class AdaptiveLogSoftmaxWithLoss(Module):
    """Log-probabilities of many classes, ordered from frequent to rare (Grave et al., 2016).

    ``cutoffs`` are the numbers at which clusters begin. Cluster i has a projection to ``in_features / div_value ** i``
    features. It is called with (batch, in_features) and the targets, and returns ``output`` and ``loss``; `log_prob`
    gives all classes, `predict` the likeliest. All clusters are computed for each row: PyTorch computes those of its
    targets, which gives the same numbers.

    Raises ValueError for cutoffs that are not increasing numbers from 1 to ``n_classes - 1``.
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        ends = list(cutoffs)
        if not ends or ends != sorted(set(ends)) or ends[0] <= 0 or ends[-1] > n_classes - 1:
            raise ValueError(
                f"cutoffs={cutoffs!r} for {n_classes} classes. Write increasing numbers from 1 to {n_classes - 1}."
            )
        self.in_features, self.n_classes, self.cutoffs = in_features, n_classes, [*ends, n_classes]
        self.div_value, self.head_bias = div_value, head_bias
        self.shortlist_size, self.n_clusters = ends[0], len(ends)
        self.head_size = self.shortlist_size + self.n_clusters
        options: dict[str, Any] = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **options)
        self.tail = ModuleList()
        for i, (low, high) in enumerate(zip(self.cutoffs, self.cutoffs[1:], strict=False)):
            inner = int(in_features // div_value ** (i + 1))
            first = Linear(in_features, inner, bias=False, **options)
            self.tail.append(Sequential(first, Linear(inner, high - low, bias=False, **options)))

    def log_prob(self, input: Any) -> Any:
        """The log-probabilities of all classes, (batch, n_classes)."""
        head = F.log_softmax(self.head(input), dim=-1)
        parts = [head[..., : self.shortlist_size]]
        for i, cluster in enumerate(self.tail):
            at = self.shortlist_size + i
            parts.append(F.log_softmax(cluster(input), dim=-1) + head[..., at : at + 1])
        return cat(parts, dim=-1)

    def predict(self, input: Any) -> Any:  # type: ignore[override]  # PyTorch's name
        """The likeliest class of each row."""
        return self.log_prob(input).argmax(-1)

    def forward(self, input: Any, target: Any) -> AdaptiveLogSoftmax:
        if target.ndim > 1 or input.ndim != target.ndim + 1:
            raise ValueError(
                f"inputs of shape {tuple(input.shape)} and targets of shape {tuple(target.shape)}. Write (batch, "
                "features) and (batch,) instead."
            )
        output = self.log_prob(input).gather(-1, target.unsqueeze(-1)).squeeze(-1)
        return AdaptiveLogSoftmax(output, -output.mean())
