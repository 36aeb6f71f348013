"""Train a network to write English fortunes, and test it: python examples/fortunes.py 1. Many would offend somebody."""

import gzip
import sys
from typing import Any

import numpy as np

import ranvier as rv

LENGTH, EPOCHS, BATCH = 128, 4, 32


def main(seed: int = 0, written: int = 0) -> dict[str, float]:
    rv.set_seed(seed)
    train, test = ("\n".join(entries) for entries, _ in rv.datasets.load_fortunes(("en",)))
    letters = rv.layers.TextVectorization(standardize=None, split="character", vocabulary=sorted(set(train)))
    c, c_test = (letters.encode([text])[0] for text in (train, test))
    x, y, u, v = (c[i:][: (len(c) - 1) // LENGTH * LENGTH].reshape(-1, LENGTH) for c in (c, c_test) for i in (0, 1))
    model = rv.models.char_lm(letters.vocabulary_size())
    rate = rv.optimizers.schedules.CosineDecay(6e-3, EPOCHS * -(-len(x) // BATCH))
    model.compile(rv.optimizers.Adam(rate), rv.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=2)
    bits = {"network": float(model.evaluate(u, v, verbose=0) / np.log(2))}
    p: Any = 1 / letters.vocabulary_size()  # and then counts, mixed with p after fewer letters (Witten and Bell, 1991)
    for n, sizes in enumerate([(letters.vocabulary_size(),) * n for n in (1, 2, 3)], 1):
        known, asked = ([c[i : len(c) - n + 1 + i] for i in range(n)] for c in (c, c_test))
        counts = np.bincount(np.ravel_multi_index(known, sizes), minlength=np.prod(sizes)).reshape(sizes)
        kinds = np.maximum((counts > 0).sum(-1, keepdims=True), 1)
        p = (counts + kinds * p) / (counts.sum(-1, keepdims=True) + kinds)
    bits["3-gram"] = float(-np.log2(p[tuple(asked)]).mean())
    bits["gzip"] = 8 * len(gzip.compress(test.encode())) / len(test)
    print(f"seed {seed}: " + ", ".join(f"{name} {value:.3f}" for name, value in bits.items()) + " bits a letter")
    if written:
        print("".join(letters.get_vocabulary()[i] for i in rv.models.generate(model, c[:1], written, seed=seed)))
    return bits


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
