"""Weights of samples, of their parts, and of classes: what they multiply, what a mean divides by, what is refused."""

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch.nn as nn
from ranvier import optimizers

RNG = np.random.default_rng(8)
N, T, F, K = 60, 5, 4, 3
X = RNG.normal(size=(N, F)).astype(np.float32)
Y = X[:, :K].argmax(1)
HOT = np.eye(K, dtype=np.float32)[Y]
VALUES = X[:, :2] * 2
SERIES = RNG.normal(size=(N, T, F)).astype(np.float32)
STEPS = SERIES[..., :K].argmax(-1)  # a class number for each place
W = RNG.random(N).astype(np.float32) + 0.1
PARTS = RNG.random((N, T)).astype(np.float32) + 0.1
OPTIONS: dict = {"epochs": 2, "batch_size": 16, "verbose": 0, "ignore": "RV"}


@pytest.fixture(autouse=True)
def engine():
    rv.set_engine("reference")
    rv.set_seed(0)
    yield
    rv.set_engine(None)


def network(loss, units=K, activation="softmax", shape=(F,), **settings):
    rv.set_seed(0)
    model = rv.Sequential([rv.layers.Dense(units, activation=activation, input_shape=shape)])
    model.compile(settings.pop("optimizer", "adam"), loss, **settings)
    return model


def weights_of(model):
    return np.concatenate([w.ravel() for w in model.get_weights()])


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "binary_crossentropy", "binary_focal_crossentropy"])
def test_outputs_of_one_dimension_are_one_number_a_sample(loss):
    """In `fit` and `evaluate`; a loss object that is called on vectors takes their mean first."""
    found = []
    for flat in (False, True):
        given = rv.Input((F,))
        rv.set_seed(0)
        outputs = rv.layers.Dense(1, activation="sigmoid")(given)
        model = rv.Model(given, outputs[:, 0] if flat else outputs)
        model.compile("sgd", loss, weighted_metrics=["mse", "mae"])
        history = model.fit(X, Y > 1, sample_weight=W, **OPTIONS).history
        found.append([*history.values(), model.evaluate(X, Y > 1, sample_weight=W, verbose=0)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


# --- one value for each loss ---------------------------------------------------------------------------------------

LOSSES = [  # loss, units, activation, targets, losses of the samples by hand
    ("sparse_categorical_crossentropy", K, "softmax", Y, lambda p: -np.log(p[np.arange(N), Y])),
    ("categorical_crossentropy", K, "softmax", HOT, lambda p: -np.log((p * HOT).sum(1))),
    ("mse", 2, None, VALUES, lambda p: ((p - VALUES) ** 2).mean(1)),
    ("mae", 2, None, VALUES, lambda p: np.abs(p - VALUES).mean(1)),
    (nn.MSELoss(), 2, None, VALUES, lambda p: ((p - VALUES) ** 2).mean(1)),
    (nn.L1Loss(), 2, None, VALUES, lambda p: np.abs(p - VALUES).mean(1)),
    (lambda y, p: (y - p) ** 4, 2, None, VALUES, lambda p: ((p - VALUES) ** 4).mean(1)),
]


@pytest.mark.parametrize(("loss", "units", "activation", "y", "by_hand"), LOSSES)
def test_the_mean_is_over_samples_whatever_they_weigh(loss, units, activation, y, by_hand):
    model = network(loss, units, activation)
    each = by_hand(model.predict(X))
    assert model.evaluate(X, y, verbose=0, batch_size=N) == pytest.approx(each.mean(), rel=1e-5)
    weighted = model.evaluate(X, y, sample_weight=W, verbose=0, batch_size=N)
    assert weighted == pytest.approx((each * W).mean(), rel=1e-5)


def test_the_mean_by_the_sum_of_weights_and_the_sum():
    p = network("mse", 2, None).predict(X)
    each = ((p - VALUES) ** 2).mean(1)
    for reduction, wanted in (("mean_with_sample_weight", (each * W).sum() / W.sum()), ("sum", (each * W).sum())):
        model = network(rv.losses.MeanSquaredError(reduction=reduction), 2, None)
        assert model.evaluate(X, VALUES, sample_weight=W, verbose=0, batch_size=N) == pytest.approx(wanted, rel=1e-5)


def test_weights_for_each_place_of_a_series():
    model = network("sparse_categorical_crossentropy", shape=(T, F), weighted_metrics=["accuracy"])
    p = model.predict(SERIES)
    each = -np.log(np.take_along_axis(p, STEPS[..., None], -1)[..., 0])
    hit = p.argmax(-1) == STEPS
    for weight, spread in ((PARTS, PARTS), (W, np.tile(W[:, None], (1, T))), (PARTS[..., None], PARTS)):
        loss, accuracy = model.evaluate(SERIES, STEPS, sample_weight=weight, verbose=0, batch_size=N)
        assert loss == pytest.approx((each * spread).mean(), rel=1e-5)
        assert accuracy == pytest.approx((hit * spread).sum() / spread.sum(), rel=1e-5)


def test_metrics_alone_take_weights_for_each_place():
    scores = RNG.normal(size=(N, T, K)).astype(np.float32)
    hit = scores.argmax(-1) == STEPS
    for weight in (PARTS, W[:, None]):
        metric = rv.metrics.SparseCategoricalAccuracy()
        spread = np.broadcast_to(weight, (N, T))
        assert metric(STEPS, scores, weight) == pytest.approx((hit * spread).sum() / spread.sum(), rel=1e-5)


def test_weights_for_each_number_of_a_criterion():
    weight = RNG.random((N, 2)).astype(np.float32)
    model = network(nn.MSELoss(), 2, None)
    each = (model.predict(X) - VALUES) ** 2
    got = model.evaluate(X, VALUES, sample_weight=weight, verbose=0, batch_size=N)
    assert got == pytest.approx((each * weight).mean(), rel=1e-5)


def test_each_output_has_weights_of_its_own():
    class Heads(rv.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other = rv.layers.Dense(1), rv.layers.Dense(2)

        def forward(self, x):
            return {"one": self.one(x), "other": self.other(x)}

    model = Heads()
    model.compile("sgd", {"one": "mse", "other": "mae"})
    y = {"one": VALUES[:, :1], "other": VALUES}
    p = model.predict(X)
    one, other = ((p["one"] - y["one"]) ** 2).mean(1), np.abs(p["other"] - y["other"]).mean(1)
    for given, wanted in (
        (W, [(one * W).mean(), (other * W).mean()]),
        ({"other": W}, [one.mean(), (other * W).mean()]),
        ([W, None], [(one * W).mean(), other.mean()]),
    ):
        got = model.evaluate(X, y, sample_weight=given, verbose=0, batch_size=N)
        np.testing.assert_allclose(got, [sum(wanted), *wanted], rtol=1e-5)


# --- what a mean counts --------------------------------------------------------------------------------------------


def test_ignored_labels_do_not_count_in_the_mean():
    y = np.where(np.arange(N) % 4 == 0, -1, Y)
    kept = y >= 0
    loss = rv.losses.SparseCategoricalCrossentropy(ignore_class=-1)
    model = network(loss)
    each = -np.log(model.predict(X)[np.arange(N), Y])
    assert model.evaluate(X, y, verbose=0, batch_size=N) == pytest.approx(each[kept].mean(), rel=1e-5)
    weighted = model.evaluate(X, y, sample_weight=W, verbose=0, batch_size=N)
    assert weighted == pytest.approx((each * W)[kept].sum() / kept.sum(), rel=1e-5)


def test_a_batch_of_ignored_labels_has_a_loss_of_zero():
    model = network(rv.losses.SparseCategoricalCrossentropy(ignore_class=-1))
    assert model.evaluate(X, np.full(N, -1), verbose=0) == 0


CRITERIA = [  # criterion, units, targets, losses by hand, what a mean counts each as
    (nn.CrossEntropyLoss(weight=[1.0, 2.0, 4.0]), Y, [1.0, 2.0, 4.0], None),
    (nn.CrossEntropyLoss(ignore_index=2), Y, [1.0, 1.0, 1.0], 2),
    (nn.CrossEntropyLoss(weight=[1.0, 2.0, 4.0], ignore_index=0), Y, [1.0, 2.0, 4.0], 0),
]


@pytest.mark.parametrize(("criterion", "y", "shares", "ignored"), CRITERIA)
def test_criteria_over_class_numbers_divide_by_the_weights_of_the_classes(criterion, y, shares, ignored):
    model = network(criterion, activation=None)
    scores = model.predict(X)
    logs = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    counted = np.array(shares)[y] * (y != ignored)
    each = -logs[np.arange(N), y] * counted
    assert model.evaluate(X, y, verbose=0, batch_size=N) == pytest.approx(each.sum() / counted.sum(), rel=1e-5)
    weighted = model.evaluate(X, y, sample_weight=W, verbose=0, batch_size=N)
    assert weighted == pytest.approx((each * W).sum() / counted.sum(), rel=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum", "batchmean"])
def test_the_reduction_of_a_criterion_is_kept(reduction):
    model = network(nn.KLDivLoss(reduction=reduction), activation="log_softmax")
    target = np.abs(HOT - 0.1)
    logs = model.predict(X)
    each = target * (np.log(target) - logs)
    wanted = {"mean": each.mean(), "sum": each.sum(), "batchmean": each.sum() / N}[reduction]
    assert model.evaluate(X, target, verbose=0, batch_size=N) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(
    "criterion",
    [
        nn.CrossEntropyLoss(weight=[1.0, 2.0, 0.3], label_smoothing=0.1),
        nn.CrossEntropyLoss(ignore_index=2, reduction="sum"),
        nn.SmoothL1Loss(beta=0.5),
    ],
)
def test_criteria_are_saved_with_the_model(tmp_path, criterion):
    y = VALUES @ np.ones((2, K)) if isinstance(criterion, nn.SmoothL1Loss) else Y
    model = network(criterion, activation=None)
    model.fit(X, y, **OPTIONS)
    model.save(tmp_path / "m")
    assert rv.load_model(tmp_path / "m").evaluate(X, y, verbose=0) == model.evaluate(X, y, verbose=0)


def test_metrics_know_that_a_criterion_takes_logits():
    model = network(nn.BCEWithLogitsLoss(), 1, None, metrics=["accuracy", "auc"])
    yes = (X[:, 0] > 0).astype(np.float32)
    accuracy = model.evaluate(X, yes, verbose=0)[1]
    assert accuracy == pytest.approx(((model.predict(X)[:, 0] > 0) == yes).mean())


# --- zero ----------------------------------------------------------------------------------------------------------


ZEROS = np.where(np.arange(N) % 4 == 0, 0, 1.0).astype(np.float32)  # three of four count


def ones():
    """A network that gives 1 for inputs of zero, and never learns."""
    model = rv.Sequential([rv.Input((F,)), rv.layers.Dense(1, bias_initializer="ones")])
    model.compile(rv.optimizers.SGD(1e-30), "mse", metrics=["mae"], weighted_metrics=["mse"])
    return model


def zero_batches():
    for i in range(0, N, 20):
        part = slice(i, i + 20)
        yield np.zeros_like(X[part]), np.zeros(20), ZEROS[part]


ARRAYS = (np.zeros_like(X), np.zeros(N), ZEROS)
ROUTES = {
    "fit": lambda m: m.fit(*ARRAYS[:2], sample_weight=ZEROS, **OPTIONS).history,
    "validation": lambda m: {
        k.removeprefix("val_"): v
        for k, v in m.fit(*ARRAYS[:2], validation_data=ARRAYS, **OPTIONS).history.items()
        if k.startswith("val_")
    },
    "generator": lambda m: m.fit(zero_batches(), verbose=0, ignore="RV").history,
    "evaluate": lambda m: m.evaluate(*ARRAYS[:2], sample_weight=ZEROS, verbose=0, return_dict=True),
    "batches": lambda m: m.evaluate(zero_batches(), verbose=0, return_dict=True),
    "train_on_batch": lambda m: m.train_on_batch(*ARRAYS[:2], sample_weight=ZEROS, return_dict=True),
}


@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES.keys())
def test_a_weight_of_zero_keeps_its_row_in_the_denominators(route):
    """As in Keras: the loss is the weighted sum over all samples, and metrics without weights count each."""
    found = {name: np.ravel(value)[0] for name, value in route(ones()).items()}
    assert found == pytest.approx({"loss": 0.75, "mae": 1.0, "mse": 1.0})


# --- classes -------------------------------------------------------------------------------------------------------

RARE = np.where(np.arange(N) % 10 == 0, 1, 0)
BALANCED = {c: N / (2 * np.count_nonzero(c == RARE)) for c in (0, 1)}
CLASSES = [  # loss, units, activation, shape, x, y, weights of the classes, weights of the samples
    ("sparse_categorical_crossentropy", K, "softmax", X, Y, {0: 1.0, 2: 3.0}, np.where(Y == 2, 3.0, 1.0)),
    ("categorical_crossentropy", K, "softmax", X, HOT, {2: 3.0}, np.where(Y == 2, 3.0, 1.0)),
    ("binary_crossentropy", 1, "sigmoid", X, RARE, {1: 5.0}, np.where(RARE == 1, 5.0, 1.0)),
    ("binary_crossentropy", 1, "sigmoid", X, RARE[:, None], "balanced", np.vectorize(BALANCED.get)(RARE)),
    ("sparse_categorical_crossentropy", 2, "softmax", X, RARE, "balanced", np.vectorize(BALANCED.get)(RARE)),
    ("sparse_categorical_crossentropy", K, "softmax", SERIES, STEPS, {1: 2.0}, np.where(STEPS == 1, 2.0, 1.0)),
    (nn.CrossEntropyLoss(), 2, None, X, RARE, {1: 4.0}, np.where(RARE == 1, 4.0, 1.0)),
    (nn.BCEWithLogitsLoss(), 1, None, X, RARE, {1: 4.0}, np.where(RARE == 1, 4.0, 1.0)),
]  # fmt: skip


@pytest.mark.parametrize(("loss", "units", "activation", "x", "y", "classes", "samples"), CLASSES)
def test_weights_of_classes_are_weights_of_their_samples(loss, units, activation, x, y, classes, samples):
    by_class, by_sample = (network(loss, units, activation, x.shape[1:]) for _ in range(2))
    by_class.fit(x, y, class_weight=classes, shuffle=False, **OPTIONS)
    by_sample.fit(x, y, sample_weight=samples, shuffle=False, **OPTIONS)
    np.testing.assert_array_equal(weights_of(by_class), weights_of(by_sample))


def test_weights_of_classes_multiply_those_of_samples():
    both, product = (network("sparse_categorical_crossentropy") for _ in range(2))
    both.fit(X, Y, class_weight={1: 2.0}, sample_weight=W, shuffle=False, **OPTIONS)
    product.fit(X, Y, sample_weight=np.where(Y == 1, 2 * W, W), shuffle=False, **OPTIONS)
    np.testing.assert_array_equal(weights_of(both), weights_of(product))


def test_weights_of_classes_for_each_output():
    class Heads(rv.Module):
        def __init__(self):
            super().__init__()
            self.kind = rv.layers.Dense(K, activation="softmax")
            self.rare = rv.layers.Dense(1, activation="sigmoid")

        def forward(self, x):
            return {"kind": self.kind(x), "rare": self.rare(x)}

    def trained(**weights):
        rv.set_seed(1)
        model = Heads()
        model(rv.Tensor(X[:1]))
        loss = {"kind": "sparse_categorical_crossentropy", "rare": "binary_crossentropy"}
        model.compile(optimizers.SGD(0.1), loss)
        model.fit(X, {"kind": Y, "rare": RARE}, shuffle=False, **OPTIONS, **weights)
        return weights_of(model)

    samples = {"kind": np.where(Y == 1, 2.0, 1.0), "rare": np.vectorize(BALANCED.get)(RARE)}
    wanted = trained(sample_weight=samples)
    np.testing.assert_array_equal(trained(class_weight={"kind": {1: 2.0}, "rare": "balanced"}), wanted)
    np.testing.assert_array_equal(trained(class_weight=[{1: 2.0}, "balanced"]), wanted)


@pytest.mark.parametrize("classes", ["balanced", {0: 2.0}])
@pytest.mark.parametrize(("x", "y"), [(X, Y), (SERIES, STEPS)])
def test_what_weighs_nothing_counts_in_no_class(classes, x, y):
    weight = np.where(np.arange(N) % 3 == 0, 0.0, W).reshape(N, *(1,) * (y.ndim - 1))
    counts = np.bincount(y[np.arange(N) % 3 > 0].ravel())
    factors = counts.sum() / (len(counts) * counts) if classes == "balanced" else np.where(np.arange(K), 1.0, 2.0)
    results = []
    for options in ({"class_weight": classes, "sample_weight": weight.ravel()}, {"sample_weight": weight * factors[y]}):
        model = network("sparse_categorical_crossentropy", shape=x.shape[1:])
        model.fit(x, y, **options, **OPTIONS)
        results.append(weights_of(model))
    np.testing.assert_allclose(results[0], results[1], rtol=1e-4, atol=1e-6)


def test_what_weighs_nothing_need_have_no_class():
    """Rows of zeros, which are no class: padding."""
    hot, weight = HOT.copy(), np.ones(N)
    hot[5:9] = weight[5:9] = 0.0
    network("categorical_crossentropy").fit(X, hot, class_weight={0: 2.0}, sample_weight=weight, **OPTIONS)


# --- what is refused -----------------------------------------------------------------------------------------------


def fit(y=Y, loss="sparse_categorical_crossentropy", units=K, x=X, **options):
    model = network(loss, units, "softmax" if units > 1 else None, x.shape[1:])
    return lambda: model.fit(x, y, verbose=0, ignore="RV", **options)


class Sparse:
    """What SciPy's sparse matrices show of themselves."""

    shape, ndim, dtype = (N, K), 2, np.dtype(np.float64)

    def tocsr(self):
        return self

    toarray = tocsr

    def __len__(self):
        raise TypeError("sparse array length is ambiguous; use getnnz() or shape[0]")


ZERO = np.zeros(N)
HALF = (np.arange(N) < N // 2) * 1.0
REFUSED = [
    (fit(sample_weight=-W), r"sample_weight is -\S+ at row 0 \(60 negative in all\)"),
    (fit(sample_weight=ZERO), "sample_weight is zero for all 60 samples"),
    (fit(sample_weight=W[:9]), "x has 60, y has 60, sample_weight has 9"),
    (fit(sample_weight=PARTS), r"has shape \(60, 5\), and there are 60 samples"),
    (fit(STEPS, x=SERIES, sample_weight=PARTS[:, :3]), r"or one for each loss, shape \(60, 5\)"),
    (fit(VALUES, "mse", 2, sample_weight=np.ones((N, 2))), r"one weight a sample, shape \(60,\)"),
    (fit(loss=lambda y, p: rv.ops.mean(p), units=2, sample_weight=W), "returns one number"),
    (fit(class_weight={0: -1.0}), r"class_weight\[0\] is -1.0"),
    (fit(class_weight={0: 0.0, 1: 0.0, 2: 0.0}), "zero for all 60 samples"),
    (fit(ZERO, class_weight="balanced"), "the targets hold only class 0"),
    (fit(VALUES[:, :1], "mse", 1, class_weight={0: 2.0}), "weighs classes"),
    (fit(class_weight={"0": 5.0, "1": 1.0}), "the key '0', and classes are whole numbers"),
    (
        fit(np.ones((N, 2)), "binary_crossentropy", 2, class_weight={0: 5.0}),
        r"hold \[1., 1.\] at row 0, which is not one",
    ),
    (fit(VALUES, "mse", 2, class_weight={0: 5.0}), "which is not one class"),
    (fit(validation_split=0.5, sample_weight=HALF), "all 30 samples of those that validation_split=0.5 holds out"),
    (fit(validation_split=0.5, sample_weight=1 - HALF), "all 30 samples of those that validation_split=0.5 trains on"),
    (fit(class_weight=np.ones(K)), r"array\(\[1., 1., 1.\]\). Write dict\(enumerate\(class_weight\)\), or 'balanced'"),
    (fit(class_weight=[1.0, 2.0]), r"Write dict\(enumerate\(class_weight\)\)"),
    (fit(class_weight="even"), "class_weight is 'even'. Write {0: 1.0"),
    (fit(class_weight={7: 1.0}), "class_weight has the class 7, and the classes are 0 to 2"),
    (fit(class_weight={-1: 1.0}), "has the class -1"),
    (fit(np.eye(K)[Y], "categorical_crossentropy", class_weight={K: 2.0}), "has the class 3"),
    (fit(Y, nn.CrossEntropyLoss(), class_weight={K: 2.0}), "has the class 3"),
    (fit(sample_weight=2.0), r"sample_weight is a single number, 2.0. Write an array with one row a sample"),
    (fit(sample_weight=np.float32(2)), "sample_weight is a single number"),
    (fit(sample_weight="balanced"), "sample_weight is 'balanced'. Write class_weight='balanced'"),
    (fit(Sparse()), r"y is a sparse Sparse of shape \(60, 3\), .* Write y.toarray"),
    (fit(sample_weight=Sparse()), "sample_weight is a sparse Sparse"),
    (fit(sampler="balanced"), r"sampler is 'balanced', .* Write sampler=rv.data.BalancedSampler\(\)"),
    (fit(sampler=rv.data.BalancedSampler), r"Write sampler=BalancedSampler\(\)"),
    (fit(class_weight=3.0), "Write {0: 1.0, 1: 5.0}, or 'balanced'"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_what_is_refused(call, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        call()
    assert "Write" in str(caught.value)


def test_balanced_needs_all_targets():
    model = network("sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="counts the classes of all samples, and x gives batches"):
        model.fit(((X, Y) for _ in range(2)), class_weight="balanced", verbose=0)
