"""PyTorch's checkpoints, read and written without PyTorch; what they may ask for; damaged ones."""

import errno
import io
import json
import os
import pickle
import struct
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier.data.files import CheckpointError
from ranvier.interop.torch.states import torch_state
from tests.interop.damage import damaged, described


def net():
    return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))


VALUES = {
    "state": net().state_dict(),
    "empty": OrderedDict(),
    "numbers": [1, -1, 2**31, -(2**70), 0.1, float("inf"), True, None, "é\ud800", np.float32(0.5), np.int64(2)],
    "nested": {"a": (1, [2, (3, {})]), 7: {}, "t": [torch.ones(2), torch.zeros(0, 3), torch.tensor(5)]},
    "dtypes": {"uint32": torch.tensor(np.array([2**32 - 1, 0], np.uint32))} | {
        name: torch.tensor([1, 0, 1], dtype=getattr(torch, name))
        for name in ("float64", "float16", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "bool")
    },
    "views": {"t": torch.arange(6.0).reshape(2, 3).t(), "part": torch.arange(9.0)[1::2], "array": np.eye(2)},
    "grad": [torch.ones(2, requires_grad=True), torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.ones(1), False)],
}  # fmt: skip


def same(a, b):
    if isinstance(a, (torch.Tensor, np.ndarray)):
        assert isinstance(b, torch.Tensor)
        assert a.dtype == b.dtype
        assert getattr(a, "requires_grad", False) == b.requires_grad
        assert isinstance(a, torch.nn.Parameter) == isinstance(b, torch.nn.Parameter)
        assert a.tolist() == b.tolist()
    elif isinstance(a, dict):
        assert type(a) is type(b)
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert type(a) is type(b)
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    else:
        assert a == b


def written(value):
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


@pytest.mark.parametrize("name", VALUES)
def test_what_is_saved_is_loaded(name, tmp_path):
    torch.save(VALUES[name], tmp_path / "a.pt")
    same(VALUES[name], torch.load(tmp_path / "a.pt"))
    assert (tmp_path / "a.pt").read_bytes() == written(VALUES[name])


def test_storages_are_aligned_and_shared():
    shared = torch.nn.Linear(2, 2).weight
    data = written({"a": shared, "b": torch.ones(3), "c": shared})
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
    assert [e.filename for e in entries] == [
        f"archive/{n}" for n in ("data.pkl", "byteorder", "data/0", "data/1", "version")
    ]
    for entry in entries:
        name, extra = struct.unpack_from("<HH", data, entry.header_offset + 26)
        assert (entry.header_offset + 30 + name + extra) % 64 == 0
    found = torch.load(io.BytesIO(data))
    assert found["a"].tolist() == found["c"].tolist() == shared.tolist()


# --- what is refused ----------------------------------------------------------------------------------------------


class Asks:
    """Pickles as a call of any function."""

    def __init__(self, *called):
        self.called = called

    def __reduce__(self):
        return self.called


def archive(pickled, compression=zipfile.ZIP_STORED, **storages):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as made:
        made.writestr("a/data.pkl", pickled)
        for key, data in storages.items():
            made.writestr(f"a/data/{key.removeprefix('s')}", data)
        made.writestr("a/version", "3\n")
    return file.getvalue()


def tensor(shape, strides, offset=0, count=2, kind=b"FloatStorage", function=b"_rebuild_tensor_v2"):
    def numbers(values):
        return b"(" + b"".join(b"\x8a\x09" + v.to_bytes(9, "little", signed=True) for v in values) + b"t"

    storage = b"(X\x07\0\0\0storagectorch\n" + kind + b"\nX\x01\0\0\x000X\x03\0\0\0cpu" + numbers([count])[1:-1] + b"tQ"
    inner = storage + numbers([offset])[1:-1] + numbers(shape) + numbers(strides) + b"\x89N"
    return b"\x80\x02ctorch._utils\n" + function + b"\n(" + inner + b"tR."


TWO = struct.pack("<2f", 1, 2)
REFUSED = {
    "a function": (archive(pickle.dumps(Asks(os.system, ("true",)), 2)), r"it asks for '\w+\.system'"),
    "a class": (archive(pickle.dumps(OrderedDict(a=Asks(Asks, ())), 2)), "it asks for 'tests.interop.*Asks'"),
    "a builtin": (archive(pickle.dumps(Asks(eval, ("1",)), 4)), r"it asks for 'builtins\.eval'"),
    "an attribute": (archive(b"\x80\x02ccollections\nOrderedDict.__class__\n)R."), "it asks for"),
    "an instance": (archive(b"\x80\x02ccollections\nOrderedDict\n)\x81."), r"the opcode b'\\x81'"),
    "a state": (archive(b"\x80\x02](K\x01eNb."), "sets the state of a list"),
    "a call of a value": (archive(b"\x80\x02K\x01)R."), "calls what is no function"),
    "a class as a value": (archive(b"\x80\x02]ctorch\nFloatStorage\na."), "holds torch.FloatStorage itself"),
    "nested keys": (archive(b"\x80\x02})\x85\x85\x85Ns."), "a tuple is a key"),
    "a sparse tensor": (archive(b"\x80\x02ctorch._utils\n_rebuild_sparse_tensor\n)R."), "not dense"),
    "a complex tensor": (archive(tensor([1], [1], count=1, kind=b"ComplexFloatStorage"), s0=TWO), "holds complex64 tensors"),
    "too large": (archive(tensor([3], [1]), s0=TWO), "larger than its storage"),
    "an offset": (archive(tensor([1], [1], 2), s0=TWO), "larger than its storage"),
    "negative strides": (archive(tensor([2], [-1], 1), s0=TWO), "wrong shape"),
    "repeated without end": (archive(tensor([2**40], [0]), s0=TWO), "larger than the file"),
    "no rows of many": (archive(tensor([2**62, 2**62, 0], [0, 0, 0]), s0=TWO), "damaged|maximum"),
    "another size": (archive(tensor([2], [1], count=3), s0=TWO), "another size"),
    "no storage": (archive(tensor([2], [1])), "damaged"),
    "compressed": (archive(tensor([2], [1]), zipfile.ZIP_DEFLATED, s0=bytes(1 << 20)), "larger than the file"),
    "compressed a little": (archive(tensor([2], [1]), zipfile.ZIP_DEFLATED, s0=os.urandom(64)), "compressed"),
    "another zip": (archive(b"")[:0] + archive(b".").replace(b"data.pkl", b"data.txt"), "without a data.pkl"),
    "cut off": (written(VALUES["state"])[:-100], "damaged"),
    "a long number": (archive(b"\x80\x02\x8b\xff\xff\xff\x7f."), "ends too early"),
    "a missing mark": (archive(b"\x80\x02K\x01t."), "a mark is missing"),
    "an empty memo": (archive(b"\x80\x02h\x05."), "memo is missing"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    data, said = REFUSED[name]
    with pytest.raises(CheckpointError, match=said):
        torch.load(io.BytesIO(data))


@pytest.mark.parametrize("dtype", ["<f4", ">f4"])
def test_a_tensor_of_either_order_of_bytes(dtype):
    data = archive(tensor([2], [1]), s0=np.array([1, 2], dtype).tobytes())
    if dtype == ">f4":
        file = io.BytesIO(data)
        with zipfile.ZipFile(file, "a") as made:
            made.writestr("a/byteorder", "big")
        data = file.getvalue()
    assert torch.load(io.BytesIO(data)).tolist() == [1, 2]


# --- safetensors --------------------------------------------------------------------------------------------------


def sharded(folder, places=None):
    torch.save({"a": torch.ones(2)}, folder / "one.safetensors")
    torch.save({"b": torch.zeros(3), "c": torch.ones(1)}, folder / "two.safetensors")
    places = places or {"b": "two.safetensors", "a": "one.safetensors"}
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 24}, "weight_map": places}))
    return path


def test_shards(tmp_path):
    found = torch.load(sharded(tmp_path))
    assert {name: value.tolist() for name, value in found.items()} == {"b": [0, 0, 0], "a": [1, 1]}


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ({"a": "../one.safetensors"}, "not beside it"),
        ({"a": "three.safetensors"}, "does not exist"),
        ({"z": "one.safetensors"}, "that its files lack: z"),
        ({"a": 3}, "no table of names"),
    ],
)
def test_shards_that_are_refused(places, said, tmp_path):
    with pytest.raises(CheckpointError, match=said):
        torch.load(sharded(tmp_path, places))


STATE = {"a": torch.arange(6.0), "b": torch.ones(2, 3), "c": torch.arange(40.0), "d": torch.zeros(1)}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_shards_are_written(tmp_path):
    path = tmp_path / "model.safetensors"
    torch.save(STATE, path, max_shard_size=50)
    shards = [f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]
    assert names(tmp_path) == [*shards, "model.safetensors.index.json"]
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    places = {"a": shards[0], "b": shards[0], "c": shards[1], "d": shards[2]}
    assert index == {"metadata": {"total_size": 212}, "weight_map": places}
    for given in (path, f"{path}.index.json"):
        found = torch.load(given)
        assert list(found) == list(STATE)
        assert all(torch.equal(found[name], value) for name, value in STATE.items())
    torch.save(STATE, path, max_shard_size="0.2KB")  # what is left over of the first is removed
    assert names(tmp_path) == [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)] + ["model.safetensors.index.json"]
    torch.save(STATE, f"{path}.index.json")  # one file, since it is small
    assert names(tmp_path) == ["model.safetensors"]
    torch.save(STATE, path, max_shard_size=160)
    assert names(tmp_path)[:2] == ["model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors"]


@pytest.mark.parametrize("call", range(4))
def test_shards_are_old_or_new_as_a_whole(call, tmp_path, monkeypatch):
    """A full disk changes nothing; a process that ends between two renames leaves no index of old and new files."""
    path = tmp_path / "model.safetensors"
    torch.save(STATE, path, max_shard_size=50)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    other, calls = {name: value + 1 for name, value in STATE.items()}, 0

    def full(handle):
        nonlocal calls
        calls += 1
        if calls > call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            torch.save(other, path, max_shard_size=50)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    replace, calls = os.replace, 0

    def ended(*paths):
        nonlocal calls
        calls += 1
        if calls > call:
            raise KeyboardInterrupt
        replace(*paths)

    monkeypatch.setattr(os, "replace", ended)
    with pytest.raises(KeyboardInterrupt):
        torch.save(other, path, max_shard_size=50)
    assert not [name for name in names(tmp_path) if name.endswith((".tmp", ".json"))]
    with pytest.raises(FileNotFoundError):
        torch.load(path)


def test_shards_that_are_not_written(tmp_path):
    for size in ("5 things", 0, True, "-1GB"):
        with pytest.raises(ValueError, match=r"is no size. Write a number of bytes, or '5GB'"):
            torch.save(STATE, tmp_path / "a.safetensors", max_shard_size=size)
    with pytest.raises(ValueError, match=r"Write a path that ends with \.safetensors"):
        torch.save(STATE, tmp_path / "a.pt", max_shard_size=9)
    with pytest.raises(TypeError, match="an open file has no max_shard_size"):
        torch.save(STATE, io.BytesIO(), max_shard_size=9)
    with pytest.raises(TypeError, match="hold a state dict of tensors"):
        torch.save({"epoch": 3}, tmp_path / "a.safetensors", max_shard_size=9)
    assert not names(tmp_path)


def test_halves_in_safetensors():
    header = json.dumps({"x": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    found = torch.load(io.BytesIO(struct.pack("<Q", len(header)) + header + struct.pack("<2H", 0x3F80, 0xC000)))
    assert (found["x"].dtype, found["x"].tolist()) == ("bfloat16", [1, -2])


# --- damage -------------------------------------------------------------------------------------------------------


def plain_values(value):
    if isinstance(value, dict):
        return {k: plain_values(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_values(v) for v in value]
    return np.asarray(value).tolist() if isinstance(value, torch.Tensor) else value


def test_damaged_checkpoints_are_refused_or_hold_the_same(tmp_path):
    """Every part of the zip has a checksum."""
    kept = {"state": VALUES["state"], "epoch": 3, "losses": [0.5, 0.25]}
    refused = 0
    for changed in damaged(written(kept)):
        (tmp_path / "a.pt").write_bytes(changed)
        described(tmp_path / "a.pt")
        try:
            found = torch.load(io.BytesIO(changed))
        except CheckpointError:
            refused += 1
        else:
            assert plain_values(found) == plain_values(kept)
    assert refused


def test_damaged_safetensors_are_refused_or_read(tmp_path):
    for changed in damaged(torch_safetensors(VALUES["state"]), seed=1):
        (tmp_path / "a.safetensors").write_bytes(changed)
        described(tmp_path / "a.safetensors")
        try:
            found = torch.load(tmp_path / "a.safetensors")
        except CheckpointError:
            continue
        assert all(isinstance(value, torch.Tensor) for value in found.values())


@pytest.mark.parametrize("which", ["model.safetensors.index.json", "one.safetensors"])
def test_damaged_shards_are_refused_or_read(which, tmp_path):
    for part in ("one", "two"):
        (tmp_path / f"{part}.safetensors").write_bytes(torch_safetensors({part: np.arange(6.0)}))
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {part: f"{part}.safetensors" for part in ("one", "two")}}))
    refused = 0
    for changed in damaged((tmp_path / which).read_bytes(), seed=8):
        (tmp_path / which).write_bytes(changed)
        described(index)
        try:
            found = torch.load(index)
        except CheckpointError:
            refused += 1
            continue
        assert all(isinstance(value, torch.Tensor) for value in found.values())
    assert refused


@pytest.mark.parametrize("whole", [True, False])
def test_damaged_files_of_ours_are_refused_or_hold_the_same(whole, tmp_path):
    """Every tensor, and the description, has a checksum."""
    rv.set_engine("reference")
    model = rv.Sequential([rv.Input((3,)), rv.layers.Dense(4, "relu"), rv.layers.Dense(2)])
    model.compile("adam", "mse")
    path, x = tmp_path / "a.ranvier", np.ones((2, 3), np.float32)
    (model.save if whole else model.save_weights)(path)
    expected = model.predict(x, verbose=0)
    for changed in damaged(path.read_bytes(), seed=9):
        path.write_bytes(changed)
        described(path)
        found = model
        try:
            if whole:
                found = rv.load_model(path)
            else:
                model.load_weights(path)
        except CheckpointError:
            continue
        np.testing.assert_array_equal(found.predict(x, verbose=0), expected)
    rv.set_engine("native")


def torch_safetensors(state):
    from ranvier.data.files import to_bytes

    return to_bytes({name: np.asarray(value) for name, value in state.items()}, {})


# --- weights of a model in PyTorch's form -------------------------------------------------------------------------

L = rv.layers


def images():
    return rv.Sequential([
        rv.Input((6, 6, 2)), L.Conv2D(3, 3, activation="relu"), L.BatchNormalization(scale=False), L.DepthwiseConv2D(2),
        L.Flatten(), L.BatchNormalization(), L.Dense(2),
    ])  # fmt: skip


def sequences():
    x = rv.Input((5, 4))
    y = L.Bidirectional(L.LSTM(3, return_sequences=True))(L.Normalization(mean=0.5, variance=2.0)(x))
    y = L.MultiHeadAttention(2, 3)(y, y) + L.EinsumDense("abc,cd->abd", (None, 6), bias_axes="d")(y)
    return rv.Model(x, L.GRU(2)(y))


@pytest.mark.parametrize("make", [images, sequences])
@pytest.mark.parametrize("end", [".pt", ".safetensors"])
def test_weights_go_to_pytorchs_form_and_back(make, end, tmp_path):
    model, other = make(), make()
    generator = np.random.default_rng(0)
    model.set_weights([generator.uniform(0.5, 1.5, w.shape).astype(np.float32) for w in model.get_weights()])
    for first in (False, True):
        torch.save(torch_state(model, first), tmp_path / f"a{end}")
        other.set_weights([np.zeros_like(w) for w in other.get_weights()])
        other.load_weights(tmp_path / f"a{end}")
        assert all(map(np.array_equal, other.get_weights(), model.get_weights()))
    if end == ".pt":
        model.save_weights(tmp_path / "b.pt")
        assert list(torch.load(tmp_path / "b.pt")) == list(torch_state(model))


def test_weights_that_do_not_fit(tmp_path):
    model = images()
    state = torch_state(model)
    shape = next(iter(state))
    changed = {**state, shape: np.zeros((1, 2)), "more": np.zeros(1)}
    del changed[list(state)[1]]
    torch.save(changed, tmp_path / "a.pt")
    before = model.get_weights()
    with pytest.raises(
        CheckpointError, match=r"(?s)missing: .*bias \(.*unexpected: more.*weight is .*here and \(1, 2\)"
    ):
        model.load_weights(tmp_path / "a.pt")
    torch.save({"state": state}, tmp_path / "b.pt")
    with pytest.raises(CheckpointError, match="holds more than a state dict"):
        model.load_weights(tmp_path / "b.pt")
    frozen = next(key for key, a in state.items() if key.startswith("batch") and key.endswith("weight"))
    torch.save({**state, frozen: state[frozen] + 1}, tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match="was trained, and"):
        model.load_weights(tmp_path / "c.pt")
    assert all(map(np.array_equal, model.get_weights(), before))


def test_two_biases_become_one(tmp_path):
    model = rv.Sequential([rv.Input((5, 4)), L.LSTM(3)])
    state = torch_state(model)
    key = next(key for key in state if "bias_hh" in key)
    state[key] = np.arange(12, dtype=np.float32)
    torch.save(state, tmp_path / "a.pt")
    model.load_weights(tmp_path / "a.pt")
    both = state[key] + state[key.replace("hh", "ih")]
    assert np.array_equal(model.get_weights()[2], both)
