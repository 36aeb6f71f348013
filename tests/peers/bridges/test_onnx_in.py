"""Models of ONNX: its own tests of operators, models that PyTorch exported, what is refused, damaged files."""

import copy
import functools
import io
import re
import time
import warnings
from collections import Counter

import numpy as np
import pytest

import ranvier as rv
from ranvier.data.files import CheckpointError
from ranvier.interop.foreign import UnsupportedError
from ranvier.interop.inspecting import inspect
from tests.interop.damage import WHOLE, damaged, described

onnx = pytest.importorskip("onnx")
torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
helper, FLOAT, INT64 = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64


@pytest.fixture(autouse=True)
def _reference():
    rv.set_engine("reference")
    yield
    rv.set_engine("native")


@functools.cache
def cases(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_model_tests

        return load_model_tests(kind=kind)


def data_of(case):
    """The model of a case, and its inputs and outputs."""
    if case.model is not None:
        return case.model, case.data_sets
    from pathlib import Path

    folder = Path(case.model_dir)
    sets = []
    for part in sorted(folder.glob("test_data_set_*")):
        found = []
        for kind in ("input", "output"):
            files = sorted(part.glob(f"{kind}_*.pb"), key=lambda p: int(p.stem.split("_")[1]))
            found.append([onnx.numpy_helper.to_array(onnx.TensorProto.FromString(f.read_bytes())) for f in files])
        sets.append(found)
    return onnx.load(folder / "model.onnx"), sets


def outcome(case):
    """ "passed" or "refused"; raises AssertionError for anything else."""
    from onnx.backend.test.runner import Runner

    from ranvier.interop import onnx as backend

    model, sets = data_of(case)
    try:
        prepared = backend.prepare(model)
        found = [prepared.run(inputs) for inputs, _ in sets]
    except backend.UnsupportedError as error:
        if not re.search("operator|element type|input", str(error)):
            raise
        return "refused"
    for (_, expected), ours in zip(sets, found, strict=True):
        Runner.assert_similar_outputs(expected, ours, case.rtol, case.atol)
    return "passed"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("kind", "least"), [("node", 1452), ("pytorch-converted", 82), ("pytorch-operator", 35)])
def test_onnx_has_no_case_that_is_wrong(kind, least):
    """1,884 tests of operators and 117 models from PyTorch; the sample is every twelfth."""
    step = 1 if WHOLE else 12
    counts = Counter(map(outcome, cases(kind)[::step]))
    assert counts["passed"] >= least // step * (1 if WHOLE else 0.9), counts


def exported(module, *inputs, **options):
    file = io.BytesIO()
    names = [f"x{i}" for i in range(len(inputs))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), inputs, file, dynamo=False, input_names=names, output_names=["y"], opset_version=17,
            dynamic_axes={name: {0: "n"} for name in [*names, "y"]}, **options,
        )  # fmt: skip
    return file.getvalue()


class Recurrent(torch.nn.Module):  # type: ignore[name-defined,misc]  # of the other library
    def __init__(self):
        super().__init__()
        self.cells, self.last = torch.nn.LSTM(4, 5, batch_first=True), torch.nn.Linear(5, 2)

    def forward(self, x):
        return self.last(self.cells(x)[0][:, -1])


class Layered(torch.nn.Module):  # type: ignore[name-defined,misc]  # likewise
    def __init__(self):
        super().__init__()
        self.cells = torch.nn.LSTM(4, 5, num_layers=2, batch_first=True, bidirectional=True)
        self.last = torch.nn.Linear(10, 2)

    def forward(self, x):
        return self.last(self.cells(x)[0][:, -1])


class Transformer(torch.nn.Module):  # type: ignore[name-defined,misc]  # likewise
    def __init__(self):
        super().__init__()
        self.words = torch.nn.Embedding(11, 8)
        layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.layers = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.last = torch.nn.Linear(8, 2)

    def forward(self, x):
        return self.last(self.layers(self.words(x)).mean(1))


class Two(torch.nn.Module):  # type: ignore[name-defined,misc]  # likewise
    def __init__(self):
        super().__init__()
        self.first, self.norm = torch.nn.Linear(4, 3), torch.nn.LayerNorm(3)

    def forward(self, a, b):
        return self.norm(self.first(a) * 2 - torch.nn.functional.gelu(b)).softmax(-1)


class Larger(torch.nn.Module):  # type: ignore[name-defined,misc]  # likewise
    def forward(self, x):
        wide = torch.nn.functional.interpolate(x, size=(7, 9), mode="bilinear")
        return torch.nn.functional.interpolate(wide, scale_factor=2, mode="nearest").mean((2, 3))


def pictures(name):
    models = pytest.importorskip("torchvision").models
    return lambda: (getattr(models, name)(num_classes=5), (torch.randn(2, 3, 32, 32),))


NETWORKS = {
    "layers": lambda: (torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(8, 3)), (torch.randn(2, 4),)),
    "recurrent": lambda: (Recurrent(), (torch.randn(2, 6, 4),)),
    "two layers": lambda: (Layered(), (torch.randn(2, 6, 4),)),
    "transformer": lambda: (Transformer(), (torch.randint(0, 11, (2, 6)),)),
    "two inputs": lambda: (Two(), (torch.randn(2, 4), torch.randn(2, 3))),
    "larger": lambda: (Larger(), (torch.randn(2, 3, 4, 5),)),
    "resnet18": pictures("resnet18"),
    "mobilenet_v2": pictures("mobilenet_v2"),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS if WHOLE else ["layers", "recurrent", "transformer", "two inputs", "larger"])
def test_models_of_pytorch_predict_train_on_and_are_saved(name, tmp_path):
    torch.manual_seed(0)
    module, inputs = NETWORKS[name]()
    (tmp_path / "a.onnx").write_bytes(exported(module, *inputs))
    model = rv.from_onnx(tmp_path / "a.onnx")
    more = [
        torch.cat([x, x + 1, x - 1] if x.is_floating_point() else [x, x, x]) for x in inputs
    ]  # another size of the batch
    expected = module(*more).detach().numpy()
    x = [a.numpy() for a in more] if len(more) > 1 else more[0].numpy()
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-5 * np.abs(expected).max())
    again = model.to_torch()
    assert list(again.state_dict()) == list(model.state_dict())
    np.testing.assert_allclose(again(*more).detach().numpy(), expected, atol=1e-5 * np.abs(expected).max())
    if name in ("layers", "two inputs"):
        assert {n for n in module.state_dict() if n.endswith("bias")} <= set(model.state_dict())
    if name in ("resnet18", "mobilenet_v2", "larger"):
        return
    model.compile(rv.optimizers.SGD(0.01), "mse")
    losses = model.fit(x, np.zeros_like(expected), epochs=4, verbose=0, ignore="RV").history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "a.ranvier")
    again = rv.load_model(tmp_path / "a.ranvier")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


# --- what is refused ----------------------------------------------------------------------------------------------


def graph(*nodes, inputs=None, weights=(), version=18, domains=()):
    x = inputs or [helper.make_tensor_value_info("x", FLOAT, ["n", 3])]
    y = [helper.make_tensor_value_info("y", FLOAT, ["n", "m"])]
    imports = [helper.make_opsetid("", version), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(
        helper.make_graph(list(nodes), "g", x, y, list(weights)), opset_imports=imports, ir_version=8
    )


RELU = helper.make_node("Relu", ["x"], ["y"])
REFUSED = {
    "an operator": (graph(helper.make_node("Custom", ["x"], ["y"], domain="mine"), domains=["mine"]), "the operator mine.Custom"),
    "one of ONNX": (graph(helper.make_node("NonMaxSuppression", ["x", "x"], ["y"])), "operator NonMaxSuppression|damaged"),
    "an old version": (graph(RELU, version=5), "of version 5, and 6 is the oldest"),
    "a new version": (graph(RELU, version=99), "of version 99|damaged"),
    "a type": (graph(helper.make_node("Cast", ["x"], ["y"], to=onnx.TensorProto.COMPLEX64)), "damaged|complex64"),
}  # fmt: skip


def test_all_operators_that_are_unknown_are_listed():
    nodes = [helper.make_node(kind, ["x"], [kind], domain="mine") for kind in ("One", "Two")]
    model = graph(*nodes, helper.make_node("Add", ["One", "Two"], ["y"]), domains=["mine"])
    with pytest.raises(CheckpointError, match=r"the operator mine.One .*; the operator mine.Two .*is not known"):
        rv.from_onnx(model)


def test_recurrences_of_any_length_and_indices_that_are_out_of_range(tmp_path):
    """They leave again, as files and as modules of PyTorch."""
    start = rv.Sequential(
        [rv.Input((None,), dtype="int32"), rv.layers.Embedding(7, 4), rv.layers.GRU(3), rv.layers.Dense(2)]
    )
    start.export(tmp_path / "a.onnx")
    model = rv.from_onnx(tmp_path / "a.onnx")
    model.export(tmp_path / "b.onnx")
    again, module = rv.from_onnx(tmp_path / "b.onnx"), copy.deepcopy(model.to_torch())
    for length in (3, 8):
        ids = np.arange(2 * length, dtype=np.int32).reshape(2, length) % 7
        expected = start.predict(ids, verbose=0)
        np.testing.assert_allclose(again.predict(ids, verbose=0), expected, atol=1e-6)
        np.testing.assert_allclose(module(torch.from_numpy(ids)).detach().numpy(), expected, atol=1e-6)
    with pytest.raises(IndexError, match="index 9 is out of range for a dimension of 7, in row 1, position 0"):
        model.predict(np.array([[1, 2], [9, 0]], np.int32), verbose=0)
    with pytest.raises(IndexError, match="out of range"):
        module(torch.full((2, 3), 9, dtype=torch.int32))


@pytest.mark.parametrize("name", REFUSED)
def test_models_that_are_refused(name, tmp_path):
    model, said = REFUSED[name]
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match=said):
        rv.from_onnx(tmp_path / "a.onnx").predict(np.ones((2, 3), np.float32), verbose=0)


def functions(count, width=2, last=None):
    """Functions that call the next one several times each: 2**31 operators in 2 KB; the last is an operator, or calls."""
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("f", 1)]
    calls = [(f"F{i + 1}", "f") for i in range(count - 1)] + [last or ("Relu", "")]
    made = []
    for i, (call, domain) in enumerate(calls):
        nodes = [helper.make_node(call, [f"t{k}"], [f"t{k + 1}"], domain=domain) for k in range(width)]
        made.append(helper.make_function("f", f"F{i}", ["t0"], [f"t{width}"], nodes, imports))
    model = graph(helper.make_node("F0", ["x"], ["y"], domain="f"), domains=["f"])
    model.functions.extend(made)
    return model


def loops(depth, steps):
    value, body = helper.make_tensor_value_info, None
    for d in range(depth):
        step = (
            helper.make_node("Loop", ["n", "go", f"v{d}"], [f"w{d}"], body=body)
            if body
            else helper.make_node("Relu", [f"v{d}"], [f"w{d}"])
        )
        inputs = [value(f"i{d}", INT64, []), value(f"c{d}", BOOL, []), value(f"v{d}", FLOAT, ["n", 3])]
        outputs = [value(f"k{d}", BOOL, []), value(f"w{d}", FLOAT, ["n", 3])]
        body = helper.make_graph([helper.make_node("Identity", [f"c{d}"], [f"k{d}"]), step], f"b{d}", inputs, outputs)
    weights = [array("n", steps), array("go", True)]
    return graph(helper.make_node("Loop", ["n", "go", "x"], ["y"], body=body), weights=weights)


def array(name, value):
    return onnx.numpy_helper.from_array(np.asarray(value), name)


def of_shape(op, *inputs, **values):
    """A sum of a value of 2**40 numbers."""
    nodes = helper.make_node(op, inputs, ["k"]), helper.make_node("ReduceSum", ["k"], ["r"], keepdims=0)
    cast = helper.make_node("Cast", ["r"], ["c"], to=FLOAT)
    weights = [array(name, value) for name, value in values.items()]
    return graph(*nodes, cast, helper.make_node("Add", ["x", "c"], ["y"]), weights=weights)


def shared(count):
    """Weights that are all the same bytes of another file."""
    weights = []
    for i in range(count):
        weights.append(onnx.TensorProto(name=f"w{i}", data_type=FLOAT, dims=[1 << 18], data_location=1))
        for key, value in (("location", "w.bin"), ("length", str(1 << 20))):
            weights[-1].external_data.add(key=key, value=value)
    return graph(RELU, weights=weights)


BOOL, SIDE = onnx.TensorProto.BOOL, 1 << 20
HOSTILE = {
    "functions": (functions(31), "expand to 2,147,483,648 operators, beyond the budget of 100,000"),
    "deep functions": (functions(2000, 1), "functions are nested more than 16 deep"),
    "a circle": (functions(3, last=("F0", "f")), "function 'F0' calls itself"),
    "a loop": (loops(1, 1 << 39), "more than 100,000 steps"),
    "loops": (loops(5, 100), "the budget of 300,000 operators that its loops may run"),
    "ConstantOfShape": (of_shape("ConstantOfShape", "s", s=[SIDE, SIDE]), "beyond the budget of 134,217,728 numbers"),
    "Expand": (of_shape("Expand", "x", "s", s=[SIDE, SIDE, 1, 3]), "beyond the budget of 2,147,483,648 numbers"),
    "Tile": (of_shape("Tile", "o", "s", o=[[1.0]], s=[SIDE, SIDE]), "operator Tile .*beyond the budget"),
    "Range": (of_shape("Range", "a", "b", "d", a=0, b=1 << 38, d=1), "operator Range .*beyond the budget"),
    "OneHot": (of_shape("OneHot", "i", "n", "v", i=[0], n=1 << 38, v=[0, 1]), "operator OneHot .*beyond the budget"),
    "other files": (shared(200), "takes 209,715,200 bytes of other files, beyond the budget of 71,303,168"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_expansions_have_budgets_that_the_error_names(name, tmp_path):
    """Within ten times the time of ONNX's own check, or 0.3 s; that of the nested functions would take hours."""
    model, said = HOSTILE[name]
    path = tmp_path / "a.onnx"
    path.write_bytes(model.SerializeToString())
    (tmp_path / "w.bin").write_bytes(bytes(1 << 20))
    began = time.process_time()
    if name not in ("functions", "a circle", "deep functions"):
        onnx.checker.check_model(path, full_check=True)
    limit = max(0.3, 10 * (time.process_time() - began))
    began = time.process_time()
    try:
        read = rv.from_onnx(path)
    except CheckpointError as error:
        assert re.search(said, str(error))  # noqa: PT017  # whichever of the two raises, its time is measured
        with pytest.raises(CheckpointError, match=said):
            inspect(path)
    else:
        with pytest.raises(UnsupportedError, match=said):
            read.predict(np.ones((2, 3), np.float32), verbose=0)
        began = time.process_time()
        rv.from_onnx(path)
    assert time.process_time() - began < limit


def test_only_a_path_leads_to_other_files(tmp_path, monkeypatch):
    """A model in memory, and so one in a file of this library, names none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.bin").write_bytes(bytes(1 << 20))
    with pytest.raises(CheckpointError, match=r"'w0' are in another file. Write from_onnx\(path\)"):
        rv.from_onnx(shared(1))


@pytest.mark.parametrize("kind", ["FLOAT16", "BFLOAT16", "FLOAT", "DOUBLE"])
def test_a_model_infers_until_it_is_trained_and_its_types_stay(kind, tmp_path):
    number, name = getattr(onnx.TensorProto, kind), {"FLOAT": "float32", "DOUBLE": "float64"}.get(kind, kind.lower())
    model = graph(
        helper.make_node("Dropout", ["x"], ["y"]), inputs=[helper.make_tensor_value_info("x", number, ["n", 3])]
    )
    model.graph.output[0].type.tensor_type.elem_type = number
    found = rv.from_onnx(model)
    found.save(tmp_path / "a.ranvier")
    x = np.ones((50, 3), "float64" if kind == "DOUBLE" else "float32")
    for each in (found, rv.load_model(tmp_path / "a.ranvier")):
        y = each(x)
        assert (each.training, str(y.dtype), bool((y.float() == 1).all())) == (False, name, True)
        assert each.predict(x, verbose=0).dtype == ("float32" if kind == "BFLOAT16" else name)
    found.train()
    assert (found(x).numpy() == 0).any()


def test_a_shape_that_depends_on_data_is_refused(tmp_path):
    from ranvier.interop.onnx import UnsupportedError

    shape = helper.make_tensor_value_info("s", INT64, [2])
    x = helper.make_tensor_value_info("x", FLOAT, ["n", 4])
    model = rv.from_onnx(graph(helper.make_node("Reshape", ["x", "s"], ["y"]), inputs=[x, shape]))
    with pytest.raises(UnsupportedError, match=r"operator Reshape .*depends on the data"):
        model.predict([np.ones((2, 4), np.float32), np.array([2, 4])], verbose=0)


def test_rows_are_numbered_with_the_size_at_hand():
    """As the masks of GPT-2 and Llama are, where PyTorch exports them."""
    numbers = {"zero": np.array(0), "one": np.array(1), "last": np.array([1])}
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]), helper.make_node("Gather", ["shape", "zero"], ["rows"]),
        helper.make_node("Range", ["zero", "rows", "one"], ["range"]), helper.make_node("Gather", ["x", "range"], ["same"]),
        helper.make_node("Unsqueeze", ["range", "last"], ["column"]), helper.make_node("Cast", ["column"], ["n"], to=FLOAT),
        helper.make_node("Add", ["same", "n"], ["y"]),
    ]  # fmt: skip
    model = rv.from_onnx(graph(*nodes, weights=[onnx.numpy_helper.from_array(a, name) for name, a in numbers.items()]))
    for rows in (5, 3):
        x = np.ones((rows, 3), np.float32)
        wanted = x + np.arange(rows)[:, None]
        np.testing.assert_array_equal(model.predict(x, verbose=0), wanted)
        np.testing.assert_array_equal(model(x), wanted)


def test_a_model_is_called_on_numbers_and_their_shape():
    sizes = [
        helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in (("x", FLOAT, ["n", 4]), ("shape", INT64, [3]), ("y", FLOAT, ["a", "b", "c"]))
    ]
    graph = helper.make_graph([helper.make_node("Reshape", ["x", "shape"], ["y"])], "g", sizes[:2], sizes[2:])
    model = rv.from_onnx(helper.make_model(graph))
    x = np.arange(20, dtype=np.float32).reshape(5, 4)
    for shape in (np.array([5, 2, 2]), [5, 2, 2], rv.Tensor(np.array([5, 2, 2]))):
        np.testing.assert_array_equal(model([x, shape]), x.reshape(5, 2, 2))


def test_what_takes_the_number_of_rows_has_that_at_hand():
    """A batch that is cut in two, and one that divides: no number stands for its size in what is computed."""
    shape = onnx.numpy_helper.from_array(np.array([2, -1]), "s")
    cut = rv.from_onnx(graph(helper.make_node("Reshape", ["x", "s"], ["y"]), weights=[shape]))
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.testing.assert_array_equal(cut.predict(x[:2], verbose=0), x[:2])
    with pytest.raises(ValueError, match="a row for each sample"):
        cut.predict(x, verbose=0)
    first = onnx.numpy_helper.from_array(np.array(0), "first")
    divided = rv.from_onnx(graph(
        helper.make_node("Shape", ["x"], ["shape"]), helper.make_node("Gather", ["shape", "first"], ["rows"]),
        helper.make_node("Cast", ["rows"], ["number"], to=FLOAT), helper.make_node("Div", ["x", "number"], ["y"]),
        weights=[first],
    ))  # fmt: skip
    np.testing.assert_array_equal(divided.predict(x, verbose=0), x / 4)


@pytest.mark.parametrize("place", ["../w.bin", "/etc/hostname", "w.bin", ""])
def test_external_data_are_read_only_from_the_folder(place, tmp_path):
    folder = tmp_path / "inner"
    folder.mkdir()
    (tmp_path / "w.bin").write_bytes(bytes(64))
    weight = onnx.numpy_helper.from_array(np.ones((3,), np.float32), "w")
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", place), ("offset", "0"), ("length", "12")):
        weight.external_data.add(key=key, value=value)
    model = graph(helper.make_node("Mul", ["x", "w"], ["y"]), weights=[weight])
    (folder / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match=r"not in a file of its folder"):
        rv.from_onnx(folder / "a.onnx")
    if place == "w.bin":
        (folder / "w.bin").write_bytes(np.arange(3, dtype=np.float32).tobytes())
        found = rv.from_onnx(folder / "a.onnx").predict(np.ones((1, 3), np.float32), verbose=0)
        assert found.tolist() == [[0, 1, 2]]
        (folder / "w.bin").write_bytes(bytes(4))
        with pytest.raises(CheckpointError, match="beyond the end"):
            rv.from_onnx(folder / "a.onnx")


def test_half_floats_are_widened_with_a_warning(tmp_path):
    weight = onnx.numpy_helper.from_array(np.full((3,), 0.5, np.float16), "w")
    x = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT16, ["n", 3])]
    model = helper.make_model(
        helper.make_graph([helper.make_node("Mul", ["x", "w"], ["y"])], "g", x, [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT16, ["n", 3])], [weight]),
        opset_imports=[helper.make_opsetid("", 18)],
    )  # fmt: skip
    with pytest.warns(UserWarning, match="1 weights of 16-bit floats"):
        found = rv.from_onnx(model)
    assert found.predict(np.ones((1, 3), np.float32), verbose=0).tolist() == [[0.5, 0.5, 0.5]]


def of_layers(path):
    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    path.write_bytes(exported(module, torch.randn(2, 4)))
    return np.ones((2, 4), np.float32)


def of_images(path):
    layers = rv.layers
    rv.Sequential([
        rv.Input((6, 6, 2)), layers.Conv2D(2, 3, activation="gelu"), layers.BatchNormalization(), layers.MaxPooling2D(),
        layers.UpSampling2D(2), layers.Flatten(), layers.Dense(2, "softmax"),
    ]).export(path)  # fmt: skip
    return np.ones((2, 6, 6, 2), np.float32)


def of_steps(path):
    cells = [rv.layers.GRUCell(2), rv.layers.GRUCell(2)]
    rv.Sequential([rv.Input((4, 2)), rv.layers.LSTM(2, return_sequences=True), rv.layers.RNN(cells)]).export(path)
    return np.ones((2, 4, 2), np.float32)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("make", [of_layers, of_images, of_steps])
def test_damaged_models_are_refused_or_run(make, tmp_path):
    """There is no checksum: what ONNX itself takes for a model runs, or is refused by name."""
    x = make(tmp_path / "a.onnx")
    data, refused = (tmp_path / "a.onnx").read_bytes(), 0
    for part in damaged(data, seed=6):
        (tmp_path / "a.onnx").write_bytes(part)
        described(tmp_path / "a.onnx")
        try:
            model = rv.from_onnx(tmp_path / "a.onnx")
            model.predict(x, verbose=0)
        except (ValueError, TypeError):
            refused += 1
    assert refused


def test_the_convention_of_backends():
    from ranvier.interop import onnx as backend

    assert backend.supports_device("CPU")
    assert not backend.supports_device("CUDA")
    x = np.array([[-1.0, 2.0]], np.float32)
    assert backend.run_node(helper.make_node("Relu", ["x"], ["y"]), [x])[0].tolist() == [[0, 2]]
    model = graph(helper.make_node("Neg", ["x"], ["y"]))
    assert backend.prepare(model).run({"x": x})[0].tolist() == [[1, -2]]
    assert backend.run_model(model, [x])[0].tolist() == [[1, -2]]
    with pytest.raises(ValueError, match="Write 'CPU' instead"):
        backend.prepare(model, "CUDA")


def test_the_document_about_other_libraries(tmp_path):
    from tests.test_docs import DOCUMENTS, verify

    verify(next(path for path in DOCUMENTS if path.name == "interop.md"), tmp_path)
