"""What TensorBoard shows of a run, read back with TensorBoard's own reader."""

import builtins
import importlib.util
import sys
from types import ModuleType

import numpy as np
import pytest

import ranvier as rv
from ranvier.callbacks import TensorBoard

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 5)).astype(np.float32)
Y = X[:, :3].argmax(1)
TRAINED, HELD_OUT, STEPS = (X[:64], Y[:64]), (X[64:], Y[64:]), 4  # batches of 16


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    """The reference engine; and TensorBoard's own stand-in for TensorFlow, installed or not."""
    monkeypatch.setitem(sys.modules, "tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))
    rv.set_engine("reference")
    rv.set_seed(0)
    yield
    rv.set_engine(None)


class Block(rv.Module):
    def __init__(self):
        super().__init__()
        self.inner = rv.layers.Dense(5, activation="relu")

    def forward(self, x):
        return self.inner(x) + self.inner(x * 0.5)


def network(*layers):
    model = rv.Sequential(
        [rv.Input((5,)), *layers, rv.layers.Dense(3, activation="softmax", name="scores")], name="net"
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def train(callbacks, epochs=2, model=None, **options):
    model = model or network()
    model.fit(
        *TRAINED, epochs=epochs, batch_size=16, validation_data=HELD_OUT, verbose=0, callbacks=callbacks, **options
    )
    return model


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import GRAPH, TENSORS, EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={TENSORS: 0, GRAPH: 0})
    return events.Reload()


def series(folder, tag):
    from tensorboard.util import tensor_util

    return [(e.step, float(tensor_util.make_ndarray(e.tensor_proto))) for e in read(folder).Tensors(tag)]


def test_every_result_by_epoch_on_its_side(tmp_path):
    history = train(TensorBoard(tmp_path)).history.history
    for side, prefix in (("train", ""), ("validation", "val_")):
        for name in ("loss", "accuracy"):
            shown = series(tmp_path / side, f"epoch_{name}")
            assert [step for step, _ in shown] == [0, 1]
            assert np.allclose([value for _, value in shown], history[f"{prefix}{name}"])
    assert series(tmp_path / "train", "epoch_learning_rate") == [(0, np.float32(0.001)), (1, np.float32(0.001))]


@pytest.mark.parametrize(
    ("options", "side", "tag", "steps"),
    [
        ({}, "validation", "evaluation_loss_vs_iterations", [4, 8]),
        ({"update_freq": 3}, "train", "batch_loss", [3, 6]),
        ({"update_freq": "batch"}, "train", "batch_accuracy", [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"write_steps_per_second": True}, "train", "epoch_steps_per_second", [0, 1]),
        ({"histogram_freq": 1}, "train", "net/scores/kernel/histogram", [0, 1]),
        ({"histogram_freq": 2}, "train", "net/scores/bias/histogram", [0]),
        ({"histogram_freq": 1}, "train", "net/norm/moving_mean/histogram", [0, 1]),
        ({"histogram_freq": 1}, "train", "net/block/inner/kernel/histogram", [0, 1]),
        ({}, "train", "summary", [0]),
    ],
)
def test_tags_and_steps(options, side, tag, steps, tmp_path):
    model = network(named(Block(), "block"), rv.layers.BatchNormalization(name="norm"))
    train(TensorBoard(tmp_path, **options), model=model)
    assert [event.step for event in read(tmp_path / side).Tensors(tag)] == steps


def named(module, name):
    module.name = name
    return module


def test_what_is_not_asked_for_is_not_written(tmp_path):
    train(TensorBoard(tmp_path, write_graph=False))
    events = read(tmp_path / "train")
    assert set(events.Tags()["tensors"]) == {"epoch_loss", "epoch_accuracy", "epoch_learning_rate"}
    assert not events.Tags()["graph"]


def test_a_histogram_counts_the_weights(tmp_path):
    from tensorboard.util import tensor_util

    model = train(TensorBoard(tmp_path, histogram_freq=1), epochs=1)
    (event,) = read(tmp_path / "train").Tensors("net/scores/kernel/histogram")
    buckets, kernel = tensor_util.make_ndarray(event.tensor_proto), model.get_weights()[0]
    assert buckets[:, 2].sum() == kernel.size
    assert np.allclose([buckets[0, 0], buckets[-1, 1]], [kernel.min(), kernel.max()])


def test_the_graph_has_a_node_for_each_call_and_the_shapes_between(tmp_path):
    train(TensorBoard(tmp_path), model=network(named(Block(), "block")))
    nodes = {node.name: node for node in read(tmp_path / "train").Graph().node}
    assert {name: list(node.input) for name, node in nodes.items()} == {
        "input": [], "block/inner": ["input"], "block/inner_call2": ["input"],
        "add": ["block/inner", "block/inner_call2"], "scores": ["add"],
    }  # fmt: skip
    (shape,) = nodes["scores"].attr["_output_shapes"].list.shape
    assert [dim.size for dim in shape.dim] == [-1, 3]
    assert (nodes["scores"].op, nodes["scores"].attr["parameters"].i) == ("Dense", 18)


def test_an_array_has_a_tag_for_each_element(tmp_path):
    class PerClass(rv.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["recall"] = np.array([0.25, 0.5])

    train([PerClass(), TensorBoard(tmp_path)], epochs=1)
    assert series(tmp_path / "train", "epoch_recall/1") == [(0, 0.5)]


def test_evaluation_alone(tmp_path):
    model = train(None)
    model.evaluate(*HELD_OUT, verbose=0, callbacks=TensorBoard(tmp_path))
    assert [step for step, _ in series(tmp_path / "validation", "evaluation_loss_vs_iterations")] == [8]


# --- a resumed run ------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The end of a process."""


class KillAt(rv.callbacks.Callback):
    def __init__(self, at):
        self.step_interval = at

    def on_step(self, epoch, step, logs=None):
        raise Killed


def contents(folder):
    """Every tag with its steps and values, speed aside."""
    return {
        (side, tag): series(folder / side, tag)
        for side in ("train", "validation") for tag in read(folder / side).Tags()["tensors"]
        if not tag.endswith(("histogram", "summary"))
    }  # fmt: skip


@pytest.mark.parametrize("kills", [[6], [9], [6, 6, 10], [5, 11]])
@pytest.mark.parametrize("freq", ["epoch", 3])
def test_a_run_that_was_killed_goes_on_in_its_log_with_no_step_twice(kills, freq, tmp_path):
    def attempt(folder, at=100):
        rv.set_seed(0)
        callbacks = [
            TensorBoard(tmp_path / folder, update_freq=2, histogram_freq=1), KillAt(at),
            rv.callbacks.BackupAndRestore(tmp_path / f"backup-{folder}", save_freq=freq),
        ]  # fmt: skip
        train(callbacks, epochs=3)

    attempt("whole")
    expected = contents(tmp_path / "whole")
    (tmp_path / "cut/train").mkdir(parents=True)
    (tmp_path / "cut/train/events.out.tfevents.0.another.run").write_bytes(b"")
    for at in kills:
        with pytest.raises(Killed):
            attempt("cut", at)
        with max((tmp_path / "cut/train").glob("*"), key=lambda p: p.stat().st_mtime).open("ab") as torn:
            torn.write(b"half a record")
    attempt("cut")
    assert contents(tmp_path / "cut") == expected
    histograms = read(tmp_path / "cut/train").Tensors("net/scores/kernel/histogram")
    assert [event.step for event in histograms] == [0, 1, 2]
    assert len(read(tmp_path / "cut/train").Tensors("summary")) == 1
    assert (tmp_path / "cut/train/events.out.tfevents.0.another.run").exists()


def test_resume_is_exact_with_it(tmp_path):
    report = rv.verify_resume(
        network, *TRAINED, batch_size=16, validation_data=HELD_OUT, stops=2,
        callbacks=lambda: [TensorBoard(tmp_path, update_freq=3)],
    )  # fmt: skip
    assert report.exact


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"write_images": True}, r"write_images=True.*Write histogram_freq=1"),
        ({"profile_batch": (2, 4)}, r"profile_batch=\(2, 4\).*Write write_steps_per_second=True"),
        ({"embeddings_freq": 1}, "embeddings_freq=1"),
        ({"embeddings_metadata": {"a": "b"}}, "embeddings_metadata"),
        ({"histogram_freq": -1}, "a number of epochs, or 0"),
        ({"histogram_freq": 1.5}, "a number of epochs, or 0"),
        ({"update_freq": "step"}, "'epoch', 'batch' or a number of steps"),
        ({"update_freq": 0}, "'epoch', 'batch' or a number of steps"),
    ],
)
def test_refused_with_what_to_write_instead(options, message):
    with pytest.raises(ValueError, match=message):
        TensorBoard(**options)


def test_a_file_in_the_way_of_its_folder(tmp_path):
    (tmp_path / "runs").write_text("mine")
    for folder in (tmp_path / "runs", tmp_path / "runs" / "1"):
        with pytest.raises(
            NotADirectoryError, match=r"runs is a file\. Write the name of a folder for the log instead"
        ):
            train(TensorBoard(folder))


def test_without_the_package_it_says_what_to_install(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "ranvier.callbacks.tensorboard.find_spec", lambda name: None if name == "tensorboard" else real(name)
    )
    with pytest.raises(ModuleNotFoundError, match=r"ranvier\[tensorboard\]"):
        TensorBoard()


def test_a_folder_that_cannot_be_made_is_an_error_before_training(tmp_path):
    (tmp_path / "logs").write_text("")
    model = network()
    before = model.get_weights()
    with pytest.raises(OSError, match="logs"):
        train(TensorBoard(tmp_path / "logs"), model=model)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_tensorflow_is_not_imported(tmp_path, monkeypatch):
    real = builtins.__import__

    def watched(name, *rest, **more):
        assert name.partition(".")[0] != "tensorflow"
        return real(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "tensorboard.compat.notf")
    monkeypatch.setattr(builtins, "__import__", watched)
    train(TensorBoard(tmp_path, histogram_freq=1, update_freq=2), epochs=1)
    assert list((tmp_path / "train").iterdir())
