"""What the examples of Keras use: ops.image, extents of the batch in operations, older names of arguments."""

import numpy as np
import pytest

import ranvier as rv
from ranvier.ops import image

X = np.random.default_rng(0).random((2, 9, 8, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def _reference():
    rv.set_engine("reference")
    yield
    rv.set_engine(None)


def patches(x, size, strides, dilation, same):
    """By loops, as the definition says."""
    n, height, width, channels = x.shape
    reach = dilation * (size - 1) + 1
    count = [-(-d // strides) if same else (d - reach) // strides + 1 for d in (height, width)]
    extra = [max((c - 1) * strides + reach - d, 0) if same else 0 for c, d in zip(count, (height, width), strict=True)]
    x = np.pad(x, ((0, 0), *((e // 2, e - e // 2) for e in extra), (0, 0)))
    found = np.empty((n, *count, size, size, channels), x.dtype)
    for i in range(count[0]):
        for j in range(count[1]):
            rows, columns = i * strides + dilation * np.arange(size), j * strides + dilation * np.arange(size)
            found[:, i, j] = x[:, rows][:, :, columns]
    return found.reshape(n, *count, -1)


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize(("size", "strides", "dilation"), [(3, 3, 1), (2, 1, 2), (4, 3, 1)])
def test_patches(size, strides, dilation, same):
    padding = "same" if same else "valid"
    found = image.extract_patches(X, size, strides, dilation, padding)
    assert np.array_equal(found, patches(X, size, strides, dilation, same))
    first = image.extract_patches(np.moveaxis(X, -1, 1), size, strides, dilation, padding, "channels_first")
    assert np.array_equal(np.moveaxis(np.asarray(first), 1, -1), found)


def test_sizes():
    for options in ({}, {"interpolation": "nearest"}, {"antialias": True}):
        assert np.array_equal(image.resize(X[0], (5, 12), **options), rv.layers.Resizing(5, 12, **options)(X[:1])[0])
    assert np.allclose(image.rgb_to_grayscale(X), X @ np.array([[0.2989], [0.587], [0.114]], np.float32))
    assert np.array_equal(
        image.pad_images(X, 1, 2, target_height=12, right_padding=0), np.pad(X, ((0, 0), (1, 2), (2, 0), (0, 0)))
    )
    assert np.array_equal(image.crop_images(X[1], 1, 2, 3, target_width=4), X[1, 1:6, 2:6])


def test_a_model_records_and_stores_them(tmp_path):
    x = rv.Input((8, 8, 3))
    model = rv.Model(x, image.extract_patches(x, 4))
    model.save(tmp_path / "model.ranvier")
    again = rv.load_model(tmp_path / "model.ranvier")
    assert (model.output_shape, model.layers[-1].name) == ((None, 2, 2, 48), "extract_patches")
    assert np.array_equal(again.predict(X[:, :8], verbose=0), patches(X[:, :8], 4, 4, 1, False))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: image.extract_patches(X, 10), "do not fit"),
        (lambda: image.pad_images(X, 1, 1, 1), "two of the amount before"),
        (lambda: image.crop_images(X, 1, 1, target_height=20, target_width=3), "does not become 20"),
        (lambda: image.resize(X, (2, 2), crop_to_aspect_ratio=True), r"layers\.Resizing"),
        (lambda: image.resize(X[0, 0], (2, 2)), r"Write \(h, w, c\)"),
    ],
)
def test_what_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_a_function_wrapped_as_a_metric_is_the_function():
    def distance(y_true, y_pred, power=1.0):
        return rv.ops.mean(rv.ops.abs(y_true - y_pred) ** power, axis=-1)

    x, y = X.reshape(2, -1), np.ones((2, 1), np.float32)
    model = rv.Sequential([rv.Input((x.shape[1],)), rv.layers.Dense(1)])
    wrapped = rv.metrics.MeanMetricWrapper(distance, "squares", power=2.0)
    model.compile("sgd", "mse", metrics=[rv.metrics.MeanMetricWrapper(distance, name="own"), distance, wrapped])
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    assert found["own"] == pytest.approx(found["distance"], rel=1e-6)
    assert found["squares"] == pytest.approx(found["loss"], rel=1e-6)


def test_older_arguments_of_keras():
    assert rv.layers.LeakyReLU(alpha=0.2).negative_slope == 0.2
    assert "input_length" not in rv.layers.Embedding(5, 2, input_length=4).config()
    variable = rv.Variable(np.ones(3), trainable=False)
    assert variable.trainable is False
    variable.trainable = True
    assert variable.requires_grad
    norm = rv.layers.BatchNormalization(input_shape=(2,))
    norm.build((None, 2))
    assert [w.trainable for w in norm.weights] == [True, True, False, False]


BATCHES = {
    "tile": lambda x, batch: rv.ops.tile(rv.ops.ones((1, 3)), (batch, 2)),
    "a tensor of extents": lambda x, batch: rv.ops.tile(
        rv.ops.ones((1, 3)), rv.ops.concatenate([rv.ops.expand_dims(batch, -1), rv.ops.convert_to_tensor([2])], 0)
    ),
    "repeat": lambda x, batch: rv.ops.repeat(rv.ops.ones((1, 6)), batch, axis=0),
    "cast": lambda x, batch: x * 0 + rv.ops.cast(batch, "float32") / rv.ops.cast(batch, x.dtype),
}


@pytest.mark.parametrize("name", BATCHES)
def test_the_extent_of_the_batch_in_operations(name):
    """As the layers of Keras's examples compute masks and positions for each sample."""

    class Own(rv.layers.Layer):
        def call(self, x):
            return BATCHES[name](x, rv.ops.shape(x)[0])

    x = rv.Input((6,))
    assert np.array_equal(rv.Model(x, Own()(x)).predict(np.zeros((5, 6)), verbose=0), np.ones((5, 6)))


def test_the_batch_may_be_a_part_of_another_extent():
    x = rv.Input((4, 4))
    joined = rv.ops.reshape(x, (-1, 2))
    assert joined.shape == (None, 2)
    assert rv.Model(x, joined).predict(np.zeros((5, 4, 4)), verbose=0).shape == (40, 2)


def test_a_tile_by_the_number_of_rows_is_open():
    class Own(rv.layers.Layer):
        def call(self, x):
            return rv.ops.tile(x, [1, rv.ops.shape(x)[0]])

    x, given = rv.Input((3,)), np.arange(12, dtype=np.float32).reshape(4, 3)
    tiled = Own()(x)
    assert tiled.shape == (None, None)
    np.testing.assert_array_equal(rv.Model(x, tiled).predict(given, verbose=0), np.tile(given, 4))


def test_targets_of_the_one_output_with_a_loss():
    x = rv.Input((3,))
    hidden = rv.layers.Dense(2, activation="tanh")(x)
    model = rv.Model(x, [rv.layers.Dense(1)(hidden), hidden])
    model.compile("sgd", loss=["mse", None])
    model.fit(np.ones((4, 3)), np.arange(4.0), verbose=0)
    model.compile("sgd", loss=["mse", "mse"])
    with pytest.raises(TypeError, match="the model has 2 outputs"):
        model.fit(np.ones((4, 3)), np.arange(4.0), verbose=0)
