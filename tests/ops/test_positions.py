"""Convolutions with a single position in some dimension or in all: products of matrices, and so are their gradients."""

import numpy as np
import pytest

from ranvier.ops.functional.convolution import convolution, convolution_transpose
from ranvier.tensor.tensor import Tensor
from tests.layers.image_rows import around
from tests.layers.image_rows import convolution as plainly

ROWS = {  # positions and kernel sizes, then strides, dilations, paddings, groups
    "as large as the image": ((4, 3), (4, 3), (1, 1), (1, 1), ((0, 0), (0, 0)), 1),
    "a part of the image": ((4, 4), (3, 3), (2, 2), (1, 1), ((0, 0), (0, 0)), 1),
    "of one dimension": ((4, 6), (3, 3), (2, 2), (1, 1), ((0, 0), (0, 0)), 1),
    "of the other, in groups": ((6, 4), (3, 3), (2, 2), (1, 1), ((0, 0), (0, 0)), 2),
    "padded": ((2, 2), (3, 3), (2, 2), (1, 1), ((1, 1), (1, 1)), 1),
    "one pixel": ((1, 1), (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)), 2),
    "spread": ((6, 7), (3, 2), (2, 3), (2, 5), ((0, 0), (0, 0)), 1),
    "a kernel of one": ((3, 2), (1, 1), (3, 3), (1, 1), ((0, 0), (0, 0)), 1),
    "one line": ((5,), (3,), (3,), (1,), ((0, 0),), 2),
}


@pytest.mark.parametrize("name", ROWS)
def test_value_and_gradients(name, engine, float64):
    shape, size, stride, dilation, pairs, groups = ROWS[name]
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, *shape, 4)), rng.normal(size=(*size, 4 // groups, 6))

    def value(x, kernel):
        return plainly(around(x, pairs), kernel, stride, dilation, groups)

    leaves = [Tensor(a, requires_grad=True) for a in (x, kernel)]
    y = convolution(*leaves, stride, pairs, dilation, groups)
    assert 1 in y.shape[1:-1]
    np.testing.assert_allclose(y.numpy(), value(x, kernel), atol=1e-12)
    factor = rng.normal(size=y.shape)
    (y * factor).sum().backward()
    for leaf, moved in zip(leaves, (lambda a: value(a, kernel), lambda a: value(x, a)), strict=True):
        step = rng.normal(size=leaf.shape)  # both are linear in each operand, so that differences are exact
        expected = (moved(step) * factor).sum()
        assert (leaf.grad.numpy() * step).sum() == pytest.approx(expected, rel=1e-10)
    back = convolution_transpose(Tensor(factor), leaves[1], stride, pairs, dilation, x.shape[1:], groups)
    np.testing.assert_allclose(back.numpy(), leaves[0].grad.numpy(), atol=1e-12)


def test_a_mirrored_kernel(engine, float64):
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, 3, 5, 2)), rng.normal(size=(3, 2, 2, 3))
    found = convolution(x, kernel.transpose(1, 0, 2, 3).copy(), (1, 1), ((0, 0), (0, 0)), (1, 1), 1, True)
    np.testing.assert_allclose(found.numpy(), plainly(x, kernel, (1, 1), (1, 1), 1), atol=1e-12)
