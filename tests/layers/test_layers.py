"""Layers of the Keras vocabulary: a row each for value, shape, gradient, file; what dropout drops; what is refused."""

import json
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import layers
from ranvier.graph.node import BATCH, Type
from ranvier.layers.text import TextLayer
from ranvier.module import from_architecture
from ranvier.tensor.tensor import Tensor
from tests.layers.attention_rows import ATTENTIONS, LISTS
from tests.layers.attention_rows import ROWS as ATTENTION_ROWS
from tests.layers.augmentation_rows import ROWS as AUGMENTED_ROWS
from tests.layers.image_rows import MERGES
from tests.layers.image_rows import ROWS as IMAGES_ROWS
from tests.layers.recurrent_rows import ROWS as RECURRENT_ROWS
from tests.layers.signal_rows import ROWS as SIGNAL_ROWS

X = np.array([[-2.0, -0.5, 0.0, 0.5], [3.0, 1.0, -1.0, 2.0], [0.1, -0.2, 0.3, -4.0]], np.float32)
IMAGES = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)


def kernel(layer, x):
    return x @ layer.kernel.numpy() + (0 if layer.bias is None else layer.bias.numpy())


def leaky(slope):
    return lambda layer, x: np.where(x > 0, x, slope * x)


def softmax(layer, x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def whitened(x, axis, epsilon=1e-3):
    return (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + epsilon)


PENALTIES: dict[str, Any] = {
    "kernel_regularizer": "l2", "bias_regularizer": "l1", "activity_regularizer": "l1_l2", "kernel_constraint": "max_norm",
}  # fmt: skip

LABELLED = np.array([[0, 3, 3], [1, 1, 1], [4, 0, 2]], np.int32)


# name: (layer, input, value by NumPy)
class Specified(layers.Layer):
    def __init__(self):
        super().__init__()
        self.input_spec = rv.InputSpec(shape=(None, 28, 28, 1), allow_last_axis_squeeze=True)

    def call(self, x):
        return x


ROWS = {
    "spectral": (lambda: layers.SpectralNormalization(layers.Dense(3)), X, lambda m, x: kernel(m.layer, x)),
    "integer lookup": (
        lambda: layers.IntegerLookup(vocabulary=[4, 3], num_oov_indices=2, mask_token=1, output_mode="count"), LABELLED,
        lambda m, x: np.array([[1, 0, 0, 2], [0, 0, 0, 0], [2, 0, 1, 0]]),
    ),
    "discretization": (
        lambda: layers.Discretization([-0.5, 1], output_mode="one_hot"), X,
        lambda m, x: np.eye(3)[np.digitize(x, [-0.5, 1])],
    ),
    "dense": (lambda: layers.Dense(3), X, kernel),
    "dense, relu": (lambda: layers.Dense(3, activation="relu"), X, lambda m, x: np.maximum(kernel(m, x), 0)),
    "dense, no bias": (lambda: layers.Dense(3, use_bias=False), X, kernel),
    "dense, a function": (lambda: layers.Dense(3, rv.activations.tanh), X, lambda m, x: np.tanh(kernel(m, x))),
    "dense, 3-d": (lambda: layers.Dense(5), X.reshape(3, 2, 2), kernel),
    "dense, bias ones": (lambda: layers.Dense(3, bias_initializer="ones"), X, kernel),
    "dense, bytes": (lambda: layers.Dense(3), IMAGES.reshape(3, 4), kernel),
    "activation": (lambda: layers.Activation("tanh"), X, lambda m, x: np.tanh(x)),
    "relu": (layers.ReLU, X, lambda m, x: np.maximum(x, 0)),
    "relu, capped": (lambda: layers.ReLU(max_value=2.0), X, lambda m, x: np.clip(x, 0, 2)),
    "relu, leaky": (
        lambda: layers.ReLU(negative_slope=0.1, threshold=0.4), X, lambda m, x: np.where(x < 0.4, 0.1 * (x - 0.4), x),
    ),
    "relu, from a threshold": (
        lambda: layers.ReLU(threshold=1.0), np.float32([[-np.inf, 0, 1, 2]]), lambda m, x: np.where(x > 1, x, 0),
    ),
    "leaky relu": (layers.LeakyReLU, X, leaky(0.3)),
    "elu": (lambda: layers.ELU(0.5), X, lambda m, x: np.where(x > 0, x, 0.5 * np.expm1(x))),
    "softmax": (layers.Softmax, X, softmax),
    "flatten": (layers.Flatten, X.reshape(3, 2, 2), lambda m, x: x.reshape(3, 4)),
    "flatten, 1-d": (layers.Flatten, X[0], lambda m, x: x.reshape(4, 1)),
    "flatten, 2-d": (layers.Flatten, X, lambda m, x: x),
    "rescaling": (lambda: layers.Rescaling(1 / 255, 0.5), IMAGES, lambda m, x: x / 255 + 0.5),
    "rescaling, each channel": (
        lambda: layers.Rescaling([1.0, 2.0, 0.5, -1.0], [0.0, 1.0, 0.0, 2.0]), X,
        lambda m, x: x * [1, 2, 0.5, -1] + [0, 1, 0, 2],
    ),
    "identity": (layers.Identity, X, lambda m, x: x),
    "prelu": (lambda: layers.PReLU("ones"), X, lambda m, x: np.maximum(x, 0) + m.get_weights()[0] * np.minimum(x, 0)),
    "prelu, shared": (
        lambda: layers.PReLU("he_normal", shared_axes=[1]), X.reshape(3, 2, 2),
        lambda m, x: np.maximum(x, 0) + m.get_weights()[0] * np.minimum(x, 0),
    ),
    "masking": (lambda: layers.Masking(1.0), X, lambda m, x: x * (x != 1).any(-1, keepdims=True)),
    "wrapper": (lambda: layers.Wrapper(layers.Dense(2)), X, lambda m, x: m.layer(x).numpy()),
    "steps": (lambda: layers.TimeDistributed(layers.Flatten()), X.reshape(3, 2, 2, 1), lambda m, x: x[..., 0]),
    "steps, dense": (lambda: layers.TimeDistributed(layers.Dense(2)), X.reshape(3, 2, 2), lambda m, x: m.layer(x).numpy()),
    "reversible": (
        lambda: layers.ReversibleEmbedding(7, 2, mask_zero=True), np.arange(6, dtype=np.int32).reshape(3, 2),
        lambda m, x: m.get_weights()[0][x.astype(int)],
    ),
    "embedding": (lambda: layers.Embedding(7, 2), np.arange(6, dtype=np.int32).reshape(3, 2), lambda m, x: m.get_weights()[0][x.astype(int)]),
    "category encoding": (
        lambda: layers.CategoryEncoding(5), LABELLED, lambda m, x: (x.astype(int)[..., None] == np.arange(5)).max(-2)),
    "category encoding, counts": (
        lambda: layers.CategoryEncoding(5, "count"), LABELLED, lambda m, x: (x.astype(int)[..., None] == np.arange(5)).sum(-2)),
    "category encoding, one hot": (
        lambda: layers.CategoryEncoding(5, output_mode="one_hot"), LABELLED[:, :1], lambda m, x: np.eye(5)[x[:, 0].astype(int)]),
    "dropout, inferring": (lambda: layers.Dropout(0.5), X, lambda m, x: x),
    "dropout of features, inferring": (lambda: layers.Dropout(0.5, (None, 1)), X, lambda m, x: x),
    "spatial dropout 1, inferring": (lambda: layers.SpatialDropout1D(0.5), X.reshape(3, 2, 2), lambda m, x: x),
    "spatial dropout 2, inferring": (lambda: layers.SpatialDropout2D(0.5), X.reshape(3, 2, 2, 1), lambda m, x: x),
    "spatial dropout 3, inferring": (lambda: layers.SpatialDropout3D(0.5), X.reshape(3, 1, 2, 2, 1), lambda m, x: x),
    "alpha dropout, inferring": (lambda: layers.AlphaDropout(0.5), X, lambda m, x: x),
    "gaussian dropout, inferring": (lambda: layers.GaussianDropout(0.5), X, lambda m, x: x),
    "gaussian noise, inferring": (lambda: layers.GaussianNoise(0.5), X, lambda m, x: x),
    "activity": (lambda: layers.ActivityRegularization(0.1, 0.2), X, lambda m, x: x),
    "dense, penalties": (lambda: layers.Dense(3, **PENALTIES), X, kernel),
    "batch norm, inferring": (
        lambda: layers.BatchNormalization(moving_mean_initializer=1.5, moving_variance_initializer=3.0), X,
        lambda m, x: (x - 1.5) / np.sqrt(3.001),
    ),
    "batch norm, 3-d, axis 1": (
        lambda: layers.BatchNormalization(1, scale=False, center=False, moving_mean_initializer=1.0), X.reshape(3, 2, 2),
        lambda m, x: (x - 1) / np.sqrt(1.001),
    ),
    "layer norm": (lambda: layers.LayerNormalization(gamma_initializer=2.0), X, lambda m, x: 2 * whitened(x, -1)),
    "layer norm, two axes": (
        lambda: layers.LayerNormalization((1, 2), epsilon=0.1), X.reshape(3, 2, 2), lambda m, x: whitened(x, (1, 2), 0.1),
    ),
    "input": (lambda: layers.Input((4,)), X, lambda m, x: x),
    **IMAGES_ROWS,
    **AUGMENTED_ROWS,
    **SIGNAL_ROWS,
    **ATTENTION_ROWS,
    **RECURRENT_ROWS,
}  # fmt: skip


@pytest.fixture(params=ROWS)
def row(request):
    make, x, value = ROWS[request.param]
    return make(), x, value


def test_value(row, engine):
    layer, x, value = row
    got = layer(x).numpy()
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, value(layer, x), rtol=1e-5, atol=1e-6)


def test_shape_by_tracing_is_the_shape_of_the_value(row):
    layer, x, _ = row
    shape = layer(x).shape
    traced = layer.trace(Type((BATCH, *x.shape[1:]), x.dtype.name))
    assert traced.shape == (BATCH, *shape[1:])


def test_float64_where_asked(row, float64):
    layer, x, value = row
    got = layer(x.astype(np.float64)).numpy()
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, value(layer, x.astype(np.float64)), rtol=1e-12, atol=1e-14)


def test_gradient_by_finite_differences(row, float64):
    layer, x, _ = row
    x = x.astype(np.float64) + 0.013  # away from kinks
    rng = np.random.default_rng(0)
    direction = rng.standard_normal(layer(x).shape)
    leaf = Tensor(x, requires_grad=True)
    total = (layer(leaf) * direction).sum()
    if total.requires_grad:  # else it is nothing but indices, and the numbers below are 0
        total.backward()
    targets = [leaf, *layer.parameters()]
    for target in targets:
        step = rng.standard_normal(target.shape)
        base = target.numpy()
        values = []
        for size in (1e-6, -1e-6):
            target.assign(base + size * step)
            values.append((layer(leaf) * direction).sum().item())
        target.assign(base)
        numeric = (values[0] - values[1]) / 2e-6
        found = 0.0 if target.grad is None else (target.grad.numpy() * step).sum()  # none reaches an index
        assert np.isclose(found, numeric, rtol=1e-6, atol=1e-8)


def test_through_a_file(row):
    layer, x, _ = row
    before = layer(x).numpy()
    twin = from_architecture(json.loads(json.dumps(layer.architecture())))
    twin.load_state_dict(layer.state_dict())
    twin.train(layer.training)
    assert np.array_equal(twin(x).numpy(), before)


def test_every_exported_layer_has_a_row():
    tested = {
        type(make()).__name__ for make, *_ in (*ROWS.values(), *MERGES.values(), *ATTENTIONS.values(), *LISTS.values())
    }
    shown = [getattr(layers, name) for name in layers.__all__]
    numeric = [value for value in shown if isinstance(value, type) and not issubclass(value, TextLayer)]
    classes = {value.__name__ for value in numeric}  # without their other names
    cells = {"GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells"}  # in layers of the other rows
    others = {"Layer", "MixUp", "CutMix", "Lambda", "HashedCrossing", "ConvLSTM1D", "ConvLSTM3D", "InputSpec"}
    assert tested == classes - cells - others


# --- initial values -----------------------------------------------------------------------------------------------


def test_dense_starts_as_keras_does():
    rv.set_seed(0)
    layer = layers.Dense(50)
    layer(np.zeros((1, 100), np.float32))
    bound = np.sqrt(6 / 150)
    values = layer.kernel.numpy()
    assert np.abs(values).max() <= bound
    assert values.std() == pytest.approx(bound / np.sqrt(3), rel=0.05)
    assert not layer.get_weights()[1].any()
    rv.set_seed(0)
    again = layers.Dense(50)
    again(np.zeros((1, 100), np.float32))
    assert np.array_equal(again.kernel.numpy(), values)


# --- dropout ------------------------------------------------------------------------------------------------------


def test_dropout_drops_its_share_and_keeps_the_mean():
    rv.set_seed(1)
    layer = layers.Dropout(0.25)
    ones = np.ones((200, 50), np.float32)
    first, second = (layer(ones, training=True).numpy() for _ in range(2))
    assert set(np.unique(first)) == {0.0, np.float32(1 / 0.75)}
    assert (first == 0).mean() == pytest.approx(0.25, abs=0.02)
    assert (first != second).any(), "each call drops others"
    rv.set_seed(1)
    assert np.array_equal(layers.Dropout(0.25)(ones, training=True).numpy(), first)


def test_dropout_compiles_once():
    from ranvier.tensor import trace

    layer, ones = layers.Dropout(0.5), np.ones((7, 11), np.float32)
    layer.train()
    layer(ones).numpy()
    before = len(trace.programs)
    for _ in range(5):
        layer(ones).numpy()
    assert len(trace.programs) == before


def test_the_gradient_passes_where_dropout_kept():
    layer = layers.Dropout(0.5)
    x = Tensor(np.ones((4, 8)), requires_grad=True)
    y = layer(x, training=True)
    y.sum().backward()
    assert np.array_equal(x.grad.numpy(), y.numpy())


HALF: Any = 2.5
WORD: Any = "half"

# --- what is refused ----------------------------------------------------------------------------------------------


class Elsewhere:
    """A symbolic value of another library."""

    shape, dtype = (None, 4), "float32"

    def __array__(self, dtype=None, copy=None):
        raise ValueError("symbolic")


class Frame(Elsewhere):
    columns = ("a", "b")

    def __array__(self, dtype=None, copy=None):
        return np.ones((3, 2))


def built(layer):
    layer.build((None, 4))
    return layer


def test_a_frame_is_read_in_a_call():
    layer = layers.Dense(2)
    np.testing.assert_array_equal(layer(Frame()).numpy(), layer(np.ones((3, 2))).numpy())
    np.testing.assert_array_equal(rv.Sequential([layer])(Frame()).numpy(), layer(np.ones((3, 2))).numpy())


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: layers.Dense(0), ValueError, "units of layer 'dense.*is 0"),
        (lambda: layers.Dense(HALF), ValueError, "units"),
        (lambda: layers.Dense(True), ValueError, "units"),
        (lambda: layers.Dense(2, activaton="relu"), TypeError, "Dense has no argument 'activaton'. Write activation="),
        (lambda: layers.Dense(2, inputshape=(3,)), TypeError, "Write input_shape="),
        (lambda: layers.Dense(2, activation="rellu"), ValueError, "relu"),
        (lambda: layers.Dense(2, kernel_initializer="glorot"), ValueError, "glorot"),
        (lambda: layers.Dense(2, input_shape=(-3,)), ValueError, "without the batch"),
        (lambda: layers.Dense(2, input_shape=(3,), dtype="float16"), ValueError, "float16"),
        (lambda: layers.Dense(2, dtype="flaot32"), ValueError, "dtype 'flaot32'. Write one of float32, float64"),
        (
            lambda: rv.mixed_precision.set_global_policy("mixed_float16"),
            ValueError,
            "Write 'float32', or leave the policy",
        ),
        (lambda: layers.SpectralNormalization(layers.Flatten())(X), ValueError, "neither kernel nor embeddings"),
        (lambda: Specified()(X), ValueError, r"'specified' was given float32 of shape .* asks for 4 dimensions"),
        (lambda: layers.Flatten(dtype="mixed_float16"), ValueError, "no half floats: write dtype='float32'"),
        (lambda: layers.Input((3,), batch_shape=(None, 3)), ValueError, "Write one of them"),
        (
            lambda: layers.Embedding(3, 2, weights=[np.ones((2, 2))])(LABELLED),
            ValueError,
            r"\(3, 2\) and was given \(2, 2\)",
        ),
        (
            lambda: layers.ReLU(max_value=-1),
            ValueError,
            "max_value of layer 're_lu.*' is -1. Write a number of 0 or more",
        ),
        (lambda: layers.LeakyReLU(None), ValueError, "negative_slope .* is None. Write a number"),
        (lambda: layers.Cropping1D((1,)), ValueError, "Write one number, or before and after"),
        (lambda: layers.Dense(2, layers.LeakyReLU), TypeError, r"LeakyReLU is a class. Write LeakyReLU\(\) instead"),
        (lambda: layers.Activation(np.maximum), TypeError, "with rv.ops.maximum"),
        (
            lambda: layers.Dense(2, lambda x: np.maximum(x, 0))(layers.Input((3,))),
            RuntimeError,
            "Write tensor functions .rv.ops",
        ),
        (lambda: layers.Dense(2)(5), TypeError, "'dense.*' was called on 5.*Write a tensor or an array"),
        (lambda: built(layers.Dense(2))(5), TypeError, "was called on 5"),
        (lambda: layers.Dense(2)(Elsewhere()), TypeError, "was called on a Elsewhere of tests.*Write"),
        (
            lambda: rv.Sequential([rv.Input((4,)), layers.MixUp()]),
            TypeError,
            r"Write fit\(x, y, augment=rv.layers.MixUp",
        ),
        (lambda: layers.CutMix()(IMAGES), TypeError, r"augment=rv.layers.CutMix"),
        (lambda: layers.Dropout(1.5), ValueError, "rate of layer 'dropout"),
        (lambda: layers.Dropout(WORD), ValueError, "rate"),
        (layers.Input, ValueError, "needs a shape"),
        (lambda: layers.Dense(2)(np.zeros(3, np.float32)), ValueError, r"reshape\(-1, 1\)"),
        (lambda: layers.Dens, AttributeError, "nearest that does is Dense"),
        (lambda: layers.Conv2d, AttributeError, "layers.Conv2d does not exist. The nearest that does is Conv2D"),
        (lambda: rv.Sequental, AttributeError, "Sequential"),
        (lambda: rv.set_sed, AttributeError, "set_seed"),
    ],
)
def test_mistakes_name_the_fix(make, error, said):
    with pytest.raises(error, match=said):
        make()


def test_counts_of_categories_may_be_weighted():
    weights = np.array([[0.5, 1, 2], [1, 1, 1], [0, 3, 0.25]], np.float32)
    found = layers.CategoryEncoding(5, "count")(LABELLED, count_weights=rv.Tensor(weights)).numpy()
    np.testing.assert_allclose(found, [[0.5, 0, 0, 3, 0], [0, 3, 0, 0, 0], [3, 0, 0.25, 0, 0]])
    for make, words in [
        (lambda: layers.CategoryEncoding(5, "hot"), "Write one of 'one_hot'"),
        (lambda: layers.CategoryEncoding(5, sparse=True), "Leave sparse=True out"),
        (lambda: layers.CategoryEncoding(5)(LABELLED, count_weights=weights), "Write output_mode='count'"),
        (lambda: layers.CategoryEncoding(5)(LABELLED[0]), r"write \(batch, numbers\)"),
    ]:
        with pytest.raises(ValueError, match=words):
            make()


def test_weights_of_an_embedding_are_given_and_kept_as_weights():
    table = np.arange(10, dtype=np.float32).reshape(5, 2)
    layer = layers.Embedding(5, 2, weights=[table])
    np.testing.assert_array_equal(layer(LABELLED).numpy(), table[LABELLED])
    assert layer.get_config()["weights"] is None


def test_a_batch_shape_has_the_batch_too():
    assert layers.Input(batch_shape=(None, 4)).shape == (None, 4)
    assert layers.Input(batch_shape=(8, 4)).shape == (8, 4)


@pytest.mark.parametrize("shape", [(4,), lambda shapes: shapes[0]])
def test_the_output_shape_of_a_lambda_of_several_inputs(shape):
    x = np.ones((3, 4), np.float32)
    layer = layers.Lambda(lambda inputs: inputs[0] + inputs[1], output_shape=shape)
    np.testing.assert_array_equal(layer([x, x]).numpy(), 2 * x)
    with pytest.raises(ValueError, match=r"made shape \(3, 1\) of \[\(3, 4\), \(3, 4\)\]"):
        layers.Lambda(lambda inputs: inputs[0][:, :1], output_shape=shape)([x, x])


def test_a_configuration_has_every_argument():
    config = layers.Dense(3, kernel_initializer="ones").get_config()
    assert list(config)[:5] == ["name", "trainable", "units", "activation", "use_bias"]
    assert config["kernel_initializer"] == "ones"
    assert config["bias_initializer"] == "zeros"
    assert layers.Dense.from_config(config).get_config() == config


ONE, TWO = np.array([[1, 0, 1], [0, 0, 1]], bool), np.array([[0, 0, 1], [1, 0, 0]], bool)
EITHER = (ONE | TWO).tolist()
MASKS = [  # layer, masks of two inputs (2, 3, 4), the mask of the result
    *((kind(), (ONE, TWO), EITHER) for kind in (layers.Add, layers.Subtract, layers.Multiply, layers.Average)),
    (layers.Maximum(), (ONE, None), None), (layers.Minimum(), (None, None), None), (layers.Add(), None, None),
    (layers.Concatenate(), (ONE, TWO), EITHER), (layers.Concatenate(), (None, TWO), [[True] * 3] * 2),
    (layers.Concatenate(1), (ONE, TWO), np.hstack([ONE, TWO]).tolist()), (layers.Concatenate(), (None, None), None),
    (layers.Concatenate(1), (None, TWO), np.hstack([ONE | True, TWO]).tolist()), (layers.Dot(1), (ONE, TWO), None),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "masks", "wanted"), MASKS, ids=range(len(MASKS)))
def test_masks_of_merged_inputs(layer, masks, wanted):
    """As in Keras: either input's, and joined where the inputs are."""
    x = np.ones((2, 3, 4), np.float32)
    found = layer.compute_mask([x, x], masks)
    assert (found if wanted is None else found.numpy().tolist()) == wanted
    assert layer.compute_mask([rv.Input((3, 4))] * 2, [None, None]) is None


def test_masks_are_a_list_beside_a_list():
    x = np.ones((2, 3, 4), np.float32)
    for inputs, masks in ((x, [ONE, TWO]), ([x, x], ONE), ([x, x], [ONE])):
        for layer in (layers.Add(), layers.Concatenate()):
            with pytest.raises(ValueError, match=r"Write .*compute_mask\(\[a, b\], \[mask, None\]\)"):
                layer.compute_mask(inputs, masks)
