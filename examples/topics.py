"""Train a network on the news of Reuters R8, in eight topics, and test it: python examples/topics.py 1."""

import sys

import ranvier as rv
from ranvier import layers

EPOCHS, BATCH = 8, 64


def main(seed: int = 0) -> float:
    rv.set_seed(seed)
    (x, y), test = rv.datasets.load_reuters_r8()
    vectorize = layers.TextVectorization(20_000, ngrams=2, output_mode="tf_idf")
    vectorize.adapt(x)
    model = rv.Sequential([
        vectorize,
        layers.UnitNormalization(),  # long and short news alike
        layers.Rescaling(10),
        layers.Dropout(0.3),
        layers.Dense(256, activation="relu"),
        layers.Dropout(0.5),
        layers.Dense(8, activation="softmax"),
    ])  # fmt: skip
    rate = rv.optimizers.schedules.CosineDecay(2e-3, EPOCHS * -(-len(x) // BATCH))
    model.compile(rv.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=2, ignore=("RV306",))  # topics are of unequal sizes
    accuracy = float(model.evaluate(*test, verbose=0)[1])
    print(f"seed {seed}: {accuracy:.2%} of the test news")
    return accuracy


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
