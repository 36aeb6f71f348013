"""Which old position gives how much to which new one: the one rule of everything that resizes."""

from typing import Any

import numpy as np
import pytest

from ranvier.ops.functional.pooling import adaptive_pool
from ranvier.ops.functional.resizing import KERNELS, resize, shares

RULES: dict[str, tuple[Any, Any, Any]] = {
    "halves of pixels": ((2, 4), {}, [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]),
    "ends that stay": ((2, 3), {"places": "corners"}, [[1, 0], [0.5, 0.5], [0, 1]]),
    "one in the first corner": ((3, 1), {"places": "corners"}, [[1, 0, 0]]),
    "smaller, two seen": ((4, 2), {}, [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]),
    "smaller, all seen": ((4, 2), {"antialias": True}, np.array([[3, 3, 1, 0], [0, 1, 3, 3]]) / 7),
    "nearest to the centre": ((4, 2), {"interpolation": "nearest"}, [[0, 1, 0, 0], [0, 0, 0, 1]]),
    "nearest to the start": ((4, 2), {"interpolation": "nearest", "places": "starts"}, [[1, 0, 0, 0], [0, 0, 1, 0]]),
    "a ratio of its own": ((2, 3), {"ratio": 0.5}, [[1, 0], [0.75, 0.25], [0.25, 0.75]]),
    "cubic": ((3, 1), {"interpolation": "cubic"}, [[0, 1, 0]]),
}


@pytest.mark.parametrize("row", RULES)
def test_shares(row):
    sizes, options, expected = RULES[row]
    np.testing.assert_allclose(shares(*sizes, **options), expected, atol=1e-15)


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic", "lanczos3"])
@pytest.mark.parametrize("places", ["centres", "starts", "corners"])
@pytest.mark.parametrize("sizes", [(1, 1), (1, 5), (5, 1), (7, 3), (3, 7), (6, 6)])
def test_shares_sum_to_one_and_the_same_size_is_the_same(sizes, places, interpolation):
    found = shares(*sizes, interpolation, places)
    np.testing.assert_allclose(found.sum(1), 1)
    if sizes[0] == sizes[1] and (interpolation, places) not in {(name, "starts") for name in KERNELS}:
        np.testing.assert_allclose(found, np.eye(sizes[0]), atol=1e-15)


def test_any_number_of_dimensions_in_either_order():
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 2)).astype("float32")
    expected = x
    for axis, (old, new) in enumerate(((3, 6), (4, 2), (5, 5)), 1):
        expected = np.moveaxis(np.tensordot(shares(old, new), expected, (1, axis)), 0, axis)
    np.testing.assert_allclose(resize(x, (6, 2, 5)).numpy(), expected, atol=1e-6)
    found = resize(np.moveaxis(x, -1, 1).copy(), (6, 2, 5), first=True).numpy()
    np.testing.assert_allclose(found, np.moveaxis(expected, -1, 1), atol=1e-6)
    assert resize(np.ones((1, 2, 2, 1), "uint8"), (3, 3)).dtype == "float32"


def test_parts_of_unequal_sizes_have_their_means():
    x = np.arange(5, dtype="float32").reshape(1, 5, 1)
    np.testing.assert_allclose(adaptive_pool(x, (2,)).numpy().ravel(), [1, 3])
