"""Tensors as text, and the types of ``x.shape`` and ``x.dtype``. The texts are those that PyTorch 2 prints."""

import copy
import pickle

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier.tensor import printing
from tests import processes

NAN, INF = float("nan"), float("inf")
ROWS = [
    (1.5, "tensor(1.5000)"),
    ([0.0, 2.0], "tensor([0., 2.])"),
    ([0.0, 1.2071], "tensor([0.0000, 1.2071])"),
    ([-1.5, 100.25], "tensor([ -1.5000, 100.2500])"),
    ([1e-5, 1.0], "tensor([1.0000e-05, 1.0000e+00])"),
    ([1e9], "tensor([1.0000e+09])"),
    ([12345.0], "tensor([12345.])"),
    ([NAN, 1.5, INF, -INF], "tensor([   nan, 1.5000,    inf,   -inf])"),
    ([True, False], "tensor([ True, False])"),
    ([[1, -20], [300, 4]], "tensor([[  1, -20],\n        [300,   4]])"),
    (
        np.arange(8, dtype="float32").reshape(2, 2, 2),
        "tensor([[[0., 1.],\n         [2., 3.]],\n\n        [[4., 5.],\n         [6., 7.]]])",
    ),
    ([], "tensor([])"),
    (np.zeros((0, 3), "float32"), "tensor([], size=(0, 3))"),
    (np.int32([7]), "tensor([7], dtype=torch.int32)"),
    (np.arange(1001), "tensor([   0,    1,    2,  ...,  998,  999, 1000])"),
    (
        np.ones((1001, 2), "float32"),
        f"tensor([[1., 1.],\n{' ' * 8}[1., 1.],\n{' ' * 8}[1., 1.],\n{' ' * 8}...,{3 * (chr(10) + ' ' * 8 + '[1., 1.],')}"[
            :-1
        ]
        + "])",
    ),
]


@pytest.mark.parametrize(("value", "expected"), ROWS, ids=[row[1][:30] for row in ROWS])
def test_text(value, expected):
    assert repr(torch.tensor(value)) == expected


def test_lines_are_filled_to_their_width():
    lines = repr(torch.arange(40)).splitlines()
    assert lines[0] == "tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17,"
    assert lines[1] == "        18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35,"


def test_gradients_are_shown():
    x = torch.tensor([1.5], requires_grad=True)
    assert repr(x) == "tensor([1.5000], requires_grad=True)"
    assert repr(x * 2) == "tensor([3.], grad_fn=<MulBackward0>)"
    assert (x * 2).grad_fn == "<MulBackward0>"


OPTIONS = [
    ({"precision": 2}, "tensor([1.50, 2.00])"),
    ({"sci_mode": True}, "tensor([1.5000e+00, 2.0000e+00])"),
    ({"profile": "short"}, "tensor([1.50, 2.00])"),
]


@pytest.mark.parametrize(("given", "expected"), OPTIONS)
def test_options(given, expected, monkeypatch):
    monkeypatch.setattr(printing, "options", printing.Options())
    torch.set_printoptions(**given)
    assert repr(torch.tensor([1.5, 2.0])) == expected


def test_an_unknown_profile_is_refused():
    with pytest.raises(ValueError, match="default, short, full"):
        torch.set_printoptions(profile="long")


def test_formats():
    assert f"{torch.tensor(1.5)} {torch.tensor([1.5])} {torch.tensor([1.5]):.1f}" == "1.5 tensor([1.5000]) 1.5"


def test_a_shape_is_a_tuple_that_counts():
    shape = rv.Tensor(np.zeros((2, 3, 4))).shape
    assert shape == (2, 3, 4)
    assert isinstance(shape, torch.Size)
    assert (shape.numel(), shape[1:].numel(), (shape + shape).numel(), shape[-1]) == (24, 12, 576, 4)
    assert torch.Size([2, 3]).numel() == 6
    assert torch.Tensor(shape).shape == shape
    assert type(pickle.loads(pickle.dumps(shape))) is torch.Size


@pytest.mark.parametrize(
    ("imported", "expected"),
    [
        ("import ranvier", "(2,) float32 [(2,), 'float32'] (2,) int64"),
        (
            "import ranvier.torch as torch",
            "torch.Size([2]) torch.float32 [torch.Size([2]), torch.float32] torch.Size([2]) torch.int64",
        ),
    ],
)
def test_shapes_and_dtypes_print_in_the_vocabulary_of_the_program(imported, expected):
    code = f"""
{imported}
from ranvier import Tensor
x = Tensor([1.0, 2.0])
print(x.shape, x.dtype, [x.shape, x.dtype], f"{{x.shape}} {{(x > 1).sum().dtype}}")
"""
    assert processes.run(code).stdout.split() == expected.split()


def test_a_dtype_is_a_text_with_properties():
    x = rv.Tensor([1.0])
    assert x.dtype == "float32"
    assert x.dtype is torch.float32
    assert isinstance(x.dtype, torch.dtype)
    assert x.dtype.name == "float32"
    assert np.zeros(2, x.dtype).dtype == np.float32
    assert (torch.float16.is_floating_point, torch.int64.is_floating_point, torch.bool.is_signed) == (
        True,
        False,
        False,
    )
    assert (torch.float64.itemsize, torch.bfloat16.itemsize, torch.float32.is_complex) == (8, 2, False)
    assert pickle.loads(pickle.dumps(x.dtype)) is copy.deepcopy(x.dtype) is x.dtype
    assert torch.get_default_dtype() is torch.float32
    with pytest.raises(TypeError, match=r"dtype 'complex64' does not exist here. Write one of float32"):
        torch.dtype("complex64")


def test_a_loss_prints_its_function_after_the_step_too():
    """Its history ended when the step wrote the weights."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    loss = layer(torch.ones(2, 3)).pow(2).mean()
    loss.backward()
    before = repr(loss)
    optimizer.step()
    assert repr(loss) == before
    assert before.endswith("grad_fn=<MeanBackward0>)")
    assert loss.grad_fn == "<MeanBackward0>"
    assert "grad_fn" not in repr(layer.bias)
    assert layer.bias.grad_fn is None
    assert "grad_fn" not in repr(loss.detach())
