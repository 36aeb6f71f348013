"""Saved models: whole or not at all, checked when read, and the same network again."""

import json
import os
import signal
import stat
import struct
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ranvier as rv
from ranvier import optimizers
from ranvier.data import files
from ranvier.training import CheckpointError

RNG = np.random.default_rng(2)
X = RNG.normal(size=(64, 5)).astype(np.float32)
Y = RNG.integers(0, 3, 64)


@pytest.fixture(autouse=True)
def reference():
    rv.set_engine("reference")
    rv.set_seed(3)
    yield
    rv.set_engine(None)


def trained(optimizer="adam"):
    model = rv.Sequential(
        [
            rv.layers.Rescaling(2.0, input_shape=(5,)),
            rv.layers.Dense(6, activation="relu"),
            rv.layers.Dropout(0.25),
            rv.layers.Dense(3, activation="softmax"),
        ]
    )
    metrics = ["accuracy", rv.metrics.F1Score("macro")]
    model.compile(optimizer, rv.losses.SparseCategoricalCrossentropy(), metrics=metrics)
    model.fit(X, Y, epochs=2, verbose=0)
    return model


@pytest.mark.parametrize("name", sorted(optimizers.REGISTRY.classes))
def test_a_loaded_model_goes_on_as_the_saved_one(name, tmp_path):
    model = trained(optimizers.REGISTRY.classes[name](0.01, clipnorm=5.0))
    model.save(tmp_path / "m.ranvier")
    again = rv.load_model(tmp_path / "m.ranvier")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    for one in (model, again):
        rv.set_seed(7)
        one.fit(X, Y, epochs=2, verbose=0)
    for one, other in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_compile_or_optimizer(tmp_path):
    model = trained()
    model.save(filepath=tmp_path / "m", include_optimizer=False)
    assert not rv.load_model(filepath=tmp_path / "m")._compiled.optimizer.parameters
    with pytest.raises(RuntimeError, match="not compiled"):
        rv.load_model(tmp_path / "m", compile=False).fit(X, Y)


def test_a_model_that_was_never_compiled(tmp_path):
    model = rv.Sequential([rv.layers.Dense(2, input_shape=(5,))])
    model.save(tmp_path / "m")
    np.testing.assert_array_equal(rv.load_model(tmp_path / "m").predict(X), model.predict(X))


def test_functions_of_ones_own_are_not_saved_and_that_is_said(tmp_path):
    model = trained()
    model.compile("adam", lambda y, p: ((y - p) ** 2).mean(-1))
    with pytest.warns(UserWarning, match="no code.*compile"):
        model.save(tmp_path / "m")
    assert rv.load_model(tmp_path / "m")._compiled is None


def test_weights_in_another_memory_order(tmp_path):
    """Safetensors would write the memory as it lies."""
    import ranvier.torch.nn as nn

    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2))
    expected = model.predict(X)
    model.save(tmp_path / "m")
    np.testing.assert_array_equal(rv.load_model(tmp_path / "m").predict(X), expected)


# --- files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["modèle.ranvier", "with spaces", "模型", "x" * 180])
def test_names_of_files(name, tmp_path):
    model = trained()
    model.save(tmp_path / name)
    model.save(str(tmp_path / name))
    np.testing.assert_array_equal(rv.load_model(str(tmp_path / name)).predict(X), model.predict(X))
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_directory_in_the_way(tmp_path):
    with pytest.raises(IsADirectoryError, match=r"model\.ranvier"):
        trained().save(tmp_path)
    with pytest.raises(IsADirectoryError):
        rv.load_model(tmp_path)
    with pytest.raises(FileNotFoundError):
        rv.load_model(tmp_path / "none")


def test_an_existing_file_is_kept_without_overwrite(tmp_path):
    model = trained()
    model.save(tmp_path / "m")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.save(tmp_path / "m", overwrite=False)


def test_the_mode_follows_umask(tmp_path):
    before = os.umask(0o027)
    try:
        trained().save(tmp_path / "m")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == 0o640


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    model = trained()
    model.save(tmp_path / "m")
    before = (tmp_path / "m").read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        model.save(tmp_path / "m")
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    assert (tmp_path / "m").read_bytes() == before


def test_orphans_of_dead_processes_go_and_those_of_living_ones_stay(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f".m.{dead.pid}-abc.tmp").write_bytes(b"half")
    (tmp_path / f".m.{os.getppid()}-abc.tmp").write_bytes(b"half")
    trained().save(tmp_path / "m")
    assert sorted(p.name for p in tmp_path.iterdir()) == [f".m.{os.getppid()}-abc.tmp", "m"]


KILLED = """
import sys, numpy as np, ranvier as rv
rv.set_engine("reference")
model = rv.Sequential([rv.layers.Dense(400, input_shape=(400,))])
print("ready", flush=True)
while True:
    model.save(sys.argv[1])
"""


def test_a_killed_process_leaves_a_whole_file(tmp_path):
    target = tmp_path / "m"
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(target)], stdout=subprocess.PIPE, env=environment()
        )
        assert process.stdout is not None
        process.stdout.readline()
        while not target.exists():
            assert process.poll() is None
            time.sleep(0.005)
        time.sleep(0.03)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert rv.load_model(target).count_params() == 400 * 401


def environment():
    source = str(Path(rv.__file__).parent.parent)
    return os.environ | {"PYTHONPATH": source, "RANVIER_ENGINE": "reference"}


# --- damage -------------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    trained().save(tmp_path / "m.ranvier")
    return tmp_path / "m.ranvier"


def parts(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def rebuild(path, header, body):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def described(header):
    return json.loads(header["__metadata__"]["ranvier"])


def describe(header, description):
    header["__metadata__"]["ranvier"] = files.sealed({n: v for n, v in description.items() if n != "checksum"})


def flip(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 0x10
    path.write_bytes(data)


def newer(path):
    header, body = parts(path)
    describe(header, described(header) | {"version": 99})
    rebuild(path, header, body)


def foreign_class(path):
    header, body = parts(path)
    description = described(header)
    description["architecture"]["class"] = "os.system"
    describe(header, description)
    rebuild(path, header, body)


def enormous(path):
    """A network of a file of a few kilobytes that would take gigabytes."""
    header, body = parts(path)
    description = described(header)
    dense = description["architecture"]["config"]["*"][1]["module"]
    dense["config"]["units"] = 2**28
    describe(header, description)
    rebuild(path, header, body)


def misshapen(path):
    header, body = parts(path)
    name = next(n for n in header if n.endswith("1.kernel"))
    header[name]["shape"] = header[name]["shape"][::-1]
    rebuild(path, header, body)


def altered(path):
    header, body = parts(path)
    header["__metadata__"]["ranvier"] = header["__metadata__"]["ranvier"].replace("softmax", "sigmoid")
    rebuild(path, header, body)


def reread(path):
    header, body = parts(path)
    name = next(n for n in header if n.endswith("1.kernel"))
    header[name]["dtype"] = "I32"
    rebuild(path, header, body)


def lacking(path):
    header, body = parts(path)
    del header[next(n for n in header if n.endswith("3.bias"))]
    rebuild(path, header, body)


def twice(path):
    header, body = parts(path)
    text = json.dumps(header)
    name = json.dumps(next(n for n in header if n != "__metadata__"))
    raw = (text[:-1] + f", {name}: {{}}}}").encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + body)


def lying(path):
    header, body = parts(path)
    name = next(n for n in header if n.endswith("1.kernel"))
    header[name]["shape"] = [2**40, 2**40]
    rebuild(path, header, body)


DAMAGE = [
    (flip, r"damaged: tensor '.*' does not have the checksum"),
    (lambda p: p.write_bytes(p.read_bytes()[:-10]), r"truncated: tensor '.*' ends at byte"),
    (lambda p: p.write_bytes(p.read_bytes()[:100]), "truncated.*header"),
    (lambda p: p.write_bytes(b""), "not a saved model"),
    (lambda p: p.write_bytes(b"PK\x03\x04" + bytes(100)), "not a saved model|truncated"),
    (lambda p: p.write_bytes(struct.pack("<Q", 4) + b"{{{{"), "header cannot be read"),
    (lambda p: rebuild(p, {}, b""), "no description"),
    (newer, "format version 99.*newer Ranvier"),
    (foreign_class, "os.system"),
    (enormous, "GiB: more than all weights of the file"),
    (altered, "its description does not have the checksum"),
    (misshapen, r"tensor 'weights/1\.kernel' does not have the checksum"),
    (reread, r"tensor 'weights/1\.kernel' does not have the checksum"),
    (lacking, r"lacks \['weights/3\.bias'\]"),
    (twice, "appears twice"),
    (lying, "has a wrong description"),
]


@pytest.mark.parametrize(("damage", "text"), DAMAGE)
def test_damage_is_named(damage, text, saved):
    damage(saved)
    with pytest.raises(ValueError, match=text) as caught:
        rv.load_model(saved)
    assert isinstance(caught.value, CheckpointError)
    assert "m.ranvier" in str(caught.value)


def test_the_file_is_safetensors_and_holds_only_numbers_and_json(saved):
    from safetensors.numpy import load_file

    tensors = load_file(saved)
    assert {n for n in tensors if n.startswith("weights/")} == {
        f"weights/{i}.{w}" for i in (1, 3) for w in ("kernel", "bias")
    }
    header, _ = parts(saved)
    assert described(header)["version"] == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | st.sampled_from(["Dense", "relu", "module", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["class", "config", "module", "*", "a"]), inner),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_descriptions_that_someone_has_changed(data, saved):
    """Any part of the description replaced by anything: a CheckpointError, or a model; never another error."""
    whole = saved.read_bytes()
    header, body = parts(saved)
    description = {n: v for n, v in described(header).items() if n != "checksum"}
    holder, key = (description, data.draw(st.sampled_from(["architecture", "compiled", "checksums", "version"])))
    while isinstance(holder[key], (dict, list)) and holder[key] and data.draw(st.booleans()):
        holder = holder[key]
        key = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
    holder[key] = data.draw(JSON)
    describe(header, description)
    rebuild(saved, header, body)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rv.load_model(saved)
    except CheckpointError:
        pass
    finally:
        saved.write_bytes(whole)


# --- models with optimizers of their own --------------------------------------------------------------------------


@rv.register_module
class Adversaries(rv.Model):
    """Two networks with an optimizer each: one that ``__init__`` makes, and one that ``compile`` is given."""

    def __init__(self):
        super().__init__()
        self.maker = rv.Sequential([rv.Input((2,)), rv.layers.Dense(3)])
        self.judge = rv.Sequential([rv.Input((3,)), rv.layers.Dense(1)])
        self.judge_optimizer = rv.optimizers.Adam(0.01)

    def compile(self, maker_optimizer, **options):  # type: ignore[override]  # as the guides of Keras do
        super().compile(**options)
        self.maker_optimizer = maker_optimizer

    def train_step(self, data):
        noise, real = data
        with rv.GradientTape() as tape:
            loss = rv.ops.mean(self.judge(self.maker(noise)) ** 2) - rv.ops.mean(self.judge(real))
        grads = tape.gradient(loss, self.judge.trainable_weights)
        self.judge_optimizer.apply_gradients(zip(grads, self.judge.trainable_weights, strict=True))
        with rv.GradientTape() as tape:
            loss = rv.ops.mean(rv.ops.abs(self.judge(self.maker(noise))))
        grads = tape.gradient(loss, self.maker.trainable_weights)
        self.maker_optimizer.apply_gradients(zip(grads, self.maker.trainable_weights, strict=True))
        return {"loss": loss}


def test_optimizers_of_a_model_are_saved_and_loaded_with_it(tmp_path):
    noise, real = (np.linspace(-1, 1, 8 * n, dtype=np.float32).reshape(8, n) for n in (2, 3))
    model = Adversaries()
    model.compile(rv.optimizers.RMSprop(0.02, momentum=0.5), engine="reference")
    model.fit(noise, real, epochs=2, batch_size=4, shuffle=False, verbose=0)
    model.judge_optimizer.learning_rate = 0.003
    model.save(tmp_path / "model.ranvier")
    loaded = rv.load_model(tmp_path / "model.ranvier")
    assert loaded.maker_optimizer.momentum == 0.5
    assert float(loaded.judge_optimizer.learning_rate) == pytest.approx(0.003)
    for name in ("judge_optimizer", "maker_optimizer"):
        one, other = (getattr(m, name).state() for m in (model, loaded))
        assert one["iterations"] == other["iterations"] == 4
    for each in (model, loaded):
        each.fit(noise, real, epochs=2, batch_size=4, shuffle=False, verbose=0)
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(AttributeError):
        rv.load_model(tmp_path / "model.ranvier", compile=False).maker_optimizer


class Slow(rv.optimizers.Optimizer):
    """An optimizer of your own, which no file holds."""

    learning_rate = 0.1

    def rule(self, p, g, slots, lr, t):
        return p - g, {}


def test_an_optimizer_of_your_own_is_loaded_where_the_model_makes_it(tmp_path):
    noise, real = np.ones((4, 2), np.float32), np.ones((4, 3), np.float32)
    model = Adversaries()
    model.compile(Slow(), engine="reference")
    model.fit(noise, real, verbose=0)
    model.save(tmp_path / "model.ranvier")
    with pytest.warns(UserWarning, match="'maker_optimizer' .* is not loaded"):
        loaded = rv.load_model(tmp_path / "model.ranvier")
    assert loaded.judge_optimizer.iterations == 1


def tied_dense():
    model = rv.Sequential([rv.Input((4,)), rv.layers.Dense(4, activation="tanh"), rv.layers.Dense(4)])
    model.layers[1].kernel = model.layers[0].kernel
    return model, "kernel", np.ones((6, 4), np.float32)


def tied_torch():
    nn = rv.torch.nn
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5, bias=False))
    model[1].weight = model[0].weight
    return model, "weight", np.arange(6).reshape(3, 2) % 5


def test_tied_weights_are_one_also_when_loaded(tmp_path):
    for make in (tied_dense, tied_torch):
        model, name, x = make()
        targets = np.zeros((*x.shape[: 2 if x.dtype.kind == "i" else 1], model(x).shape[-1]), np.float32)
        model.compile("adam", "mse")
        model.fit(x, targets, verbose=0)
        model.save(tmp_path / "m.ranvier")
        again = rv.load_model(tmp_path / "m.ranvier")
        for one in (model, again):
            assert getattr(one[1], name) is getattr(one[0], name)
            assert len(list(one.parameters())) == len({id(p) for p in one.state_dict(keep_vars=True).values()})
            one.fit(x, targets, verbose=0)
        np.testing.assert_array_equal(again.predict(x), model.predict(x))
    described, tensors = files.read(tmp_path / "m.ranvier")
    described["tied"] = [["0.weight", "1.bias"]]
    files.store(tmp_path / "m.ranvier", tensors, described)
    with pytest.raises(CheckpointError):
        rv.load_model(tmp_path / "m.ranvier")
