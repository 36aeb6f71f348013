"""Normalization, penalties and constraints against Keras and PyTorch: 20 steps from the same weights on the same batches."""

from typing import Any

import numpy as np
import pytest

import ranvier as rv

# Keras on JAX hands NumPy variables whose __array__ takes no copy: its own affair.
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")]

RNG = np.random.default_rng(7)
N, F = 75, 6  # 75 = 2 batches of 32 and one of 11
X = RNG.normal(1, 2, (N, F)).astype(np.float32)
CUBES = RNG.normal(-1, 3, (N, 3, F)).astype(np.float32)
VALUES = (np.tanh(X) @ RNG.normal(size=(F, 2))).astype(np.float32)
EPOCHS = 7  # 21 steps

# name: inputs, the layers before a last Dense(2), of either library. No bias goes into a batch normalization: its gradient
# is rounding alone, which Adam makes whole steps of.
NETWORKS: dict[str, Any] = {
    "batch norm": (X, lambda k: [k.layers.Dense(8, use_bias=False), k.layers.BatchNormalization(), k.layers.ReLU()]),
    "batch norm, options": (
        X, lambda k: [k.layers.Dense(8, use_bias=False), k.layers.BatchNormalization(
            momentum=0.8, epsilon=0.01, scale=False, beta_initializer="ones", moving_mean_initializer="ones",
            beta_regularizer="l2")],
    ),
    "batch norm, axis 1": (CUBES, lambda k: [k.layers.BatchNormalization(axis=1, center=False), k.layers.Flatten()]),
    "layer norm": (X, lambda k: [k.layers.Dense(8), k.layers.LayerNormalization(), k.layers.Activation("tanh")]),
    "layer norm, axes": (CUBES, lambda k: [k.layers.LayerNormalization(axis=(1, 2)), k.layers.Flatten()]),
    "penalties": (
        X, lambda k: [k.layers.Dense(
            8, activation="tanh", kernel_regularizer=k.regularizers.L1L2(0.01, 0.02), bias_regularizer="l2",
            activity_regularizer="l1")],
    ),
    "orthogonal": (X, lambda k: [k.layers.Dense(8, "tanh", kernel_regularizer=k.regularizers.OrthogonalRegularizer(0.5))]),
    "orthogonal columns": (
        X, lambda k: [k.layers.Dense(4, "tanh", kernel_regularizer=k.regularizers.OrthogonalRegularizer(0.5, "columns"))],
    ),
    "activity layer": (X, lambda k: [k.layers.Dense(8, "tanh"), k.layers.ActivityRegularization(l1=0.02, l2=0.01)]),
    "max norm": (X, lambda k: [k.layers.Dense(8, "tanh", kernel_constraint=k.constraints.MaxNorm(0.5))]),
    "unit norm": (X, lambda k: [k.layers.Dense(8, "tanh", kernel_constraint="unit_norm", bias_constraint="non_neg")]),
    "min max norm": (
        X, lambda k: [k.layers.Dense(8, "tanh", kernel_constraint=k.constraints.MinMaxNorm(0.2, 0.7, 0.5, axis=1))],
    ),
}  # fmt: skip


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("name", NETWORKS)
def test_keras(name, optimizer):
    keras = pytest.importorskip("keras")
    x, make = NETWORKS[name]
    theirs = keras.Sequential([keras.Input(x.shape[1:]), *make(keras), keras.layers.Dense(2)])
    mine = rv.Sequential([rv.Input(x.shape[1:]), *make(rv), rv.layers.Dense(2)])
    mine.set_weights(theirs.get_weights())
    for model in (theirs, mine):
        model.compile(optimizer=optimizer, loss="mse")
    options: dict[str, Any] = {"epochs": EPOCHS, "batch_size": 32, "shuffle": False, "verbose": 0}
    options["validation_data"] = (x[::2] * 0.9, VALUES[::2])
    expected, got = theirs.fit(x, VALUES, **options).history, mine.fit(x, VALUES, **options).history
    assert set(got) == set(expected)
    for key, values in expected.items():
        np.testing.assert_allclose(got[key], values, rtol=5e-4, atol=1e-5, err_msg=key)
    for a, b in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=3e-4)
    np.testing.assert_allclose(mine.predict(x), theirs.predict(x, verbose=0), rtol=2e-3, atol=5e-4)


def test_keras_weight_decay_leaves_out_what_is_excluded():
    keras = pytest.importorskip("keras")
    models: list[Any] = []
    for k in (keras, rv):
        model = k.Sequential(
            [k.Input((F,)), k.layers.Dense(8, use_bias=False), k.layers.BatchNormalization(), k.layers.Dense(2)]
        )
        optimizer = k.optimizers.AdamW(0.01, weight_decay=0.5)
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        model.compile(optimizer=optimizer, loss="mse")
        if models:
            model.set_weights(models[0].get_weights())
        models.append(model)
    for model in models:
        model.fit(X, VALUES, epochs=EPOCHS, batch_size=25, shuffle=False, verbose=0)
    for a, b in zip(*(m.get_weights() for m in models), strict=True):
        np.testing.assert_allclose(b, a, rtol=2e-3, atol=3e-4)


# name: inputs, the modules before a last Linear(., 2), of either library
NETS: dict[str, Any] = {
    "batch norm": (X, lambda nn: [nn.Linear(F, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU()]),
    "batch norm, options": (X, lambda nn: [nn.BatchNorm1d(F, eps=0.01, momentum=None, affine=False)]),
    "batch norm, no statistics": (X, lambda nn: [nn.BatchNorm1d(F, track_running_stats=False), nn.Tanh()]),
    "batch norm, length": (CUBES, lambda nn: [nn.BatchNorm1d(3), nn.Flatten()]),
    "layer norm": (X, lambda nn: [nn.Linear(F, 8), nn.LayerNorm(8), nn.ReLU()]),
    "layer norm, axes": (CUBES, lambda nn: [nn.LayerNorm([3, F], bias=False), nn.Flatten()]),
}


@pytest.mark.parametrize("how", ["loop", "fit"])
@pytest.mark.parametrize("name", NETS)
def test_torch(name, how):
    torch = pytest.importorskip("torch")
    import ranvier.torch as ours

    x, make = NETS[name]
    nets = []
    for module in (torch, ours):
        layers = make(module.nn)
        width = {"batch norm": 8, "layer norm": 8}.get(name, x[0].size)
        nets.append(module.nn.Sequential(*layers, module.nn.Linear(width, 2)))
    theirs, mine = nets
    mine.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    assert list(mine.state_dict()) == list(theirs.state_dict())
    for module, net in ((torch, theirs), (ours, mine)):
        optimizer = module.optim.Adam(net.parameters(), lr=0.01)
        if how == "fit" and module is ours:
            net.compile(optimizer, module.nn.MSELoss())
            net.fit(x, VALUES, epochs=EPOCHS, batch_size=32, shuffle=False, verbose=0)
            continue
        for _ in range(EPOCHS):
            for i in range(0, N, 32):
                loss = module.nn.functional.mse_loss(
                    net(module.tensor(x[i : i + 32])), module.tensor(VALUES[i : i + 32])
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    for (key, a), b in zip(mine.state_dict().items(), theirs.state_dict().values(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-3, atol=3e-4, err_msg=key)
    expected = theirs.eval()(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(mine.eval()(ours.tensor(x)).detach().numpy(), expected, rtol=2e-3, atol=5e-4)


@pytest.mark.parametrize("rows", [1, 5])
def test_keras_batches_of_one(rows):
    keras = pytest.importorskip("keras")
    theirs, mine = keras.layers.BatchNormalization(), rv.layers.BatchNormalization()
    for _ in range(2):
        a, b = theirs(X[:rows], training=True), mine(X[:rows], training=True)
        np.testing.assert_allclose(b.numpy(), np.asarray(a), rtol=1e-3, atol=1e-4)
    for a, b in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)


@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.4, 1.0, 2.0, 8.0, 100.0])
def test_scipy_has_the_same_beta_distribution(alpha):
    stats = pytest.importorskip("scipy.stats")
    from ranvier.ops.functional.beta import CELLS, beta_quantiles, from_quantiles
    from ranvier.tensor.rng import draw

    known = stats.beta(alpha, alpha)
    table = beta_quantiles(alpha)
    np.testing.assert_allclose(table, known.ppf(np.arange(CELLS + 1) / CELLS), atol=1e-12)
    rv.set_seed(1)
    n = 100_000
    drawn = from_quantiles(rv.Tensor(np.zeros((n, 1))), rv.Tensor(table.astype(np.float32)), *draw()).numpy()
    order = np.sort(drawn.astype(float))
    distance = np.abs(known.cdf(order) - (np.arange(n) + 0.5) / n)
    apart = (order > 1e-6) & (order < 1 - 1e-6)  # nearer to 1 float32 has too few numbers to compare
    assert distance[apart].max() < 1.95 / np.sqrt(n) + 1 / CELLS
