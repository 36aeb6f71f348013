"""What `ranvier inspect` says of a file of each format, what `ranvier convert` writes, and what is refused."""

import io
import json
import zipfile

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier.cli.conversion import convert
from ranvier.data.files import CheckpointError
from ranvier.interop.inspecting import inspect

DENSE = [((3, 4), "float32"), ((4,), "float32")]


def model():
    made = rv.Sequential([rv.Input((3,)), rv.layers.Dense(4, "relu", name="hidden")], name="small")
    made.compile("adam", "mse")
    return made


def keras(path):
    pytest.importorskip("h5py")
    model().save(path)


def keras_weights(path):
    pytest.importorskip("h5py")
    model().save_weights(path)


def onnx(path):
    pytest.importorskip("onnx")
    model().export(path)


def checkpoint(path):
    torch.save({"net": {"w": torch.ones(2, 3)}, "all": [torch.zeros(4, dtype=torch.bfloat16)], "epoch": 3}, path)


def shards(path):
    torch.save({"a": torch.ones(2)}, path.parent / "one.safetensors")
    path.write_text(json.dumps({"weight_map": {"a": "one.safetensors"}}))


FILES = {
    "a.ranvier": (lambda path: model().save(path), "Ranvier", {"compiled": "Adam"}, DENSE[::-1]),
    "a.keras": (keras, "Keras 3", {"layers": "1 InputLayer, 1 Dense", "compiled": "Adam"}, DENSE),
    "a.h5": (keras, "Keras HDF5", {}, DENSE),
    "a.onnx": (onnx, "ONNX", {"operators": "1 Gemm, 1 Relu, 1 Identity", "versions": "ai.onnx 21"}, DENSE),
    "a.pt": (checkpoint, "PyTorch checkpoint", {}, [((2, 3), "float32"), ((4,), "bfloat16")]),
    "a.safetensors": (lambda path: torch.save({"a": torch.ones(2)}, path), "safetensors", {}, [((2,), "float32")]),
    "a.index.json": (shards, "safetensors in shards", {"files": "one.safetensors"}, [((2,), "float32")]),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_described(name, tmp_path):
    make, kind, facts, tensors = FILES[name]
    make(tmp_path / name)
    found = inspect(tmp_path / name)
    assert found.format == kind
    assert facts.items() <= found.facts.items()
    assert [(row.shape, row.dtype) for row in found.rows] == tensors
    *_, last = found.lines()
    size = sum(row.bytes for row in found.rows)
    assert last.endswith(f"{size:,} bytes")


def nested(path):
    pytest.importorskip("h5py")
    start = rv.Input((4,), name="a")
    inner = rv.Sequential([rv.Input((3,)), rv.layers.Dense(2, name="deep")], name="inner")
    made = rv.Model(start, rv.layers.Flatten(name="flat")(inner(rv.layers.Dense(3, name="one")(start))))
    made.compile("adam", "mse")
    made.save(path)


LAYERS = {
    "a.ranvier": (nested, ["a (Input) 0", "one (Dense) 15", "inner/deep (Dense) 8", "flat (Flatten) 0"]),
    "a.keras": (nested, ["a (InputLayer) 0", "one (Dense) 15", "inner/inner_input (InputLayer) 0", "inner/deep (Dense) 8", "flat (Flatten) 0"]),
    "a.h5": (nested, ["a (InputLayer) 0", "one (Dense) 15", "inner (Sequential) 8", "flat (Flatten) 0"]),
    "b.weights.h5": (keras_weights, ["hidden 16"]),
    "a.onnx": (onnx, ["hidden/Gemm (Gemm) 16", "hidden/Relu (Relu) 0", "output/y (Identity) 0"]),
    "a.pt": (checkpoint, ["all 4", "net 6"]),
    "a.safetensors": (lambda path: torch.save({"x.w": torch.ones(2), "x.b": torch.ones(1), "y.w": torch.ones(3)}, path), ["x 3", "y 3"]),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers_have_their_names_classes_and_parameters(name, tmp_path):
    make, expected = LAYERS[name]
    make(tmp_path / name)
    found = inspect(tmp_path / name)
    layers = [f"{layer.title} {sum(row.numbers for row in layer.rows)}" for layer in found.layers]
    assert [text for text in layers if not text.startswith("optimizer")] == expected
    shown = "\n".join(found.lines())
    assert all(text.rpartition(" ")[0] in shown for text in expected)


def test_a_name_does_not_move_the_cursor(tmp_path):
    torch.save({"a\x1b[2J.w": torch.ones(2)}, tmp_path / "a.safetensors")
    assert "\x1b" not in "".join(inspect(tmp_path / "a.safetensors").lines())


def test_the_numbers_of_a_checkpoint_are_not_read(tmp_path):
    checkpoint(tmp_path / "a.pt")
    file = io.BytesIO()
    with zipfile.ZipFile(tmp_path / "a.pt") as whole, zipfile.ZipFile(file, "w") as part:
        part.writestr("archive/data.pkl", whole.read("archive/data.pkl"))
    (tmp_path / "b.pt").write_bytes(file.getvalue())
    assert inspect(tmp_path / "b.pt").rows == inspect(tmp_path / "a.pt").rows


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04" + bytes(40), b"\x89HDF\r\n\x1a\n" + bytes(40), b"\x02" + bytes(7) + b"{}", b"text"]
)
def test_what_is_no_model_is_refused(data, tmp_path):
    if data.startswith(b"\x89"):
        pytest.importorskip("h5py")
    (tmp_path / "a").write_bytes(data)
    if data.endswith(b"{}"):
        assert inspect(tmp_path / "a").rows == []
        return
    with pytest.raises(CheckpointError):
        inspect(tmp_path / "a")


def test_a_file_of_another_kind_than_its_name_says_is_told_by_its_bytes(tmp_path):
    pytest.importorskip("h5py")
    pytest.importorskip("onnx")
    model().save(tmp_path / "keras.pt.keras")
    model().export(tmp_path / "onnx.keras.onnx")
    model().save_weights(tmp_path / "torch.onnx.pt")
    for name, read, said in (
        ("keras.pt", torch.load, "is a file of Keras. Write rv.load_model"), ("onnx.keras", rv.load_model, "Write rv.from_onnx"),
        ("torch.onnx", rv.from_onnx, "is a checkpoint of PyTorch. Write ranvier.torch.load"), ("onnx.keras", torch.load, "Write rv.from_onnx"),
    ):  # fmt: skip
        (source,) = tmp_path.glob(f"{name}.*")
        (tmp_path / name).write_bytes(source.read_bytes())
        with pytest.raises(CheckpointError, match=said):
            read(tmp_path / name)
        (tmp_path / name).unlink()


def test_models_are_converted(tmp_path):
    pytest.importorskip("h5py")
    start = model()
    start.save(tmp_path / "a.ranvier")
    convert(tmp_path / "a.ranvier", tmp_path / "b.keras")
    convert(tmp_path / "b.keras", tmp_path / "c.ranvier")
    x = np.ones((2, 3), np.float32)
    rv.set_engine("reference")
    assert rv.load_model(tmp_path / "c.ranvier").predict(x, verbose=0).tolist() == start.predict(x, verbose=0).tolist()
    rv.set_engine("native")


def test_weights_are_converted(tmp_path):
    torch.save(model().state_dict(), tmp_path / "a.pt")
    convert(tmp_path / "a.pt", tmp_path / "b.safetensors")
    convert(tmp_path / "b.safetensors", tmp_path / "c.pth")
    found = torch.load(tmp_path / "c.pth")
    assert {name: value.shape for name, value in found.items()} == {"0.kernel": (3, 4), "0.bias": (4,)}
    with pytest.raises(ValueError, match=r"is for weights alone.*Write --model FILE"):
        convert(tmp_path / "a.pt", tmp_path / "d.keras")
    with pytest.raises(ValueError, match=r"the end of .*d.kears says no format. .*Did you mean .keras\?"):
        convert(tmp_path / "a.pt", tmp_path / "d.kears")


def test_models_become_weights_and_programs(tmp_path):
    start = model()
    start.save(tmp_path / "a.ranvier")
    for end in (".pt", ".safetensors"):
        convert(tmp_path / "a.ranvier", tmp_path / f"b{end}")
        found = torch.load(tmp_path / f"b{end}")
        assert {name: tuple(value.shape) for name, value in found.items()} == {"0.weight": (4, 3), "0.bias": (4,)}
        assert np.array_equal(found["0.weight"].numpy().T, start[0].kernel.numpy())
        convert(tmp_path / f"b{end}", tmp_path / "c.ranvier", tmp_path / "a.ranvier")
        again = rv.load_model(tmp_path / "c.ranvier")
        assert all(map(np.array_equal, again.get_weights(), start.get_weights()))
    convert(tmp_path / "a.ranvier", tmp_path / "d.safetensors", max_shard_size="20B")
    assert (tmp_path / "d.safetensors.index.json").exists()
    for library, word in (("ranvier", "import ranvier as rv"), ("torch", "nn.Linear(3, 4)"), ("keras", "import keras")):
        convert(tmp_path / "a.ranvier", tmp_path / "e.py", library=library)
        assert word in (tmp_path / "e.py").read_text()


def test_the_commands(tmp_path):
    from typer.testing import CliRunner

    from ranvier.cli.main import app

    torch.save({"a": torch.ones(2, 3)}, tmp_path / "a.pt")
    result = CliRunner().invoke(app, ["inspect", str(tmp_path / "a.pt")])
    assert result.exit_code == 0
    assert "PyTorch checkpoint" in result.stdout
    assert "1 tensors, 6 numbers, 24 bytes" in result.stdout
    result = CliRunner().invoke(app, ["convert", str(tmp_path / "a.pt"), str(tmp_path / "b.safetensors")])
    assert (result.exit_code, (tmp_path / "b.safetensors").exists()) == (0, True)
    assert CliRunner().invoke(app, ["convert", str(tmp_path / "a.pt"), str(tmp_path / "c.onnx")]).exit_code == 1
    assert CliRunner().invoke(app, ["inspect", str(tmp_path / "none")]).exit_code == 1


def linked(path, how):
    path.with_name("other" + path.suffix).unlink(missing_ok=True)
    getattr(path.with_name("other" + path.suffix), how)(path)
    return path.with_name("other" + path.suffix)


SPELLINGS = {
    "itself": lambda path: path,
    "another spelling": lambda path: path.parent / ".." / path.parent.name / path.name,
    "a link": lambda path: linked(path, "symlink_to"),
    "a hard link": lambda path: linked(path, "hardlink_to"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_source_is_not_overwritten(spelling, tmp_path):
    """By any name, nor a part of it, nor by other commands that read and write."""
    from typer.testing import CliRunner

    from ranvier.cli.main import app

    start = model()
    start.save(tmp_path / "a.ranvier")
    start.save_weights(tmp_path / "b.pt")
    torch.save(torch.load(tmp_path / "b.pt"), tmp_path / "s.safetensors", max_shard_size="20B")
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text("{}")
    (tmp_path / "run.csv").write_text("a,b\n1,2\n")
    (tmp_path / "page.html").hardlink_to(run / "run.json")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    of = SPELLINGS[spelling]
    for command in (
        ["convert", tmp_path / "a.ranvier", of(tmp_path / "a.ranvier")],
        ["convert", tmp_path / "b.pt", of(tmp_path / "b.pt")],
        ["convert", tmp_path / "b.pt", of(tmp_path / "a.ranvier"), "--model", tmp_path / "a.ranvier"],
        ["convert", tmp_path / "s.safetensors.index.json", tmp_path / "s.safetensors"],
        ["predict", run, tmp_path / "run.csv", "--out", of(tmp_path / "run.csv")],
        ["train", run / "run.json", "--out", run],
        ["train", tmp_path / "run.csv", "--out", of(tmp_path / "run.csv")],
        ["report", run, "--out", tmp_path / "page.html"],
    ):
        result = CliRunner().invoke(app, list(map(str, command)))
        assert (result.exit_code, "which is read here" in result.output) == (1, True), (command, result.output)
    assert {path: path.read_bytes() for path in before} == before


def test_the_command_refuses_what_points_outside_its_folder(tmp_path):
    onnx = pytest.importorskip("onnx")
    from typer.testing import CliRunner

    from ranvier.cli.main import app

    (tmp_path / "w.bin").write_bytes(bytes(16))
    inner = tmp_path / "inner"
    inner.mkdir()
    weight = onnx.TensorProto(name="w", data_type=1, dims=[3], data_location=1)
    for key, value in (("location", "../w.bin"), ("length", "12")):
        weight.external_data.add(key=key, value=value)
    x, y = (onnx.helper.make_tensor_value_info(name, 1, ["n", 3]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Mul", ["x", "w"], ["y"])], "g", [x], [y], [weight])
    (inner / "a.onnx").write_bytes(onnx.helper.make_model(graph).SerializeToString())
    (inner / "model.safetensors.index.json").write_text('{"weight_map": {"w": "../w.bin"}}')
    for name in ("a.onnx", "model.safetensors.index.json"):
        result = CliRunner().invoke(app, ["inspect", str(inner / name)])
        assert result.exit_code == 1, result.output
