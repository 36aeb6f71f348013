"""The tags and steps that Keras writes for TensorBoard, on TensorFlow and in a process of its own, against ours."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

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
