"""The second oracles: Keras on JAX, which is light and has its gradients."""

import os
import warnings

import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")  # before anything imports keras


@pytest.fixture
def keras():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it says while it is imported is its own affair
        return pytest.importorskip("keras")
