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
        with pytest.raises(AttributeError, match=r"add_embedding does not exist: add_scalar"):
            writer.add_embedding
        with pytest.raises(ValueError, match="no NaN or infinity"):
            writer.add_histogram("bad", torch.tensor([float("nan")]))
        with pytest.raises(ValueError, match=r"Write add_graph\(model, images\)"):
            writer.add_graph(torch.nn.Linear(2, 3))
    found = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0}).Reload()
    assert [(e.step, e.value) for e in found.Scalars("loss")] == [(3, 0.5)]
    assert (tmp_path / "both_a").is_dir()
    images = {tag: found.Images(tag)[0] for tag in found.Tags()["images"]}
    shapes = {tag: (image.step, image.height, image.width) for tag, image in images.items()}
    assert shapes == {"grey": (7, 2, 3), "grid": (8, 8, 10), "drawn": (0, 50, 100)}
    grey = plt.imread(io.BytesIO(images["grey"].encoded_image_string))
    assert (grey * 255).round().astype(int).tolist() == [[0, 51, 102], [153, 204, 255]]


def logged(library, tensorboard, folder):
    """What a loop of PyTorch's words writes: tags by kind, the numbers, and the counts of a histogram."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    nn = library.nn
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 10))
    with tensorboard.SummaryWriter(folder) as writer:
        for step in range(3):
            writer.add_scalar("loss/train", library.tensor(1 / (step + 1)), step, walltime=100.0 + step)
        writer.add_scalars("both", {"a": 1.0, "b": 2.0}, 4)
        writer.add_histogram("w", library.arange(-5.0, 6.0), 5)
        writer.add_text("note", "hello", 2)
        writer.add_hparams({"lr": 0.1, "name": "x", "big": True}, {"accuracy": 0.5}, run_name="run")
        writer.add_graph(net, library.zeros(2, 1, 4, 4))
    found = {}
    for side in (".", "both_a", "both_b", "run"):
        events = EventAccumulator(str(folder / side)).Reload()
        tags = {kind: known if isinstance(known, bool) else {*known} for kind, known in events.Tags().items()}
        del tags["run_metadata"]  # times of a trace
        # Settings: an empty tensor beside them is in its list.
        tags["tensors"] = {tag for tag in tags["tensors"] if not tag.startswith("_hparams_/")}
        scalars = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in tags["scalars"]}
        counts = {tag: events.Histograms(tag)[0] for tag in tags["histograms"]}
        found[side] = tags, scalars, {
            tag: (h.step, h.histogram_value.num, h.histogram_value.min, h.histogram_value.sum_squares,
                  [n for n in h.histogram_value.bucket if n])
            for tag, h in counts.items()
        }  # fmt: skip
    times = [e.wall_time for e in EventAccumulator(str(folder)).Reload().Scalars("loss/train")]
    return found, times


@pytest.mark.filterwarnings("ignore:.torch.jit.trace:DeprecationWarning")  # by add_graph
def test_a_loop_writes_what_pytorch_writes(tmp_path):
    theirs = pytest.importorskip("torch")
    from torch.utils import tensorboard as their_board

    from ranvier.torch.utils import tensorboard as our_board

    own = logged(torch, our_board, tmp_path / "own")
    assert own == logged(theirs, their_board, tmp_path / "other")
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    (path,) = (tmp_path / "own" / "run").iterdir()
    tags = [value.tag for event in EventFileLoader(str(path)).Load() for value in event.summary.value]
    assert tags == [
        *(f"_hparams_/{name}" for name in ("experiment", "session_start_info", "session_end_info")),
        "accuracy",
    ]
