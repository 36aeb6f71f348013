"""Classes, functions and objects of the user's in Keras's files, without Keras."""

import numpy as np
import pytest

import ranvier as rv
from ranvier import layers
from ranvier.data.files import CheckpointError

pytest.importorskip("h5py")
TEXTS = np.array([["a"], ["something long"]])
X = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)


@pytest.fixture(autouse=True)
def _reference():
    rv.set_engine("reference")
    yield
    rv.set_engine("native")


# --- models of classes --------------------------------------------------------------------------------------------


class OfUnits(rv.Model):
    """Its constructor takes no name, and has what ``get_config`` says."""

    def __init__(self, units):
        super().__init__()
        self.units, self.dense = units, layers.Dense(units)

    def call(self, x):
        return self.dense(x)


class OfIndices(rv.Model):
    def __init__(self):
        super().__init__()
        self.embedding, self.inner = layers.Embedding(5, 3), OfUnits(2)

    def call(self, x):
        return self.inner(self.embedding(x))


class OfBuild(rv.Model):
    """Makes weights in ``build``, and has a layer that is built by the call."""

    def __init__(self, **options):
        super().__init__(**options)
        self.dense = layers.Dense(3)

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], 2))

    def call(self, x):
        return self.dense(x @ self.kernel)


class OfOwnBuild(OfUnits):
    """Says itself how it is built."""

    def get_build_config(self):
        return {"width": 4}

    def build_from_config(self, config):
        self.build((None, config["width"]))


class OfPair(rv.Model):
    def __init__(self):
        super().__init__()
        self.one, self.other = layers.Dense(3), layers.Dense(3)

    def call(self, x):
        one, other = x.values() if isinstance(x, dict) else x
        return self.one(one) + self.other(other)


class OfTwo(OfPair):
    def call(self, x, y):  # type: ignore[override]  # of two inputs
        return self.one(x) + self.other(y)


class Scaled(layers.Layer):
    def build(self, a_shape, b_shape):  # type: ignore[override]  # of two inputs, as in Keras
        self.kernel = self.add_weight(shape=(a_shape[-1], b_shape[-1]))

    def call(self, a, b):
        return a @ self.kernel + b


class OfScaled(rv.Model):
    def __init__(self):
        super().__init__()
        self.scaled, self.several = Scaled(), [layers.Dense(4), layers.BatchNormalization(), layers.Dropout(0.5)]

    def call(self, x):
        for layer in self.several:
            x = layer(x)
        return self.scaled(x, x)


def fitted():
    model = OfUnits(2)
    model.compile("sgd", "mse")
    model.fit(X, np.ones((2, 2)), verbose=0)
    return model


def built():
    model = OfUnits(2)
    model.build((None, 4))
    return model


class OfTexts(rv.Model):
    def __init__(self, kind="words"):
        super().__init__()
        self.kind, self.embedding = kind, layers.Embedding(4, 3)
        lookup, vectors = layers.StringLookup, layers.TextVectorization
        self.maps = lookup(vocabulary=["a"]) if kind == "words" else vectors(vocabulary=["a"], output_sequence_length=5)

    def call(self, x):
        texts, number = x if isinstance(x, list) else (x, 1)
        return self.embedding(self.maps(texts)) * number


CLASSES = {
    kind.__name__: kind for kind in (OfUnits, OfIndices, OfBuild, OfOwnBuild, OfPair, OfTwo, Scaled, OfScaled, OfTexts)
}
MODELS = {
    "called": (lambda: OfUnits(2), (X,)), "fitted": (fitted, (X,)), "built": (built, (X,)),
    "whole numbers": (OfIndices, (np.int32([[1, 2], [3, 4]]),)), "a build": (OfBuild, (X,)),
    "own methods": (lambda: OfOwnBuild(2), (X,)), "a list": (OfPair, ([X, X],)), "a tuple": (OfPair, ((X, 2 * X),)),
    "texts": (OfTexts, (TEXTS,)), "sentences": (lambda: OfTexts("sentences"), (TEXTS[:, 0],)),
    "texts and numbers": (OfTexts, ([TEXTS, X[:, :1, None]],)),
    "a dict": (OfPair, ({"u": X, "v": X},)), "two arguments": (OfTwo, (X, 2 * X)), "two shapes": (OfScaled, (X,)),
}  # fmt: skip


@pytest.mark.parametrize("ending", ["keras", "h5", "ranvier"])
@pytest.mark.parametrize("name", MODELS)
def test_models_of_classes(name, ending, tmp_path):
    make, given = MODELS[name]
    model = make()
    expected = model(*given)
    if name != "fitted":
        model.trainable = False
    for path in (tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"):
        model.save(path)
        again = rv.load_model(path, custom_objects=CLASSES)
        assert (type(again), again.name, again.trainable) == (type(model), model.name, model.trainable)
        model = again  # which was not called yet
    np.testing.assert_array_equal(again(*given), expected)


def test_a_model_of_a_class_that_was_not_built(tmp_path):
    OfUnits(2).save(tmp_path / "a.keras")
    with rv.saving.custom_object_scope(CLASSES):
        assert rv.load_model(tmp_path / "a.keras")(X).shape == (2, 2)
    with pytest.raises(CheckpointError, match=r"holds .*OfUnits, which is not known here.*custom_objects"):
        rv.load_model(tmp_path / "a.keras")


# --- layers in arguments ------------------------------------------------------------------------------------------


@rv.saving.register_keras_serializable("tests of own")
class Doubled(layers.Layer):
    """Has a layer as an argument, which `get_config` writes as Keras's examples do."""

    def __init__(self, inner, **options):
        super().__init__(**options)
        self.inner = inner

    def call(self, x):
        return self.inner(x) * 2

    def get_config(self):
        return {**super().get_config(), "inner": rv.saving.serialize_keras_object(self.inner)}

    @classmethod
    def from_config(cls, config):  # type: ignore[override]  # as in Keras
        return cls(**{**config, "inner": rv.saving.deserialize_keras_object(config["inner"])})


def functional():
    start = rv.Input((4,))
    return rv.Model(start, layers.Dense(3)(start))


INNER = {
    "a layer": lambda: layers.Dense(3, "relu"), "a sequential": lambda: rv.Sequential([layers.Dense(3), layers.Dense(1)]),
    "a functional": functional, "its own kind": lambda: Doubled(layers.Dense(2)),
}  # fmt: skip


@pytest.mark.parametrize("name", INNER)
def test_layers_in_arguments(name, tmp_path):
    for outer in (lambda inner: layers.TimeDistributed(Doubled(inner)), layers.TimeDistributed):
        model = rv.Sequential([rv.Input((5, 4)), outer(INNER[name]())])
        model.save(tmp_path / "a.keras")
        x = np.stack([X] * 5, 1)
        np.testing.assert_array_equal(rv.load_model(tmp_path / "a.keras")(x), model(x))
    again = rv.saving.deserialize_keras_object(rv.saving.serialize_keras_object(Doubled(INNER[name]())))
    assert type(again.inner) is type(INNER[name]())


# --- functions and objects that are not registered ----------------------------------------------------------------


def bent(x):
    return x * 2 + 1


def twos(shape, dtype=None):
    return rv.ops.ones(shape, dtype) * 2


class Filled(rv.initializers.Initializer):
    def __init__(self, factor=3.0):
        self.factor = factor

    def __call__(self, shape, dtype=None):
        return rv.ops.ones(shape, dtype) * self.factor

    def get_config(self):
        return {"factor": self.factor}


class Penalty(rv.regularizers.Regularizer):
    def __call__(self, x):
        return rv.ops.sum(x * x)

    def get_config(self):
        return {}


class Clipped(rv.constraints.Constraint):
    def __call__(self, w):
        return rv.ops.clip(w, -1, 1)


class Tripled(layers.Layer):
    def call(self, x):
        return x * 3


OBJECTS = {
    "bent": (bent, lambda: layers.Dense(3, activation=bent)), "a layer's bent": (bent, lambda: layers.Activation(bent)),
    "Lambda": (bent, lambda: layers.Lambda(bent)), "twos": (twos, lambda: layers.Dense(3, kernel_initializer=twos)),
    "Filled": (Filled, lambda: layers.Dense(3, kernel_initializer=Filled(2.0))), "Tripled": (Tripled, Tripled),
    "Penalty": (Penalty, lambda: layers.Dense(3, kernel_regularizer=Penalty(), activity_regularizer=Penalty())),
    "Clipped": (Clipped, lambda: layers.Dense(3, kernel_constraint=Clipped())),
}  # fmt: skip


@pytest.mark.parametrize("ending", ["keras", "h5", "ranvier"])
@pytest.mark.parametrize("name", OBJECTS)
def test_what_is_not_registered_is_given_where_it_is_loaded(name, ending, tmp_path):
    own, make = OBJECTS[name]
    known = {own.__name__: own}
    model = rv.Sequential([rv.Input((4,)), make()])
    path = tmp_path / f"a.{ending}"
    model.save(path)
    again = rv.load_model(path, custom_objects=known)
    np.testing.assert_array_equal(again(X), model(X))
    assert sum(again.losses) == sum(model.losses)
    with rv.saving.custom_object_scope(known):
        np.testing.assert_array_equal(rv.load_model(path)(X), model(X))
    with pytest.raises(CheckpointError, match=rf"{own.__name__}.*custom_objects="):
        rv.load_model(path)
    assert rv.saving.model_from_json(model.to_json(), custom_objects=known).output_shape == model.output_shape


def test_a_network_is_made_of_its_config_and_what_is_given():
    start = rv.Input((4,))
    model = rv.Model(start, layers.Dense(3, bent)(start))
    assert rv.Model.from_config(model.get_config(), custom_objects={"bent": bent}).layers[1].activation is bent


def test_functions_that_a_file_would_confuse_are_refused(tmp_path):
    def relu(x):
        return x

    for function, said in ((relu, "'relu' is the library's"), (lambda x: x, "Write a function with a name")):
        with pytest.raises(TypeError, match=said):
            rv.Sequential([rv.Input((4,)), layers.Dense(3, function)]).save(tmp_path / "a.keras")
