"""Train a convolutional network on the handwritten digits of MNIST or the clothes of Fashion-MNIST, and test it.

    python examples/images.py mnist
    python examples/images.py fashion_mnist --epochs 20 --seed 1

Pixels stay bytes in memory. Scaling and augmentation are layers, which are compiled into the training step.
The test images are evaluated once, after the last epoch. They do not choose an epoch.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ranvier as rv

SHAPE, CLASSES = (28, 28, 1), 10


def digits_network() -> Any:
    """A small CNN with 32 and 64 filters of 3x3, without augmentation."""
    layers = [rv.Input(SHAPE), rv.layers.Rescaling(1 / 255), rv.models.cnn(SHAPE, CLASSES)]
    return rv.Sequential(layers)


def clothes_network() -> Any:
    """A CNN with batch normalization; images are mirrored at random, because a mirrored shirt is still a shirt."""
    layers = [
        rv.Input(SHAPE),
        rv.layers.Rescaling(1 / 255),
        rv.layers.RandomFlip("horizontal"),
        rv.models.vgg_small(SHAPE, CLASSES, blocks=((32,), (64,), (128,)), dropout=0.3),
    ]
    return rv.Sequential(layers)


@dataclass(frozen=True)
class Recipe:
    """A data set, its network, and the settings of training."""

    data: Any
    network: Callable[[], Any]
    epochs: int
    rate: float  # the maximum of the cycle
    batch_size: int = 128


RECIPES = {
    "mnist": Recipe(rv.datasets.mnist, digits_network, epochs=8, rate=6e-3),
    "fashion_mnist": Recipe(rv.datasets.fashion_mnist, clothes_network, epochs=12, rate=6e-3),
}


def main(words: Sequence[str] | None = None) -> float:
    """Train, print the test accuracy and the seconds, and return the accuracy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=RECIPES)
    parser.add_argument("--epochs", type=int, help="passes over the training images")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same bits")
    options = parser.parse_args(words)

    recipe = RECIPES[options.data]
    (x, y), (x_test, y_test) = recipe.data.load_data()
    x, x_test = x[..., None], x_test[..., None]  # add the channel axis
    epochs = options.epochs or recipe.epochs

    rv.set_seed(options.seed)
    model = recipe.network()
    steps = epochs * -(-len(x) // recipe.batch_size)
    rate = rv.optimizers.schedules.OneCycle(recipe.rate, steps)
    model.compile(rv.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])

    start = time.perf_counter()
    model.fit(x, y, batch_size=recipe.batch_size, epochs=epochs, verbose=2)
    seconds = time.perf_counter() - start
    accuracy = float(model.evaluate(x_test, y_test, verbose=0)[1])
    print(f"{options.data}, seed {options.seed}: {accuracy:.2%} of the test images, {seconds:.1f} s")
    return accuracy


if __name__ == "__main__":
    main()
