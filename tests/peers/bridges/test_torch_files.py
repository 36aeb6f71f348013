"""Checkpoints between PyTorch and Ranvier: each reads what the other writes, for whole networks of torchvision."""

import io

import numpy as np
import pytest

import ranvier.torch as rt
from ranvier.data.files import CheckpointError
from ranvier.torch import nn
from tests.interop.damage import damaged

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers

FORMS = {"zip": {}, "stream": {"_use_new_zipfile_serialization": False}, "protocol 4": {"pickle_protocol": 4}}
DTYPES = ("float64", "float32", "float16", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "uint32", "bool")


def written(value, save=torch.save, **options):
    file = io.BytesIO()
    save(value, file, **options)
    return io.BytesIO(file.getvalue())


def checkpoint():
    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(4, 3)).sum().backward()
    optimizer.step()
    base = torch.arange(12.0).reshape(3, 4)
    return {
        "net": network.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "loss": 0.5, "seed": 2**63 + 1,
        "views": [base, base.t(), base[1:, ::2], torch.ones(1).expand(5), torch.zeros(0, 3), torch.tensor(3)],
        "grad": [torch.ones(2, requires_grad=True), torch.nn.Parameter(torch.ones(2))],
        "dtypes": {name: torch.tensor([1, 0, 1], dtype=getattr(torch, name)) for name in DTYPES},
        "rng": torch.get_rng_state(), "note": ("a", None, [True, -2.5]),
    }  # fmt: skip


def same(theirs, ours):
    """Whether a value of PyTorch's is one of ours, with the types of its containers."""
    if isinstance(theirs, torch.Tensor):
        assert tuple(ours.shape) == tuple(theirs.shape)
        assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")
        assert ours.requires_grad == theirs.requires_grad
        assert ours.tolist() == theirs.tolist()
    elif isinstance(theirs, (dict, list, tuple)):
        assert type(theirs) is type(ours)
        assert len(theirs) == len(ours)
        for key in theirs if isinstance(theirs, dict) else range(len(theirs)):
            same(theirs[key], ours[key])
    else:
        assert theirs == ours


@pytest.mark.parametrize("form", FORMS)
def test_what_pytorch_writes_is_read(form):
    value = checkpoint()
    same(value, rt.load(written(value, **FORMS[form])))


def test_pytorch_reads_what_is_written():
    ours = rt.load(written(checkpoint()))
    same(torch.load(written(ours, rt.save), weights_only=True), ours)


def test_shared_storages_stay_shared():
    tied = torch.nn.Linear(3, 3)
    found = torch.load(written({"a": tied.weight, "b": tied.weight, "c": tied.bias}), weights_only=True)
    assert found["a"].data_ptr() == found["b"].data_ptr()
    ours = rt.nn.Linear(3, 3)
    again = torch.load(written({"a": ours.weight, "b": ours.weight, "c": ours.bias}, rt.save), weights_only=True)
    assert again["a"].data_ptr() == again["b"].data_ptr() != again["c"].data_ptr()


@pytest.mark.parametrize(
    "value", [torch.nn.Linear(2, 1), torch.ones(2, dtype=torch.complex64), torch.eye(2).to_sparse()]
)
def test_what_is_refused(value):
    with pytest.raises(CheckpointError, match="cannot be read as a checkpoint of PyTorch"):
        rt.load(written({"a": value}))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("form", FORMS)
def test_damaged_checkpoints_are_refused_or_read_as_pytorch_reads_them(form):
    """The older form has no checksums."""
    value = {"a": torch.arange(6.0).reshape(2, 3), "b": [1, "two", 0.5], "c": torch.ones(3, dtype=torch.int64)}
    refused = 0
    for changed in damaged(written(value, **FORMS[form]).getvalue(), seed=2):
        try:
            found = rt.load(io.BytesIO(changed))
        except CheckpointError:
            refused += 1
            continue
        if form == "stream":
            try:
                expected = torch.load(io.BytesIO(changed), weights_only=True)
            except RuntimeError as error:
                if "restore data location" not in str(error):
                    raise
                continue  # the name of a device, which does not matter here
        else:
            expected = value
        assert str(listed(found)) == str(listed(expected))
    assert refused


def listed(value):
    if isinstance(value, dict):
        return {k: listed(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return list(map(listed, value))
    return value.tolist() if hasattr(value, "tolist") else value


# --- networks of torchvision, in our vocabulary, with the same names of weights -----------------------------------


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet18(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        widths = (64, 64, 128, 256, 512)
        for i in range(4):
            blocks = Block(widths[i], widths[i + 1], 2 if i else 1), Block(widths[i + 1], widths[i + 1], 1)
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(rt.flatten(self.avgpool(x), 1))


def convolved(inputs, outputs, size=3, stride=1, groups=1):
    convolution = nn.Conv2d(inputs, outputs, size, stride, (size - 1) // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU6(inplace=True))


class Inverted(nn.Module):
    def __init__(self, inputs, outputs, stride, expansion):
        super().__init__()
        self.adds, inner = stride == 1 and inputs == outputs, inputs * expansion
        parts = [convolved(inputs, inner, 1)] if expansion != 1 else []
        parts += [convolved(inner, inner, 3, stride, inner), nn.Conv2d(inner, outputs, 1, bias=False)]
        self.conv = nn.Sequential(*parts, nn.BatchNorm2d(outputs))

    def forward(self, x):
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetV2(nn.Module):
    TABLE = (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    )  # fmt: skip

    def __init__(self, classes):
        super().__init__()
        inputs, parts = 32, [convolved(3, 32, 3, 2)]
        for expansion, outputs, count, stride in self.TABLE:
            for i in range(count):
                parts.append(Inverted(inputs, outputs, 1 if i else stride, expansion))
                inputs = outputs
        self.features = nn.Sequential(*parts, convolved(inputs, 1280, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean([2, 3]))


@pytest.mark.parametrize(("ours", "theirs"), [(ResNet18, "resnet18"), (MobileNetV2, "mobilenet_v2")])
def test_checkpoints_of_torchvision_go_both_ways(ours, theirs, tmp_path):
    models = pytest.importorskip("torchvision").models
    torch.manual_seed(0)
    peer, model = getattr(models, theirs)(num_classes=5), ours(5)
    x = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
    peer(torch.tensor(x))  # running statistics of its own
    torch.save(peer.state_dict(), tmp_path / "theirs.pth")
    model.load_state_dict(rt.load(tmp_path / "theirs.pth"))
    peer.eval()
    model.eval()
    expected = peer(torch.tensor(x)).detach().numpy()
    scale = np.abs(expected).max()
    np.testing.assert_allclose(model(rt.tensor(x)).numpy(), expected, atol=1e-5 * scale)
    rt.save(model.state_dict(), tmp_path / "ours.pth")
    again = getattr(models, theirs)(num_classes=5)
    again.load_state_dict(torch.load(tmp_path / "ours.pth", weights_only=True))
    assert np.array_equal(again.eval()(torch.tensor(x)).detach().numpy(), expected)
