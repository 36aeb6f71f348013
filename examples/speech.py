"""Tell five voices apart by one second of speech, and test it on phrases that no voice said in training.

    python examples/speech.py --seed 1

Samples stay integers in memory. The spectrogram, and the masks that vary it while training, are layers of the network.
The test phrases are evaluated once, after the last epoch. They do not choose an epoch.
"""

import argparse

import ranvier as rv
from ranvier.datasets import voices

SECOND = voices.sampling_rate


def main(words: list[str] | None = None) -> float:
    """Train, and return the share of test windows whose voice was told."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(words)
    (phrases, y), (phrases_test, y_test) = voices.load_data()
    train, test = rv.data.windows_of(phrases, SECOND, SECOND // 2), rv.data.windows_of(phrases_test, SECOND)

    rv.set_seed(options.seed)
    network = rv.models.speech_classifier(SECOND, len(voices.classes), sampling_rate=SECOND, filters=(16, 32, 64))
    model = rv.Sequential([rv.Input((SECOND,)), rv.layers.Rescaling(1 / 2**15), network])
    steps = options.epochs * -(-len(train.x) // 64)
    rate = rv.optimizers.schedules.OneCycle(4e-3, steps)
    model.compile(rv.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train.x, y[train.source], batch_size=64, epochs=options.epochs, verbose=2)
    accuracy = float(model.evaluate(test.x, y_test[test.source], verbose=0)[1])
    print(f"seed {options.seed}: {accuracy:.2%} of {len(test.x):,} seconds of other phrases")
    return accuracy


if __name__ == "__main__":
    main()
