"""The values and errors of `tests/torch/test_edges.py` are PyTorch's."""

import numpy as np
import pytest

from tests.torch.test_edges import REFUSED, VALUES, results

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    result, expected = results(name, torch)
    if isinstance(expected, list) and expected and isinstance(expected[0], str):
        assert result == expected
    else:
        np.testing.assert_allclose(np.asarray(result, float), np.asarray(expected, float), rtol=1e-6)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    function, error, _ = REFUSED[name]
    with pytest.raises(error):
        function(torch)
