"""The networks on sequences in Keras's vocabulary, which Ranvier and Keras have in common."""

from __future__ import annotations

from typing import Any

from benchmarks.sequence import (
    EPSILON,
    RATE,
    Bands,
    Block,
    Conv,
    Convs,
    Dense,
    Embed,
    GlobalPool,
    Mean,
    Norm,
    Positions,
    Project,
    Recurrent,
    Sequence,
    Step,
    taken,
)  # fmt: skip
from benchmarks.workload import Workload

LAYERS = {"lstm": "LSTM", "gru": "GRU", "rnn": "SimpleRNN"}


def _vectors(layers: Any) -> Any:
    """A layer of Keras that adds a trained vector at each step."""

    class Vectors(layers.Layer):  # type: ignore[misc]  # Keras has no types
        def build(self, shape: Any) -> None:
            self.vectors = self.add_weight(shape=tuple(shape[1:]), name="vectors")

        def call(self, x: Any) -> Any:
            return x + self.vectors

    return Vectors()


class _Network:
    """Builds parts with the layers of `library`, Ranvier or Keras, and keeps those with weights in their order."""

    def __init__(self, library: Any) -> None:
        self.library, self.made = library, []  # type: Any, list[Any]

    def apply(self, layer: Any, *x: Any, **options: Any) -> Any:
        self.made.append(layer)
        return layer(*x, **options)

    def part(self, step: Step, x: Any) -> Any:
        layers = self.library.layers
        match step.part:
            case Embed(vocabulary, width, masked):
                return self.apply(layers.Embedding(vocabulary, width, mask_zero=masked), x)
            case Project(width) | Dense(width):
                return self.apply(layers.Dense(width), x)
            case Positions():
                if hasattr(layers, "PositionEmbedding"):  # Keras has none
                    return x + self.apply(layers.PositionEmbedding(step.given[0]), x)
                return self.apply(_vectors(layers), x)
            case Recurrent(kind, units, every, both):
                layer = getattr(layers, LAYERS[kind])(units, return_sequences=every)
                return self.apply(layers.Bidirectional(layer) if both else layer, x)
            case Block() as block:
                return self.block(block, x)
            case Norm():
                return self.norm(x)
            case Mean():
                return layers.GlobalAveragePooling1D()(x)
            case Convs(sizes, filters):
                found = [self.apply(layers.Conv1D(filters, n, activation="relu"), x) for n in sizes]
                return layers.Concatenate()([layers.GlobalMaxPooling1D()(y) for y in found])
            case Bands(size, apart, bands, least):
                spectrum = layers.MelSpectrogram(
                    size, apart, None, "hann", RATE, bands, least, top_db=None, min_power=1e-6, mel_scale="htk"
                )
                return layers.Reshape(step.made)(spectrum(x))
            case Conv(filters):
                return layers.MaxPooling2D()(
                    self.apply(layers.Conv2D(filters, 3, padding="same", activation="relu"), x)
                )
            case GlobalPool():
                return layers.GlobalAveragePooling2D()(x)
        raise TypeError(f"this contestant has no row for {step.part}")

    def norm(self, x: Any) -> Any:
        return self.apply(self.library.layers.LayerNormalization(epsilon=EPSILON), x)

    def block(self, block: Block, x: Any) -> Any:
        layers, width = self.library.layers, x.shape[-1]
        y = self.norm(x)
        attention = layers.MultiHeadAttention(block.heads, width // block.heads)
        x = layers.Add()([x, self.apply(attention, y, y, use_causal_mask=block.causal)])
        y = self.apply(layers.Dense(block.hidden, activation="gelu" if block.gelu else "relu"), self.norm(x))
        return layers.Add()([x, self.apply(layers.Dense(width), y)])


def build(sequence: Sequence, library: Any, *, trained: bool = False, prefixes: bool = False) -> Any:
    """The network with its weights; its outputs are logits. With `prefixes` it takes sequences of fewer steps too."""
    shape = (None, *sequence.shape[1:]) if prefixes else sequence.shape
    inputs = library.layers.Input(shape, dtype="int32" if sequence.vocabulary else "float32")
    network, x = _Network(library), inputs
    for step in sequence.steps():
        x = network.part(step, x)
    model = library.models.Model(inputs, x)
    values = [weight for _, weights in taken(sequence, trained=trained) for weight in weights]
    for layer in network.made:
        count = len(layer.weights)
        layer.set_weights(values[:count])
        del values[:count]
    assert not values
    return model


def compiled(workload: Workload, sequence: Sequence, library: Any, optimizer: Any, **options: Any) -> Any:
    """The network with its initial weights, its optimizer and its loss."""
    model = build(sequence, library)
    loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer, loss=loss, metrics=list(workload.metrics), **options)
    return model
