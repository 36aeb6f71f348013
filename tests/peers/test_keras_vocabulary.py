"""Expressions of Keras's vocabulary whose results differed: each as Keras computes it."""

import collections
import functools
from typing import Any, NamedTuple

import numpy as np
import pytest

import ranvier as rv

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")]


X = np.float32([[-1, 0, 0.5, 1, 2, 7]])


def whole_weight(k: Any) -> Any:
    return np.asarray(k.layers.Layer().add_weight(shape=(3,), dtype="int32", trainable=False))


def weights_of_given_statistics(k: Any) -> Any:
    layer = k.layers.Normalization(mean=[1.0, 2.0], variance=[4.0, 9.0])
    return np.array([*np.asarray(layer(np.float32([[3, 5]])))[0], len(layer.weights), layer.count_params()])


def iterated(k: Any) -> Any:
    class Batches(k.utils.PyDataset):  # type: ignore[misc]  # of either library
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return np.full(2, index)

    return np.array(list(Batches()))


def names_of_losses(k: Any) -> Any:
    model = k.Sequential([k.Input((2,)), k.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=[k.losses.MeanSquaredError(name="my_mse"), k.losses.MeanAbsoluteError()])
    history = model.fit(np.ones((4, 2)), np.ones(4), validation_split=0.5, verbose=0).history
    return np.array(sorted(history))


class Point(NamedTuple):
    x: Any
    y: Any


TREES = [
    {"b": [1, 2], "a": (3, None)}, collections.OrderedDict(b=1, a=2), Point(1, [2, 3]), [], 5, None, {"k": {"c": 1, "a": Point(1, 2)}},
]  # fmt: skip


def trees(k: Any) -> Any:
    found: list[Any] = []
    for tree in TREES:
        found += [
            getattr(k.tree, name)(tree) for name in ("flatten", "flatten_with_path", "is_nested", "lists_to_tuples")
        ]
        found += [k.tree.map_structure(str, tree), k.tree.pack_sequence_as(tree, range(len(k.tree.flatten(tree))))]
        found += [k.tree.traverse(found.append, tree), k.tree.traverse(found.append, tree, top_down=False)]
    return np.array([ord(c) for c in repr(found)])


def spectral(k: Any) -> Any:
    layer = k.layers.SpectralNormalization(k.layers.Dense(3, activation="tanh"), power_iterations=3)
    layer.build((None, 4))
    rng = np.random.default_rng(0)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
    x = np.float32(rng.normal(size=(2, 4)))
    outputs = [layer(x, training=training) for training in (False, True, True, False)]
    return np.concatenate([np.ravel(np.asarray(w)) for w in (*outputs, *layer.get_weights())])


def limits(k: Any) -> Any:
    model = k.Sequential([k.Input((2,)), k.layers.Dense(1)])
    model.compile("sgd", "mse")
    k.config.set_max_epochs(2)
    k.config.set_max_steps_per_epoch(1)
    try:
        epochs = len(model.fit(np.ones((4, 2)), np.ones(4), epochs=3, batch_size=1, verbose=0).epoch)
        return np.array([epochs, len(model.predict(np.ones((4, 2)), batch_size=1, verbose=0))])
    finally:
        k.config.set_max_epochs(None)
        k.config.set_max_steps_per_epoch(None)


def own_gradient(k: Any) -> Any:
    @k.ops.custom_gradient
    def log1pexp(x):
        e = k.ops.exp(x)
        return k.ops.log(1 + e), lambda *args, upstream: k.ops.multiply(upstream, 1 - 1 / k.ops.add(1, e))

    return log1pexp(k.ops.convert_to_tensor(X))


def joined(*arrays: Any) -> Any:
    return np.concatenate([np.ravel(np.asarray(a)).astype(np.float64) for a in arrays])


PICTURES = np.random.default_rng(3).normal(size=(2, 6, 6, 3)).astype(np.float32)
VOLUMES = np.random.default_rng(6).normal(size=(2, 3, 4, 6, 3)).astype(np.float32)
MATRIX = np.random.default_rng(4).normal(size=(4, 4)).astype(np.float32) + 4 * np.eye(4, dtype=np.float32)
RIGHT = np.random.default_rng(5).normal(size=(4, 3)).astype(np.float32)
SOME = np.array([3, 1, 2, 1, 3, 2], np.int32)

ROWS = {
    "a gradient of its own": own_gradient,
    "jvp": lambda k: joined(*k.ops.jvp(lambda a, b: k.ops.sin(a) * b, (RIGHT, RIGHT + 1), (RIGHT * 0 + 1, RIGHT * 2))),
    "vectorize": lambda k: joined(k.ops.vectorize(lambda a, b: a + b * 2)(RIGHT, 2.0),
        k.ops.vectorize(k.ops.matmul, signature="(m,n),(n)->(m)")(np.stack([MATRIX, MATRIX * 2]), RIGHT[:, 0])),
    "associative_scan": lambda k: joined(k.ops.associative_scan(lambda x, y: x * y, RIGHT, axis=1, reverse=True),
        *k.ops.associative_scan(lambda x, y: [x[0] * y[0], y[0] * x[1] + y[1]], [RIGHT, RIGHT * 2])),
    "rearrange": lambda k: joined(k.ops.rearrange(PICTURES, "b (h h2) (w2 w) c -> (b h2 w2) h w c", h2=2, w2=3),
        k.ops.rearrange(PICTURES, "b (h h2) w c -> b h (c h2) w", h2=2)),
    "unique": lambda k: joined(*k.ops.unique(SOME, return_index=True, return_inverse=True, return_counts=True),
        *k.ops.unique(SOME, size=5, fill_value=-1, return_counts=True), k.ops.unique(SOME[[0, 1, 0]].reshape(3, 1), axis=0)),
    "unfold and fold": lambda k: joined(k.ops.unfold(PICTURES, (2, 3), 1, 1, 2), k.ops.fold(k.ops.unfold(PICTURES, 3), (6, 3), 3)),
    "patches": lambda k: joined(k.ops.image.extract_patches_3d(VOLUMES, (2, 3, 2)),
        k.ops.image.extract_patches_3d(VOLUMES[0], 2, strides=1, padding="same"), k.ops.image.extract_patches(PICTURES, 3, strides=2, padding="same")),
    "scale_and_translate": lambda k: joined(*(k.ops.image.scale_and_translate(
        PICTURES, (2, 8, 5, 3), np.float32([1.5, 0.7]), np.float32([0.3, -1]), (1, 2), m, antialias=m != "cubic") for m in ("linear", "cubic", "lanczos3"))),
    "linear systems": lambda k: joined(k.ops.lstsq(MATRIX[:, :3], RIGHT), k.ops.lstsq(MATRIX[:, :3], RIGHT[:, 0]),
        k.ops.solve_triangular(MATRIX, RIGHT), k.ops.linalg.solve_triangular(MATRIX, RIGHT[:, 0], lower=True),
        *k.ops.lu_factor(MATRIX), k.ops.cholesky_inverse(np.tril(MATRIX))),
    "real numbers": lambda k: joined(k.ops.real(X), k.ops.imag(X), k.ops.conj(X), k.ops.isreal(X), k.ops.angle(X),
        k.ops.imag(np.float32([np.inf, np.nan]))),
    "trees": trees,
    "SpectralNormalization": spectral,
    "limits of epochs and steps": limits,
    "policies": lambda k: np.array([len(repr(k.DTypePolicy("float64"))), len(k.layers.Dense(2, dtype="float64").dtype_policy.name)]),
    "activations": lambda k: np.stack([np.asarray(getattr(k.activations, name)(X, *more)) for name, *more in (
        ("threshold", 0.7, -1.0), ("sparse_plus",), ("sparse_sigmoid",))]),
    "glu": lambda k: k.activations.glu(X),
    "generalized cross entropy": lambda k: k.losses.CategoricalGeneralizedCrossEntropy(0.3)(np.array([0, 1]), np.float32([[0.7, 0.3], [0.2, 0.8]])),
    "add_weight of whole numbers": whole_weight,
    "round of whole numbers": lambda k: k.ops.round(np.array([14, 15, 25, -15, 149], np.int32), -1),
    "round to hundreds": lambda k: k.ops.round(np.array([14, 50, 150, -151], np.int32), decimals=-2),
    "the names of losses as metrics": names_of_losses,
    "iterating a PyDataset": iterated,
    "ReLU from a threshold": lambda k: k.layers.ReLU(threshold=1.0)(X),
    "ReLU of all arguments": lambda k: k.layers.ReLU(max_value=3.0, negative_slope=0.1, threshold=1.0)(X),
    "the batch of compute_output_shape": lambda k: k.layers.Flatten().compute_output_shape((3, 4, 2)),
    "the batch of several inputs": lambda k: k.layers.Concatenate().compute_output_shape([(3, 4), (3, 2)]),
    "weights of Normalization(mean=, variance=)": weights_of_given_statistics,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Limiting:UserWarning")  # Keras's
@pytest.mark.parametrize("name", ROWS)
def test_as_keras(name, keras):
    ours, theirs = (ROWS[name](library) for library in (rv, keras))
    assert np.asarray(ours).dtype == np.asarray(theirs).dtype
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    compare = np.testing.assert_array_equal if np.asarray(ours).dtype.kind in "iU" else close
    compare(np.asarray(ours), np.asarray(theirs))
