"""Pictures of images: drawn whole, for grey and colour, both orders of channels, floats of any range."""

import numpy as np
import pytest

import ranvier as rv
from ranvier import explain, layers, pictures
from ranvier.pictures.images import as_pixels
from ranvier.torch import nn

RNG = np.random.default_rng(0)
CROSSED = RNG.random((6, 2, 9, 10))
GREY = RNG.integers(0, 256, (6, 9, 10, 1), dtype=np.uint8)
DIGITS = np.arange(17).reshape(1, 17, 1).repeat(2, 2)
COLOUR = RNG.random((6, 9, 10, 3)).astype(np.float32)


def network(channels):
    rv.set_seed(0)
    return rv.Sequential([
        layers.Input((9, 10, channels)), layers.Conv2D(5, 3, activation="relu", name="low"), layers.MaxPooling2D(name="pool"),
        layers.Conv2D(4, 2, activation="relu", name="top"), layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")])  # fmt: skip


P = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.05, 0.9, 0.05], [1, 0, 0], [0, 0, 1.0]])
Y = np.array([0, 2, 2, 0, 0, 2])

DRAWN = {
    "filters, grey": lambda path: pictures.filters(network(1), path=path),
    "filters, colour": lambda path: pictures.filters(network(3), path=path),
    "filters of many channels": lambda path: pictures.filters(network(3), "top", path),
    "filters of PyTorch": lambda path: pictures.filters(nn.Sequential(nn.Conv2d(3, 4, 5)), path=path),
    "maps": lambda path: pictures.feature_maps(network(1), GREY[0], path=path),
    "maps of a layer": lambda path: pictures.feature_maps(network(3), COLOUR[0], "pool", path),
    "maps of PyTorch": lambda path: pictures.feature_maps(
        nn.Sequential(nn.Conv2d(3, 4, 5)), COLOUR[0].transpose(2, 0, 1).copy(), path=path
    ),
    "mistakes": lambda path: pictures.mistakes(GREY, Y, P, "abc", path),
    "mistakes, of two classes": lambda path: pictures.mistakes(GREY, Y // 2, P[:, :1], path=path),
    "mistakes, one": lambda path: pictures.mistakes(COLOUR.transpose(0, 3, 1, 2), Y, P, path=path, count=1, channels_first=True),
    "attributions": lambda path: pictures.attributions(
        COLOUR, {"Grad-CAM": explain.grad_cam(network(3), COLOUR), "gradient": explain.saliency(network(3), COLOUR)}, path, captions="abc"
    ),
    "attributions, channels first": lambda path: pictures.attributions(
        CROSSED, {"Grad-CAM": np.ones((6, 9, 10)), "gradient": CROSSED}, path
    ),
    "attributions, grey": lambda path: pictures.attributions(GREY[:1], explain.saliency(network(1), GREY[:1]), path),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_every_picture_is_written_whole(name, tmp_path):
    figure = DRAWN[name](tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert [p.name for p in tmp_path.iterdir()] == ["p.png"]
    assert figure.axes


def test_the_worst_mistakes_come_first():
    figure = pictures.mistakes(GREY, Y, P, ["cat", "dog", "emu"])
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["predicted dog, 90 %\ntrue cat, 5 %\nrow 3", "predicted dog, 80 %\ntrue emu, 10 %\nrow 1"]
    assert np.array_equal(figure.axes[0].get_images()[0].get_array(), GREY[3, ..., 0] / 255)
    assert figure.get_suptitle() == "2 of 6 misclassified"


def test_kernels_are_drawn_in_their_order():
    model = network(1)
    figure = pictures.filters(model)
    kernel = model[0].kernel.numpy()
    for i, axes in enumerate(figure.axes[:5]):
        assert np.array_equal(axes.get_images()[0].get_array(), kernel[:, :, 0, i])


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (GREY, GREY[..., 0] / 255),
        (GREY * np.float32(1), GREY[..., 0] / 255),
        (COLOUR, COLOUR),
        (COLOUR * 2 - 1, None),
        (COLOUR[..., :2], COLOUR[..., :2].mean(3)),
        (DIGITS, DIGITS / 16),
        (DIGITS.astype(np.float32), DIGITS / 16),
        (DIGITS // 16, DIGITS // 16),
        (COLOUR * 1.02, np.minimum(COLOUR * 1.02, 1)),
        (COLOUR * 3000, None),
        (COLOUR.transpose(0, 3, 1, 2), COLOUR),
    ],
    ids=[
        "bytes",
        "floats of bytes",
        "shares",
        "centred",
        "two channels",
        "0 to 16",
        "0.0 to 16.0",
        "0 and 1",
        "overshoot",
        "thousands",
        "channels first",
    ],
)
def test_as_pixels(images, expected):
    found = as_pixels(images)
    if expected is None:
        assert found.min() < 0.01
        assert found.max() == 1
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-6)


ERRORS = [
    (lambda: pictures.filters(rv.Sequential([layers.Dense(3, input_shape=(2,))])), "no two-dimensional kernels"),
    (lambda: pictures.filters(network(1), "pool"), "'pool' has no two-dimensional kernels"),
    (lambda: pictures.feature_maps(network(1), GREY[0], "nowhere"), "gives no maps to draw"),
    (lambda: pictures.mistakes(GREY, P.argmax(1), P), "nothing to draw"),
    (lambda: pictures.mistakes(GREY, Y[:2], P), "class numbers"),
    (lambda: pictures.mistakes(GREY, Y, np.log(P + 1e-3)), "If they are logits"),
    (lambda: pictures.mistakes(GREY, Y + 1, P), "beyond the classes 0 to 2"),
    (lambda: pictures.mistakes(GREY, Y * 0.5, P), "Write class numbers"),
    (lambda: pictures.attributions(COLOUR, np.zeros((6, 3, 3))), "what ranvier.explain gives .*channels_first=True if"),
    (lambda: pictures.attributions(COLOUR[0, 0], np.zeros((6, 3, 3))), "cannot be drawn"),
]  # fmt: skip


@pytest.mark.parametrize(("act", "message"), ERRORS, ids=[m for _, m in ERRORS])
def test_errors_say_what_to_write(act, message):
    with pytest.raises(ValueError, match=message):
        act()
