"""Penalties and constraints on weights: values, what joins the loss, what the optimizer applies, what is refused."""

import json
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import constraints, regularizers
from ranvier.layers import ActivityRegularization, Dense
from ranvier.module import from_architecture
from ranvier.tensor.tensor import Tensor

W = np.array([[3.0, -1.0, 0.0], [4.0, 2.0, 0.0]], np.float32)
X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = X @ np.array([[1.0, -2.0], [0.5, 0.0], [0.0, 3.0]], np.float32)


def cosines(w):
    u = w / np.maximum(np.linalg.norm(w, axis=1, keepdims=True), 1e-12)
    c = np.abs(u @ u.T)
    return (c.sum() - np.trace(c)) / (len(w) * (len(w) - 1))


# name: (regularizer, value by NumPy)
PENALTIES: dict[str, Any] = {
    "l1": (regularizers.L1(0.1), lambda w: 0.1 * np.abs(w).sum()),
    "l2": (regularizers.L2(0.2), lambda w: 0.2 * (w**2).sum()),
    "both": (regularizers.L1L2(0.1, 0.2), lambda w: 0.1 * np.abs(w).sum() + 0.2 * (w**2).sum()),
    "none": (regularizers.L1L2(), lambda w: 0.0),
    "rows": (regularizers.OrthogonalRegularizer(0.5), lambda w: 0.5 * cosines(w)),
    "columns": (regularizers.OrthogonalRegularizer(0.5, "columns"), lambda w: 0.5 * cosines(w.T)),
    "a single row": (regularizers.OrthogonalRegularizer(0.5), lambda w: 0.5 * cosines(w)),
    "a function": (lambda w: (w * w * w * w).sum(), lambda w: (w**4).sum()),
}


@pytest.mark.parametrize("name", PENALTIES)
def test_penalty(name, engine):
    penalty, value = PENALTIES[name]
    w = W[:1] if name == "a single row" else W
    expected = 0.0 if name == "a single row" else value(w)
    assert penalty(Tensor(w)).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", PENALTIES)
def test_gradient_by_finite_differences(name, float64):
    penalty, _ = PENALTIES[name]
    w = W.astype(np.float64) + 0.01 * np.arange(6).reshape(2, 3) + 0.1
    leaf = Tensor(w, requires_grad=True)
    (penalty(leaf) + leaf.sum()).backward()  # what is constant has no gradient of its own
    direction = np.random.default_rng(1).normal(size=w.shape)
    up, down = ((penalty(Tensor(w + s * direction))).item() for s in (1e-6, -1e-6))
    assert ((leaf.grad.numpy() - 1) * direction).sum() == pytest.approx((up - down) / 2e-6, abs=1e-6)


def norms(w, axis=0):
    return np.linalg.norm(w, axis=axis, keepdims=True)


# name: (constraint, value by NumPy)
PROJECTIONS: dict[str, Any] = {
    "max norm": (constraints.MaxNorm(2), lambda w: w * np.clip(norms(w), 0, 2) / (norms(w) + 1e-7)),
    "max norm of rows": (
        constraints.MaxNorm(2, axis=1), lambda w: w * np.clip(norms(w, 1), 0, 2) / (norms(w, 1) + 1e-7),
    ),
    "max norm of all": (
        constraints.MaxNorm(2, axis=(0, 1)), lambda w: w * 2 / (np.linalg.norm(w) + 1e-7),
    ),
    "non-negative": (constraints.NonNeg(), lambda w: np.maximum(w, 0)),
    "unit norm": (constraints.UnitNorm(), lambda w: w / (norms(w) + 1e-7)),
    "min max norm": (
        constraints.MinMaxNorm(1, 3, rate=0.5),
        lambda w: w * (0.5 * np.clip(norms(w), 1, 3) + 0.5 * norms(w)) / (norms(w) + 1e-7),
    ),
    "a function": (lambda w: w.clip(-1, 1), lambda w: np.clip(w, -1, 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", PROJECTIONS)
def test_constraint(name, engine):
    constraint, value = PROJECTIONS[name]
    np.testing.assert_allclose(constraint(Tensor(W)).numpy(), value(W), rtol=1e-6, atol=1e-7)


# --- in training --------------------------------------------------------------------------------------------------


def network(**options):
    rv.set_seed(0)
    return rv.Sequential([rv.Input((3,)), Dense(4, activation="tanh", **options), Dense(2)])


PENALIZED = {
    "kernel_regularizer": "l2", "bias_regularizer": regularizers.L1(0.3), "activity_regularizer": "l1_l2",
    "bias_initializer": "ones",
}  # fmt: skip


def mse(model):
    return float(((model.predict(X) - Y) ** 2).mean())


def test_penalties_join_the_loss_of_evaluate(engine):
    model = network(**PENALIZED)
    model.compile("sgd", "mse", engine=engine)
    kernel, bias = model.get_weights()[:2]
    hidden = np.tanh(X @ kernel + bias)
    rows = [(i, min(i + 16, 40)) for i in range(0, 40, 16)]
    activity = sum(0.01 * (np.abs(hidden[a:b]).sum() + (hidden[a:b] ** 2).sum()) for a, b in rows) / 40
    expected = mse(model) + 0.01 * (kernel**2).sum() + 0.3 * np.abs(bias).sum() + activity
    assert model.evaluate(X, Y, batch_size=16, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_an_explicit_loop_sees_the_same_losses():
    model = network(**PENALIZED)
    model.compile("sgd", "mse")
    expected = model.evaluate(X, Y, batch_size=40, verbose=0)
    output = model(X)
    assert len(model.losses) == 3
    assert (((output - Y) ** 2).mean() + sum(model.losses)).item() == pytest.approx(expected, rel=1e-5)
    model(X[:3])
    assert len(model.losses) == 3, "those of the last call alone"


def test_fit_and_an_explicit_loop_end_in_the_same_weights():
    options = {**PENALIZED, "kernel_constraint": constraints.MaxNorm(0.4)}
    fitted, looped = network(**options), network(**options)
    fitted.compile(rv.optimizers.SGD(0.1), "mse")
    fitted.fit(X, Y, epochs=3, batch_size=16, shuffle=False, verbose=0)
    optimizer = rv.optimizers.SGD(0.1).attach(looped.parameters())
    for _ in range(3):
        for i in range(0, 40, 16):
            output = looped(X[i : i + 16], training=True)
            loss = ((output - Y[i : i + 16]) ** 2).mean() + sum(looped.losses)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    for a, b in zip(fitted.get_weights(), looped.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert norms(fitted.get_weights()[0]).max() <= 0.4 + 1e-6


def test_an_explicit_loop_with_constraints_compiles_once():
    from ranvier.tensor import trace

    model = network(kernel_constraint="unit_norm")
    optimizer = rv.optimizers.Adam().attach(model.parameters())
    sizes = []
    for _ in range(4):
        ((model(X, training=True) - Y) ** 2).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        sizes.append(len(trace.programs))
    assert sizes[1] == sizes[-1]


@pytest.mark.parametrize("name", PROJECTIONS)
def test_weights_satisfy_their_constraint_after_fit(name, engine):
    constraint, _ = PROJECTIONS[name]
    model = network(kernel_constraint=constraint)
    model.compile("adam", "mse", engine=engine)
    model.fit(X, Y, epochs=2, batch_size=16, verbose=0)
    kernel = model.get_weights()[0]
    if "min max" not in name:  # which goes half of the way only
        np.testing.assert_allclose(constraint(Tensor(kernel)).numpy(), kernel, atol=1e-5)


def test_weights_in_fortran_order_are_constrained_along_the_axis_that_was_said():
    from ranvier.torch import nn, optim

    rv.set_seed(1)
    net = nn.Sequential(nn.Linear(3, 2))
    net[0].weight.constraint = constraints.UnitNorm(axis=1)
    net.compile("sgd", "mse")
    net.fit(X, Y, epochs=1, verbose=0)
    np.testing.assert_allclose(norms(net[0].weight.numpy(), 1), 1, rtol=1e-5)
    net[0].weight.constraint = constraints.UnitNorm(axis=0)
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    ((net(Tensor(X)) - Tensor(Y)) ** 2).mean().backward()
    optimizer.step()
    np.testing.assert_allclose(norms(net[0].weight.numpy(), 0), 1, rtol=1e-5)


def test_a_regularizer_set_after_compile_counts():
    model = network()
    model.compile("sgd", "mse")
    before = model.evaluate(X, Y, verbose=0)
    model.layers[0].kernel.regularizer = regularizers.L2(0.5)
    after = model.evaluate(X, Y, verbose=0)
    assert after - before == pytest.approx(0.5 * (model.get_weights()[0] ** 2).sum(), rel=1e-4)
    model.trainable = False
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(before), "frozen weights have no penalty, as in Keras"


class Sparse(rv.Module):
    """Adds one value for each sample, and a number."""

    def __init__(self):
        super().__init__()
        self.layers = Dense(2)

    def forward(self, x):
        y = self.layers(x)
        self.add_loss((y * y).mean(-1))
        self.add_loss([1.5])
        return y


class Small(rv.Model):
    def __init__(self):
        super().__init__()
        self.dense = rv.layers.Dense(3)

    def call(self, x):
        y = self.dense(x)
        self.add_loss(rv.ops.mean(y * y))
        return y


@pytest.mark.parametrize("network", [Small, lambda: rv.Sequential([rv.layers.Dense(3, activity_regularizer="l2")])])
def test_what_layers_add_is_loss_enough(network):
    """As in Keras: no loss, no targets."""
    rv.utils.set_random_seed(2)
    x = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
    model = network()
    model.compile("sgd")
    history = model.fit(x, epochs=3, verbose=0, validation_split=0.25).history
    assert history["loss"][2] < history["loss"][0]
    assert history["val_loss"][2] < history["val_loss"][0]
    wanted = model.evaluate(x, verbose=0)
    assert model.evaluate(x, x, verbose=0) == wanted
    assert np.isclose(model.train_on_batch(x), wanted)
    model.fit(((x[i : i + 8],) for i in (0, 8)), verbose=0)
    model.compile("sgd", metrics=["mae"])
    with pytest.raises(ValueError, match="y is missing"):
        model.fit(x, verbose=0)


def test_add_loss(engine):
    model = Sparse()
    model.compile("sgd", "mse", engine=engine)
    y = model(X).numpy()
    assert [x.shape for x in model.losses] == [(40,), ()]
    expected = ((y - Y) ** 2).mean() + (y**2).mean(-1).sum() + 1.5
    assert model.evaluate(X, Y, batch_size=40, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_losses_are_those_of_the_last_call_in_this_thread_and_of_no_trace():
    model = Sparse()
    model(X)
    assert len(model.losses) == 2
    model.predict(X)
    model.trace()
    assert len(model.losses) == 2
    model(X)
    assert len(model.losses) == 2
    assert len(Sparse().losses) == 0


class OwnStep(Small):
    def train_step(self, data):
        return super().train_step(data)


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("network", [Small, OwnStep])
def test_losses_after_fit_are_those_of_the_last_batch(network, eager):
    """As in Keras on PyTorch: also where the model was never called, and after the validation."""
    model = network()
    model.dense = rv.layers.Dense(3, activity_regularizer="l2", kernel_regularizer="l1")
    model.compile(rv.optimizers.SGD(0.0), run_eagerly=eager)

    def check(rows):
        found = [float(x) for x in model.losses]
        y, (weight, _) = model(X[rows]).numpy(), model.get_weights()
        wanted = [(y * y).mean(), 0.01 * (y * y).sum() / len(y), 0.01 * np.abs(weight).sum()]
        assert found == pytest.approx(wanted, rel=1e-5)

    options = {"epochs": 2, "shuffle": False, "verbose": 0, "ignore": "RV"}
    model.fit(X, batch_size=16, **options)
    check(slice(32, 40))
    model.fit(X, batch_size=20, validation_data=(X[:5],) * 2, **options)
    check(slice(0, 5))
    model.evaluate(X, batch_size=32, verbose=0)
    check(slice(32, 40))
    model.train_on_batch(X[3:9])
    check(slice(3, 9))


def test_activity_regularization_is_a_layer():
    model = rv.Sequential([rv.Input((3,)), ActivityRegularization(l1=0.1, l2=0.2)])
    model.compile("sgd", "mse")
    expected = (0.1 * np.abs(X).sum() + 0.2 * (X**2).sum()) / 40
    assert model.evaluate(X, X, batch_size=40, verbose=0) == pytest.approx(expected, rel=1e-5)


HALF: Any = 0.5


class Annealed(regularizers.Regularizer):
    """A penalty of one's own, whose strength changes."""

    def __init__(self, strength):
        self.strength = strength

    def __call__(self, x):
        return (x * x).sum() * self.strength


def test_numbers_of_a_regularizer_and_constraints_may_change():
    model, plain = network(kernel_regularizer=(own := Annealed(0.0))), network()
    for made in (model, plain):
        made.compile(rv.optimizers.SGD(0.1), "mse")
    base = plain.evaluate(X, Y, verbose=0)
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(base)
    own.strength = 0.5
    size = (model.get_weights()[0] ** 2).sum()
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(base + 0.5 * size, rel=1e-5)
    model.layers[0].kernel.constraint = "unit_norm"
    model.fit(X, Y, verbose=0)
    np.testing.assert_allclose(norms(model.get_weights()[0]), 1, rtol=1e-5)
    model.layers[0].kernel.constraint = None
    model.fit(X, Y, verbose=0)
    assert np.abs(norms(model.get_weights()[0]) - 1).max() > 1e-4


class Unhashable:
    __hash__ = None  # type: ignore[assignment]

    def __call__(self, x):
        return x.sum()


# --- files, names, mistakes ---------------------------------------------------------------------------------------


def test_through_a_file():
    model = network(
        kernel_regularizer=regularizers.L1L2(0.1, 0.2), bias_regularizer=regularizers.OrthogonalRegularizer(),
        kernel_constraint=constraints.MinMaxNorm(0.1, 2.0, 0.5, axis=(0, 1)), bias_constraint="non_neg",
        activity_regularizer="l1",
    )  # fmt: skip
    twin = from_architecture(json.loads(json.dumps(model.architecture())))
    layer, other = model.layers[0], twin.layers[0]
    for weight, copy in zip(layer.parameters(), other.parameters(), strict=True):
        assert copy.regularizer == weight.regularizer
        assert copy.constraint == weight.constraint
    assert other.activity_regularizer == layer.activity_regularizer == regularizers.L1(0.01)


@pytest.mark.parametrize(
    ("module", "given", "expected"),
    [
        (regularizers, "l1", regularizers.L1(0.01)),
        (regularizers, "L2", regularizers.L2(0.01)),
        (regularizers, "l1_l2", regularizers.L1L2(0.01, 0.01)),
        (regularizers, "orthogonal_regularizer", regularizers.OrthogonalRegularizer()),
        (regularizers, regularizers.L1, regularizers.L1()),
        (regularizers, {"class_name": "L1L2", "config": {"l1": 0.5}}, regularizers.L1L2(0.5)),
        (regularizers, None, None),
        (constraints, "max_norm", constraints.MaxNorm()),
        (constraints, "non_neg", constraints.NonNeg()),
        (constraints, "UnitNorm", constraints.UnitNorm()),
        (constraints, "min_max_norm", constraints.MinMaxNorm()),
        (constraints, {"class_name": "MaxNorm", "config": {"max_value": 3, "axis": [0, 1]}}, constraints.MaxNorm(3, (0, 1))),
    ],
)  # fmt: skip
def test_by_name(module, given, expected):
    assert module.get(given) == expected


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: regularizers.get("l3"), ValueError, "regularizer 'l3' does not exist. Write 'l"),
        (lambda: constraints.get("maxnorm"), ValueError, "Write 'max_norm' instead"),
        (lambda: regularizers.get(0.01), TypeError, r"regularizers.L2\(0.01\)"),
        (lambda: regularizers.L2(-1), ValueError, "0 or more"),
        (lambda: regularizers.L2(float("nan")), ValueError, "0 or more"),
        (lambda: regularizers.OrthogonalRegularizer(mode="diagonal"), ValueError, "'rows' or 'columns'"),
        (lambda: constraints.MinMaxNorm(2, 1), ValueError, "the smaller one first"),
        (lambda: constraints.MinMaxNorm(rate=2), ValueError, "from 0 to 1"),
        (lambda: constraints.MaxNorm(axis=HALF), ValueError, "whole number"),
        (lambda: regularizers.L3, AttributeError, "nearest that does is L"),
        (lambda: Dense(3, kernel_regulariser="l2"), TypeError, "Write kernel_regularizer="),
        (lambda: fit_once(kernel_regularizer=Unhashable()), TypeError, "frozen=True"),
        (
            lambda: fit_once(kernel_constraint=lambda w: w.sum()), ValueError, "returns float32",
        ),
    ],
)  # fmt: skip
def test_mistakes_name_the_fix(make, error, said):
    with pytest.raises(error, match=said):
        make()


def fit_once(**options):
    model = network(**options)
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)


def test_what_was_set_later_is_saved_and_so_is_what_does_not_decay(tmp_path):
    from ranvier.torch import nn

    rv.set_seed(0)
    model = rv.Sequential([rv.Input((3,)), nn.Linear(3, 4), Dense(2)])
    linear = model.layers[0]
    linear.weight.regularizer, linear.weight.constraint = (regularizers.L2(0.1), constraints.MaxNorm(0.5, axis=1))
    optimizer = rv.optimizers.AdamW(0.01, weight_decay=0.5)
    optimizer.exclude_from_weight_decay([linear.weight], ["bias"])
    model.compile(optimizer, "mse")
    options: dict[str, Any] = {"batch_size": 16, "shuffle": False, "verbose": 0, "ignore": "RV"}
    model.fit(X, Y, **options)
    model.save(tmp_path / "model.ranvier")
    twin = rv.load_model(tmp_path / "model.ranvier")
    assert twin.layers[0].weight.constraint == constraints.MaxNorm(0.5, axis=1)
    for network_ in (model, twin):
        network_.fit(X, Y, epochs=2, **options)
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_weight_decay_leaves_alone_what_is_excluded():
    rv.set_seed(0)
    model = rv.Sequential([rv.Input((3,)), Dense(2, bias_initializer="ones")])
    optimizer = rv.optimizers.SGD(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bi.s"])
    before = model.get_weights()
    model.compile(optimizer, lambda y, x: (x * 0.0).sum(-1))
    model.fit(X, Y, batch_size=40, verbose=0, ignore="RV")
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(kernel, before[0] * 0.95, rtol=1e-6)
    assert np.array_equal(bias, before[1])
