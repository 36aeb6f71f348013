"""The Transformer of Vaswani et al., 2017, its encoder and decoder, and their layers, as PyTorch has them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ranvier.module import Module, register_module
from ranvier.ops.torch.device import Device, check_device
from ranvier.ops.torch.dtypes import dtype_name
from ranvier.tensor.context import get_dtype
from ranvier.tensor.tensor import Tensor
from ranvier.torch.nn import functional as F
from ranvier.torch.nn import init
from ranvier.torch.nn.attention import MultiheadAttention
from ranvier.torch.nn.containers import ModuleList
from ranvier.torch.nn.layers import Dropout, Linear
from ranvier.torch.nn.normalization import LayerNorm

Activation = str | Callable[[Any], Any]


def _activation(activation: Activation) -> Callable[[Any], Any]:
    known: dict[Any, Callable[[Any], Any]] = {"relu": F.relu, "gelu": F.gelu}
    found = known.get(activation) if isinstance(activation, str) else activation
    if found is None:
        raise RuntimeError(f"activation={activation!r}. Write 'relu', 'gelu' or a function of one tensor instead.")
    return found


class _Layer(Module):
    """What layers of the encoder and of the decoder share: `MultiheadAttention`, two linear layers, normalizations."""

    _norms: int  # normalizations, each with a dropout

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Device = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        attentions = ("self_attn", "multihead_attn")[: self._norms - 1]
        for name in attentions:
            attention = MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, device=device, dtype=dtype
            )
            setattr(self, name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias, device, dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, device, dtype)
        self.norm_first = norm_first
        for i in range(1, self._norms + 1):
            setattr(self, f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype))
        for i in range(1, self._norms + 1):
            setattr(self, f"dropout{i}", Dropout(dropout))
        self.activation = _activation(activation)

    def _joined(self, x: Any, *blocks: Callable[[Any], Any]) -> Any:
        """``x`` with what each block makes of it added, normalized before the block or after the sum."""
        for i, block in enumerate(blocks, 1):
            norm, dropout = getattr(self, f"norm{i}"), getattr(self, f"dropout{i}")
            x = x + dropout(block(norm(x))) if self.norm_first else norm(x + dropout(block(x)))
        return x

    def _feed_forward(self, x: Any) -> Any:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

    def _attend(self, attention: MultiheadAttention, mask: Any, padding: Any, is_causal: bool | None) -> Any:
        """Attention to a memory, or to the queries themselves."""

        def block(x: Any, memory: Any = None) -> Any:
            memory = x if memory is None else memory
            return attention(
                x, memory, memory, key_padding_mask=padding, need_weights=False, attn_mask=mask,
                is_causal=bool(is_causal),
            )[0]  # fmt: skip

        return block


@register_module(name="torch.TransformerEncoderLayer")
class TransformerEncoderLayer(_Layer):
    """Attention of a sequence to itself, then two linear layers with ``activation`` between, each added to its input.

    (S, N, d_model) -> (S, N, d_model); with ``batch_first`` (N, S, d_model). ``norm_first`` normalizes the input of
    each part, otherwise each sum is normalized. ``activation`` is "relu", "gelu" or a function. Masks are those of
    `MultiheadAttention`. (Vaswani et al., 2017.)
    """

    _norms = 2

    def forward(self, src: Any, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False) -> Any:
        attend = self._attend(self.self_attn, src_mask, src_key_padding_mask, is_causal)
        return self._joined(src, attend, self._feed_forward)


@register_module(name="torch.TransformerDecoderLayer")
class TransformerDecoderLayer(_Layer):
    """`TransformerEncoderLayer` with attention to a memory, the result of an encoder, between its parts."""

    _norms = 3

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        attend = self._attend(self.self_attn, tgt_mask, tgt_key_padding_mask, tgt_is_causal)
        look_up = self._attend(self.multihead_attn, memory_mask, memory_key_padding_mask, memory_is_causal)
        return self._joined(tgt, attend, lambda x: look_up(x, memory), self._feed_forward)


class _Stack(Module):
    """Copies of a layer one after the other, and a normalization of the last one's result."""

    def _repeat(self, layer: Module, num_layers: int, norm: Module | None) -> None:
        self.layers = ModuleList([copy.deepcopy(layer) for _ in range(num_layers)])
        self.num_layers, self.norm = num_layers, norm

    def _through(self, x: Any, *args: Any, **options: Any) -> Any:
        for layer in self.layers:
            x = layer(x, *args, **options)
        return x if self.norm is None else self.norm(x)


@register_module(name="torch.TransformerEncoder")
class TransformerEncoder(_Stack):
    """``num_layers`` copies of a layer, which start with its weights, and then ``norm``.

    ``enable_nested_tensor`` and ``mask_check`` change nothing.
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self._repeat(encoder_layer, num_layers, norm)

    def forward(
        self, src: Any, mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool | None = None
    ) -> Any:
        return self._through(src, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=is_causal)


@register_module(name="torch.TransformerDecoder")
class TransformerDecoder(_Stack):
    """``num_layers`` copies of a layer, which start with its weights, and then ``norm``."""

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self._repeat(decoder_layer, num_layers, norm)

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        return self._through(
            tgt, memory, tgt_mask=tgt_mask, memory_mask=memory_mask, tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask, tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )  # fmt: skip


@register_module(name="torch.Transformer")
class Transformer(Module):
    """An encoder of ``src`` (S, N, d_model), and a decoder of ``tgt`` (T, N, d_model) that attends to its result.

    The result is (T, N, d_model); with ``batch_first`` the batch N comes first. Weights of two or more dimensions start
    uniform as Xavier's. (Vaswani et al., 2017.)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Device = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()

        def stack(kind: type[_Layer], stacked: Callable[..., Module], layers: int) -> Module:
            layer = kind(
                d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias,
                device, dtype,
            )  # fmt: skip
            return stacked(layer, layers, LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype))

        self.encoder = custom_encoder or stack(TransformerEncoderLayer, TransformerEncoder, num_encoder_layers)
        self.decoder = custom_decoder or stack(TransformerDecoderLayer, TransformerDecoder, num_decoder_layers)
        self._reset_parameters()
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def _reset_parameters(self) -> None:
        """Draw new initial values of the weights of two or more dimensions."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    @staticmethod
    def generate_square_subsequent_mask(size: int, device: Device = None, dtype: DTypeLike | None = None) -> Tensor:
        """A mask to add to scores: minus infinity above the diagonal, where a key is behind its query, else 0."""
        check_device(device)
        return Tensor(np.triu(np.full((size, size), -math.inf), 1), dtype=dtype_name(dtype) or get_dtype())

    def forward(
        self,
        src: Any,
        tgt: Any,
        src_mask: Any = None,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        src_key_padding_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        batch = 0 if self.batch_first else 1
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise RuntimeError(
                f"src has {src.shape[-1]} features and tgt {tgt.shape[-1]}. Write both with d_model={self.d_model}."
            )
        if src.ndim == 3 and src.shape[batch] != tgt.shape[batch]:
            raise RuntimeError(
                f"src has {src.shape[batch]} sequences in dimension {batch} and tgt {tgt.shape[batch]}. Write equally "
                "many."
            )
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(
            tgt, memory, tgt_mask=tgt_mask, memory_mask=memory_mask, tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask, tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )  # fmt: skip
