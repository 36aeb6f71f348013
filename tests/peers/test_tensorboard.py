"""The tags and steps that Keras writes for TensorBoard, on TensorFlow and in a process of its own, against ours."""

import io
import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

import ranvier.torch as torch
from ranvier.torch.utils.tensorboard import SummaryWriter

PROGRAM = """
import json, sys
import numpy as np
library = __import__(sys.argv[1])
layers = library.layers
model = library.Sequential(
    [library.Input((5,)), layers.Dense(4, activation="relu", name="hidden"), layers.BatchNormalization(name="norm"),
     layers.Dense(2, activation="softmax", name="out")], name="net")
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
x = np.random.default_rng(0).normal(size=(64, 5)).astype("float32")
y = (x[:, 0] > 0).astype("int32")
board = library.callbacks.TensorBoard(sys.argv[2], histogram_freq=2, write_steps_per_second=True)
model.fit(x, y, epochs=3, batch_size=16, validation_data=(x[:16], y[:16]), verbose=0, callbacks=[board])

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
found = {}
for side in ("train", "validation"):
    events = EventAccumulator(f"{sys.argv[2]}/{side}", size_guidance={"tensors": 0}).Reload()
    found |= {f"{side}/{tag}": [e.step for e in events.Tensors(tag)] for tag in events.Tags()["tensors"]}
print(json.dumps(found))
"""
SUMMARIES = {"train/keras", "train/summary"}  # the network: Keras's as its configuration, ours as a table


def written(library, folder):
    environment = os.environ | {
        "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, library, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    tags = json.loads(result.stdout.splitlines()[-1])
    return {tag: steps for tag, steps in tags.items() if tag not in SUMMARIES}


def test_tags_and_steps_are_those_of_keras(tmp_path):
    if find_spec("tensorflow") is None:
        pytest.skip("needs tensorflow")
    assert written("ranvier", tmp_path / "own") == written("keras", tmp_path / "other")


def test_a_loop_writes_what_tensorboard_reads(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    plt = pytest.importorskip("matplotlib.pyplot")
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalar("loss", torch.tensor(0.5), 3)
        writer.add_scalars("both", {"a": 1.0}, 4)
        writer.add_histogram("w", torch.ones(4), 5)
        writer.add_text("note", "hello")
        writer.add_image("grey", torch.linspace(0, 1, 6).reshape(1, 2, 3), 7)
        writer.add_images("grid", torch.ones(3, 3, 4, 5), 8)
        figure = plt.figure(figsize=(2, 1), dpi=50)
        writer.add_figure("drawn", figure)
        assert figure.number not in plt.get_fignums()
        with pytest.raises(ValueError, match="Write 'CHW', 'HWC' or 'HW'"):
            writer.add_image("flat", torch.ones(4))
        with pytest.raises(AttributeError, match=r"add_graph does not exist: add_scalar"):
            writer.add_graph
    found = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0}).Reload()
    steps = {tag: [e.step for e in found.Tensors(tag)] for tag in found.Tags()["tensors"]}
    assert steps == {"loss": [3], "w": [5], "note": [0]}
    assert (tmp_path / "both_a").is_dir()
    images = {tag: found.Images(tag)[0] for tag in found.Tags()["images"]}
    shapes = {tag: (image.step, image.height, image.width) for tag, image in images.items()}
    assert shapes == {"grey": (7, 2, 3), "grid": (8, 8, 10), "drawn": (0, 50, 100)}
    grey = plt.imread(io.BytesIO(images["grey"].encoded_image_string))
    assert (grey * 255).round().astype(int).tolist() == [[0, 51, 102], [153, 204, 255]]
