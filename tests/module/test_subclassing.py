"""Classes of one's own in the way of Keras: what they override, and what they are called on."""

from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import layers
from ranvier.ops.arrays import multiply

X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)


# --- call in a subclass of what has a forward ---------------------------------------------------------------------


class Always(layers.Dropout):
    def call(self, inputs):
        return super().call(inputs, training=True)


class Never(layers.Dropout):
    def call(self, inputs, training=None):
        assert isinstance(training, bool)
        return super().call(inputs, False)


class Twice(layers.Dense):
    def call(self, inputs):
        return super().call(inputs) * 2


class Four(Twice):
    def call(self, inputs):
        return super().call(inputs) * 2


class Halved(layers.Embedding):
    def call(self, inputs):
        return super().call(inputs) / 2


class Minus(layers.Add):
    def call(self, inputs):
        return -super().call(inputs)


class Doubled(rv.Sequential):
    def call(self, inputs, training=None):
        return super().call(inputs, training=training) * 2


class Mixin(layers.Layer):
    def call(self, inputs):
        return super().call(inputs) * 2


class Mixed(Mixin, layers.Dense):
    pass


class Forward(Twice):
    def forward(self, inputs):
        return multiply(super().forward(inputs), 2)


class Told(layers.Layer):
    def forward(self, inputs, training=False):
        return inputs * (3 if training else 1)


class ToldMore(Told):
    def forward(self, inputs, training=False):
        return super().forward(inputs, training) * 2


class ToldMost(ToldMore):
    def call(self, inputs, training=None):
        return super().call(inputs, training=training) * 2


def test_a_forward_that_takes_the_mode_is_a_call_that_does():
    np.testing.assert_array_equal(ToldMost()(X, training=True).numpy(), 12 * X)
    np.testing.assert_array_equal(ToldMost()(X).numpy(), 4 * X)


def with_call(layer, x):
    layer(x)
    kind: Any = next(c for c in type(layer).__mro__ if c.__module__ != __name__ and "forward" in vars(c))
    return kind.forward(layer, *[rv.ops.convert_to_tensor(x)]).numpy()


OVERRIDDEN = {  # a layer, and what it makes of what the layer that it is derived from gives
    "Dense": (lambda: Twice(3), X, lambda y: y * 2),
    "a subclass of one": (lambda: Four(3), X, lambda y: y * 4),
    "a mixin": (lambda: Mixed(3), X, lambda y: y * 2),
    "forward after call": (lambda: Forward(3), X, lambda y: y * 4),
    "Embedding": (lambda: Halved(5, 3), np.array([[1, 2], [0, 4]]), lambda y: y / 2),
    "Sequential": (lambda: Doubled([layers.Dense(3)]), X, lambda y: y * 2),
    "Dropout": (lambda: Never(0.5), X, lambda y: y),
}


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_a_call_takes_the_place_of_the_forward_it_inherits(name):
    make, x, change = OVERRIDDEN[name]
    layer = make()
    y = layer(x).numpy()
    np.testing.assert_allclose(y, change(with_call(layer, x)), rtol=1e-6)
    model = rv.Sequential([rv.Input(x.shape[1:], dtype=x.dtype.name.replace("64", "32")), layer])
    np.testing.assert_allclose(model.predict(x), y, rtol=1e-6)


def test_super_call_takes_the_mode():
    rv.utils.set_random_seed(1)
    ones = np.ones((50, 10), np.float32)
    always = rv.Sequential([rv.Input((10,)), Always(0.5)])
    assert (always(ones).numpy() == 0).any()
    assert (always.predict(ones) == 0).any()
    assert (Never(0.5)(ones, training=True).numpy() == 1).all()
    assert (layers.Dropout(0.5).call(ones, training=True).numpy() == 0).any()


def test_a_model_trains_where_it_is_called_directly_only_if_its_call_says_so():
    """As in Keras: what ``training`` is where it is left out."""

    def network(default):
        class Net(rv.Model):
            def call(self, x, training=default):
                return x * (3 if training else 1)

        return Net()

    assert [network(default)(X).numpy()[0, 0] / X[0, 0] for default in (None, False, True)] == [1, 1, 3]
    assert [network(default)(X, training=True).numpy()[0, 0] / X[0, 0] for default in (None, True)] == [3, 3]


def plain(self, x):
    return self.random(x)


def none(self, x):
    return self.random(x, training=None)


def passed(self, x, training=None):
    return self.random(x, training=training)


def false(self, x, training=False):
    return self.random(x, training=training)


# A call, and whether a random image layer in it changes images: where the model is called by hand (left out, True,
# False), in predict and in fit. By hand this is as in Keras.
PHASES = [(plain, [1, 1, 0], 0, 1), (none, [1, 1, 0], 0, 1), (passed, [0, 1, 0], 0, 1), (false, [0, 1, 0], 0, 1)]


@pytest.mark.filterwarnings("ignore:.* has no weights")
@pytest.mark.parametrize(("call", "by_hand", "predicted", "fitted"), PHASES, ids=[row[0].__name__ for row in PHASES])
def test_random_layers_follow_the_phase(call, by_hand, predicted, fitted):
    rv.set_engine("reference")
    images = np.random.default_rng(0).random((4, 6, 6, 3)).astype(np.float32)

    net = type("Net", (rv.Model,), {"call": call})()
    net.random = layers.RandomTranslation(0.4, 0.4)
    found = [net(images, **given).numpy() for given in ({}, {"training": True}, {"training": False})]
    assert [bool((y != images).any()) for y in found] == by_hand
    assert bool((net.predict(images) != images).any()) == predicted
    net.compile("sgd", "mse")
    assert net.evaluate(images, images, verbose=0) == 0
    assert bool(net.fit(images, images, verbose=0, ignore="RV").history["loss"][0]) == fitted
    rv.set_engine(None)


def test_a_merging_layer_is_called_with_the_list():
    np.testing.assert_allclose(Minus()([X, X]).numpy(), -2 * X)
    a, b = rv.Input((4,)), rv.Input((4,))
    np.testing.assert_allclose(rv.Model([a, b], Minus()([a, b])).predict([X, X]), -2 * X)


# --- one parameter that takes several inputs ----------------------------------------------------------------------

A, B = (np.linspace(-1, 1, 24, dtype=np.float32).reshape(6, 4), np.linspace(0, 1, 12, dtype=np.float32).reshape(6, 2))
Y = np.linspace(1, 0, 6, dtype=np.float32)[:, None]


@rv.register_module
class Pair(rv.Model):
    """Of a list, a tuple or a dict of two inputs."""

    def __init__(self):
        super().__init__()
        self.a, self.b = layers.Dense(1, name="for_a"), layers.Dense(1, name="for_b")

    def call(self, inputs):
        a, b = (inputs["a"], inputs["b"]) if isinstance(inputs, dict) else inputs
        return self.a(a) + self.b(b)


class Sizes(layers.Layer):
    def build(self, input_shape):
        self.shapes = input_shape

    def call(self, inputs):
        a, b = inputs
        return a + b


class Each(layers.Layer):
    def build(self, a_shape, b_shape):  # type: ignore[override]  # as Keras has it
        self.w = self.add_weight((a_shape[-1], b_shape[-1]), name="w")

    def call(self, a, b):
        return (a @ self.w) * b


class Exchanged(Each):
    def build(self, b_shape, a_shape):  # type: ignore[override]  # as Keras has it
        super().build(a_shape, b_shape)


def test_build_takes_shapes_by_the_names_of_the_arguments():
    a, b = np.ones((2, 3), np.float32), np.ones((2, 4), np.float32)
    for layer in (Each(), Exchanged()):
        assert layer(a, b).shape == (2, 4)
        assert layer.w.shape == (3, 4)
    assert Exchanged()(a, b=b).shape == (2, 4)


PACKED = {"list": lambda a, b: [a, b], "tuple": lambda a, b: (a, b), "dict": lambda a, b: {"a": a, "b": b}}


@pytest.mark.parametrize("pack", PACKED)
def test_a_model_of_one_parameter_is_fitted_on_a_container(pack, tmp_path):
    x, half, new = (PACKED[pack](A[:n] + more, B[:n]) for n, more in ((6, 0), (3, 0), (3, 3)))
    model = Pair()
    model.compile("sgd", "mse")
    model.fit(x, Y, epochs=2, verbose=0, validation_data=(new, Y[:3]))
    called = model(x).numpy()
    np.testing.assert_allclose(model.predict(x), called, rtol=1e-6)
    np.testing.assert_allclose(model.predict(half), called[:3], rtol=1e-6)
    assert np.isclose(model.evaluate(x, Y, verbose=0), np.square(called - Y).mean(), rtol=1e-5)
    model.save(tmp_path / "pair.rv")
    loaded = rv.load_model(tmp_path / "pair.rv")
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))
    loaded.fit(((PACKED[pack](A[i : i + 2], B[i : i + 2]), Y[i : i + 2]) for i in (0, 2, 4)), verbose=0)
    with pytest.raises(TypeError, match=r"was called on 2 inputs in a (list|tuple|dict) before.*Write x=[\[{]"):
        model.fit(A, Y, verbose=0)


@pytest.mark.parametrize("pack", PACKED)
def test_batches_may_be_the_first_that_it_sees(pack):
    model = Pair()
    model.compile("sgd", "mse")
    history = model.fit(((PACKED[pack](A[i : i + 2], B[i : i + 2]), Y[i : i + 2]) for i in (0, 2, 4)), verbose=0)
    assert np.isfinite(history.history["loss"][0])


def test_inputs_of_one_dimension_are_distinguished_from_samples_by_the_number_of_targets():
    class Both(rv.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, inputs):
            if isinstance(inputs, list):
                inputs = rv.ops.stack(inputs, axis=-1)
            return self.dense(inputs)

    for x, width in (([A[:, 0], A[:, 1]], 2), ([A[0], A[1], A[2], A[3], A[4], A[5]], 4)):
        model = Both()
        model.compile("sgd", "mse")
        model.fit(x, Y, verbose=0)
        assert model.dense.kernel.shape == (width, 1)


def test_a_list_of_arrays_is_one_of_inputs_and_builds_for_each():
    layer = Sizes()
    np.testing.assert_allclose(layer([A, A]).numpy(), 2 * A)
    assert layer.shapes == [(6, 4), (6, 4)]
    np.testing.assert_allclose(Pair()({"a": A, "b": B}).shape, (6, 1))
    model = rv.Sequential([layers.Concatenate(), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit([A, B], Y, verbose=0)
    np.testing.assert_allclose(model.predict([A, B]), model([A, B]).numpy(), rtol=1e-6)


def test_a_build_of_several_shapes_is_given_one_for_each_argument(tmp_path):
    layer = Each()
    assert layer(A, B).shape == (6, 2)
    assert layer.w.shape == (4, 2)
    assert Each()(A, b=B).shape == (6, 2)
    a, b = rv.Input((4,)), rv.Input((2,))
    model = rv.Model([a, b], Each()(a, b))
    twin = rv.models.model_from_json(model.to_json(), custom_objects={"Each": Each})
    twin.set_weights(model.get_weights())
    np.testing.assert_array_equal(twin.predict([A, B]), model.predict([A, B]))


def test_several_inputs_that_were_given_as_one_are_reported():
    class Two(rv.Model):
        def call(self, x):
            a, b = x
            return a + b

    with pytest.raises(TypeError, match=r"stands for data while a model is traced.*rows.* given as a list"):
        rv.Sequential([rv.Input((4,)), Two()])
