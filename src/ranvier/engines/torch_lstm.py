"""PyTorch's kernels of a layer of LSTM and of its gradient, which run on processors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

Array = Any
LSTM = 2  # PyTorch's number of the cell


def has_recurrence(device: torch.device) -> bool:
    """Whether PyTorch has the kernels for a device."""
    has_both = all(hasattr(torch.ops.aten, f"mkldnn_rnn_layer{end}") for end in ("", "_backward"))
    return device.type == "cpu" and torch.backends.mkldnn.is_available() and has_both


def _run(
    x: Array, kernel: Array, weights: Array, h: Array, c: Array, bias: Array | None, reverse: bool, trains: bool
) -> tuple[Array, Array, Array, Array]:
    with torch.set_grad_enabled(trains):  # else the kernel keeps nothing for the gradient
        y, last_h, last_c, kept = torch.ops.aten.mkldnn_rnn_layer(
            x, kernel, weights, *_biases(kernel, bias), h, c, reverse, [], LSTM, h.shape[1], 1, True, False, False,
            trains,
        )  # fmt: skip
    return y, last_h, last_c, x.new_empty(0, dtype=torch.uint8) if kept is None else kept


def _biases(kernel: Array, bias: Array | None) -> tuple[Array, Array]:
    """PyTorch's two biases, of which the second is zeros."""
    zeros = kernel.new_zeros(kernel.shape[0])
    return zeros if bias is None else bias, zeros


def _like(
    x: Array, kernel: Array, weights: Array, h: Array, c: Array, bias: Array | None, reverse: bool, trains: bool
) -> tuple[Array, Array, Array, Array]:
    """Results of the shapes of a layer's, for a trace."""
    size = 0
    if trains:
        from torch._subclasses.fake_tensor import unset_fake_temporarily

        with unset_fake_temporarily():
            zeros = [torch.zeros(part.shape) for part in (x, kernel, weights, h, c)]
            x0, kernel0, weights0, h0, c0 = zeros
            size = _run(x0, kernel0, weights0, h0, c0, None, reverse, trains)[3].numel()
    y = x.new_empty((*x.shape[:2], h.shape[1]))
    return y, torch.empty_like(h), torch.empty_like(c), x.new_empty(size, dtype=torch.uint8)


def _run_gradients(
    x: Array, kernel: Array, weights: Array, h: Array, c: Array, bias: Array | None, y: Array, last_h: Array,
    last_c: Array, kept: Array, by_h: Array, by_c: Array, by_y: Array | None, reverse: bool,
) -> tuple[Array, ...]:  # fmt: skip
    by_x, by_kernel, by_weights, by_bias, _, by_h, by_c = torch.ops.aten.mkldnn_rnn_layer_backward(
        x, kernel, weights, *_biases(kernel, bias), h, c, y, last_h, last_c,
        torch.zeros_like(y) if by_y is None else by_y, by_h, by_c, reverse, LSTM, h.shape[1], 1, True, True, False, [],
        False, kept,
    )  # fmt: skip
    return by_x, by_kernel, by_weights, by_bias, by_h, by_c


def _like_gradients(
    x: Array, kernel: Array, weights: Array, h: Array, c: Array, bias: Array | None, *rest: Any
) -> tuple[Array, ...]:
    """Results of the shapes of the gradients, for a trace."""
    return tuple(x.new_empty(part.shape) for part in (x, kernel, weights, kernel[:, 0], h, c))


def _given(a: Sequence[Array]) -> list[Array | None]:
    """The operands as PyTorch takes them: steps first, and a row for each gate."""
    x, kernel, weights, h, c, *bias = a
    return [_steps_first(x), kernel.t(), weights.t(), h.contiguous(), c.contiguous(), *(bias or [None])]


def _steps_first(x: Array) -> Array:
    return x.transpose(0, 1).contiguous()


def lstm(a: Sequence[Array], s: Any, e: Any, call: Any = _run) -> Any:
    y, *rest = call(*_given(a), s["reverse"], s["trains"])
    return y.transpose(0, 1), *rest


def lstm_gradients(a: Sequence[Array], s: Any, e: Any, call: Any = _run_gradients) -> Any:
    given, (y, last_h, last_c, kept, by_h, by_c, *by_y) = a[: s["operands"]], a[s["operands"] :]
    by_x, by_kernel, by_weights, *rest = call(
        *_given(given), _steps_first(y), last_h, last_c, kept, by_h.contiguous(), by_c.contiguous(),
        _steps_first(by_y[0]) if by_y else None, s["reverse"],
    )  # fmt: skip
    return by_x.transpose(0, 1), by_kernel.t(), by_weights.t(), *rest


ROWS = {"lstm": lstm, "lstm_gradients": lstm_gradients}
OPERANDS = "Tensor x, Tensor kernel, Tensor weights, Tensor h, Tensor c, Tensor? bias"
RESULTS = "Tensor y, Tensor last_h, Tensor last_c, Tensor kept, Tensor by_h, Tensor by_c, Tensor? by_y"
FUNCTIONS = {
    "lstm": (_run, f"({OPERANDS}, bool reverse, bool trains) -> (Tensor, Tensor, Tensor, Tensor)", _like),
    "lstm_gradients": (
        _run_gradients,
        f"({OPERANDS}, {RESULTS}, bool reverse) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
        _like_gradients,
    ),
}
"""The functions that the rows call, with their schemas, and what says of which shapes their results are."""
