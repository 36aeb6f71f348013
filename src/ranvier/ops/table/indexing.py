"""Rows of operations that choose, sort, count and write by index."""

from __future__ import annotations

from ranvier.ops.table.row import IN_PLACE, SAME, Row, each

ROWS = (
    *each("torch", "indexing", "argsort gather index_select masked_select sort topk", SAME),
    *each("torch", "indexing", "masked_fill", SAME, IN_PLACE),
    Row("nonzero", keras="nonzero -> keras.bins:nonzero", torch="nonzero argwhere -> indexing:nonzero", method=SAME),
    *each("torch", "torch.indexing", "index_add index_copy index_fill scatter_add", SAME, IN_PLACE),
    Row("scatter", keras="scatter -> keras.bins:scatter", torch="scatter -> torch.indexing:scatter",
        method="scatter -> torch.indexing:scatter; scatter_ -> torch.indexing:scatter_"),
    *each("torch", "torch.indexing", "bincount histc take take_along_dim unique unique_consecutive", SAME),
    *each("torch", "torch.indexing", "bucketize isin searchsorted"),
    *each("torch", "torch.order", "cummax cummin histogram kthvalue mode", SAME),
    *each("torch", "torch.order", "masked_scatter", SAME, IN_PLACE),
    *each("torch", "torch.scattering", "index_put scatter_reduce", SAME, IN_PLACE),
    *each("keras", "keras.arrays", "argsort get_item one_hot sort take top_k"),
    Row("nn.one_hot", keras="nn.one_hot -> keras.arrays:one_hot", torch="F.one_hot -> torch.labels:one_hot"),
    *each("keras", "keras.placing", "select slice take_along_axis"),
    *each("keras", "keras.bins", "bincount digitize histogram in_top_k isin searchsorted segment_max segment_min segment_prod "
          "segment_sum slice_update scatter_update unravel_index"),
)  # fmt: skip
