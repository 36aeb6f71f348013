"""The data of every workload, written once as .npy files that all contestants load."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.images import IMAGES
from benchmarks.sequence import RATE, Sequence
from benchmarks.workload import Workload

Floats = NDArray[np.float32]
LARGEST = 1 << 27  # bytes of a file of `IMAGES` images; of larger images it has as many as a workload takes
FILLED = 10_000  # rows of a sparse file
TESTED = 10_000  # images of MNIST and of Fashion-MNIST


def _fashion_mnist() -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """The training set of Fashion-MNIST from ranvier's loader; None where it is unavailable."""
    from ranvier.datasets import DatasetUnavailable, load_fashion_mnist

    try:
        return load_fashion_mnist()[0]
    except DatasetUnavailable:
        return None


def _random_images(rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Ten prototypes with noise, with half of the pixels zero as in Fashion-MNIST, so that a network can learn them."""
    labels = rng.integers(0, 10, 60_000, dtype=np.uint8)
    prototypes = rng.normal(0, 60, (10, 784)).astype(np.float32)
    noise = rng.normal(0, 100, (60_000, 784)).astype(np.float32)
    images = np.clip(prototypes[labels] + noise, 0, 255).astype(np.uint8)
    return images.reshape(-1, 28, 28), labels


def _images(folder: Path) -> tuple[Path, Path, str]:
    """The files of the 60,000 images as float32 (60000, 784) in 0..1 and int32 labels, and their source."""
    x, y, note = folder / "images-x.npy", folder / "images-y.npy", folder / "images.txt"
    if not note.exists():
        source, loaded = "Fashion-MNIST", _fashion_mnist()
        if loaded is None:
            source, loaded = ("random images of Fashion-MNIST's shape", _random_images(np.random.default_rng(3)))
        np.save(x, loaded[0].reshape(-1, 784).astype(np.float32) / np.float32(255))
        np.save(y, loaded[1].astype(np.int32))
        note.write_text(source)
    return x, y, note.read_text()


def _teacher(workload: Workload, folder: Path) -> tuple[Path, Path, str]:
    """Normal inputs and the outputs of a random two-layer network, which can be learned."""
    shape = "-".join(map(str, (workload.samples, workload.layers[0], workload.layers[-1])))
    x_path, y_path = (folder / f"teacher-{workload.loss}-{shape}-{part}.npy" for part in "xy")
    if not y_path.exists():
        rng = np.random.default_rng(5)
        inputs, outputs = workload.layers[0], workload.layers[-1]
        x = rng.standard_normal((workload.samples, inputs)).astype(np.float32)
        hidden = np.tanh(x @ rng.standard_normal((inputs, 24)) / np.sqrt(inputs) * 1.5)
        answers = np.tanh(hidden @ rng.standard_normal((24, outputs)) / 3)
        if workload.loss == "sparse_categorical_crossentropy":
            y: NDArray[np.generic] = answers.argmax(axis=1).astype(np.int32)
        elif workload.loss == "binary_crossentropy":
            y = (answers > 0).astype(np.float32)
        else:
            y = answers.astype(np.float32)
        np.save(x_path, x)
        np.save(y_path, y)
    return x_path, y_path, "random inputs, answers of a random network"


def _digits(folder: Path) -> tuple[Path, Path, str]:
    """The training part of the 8x8 digits as float32 (1437, 64) in 0..1 and int32 labels."""
    from ranvier.datasets import load_digits

    x_path, y_path = folder / "digits-x.npy", folder / "digits-y.npy"
    if not y_path.exists():
        (x, y), _ = load_digits()
        np.save(x_path, x.reshape(-1, 64).astype(np.float32) / np.float32(16))
        np.save(y_path, y.astype(np.int32))
    return x_path, y_path, "digits"


def _letters(folder: Path) -> tuple[Path, Path, str]:
    """All of LetterRecognition as float32 (20000, 16) in 0..1 and int32 labels."""
    from ranvier.datasets import load_letter_recognition

    x_path, y_path = folder / "letters-x.npy", folder / "letters-y.npy"
    if not y_path.exists():
        (x, y), (x_test, y_test) = load_letter_recognition()
        np.save(x_path, np.concatenate([x, x_test]) / np.float32(15))
        np.save(y_path, np.concatenate([y, y_test]).astype(np.int32))
    return x_path, y_path, "LetterRecognition"


def _pictures(shape: tuple[int, ...], samples: int, folder: Path) -> tuple[Path, Path, str]:
    """Float32 images (samples, *shape) in 0..1 and int32 labels: the first of `_images`, or random ones in colour."""
    name = "x".join(map(str, (samples, *shape)))
    x_path, y_path = folder / f"pictures-{name}-x.npy", folder / f"pictures-{name}-y.npy"
    source = "random images in colour"
    if shape == (28, 28, 1):
        x_all, y_all, source = _images(folder)
    if y_path.exists():
        return x_path, y_path, source
    if shape == (28, 28, 1):
        x = np.load(x_all, mmap_mode="r")[:samples].reshape(samples, *shape)
        y = np.load(y_all)[:samples]
    else:
        rng = np.random.default_rng(9)
        height, width, channels = shape
        coarse = rng.normal(0, 0.1, (10, -(-height // 4), -(-width // 4), channels))
        coarse += rng.normal(0, 0.15, (10, 1, 1, channels))  # each class has its patches and its colour
        y = rng.integers(0, 10, samples, dtype=np.int32)
        x = rng.standard_normal((samples, *shape), np.float32)
        x *= np.float32(0.2)
        x += (0.5 + coarse.repeat(4, axis=1).repeat(4, axis=2)[:, :height, :width]).astype(np.float32)[y]
        np.clip(x, 0, 1, out=x)
    np.save(x_path, x)
    np.save(y_path, y)
    return x_path, y_path, source


def _sequences(name: str, network: Sequence, samples: int, folder: Path) -> tuple[Path, Path, str]:
    """Rows of the images of `_images`, or random samples (samples, *shape) that can be learned; int32 answers."""
    x_path, y_path = (folder / f"sequences-{name}-{samples}-{part}.npy" for part in "xy")
    rows, rng = network.shape == (28, 28), np.random.default_rng(17)
    source = _images(folder)[2] if rows else "random " + ("tokens" if network.vocabulary else "numbers")
    if y_path.exists():
        return x_path, y_path, source
    *steps, classes = network.answers
    y = rng.integers(0, classes, samples, dtype=np.int32)
    if rows:
        x_all, y_all, _ = _images(folder)
        x, y = np.load(x_all)[:samples].reshape(samples, *network.shape), np.load(y_all)[:samples]
    elif steps and network.vocabulary:
        x, y = _characters(rng, samples, steps[0], classes)
    elif network.vocabulary:
        x = _tokens(rng, y, network)
    elif network.shape == (RATE,):  # each class has its frequency
        turns = np.arange(RATE, dtype=np.float32) / RATE * (200 + 150 * y[:, None]) + rng.random((samples, 1))
        noise = rng.standard_normal((samples, RATE), np.float32)
        x = (0.1 * np.sin(2 * np.pi * turns) + np.float32(0.1) * noise).astype(np.float32)
    else:
        x = rng.standard_normal((samples, *network.shape), np.float32)
    np.save(x_path, x)
    np.save(y_path, y)
    return x_path, y_path, source


def _characters(rng: np.random.Generator, samples: int, steps: int, classes: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Characters and those after them, each with a chance of 3/4 that which its predecessor tells."""
    text = rng.integers(0, classes, (samples, steps + 1), dtype=np.int32)
    told = rng.permutation(classes).astype(np.int32)
    kept = rng.random(text.shape) < 0.75
    for i in range(steps):
        text[kept[:, i], i + 1] = told[text[kept[:, i], i]]
    return text[:, :-1], np.ascontiguousarray(text[:, 1:])


def _tokens(rng: np.random.Generator, y: NDArray[Any], network: Sequence) -> NDArray[Any]:
    """Tokens, a third of which tell the class by their remainder; where masked, some of the second half are padding."""
    classes, (steps,) = network.answers[0], network.shape
    x = rng.integers(1, network.vocabulary // classes, (len(y), steps), dtype=np.int32) * np.int32(classes)
    x += np.where(rng.random(x.shape) < 1 / 3, y[:, None], rng.integers(0, classes, x.shape, dtype=np.int32))
    if network.masked:
        x[np.arange(steps) >= rng.integers(steps // 2, steps + 1, (len(y), 1))] = 0
    return x


def _real(workload: Workload, folder: Path) -> tuple[Path, Path, str]:
    """All bytes of a data set (70000, 28, 28, 1) and int32 labels: the training images, then the test images.

    They have no substitute: DatasetUnavailable where they are unavailable.
    """
    import ranvier as rv

    x_path, y_path = folder / f"{workload.dataset}-x.npy", folder / f"{workload.dataset}-y.npy"
    if not y_path.exists():
        (x, y), (x_test, y_test) = getattr(rv.datasets, workload.dataset).load_data()
        np.save(x_path, np.concatenate([x, x_test])[..., None])
        np.save(y_path, np.concatenate([y, y_test]).astype(np.int32))
    return x_path, y_path, f"{workload.samples:,} images to train on, {TESTED:,} others to test"


def _sparse(workload: Workload, folder: Path) -> tuple[Path, Path, str]:
    """Some random rows, then zeros that take no room on the disk, because they were never written; random labels."""
    x_path, y_path = (folder / f"sparse-{workload.samples}-{part}.npy" for part in "xy")
    shape = (workload.samples, workload.layers[0])
    if not y_path.exists():
        rng = np.random.default_rng(5)
        x = np.lib.format.open_memmap(x_path, mode="w+", dtype=np.float32, shape=shape)
        x[:FILLED] = rng.random((FILLED, shape[1]), np.float32)
        x.flush()
        np.save(y_path, rng.integers(0, 10, workload.samples, dtype=np.int32))
    return x_path, y_path, f"a sparse file of {4 * math.prod(shape) / 1e9:.1f} GB"


def prepare(workload: Workload, folder: Path) -> tuple[Path, Path, str]:
    """Write the workload's x and y as .npy files in `folder`; return both paths and a description of the source.

    x is float32 (samples, features), of an image network (samples, height, width, channels); of a real data set uint8,
    with `TESTED` more images to test on at the end. y is int32 (samples,) for a sparse loss, float32 (samples, outputs)
    elsewhere, and the file of x where x is to be restored.
    """
    if workload.dataset:
        return _real(workload, folder)
    if workload.kind == "mapped":
        return _sparse(workload, folder)
    if workload.network:
        network = workload.built
        if isinstance(network, Sequence):
            return _sequences(workload.network, network, workload.samples, folder)
        every = 4 * IMAGES * math.prod(network.shape) <= LARGEST
        x, y, source = _pictures(network.shape, IMAGES if every else workload.samples, folder)
        return x, x if network.restores else y, source
    if workload.digits:
        return _digits(folder)
    if workload.letters:
        return _letters(folder)
    return _images(folder) if workload.images else _teacher(workload, folder)


def load(x_path: str, y_path: str, samples: int | None = None) -> tuple[NDArray[Any], NDArray[Any]]:
    """The first `samples` of the files of x and y, in memory: one array where both are the same."""
    x, y = (np.array(np.load(path, mmap_mode="r")[:samples]) for path in (x_path, y_path))
    return x, x if y_path == x_path else y


def initial_weights(workload: Workload) -> list[Floats]:
    """Glorot-uniform kernels (inputs, outputs) and zero biases in Keras order, the same for every contestant."""
    rng = np.random.default_rng(7)
    out: list[Floats] = []
    for fan_in, fan_out in zip(workload.layers, workload.layers[1:], strict=False):
        limit = np.sqrt(6.0 / (fan_in + fan_out))
        out += [rng.uniform(-limit, limit, (fan_in, fan_out)).astype(np.float32), np.zeros(fan_out, np.float32)]
    return out


def batches(workload: Workload, x: NDArray[Any]) -> list[NDArray[Any]]:
    """The parts of x that the calls of a prediction take in turn."""
    return [x[i : i + workload.batch] for i in range(0, len(x), workload.batch)]


def reference_predict(workload: Workload, x: Floats) -> Floats:
    """The softmax network's answer in float64 NumPy, (n, outputs): the reference of every one-sample prediction."""
    h = x.astype(np.float64)
    weights = initial_weights(workload)
    for i in range(0, len(weights), 2):
        h = h @ weights[i].astype(np.float64) + weights[i + 1]
        if i + 2 < len(weights):
            h = np.maximum(h, 0)
    e = np.exp(h - h.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True), dtype=np.float32)
