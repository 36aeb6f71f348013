"""Expressions of Keras's vocabulary whose results differed: each as Keras computes it."""

from typing import Any

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


ROWS = {
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


@pytest.mark.parametrize("name", ROWS)
def test_as_keras(name, keras):
    ours, theirs = (ROWS[name](library) for library in (rv, keras))
    assert np.asarray(ours).dtype == np.asarray(theirs).dtype
    compare = np.testing.assert_array_equal if np.asarray(ours).dtype.kind in "iU" else np.testing.assert_allclose
    compare(np.asarray(ours), np.asarray(theirs))
