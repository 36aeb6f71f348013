"""Rows of `test_layers` for recurrent layers: the same by NumPy, step by step."""

from typing import Any

import numpy as np

from ranvier import layers

SERIES = np.random.default_rng(3).normal(size=(2, 3, 4)).astype(np.float32)
FRAMES = np.random.default_rng(4).normal(size=(2, 3, 4, 3, 2)).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def simple(w, x, states):
    h = np.tanh(x @ w[0] + states[0] @ w[1] + w[2])
    return [h]


def lstm(w, x, states):
    i, f, g, o = np.split(x @ w[0] + states[0] @ w[1] + w[2], 4, -1)
    c = sigmoid(f) * states[1] + sigmoid(i) * np.tanh(g)
    return [sigmoid(o) * np.tanh(c), c]


def gru(w, x, states):
    (h,) = states
    x_z, x_r, x_c = np.split(x @ w[0] + w[2][0], 3, -1)
    h_z, h_r, h_c = np.split(h @ w[1] + w[2][1], 3, -1)
    z = sigmoid(x_z + h_z)
    return [z * h + (1 - z) * np.tanh(x_c + sigmoid(x_r + h_r) * h_c)]


def gru_before(w, x, states):
    (h,), n = states, w[1].shape[0]
    x_z, x_r, x_c = np.split(x @ w[0] + w[2], 3, -1)
    z, r = sigmoid(x_z + h @ w[1][:, :n]), sigmoid(x_r + h @ w[1][:, n : 2 * n])
    return [z * h + (1 - z) * np.tanh(x_c + (r * h) @ w[1][:, 2 * n :])]


def moved(x, kernel):
    """The convolution of images with a kernel that keeps their size."""
    n, m = kernel.shape[:2]
    wide = np.pad(x, ((0, 0), ((n - 1) // 2, n // 2), ((m - 1) // 2, m // 2), (0, 0)))
    places = [(i, j) for i in range(n) for j in range(m)]
    return sum(wide[:, i : i + x.shape[1], j : j + x.shape[2]] @ kernel[i, j] for i, j in places)


def conv_lstm(w, x, states):
    i, f, g, o = np.split(moved(x, w[0]) + moved(states[0], w[1]) + w[2], 4, -1)
    c = sigmoid(f) * states[1] + sigmoid(i) * np.tanh(g)
    return [sigmoid(o) * np.tanh(c), c]


def outputs(step, weights, x, states, backwards=False):
    """The output of each step, in the order in which they are computed."""
    found = []
    for t in reversed(range(x.shape[1])) if backwards else range(x.shape[1]):
        states = step(weights, x[:, t], states)
        found.append(states[0])
    return np.stack(found, 1)


def unrolled(step, count, last=True, inner=(3,)):
    """What a layer of ``count`` states gives, by the formula of a step."""

    def value(layer, x):
        zero = np.zeros((len(x), *inner))
        y = outputs(step, layer.get_weights(), x, [zero] * count, getattr(layer, "go_backwards", False))
        return y[:, -1] if last else y

    return value


def both_ways(layer, x):
    w, zero = layer.get_weights(), np.zeros((len(x), 3))
    ahead, back = outputs(gru_before, w[:3], x, [zero]), outputs(gru_before, w[3:], x, [zero], True)
    return np.concatenate([ahead, back[:, ::-1]], -1)


def stacked(layer, x):
    w = layer.get_weights()
    below = outputs(lstm, w[:3], x, [np.zeros((len(x), 3))] * 2)
    return outputs(simple, w[3:], below, [np.zeros((len(x), 2))])[:, -1]


ROWS: dict[str, Any] = {
    "simple rnn": (lambda: layers.SimpleRNN(3, go_backwards=True), SERIES, unrolled(simple, 1)),
    "lstm": (lambda: layers.LSTM(3, return_sequences=True), SERIES, unrolled(lstm, 2, last=False)),
    "gru": (lambda: layers.GRU(3, bias_initializer="uniform"), SERIES, unrolled(gru, 1)),
    "bidirectional": (
        lambda: layers.Bidirectional(layers.GRU(3, reset_after=False, return_sequences=True)), SERIES, both_ways,
    ),
    "rnn of stacked cells": (
        lambda: layers.RNN(layers.StackedRNNCells([layers.LSTMCell(3), layers.SimpleRNNCell(2)])), SERIES, stacked,
    ),
    "conv lstm": (
        lambda: layers.ConvLSTM2D(3, (2, 3), padding="same"), FRAMES, unrolled(conv_lstm, 2, inner=(4, 3, 3)),
    ),
}  # fmt: skip
