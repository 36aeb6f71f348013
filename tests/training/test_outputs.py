"""Models of several inputs and outputs: what they are given, what they are trained toward, how results are named."""

from collections import OrderedDict

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier import optimizers

RNG = np.random.default_rng(4)
N = 70
A, B = (RNG.normal(size=(N, f)).astype(np.float32) for f in (5, 3))
AGE = (A[:, :1] + B[:, :1]).astype(np.float32)
KIND = (A[:, 1] > 0).astype(int) + (B[:, 1] > 0)
LOSSES = {"age": "mse", "kind": "sparse_categorical_crossentropy"}
OPTIONS: dict = {"epochs": 2, "batch_size": 16, "shuffle": False, "verbose": 0, "ignore": "RV"}


@pytest.fixture(autouse=True)
def engine():
    rv.set_engine("reference")
    rv.set_seed(0)
    yield
    rv.set_engine(None)


class Two(rv.Module):
    """Two inputs, two outputs, in a given container."""

    def __init__(self, pack="dict"):
        super().__init__()
        self.pack = pack
        self.left, self.right = rv.layers.Dense(6, activation="tanh"), rv.layers.Dense(6)
        self.age, self.kind = rv.layers.Dense(1), rv.layers.Dense(3, activation="softmax")

    def forward(self, a, b):
        hidden = self.left(a) + self.right(b)
        age, kind = self.age(hidden), self.kind(hidden)
        return {"dict": {"kind": kind, "age": age}, "tuple": (age, kind), "list": [age, kind]}[self.pack]


rv.register_module(Two, name="tests.Two")


def two(pack="dict", loss=None, **settings):
    rv.set_seed(0)
    model = Two(pack)
    model(rv.Tensor(A[:1]), rv.Tensor(B[:1]))  # makes the weights
    given = loss or (LOSSES if pack == "dict" else list(LOSSES.values()))
    model.compile(settings.pop("optimizer", "adam"), given, **settings)
    return model


def same_weights(one, other):
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


# --- forms ---------------------------------------------------------------------------------------------------------

FORMS = [  # inputs, targets
    ([A, B], {"age": AGE, "kind": KIND}),
    ((A, B), {"kind": KIND, "age": AGE}),
    ({"b": B, "a": A}, {"age": AGE, "kind": KIND}),
    ({"a": A.tolist(), "b": rv.Tensor(B)}, {"age": AGE[:, 0], "kind": KIND[:, None]}),
]


@pytest.mark.parametrize(("x", "y"), FORMS)
def test_forms_of_inputs_and_targets(x, y):
    model, plain = two(), two()
    model.fit(x, y, **OPTIONS)
    plain.fit([A, B], {"age": AGE, "kind": KIND}, **OPTIONS)
    assert same_weights(model, plain)
    assert model.evaluate(x, y, verbose=0) == plain.evaluate([A, B], y, verbose=0)
    for name, values in model.predict(x).items():
        np.testing.assert_array_equal(values, plain.predict([A, B])[name])


@pytest.mark.parametrize("pack", ["tuple", "list"])
def test_outputs_in_order_are_those_by_name(pack):
    model, named = two(pack), two()
    history = model.fit([A, B], [AGE, KIND], **OPTIONS).history
    other = named.fit([A, B], {"age": AGE, "kind": KIND}, **OPTIONS).history
    assert same_weights(model, named)
    assert history["loss"] == pytest.approx(other["loss"], rel=1e-6)
    found = model.predict([A, B])
    assert type(found) is (tuple if pack == "tuple" else list)
    np.testing.assert_array_equal(found[1], named.predict([A, B])["kind"])


BATCHES = [16, 16, 16, 16, 6]


def flat(*arrays):
    for stop, size in zip(np.cumsum(BATCHES), BATCHES, strict=True):
        yield tuple(a[stop - size : stop] for a in arrays)


SOURCES = [
    lambda: (((a, b), {"age": y, "kind": k}) for a, b, y, k in flat(A, B, AGE, KIND)),
    lambda: (({"a": a, "b": b}, {"age": y, "kind": k}) for a, b, y, k in flat(A, B, AGE, KIND)),
    lambda: flat(A, B, AGE, KIND),  # one after the other, as a TensorDataset gives them
    lambda: torch.utils.data.DataLoader(torch.utils.data.TensorDataset(A, B, AGE, KIND), batch_size=16),
]


@pytest.mark.parametrize("pack", ["list", "dict"])
@pytest.mark.parametrize("source", SOURCES)
def test_batches(source, pack):
    names = ["age", "kind"] if pack == "list" else ["kind", "age"]
    if source is SOURCES[2] or source is SOURCES[3]:
        # The order of a dict's outputs is that of their names, sorted.
        names = ["age", "kind"]
    model, plain = two(pack), two(pack)
    targets = {"age": AGE, "kind": KIND}
    y = targets if pack == "dict" else [targets[n] for n in names]
    options = OPTIONS | {"epochs": 1}
    if pack == "list" and source in SOURCES[:2]:
        made = source
        source = lambda: ((x, [t["age"], t["kind"]]) for x, t in made())  # noqa: E731
    model.fit(source(), **{k: v for k, v in options.items() if k not in ("batch_size", "shuffle")})
    plain.fit([A, B], y, **options)
    assert same_weights(model, plain)
    assert model.evaluate(source(), verbose=0) == pytest.approx(plain.evaluate([A, B], y, verbose=0), rel=1e-5)
    found, wanted = model.predict(source()), plain.predict([A, B], batch_size=16)
    for one, other in zip(
        found.values() if pack == "dict" else found, wanted.values() if pack == "dict" else wanted, strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_source_of_inputs_alone_is_predicted():
    model = two()
    wanted = model.predict([A, B], batch_size=16)["age"]
    for source in (({"a": a, "b": b} for a, b in flat(A, B)), flat(A, B), (((a, b),) for a, b in flat(A, B))):
        np.testing.assert_array_equal(model.predict(source)["age"], wanted)


# --- what is trained -----------------------------------------------------------------------------------------------


def test_the_loss_is_the_weighted_sum_and_each_is_reported():
    model = two(loss_weights={"age": 0.5, "kind": 2.0}, metrics={"age": "mae", "kind": ["accuracy"]})
    results = model.evaluate([A, B], {"age": AGE, "kind": KIND}, verbose=0, return_dict=True)
    assert list(results) == ["age_loss", "age_mae", "kind_accuracy", "kind_loss", "loss"]
    assert results["loss"] == pytest.approx(0.5 * results["age_loss"] + 2 * results["kind_loss"], rel=1e-6)
    out = model.predict([A, B])
    assert results["age_loss"] == pytest.approx(((out["age"] - AGE) ** 2).mean(), rel=1e-5)
    assert results["age_mae"] == pytest.approx(np.abs(out["age"] - AGE).mean(), rel=1e-5)
    assert results["kind_accuracy"] == pytest.approx((out["kind"].argmax(1) == KIND).mean())


NAMES = [  # how outputs are handed out, settings, names of results
    ("list", {}, ["loss", "mse_loss", "sparse_categorical_crossentropy_loss"]),
    ("tuple", {"loss": ["MeanSquaredError", rv.losses.SparseCategoricalCrossentropy(name="own")]}, [
        "loss", "mean_squared_error_loss", "own_loss"]),
    ("tuple", {"loss": ["mse", None]}, ["loss"]),
    ("list", {"metrics": [["mae", "mse"], None]}, [
        "loss", "mse_loss", "sparse_categorical_crossentropy_loss", "mae", "mse"]),
    ("dict", {"loss": {"age": "mse"}, "metrics": {"kind": ["accuracy"]}}, ["loss", "kind_accuracy"]),
    ("dict", {"metrics": {"kind": ["acc"]}, "weighted_metrics": {"kind": ["acc"], "age": ["mae"]}}, [
        "loss", "age_loss", "kind_loss", "kind_acc", "age_mae", "kind_weighted_acc"]),
]  # fmt: skip


@pytest.mark.parametrize(("pack", "settings", "names"), NAMES)
def test_names_of_results(pack, settings, names):
    model = two(pack, **settings)
    y = {"age": AGE, "kind": KIND} if pack == "dict" else [AGE, KIND]
    history = model.fit([A, B], y, validation_data=([A, B], y), **OPTIONS).history
    assert list(history) == sorted([*names, *(f"val_{name}" for name in names)]), "as in Keras"
    assert model.metrics_names == names
    results = model.evaluate([A, B], y, verbose=0, return_dict=True)
    assert list(results) == sorted(names)
    values = model.evaluate([A, B], y, verbose=0)
    assert (values if len(names) > 1 else [values]) == [results[name] for name in names]


def test_output_names_of_the_model_name_a_tuple():
    model = two("tuple", loss={"age": "mse", "kind": "sparse_categorical_crossentropy"})
    model.output_names = ["age", "kind"]
    history = model.fit([A, B], {"kind": KIND, "age": AGE}, **OPTIONS).history
    assert list(history) == ["age_loss", "kind_loss", "loss"]


def test_an_ordered_dict_keeps_its_order():
    class Ordered(Two):
        def forward(self, a, b):
            found = super().forward(a, b)
            return OrderedDict((name, found[name]) for name in ("kind", "age"))

    model = Ordered()
    model.compile("adam", LOSSES)
    model.fit([A, B], {"age": AGE, "kind": KIND}, **OPTIONS)
    assert model.metrics_names == ["loss", "kind_loss", "age_loss"]


def test_an_output_without_a_loss_trains_nothing():
    model = two(loss={"age": "mse"}, optimizer=optimizers.SGD(0.1))
    before = model.kind.kernel.numpy().copy()
    model.fit([A, B], {"age": AGE}, **OPTIONS)
    np.testing.assert_array_equal(model.kind.kernel.numpy(), before)


def test_targets_only_for_the_outputs_that_are_used():
    model, both = two("list", loss=["mse", None]), two("list", loss=["mse", None])
    model.fit([A, B], [AGE], **OPTIONS)
    both.fit([A, B], [AGE, KIND], **OPTIONS)
    assert same_weights(model, both)


def test_a_loss_alone_in_a_list_is_that_loss():
    models = [two("list", loss=[last, None]) for last in ("mse", ["mse"])]
    assert models[0].evaluate([A, B], [AGE], verbose=0) == models[1].evaluate([A, B], [AGE], verbose=0)


def test_one_output_in_a_list_or_a_dict():
    class One(rv.Module):
        def __init__(self):
            super().__init__()
            self.layer = rv.layers.Dense(1)

        def forward(self, x):
            return {"age": self.layer(x)}

    model = One()
    model.compile("sgd", {"age": "mse"}, metrics={"age": ["mae"]})
    assert list(model.fit(A, {"age": AGE}, **OPTIONS).history) == ["loss", "mae"]
    assert model.predict(A)["age"].shape == (N, 1)


def test_train_on_batch():
    model, fitted = two(), two()
    loss = model.train_on_batch([A, B], {"age": AGE, "kind": KIND}, return_dict=True)
    history = fitted.fit([A, B], {"age": AGE, "kind": KIND}, **OPTIONS | {"epochs": 1, "batch_size": N})
    assert loss == {name: values[0] for name, values in history.history.items()}
    assert same_weights(model, fitted)


def test_it_is_saved_with_its_compilation(tmp_path):
    model = two(
        loss_weights={"age": 0.25, "kind": 1},
        metrics={"age": ["mae"], "kind": ["accuracy", rv.metrics.F1Score("macro")]},
        weighted_metrics={"kind": ["accuracy"]},
    )
    model.fit([A, B], {"age": AGE, "kind": KIND}, **OPTIONS)
    model.save(tmp_path / "m")
    loaded = rv.load_model(tmp_path / "m")
    y = {"age": AGE, "kind": KIND}
    assert loaded.evaluate([A, B], y, verbose=0, return_dict=True) == model.evaluate(
        [A, B], y, verbose=0, return_dict=True
    )
    for one in (model, loaded):
        one.fit([A, B], y, **OPTIONS)
    assert same_weights(model, loaded)


def test_it_is_saved_before_it_is_trained(tmp_path):
    model = two(metrics={"kind": ["accuracy"]})
    model.save(tmp_path / "m")
    y = {"age": AGE, "kind": KIND}
    assert rv.load_model(tmp_path / "m").evaluate([A, B], y, verbose=0) == model.evaluate([A, B], y, verbose=0)


def test_any_number_of_inputs():
    class Sum(rv.Module):
        def __init__(self):
            super().__init__()
            self.layer = rv.layers.Dense(2)

        def forward(self, *inputs):
            return sum(self.layer(x) for x in inputs)

    model = Sum()
    assert model.predict([A, A, A]).shape == (N, 2)
    np.testing.assert_allclose(model.predict([A, A]), 2 * (A @ model.layer.kernel.numpy()), rtol=1e-5)


def test_optional_inputs_by_name():
    class Maybe(rv.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.other = rv.layers.Dense(2), rv.layers.Dense(2)

        def forward(self, a, b=None):
            return self.layer(a) if b is None else self.layer(a) + self.other(b)

    assert Maybe().predict(A).shape == Maybe().predict({"a": A, "b": B}).shape == (N, 2)


# --- what is refused -----------------------------------------------------------------------------------------------


def one(**options):
    model = rv.Sequential([rv.Input((5,)), rv.layers.Dense(1)])
    model.compile("sgd", **{"loss": "mse"} | options)
    return model


REFUSED = [  # what is called, the error, what it says
    (lambda: one(loss_weights=[1.0, 2.0]).fit(A, AGE), ValueError, r"loss_weights has 2 entries, and the model has 1 output"),
    (lambda: one(loss=["mse", "mae"]).fit(A, AGE), ValueError, r"loss has 2 entries, and the model has 1 output"),
    (lambda: one(loss=None).fit(A), RuntimeError, r"without a loss, and none of its layers adds one.*add_loss"),
    (lambda: one(loss=None, metrics=["mae"]).fit(A), RuntimeError, r"without a loss"),
    (lambda: two().fit([A], {"age": AGE, "kind": KIND}), ValueError, r"takes 2 inputs \(a, b\), and x holds 1"),
    (lambda: two().fit(A, {"age": AGE, "kind": KIND}), TypeError, r"Write x=\[a, b\]"),
    (lambda: two().fit({"a": A, "c": B}, {}), TypeError, r"takes \(a, b\)"),
    (lambda: two().fit([A, B[:9]], {"age": AGE, "kind": KIND}), ValueError, r"x\[0\] has 70, x\[1\] has 9"),
    (lambda: two().fit([A, B], {"age": AGE[:9], "kind": KIND}), ValueError, r"y\['age'\] has 9"),
    (lambda: two().fit([A, B], AGE), TypeError, "y is one ndarray, and the model has 2 outputs"),
    (lambda: two().fit([A, B], {"age": AGE}), ValueError, r"y\['kind'\] is missing"),
    (lambda: two().fit([A, B], {"age": AGE, "kin": KIND}), ValueError, r"the outputs \['kin'\]"),
    (lambda: two().fit([A, B], {"age": AGE, "kind": KIND + 1}), ValueError, r"y\['kind'\] has label 3 at row"),
    (lambda: two("tuple", loss=["mse"] * 3).fit([A, B], [AGE, KIND]), ValueError, "loss has 3 entries"),
    (lambda: two("tuple", loss=LOSSES).fit([A, B], [AGE, KIND]), ValueError, "outputs have no names"),
    (lambda: two(metrics=["mae"]).fit([A, B], {"age": AGE, "kind": KIND}), ValueError, "metrics has 1 entries"),
    (lambda: two(loss_weights=2.0).fit([A, B], {"age": AGE, "kind": KIND}), ValueError, "loss_weights is 2.0"),
    (lambda: two("tuple", loss=[None, None]).fit([A, B], [AGE, KIND]), ValueError, "no output has one"),
    (lambda: two(loss={"age": "msee"}), ValueError, "loss 'msee' does not exist"),
    (lambda: two(metrics={"age": ["acuracy"]}), ValueError, "metric 'acuracy' does not exist"),
    (
        lambda: two().fit([A, B], {"age": AGE, "kind": KIND}, class_weight={0: 2.0}), ValueError,
        "class_weight is .* and the model has 2 outputs",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_what_does_not_match_is_refused_with_the_fix(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert "rite " in str(caught.value)


def test_what_forward_returns_must_be_tensors():
    class Odd(rv.Module):
        def forward(self, x):
            return x, "text"

    model = Odd()
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="returns str for output 1"):
        model.fit(A, A, verbose=0)


def test_arrays_that_are_meant_as_inputs_of_a_model_with_one():
    class Listed(rv.Module):
        def __init__(self):
            super().__init__()
            self.layer = rv.layers.Dense(1)

        def forward(self, inputs):
            return self.layer(inputs[0]) + self.layer(inputs[1])

    model = Listed()
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="x is a ragged list") as caught:
        model.fit([A, B], AGE, verbose=0)
    assert any("write def forward(self, a, b)" in note for note in caught.value.__notes__)


def test_it_is_built_from_a_list_of_shapes(capsys):
    model = Two()
    model.build([(None, 5), (None, 3)])
    assert len(model.get_weights()) == 8
    model.summary()
    assert "(None, 6)" in capsys.readouterr().out
    found = rv.module.from_architecture(model.architecture())
    assert [w.shape for w in found.get_weights()] == [w.shape for w in model.get_weights()]


def test_the_same_bits_for_any_number_of_threads():
    rv.set_engine("native")
    found = []
    for threads in (1, 2, 7):
        rv.set_threads(threads)
        try:
            model = two(optimizer=optimizers.Adam(0.01))
            weights = {"age": np.linspace(0, 1, N), "kind": None}
            history = model.fit(
                [A, B], {"age": AGE, "kind": KIND}, sample_weight=weights, **OPTIONS | {"shuffle": True}
            ).history
        finally:
            rv.set_threads(None)
        found.append((history, [w.tobytes() for w in model.get_weights()]))
    assert found[0] == found[1] == found[2]
