"""The samples of X: those with a weight, and SciPy's sparse matrices as batches of dense rows.

These are recognized by their methods; SciPy is not imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.support.source_lines import warn
from ranvier.tensor import rng

BLOCK = 1 << 22  # numbers that are dense at once in prediction, if 32 rows have fewer
ROWS = 32  # of a batch of `predict`


def with_weight(X: Any, y: Array, weight: Array | None) -> tuple[Any, Array, Array | None]:
    """The samples with positive weight. A sample with weight 0 is ignored."""
    if weight is None or weight.all():
        return X, y, weight
    kept = np.flatnonzero(weight)
    return X[kept], y[kept], weight[kept]


def is_sparse(X: Any) -> bool:
    return hasattr(X, "tocsr")


def warn_of_sparse() -> None:
    """Warn that rows become dense: in the same words for any matrix, so that Python may show one of several."""
    warn(
        "X is a sparse matrix. A network computes with every zero, so blocks of rows are made dense as batches are "
        "read, never the whole matrix. Where that is slow, write TruncatedSVD or SelectKBest before the estimator in a "
        "pipeline."
    )


class SparseBatches:
    """The batches of ``X`` in CSR format, each with its rows of ``others``: targets, and weights unless None.

    Each pass draws an order of the rows from ``generator``, as `fit` draws it for arrays; without one the rows are read
    in order.
    """

    def __init__(
        self, X: Any, others: Sequence[Array | None], batch: int, generator: np.random.Generator | None = None
    ) -> None:
        self.X, self.others, self.batch = X, [a for a in others if a is not None], batch
        self.generator = generator if batch < X.shape[0] else None  # the order within one batch has no effect

    def __iter__(self) -> Iterator[Any]:
        order: Array = np.arange(self.X.shape[0], dtype=np.int32)
        if self.generator is not None:
            order = rng.shuffled(order, self.generator)
        for start in range(0, len(order), self.batch):
            rows = order[start : start + self.batch]
            dense = self.X[rows].toarray()
            yield (dense, *(a[rows] for a in self.others)) if self.others else dense


def to_predict(X: Any) -> Any:
    """X as `predict` takes it: a dense array, or a sparse matrix as blocks of rows."""
    if not is_sparse(X):
        return X
    return SparseBatches(X, (), ROWS * max(1, BLOCK // max(1, ROWS * X.shape[1])))
