"""Objects as plain values, in Keras's form, and back."""

import json

import numpy as np
import pytest

import ranvier as rv

SPACES = ("layers", "losses", "metrics", "optimizers", "initializers", "regularizers", "constraints")


def made(space):
    """An object of each class of a module whose constructor needs no argument."""
    for name in dir(space):
        kind = getattr(space, name)
        if isinstance(kind, type) and name == kind.__name__:
            try:
                yield kind()
            except (TypeError, ValueError, NotImplementedError):  # it needs arguments
                continue


@pytest.mark.parametrize("name", SPACES)
def test_every_object_is_plain_values_and_back(name):
    space = getattr(rv, name)
    objects = list(made(space))
    assert len(objects) > 3
    for one in objects:
        again = space.deserialize(json.loads(json.dumps(space.serialize(one))))
        assert type(again) is type(one)
        assert str(again.get_config()) == str(one.get_config())


def test_containers_functions_and_models():
    dense = rv.layers.Dense(3, activation="relu", kernel_regularizer=rv.regularizers.L2(0.5))
    model = rv.Sequential([rv.Input((4,)), dense])
    given = {"a": (1, [model, None]), "b": slice(1, None, 2), "c": np.arange(3), "d": rv.losses.mean_squared_error}
    again = rv.saving.deserialize_keras_object(json.loads(json.dumps(rv.saving.serialize_keras_object(given))))
    assert again["a"][0] == 1
    assert again["a"][1][0].layers[0].get_config() == dense.get_config()
    assert again["b"] == given["b"]
    assert again["c"].tolist() == [0, 1, 2]
    assert again["d"] is rv.losses.mean_squared_error
    assert rv.activations.serialize(rv.activations.relu) == "relu"
    assert rv.activations.deserialize("relu") is rv.activations.relu
    assert rv.losses.deserialize("mse").name == "mean_squared_error"


def test_your_own_classes():
    class Half(rv.Layer):
        def call(self, x):
            return x / 2

    described = rv.saving.serialize_keras_object(Half(name="h"))
    assert described["class_name"] == "Half"
    assert rv.saving.deserialize_keras_object(described, custom_objects={"Half": Half}).name == "h"
    with pytest.raises(ValueError, match="'Half'"):
        rv.saving.deserialize_keras_object(described)
    with pytest.raises(TypeError, match="no name in files"):
        rv.saving.serialize_keras_object(lambda x: x)


def test_masks_pass_where_a_layer_says_so():
    assert rv.layers.Dropout(0.5).supports_masking
    assert not rv.layers.Flatten().supports_masking
    assert rv.layers.Dense(2).compute_mask(None, "mask") == "mask"


def test_relu_has_the_arguments_of_its_layer():
    x = np.linspace(-3, 9, 13).astype(np.float32)
    options = {"negative_slope": 0.5, "max_value": 6.0, "threshold": 1.0}
    expected = np.where(x >= 6, 6, np.where(x > 1, x, 0.5 * (x - 1)))
    np.testing.assert_allclose(rv.activations.relu(x, **options).numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(rv.layers.ReLU(**options)(x).numpy(), expected, rtol=1e-6)


def test_softmax_of_the_elements_of_a_mask():
    x, mask = np.array([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]], np.float32), np.array([[1, 1, 0], [0, 0, 0]], bool)
    found = rv.layers.Softmax()(x, mask=mask).numpy()
    np.testing.assert_allclose(found, [[1 / (1 + np.e), np.e / (1 + np.e), 0], [0, 0, 0]], rtol=1e-6)
    np.testing.assert_allclose(rv.layers.Softmax((0, 1))(x).numpy(), np.exp(x) / np.exp(x).sum(), rtol=1e-6)
    with pytest.raises(ValueError, match="mask of shape"):
        rv.layers.Softmax()(x, mask=np.ones((2, 2), bool))


def test_image_layers_take_one_image():
    image = np.random.default_rng(0).random((6, 5, 3)).astype(np.float32)
    for layer in (rv.layers.Resizing(3, 4), rv.layers.RandomRotation(0.2, seed=1)):
        np.testing.assert_array_equal(
            layer(image, training=False).numpy(), layer(image[None], training=False).numpy()[0]
        )
