"""Train an LSTM that reads the digits of MNIST row by row, and test it: python examples/rows.py 1."""

import sys

import ranvier as rv
from ranvier import layers

EPOCHS, BATCH = 6, 64


def main(seed: int = 0) -> float:
    rv.set_seed(seed)
    (x, y), test = rv.datasets.load_mnist()
    model = rv.Sequential([
        rv.Input((28, 28)),  # 28 steps of 28 pixels
        layers.Rescaling(1 / 255),
        layers.LSTM(128),
        layers.Dropout(0.2),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    rate = rv.optimizers.schedules.CosineDecay(4e-3, EPOCHS * -(-len(x) // BATCH))
    model.compile(rv.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=2)
    accuracy = float(model.evaluate(*test, verbose=0)[1])
    print(f"seed {seed}: {accuracy:.2%} of the test images")
    return accuracy


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
