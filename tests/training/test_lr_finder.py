"""The learning-rate range test: what it finds, that it leaves no trace, and what it refuses."""

import numpy as np
import pytest

import ranvier as rv
from ranvier.tensor import rng as seed
from ranvier.training.loop.lr_finder import RangeTest
from tests.strategies import ENGINES

RNG = np.random.default_rng(0)
CENTERS = RNG.normal(size=(4, 8)) * 2
Y = RNG.integers(0, 4, 640)
X = (CENTERS[Y] + RNG.normal(size=(640, 8))).astype(np.float32)


def network(optimizer="adam", engine=None, **options):
    rv.set_seed(1)
    model = rv.Sequential(
        [
            rv.layers.Dense(32, activation="relu", input_shape=(8,)),
            rv.layers.BatchNormalization(),
            rv.layers.Dropout(0.1),
            rv.layers.Dense(4, activation="softmax"),
        ]
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", engine=engine, **options)
    return model


def everything(model):
    """All that training changes, as bytes."""
    optimizer = model._compiled.optimizer
    arrays = [t.numpy() for t in model.state_dict().values()]
    arrays += optimizer.state().values() if optimizer.parameters else []
    return [a.tobytes() for a in arrays], optimizer.learning_rate, seed.get_state()["counters"]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_rate_that_trains(engine):
    model = network(rv.optimizers.SGD(), engine)
    found = rv.find_learning_rate(model, X, Y, batch_size=32)
    assert found.diverged
    assert 1e-3 < found.suggestion < 1.0
    assert len(found.rates) == len(found.losses) <= 200
    np.testing.assert_allclose(found.rates[:2], [1e-6, 1e-6 * 1e7 ** (1 / 199)], rtol=1e-12)
    model.optimizer.learning_rate = found.suggestion
    losses = model.fit(X, Y, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * found.losses[0]


@pytest.mark.parametrize("epochs", [0, 2])
def test_no_trace_is_left(epochs):
    """Weights, statistics, optimizer and random numbers: as if the test had not been, before training and within it."""
    model, copied = network(), network()
    for m in (model, copied):
        rv.set_seed(4)
        if epochs:
            m.fit(X, Y, epochs=epochs, verbose=0)
    before = everything(model)
    rv.find_learning_rate(model, X, Y, steps=50)
    assert everything(model) == before
    for m in (model, copied):
        rv.set_seed(5)
        m.fit(X, Y, epochs=2, verbose=0)
    assert everything(model) == everything(copied)


def test_a_model_that_is_built_by_it_is_built_as_by_fit():
    def unbuilt():
        model = rv.Sequential([rv.layers.Dense(16, activation="relu"), rv.layers.Dense(4, activation="softmax")])
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    results = []
    for tries in (True, False):
        rv.set_seed(2)
        model = unbuilt()
        if tries:
            rv.find_learning_rate(model, X, Y, steps=20)
        model.fit(X, Y, verbose=0)
        results.append(everything(model))
    assert results[0] == results[1]


class Stopping:
    """Batches that are interrupted."""

    def __iter__(self):
        yield X[:32], Y[:32]
        yield X[32:64], Y[32:64]
        raise KeyboardInterrupt


def test_an_interrupted_test_leaves_no_trace_either():
    model = network()
    before = everything(model)
    with pytest.raises(KeyboardInterrupt):
        rv.find_learning_rate(model, Stopping())
    assert everything(model) == before


class Batches:
    """Batches that can be read again, the last one smaller."""

    def __iter__(self):
        for start in range(0, 640, 48):
            yield X[start : start + 48], Y[start : start + 48]


def test_batches_are_read_again_and_a_generator_ends():
    found = rv.find_learning_rate(network(), Batches(), steps=100)
    assert 1e-4 < found.suggestion < 1.0
    assert len(found.rates) > 14
    ended = rv.find_learning_rate(network(), iter(Batches()), steps=100)
    assert len(ended.rates) == 14
    np.testing.assert_array_equal(ended.losses, found.losses[:14])
    with pytest.raises(ValueError, match=r"batches ended after 14 of 100 steps.*a generator of 100 batches"):
        ended.suggestion


def test_each_loss_is_that_of_its_step():
    """Against single steps of fit, with the rate set by hand."""
    found = rv.find_learning_rate(network("sgd"), Batches(), start=1e-3, stop=0.1, steps=12)
    model, losses = network("sgd"), []
    optimizer = model.optimizer
    for rate, (x, y) in zip(found.rates, Batches(), strict=False):
        optimizer.learning_rate = float(rate)
        losses.append(model.train_on_batch(x, y))
    assert found.losses[0] == pytest.approx(losses[0], abs=0.3)  # dropout draws other numbers
    assert np.corrcoef(found.losses, losses)[0, 1] > 0.5


def test_weights_of_samples_and_classes_count():
    weights = np.where(Y == 0, 0.0, 1.0)
    zero = rv.find_learning_rate(network(), X, Y, sample_weight=weights, steps=20)
    by_class = rv.find_learning_rate(network(), X, Y, class_weight={0: 0.0}, steps=20)
    np.testing.assert_array_equal(zero.losses, by_class.losses)


def test_a_schedule_of_the_optimizer_is_kept():
    schedule = rv.optimizers.schedules.CosineDecay(0.1, 100)
    model = network(rv.optimizers.SGD(schedule))
    rv.find_learning_rate(model, X, Y, steps=20)
    assert model.optimizer.learning_rate == schedule


def test_settings_that_are_no_arguments_are_kept():
    """Biases are left out of a decay that would make them vanish."""
    model = network(rv.optimizers.SGD(weight_decay=0.5))
    plain = rv.find_learning_rate(model, X, Y, steps=40, stop=1.0)
    model.optimizer.exclude_from_weight_decay(var_names=["kernel", "bias", "gamma", "beta"])
    excluded = rv.find_learning_rate(model, X, Y, steps=40, stop=1.0)
    none = rv.find_learning_rate(network(rv.optimizers.SGD()), X, Y, steps=40, stop=1.0)
    assert not np.array_equal(plain.losses, excluded.losses)
    np.testing.assert_allclose(excluded.losses, none.losses, rtol=1e-5)


def test_the_suggestion_is_where_the_loss_falls_fastest():
    rates = np.geomspace(1e-6, 1, 121)
    losses = 2.0 - 1.5 / (1 + (3e-3 / rates) ** 2) + np.where(rates > 0.1, (rates - 0.1) * 10, 0.0)
    noisy = losses + np.random.default_rng(0).normal(size=121) * 0.05
    exploding = losses + np.where(rates > 0.5, 1e15, 0.0)
    for curve in (losses, noisy, exploding, np.append(exploding[:-1], np.inf)):
        assert 1e-3 < RangeTest(rates, curve, True).suggestion < 1e-2
    assert "121 steps, diverged at 1, suggestion=0.00" in repr(RangeTest(rates, losses, True))


@pytest.mark.parametrize(("seed", "batch_size"), [(0, 32), (2, 32), (2, 16), (2, 4), (4, 4), (8, 4)])
def test_noise_of_the_first_steps_is_neither_a_fall_nor_divergence(seed, batch_size):
    """A regression whose losses vary much from batch to batch, small batches the most."""
    x = np.random.default_rng(0).standard_normal((157, 6)).astype(np.float32)
    rv.set_seed(seed)
    model = rv.Sequential([rv.layers.Dense(16, activation="relu"), rv.layers.Dense(1)])
    model.compile("adam", "mse")
    found = rv.find_learning_rate(model, x, 2 * x[:, 1:2] ** 2, batch_size=batch_size)
    assert len(found.rates) > 120
    assert 1e-4 < found.suggestion < 0.2


def test_what_is_no_longer_finite_ends_the_first_steps_too():
    model = rv.Sequential([rv.layers.Dense(1)])
    model.compile("sgd", "mse")
    found = rv.find_learning_rate(model, X, X[:, :1], start=1e6, stop=1e9)
    assert found.diverged
    assert len(found.rates) < 20


@pytest.mark.parametrize("losses", [np.ones(50), np.linspace(1, 2, 50), np.full(50, np.nan)])
def test_no_suggestion_where_the_loss_never_fell(losses):
    found = RangeTest(np.geomspace(1e-4, 1, 50), losses, False)
    assert "no suggestion" in repr(found)
    with pytest.raises(ValueError, match=r"at no rate from 0\.0001 to 1"):
        _ = found.suggestion


def test_what_is_shown(capsys):
    found = rv.find_learning_rate(network(), X, Y, steps=20, verbose=2)
    assert f"Learning rate  loss {found.losses[-1]:.4f}" in capsys.readouterr().out
    rv.find_learning_rate(network(), X, Y, steps=20)
    assert not capsys.readouterr().out


def test_the_plot():
    pytest.importorskip("matplotlib")
    found = rv.find_learning_rate(network(), X, Y, steps=60)
    (axes,) = found.plot().axes
    assert axes.get_xscale() == "log"
    assert any("suggestion" in text.get_text() for text in axes.get_legend().get_texts())


ERRORS = [
    (lambda: rv.find_learning_rate(network(), X, Y, start=0), ValueError, "rates above 0 that rise"),
    (lambda: rv.find_learning_rate(network(), X, Y, start=1.0, stop=0.1), ValueError, "start=1.0, stop=0.1"),
    (lambda: rv.find_learning_rate(network(), X, Y, steps=3), ValueError, "steps=3"),
    (lambda: rv.find_learning_rate(network(), X, Y, batch_size=0), ValueError, "batch_size=0"),
    (lambda: rv.find_learning_rate(network(), X, Y, divergence=1.0), ValueError, "above 1"),
    (lambda: rv.find_learning_rate(network(), X, Y, verbose=7), ValueError, "verbose=7"),
    (lambda: rv.find_learning_rate(network(), iter([])), ValueError, "batch"),
    (lambda: rv.find_learning_rate(network(), X, Y[:5]), ValueError, "640"),
    (lambda: rv.find_learning_rate(network(), X[:, :3], Y), ValueError, "8"),
    (lambda: rv.find_learning_rate(rv.Sequential([rv.layers.Dense(1)]), X, Y), RuntimeError, "not compiled"),
]


@pytest.mark.parametrize(("make", "error", "text"), ERRORS)
def test_errors(make, error, text):
    with pytest.raises(error, match=text):
        make()
