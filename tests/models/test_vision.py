"""Networks with torchvision's names of weights: their sizes, their files, what they refuse."""

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch

IMAGES = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)


@pytest.mark.parametrize(
    ("make", "keys", "first", "last"),
    [
        (lambda: rv.models.ResNet((1, 1), 3), 38, "conv1.weight", "fc.bias"),
        (lambda: rv.models.MobileNetV2(3, 0.25), 314, "features.0.0.weight", "classifier.1.bias"),
    ],
)
def test_names_and_files(make, keys, first, last, tmp_path):
    rv.set_engine("reference")
    net = make().eval()
    state = net.state_dict()
    names = list(state)
    assert (len(names), names[0], names[-1]) == (keys, first, last)
    with torch.no_grad():
        expected = net(torch.tensor(IMAGES)).numpy()
    assert expected.shape == (2, 3)
    net.save(tmp_path / "a.ranvier")
    again = rv.load_model(tmp_path / "a.ranvier").eval()
    with torch.no_grad():
        assert np.array_equal(again(torch.tensor(IMAGES)).numpy(), expected)
    rv.set_engine(None)


@pytest.mark.parametrize(("name", "count"), [("resnet18", 11_689_512), ("mobilenet_v2", 3_504_872)])
def test_sizes(name, count):
    """Those that torchvision's documentation has."""
    assert sum(p.numel() for p in getattr(rv.models, name)().parameters()) == count


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"width_mult=0. Write a number above 0"):
        rv.models.mobilenet_v2(width_mult=0)
    with pytest.raises(ValueError, match="num_classes"):
        rv.models.MobileNetV2(0, 0.25)
