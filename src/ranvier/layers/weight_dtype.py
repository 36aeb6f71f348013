"""Tensor functions of layers with weights: computed in the dtype of the weights, whatever floats they are given."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ranvier.graph.node import FLOATS, Node
from ranvier.ops import arrays
from ranvier.ops.arrays.promotion import as_node
from ranvier.ops.functional import convolution, normalization, relu
from ranvier.tensor.function import function


def weighted(body: Callable[..., Any]) -> Any:
    """A tensor function of ``x`` and of weights, which casts x to the floats of the first weight there is.

    Keras's layers do so, unless they have a dtype. The cast is made when the function is traced, so that calls cost
    nothing. PyTorch's layers refuse other floats, and use ``body`` itself.
    """

    @functools.wraps(body)
    def cast(x: Node, *rest: Any, **options: Any) -> Any:
        weights = (w for w in (*rest, *options.values()) if isinstance(w, Node) and w.dtype in FLOATS)
        first = next(weights, None)
        return body(x if first is None else as_node(x, first.dtype), *rest, **options)

    return function(cast)


@weighted
def prelu(x: Node, alpha: Node) -> Node:
    """``x`` where it is positive, ``alpha * x`` elsewhere."""
    return arrays.add(relu(x), arrays.multiply(arrays.minimum(x, 0.0), alpha))


convolve = weighted(convolution.convolve)
convolve_separably = weighted(convolution.convolve_separably)
convolve_transposed = weighted(convolution.convolve_transposed)
group_standardize = weighted(normalization.group_standardize)
layer_standardize = weighted(normalization.layer_standardize)
normalize_batch = weighted(normalization.normalize_batch)
rms_standardize = weighted(normalization.rms_standardize)
standardize = weighted(normalization.standardize)
