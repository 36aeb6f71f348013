"""Networks of speech: from the samples of a recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranvier import layers
from ranvier.layers.annotations import ActivationLike
from ranvier.layers.base import whole
from ranvier.module import Sequential


def speech_classifier(
    samples: int | None,
    classes: int,
    sampling_rate: int = 16000,
    filters: Sequence[int] = (32, 64, 128),
    bands: int = 40,
    augment: bool = True,
    dropout: float = 0.3,
    activation: ActivationLike = "softmax",
    momentum: float = 0.99,
) -> Sequential:
    """A convolutional network on the log-mel spectrogram of signals (samples,), from -1 to 1; None is of any length.

    Frames of 32 ms begin 10 ms apart; ``bands`` reach from 60 Hz to half of ``sampling_rate``. Each spectrogram's bands
    are normalized over the batches of training, masked while training (SpecAugment; Park et al., 2019) unless
    ``augment=False``, and go through ``filters`` of 3x3 with batch normalization, each pooled by 2. The mean over time,
    for each part of the bands, is classified. ``momentum`` is that of the batch normalizations: of few recordings an
    epoch has few steps, and 0.9 follows them.
    """
    whole(classes, "classes", "speech_classifier", 2)
    rate = whole(sampling_rate, "sampling_rate", "speech_classifier", 1000)
    size = 1 << round(rate * 0.032).bit_length() - 1
    parts: list[Any] = [
        layers.Input((samples,)),
        layers.MelSpectrogram(
            size, rate // 100, None, "hann", rate, bands, 60.0, top_db=None, min_power=1e-6, mel_scale="htk"
        ),
        layers.BatchNormalization(1, momentum, scale=False, center=False),
        *([layers.SpecAugment(fill_value=0.0)] if augment else []),
        layers.Reshape((bands, -1, 1)),
    ]
    height = bands
    for number in filters:
        parts += [
            layers.Conv2D(number, 3, padding="same", use_bias=False, kernel_initializer="he_normal"),
            layers.BatchNormalization(momentum=momentum),
            layers.ReLU(),
            layers.MaxPooling2D(padding="same"),
        ]
        height = -(-height // 2)
    parts += [layers.AdaptiveAveragePooling2D((height, 1)), layers.Flatten(), layers.Dropout(dropout)]
    parts.append(layers.Dense(classes, activation=activation))
    return Sequential(parts, name="speech_classifier")
