"""The second oracles: Keras on JAX, which is light and has its gradients."""

import os
import sys
import warnings

import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")  # before anything imports keras
os.environ.setdefault("SCIPY_ARRAY_API", "1")  # without it scikit-learn skips some of its checks; before scipy

ENGINES = {"test_engines.py", "test_distribution.py"}  # where JAX is an engine of ours


@pytest.fixture(autouse=True)
def oracle_compiles_quickly(request):
    """JAX optimizes its programs for longer than they run here."""
    if (jax := sys.modules.get("jax")) is not None:
        jax.config.update("jax_disable_most_optimizations", request.path.name not in ENGINES)


@pytest.fixture
def keras():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it says while it is imported is its own affair
        return pytest.importorskip("keras")


@pytest.fixture
def in_float64():
    """Numbers of both libraries, computed by the definition."""
    import torch as theirs

    import ranvier as rv
    import ranvier.torch as ours

    kind, engine = rv.config.floatx(), rv.get_engine()
    rv.set_engine("reference")
    ours.set_default_dtype(ours.float64)
    theirs.set_default_dtype(theirs.float64)
    yield
    rv.set_engine(engine)
    ours.set_default_dtype(kind)
    theirs.set_default_dtype(theirs.float32)


def pytest_configure(config):
    """Keras's own tests, which run against us, have a marker of theirs."""
    config.addinivalue_line("markers", "requires_trainable_backend: of Keras's own tests")
