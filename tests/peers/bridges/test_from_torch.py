"""Modules of PyTorch that come in: every layer, classification models, transformers; what is refused."""

import contextlib
import json
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.interop.foreign import UnsupportedError
from tests.interop.damage import WHOLE

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional
Base: Any = torch.nn.Module
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True)
def _reference():
    rv.set_engine("reference")
    yield
    rv.set_engine("native")


def leaves(tree):
    if isinstance(tree, dict):
        tree = tuple(tree.values())
    return (
        [leaf for part in tree for leaf in leaves(part)]
        if isinstance(tree, (tuple, list))
        else [tree]
        if tree is not None
        else []
    )


def close(ours, theirs, tolerance=1e-5, least=1e-3):
    ours, theirs = leaves(ours), leaves(theirs)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        b = b.detach().numpy() if hasattr(b, "detach") else b
        a = np.asarray(a.numpy() if hasattr(a, "numpy") else a)
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(least, np.abs(b).max()) if b.size else 0)


def same(module, *inputs, batch=True, shapes=None):
    """Compare outputs, those of three times as many rows, a step of training, names; save and load. Returns the model."""
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    model = rv.from_torch(module, inputs, dynamic_shapes=shapes)
    assert list(model.state_dict()) == list(state)
    model.eval(), module.eval()
    arrays = [x.numpy() for x in inputs]
    close(model(*arrays), module(*inputs))
    again = model.to_torch()
    assert list(again.state_dict()) == list(state)
    with torch.no_grad():
        close(again(*inputs), module(*inputs), 1e-6)
    if batch:
        more = [torch.cat([x, x.flip(0), x]) for x in inputs]
        given = [x.numpy() for x in more]
        close(leaves(model.predict(given if len(given) > 1 else given[0], verbose=0)), module(*more))
    model.train(), module.train()
    theirs = [x.clone().requires_grad_() if x.dtype.is_floating_point else x for x in inputs]
    ours = [rv.Tensor(x.numpy(), dtype=str(x.dtype)[6:], requires_grad=x.dtype.is_floating_point) for x in inputs]
    losses = []
    for out, sums in ((module(*theirs), torch.sin), (model(*ours), rv.ops.sin)):
        losses.append(sum(sums(part).sum() for part in leaves(out) if "float" in str(part.dtype)))
        losses[-1].backward()
    close(losses[1], losses[0])
    gradients = dict(model.named_parameters())
    for name, parameter in module.named_parameters():
        if parameter.grad is not None:
            close(gradients[name].grad, parameter.grad, 1e-4, 0.1)
    for a, b in zip(ours, theirs, strict=True):
        if b.grad is not None:
            close(a.grad, b.grad, 1e-4, 0.1)
    after = module.state_dict()
    close([tensor for _, tensor in model.named_buffers()], [after[name] for name, _ in model.named_buffers()], 1e-4)
    return model


def layer(kind: str, *args: Any, **options: Any) -> Any:
    return lambda: getattr(nn, kind)(*args, **options)


# --- layers -------------------------------------------------------------------------------------------------------

torch.manual_seed(0)
ROWS, STEPS, IMAGES, CUBES = (torch.randn(*shape) for shape in ((3, 4), (3, 4, 9), (3, 4, 6, 6), (2, 2, 5, 5, 5)))
LAYERS: dict[str, Any] = {name: (lambda name=name: nn.Sequential(nn.Linear(4, 4), getattr(nn, name)()), ROWS) for name in (
    "ReLU", "ReLU6", "ELU", "SELU", "CELU", "GELU", "SiLU", "Mish", "Sigmoid", "Tanh", "Softplus", "Softsign", "Hardsigmoid",
    "Hardswish", "Hardtanh", "LogSigmoid", "Hardshrink", "Softshrink", "Tanhshrink", "LeakyReLU", "PReLU", "GLU", "Identity",
)}  # fmt: skip
for n, x in ((1, STEPS), (2, IMAGES), (3, CUBES)):
    c = x.shape[1]
    LAYERS |= {
        f"Conv{n}d": (layer(f"Conv{n}d", c, 4, 3, padding=1, stride=2), x),
        f"Conv{n}d of groups": (layer(f"Conv{n}d", c, 4, 3, padding="same", groups=2), x),
        f"ConvTranspose{n}d": (
            lambda n=n, c=c: getattr(nn, f"ConvTranspose{n}d")(c, 4, 3, stride=2, output_padding=1),
            x,
        ),
        f"BatchNorm{n}d": (layer(f"BatchNorm{n}d", c), x),
        f"InstanceNorm{n}d": (layer(f"InstanceNorm{n}d", c, affine=True), x),
        f"InstanceNorm{n}d with statistics": (
            lambda n=n, c=c: getattr(nn, f"InstanceNorm{n}d")(c, track_running_stats=True),
            x,
        ),
        f"MaxPool{n}d": (layer(f"MaxPool{n}d", 2, ceil_mode=True), x),
        f"MaxPool{n}d with indices": (layer(f"MaxPool{n}d", 2, return_indices=True), x),
        f"AvgPool{n}d": (layer(f"AvgPool{n}d", 2, padding=1, count_include_pad=False), x),
        f"AdaptiveAvgPool{n}d": (layer(f"AdaptiveAvgPool{n}d", 2), x),
        f"AdaptiveMaxPool{n}d": (layer(f"AdaptiveMaxPool{n}d", 2), x),
        f"Dropout{n}d": (layer(f"Dropout{n}d", 0.0), x),
        f"LPPool{n}d": (layer(f"LPPool{n}d", 2, 2), x.abs()),
        f"ReplicationPad{n}d": (layer(f"ReplicationPad{n}d", 1), x),
        f"ConstantPad{n}d": (layer(f"ConstantPad{n}d", 1, 2.0), x),
    }
MODULES = {
    "Linear": (lambda: nn.Linear(4, 3), ROWS), "Bilinear": (lambda: nn.Bilinear(4, 4, 3), ROWS, ROWS + 1),
    "Embedding": (lambda: nn.Embedding(9, 4, padding_idx=1), torch.arange(6).view(3, 2)),
    "EmbeddingBag": (lambda: nn.EmbeddingBag(9, 4), torch.arange(6).view(3, 2)),
    "LayerNorm": (lambda: nn.LayerNorm([6, 6]), IMAGES), "GroupNorm": (lambda: nn.GroupNorm(2, 4), IMAGES),
    "RMSNorm": (lambda: nn.RMSNorm(4), ROWS), "LocalResponseNorm": (lambda: nn.LocalResponseNorm(2), IMAGES),
    "Softmax": (lambda: nn.Softmax(-1), ROWS), "LogSoftmax": (lambda: nn.LogSoftmax(-1), ROWS),
    "Softmin": (lambda: nn.Softmin(-1), ROWS), "Softmax2d": (nn.Softmax2d, IMAGES),
    "Threshold": (lambda: nn.Threshold(0.1, 2.0), ROWS), "Dropout": (lambda: nn.Dropout(0.0), ROWS),
    "AlphaDropout": (lambda: nn.AlphaDropout(0.0), ROWS), "FeatureAlphaDropout": (lambda: nn.FeatureAlphaDropout(0.0), IMAGES),
    "Flatten": (nn.Flatten, IMAGES), "Unflatten": (lambda: nn.Unflatten(1, (2, 2)), IMAGES),
    "Fold": (lambda: nn.Fold((4, 4), (2, 2)), torch.randn(2, 8, 9)), "Unfold": (lambda: nn.Unfold((2, 2)), IMAGES),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), IMAGES), "PixelUnshuffle": (lambda: nn.PixelUnshuffle(2), IMAGES),
    "ChannelShuffle": (lambda: nn.ChannelShuffle(2), IMAGES), "ReflectionPad2d": (lambda: nn.ReflectionPad2d(1), IMAGES),
    "CircularPad2d": (lambda: nn.CircularPad2d(1), IMAGES), "ZeroPad2d": (lambda: nn.ZeroPad2d(1), IMAGES),
    "Conv2d that reflects": (lambda: nn.Conv2d(4, 3, 3, padding=1, padding_mode="reflect"), IMAGES),
    "Upsample": (lambda: nn.Upsample(scale_factor=2), IMAGES),
    "Upsample linear": (lambda: nn.Upsample(scale_factor=2, mode="linear"), STEPS),
    "Upsample bilinear": (lambda: nn.Upsample(size=(9, 5), mode="bilinear", align_corners=True), IMAGES),
    "Upsample bicubic": (lambda: nn.Upsample(scale_factor=2, mode="bicubic"), IMAGES),
    "Upsample trilinear": (lambda: nn.Upsample(scale_factor=2, mode="trilinear"), CUBES),
    "CosineSimilarity": (nn.CosineSimilarity, ROWS, ROWS.flip(0)), "PairwiseDistance": (nn.PairwiseDistance, ROWS, ROWS + 1),
    "LSTMCell": (lambda: nn.LSTMCell(4, 5), ROWS), "GRUCell": (lambda: nn.GRUCell(4, 5), ROWS), "RNNCell": (lambda: nn.RNNCell(4, 5), ROWS),
}  # fmt: skip
SEQUENCES = torch.randn(3, 5, 8)
ATTENTION = {
    "TransformerEncoderLayer": (lambda: nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True), SEQUENCES),
    "TransformerEncoder": (lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, 0.0, "gelu", batch_first=True, norm_first=True), 2, enable_nested_tensor=False), SEQUENCES),
    "TransformerDecoderLayer": (lambda: nn.TransformerDecoderLayer(8, 2, 16, 0.0, batch_first=True), SEQUENCES, SEQUENCES + 1),
    "Transformer": (lambda: nn.Transformer(8, 2, 1, 1, 16, 0.0, batch_first=True), SEQUENCES, SEQUENCES + 1),
    "MultiheadAttention": (lambda: nn.MultiheadAttention(8, 2, batch_first=True), SEQUENCES, SEQUENCES + 1, SEQUENCES - 1),
}  # fmt: skip
TARGETS = torch.tensor([1, 0, 3])
LOSSES: dict[str, Any] = {
    name: (layer(name, **options), *inputs)
    for name, options, *inputs in (
        ("CrossEntropyLoss", {"label_smoothing": 0.1}, ROWS, TARGETS), ("NLLLoss", {}, ROWS, TARGETS),
        ("GaussianNLLLoss", {}, ROWS, ROWS + 1, ROWS.abs() + 0.1), ("MSELoss", {}, ROWS, ROWS + 1),
        ("L1Loss", {"reduction": "sum"}, ROWS, ROWS.flip(0)), ("SmoothL1Loss", {}, ROWS, ROWS.flip(0)),
        ("HuberLoss", {}, ROWS, ROWS.flip(0)), ("BCELoss", {}, ROWS.sigmoid(), ROWS.flip(0).sigmoid()),
        ("BCEWithLogitsLoss", {}, ROWS, ROWS.sigmoid()), ("KLDivLoss", {"reduction": "batchmean"}, ROWS.log_softmax(1), ROWS.softmax(1)),
        ("PoissonNLLLoss", {"full": True}, ROWS, ROWS.abs()), ("HingeEmbeddingLoss", {}, ROWS, ROWS.sign()),
        ("MarginRankingLoss", {}, ROWS[:, 0], ROWS[:, 1], ROWS[:, 2].sign()), ("MultiMarginLoss", {}, ROWS, TARGETS),
        ("MultiLabelSoftMarginLoss", {}, ROWS, (ROWS > 0).float()), ("CosineEmbeddingLoss", {}, ROWS, ROWS.flip(0), ROWS[:, 0].sign()),
        ("TripletMarginLoss", {}, ROWS, ROWS + 1, ROWS.flip(0)), ("TripletMarginWithDistanceLoss", {}, ROWS, ROWS + 1, ROWS.flip(0)),
    )
}  # fmt: skip
OF_STEPS: dict[str, Any] = {
    "RNN": (lambda: nn.RNN(4, 5, 2, batch_first=True), torch.randn(3, 6, 4)),
    "GRU": (lambda: nn.GRU(4, 5, batch_first=True), torch.randn(3, 6, 4)),
    "LSTM": (lambda: nn.LSTM(4, 5, 2, batch_first=True, bidirectional=True), torch.randn(3, 6, 4)),
    "LSTM with projections": (lambda: nn.LSTM(4, 5, proj_size=3, batch_first=True), torch.randn(3, 6, 4)),
    "attention of three": (lambda: nn.MultiheadAttention(8, 2, kdim=4, vdim=6, add_bias_kv=True, add_zero_attn=True), torch.randn(5, 3, 8), torch.randn(7, 3, 4), torch.randn(7, 3, 6)),
}  # fmt: skip


class Unpooled(Base):  # type: ignore[misc]  # of the other library
    def __init__(self):
        super().__init__()
        self.pool, self.unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)

    def forward(self, x):
        return self.unpool(*self.pool(x))


class Function(Base):  # type: ignore[misc]  # of the other library
    def __init__(self, function):
        super().__init__()
        self.linear, self.function = nn.Linear(4, 4), function

    def forward(self, x, *others):
        return self.function(self.linear(x), *others)


FUNCTIONS: dict[str, Any] = {
    "sort": (lambda x: torch.sort(x, -1, descending=True), ROWS), "topk": (lambda x: torch.topk(x, 2), ROWS),
    "gather": (lambda x: torch.gather(x, 1, torch.topk(x, 3).indices), ROWS),
    "gather steps": (lambda x: x.gather(1, x[..., :1].argmax(1, keepdim=True).expand(-1, -1, 4)), torch.randn(3, 5, 4)),
    "scatter_add": (lambda x: torch.zeros_like(x).scatter_add(1, x.argsort(1)[:, :2] // 2, x[:, 1:3]), ROWS),
    "scatter": (lambda x: x.scatter(1, x.argmax(1, keepdim=True), 2.0).scatter(1, x.argsort(1)[:, :2], x[:, :2] * 3), ROWS),
    "kthvalue": (lambda x: torch.kthvalue(x, 2), ROWS), "bucketize": (lambda x: x * torch.bucketize(x, torch.tensor([-0.5, 0.0, 0.5])), ROWS),
    "several": (lambda x, y: x * y, ROWS, ROWS + 1),
}  # fmt: skip
OF_STEPS["MaxUnpool2d"] = (Unpooled, IMAGES)
OF_STEPS["CTCLoss"] = (
    lambda: Function(lambda x, *rest: F.ctc_loss(x.transpose(0, 1).log_softmax(-1), *rest)),
    torch.randn(3, 6, 4), torch.randint(1, 4, (3, 2)), torch.tensor([6, 6, 5]), torch.tensor([2, 1, 2]),
)  # fmt: skip
EACH = {**LAYERS, **MODULES, **ATTENTION}
EACH |= {name: (lambda f=f: Function(f), *inputs) for name, (f, *inputs) in FUNCTIONS.items()}
SAMPLE = (
    "GELU",
    "BatchNorm2d",
    "ConvTranspose1d",
    "MaxPool2d with indices",
    "EmbeddingBag",
    "Unfold",
    "MultiheadAttention",
    "LSTMCell",
    "topk",
    "several",
)


@pytest.mark.parametrize("name", EACH if WHOLE else SAMPLE)
def test_a_layer_is_the_same(name):
    make, *inputs = EACH[name]
    torch.manual_seed(1)
    same(make(), *inputs)


@pytest.mark.parametrize("name", [*LOSSES, *OF_STEPS] if WHOLE else ["CrossEntropyLoss", "LSTM"])
def test_what_gives_no_rows_is_the_same(name):
    """Losses are numbers, and the last states of recurrences are of layers: such modules are called, not fitted."""
    make, *inputs = {**LOSSES, **OF_STEPS}[name]
    torch.manual_seed(1)
    same(make(), *inputs, batch=False)


# --- models -------------------------------------------------------------------------------------------------------


class Block(Base):  # type: ignore[misc]  # of the other library
    def __init__(self, width=16, heads=2):
        super().__init__()
        self.heads, self.first, self.second = heads, nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.inner = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )

    def forward(self, x):
        rows, steps, width = x.shape
        parts = self.qkv(self.first(x)).split(width, 2)
        q, k, v = (p.view(rows, steps, self.heads, width // self.heads).transpose(1, 2) for p in parts)
        y = (
            F.scaled_dot_product_attention(q, k, v, is_causal=True)
            .transpose(1, 2)
            .contiguous()
            .view(rows, steps, width)
        )
        x = x + self.out(y)
        return x + self.inner(self.second(x))


class Language(Base):  # type: ignore[misc]  # of the other library
    """In the manner of GPT: weights that two layers share, products of all steps of all rows at once."""

    def __init__(self):
        super().__init__()
        self.tokens, self.places = nn.Embedding(11, 16), nn.Embedding(8, 16)
        self.blocks, self.norm, self.head = (
            nn.ModuleList([Block(), Block()]),
            nn.LayerNorm(16),
            nn.Linear(16, 11, bias=False),
        )
        self.head.weight = self.tokens.weight
        self.places.weight.requires_grad = False

    def forward(self, ids):
        x = self.tokens(ids) + self.places(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        flat = self.norm(x).view(-1, 16)
        return self.head(flat).view(ids.shape[0], ids.shape[1], -1)


class Written(Base):  # type: ignore[misc]  # of the other library
    """Writes in place: into parts of what was made, into results, and into a buffer."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("hidden", torch.arange(4.0), persistent=False)

    def forward(self, x):
        if self.training:
            self.calls.add_(1)
        mask = torch.zeros(4, 4)
        mask[:2, 1:3] = 1
        h = self.layer(x).mul_(2).add_(self.hidden)
        part = h[:, :2]
        part.sub_(1)
        return h.relu_() @ mask.view(2, 2, 4).permute(1, 0, 2).reshape(4, 4)


class Several(Base):  # type: ignore[misc]  # of the other library
    def forward(self, a, b, scale=None):
        total = a + b["more"].float() if scale is None else (a + b["more"].float()) * scale
        return {"total": total, "pair": (a.exp(), [b["more"]])}


class Modal(Base):  # type: ignore[misc]  # of the other library
    """Another computation in training than in evaluation."""

    def __init__(self):
        super().__init__()
        self.main, self.beside = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x):
        return (self.main(x), self.beside(x)) if self.training else self.main(x)


class Windows(Base):  # type: ignore[misc]  # of the other library
    """The batch merged with windows before, and with heads behind: statistics, indices and products of them."""

    def __init__(self):
        super().__init__()
        self.norm, self.mix, self.last = nn.LayerNorm(4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.register_buffer("order", torch.tensor([2, 0, 1]))

    def forward(self, x):
        rows, steps, width = x.shape
        w = x.view(rows, 2, steps // 2, width).transpose(1, 2).reshape(-1, 2, width)
        w = self.mix(self.norm(w)) + w.mean(1, keepdim=True) + w.amax(-1, keepdim=True)
        a = torch.cat([w, w[:, :1]], 1).softmax(1)[:, self.order]
        pair = torch.baddbmm(torch.zeros(1, 1, 1), a, a.transpose(1, 2), beta=0).sum(-1)
        first, _ = torch.stack([pair, pair * 2], -1).max(1)
        y = torch.addmm(torch.ones(2), first, torch.eye(2)).view(rows, steps // 2, 2)
        last = x[torch.arange(rows), (x[:, :, 0] > 0).sum(1).clamp(max=steps - 1)]
        return y.flatten(1), self.last(last)


def test_a_language_model_trains_on_is_saved_and_takes_any_length(tmp_path):
    torch.manual_seed(0)
    module, ids = Language(), torch.randint(0, 11, (2, 6))
    same(module, ids)
    rows, steps = torch.export.Dim("rows"), torch.export.Dim("steps", min=2, max=8)
    model = rv.from_torch(module, ids, dynamic_shapes=({0: rows, 1: steps},))
    for length in (3, 8):
        more = torch.randint(0, 11, (3, length))
        close(model.predict(more.numpy(), verbose=0), module.eval()(more))
    assert model.head.weight is model.tokens.weight
    assert not model.places.weight.requires_grad
    before = model.places.weight.numpy().copy()
    model.compile(rv.optimizers.Adam(0.01), rv.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = model.fit(ids.numpy(), ids.numpy(), epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    np.testing.assert_array_equal(model.places.weight.numpy(), before)
    model.save(tmp_path / "a.ranvier")
    np.save(tmp_path / "x.npy", ids.numpy())
    np.save(tmp_path / "y.npy", model.predict(ids.numpy(), verbose=0))
    program = (
        "import sys, numpy as np; sys.modules['torch'] = None; import ranvier as rv; rv.set_engine('reference'); "
        "m = rv.load_model('a.ranvier'); assert m.head.weight is m.tokens.weight; "
        "assert (m.predict(np.load('x.npy'), verbose=0) == np.load('y.npy')).all(); "
        "assert not m.places.weight.requires_grad"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)  # without PyTorch


def test_a_batch_that_is_merged_with_other_dimensions():
    torch.manual_seed(0)
    x = torch.randn(3, 6, 4)
    model = same(Windows(), x)
    rv.set_engine("native")
    close(leaves(model.predict(x.numpy(), verbose=0)), model.eval()(x.numpy()))
    model.compile("sgd", "mse")
    model.fit(x.numpy(), (np.ones((3, 6), np.float32), np.ones((3, 4), np.float32)), verbose=0)


def test_a_batch_that_is_not_first():
    """PyTorch fixes the number of steps of a recurrence; its rows may be as many as there are."""
    torch.manual_seed(0)
    rows = torch.export.Dim("rows")
    model = same(nn.GRU(4, 5), torch.randn(6, 3, 4), batch=False, shapes=({1: rows},))
    assert model(np.ones((6, 8, 4), np.float32))[0].shape == (6, 8, 5)
    with pytest.raises(
        ValueError, match=r"its rows are in dimension 1.*calls yours on input.transpose\(0, 1\) instead"
    ):
        model.predict(np.ones((8, 6, 4), np.float32))


def test_writing_in_place():
    torch.manual_seed(0)
    model = same(Written(), torch.randn(3, 4))
    assert float(model.calls.numpy()) == 1
    assert list(model.state_dict()) == ["calls", "layer.weight", "layer.bias"]
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 4), np.float32), np.ones((8, 4), np.float32), batch_size=4, verbose=0)
    assert float(model.calls.numpy()) == 3


def test_inputs_and_outputs_in_containers():
    a, more = torch.randn(3, 2), torch.arange(6).view(3, 2)
    for example in ((a, {"more": more}), {"a": a, "b": {"more": more}, "scale": torch.ones(3, 1) * 2}):
        model = rv.from_torch(Several(), example)
        called = (
            (model(**example), Several()(**example))
            if isinstance(example, dict)
            else (model(*example), Several()(*example))
        )
        close(*called)
        assert list(called[0]) == ["total", "pair"]
        assert isinstance(called[0]["pair"][1], list)
    with pytest.raises(TypeError, match=r"does not fit Linear.forward\(input.*Write a tuple of arguments"):
        rv.from_torch(nn.Linear(2, 2), (a, a))
    with pytest.raises(TypeError, match=r"takes 3 inputs \(a, b_more, scale\), and here are 1"):
        model(a)


def test_modes():
    torch.manual_seed(0)
    module, x = Modal(), torch.randn(3, 4)
    model = rv.from_torch(module, x)
    assert module.training
    model.eval(), module.eval()
    close(model(x), module(x))
    model.train(), module.train()
    close(model(x), module(x))
    dropping = rv.from_torch(nn.Dropout(0.5), torch.ones(2, 3))
    dropping.eval()
    assert (dropping(np.ones((2, 400), np.float32)[:, :3]).numpy() == 1).all()
    dropping.train()
    x = rv.from_torch(nn.Dropout(0.5), torch.ones(2, 400)).train()(np.ones((2, 400), np.float32)).numpy()
    assert set(np.unique(x)) == {0, 2}


def test_one_row_arrays_half_floats_and_fixed_sizes():
    module = nn.Linear(4, 3)
    model = rv.from_torch(module, np.ones((1, 4), np.float32))
    assert model.predict(np.ones((5, 4), np.float32), verbose=0).shape == (5, 3)
    with pytest.raises(ValueError, match=r"input 'input' is of the shape \(any, 4\)"):
        model(np.ones((5, 3), np.float32))
    fixed = rv.from_torch(module, np.ones((2, 4), np.float32), dynamic_shapes={})
    assert fixed(np.ones((2, 4), np.float32)).shape == (2, 3)
    with pytest.raises(ValueError, match=r"shape \(2, 4\)"):
        fixed(np.ones((3, 4), np.float32))
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        half = rv.from_torch(nn.Linear(4, 3).bfloat16(), torch.ones(2, 4, dtype=torch.bfloat16))
    assert any("2 weights are of 16-bit floats" in str(w.message) for w in heard)
    assert half.predict(np.ones((2, 4), np.float32), verbose=0).dtype == np.float32


# --- torchvision --------------------------------------------------------------------------------------------------

PICTURES: dict[str, Any] = {
    name: {} for name in (
        "resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_small", "vgg11", "densenet121", "efficientnet_b0", "convnext_tiny",
        "squeezenet1_1", "shufflenet_v2_x0_5", "regnet_y_400mf", "mnasnet0_5", "swin_t", "swin_v2_t",
    )
} | {"googlenet": {"init_weights": False}, "vit_b_16": {"image_size": 32}, "alexnet": {}}  # fmt: skip


@pytest.mark.parametrize("name", [*PICTURES, "maxvit"] if WHOLE else ["squeezenet1_1"])
def test_classification_models_are_the_same(name):
    models = pytest.importorskip("torchvision").models
    torch.manual_seed(0)
    if name == "maxvit":
        module = models.MaxVit((32, 32), 16, 2, [16, 32], [1, 1], 8, 0.0, num_classes=5)
    else:
        module = getattr(models, name)(num_classes=5, **PICTURES[name])
    for parameter in module.parameters():
        if not parameter.any():  # a head of zeros would hide what is before it
            nn.init.normal_(parameter, std=0.02)
    for part in module.modules():
        if isinstance(part, nn.Dropout) or type(part).__name__ == "StochasticDepth":
            part.p = 0.0
    same(module.double(), torch.randn(2, 3, *[64 if name in ("alexnet", "resnet50") else 32] * 2).double())


# --- what is refused ----------------------------------------------------------------------------------------------


def module_of(function):
    class Function(Base):  # type: ignore[misc]  # of the other library
        def forward(self, x):
            return function(x)

    return Function()


REFUSED: dict[str, Any] = {
    "operators": (lambda x: torch.cummax(torch.special.i1(x), 1)[0], r"cummax.default \(it is not known\), special_i1"),
    "a shape by data": (lambda x: x[x > 0], "depends on data"),
    "control flow": (lambda x: torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x - 1, (x,)), r"cond \(it is control flow\)"),
    "data that decide": (lambda x: x if x.sum() > 0 else -x, r"torch.export cannot export Function in evaluation mode: .*data-dependent"),
    "a batch of one size": (lambda x: x.view(2, 16), r"Constraints violated .* Write dynamic_shapes that say"),
    "an output": (lambda x: (x, slice(3)), "slice|cannot export"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_modules_that_are_refused(name):
    function, said = REFUSED[name]
    with pytest.raises(UnsupportedError, match=re.compile(said, re.DOTALL)):
        rv.from_torch(module_of(function), torch.randn(2, 4, 4))


def test_no_text_of_a_file_becomes_code(tmp_path, monkeypatch):
    """The program that `to_torch` runs has names of the file, which may be anything."""
    from ranvier.interop.torch.model import TorchModel

    monkeypatch.chdir(tmp_path)
    graph = rv.from_torch(nn.Sequential(nn.Linear(4, 3)), torch.ones(2, 4)).graph
    hit = "__import__('pathlib').Path('hit').touch()"
    for word, other in (
        ("0.weight", f'0.weight"); {hit}; ("'), ("linear.default", f"linear.default({hit}) or x"),
        ("p_0_weight", f"w = {hit}"), ('"dtype": "float32", "kind": "parameter"', f'"dtype": "float32", "kind": "{hit}"'),
        ('"name": "input"', f'"name": "input): {hit} #"'),
    ):  # fmt: skip
        changed = graph.replace(
            json.dumps(word) if '"' not in word else word, json.dumps(other) if '"' not in word else other
        )
        assert changed != graph
        with contextlib.suppress(TypeError, ValueError, KeyError, RuntimeError):
            TorchModel(changed).to_torch()(torch.ones(2, 4))
        assert not Path("hit").exists()


def test_what_is_no_module_of_pytorch_and_damaged_files(tmp_path):
    from ranvier.interop.torch.model import TorchModel

    with pytest.raises(TypeError, match=r"takes a torch.nn.Module, and this is a Sequential"):
        rv.from_torch(rv.Sequential([rv.layers.Dense(2)]), np.ones((2, 4)))
    model = rv.from_torch(nn.Linear(4, 3), torch.ones(2, 4))
    with pytest.raises(UnsupportedError, match=r"the operators os.system are not known"):
        TorchModel(model.graph.replace("linear.default", "os.system"))
    with pytest.raises(UnsupportedError, match="the product sums over"):
        rv.from_torch(module_of(lambda x: x.view(-1, 4).T @ x.view(-1, 4)), torch.ones(2, 4, 4)).predict(
            np.ones((2, 4, 4)), verbose=0
        )
