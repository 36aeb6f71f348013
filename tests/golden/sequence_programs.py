"""Loops over time, attention, embeddings and spectra. See programs.py."""

from typing import Any

import numpy as np

import ranvier as rv
import ranvier.torch as torch
from ranvier import layers
from ranvier.torch import nn
from tests.golden.programs import Result, fit, labels, numbers, program

STEPS = 9
SERIES, KINDS = numbers(40, STEPS, 6, seed=21), labels(40, seed=22)
TOKENS = np.where(np.arange(STEPS) < 3 + np.arange(40)[:, None] % 7, labels(40 * STEPS, 20).reshape(40, -1) + 1, 0)


def classified(*hidden: Any, shape: tuple[int, ...] = (STEPS, 6), dtype: str = "float32") -> Any:
    """A model of sequences that ends in three classes."""
    return rv.Sequential([rv.Input(shape, dtype=dtype), *hidden, layers.Dense(3, activation="softmax")])


@program
def lstm() -> Result:
    return fit(classified(layers.LSTM(36)), SERIES, KINDS, batch_size=37)


@program
def gru_with_both_kinds_of_reset() -> Result:
    inner = layers.GRU(8, return_sequences=True, reset_after=False)
    return fit(classified(inner, layers.GRU(20, go_backwards=True)), SERIES, KINDS)


@program
def bidirectional_with_masks_and_dropout() -> Result:
    words = layers.Embedding(21, 8, mask_zero=True)
    both = layers.Bidirectional(layers.LSTM(8, return_sequences=True, dropout=0.2, recurrent_dropout=0.1))
    last = layers.Bidirectional(layers.SimpleRNN(7), merge_mode="sum")
    return fit(classified(words, both, last, shape=(STEPS,), dtype="int32"), TOKENS, KINDS)


@program
def stacked_cells() -> Result:
    cells = layers.StackedRNNCells([layers.LSTMCell(6), layers.GRUCell(5)])
    return fit(classified(layers.RNN(cells)), SERIES, KINDS)


@program
def conv_lstm() -> Result:
    frames = layers.ConvLSTM2D(4, 3, padding="same")
    images = numbers(20, 4, 6, 6, 2, seed=23)
    return fit(classified(frames, layers.Flatten(), shape=(4, 6, 6, 2)), images, KINDS[:20])


@program
def attention_with_masks() -> Result:
    tokens = rv.Input((STEPS,), dtype="int32")
    x = layers.Embedding(21, 8, mask_zero=True)(tokens)
    y = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4, dropout=0.1)(x, x, use_causal_mask=True))
    pooled = layers.GlobalAveragePooling1D()(y + layers.Dense(8, activation="relu")(y))
    return fit(rv.Model(tokens, layers.Dense(3, activation="softmax")(pooled)), TOKENS, KINDS)


@program
def log_mel_spectrum() -> Result:
    spectrum = layers.MelSpectrogram(fft_length=64, sequence_stride=32, num_mel_bins=12, sampling_rate=800)
    body = (layers.Reshape((12, -1)), layers.Conv1D(6, 3, activation="relu"), layers.GlobalAveragePooling1D())
    return fit(classified(spectrum, *body, shape=(400,)), numbers(40, 400, seed=24), KINDS)


def _stepped(net: Any, parameters: Any) -> Result:
    """Steps of an explicit loop."""
    optimizer, losses = torch.optim.Adam(parameters, lr=0.01), []
    for start in (0, 16, 0, 24):
        x, y = torch.tensor(SERIES[start : start + 16]), torch.tensor(KINDS[start : start + 16])
        loss = nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, [p.detach().numpy() for p in parameters]


@program
def torch_lstm_in_two_directions() -> Result:
    recurrent = nn.LSTM(6, 10, num_layers=2, bidirectional=True, batch_first=True)
    last = nn.Linear(20, 3)
    return _stepped(lambda x: last(recurrent(x)[0][:, -1]), [*recurrent.parameters(), *last.parameters()])


@program
def torch_loop_over_time() -> Result:
    cell, last = nn.GRUCell(6, 10), nn.Linear(10, 3)

    def net(x: Any) -> Any:
        h = torch.zeros(x.shape[0], 10)
        for t in range(STEPS):
            h = cell(x[:, t], h)
        return last(h)

    return _stepped(net, [*cell.parameters(), *last.parameters()])


@program
def torch_transformer() -> Result:
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 16, dropout=0.1, batch_first=True), 2)
    last = nn.Linear(6, 3)
    return _stepped(lambda x: last(encoder(x).mean(1)), [*encoder.parameters(), *last.parameters()])
