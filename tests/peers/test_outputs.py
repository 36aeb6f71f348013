"""Several inputs and outputs, and weights, against Keras, PyTorch and scikit-learn: the same curves under the same names."""

from typing import Any

import numpy as np
import pytest

import ranvier as rv

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")]

RNG = np.random.default_rng(12)
N, K = 150, 3
A, B = (RNG.normal(size=(N, f)).astype(np.float32) for f in (5, 4))
VALUE = (A[:, :1] * B[:, :1]).astype(np.float32)
KIND = (A[:, 1] > 0).astype(int) + (B[:, 1] > 0)
SERIES = RNG.normal(size=(N, 6, 4)).astype(np.float32)
STEPS = SERIES[..., :K].argmax(-1)
W, PARTS = RNG.random(N).astype(np.float32) + 0.1, RNG.random((N, 6)).astype(np.float32) + 0.1
OPTIONS: dict = {"epochs": 3, "batch_size": 32, "shuffle": False, "verbose": 0}
Y = {"value": VALUE, "kind": KIND}


def two(base: Any, layers, several):
    """The same network for both libraries: Keras hands inputs over as one list."""

    class Two(base):  # type: ignore[misc]  # a class of either library
        def __init__(self):
            super().__init__()
            self.left, self.right = layers.Dense(8, activation="tanh"), layers.Dense(8)
            self.value, self.kind = layers.Dense(1), layers.Dense(K, activation="softmax")

        def compute(self, a, b):
            hidden = self.left(a) + self.right(b)
            return {"value": self.value(hidden), "kind": self.kind(hidden)}

        if several:

            def forward(self, a, b):
                return self.compute(a, b)

        else:

            def call(self, inputs):
                return self.compute(*inputs)

    return Two()


LOSSES = {"value": "mse", "kind": "sparse_categorical_crossentropy"}
SETTINGS = [  # settings of compile, settings of fit
    ({"loss": LOSSES, "loss_weights": {"value": 0.3, "kind": 2.0}}, {}),
    ({"loss": LOSSES, "metrics": {"value": ["mae"], "kind": ["accuracy"]}}, {"validation_split": 0.2}),
    (
        {"loss": LOSSES, "metrics": {"kind": ["accuracy"]}, "weighted_metrics": {"kind": ["accuracy"]}},
        {"sample_weight": {"value": W, "kind": W[::-1].copy()}},
    ),
    ({"loss": LOSSES, "weighted_metrics": {"value": ["mae"], "kind": ["accuracy"]}}, {"sample_weight": W}),
]


@pytest.mark.parametrize(("settings", "options"), SETTINGS)
def test_keras(settings, options):
    keras = pytest.importorskip("keras")
    theirs, mine = two(keras.Model, keras.layers, False), two(rv.Module, rv.layers, True)
    theirs([A[:1], B[:1]])
    mine(rv.Tensor(A[:1]), rv.Tensor(B[:1]))
    mine.set_weights(theirs.get_weights())
    for model in (theirs, mine):
        model.compile(optimizer="adam", **settings)
    expected = theirs.fit([A, B], Y, **OPTIONS, **options).history
    got = mine.fit([A, B], Y, **OPTIONS, **options, ignore="RV").history
    assert set(got) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, rtol=3e-4, atol=2e-5, err_msg=name)
    for a, b in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)
    if options:
        return  # one comparison of what compiles for seconds in Keras is enough
    wanted = theirs.evaluate([A, B], Y, verbose=0, return_dict=True)
    found = mine.evaluate([A, B], Y, verbose=0, return_dict=True)
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, rel=1e-3), name
    for name, values in theirs.predict([A, B], verbose=0).items():
        np.testing.assert_allclose(mine.predict([A, B])[name], values, rtol=2e-3, atol=2e-4)


WEIGHTS = [  # last layer, loss, inputs, targets, settings of fit
    ((K, "softmax"), "sparse_categorical_crossentropy", A, KIND, {"class_weight": {0: 1.0, 1: 5.0, 2: 0.5}}),
    ((K, "softmax"), "categorical_crossentropy", A, np.eye(K)[KIND], {"class_weight": {0: 1.0, 1: 5.0}}),
    ((1, "sigmoid"), "binary_crossentropy", A, (KIND > 0).astype(int), {"class_weight": {0: 4.0, 1: 0.5}}),
    ((K, "softmax"), "sparse_categorical_crossentropy", SERIES, STEPS, {"sample_weight": PARTS}),
    ((K, None), "mse", SERIES, SERIES[..., :K], {"sample_weight": PARTS}),
    ((K, None), "mse", SERIES, SERIES[..., :K], {"sample_weight": W[:, None]}),
    ((2, None), "huber", A, A[:, :2] * 3, {"sample_weight": W[:, None]}),
]


@pytest.mark.parametrize(("last", "loss", "x", "y", "options"), WEIGHTS)
def test_keras_weights(last, loss, x, y, options):
    keras = pytest.importorskip("keras")
    units, activation = last
    shape = x.shape[1:]
    theirs = keras.Sequential([keras.Input(shape), keras.layers.Dense(units, activation=activation)])
    mine = rv.Sequential([rv.Input(shape), rv.layers.Dense(units, activation=activation)])
    mine.set_weights(theirs.get_weights())
    for model in (theirs, mine):
        model.compile("adam", loss)
    expected = theirs.fit(x, y, **OPTIONS, **options).history["loss"]
    got = mine.fit(x, y, **OPTIONS, **options, ignore="RV").history["loss"]
    np.testing.assert_allclose(got, expected, rtol=3e-4)
    for a, b in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("ignored", [-1, 1])
def test_keras_ignored_class_with_weights(ignored):
    keras = pytest.importorskip("keras")
    y = np.where(np.arange(N) % 3 == 0, ignored, KIND)
    curves = []
    start = None
    for library, options in ((keras, {}), (rv, {"ignore": "RV"})):
        model = library.Sequential([library.Input((5,)), library.layers.Dense(K, activation="softmax")])
        start = start or model.get_weights()
        model.set_weights(start)
        model.compile("sgd", library.losses.SparseCategoricalCrossentropy(ignore_class=ignored))
        curves.append(model.fit(A, y, sample_weight=W, **OPTIONS, **options).history["loss"])
    np.testing.assert_allclose(curves[1], curves[0], rtol=3e-4)


@pytest.mark.parametrize("settings", [{}, {"weight": [1.0, 3.0, 0.5]}, {"ignore_index": 1}])
def test_torch(settings):
    """Two outputs with PyTorch's criteria: an explicit loop there, ``fit`` here."""
    torch = pytest.importorskip("torch")
    import ranvier.torch as ours

    class Net:
        nn: Any

        def __init__(self):
            super().__init__()
            self.body, self.one, self.other = self.nn.Linear(5, 8), self.nn.Linear(8, 1), self.nn.Linear(8, K)

        def forward(self, x):
            hidden = self.nn.functional.relu(self.body(x))
            return self.one(hidden), self.other(hidden)

    theirs = type("Net", (Net, torch.nn.Module), {"nn": torch.nn})()
    mine = type("Net", (Net, ours.nn.Module), {"nn": ours.nn})()
    mine.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    optimizer = torch.optim.Adam(theirs.parameters(), lr=0.01)
    given = {k: torch.tensor(v) if k == "weight" else v for k, v in settings.items()}
    square, cross = torch.nn.MSELoss(), torch.nn.CrossEntropyLoss(**given)
    x, value, kind = (torch.tensor(a) for a in (A, VALUE, KIND))
    curve = []
    for _ in range(OPTIONS["epochs"]):
        total = 0.0
        for i in range(0, N, 32):
            part = slice(i, i + 32)
            optimizer.zero_grad()
            one, other = theirs(x[part])
            loss = square(one, value[part]) + 0.5 * cross(other, kind[part])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x[part])
        curve.append(total / N)
    criteria = [ours.nn.MSELoss(), ours.nn.CrossEntropyLoss(**settings)]
    mine.compile(ours.optim.Adam(mine.parameters(), lr=0.01), criteria, loss_weights=[1.0, 0.5])
    history = mine.fit(A, [VALUE, KIND], **OPTIONS, ignore="RV").history
    np.testing.assert_allclose(history["loss"], curve, rtol=2e-4)


def test_scikit_learn_balanced_weights():
    from sklearn.utils.class_weight import compute_class_weight

    from ranvier.training.adapters.sample_weights import balanced

    y = RNG.choice([0, 2, 5], 1000, p=[0.9, 0.08, 0.02])
    wanted = compute_class_weight("balanced", classes=np.unique(y), y=y)
    np.testing.assert_allclose(list(balanced(y, None, "class_weight").values()), wanted)


def test_a_loader_of_pytorch_gives_what_its_arrays_give():
    torch = pytest.importorskip("torch")

    def trained(*data, **options):
        rv.set_seed(0)
        model = rv.Sequential([rv.Input((5,)), rv.layers.Dense(K, activation="softmax")])
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(*data, **OPTIONS | options, ignore="RV")
        return model.get_weights()

    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.tensor(A), torch.tensor(KIND)), batch_size=32
    )
    for one, other in zip(trained(loader, batch_size=None), trained(A, KIND), strict=True):
        np.testing.assert_array_equal(one, other)
