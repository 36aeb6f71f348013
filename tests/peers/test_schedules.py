"""Every schedule that Keras has, against keras.optimizers.schedules, and two whole trainings."""

import numpy as np
import pytest

import ranvier as rv
from ranvier.optimizers import schedules

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")]

STEPS = [*range(60), 69, 70, 71, 99, 100, 101, 149, 150, 151, 310, 999, 5000]

ROWS = [
    ("ExponentialDecay", (0.1, 30, 0.5), {}),
    ("ExponentialDecay", (0.1, 7, 0.96), {"staircase": True}),
    ("PiecewiseConstantDecay", ([10, 30, 99], [1.0, 0.5, 0.1, 0.01]), {}),
    ("PolynomialDecay", (0.1, 30), {}),
    ("PolynomialDecay", (0.1, 30, 0.01, 0.5), {}),
    ("PolynomialDecay", (0.1, 30, 0.01), {"power": 3.0, "cycle": True}),
    ("InverseTimeDecay", (0.1, 30, 0.5), {}),
    ("InverseTimeDecay", (0.1, 30, 0.5), {"staircase": True}),
    ("CosineDecay", (0.1, 50), {}),
    ("CosineDecay", (0.1, 50, 0.1), {"name": "mine"}),
    ("CosineDecay", (0.0, 50), {"warmup_target": 0.2, "warmup_steps": 20, "alpha": 0.01}),
    ("CosineDecayRestarts", (0.1, 10), {}),
    ("CosineDecayRestarts", (0.1, 10), {"t_mul": 1.0, "m_mul": 0.9}),
    ("CosineDecayRestarts", (0.1, 20), {"t_mul": 1.5, "m_mul": 0.8, "alpha": 0.1}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "options"), ROWS)
def test_keras(keras, name, args, options):
    theirs = getattr(keras.optimizers.schedules, name)(*args, **options)
    ours = getattr(schedules, name)(*args, **options)
    expected = [float(theirs(step)) for step in STEPS]  # in float32
    np.testing.assert_allclose(ours(np.array(STEPS)), expected, rtol=5e-5, atol=2e-6)
    config = {key: value for key, value in theirs.get_config().items() if key != "name"}
    assert schedules.describe(ours)["config"].items() >= config.items() or name == "PiecewiseConstantDecay"


@pytest.mark.parametrize(("name", "args", "options"), ROWS)
def test_a_schedule_of_kerass_is_taken_over_as_the_error_says(keras, name, args, options):
    theirs = getattr(keras.optimizers.schedules, name)(*args, **options)
    with pytest.raises(TypeError, match=rf"schedules\.{name}\(\*\*schedule\.get_config\(\)\)"):
        rv.optimizers.Adam(theirs)
    ours = getattr(schedules, name)(**theirs.get_config())
    assert ours == getattr(schedules, name)(*args, **options)
    assert schedules.deserialize(keras.optimizers.schedules.serialize(theirs)) == ours
    assert type(ours).from_config(theirs.get_config()) == ours
    assert float(type(theirs).from_config(ours.get_config())(7)) == float(theirs(7))


@pytest.mark.parametrize(("name", "args", "options"), [ROWS[0], ROWS[10]])
def test_training_with_a_schedule(keras, name, args, options):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 4)).astype(np.float32), rng.normal(size=(64, 2)).astype(np.float32)
    results, start = [], None
    for library in (rv, keras):
        optimizer = library.optimizers.SGD(getattr(library.optimizers.schedules, name)(*args, **options), momentum=0.9)
        model = library.Sequential([library.layers.Input((4,)), library.layers.Dense(2)])
        start = [w.copy() for w in model.get_weights()] if start is None else start
        model.set_weights(start)
        model.compile(optimizer=optimizer, loss="mse")
        model.fit(x, y, epochs=5, batch_size=8, shuffle=False, verbose=0)
        results.append(model.get_weights())
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
