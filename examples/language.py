"""Train a network to tell the language of 40 characters, one of ten, and test it: python examples/language.py 1."""

import sys
from typing import Any

import numpy as np

import ranvier as rv
from ranvier import layers

LENGTH, MOST, EPOCHS = 40, 8_000, 8  # characters of a phrase, training phrases of a language


def phrases(entries: Any, labels: Any, known: Any = ()) -> tuple[Any, Any]:
    """The entries in pieces, each once and none that is known, shuffled, with the numbers of their languages."""
    found = {e[i : i + LENGTH]: y for e, y in zip(entries, labels, strict=True) for i in range(0, len(e), LENGTH)}
    texts = sorted(text for text in found.keys() - set(known) if len(text) == LENGTH)
    order = np.random.default_rng(0).permutation(texts)
    return order, np.array([found[text] for text in order])


def main(seed: int = 0) -> float:
    rv.set_seed(seed)
    train, test = rv.datasets.load_fortunes()
    x, y = phrases(*train)
    kept = np.concatenate([np.flatnonzero(y == language)[:MOST] for language in range(10)])
    vectorize = layers.TextVectorization(20_000, standardize=np.char.lower, split="character", ngrams=4)
    vectorize.adapt(x[kept])
    mean = [layers.Embedding(vectorize.vocabulary_size(), 16), layers.GlobalAveragePooling1D()]
    model = rv.Sequential([vectorize, *mean, layers.Dense(10, activation="softmax")])
    rate = rv.optimizers.schedules.CosineDecay(5e-3, EPOCHS * -(-len(kept) // 128))
    model.compile(rv.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x[kept], y[kept], batch_size=128, epochs=EPOCHS, verbose=2)
    accuracy = float(model.evaluate(*phrases(*test, known=x), verbose=0)[1])
    print(f"seed {seed}: {accuracy:.2%} of the test phrases")
    return accuracy


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
