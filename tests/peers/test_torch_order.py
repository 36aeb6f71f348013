"""Order statistics, patches of images and sampling at points: the same row here and in PyTorch, values and gradients."""

from typing import Any

import numpy as np
import pytest

from ranvier.engines import set_engine
from tests.peers.test_torch_vocabulary import compare

pytest.importorskip("torch")
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:.*upsample.*deprecated")]
RNG = np.random.default_rng(5)
X = RNG.standard_normal((3, 4)).astype(np.float32)
NAN = np.array([1, np.nan, 3, 3, 2], np.float32)
WHOLE = RNG.integers(0, 3, (4, 6))
IMAGES = RNG.standard_normal((2, 3, 7, 6)).astype(np.float32)
MOVES = np.array([[[0.91, 0.23, 0.117], [-0.1, 1.1, 0.3]], [[1, 0, 0], [0, 1, 0.0]]], np.float32)
PATCHES = (
    {"kernel_size": 3},
    {"kernel_size": (2, 3), "stride": 2, "padding": 1},
    {"kernel_size": 2, "dilation": 2, "padding": (1, 0), "stride": (1, 2)},
)


def unfolded(t, x, **options):
    F = t.nn.functional
    columns = F.unfold(x, **options)
    return columns, F.fold(columns, x.shape[-2:], **options), t.nn.Unfold(**options)(x[0])


def sampled(mode, around, corners):
    def program(t, x, moves):
        F = t.nn.functional
        points = F.affine_grid(moves, (2, 3, 5, 4), align_corners=corners)
        points = points.detach() if mode == "nearest" else points
        found = F.grid_sample(x, points, mode, around, align_corners=corners)
        return (found, points) if mode != "nearest" else (found, moves * 2)

    return program


ROWS: dict[str, Any] = {
    "kthvalue": (lambda t, x: (*t.kthvalue(x, 2), *x.kthvalue(1, 0, True)), X),
    "mode": (lambda t, i: (*t.mode(i), *i.mode(0, True)), WHOLE),
    "cummax": (lambda t, x: (*t.cummax(x, 1), *x.cummin(0)), X),
    "cummax, equal ones": (lambda t, i: (*i.cummax(1), *t.cummin(i, 0)), WHOLE),
    "cummax, nan": (lambda t, x: (x.detach().cummax(0).indices, x.detach().cummin(0).indices), NAN),
    "histogram": (lambda t, x: (*t.histogram(x.detach(), 5), *t.histogram(x.detach(), density=True)), X),
    "histogram of edges": (lambda t, x: x.detach().histogram(t.tensor([-1.0, 0, 2]), weight=x.detach().abs()), X),
    "histogram of a range": (lambda t, x: t.histogram(x.detach(), 4, range=(-1.0, 1.0)), X),
    "masked_scatter": (lambda t, x: x.masked_scatter(x.detach() > 0, x.flip(0) * 2), X),
    "masked_scatter_": (lambda t, x: t.zeros(2, 4).masked_scatter_(t.tensor([True, False, True, False]), x), X),
    "unfold": (lambda t, x: unfolded(t, x, **PATCHES[0]), IMAGES),
    "unfold with stride": (lambda t, x: unfolded(t, x, **PATCHES[1]), IMAGES),
    "unfold with dilation": (lambda t, x: unfolded(t, x, **PATCHES[2]), IMAGES),
    "grid_sample": (sampled("bilinear", "zeros", False), IMAGES, MOVES),
    "grid_sample, border": (sampled("bilinear", "border", True), IMAGES, MOVES),
    "grid_sample, nearest": (sampled("nearest", "border", False), IMAGES, MOVES),
}
PLACES = RNG.integers(0, 4, (3, 6))
MANY = RNG.standard_normal((3, 6)).astype(np.float32)
MANY[0, :2] = MANY[0, 2]


def reduced(reduce, own):
    def program(t, x, many):
        given = (x.detach(), many.detach()) if reduce == "prod" else (x, many)
        return t.scatter_reduce(given[0], 1, t.tensor(PLACES), given[1], reduce, include_self=own)

    return program


ROWS |= {
    f"{r}, {own}": (reduced(r, own), X, MANY) for r in ("sum", "mean", "amax", "amin", "prod") for own in (True, False)
}
ROWS |= {
    "scatter_reduce_": (lambda t, x: t.zeros(5).scatter_reduce_(0, t.tensor([0, 1, 1]), x[:, 0], "amax"), X),
    "index_put": (lambda t, x: x.index_put((t.tensor([0, 2, 0]),), x * 2, accumulate=True), X),
    "index_put_": (lambda t, x: t.zeros(5, 2).index_put_((t.tensor([0, 3]), t.tensor([1, 0])), x[0, :2]), X),
    "atleast": (lambda t, x: (t.atleast_1d(x[0, 0]), t.atleast_2d(x[0]), *t.atleast_3d(x, x[0], x[0, 0])), X),
    "older names": (
        lambda t, x: (t.nn.functional.upsample_bilinear(x[:, t.newaxis, t.newaxis], (2, 7)), t.vdot(x[0], x[1])),
        X,
    ),
}


@pytest.fixture(autouse=True)
def _reference():
    set_engine("reference")
    yield
    set_engine(None)


@pytest.mark.parametrize("name", ROWS)
def test_values_and_gradients(name):
    program, *arrays = ROWS[name]

    def run(t, *tensors):
        result = program(t, *tensors)
        return tuple(result) if isinstance(result, tuple) else result

    compare(run, *arrays)
