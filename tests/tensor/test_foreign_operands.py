"""Operands that are arrays of other libraries: anything with ``__array__``."""

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch


class Column:
    """Like a Series of pandas: it has values, and no truth."""

    def __array__(self, dtype=None, copy=None):
        return np.array([1.0, 2.0], np.float32)

    def __eq__(self, other):
        return np.array([True, True])

    def __hash__(self):
        raise TypeError


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: x + y,
        rv.ops.add,
        torch.add,
        lambda x, y: rv.losses.MeanSquaredError()(y, x) * 2 + y,
        lambda x, y: torch.nn.functional.mse_loss(x, y) + y,
    ],
)
def test_an_operand_with_values_is_a_tensor(function):
    x = rv.Tensor([3.0, 5.0])
    assert function(x, Column()).tolist() == function(x, rv.Tensor([1.0, 2.0])).tolist()


def test_another_library_s_tape_says_what_to_write():
    with pytest.raises(AttributeError, match=r"Write rv\.GradientTape\(\) in place"):
        rv.Tensor([1.0])._id


@pytest.mark.parametrize("make", [torch.tensor, torch.as_tensor, rv.Tensor, rv.ops.mean])
def test_lists_of_different_lengths_are_refused(make):
    with pytest.raises(ValueError, match=r"lists of different lengths are no tensor\. Write rows of one length"):
        make([[1, 2], [3]])
