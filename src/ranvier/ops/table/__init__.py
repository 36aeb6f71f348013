"""The table of operations: one row for each, with its body and how each vocabulary shows it. See `row`."""

from ranvier.ops.table import (
    activations,
    creation,
    elementwise,
    indexing,
    networks,
    products,
    reductions,
    shape,
    tensor,
)
from ranvier.ops.table.row import Row

__all__ = ["ROWS"]

ROWS: tuple[Row, ...] = (
    *elementwise.ROWS, *activations.ROWS, *reductions.ROWS, *products.ROWS, *shape.ROWS, *indexing.ROWS, *creation.ROWS,
    *networks.ROWS, *tensor.ROWS,
)  # fmt: skip
