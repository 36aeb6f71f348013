"""Operators of networks whose arguments differ from those of PyTorch's functions in Python, or that lack one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranvier.interop.merged import Merged
from ranvier.interop.torch.creation_rows import full
from ranvier.interop.torch.merged import RowNumbers
from ranvier.interop.torch.table import REDUCTIONS, row, vocabulary_function
from ranvier.ops import arrays, loops
from ranvier.torch.nn import functional as F
from ranvier.torch.nn.recurrent_cells import gru_step, lstm_step, rnn_step

# --- elementwise --------------------------------------------------------------------------------------------------


@row("where")
def where(condition: Any, self: Any = None, other: Any = None) -> Any:
    return vocabulary_function("where")(condition, self, other)


@row("rsub")
def rsub(self: Any, other: Any, alpha: Any = 1) -> Any:
    return other - (self if alpha == 1 else self * alpha)


@row("elu")
def elu(self: Any, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Any:
    y = F.elu(self if input_scale == 1 else self * input_scale, alpha)
    return y if scale == 1 else vocabulary_function("where")(self > 0, self, y) * scale


@row("log_sigmoid")
def log_sigmoid(self: Any) -> Any:
    return F.logsigmoid(self)


@row("rrelu")
def rrelu(self: Any, lower: float = 0.125, upper: float = 1 / 3, training: bool = False) -> Any:
    if not training:
        return F.leaky_relu(self, (lower + upper) / 2)
    slope = vocabulary_function("rand_like")(self) * (upper - lower) + lower
    return vocabulary_function("where")(self >= 0, self, self * slope)


@row("__and__")
def and_(self: Any, other: Any) -> Any:
    return self & other


@row("__or__")
def or_(self: Any, other: Any) -> Any:
    return self | other


@row("__xor__")
def xor(self: Any, other: Any) -> Any:
    return self ^ other


@row("_softmax")
def softmax(self: Any, dim: int, half_to_float: bool = False) -> Any:
    return F.softmax(self, dim)


@row("_log_softmax")
def log_softmax(self: Any, dim: int, half_to_float: bool = False) -> Any:
    return F.log_softmax(self, dim)


@row("isin.Tensor_Scalar")
def isin(elements: Any, test_element: Any, assume_unique: bool = False, invert: bool = False) -> Any:
    found = elements == test_element
    return ~found if invert else found


# --- randomness ---------------------------------------------------------------------------------------------------


@row("bernoulli")
def bernoulli(self: Any, p: Any = None) -> Any:
    return vocabulary_function("bernoulli")(self, p)


@row("uniform")
def uniform(self: Any, **bounds: float) -> Any:
    low, high = bounds.get("from", 0.0), bounds.get("to", 1.0)
    return vocabulary_function("rand_like")(self) * (high - low) + low


@row("normal", "normal_functional")
def normal(self: Any, mean: float = 0.0, std: float = 1.0) -> Any:
    return vocabulary_function("randn_like")(self) * std + mean


@row("exponential")
def exponential(self: Any, lambd: float = 1.0) -> Any:
    return -vocabulary_function("log1p")(-vocabulary_function("rand_like")(self)) / lambd


@row("native_dropout")
def native_dropout(input: Any, p: float, train: bool | None = True) -> Any:
    return F.dropout(input, p, training=bool(train)), None


@row("feature_dropout")
def feature_dropout(input: Any, p: float, train: bool) -> Any:
    if not train or not p:
        return input
    noise = full((*input.shape[:2], *(1,) * (input.ndim - 2)), 1.0, input.dtype)
    return input * F.dropout(noise, p)


# --- layers -------------------------------------------------------------------------------------------------------


@row("embedding")
def embedding(weight: Any, indices: Any, padding_idx: int = -1, **options: Any) -> Any:
    return F.embedding(indices, weight, None if padding_idx < 0 else padding_idx)


@row("embedding_bag", "_embedding_bag", merged=True)
def embedding_bag(
    weight: Any, indices: Any, offsets: Any, scale_grad_by_freq: bool = False, mode: int = 0, sparse: bool = False,
    per_sample_weights: Any = None, include_last_offset: bool = False, padding_idx: int | None = None,
) -> Any:  # fmt: skip
    if isinstance(indices, Merged) and isinstance(offsets, RowNumbers) and indices.after == offsets.step:
        indices, offsets = indices.tensor, None  # a bag is a row
    bags = F.embedding_bag(
        indices, weight, offsets, mode=REDUCED_BAGS[mode], per_sample_weights=per_sample_weights,
        include_last_offset=include_last_offset, padding_idx=None if padding_idx in (None, -1) else padding_idx,
    )  # fmt: skip
    return bags, None, None, None


REDUCED_BAGS = ("sum", "mean", "max")


@row("convolution")
def convolution(
    input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool,
    output_padding: Any, groups: int,
) -> Any:  # fmt: skip
    n = input.ndim - 2
    if transposed:
        function = getattr(F, f"conv_transpose{n}d")
        return function(input, weight, bias, stride, padding, output_padding, groups, dilation)
    return getattr(F, f"conv{n}d")(input, weight, bias, stride, padding, dilation, groups)


@row("native_layer_norm")
def native_layer_norm(input: Any, normalized_shape: Sequence[int], weight: Any, bias: Any, eps: float) -> Any:
    return F.layer_norm(input, normalized_shape, weight, bias, eps), None, None


@row("native_group_norm")
def native_group_norm(input: Any, weight: Any, bias: Any, N: Any, C: int, HxW: Any, group: int, eps: float) -> Any:
    return F.group_norm(input, group, weight, bias, eps), None, None


@row("_native_batch_norm_legit", "native_batch_norm", "_native_batch_norm_legit_no_training")
def native_batch_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps), None, None


@row("_native_batch_norm_legit_functional")
def functional_batch_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool, momentum: float, eps: float
) -> Any:
    # It moves the running statistics itself; what is then written into them is what they are.
    y = F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    return y, None, None, running_mean, running_var


def _pooling_row(n: int) -> None:
    @row(f"max_pool{n}d_with_indices")
    def largest(
        self: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
    ) -> Any:
        function = getattr(F, f"max_pool{n}d")
        return function(self, kernel_size, stride or None, padding, dilation, ceil_mode, return_indices=True)

    @row(f"adaptive_max_pool{n}d")
    def adaptive(self: Any, output_size: Any) -> Any:
        return getattr(F, f"adaptive_max_pool{n}d")(self, output_size, return_indices=True)

    @row(f"_adaptive_avg_pool{n}d", f"adaptive_avg_pool{n}d")
    def average(self: Any, output_size: Any) -> Any:
        return getattr(F, f"adaptive_avg_pool{n}d")(self, output_size)

    @row(f"max_unpool{n}d")
    def unpooled(self: Any, indices: Any, output_size: Sequence[int], stride: Any = None, padding: Any = None) -> Any:
        step = [out // n for out, n in zip(output_size, self.shape[-n:], strict=True)]
        size = [out - (n - 1) * s for out, n, s in zip(output_size, self.shape[-n:], step, strict=True)]
        return getattr(F, f"max_unpool{n}d")(self, indices, size, step, 0, output_size)

    for kind, mode in (("reflection", "reflect"), ("replication", "replicate")):
        row(f"{kind}_pad{n}d")(lambda self, padding, mode=mode: F.pad(self, padding, mode))


for _n in (1, 2, 3):
    _pooling_row(_n)


@row("im2col")
def im2col(
    self: Any, kernel_size: Sequence[int], dilation: Sequence[int], padding: Sequence[int], stride: Sequence[int]
) -> Any:
    return F.unfold(self, kernel_size, dilation, padding, stride)


@row("col2im")
def col2im(
    self: Any, output_size: Sequence[int], kernel_size: Sequence[int], dilation: Sequence[int],
    padding: Sequence[int], stride: Sequence[int],
) -> Any:  # fmt: skip
    return F.fold(self, output_size, kernel_size, dilation, padding, stride)


@row("constant_pad_nd")
def constant_pad(self: Any, pad: Sequence[int], value: Any = 0) -> Any:
    return F.pad(self, pad, "constant", value)


def _upsampling_row(op: str, mode: str, corners: bool) -> None:
    @row(op)
    def resized(**given: Any) -> Any:
        x, size = next(iter(given.values())), given.get("output_size")
        scale = given.get("scale_factors")
        align = given.get("align_corners") if corners else None
        return F.interpolate(x, size, None if size else [float(s) for s in scale or ()], mode, align)


for _op, _mode in (
    ("linear1d", "linear"),
    ("bilinear2d", "bilinear"),
    ("trilinear3d", "trilinear"),
    ("bicubic2d", "bicubic"),
):
    _upsampling_row(f"upsample_{_op}", _mode, True)
for _n in (1, 2, 3):
    _upsampling_row(f"upsample_nearest{_n}d", "nearest", False)
    _upsampling_row(f"_upsample_nearest_exact{_n}d", "nearest-exact", False)


# --- losses -------------------------------------------------------------------------------------------------------


@row("cross_entropy_loss")
def cross_entropy(
    self: Any, target: Any, weight: Any = None, reduction: int = 1, ignore_index: int = -100, label_smoothing: float = 0
) -> Any:
    return F.cross_entropy(
        self,
        target,
        weight,
        ignore_index=ignore_index,
        reduction=REDUCTIONS[reduction],
        label_smoothing=label_smoothing,
    )


@row("nll_loss", "nll_loss_nd", "nll_loss2d")
def nll_loss(self: Any, target: Any, weight: Any = None, reduction: int = 1, ignore_index: int = -100) -> Any:
    return F.nll_loss(self, target, weight, ignore_index=ignore_index, reduction=REDUCTIONS[reduction])


@row("ranvier::ctc_loss")
def ctc_loss(
    log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int, reduction: str,
    zero_infinity: bool,
) -> Any:  # fmt: skip
    return F.ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, reduction, zero_infinity)


# --- recurrences --------------------------------------------------------------------------------------------------


def _steps(name: str) -> tuple[Any, int]:
    """The function of a step, of an input, the states and the weights, and how many states there are."""
    if name == "lstm":
        return lambda x, s, w: list(lstm_step(x, *s, *w)), 2
    if name == "gru":
        return lambda x, s, w: list(gru_step(x, *s, *w)), 1
    return lambda x, s, w: list(rnn_step(x, *s, *w, relu=name == "rnn_relu")), 1


def _recurrent_row(name: str) -> None:
    step, count = _steps(name)

    @row(f"{name}.input")
    def recur(
        input: Any, hx: Any, params: Sequence[Any], has_biases: bool, num_layers: int, dropout: float, train: bool,
        bidirectional: bool, batch_first: bool,
    ) -> Any:  # fmt: skip
        x = input if batch_first else arrays.swapaxes(input, 0, 1)
        states = list(hx) if isinstance(hx, (list, tuple)) else [hx]
        directions = 2 if bidirectional else 1
        each = len(params) // (num_layers * directions)
        last = list[list[Any]]()
        for layer in range(num_layers):
            if layer and dropout and train:
                x = F.dropout(x, dropout)
            found = []
            for reverse in range(directions):
                i = layer * directions + reverse
                own = list(params[i * each : (i + 1) * each])
                biases = [own.pop(2), own.pop(2)] if has_biases else [None, None]
                weights = [*own[:2], *biases, own[2] if len(own) > 2 else None]

                def body(states: Any, x: Any, weights: Any = weights) -> Any:
                    after = step(x, states, weights)
                    return after, after[0]

                after, outputs = loops.scan(body, [s[i] for s in states], x, axis=1, reverse=bool(reverse))
                found.append(outputs)
                last.append(after)
            x = found[0] if len(found) == 1 else arrays.concatenate(found, -1)
        finals = [arrays.stack(list(parts), 0) for parts in zip(*last, strict=True)]
        return (x if batch_first else arrays.swapaxes(x, 0, 1), *finals)

    @row(f"{name}_cell")
    def cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
        states = list(hx) if isinstance(hx, (list, tuple)) else [hx]
        after = step(input, states, [w_ih, w_hh, b_ih, b_hh, None])
        return tuple(after) if count > 1 else after[0]


for _name in ("lstm", "gru", "rnn_tanh", "rnn_relu"):
    _recurrent_row(_name)
