"""Whole runs against Keras and PyTorch: same first weights, same order of batches, the same curve to float tolerance."""

import numpy as np
import pytest

import ranvier as rv

# Keras on JAX hands NumPy variables whose __array__ takes no copy: its own affair.
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")]

RNG = np.random.default_rng(5)
N, F, K = 330, 12, 4  # 330 = 10 batches of 32 and one of 10
X = RNG.normal(size=(N, F)).astype(np.float32)
LABELS = (X @ RNG.normal(size=(F, K))).argmax(1)
HOT = np.eye(K, dtype=np.float32)[LABELS]
YES = (X[:, 0] > 0).astype(np.float32)
VALUES = (X @ RNG.normal(size=(F, 2))).astype(np.float32)
EPOCHS = 5

RUNS = [  # optimizer, loss, metrics, last layer, targets
    ("adam", "sparse_categorical_crossentropy", ["accuracy"], (K, "softmax"), LABELS),
    ("sgd", "categorical_crossentropy", ["accuracy"], (K, "softmax"), HOT),
    ("rmsprop", "binary_crossentropy", ["accuracy", "mae"], (1, "sigmoid"), YES),
    ("adamw", "mse", ["mae"], (2, None), VALUES),
    ("nadam", "huber", ["mse"], (2, None), VALUES),
]


def layers(module, last):
    units, activation = last
    return [
        module.Dense(16, activation="relu"),
        module.Dense(8, activation="tanh"),
        module.Dense(units, activation=activation),
    ]


OPTIONS = [  # of fit, and the runs that have them: which batches there are does not depend on the optimizer
    ({}, RUNS),
    ({"validation_split": 0.2}, RUNS),
    ({"steps_per_epoch": 1, "batch_size": 66}, RUNS[::3]),
    ({"steps_per_epoch": 3, "batch_size": None}, RUNS[1::3]),
]


@pytest.mark.parametrize(
    ("optimizer", "loss", "metrics", "last", "y", "extra"), [(*run, extra) for extra, runs in OPTIONS for run in runs]
)
def test_keras(optimizer, loss, metrics, last, y, extra):
    keras = pytest.importorskip("keras")
    theirs = keras.Sequential([keras.Input((F,)), *layers(keras.layers, last)])
    mine = rv.Sequential([rv.Input((F,)), *layers(rv.layers, last)])
    mine.set_weights(theirs.get_weights())
    for model in (theirs, mine):
        model.compile(optimizer=optimizer, loss=loss, metrics=metrics)
    options = {"epochs": EPOCHS, "batch_size": 32, "shuffle": False, "verbose": 0, **extra}
    expected, got = theirs.fit(X, y, **options).history, mine.fit(X, y, **options).history
    assert set(got) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, rtol=2e-4, atol=2e-5, err_msg=name)
    for a, b in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(mine.predict(X), theirs.predict(X, verbose=0), rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(mine.evaluate(X, y, verbose=0), theirs.evaluate(X, y, verbose=0), rtol=2e-3)


def test_keras_weights_of_samples_and_classes():
    keras = pytest.importorskip("keras")
    theirs = keras.Sequential([keras.Input((F,)), keras.layers.Dense(K, activation="softmax")])
    mine = rv.Sequential([rv.Input((F,)), rv.layers.Dense(K, activation="softmax")])
    mine.set_weights(theirs.get_weights())
    weights = np.where(np.arange(N) % 3 == 0, 0, RNG.random(N).astype(np.float32) + 0.1)
    for model in (theirs, mine):
        model.compile("sgd", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    options: dict = {"epochs": 3, "shuffle": False, "verbose": 0, "sample_weight": weights}
    expected, got = theirs.fit(X, LABELS, **options).history, mine.fit(X, LABELS, **options).history
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-4, err_msg=name)
    for a, b in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_keras_weighs_classes_in_training_alone():
    keras = pytest.importorskip("keras")
    theirs = keras.Sequential([keras.Input((F,)), keras.layers.Dense(K, activation="softmax")])
    mine = rv.Sequential([rv.Input((F,)), rv.layers.Dense(K, activation="softmax")])
    mine.set_weights(theirs.get_weights())
    options: dict = {"epochs": 2, "shuffle": False, "verbose": 0, "validation_split": 0.2}
    options["class_weight"] = {0: 1.0, 1: 2.0, 2: 3.0, 3: 1.5}
    for model in (theirs, mine):
        model.compile("sgd", "sparse_categorical_crossentropy")
    expected, got = theirs.fit(X, LABELS, **options).history, mine.fit(X, LABELS, **options).history
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-4, err_msg=name)


def net(nn):
    return nn.Sequential(nn.Linear(F, 16), nn.ReLU(), nn.Linear(16, K))


@pytest.mark.parametrize("how", ["loop", "fit"])
@pytest.mark.parametrize(("name", "settings"), [("SGD", {"lr": 0.05, "momentum": 0.9}), ("Adam", {"lr": 0.01})])
def test_torch(name, settings, how):
    torch = pytest.importorskip("torch")
    import ranvier.torch as ours

    theirs, mine = net(torch.nn), net(ours.nn)
    mine.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    curves = []
    for module, model in ((torch, theirs), (ours, mine)):
        optimizer = getattr(module.optim, name)(model.parameters(), **settings)
        criterion = module.nn.CrossEntropyLoss()
        if how == "fit" and module is ours:
            model.compile(optimizer, criterion)
            curves.append(model.fit(X, LABELS, epochs=EPOCHS, shuffle=False, verbose=0).history["loss"])
            continue
        curve = []
        for _ in range(EPOCHS):
            total = 0.0
            for i in range(0, N, 32):
                x, y = module.tensor(X[i : i + 32]), module.tensor(LABELS[i : i + 32])
                optimizer.zero_grad()
                loss = criterion(model(x), y)
                loss.backward()
                optimizer.step()
                total += loss.item() * len(x)
            curve.append(total / N)
        curves.append(curve)
    np.testing.assert_allclose(curves[1], curves[0], rtol=2e-4)
