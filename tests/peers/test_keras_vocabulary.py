"""Expressions of Keras's vocabulary whose results differed: each as Keras computes it."""

from typing import Any

import numpy as np
import pytest

import ranvier as rv

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")]


def whole_weight(k: Any) -> Any:
    return np.asarray(k.layers.Layer().add_weight(shape=(3,), dtype="int32", trainable=False))


ROWS = {
    "add_weight of whole numbers": whole_weight,
    "round of whole numbers": lambda k: k.ops.round(np.array([14, 15, 25, -15, 149], np.int32), -1),
    "round to hundreds": lambda k: k.ops.round(np.array([14, 50, 150, -151], np.int32), decimals=-2),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_as_keras(name, keras):
    ours, theirs = (ROWS[name](library) for library in (rv, keras))
    assert np.asarray(ours).dtype == np.asarray(theirs).dtype
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
