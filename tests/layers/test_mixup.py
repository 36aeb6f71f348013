"""MixUp: the beta distribution, partners, mixed labels in losses and metrics, weights, fit and the explicit loop."""

import math
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.layers import Dense, MixUp
from ranvier.layers.mixup import partners
from ranvier.losses.mixture import Mixture
from ranvier.ops.functional.beta import CELLS, beta_quantiles, from_quantiles
from ranvier.tensor.rng import draw
from ranvier.tensor.tensor import Tensor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 6)).astype(np.float32)
LABELS = RNG.integers(0, 4, 90)
HOT = np.eye(4, dtype=np.float32)[LABELS]


# --- the beta distribution ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alpha", "value"),
    [
        (1.0, lambda p: p),  # uniform
        (0.5, lambda p: np.sin(np.pi * p / 2) ** 2),  # the arcsine distribution
    ],
)
def test_quantiles_in_closed_form(alpha, value):
    points = np.arange(CELLS + 1) / CELLS
    np.testing.assert_allclose(beta_quantiles(alpha), value(points), atol=1e-13)


@pytest.mark.parametrize("alpha", [0.01, 0.2, 2.0, 100.0])
def test_quantiles_rise_and_are_symmetric(alpha):
    q = beta_quantiles(alpha)
    assert (np.diff(q) >= 0).all()
    np.testing.assert_allclose(q + q[::-1], 1, atol=1e-15)


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0, 4.0])
def test_moments_of_what_is_drawn(alpha, engine):
    rv.set_seed(1)
    n = 200_000
    table = Tensor(beta_quantiles(alpha).astype(np.float32))
    share = from_quantiles(Tensor(np.zeros((n, 1))), table, *draw()).numpy().astype(float)
    assert share.min() >= 0
    assert share.max() <= 1
    variance = 1 / (4 * (2 * alpha + 1))
    assert share.mean() == pytest.approx(0.5, abs=4 * math.sqrt(variance / n))
    assert share.var() == pytest.approx(variance, rel=0.02)
    ordered = np.sort(share)  # against the quantiles between the table's points
    expected = np.interp(np.arange(n) / n, np.arange(CELLS + 1) / CELLS, beta_quantiles(alpha))
    assert np.abs(ordered - expected).max() < 0.05
    if alpha == 0.5:
        below = 2 / np.pi * np.arcsin(np.sqrt(ordered))
        assert np.abs(below - np.arange(n) / n).max() < 1.95 / math.sqrt(n)


# --- partners -----------------------------------------------------------------------------------------------------


def test_every_other_sample_is_a_partner_equally_often(engine):
    rv.set_seed(2)
    x = Tensor(np.zeros((7, 1)))
    counts = np.zeros((7, 7), int)
    for _ in range(700):
        found = partners(x, *draw()).numpy()
        assert sorted(found) == list(range(7))
        counts[np.arange(7), found] += 1
    assert not counts.diagonal().any()
    off = counts[~np.eye(7, dtype=bool)]
    assert np.abs(off - 700 / 6).max() < 5 * math.sqrt(700 / 6)
    assert partners(Tensor(np.zeros((1, 1))), *draw()).numpy().tolist() == [0]


# --- calls --------------------------------------------------------------------------------------------------------


def test_inputs_labels_and_shares_belong_together(engine):
    rv.set_seed(3)
    numbers = np.arange(90)  # each sample its own label, so that the label of the other is its row
    x, y = MixUp(0.4)(X, numbers)
    assert isinstance(y, Mixture)
    share, second = y.share.numpy(), y.second.numpy()
    assert np.array_equal(y.first.numpy(), numbers)
    expected = share[:, None] * X + (1 - share[:, None]) * X[second]
    np.testing.assert_allclose(x.numpy(), expected, rtol=1e-4, atol=1e-5)
    assert np.array_equal(y.dominant().numpy(), np.where(share >= 0.5, numbers, second))
    np.testing.assert_allclose(y.soft(90).numpy().sum(1), 1, rtol=1e-6)


def test_targets_in_floats_are_mixed():
    rv.set_seed(3)
    hot = MixUp(0.4)(X, HOT)[1].soft().numpy()
    rv.set_seed(3)
    labels = MixUp(0.4)(X, LABELS)[1]
    np.testing.assert_allclose(hot, labels.soft(4).numpy(), atol=1e-6)


def test_several_inputs_and_targets_share_their_partners():
    rv.set_seed(4)
    (a, b), (first, none, labels) = MixUp()((X, X * 2), (HOT, None, LABELS))
    np.testing.assert_allclose(b.numpy(), 2 * a.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(first.soft().numpy(), labels.soft(4).numpy(), atol=1e-6)
    assert none is None


def test_evaluation_mixes_nothing():
    x, y = MixUp().eval()(X, LABELS)
    assert np.array_equal(np.asarray(x), X)
    assert np.array_equal(np.asarray(y), LABELS)


SPARSE = rv.losses.SparseCategoricalCrossentropy(from_logits=True)
DENSE = rv.losses.CategoricalCrossentropy(from_logits=True)


def test_cross_entropy_of_mixed_labels_is_that_of_soft_targets(engine):
    _, y = MixUp(1.0)(X, LABELS)
    scores = Tensor(RNG.normal(size=(90, 4)))
    assert SPARSE(y, scores).item() == pytest.approx(DENSE(y.soft(4), scores).item(), rel=1e-5)


def test_weights_count_for_their_own_label():
    given = (1.0 + np.arange(90) % 5).astype(np.float32)
    rv.set_seed(5)
    plain = MixUp(1.0)(X, np.arange(90))[1]
    rv.set_seed(5)
    _, y, weight = MixUp(1.0)(X, LABELS, weight=given)
    share, second = plain.share.numpy(), plain.second.numpy()
    scores = Tensor(RNG.normal(size=(90, 4)))
    one, two = (SPARSE.per_sample(rows, scores).numpy() for rows in (LABELS, LABELS[second]))
    expected = share * given * one + (1 - share) * given[second] * two
    np.testing.assert_allclose((SPARSE.per_sample(y, scores) * weight).numpy(), expected, rtol=1e-4)


# --- in training --------------------------------------------------------------------------------------------------


def network(loss: Any, metrics: Any = None, engine: Any = None, last: Any = None) -> Any:
    rv.set_seed(6)
    model = rv.Sequential([rv.Input((6,)), Dense(8, activation="tanh"), Dense(4, activation=last)])
    model.compile("sgd", loss, metrics=metrics, engine=engine)
    return model


OPTIONS: dict[str, Any] = {"epochs": 2, "batch_size": 32, "verbose": 0}


def test_labels_and_one_hot_targets_train_alike(engine):
    weights = []
    for loss, y in ((SPARSE, LABELS), (DENSE, HOT)):
        model = network(loss, ["accuracy"], engine)
        history = model.fit(X, y, augment=MixUp(0.5, seed=1), **OPTIONS).history
        weights.append((model.get_weights(), history["accuracy"], history["loss"]))
    np.testing.assert_allclose(weights[0][2], weights[1][2], rtol=1e-4)
    np.testing.assert_allclose(weights[0][1], weights[1][1])
    for a, b in zip(weights[0][0], weights[1][0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("loss", "metric"), [("binary_crossentropy", "accuracy"), ("mse", "mae")])
def test_metrics_of_classes_compare_with_a_class_and_others_with_the_mixture(loss, metric, engine):
    y = (LABELS > 1).astype(np.float32)
    rv.set_seed(6)
    model = rv.Sequential([rv.Input((6,)), Dense(1, activation="sigmoid")])
    model.compile(rv.optimizers.SGD(1e-30), loss, metrics=[metric, "mse"], engine=engine)
    history = model.fit(X, y, augment=MixUp(0.5), batch_size=90, verbose=0).history
    if metric == "accuracy":
        assert history["accuracy"][0] > 0.2, "soft targets are never equal to a class"
    else:
        assert history["mse"][0] == pytest.approx(history["loss"][0], rel=1e-5)


def test_pytorch_criteria_take_mixed_labels():
    from ranvier.torch import nn

    weight = Tensor(np.array([1.0, 2.0, 3.0, 4.0]))
    for criterion in (nn.CrossEntropyLoss(), nn.CrossEntropyLoss(weight=weight)):
        model = network(criterion)
        twin = network(SPARSE)
        options = {**OPTIONS, "augment": MixUp(0.5, seed=1), "shuffle": False}
        if criterion.weight is not None:
            losses = model.fit(X, LABELS, **options).history["loss"]
            assert np.isfinite(losses).all()
            continue
        got, expected = (m.fit(X, LABELS, **options).history["loss"] for m in (model, twin))
        np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_fit_with_class_weights_and_validation(engine):
    model = network(SPARSE, ["accuracy"], engine)
    held_out = (X[72:], LABELS[72:])
    weights = {0: 1.0, 1: 2.0, 2: 3.0, 3: 1.5}
    history = model.fit(
        X[:72], LABELS[:72], augment=MixUp(), class_weight=weights, validation_data=held_out, **OPTIONS
    ).history
    expected = model.evaluate(X[72:], LABELS[72:], verbose=0)
    np.testing.assert_allclose([history["val_loss"][-1], history["val_accuracy"][-1]], expected, rtol=1e-5)


def test_the_augmentation_belongs_to_its_fit():
    plain, model = network(SPARSE), network(SPARSE)
    first, start = plain.fit(X, LABELS, shuffle=False, **OPTIONS).history, model.get_weights()
    model.fit(X, LABELS, augment=MixUp(), shuffle=False, **OPTIONS)
    model.set_weights(start)
    again = model.fit(X, LABELS, shuffle=False, **OPTIONS).history
    np.testing.assert_allclose(again["loss"], first["loss"], rtol=1e-6)


def test_each_step_mixes_anew_and_the_seed_decides():
    runs = []
    for seed in (1, 1, 2):
        rv.set_seed(seed)
        model = network(SPARSE)
        rv.set_seed(seed)
        runs.append(model.fit(X, LABELS, augment=MixUp(1.0), **OPTIONS).history["loss"])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_a_function_of_tensors_augments_too():
    model = network("mse")
    model.fit(X, HOT, augment=lambda x, y: (x * 0.0, y), **OPTIONS)
    start = network("mse").get_weights()
    assert np.array_equal(model.get_weights()[0], start[0]), "inputs of zero move no kernel"


def test_an_explicit_loop():
    model, mixup = network(SPARSE), MixUp(0.2)
    optimizer = rv.optimizers.Adam(0.01).attach(model.parameters())
    from ranvier.tensor import trace

    sizes = []
    for _ in range(5):
        x, y = mixup(X, LABELS)
        optimizer.zero_grad()
        SPARSE(y, model(x, training=True)).backward()
        optimizer.step()
        sizes.append(len(trace.programs))
    assert sizes[1] == sizes[-1], "compiled once"


WORD: Any = "mixup"


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: MixUp(0.0), ValueError, "alpha=0.0: write a number above 0"),
        (lambda: MixUp(alpha=1000), ValueError, "up to 100"),
        (MixUp()(X, LABELS)[1].soft, ValueError, r"Write soft\(classes\)"),
        (lambda: MixUp()(LABELS, LABELS), ValueError, "inputs of int64 do not mix"),
        (lambda: network("mse").fit(X, HOT, augment=WORD), TypeError, r"augment='mixup'.*rv.layers.MixUp\(0.2\)"),
        (
            lambda: network(lambda y, x: (x * 0.0).sum()).fit(X, LABELS, augment=MixUp(), verbose=0), ValueError,
            "write a loss that returns one for each sample",
        ),
    ],
)  # fmt: skip
def test_mistakes_name_the_fix(make, error, said):
    with pytest.raises(error, match=said):
        make()


def test_a_run_that_is_stopped_and_resumed_mixes_as_if_it_had_not_been():
    from ranvier.training.loop.verify_resume import verify_resume

    def build():
        model = rv.Sequential([
            rv.Input((6,)), rv.layers.GaussianNoise(0.1), Dense(8, kernel_regularizer="l2", kernel_constraint="max_norm"),
            rv.layers.BatchNormalization(), rv.layers.AlphaDropout(0.1), Dense(4),
        ])  # fmt: skip
        model.compile("adam", SPARSE)
        return model

    assert verify_resume(build, X, LABELS, augment=MixUp(0.3), batch_size=32, stops=2, ignore="RV").exact


class Two(rv.Module):
    """Two inputs, two outputs."""

    def __init__(self):
        super().__init__()
        self.a, self.b = Dense(4), Dense(2)

    def forward(self, x, z):
        return self.a(x), self.b(z)


@pytest.mark.parametrize("weighted", [False, True])
def test_models_of_several_inputs_and_outputs(weighted, engine):
    rv.set_seed(7)
    model, z = Two(), X * 2
    model(X, z)
    model.compile("sgd", [SPARSE, "mse"], metrics=[["accuracy"], ["mae"]], engine=engine)
    weights = [np.linspace(1, 2, 90), None] if weighted else None
    history = model.fit(
        [X, z], [LABELS, HOT[:, :2]], augment=MixUp(0.5), sample_weight=weights, **OPTIONS, ignore="RV"
    ).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert len(history) == 5
