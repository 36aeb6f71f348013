"""Layers of texts and categories, tables of columns and windows against Keras, which computes them by TensorFlow."""

from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import layers, utils

pytest.importorskip("tensorflow")
WORDS = np.array([["a", "b"], ["c", "a"], ["zz", "a"], ["b", "?"]])
ASKED = np.array([["a", "q"], ["c", "?"]])
NUMBERS = np.array([[3, 5], [7, 3], [99, 3], [5, -4]])
REAL = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
MODES = [{"output_mode": mode} for mode in ("one_hot", "multi_hot", "count", "tf_idf")]
PADDED = {"pad_to_max_tokens": True, "max_tokens": 9}
TEXTS = np.array(["The cat, the dog!", "a\tDOG  ran\u00a0off", "", "\u00c9t\u00e9 caf\u00e9 [UNK] cat."])
NEW_TEXTS = np.array([["the CAT saw it"], [""], ["\u00e9t\u00e9, dog"]])

UNSPLIT: list[dict[str, Any]] = [{"split": None, "output_sequence_length": n} for n in (None, 3)]
UNSPLIT += [{"split": None, **mode} for mode in MODES[1:]]

# layer, its arguments, what it adapts to (None: nothing), what it is called on
ROWS = [
    *(("StringLookup", o, WORDS, ASKED) for o in (
        {}, {"mask_token": "a"}, {"num_oov_indices": 3}, {"num_oov_indices": 3, "salt": [5, 6]}, {"max_tokens": 3}, *MODES,
        {"output_mode": "count", "mask_token": "b"}, {"output_mode": "tf_idf", **PADDED},
    )),
    *(("IntegerLookup", o, NUMBERS, NUMBERS[::-1] + 2) for o in (
        {}, {"mask_token": 3}, {"num_oov_indices": 3}, *MODES, {"output_mode": "count", "mask_token": 5},
    )),
    ("IntegerLookup", {"vocabulary": [4, 6], "invert": True}, None, np.arange(5)),
    *(("Hashing", {"num_bins": 10, **o}, None, WORDS) for o in (
        {}, {"salt": 133}, {"mask_value": "a"}, {"output_mode": "multi_hot"}, {"output_mode": "one_hot"},
    )),
    ("Hashing", {"num_bins": 10}, None, NUMBERS),
    *(("HashedCrossing", {"num_bins": 20, "output_mode": mode}, None, [WORDS[:, :1], NUMBERS[:, :1]])
      for mode in ("int", "one_hot")),
    *(("TextVectorization", o, TEXTS, NEW_TEXTS) for o in (
        {}, {"max_tokens": 4}, {"output_sequence_length": 3}, {"ngrams": 2}, {"ngrams": (3, 1)}, {"split": "character"},
        {"split": "character", "ngrams": (2,), "output_mode": "count"}, {"standardize": None}, {"standardize": "lower"},
        {"standardize": "strip_punctuation"}, {"standardize": np.char.upper}, *MODES[1:], {"output_mode": "tf_idf", **PADDED},
        {"output_mode": "count", "pad_to_max_tokens": True, "max_tokens": 30},
    )),
    *(("TextVectorization", o, WORDS, ASKED) for o in UNSPLIT),
    ("CategoryEncoding", {"num_tokens": 4, "output_mode": "count"}, None, np.arange(24).reshape(2, 3, 4) % 4),
    *(("Discretization", o, REAL, REAL) for o in ({"num_bins": 4}, {"num_bins": 7, "epsilon": 0.05})),
    *(("Discretization", {"bin_boundaries": [-1.0, 0.5], "output_mode": mode}, None, REAL) for mode in ("int", "count")),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*int64")  # JAX's, of what Keras returns
@pytest.mark.parametrize(("name", "options", "data", "x"), ROWS, ids=[f"{i} {n}" for i, (n, *_) in enumerate(ROWS)])
def test_layers_compute_as_keras_does(keras, name, options, data, x):
    theirs, ours = (getattr(where, name)(**options) for where in (keras.layers, layers))
    if data is not None:
        theirs.adapt(data)
        ours.adapt(data)
    if hasattr(ours, "get_vocabulary"):
        assert [v if isinstance(v, str) else int(v) for v in theirs.get_vocabulary()] == ours.get_vocabulary()
    np.testing.assert_allclose(ours(x).numpy(), np.asarray(theirs(x)), rtol=1e-6)


def test_a_feature_space_is_that_of_keras(keras):
    table = {
        "age": REAL[:4, 0], "job": np.array(["a", "b", "a", "c"]), "n": np.array([1, 2, 2, 7]), "r": REAL[:4, 1],
        "h": np.array(["x", "y", "z", "x"]),
    }  # fmt: skip

    def encoded(kind):
        space = kind(
            {
                "age": "float_normalized", "job": "string_categorical", "n": "integer_categorical",
                "h": kind.string_hashed(num_bins=5), "r": kind.float_discretized(num_bins=3),
            },
            crosses=[("job", "n")], crossing_dim=8,
        )  # fmt: skip
        space.adapt(table)
        return np.asarray(space(table))

    np.testing.assert_allclose(encoded(utils.FeatureSpace), encoded(keras.utils.FeatureSpace), atol=1e-6)


@pytest.mark.parametrize(
    "options", [{}, {"sampling_rate": 2, "sequence_stride": 3}, {"start_index": 3, "end_index": 50}]
)
def test_windows_are_those_of_keras(keras, options):
    for targets in (None, np.arange(100)):
        pairs = zip(
            keras.utils.timeseries_dataset_from_array(REAL, targets, sequence_length=4, batch_size=16, **options),
            utils.timeseries_dataset_from_array(REAL, targets, sequence_length=4, batch_size=16, **options),
            strict=True,
        )
        for theirs, ours in pairs:
            for a, b in [(theirs, ours)] if targets is None else zip(theirs, ours, strict=True):
                assert np.array_equal(a, b)


def test_the_division_of_images_is_that_of_keras(keras, tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(4):
            utils.save_img(tmp_path / name / f"{i}.png", np.full((2, 2, 3), i), scale=False)
    options = {"image_size": (2, 2), "validation_split": 0.4, "seed": 1, "subset": "validation", "verbose": False}
    theirs, ours = (where.utils.image_dataset_from_directory(tmp_path, **options) for where in (keras, rv))
    assert theirs.file_paths == ours.file_paths


def test_the_division_of_texts_is_that_of_keras(keras, tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(4):
            (tmp_path / name / f"{i}.txt").write_text(f"{name}{i} caf\u00e9", encoding="utf-8")
    options = {"validation_split": 0.4, "seed": 1, "subset": "both", "verbose": False, "batch_size": 8}
    for mode in ("int", "binary", "categorical"):
        datasets = (
            where.utils.text_dataset_from_directory(tmp_path, label_mode=mode, **options) for where in (keras, rv)
        )
        (x, y), (own_x, own_y) = (next(iter(held)) for _, held in datasets)
        assert [text.decode() for text in x.numpy().tolist()] == own_x.tolist()
        assert np.array_equal(y, own_y)
        assert np.asarray(y).dtype == own_y.dtype
