"""Models as files of ONNX: its runtime predicts what they predict here; what has no operators is refused."""

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier import layers
from ranvier.interop.onnx.exporting import to_proto
from ranvier.interop.onnx.layer_rows import LAYERS
from ranvier.support.tree import flatten
from ranvier.torch import nn
from ranvier.torch.nn import functional as F
from tests.interop.damage import WHOLE
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


def test_each_layer_predicts_in_onnx_runtime(tmp_path):
    """Every row of the layers' table; the sample is every third."""
    for name in list(ROWS)[:: 1 if WHOLE else 3]:
        make, x = ROWS[name][:2]
        arrays = [np.asarray(a) for a in (x if isinstance(x, (list, tuple)) else [x])]
        layer = make()
        if getattr(layer, "is_input", False):
            continue
        starts = [rv.Input(a.shape[1:], dtype=a.dtype.name) for a in arrays]
        model = rv.Model(starts if len(starts) > 1 else starts[0], layer(starts if len(starts) > 1 else starts[0]))
        model.export(tmp_path / "a.onnx")
        agrees(model, tmp_path / "a.onnx", *arrays)


def kinds_of(path):
    return [node.op_type for node in onnx.load(path).graph.node if not node.name.startswith("output/")]


ONE = {
    "transposed": (lambda: layers.Conv2DTranspose(4, 3, 2, "same"), "Transpose ConvTranspose Transpose"),
    "groups": (lambda: layers.GroupNormalization(1), "Transpose GroupNormalization Transpose"),
    "instances": (layers.InstanceNormalization, "Transpose InstanceNormalization Transpose"),
    "resized": (lambda: layers.Resizing(5, 9), "Resize"),
    "larger": (lambda: layers.UpSampling2D(2, interpolation="bilinear"), "Resize"),
    "root mean square": (layers.RMSNormalization, "RMSNormalization"),
    "activation": (lambda: layers.Activation("gelu"), "Gelu"),
}


@pytest.mark.parametrize("name", ONE)
def test_one_layer_is_one_operator_where_the_set_has_it(name, tmp_path):
    make, wanted = ONE[name]
    model = rv.Sequential([rv.Input((8, 8, 3)), make()])
    model.export(tmp_path / "a.onnx", verbose=False, opset_version=23)
    assert kinds_of(tmp_path / "a.onnx") == wanted.split()
    agrees(model, tmp_path / "a.onnx", IMAGES)
    model.export(tmp_path / "b.onnx", opset_version=18)
    assert onnx.load(tmp_path / "b.onnx").opset_import[0].version == 18
    agrees(model, tmp_path / "b.onnx", IMAGES)


@pytest.mark.parametrize("merge", ["concat", "ave", None])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_recurrent_layers_are_one_operator(kind, merge, tmp_path):
    start = rv.Input((8, 6))
    y = layers.Bidirectional(getattr(layers, kind)(4, return_sequences=True), merge)(start)
    y = layers.Add()(list(y)) if merge is None else y
    h, *states = getattr(layers, kind)(3, return_state=True, go_backwards=True)(y)
    last = getattr(layers, kind)(3, return_sequences=True, go_backwards=True)(y, initial_state=states)
    model = rv.Model(start, [h, last])
    model.export(tmp_path / "a.onnx")
    assert kinds_of(tmp_path / "a.onnx").count({"SimpleRNN": "RNN"}.get(kind, kind)) == 3
    agrees(model, tmp_path / "a.onnx", RNG.normal(size=(3, 8, 6)).astype(np.float32))


def test_masked_steps_are_no_plain_lstm(tmp_path):
    words = RNG.integers(1, 9, (3, 6)).astype(np.int32)
    words[:, 4:] = 0
    model = rv.Sequential([rv.Input((6,), dtype="int32"), layers.Embedding(9, 4, mask_zero=True), layers.LSTM(3)])
    model.export(tmp_path / "a.onnx")
    assert "LSTM" not in kinds_of(tmp_path / "a.onnx")
    agrees(model, tmp_path / "a.onnx", words)


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


def of_torch(inputs):
    return nn.Sequential(
        nn.Conv2d(inputs, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3, groups=2),
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


class Own(nn.Module):
    """A network with a ``forward`` of its own."""

    def __init__(self, forward, **parts):
        super().__init__()
        self.own = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs):
        return self.own(self, *inputs)


def residual(net, x):
    y = F.relu(net.norm(net.conv(x))) + x
    y = F.avg_pool2d(F.max_pool2d(y, 2), 2).mean((2, 3))
    return net.head(torch.flatten(y, 1))


def steps(net, x):
    h = c = torch.zeros(x.shape[0], 4)
    for t in range(x.shape[1]):
        h, c = net.cell(x[:, t], (h, c))
    return h


VECTORS, SEQUENCES = RNG.normal(size=(3, 6)).astype(np.float32), RNG.normal(size=(3, 5, 6)).astype(np.float32)
VOLUMES, CHANNELS = (
    RNG.normal(size=(2, 4, 5, 6, 5)).astype(np.float32),
    RNG.normal(size=(3, 4, 8, 8)).astype(np.float32),
)
WORDS = RNG.integers(0, 9, (3, 5))


# By name: the network, its inputs, and operators that are among those of the file.
MODULES = {
    "layers": (lambda: of_torch(4), (CHANNELS,), "Conv BatchNormalization Gelu Gemm LayerNormalization"),
    "residual": (
        lambda: Own(residual, conv=nn.Conv2d(4, 4, 3, padding=1), norm=nn.BatchNorm2d(4), head=nn.Linear(4, 3)),
        (CHANNELS,),
        "Conv BatchNormalization Relu MaxPool AveragePool Gemm",
    ),
    "lstm, time first": (lambda: nn.LSTM(6, 4), (SEQUENCES,), "LSTM"),
    "lstm, two layers": (lambda: nn.LSTM(6, 4, 2, batch_first=True, bidirectional=True), (SEQUENCES,), "LSTM"),
    "gru": (lambda: nn.GRU(6, 4, 2, batch_first=True, bias=False), (SEQUENCES,), "GRU"),
    "rnn": (lambda: nn.RNN(6, 4, nonlinearity="relu", batch_first=True), (SEQUENCES,), "RNN"),
    "projection": (lambda: nn.LSTM(6, 4, proj_size=2, batch_first=True), (SEQUENCES,), "Scan"),
    "steps": (lambda: Own(steps, cell=nn.LSTMCell(6, 4)), (SEQUENCES,), "MatMul"),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2), (CHANNELS,), "ConvTranspose"),
    "transposed, wide": (lambda: nn.ConvTranspose3d(4, 2, 3, stride=2, dilation=2), (VOLUMES,), "ConvTranspose"),
    "groups": (lambda: nn.GroupNorm(2, 4), (CHANNELS,), "GroupNormalization"),
    "instances": (lambda: nn.InstanceNorm2d(4, affine=True), (CHANNELS,), "InstanceNormalization"),
    "transformer": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 8, batch_first=True), 2),
        (SEQUENCES,),
        "LayerNormalization MatMul",
    ),
    "causal": (
        lambda: Own(lambda s, x: F.scaled_dot_product_attention(x, x, x, is_causal=True)),
        (SEQUENCES[:, None],),
        "Where",
    ),
    "functions": (
        lambda: Own(lambda s, x: F.softplus(x) + F.mish(x) + F.elu(x) + F.hardtanh(x) + F.log_softmax(x, 1)),
        (VECTORS,),
        "Exp",
    ),
    "convolved": (
        lambda: Own(lambda s, x: F.conv2d(x, s.c.weight, s.c.bias, 2, 1, groups=2), c=nn.Conv2d(4, 6, 3, groups=2)),
        (CHANNELS,),
        "Conv",
    ),
    "by channel": (
        lambda: Own(lambda s, x: F.conv2d(x, s.c.weight, padding=1, groups=4), c=nn.Conv2d(4, 4, 3, groups=4)),
        (CHANNELS,),
        "Conv",
    ),
    "words": (lambda: Own(lambda s, x, i: s.e(i).sum(1) + x[:, :3], e=nn.Embedding(9, 3)), (VECTORS, WORDS), "Gather"),
    "whole numbers": (lambda: Own(lambda s, x, i: (i // -4 + i % 3, x.argmax(1))), (VECTORS, WORDS), "Div ArgMax"),
    "ones": (lambda: Own(lambda s, x, i: F.one_hot(i, 9).float().mean(1)), (VECTORS, WORDS), "Equal"),
    "products": (lambda: Own(lambda s, x: torch.einsum("btf,bsf->bts", x, x).tril()), (SEQUENCES,), "MatMul"),
    "padded": (lambda: Own(lambda s, x: F.pad(x, (1, 2, 0, 1), mode="reflect")), (CHANNELS,), "Concat"),
    "in place": (lambda: nn.Sequential(nn.Linear(6, 3), nn.ReLU(inplace=True), nn.Linear(3, 2)), (VECTORS,), "Relu"),
    "a dict": (lambda: Own(lambda s, x: {"a": x + 1, "b": s.l(x)}, l=nn.Linear(6, 2)), (VECTORS,), "Gemm"),
    "lengths": (lambda: Own(lambda s, x: F.normalize(x).std(1)), (VECTORS,), "Sqrt"),
}


@pytest.mark.parametrize("name", MODULES)
def test_networks_of_torch(name, tmp_path):
    make, arrays, wanted = MODULES[name]
    net = make()
    torch.onnx.export(
        net, tuple(torch.tensor(a[:2] if name != "lstm, time first" else a) for a in arrays), tmp_path / "a.onnx"
    )
    assert set(wanted.split()) <= set(kinds_of(tmp_path / "a.onnx"))
    net.eval()
    with torch.no_grad():
        expected = list(flatten(net(*map(torch.tensor, arrays))))
    session = runtime.InferenceSession(str(tmp_path / "a.onnx"), providers=["CPUExecutionProvider"])
    named = {"x" if len(arrays) == 1 else f"x{i}": array for i, array in enumerate(arrays)}
    found = session.run(None, {given.name: named[given.name] for given in session.get_inputs()})
    for ours, theirs in zip(expected, found, strict=True):
        assert ours.numpy().dtype == theirs.dtype
        np.testing.assert_allclose(theirs, ours.numpy(), atol=1e-5 * max(1, np.abs(theirs).max()))


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_networks_of_16_bits(kind, tmp_path):
    """Weights leave as float32; results are rounded as here."""
    net = nn.Sequential(nn.Linear(6, 3), nn.ReLU(), Own(lambda s, x: x * 2 - s.w, w=nn.Parameter(torch.ones(3)))).to(
        kind
    )
    for dtype in ("float32", kind):
        x = torch.tensor(VECTORS, dtype=dtype)
        torch.onnx.export(
            nn.Sequential(Own(lambda s, x: x.to(kind)), net, Own(lambda s, x: x.float())), x, tmp_path / "a.onnx"
        )
        given = VECTORS.astype(kind) if dtype == "float16" else VECTORS
        if dtype != "bfloat16":  # which NumPy lacks
            found = runs(tmp_path / "a.onnx", given)[0]
            np.testing.assert_allclose(found, net(x.to(kind)).float().detach().numpy(), atol=2e-2)


def test_the_arguments_of_pytorch(tmp_path):
    net = Own(lambda s, x, h: s.cells(x, h)[0], cells=nn.GRU(6, 4, batch_first=True))
    first = torch.zeros(1, 2, 4)
    torch.onnx.export(
        net, (torch.tensor(SEQUENCES[:2]), first), tmp_path / "a.onnx", input_names=["given", "state"],
        output_names=["found"], opset_version=20, dynamic_axes={"given": {1: "time"}, "found": [1]}, dynamo=True,
    )  # fmt: skip
    proto = onnx.load(tmp_path / "a.onnx")
    shapes = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in proto.graph.input}
    assert shapes == {"given": [2, "time", 6], "state": [1, 2, 4]}
    assert [v.name for v in proto.graph.output] == ["found"]
    assert {t.name for t in proto.graph.initializer} >= set(net.state_dict())
    longer = RNG.normal(size=(2, 9, 6)).astype(np.float32)
    expected = net(torch.tensor(longer), first).detach().numpy()
    np.testing.assert_allclose(
        runs(tmp_path / "a.onnx", longer, np.zeros((1, 2, 4), np.float32))[0], expected, atol=1e-5
    )
    torch.onnx.export(nn.Linear(6, 2), torch.zeros(4, 6), tmp_path / "b.onnx", dynamic_shapes=({},))
    assert onnx.load(tmp_path / "b.onnx").graph.input[0].type.tensor_type.shape.dim[0].dim_value == 4
    for options, said in (
        ({"input_names": ["a", "b"]}, "write 1 different"),
        ({"dynamic_shapes": ()}, "0 entries for 1"),
    ):
        with pytest.raises(ValueError, match=said):
            torch.onnx.export(nn.Linear(6, 2), torch.zeros(4, 6), tmp_path / "c.onnx", **options)
    with pytest.raises(TypeError, match="missing a required argument"):
        torch.onnx.export(nn.Linear(6, 2), (), tmp_path / "c.onnx")


def test_subclassed_models_with_layers_within(tmp_path):
    class Mine(rv.Model):
        def __init__(self):
            super().__init__()
            self.cells = layers.Bidirectional(layers.GRU(4, return_sequences=True))
            self.heads = layers.MultiHeadAttention(2, 3)
            self.last = layers.Dense(2)

        def call(self, x):
            y = self.cells(x)
            return self.last(rv.ops.mean(self.heads(y, y, use_causal_mask=True) + y, axis=1))

    model = Mine()
    model(SEQUENCES)
    model.export(tmp_path / "a.onnx")
    assert {"GRU", "Gemm"} <= set(kinds_of(tmp_path / "a.onnx"))
    assert {t.name for t in onnx.load(tmp_path / "a.onnx").graph.initializer} >= set(model.state_dict())
    agrees(model, tmp_path / "a.onnx", SEQUENCES)


class Drawing(nn.Module):
    def forward(self, x):
        return x + torch.rand(3)


def test_what_is_refused(tmp_path):
    drawn = rv.Sequential([rv.Input((3,)), Drawing()])
    kept = rv.Sequential([rv.Input(batch_shape=(2, 4, 3)), layers.GRU(2, stateful=True)])
    for model, said in (
        (rv.Sequential([rv.layers.Dense(2)]), "inputs of .* are not known yet"),
        (drawn, "draws random numbers when it predicts"),
        (kept, "keeps states from one batch to the next"),
    ):
        with pytest.raises(TypeError, match=said):
            model.export(tmp_path / "a.onnx")
    with pytest.raises(ValueError, match="write 'onnx'"):
        drawn.export(tmp_path / "a.pb", format="tf_saved_model")
    with pytest.raises(ValueError, match="opset_version=17: write one from 18 to"):
        drawn.export(tmp_path / "a.onnx", opset_version=17)
    for name in ("a.keras", "a.PT", "a.ranvier"):
        with pytest.raises(ValueError, match="the name of another format"):
            pictures().export(tmp_path / name)
    with pytest.raises(TypeError, match="writes files"):
        torch.onnx.export(drawn)
    assert not list(tmp_path.iterdir())


def test_two_exports_are_equal_and_every_row_is_a_layer():
    model = pictures()
    assert to_proto(model).SerializeToString() == to_proto(model).SerializeToString()
    known = {f"torch.{name}" for name in nn.__all__} | set(layers.__all__)
    assert set(LAYERS) <= known
