"""Models as files of ONNX: its runtime predicts what they predict here; what has no operators is refused."""

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier import layers
from ranvier.interop.onnx.exporting import to_proto
from ranvier.interop.onnx.layer_rows import LAYERS
from ranvier.torch import nn
from tests.layers.test_layers import ROWS

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.peers
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(5, 8, 8, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def _reference():
    rv.set_engine("reference")
    yield
    rv.set_engine("native")


def runs(path, *inputs):
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {given.name: array for given, array in zip(session.get_inputs(), inputs, strict=True)})


def agrees(model, path, *inputs):
    expected = model.predict(list(inputs) if len(inputs) > 1 else inputs[0], verbose=0)
    expected = list(expected) if isinstance(expected, (list, tuple)) else [expected]
    for ours, theirs in zip(expected, runs(path, *inputs), strict=True):
        assert ours.shape == theirs.shape
        scale = max(1.0, float(np.abs(ours).max())) if ours.size else 1.0
        np.testing.assert_allclose(theirs, ours, atol=1e-5 * scale)


def test_each_layer_predicts_in_onnx_runtime_or_is_refused_by_name(tmp_path):
    left, refused = set(), []
    for name, row in ROWS.items():
        make, x = row[0], row[1]
        arrays = [np.asarray(a) for a in (x if isinstance(x, (list, tuple)) else [x])]
        layer = make()
        if any(a.dtype != np.float32 for a in arrays) or getattr(layer, "is_input", False):
            continue
        starts = [rv.Input(a.shape[1:]) for a in arrays]
        model = rv.Model(starts if len(starts) > 1 else starts[0], layer(starts if len(starts) > 1 else starts[0]))
        try:
            model.export(tmp_path / "a.onnx")
        except TypeError as error:
            if repr(layer.name) not in str(error):
                raise
            refused.append(name)
            continue
        agrees(model, tmp_path / "a.onnx", *arrays)
        left.add(type(layer).__name__)
    assert len(left) >= 55
    assert len(refused) <= 55


def pictures():
    return rv.Sequential([
        rv.Input((8, 8, 3)), layers.Rescaling(0.5, 1.0), layers.Conv2D(4, 3, padding="same", activation="relu"),
        layers.BatchNormalization(), layers.MaxPooling2D(), layers.DepthwiseConv2D(3), layers.Dropout(0.5),
        layers.Flatten(), layers.Dense(3, activation="softmax", name="last"),
    ])  # fmt: skip


def branches():
    a, b = rv.Input((8, 8, 3), name="a"), rv.Input((8, 8, 3), name="b")
    shared = layers.Conv2D(4, 3, strides=2)
    inner = rv.Model(a, layers.GlobalAveragePooling2D()(shared(a)), name="inner")
    both = layers.Concatenate()([inner(a), inner(b)])
    return rv.Model([a, b], [layers.Dense(2, name="one")(both), layers.Dense(1, "sigmoid", name="two")(both)])


def of_torch():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3, groups=2),
        nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(8, 3), nn.LayerNorm(3),
    )  # fmt: skip


def test_networks_predict_in_onnx_runtime_and_come_back(tmp_path):
    model = pictures()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(IMAGES, np.arange(5) % 3, epochs=2, verbose=0, ignore="RV")
    model.export(tmp_path / "a.onnx")
    agrees(model, tmp_path / "a.onnx", IMAGES)
    proto = onnx.load(tmp_path / "a.onnx")
    held = {tensor.name for tensor in proto.graph.initializer}
    assert set(model.state_dict()) <= held
    kinds = [node.op_type for node in proto.graph.node]
    assert kinds.count("Conv") == 2
    assert kinds.count("Transpose") == 2  # one to channels first and one back
    again = rv.from_onnx(tmp_path / "a.onnx")
    expected = model.predict(IMAGES, verbose=0)
    np.testing.assert_allclose(again.predict(IMAGES, verbose=0), expected, atol=1e-6)


def test_models_with_branches(tmp_path):
    model = branches()
    model.export(tmp_path / "a.onnx")
    agrees(model, tmp_path / "a.onnx", IMAGES, IMAGES[::-1].copy())
    proto = onnx.load(tmp_path / "a.onnx")
    assert [v.name for v in proto.graph.input] == ["a", "b"]
    assert [v.name for v in proto.graph.output] == ["one", "two"]


def test_networks_of_torch(tmp_path):
    net, x = of_torch(), IMAGES.transpose(0, 3, 1, 2).copy()
    torch.onnx.export(net, torch.tensor(x[:2]), tmp_path / "a.onnx")
    net.eval()
    np.testing.assert_allclose(runs(tmp_path / "a.onnx", x)[0], net(torch.tensor(x)).detach().numpy(), atol=1e-5)


def test_what_is_refused(tmp_path):
    class Own(nn.Module):
        def forward(self, x):
            return x

    own = rv.Sequential([rv.Input((3,)), rv.layers.Dense(2, activation="squareplus", name="odd")])
    for model, said in (
        (own, r"'odd' \(Dense, made at .*'squareplus' has no operator"),
        (rv.Sequential([rv.layers.Dense(2)]), "inputs of .* are not known yet"),
        (rv.Sequential([rv.Input((3,)), Own()]), "Own, made at .*has no operators"),
    ):
        with pytest.raises(TypeError, match=said):
            model.export(tmp_path / "a.onnx")
    with pytest.raises(ValueError, match="write 'onnx'"):
        own.export(tmp_path / "a.pb", format="tf_saved_model")
    with pytest.raises(TypeError, match="writes files"):
        torch.onnx.export(own)
    assert not list(tmp_path.iterdir())


def test_two_exports_are_equal_and_every_row_is_a_layer():
    model = pictures()
    assert to_proto(model).SerializeToString() == to_proto(model).SerializeToString()
    known = {f"torch.{name}" for name in nn.__all__} | set(layers.__all__)
    assert set(LAYERS) <= known
