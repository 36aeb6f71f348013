"""Operations under Keras's names: those of Keras, called alike."""

import numpy as np
import pytest

from tests.ops.test_ops import ROWS


@pytest.mark.parametrize("name", ROWS)
def test_operations_are_those_of_keras(name, keras):
    call, expected = ROWS[name]
    np.testing.assert_allclose(np.asarray(call(keras.ops)), expected, rtol=2e-5, atol=1e-6)
