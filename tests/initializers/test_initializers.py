"""Initializers and seeds: distributions, shapes, the same numbers for the same seed in any process."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from ranvier import initializers
from ranvier.initializers import fans
from ranvier.tensor import rng

SHAPE = (300, 200)
IN, OUT = 300, 200

# name, options, bound (None: unbounded), standard deviation
ROWS = [
    ("GlorotUniform", {}, np.sqrt(6 / (IN + OUT)), np.sqrt(2 / (IN + OUT))),
    ("GlorotNormal", {}, 2 * np.sqrt(2 / (IN + OUT)) / 0.8796, np.sqrt(2 / (IN + OUT))),
    ("HeUniform", {}, np.sqrt(6 / IN), np.sqrt(2 / IN)),
    ("HeNormal", {}, 2 * np.sqrt(2 / IN) / 0.8796, np.sqrt(2 / IN)),
    ("LecunUniform", {}, np.sqrt(3 / IN), np.sqrt(1 / IN)),
    ("LecunNormal", {}, 2 * np.sqrt(1 / IN) / 0.8796, np.sqrt(1 / IN)),
    ("TruncatedNormal", {"stddev": 0.1}, 0.2, 0.1 * 0.8796),
    ("RandomNormal", {"stddev": 0.1}, None, 0.1),
    ("RandomUniform", {"minval": -0.3, "maxval": 0.3}, 0.3, 0.6 / np.sqrt(12)),
    (
        "VarianceScaling",
        {"scale": 3.0, "mode": "fan_out", "distribution": "untruncated_normal"},
        None,
        np.sqrt(3 / OUT),
    ),
    ("Orthogonal", {"gain": 2.0}, None, 2 / np.sqrt(IN)),
    ("Zeros", {}, 0.0, 0.0),
    ("Ones", {}, 1.0, 0.0),
    ("Constant", {"value": 0.5}, 0.5, 0.0),
]


def test_every_class_has_a_row():
    classes = {getattr(initializers, name).__name__ for name in initializers.__all__ if name[0].isupper()}
    assert {r[0] for r in ROWS} == classes - {"Initializer", "Identity", "STFT"}


def test_identity():
    np.testing.assert_array_equal(initializers.get("identity")((2, 3)), np.eye(2, 3))
    np.testing.assert_array_equal(initializers.Identity(gain=2.0)((2, 2)), 2 * np.eye(2))
    with pytest.raises(ValueError, match="makes matrices"):
        initializers.Identity()((3,))


def test_stft_is_the_transform_of_a_window():
    window = np.arange(1, 9) / 36
    values = [initializers.STFT(side, tuple(range(1, 9)), "spectrum")((8, 1, 6))[:, 0] for side in ("real", "imag")]
    np.testing.assert_allclose(values[0].sum(0) + 1j * values[1].sum(0), np.fft.rfft(window, 10), atol=1e-6)
    for wrong in ({"side": "phase"}, {"scaling": "l2"}, {"window": "hat"}):
        with pytest.raises(ValueError, match="Write"):
            initializers.STFT(**wrong)


@pytest.mark.parametrize(("name", "options", "bound", "deviation"), ROWS, ids=[r[0] for r in ROWS])
def test_distribution(name, options, bound, deviation):
    rng.set_seed(1)
    initializer = getattr(initializers, name)(**options)
    values = initializer(SHAPE)
    assert values.shape == SHAPE
    assert values.dtype == np.float32
    assert values.flags.c_contiguous
    assert values.std() == pytest.approx(deviation, rel=0.02)
    if bound is not None:
        assert abs(values).max() <= bound * (1 + 1e-3)
    if deviation:
        assert abs(values.mean()) < deviation / 30
        assert (initializer(SHAPE) != values).mean() > 0.99  # each call goes on
        fixed = getattr(initializers, name)(**options, seed=5)
        np.testing.assert_array_equal(fixed(SHAPE), fixed(SHAPE))
        rng.set_seed(1)
        np.testing.assert_array_equal(getattr(initializers, name)(**options)(SHAPE), values)
    assert initializer(SHAPE, "float64").dtype == np.float64
    assert type(initializer)(**initializer.config()).config() == initializer.config()


@pytest.mark.parametrize("shape", [(20, 30), (30, 20), (3, 3, 4, 8)])
def test_orthogonal(shape):
    q = initializers.Orthogonal(seed=1)(shape, "float64").reshape(-1, shape[-1])
    small = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
    np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-12)
    with pytest.raises(ValueError, match="two dimensions"):
        initializers.Orthogonal()((3,))


def test_fans():
    assert [fans(s) for s in [(), (7,), (3, 5), (2, 2, 3, 5)]] == [(1, 1), (7, 7), (3, 5), (12, 20)]


def test_uniform_bound():
    values = initializers.uniform(0.25, (500,), seed=2)
    assert -0.25 <= values.min() < -0.2
    assert 0.2 < values.max() < 0.25


def test_get():
    for name, kind in (
        ("glorot_uniform", "GlorotUniform"),
        ("HeNormal", "HeNormal"),
        ("zeros", "Zeros"),
        ("normal", "RandomNormal"),
        ("OrthogonalInitializer", "Orthogonal"),
    ):
        assert type(initializers.get(name)).__name__ == kind
    assert isinstance(initializers.get(initializers.Ones), initializers.Ones)
    assert initializers.get(0.5)((2,)).tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match="'glorot_uniform' instead"):
        initializers.get("glorot_unifrom")
    with pytest.raises(TypeError, match="a name or an object"):
        initializers.get([])
    with pytest.raises(ValueError, match="mode"):
        initializers.VarianceScaling(mode="fan")


def test_a_size_beyond_memory_is_reported_before_it_is_allocated():
    with pytest.raises((MemoryError, ValueError), match="would take"):
        initializers.GlorotUniform()((10**9, 10**9))


# --- seeds ------------------------------------------------------------------------------------------------------------


def test_purposes_do_not_disturb_each_other():
    rng.set_seed(7)
    alone = rng.numpy_generator("shuffle").random(3)
    rng.set_seed(7)
    rng.numpy_generator("initializer").random(3)
    rng.draw()
    np.testing.assert_array_equal(rng.numpy_generator("shuffle").random(3), alone)
    assert (rng.numpy_generator("shuffle").random(3) != alone).all()


def test_draw():
    rng.set_seed(7)
    (a, first), (b, second) = rng.draw(), rng.draw()
    assert a.item() == b.item()
    assert [first.item(), second.item()] == [0, 1]
    assert first.dtype == "uint32"
    (c, third) = rng.draw(seed=9)
    assert c.item() != a.item()
    assert third.item() == 0
    with rng.traced_draws() as drawn:
        pair = rng.draw()
    rng.draw()
    assert drawn == [pair]


@pytest.mark.parametrize("value", [-1, 1.5, True, "a", 2**64])
def test_set_seed_refuses(value):
    with pytest.raises(ValueError, match="is not an integer from 0"):
        rng.set_seed(value)


def test_any_process_draws_the_same():
    code = "from ranvier import initializers; from ranvier.tensor import rng as seed; seed.set_seed(3); print(initializers.HeNormal()((2, 2)).tobytes().hex(), seed.draw()[0].item())"
    results = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": h, "PYTHONPATH": ":".join(sys.path)}).stdout
        for h in ("0", "1")
    }  # fmt: skip
    rng.set_seed(3)
    assert results == {f"{initializers.HeNormal()((2, 2)).tobytes().hex()} {rng.draw()[0].item()}\n"}


def test_without_a_seed_there_is_one():
    with rng.seed_scope(rng.SeedState()):
        assert rng.get_seed() == rng.get_seed()


@pytest.mark.parametrize("name", ["GlorotUniform", "RandomNormal", "RandomUniform"])
def test_large_weights_are_drawn_in_parts_of_the_same_stream(name, monkeypatch):
    whole = getattr(initializers, name)(seed=3)(SHAPE)
    monkeypatch.setattr(initializers, "_PART", 7001)
    parts = getattr(initializers, name)(seed=3)(SHAPE)
    assert parts.shape == whole.shape == SHAPE
    assert parts.tobytes() == whole.tobytes()
    tracemalloc.start()
    try:
        drawn = getattr(initializers, name)(seed=3)((1000, 1000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.2 * drawn.nbytes
