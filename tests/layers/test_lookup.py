"""Texts and categories as numbers: vocabularies, hashes, crosses, tables of columns; alone, in models and in files."""

import numpy as np
import pytest

import ranvier as rv
from ranvier import layers
from ranvier.data.text_hash import cross_table, crossed, fingerprint, siphash

WORDS = np.array([["a", "b"], ["c", "a"], ["zz", "a"], ["b", "?"]])  # a 3 times, b twice
ASKED = np.array([["a", "q"], ["c", "?"]])
IDF_A, IDF_B, IDF_OTHER = np.log(1 + 4 / 4), np.log(1 + 4 / 3), np.log(1 + 4 / 2)

HASHES = [  # of texts of each length that FarmHash distinguishes: its fingerprint, and SipHash with the key (133, 137)
    (b"", 0x9AE16A3B2F90404F, 0x4464E36D49835AD4),
    (b"cat", 0xD1CF943AB57D8ED8, 0x973AC92CD0B86048),
    (b"a longer text of 32 or", 0x38FFAB6358624455, 0x18B1CFB091ABD24),
    (b"x" * 50, 0x3FF2E52EF910C925, 0xE6665925CBBAB05E),
    (b"y" * 150, 0x905CC2FC46F52F92, 0x58365F29FC8847B3),
]


@pytest.mark.parametrize(("text", "farm", "sip"), HASHES, ids=[str(len(text)) for text, *_ in HASHES])
def test_hashes_are_those_of_tensorflow(text, farm, sip):
    assert (fingerprint(text), siphash(text, 133, 137)) == (farm, sip)


# name: (arguments, values of ASKED after adapt(WORDS))
LOOKUPS = {
    "int": ({}, [[1, 0], [4, 5]]),
    "masked": ({"mask_token": "a"}, [[0, 1], [4, 5]]),
    "one oov more": ({"num_oov_indices": 2, "max_tokens": 4}, [[2, 1], [0, 1]]),
    "salted": ({"num_oov_indices": 3, "max_tokens": 4, "salt": [5, 6]}, [[3, 1], [2, 1]]),
    "multi_hot": ({"output_mode": "multi_hot"}, [[1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1]]),
    "count": ({"output_mode": "count", "max_tokens": 2}, [[1, 1], [2, 0]]),
    "padded": ({"output_mode": "binary", "max_tokens": 7, "pad_to_max_tokens": True}, [[1, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 0]]),
    "tf_idf": (
        {"output_mode": "tf_idf", "max_tokens": 3}, [[(IDF_A + IDF_B) / 2, IDF_A, 0], [IDF_A + IDF_B, 0, 0]],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LOOKUPS)
def test_a_lookup_learns_a_vocabulary_and_keeps_it_in_its_configuration(name):
    options, expected = LOOKUPS[name]
    layer = layers.StringLookup(**options)
    layer.adapt(WORDS)
    given = [layer, layers.StringLookup.from_config(layer.get_config())]
    for lookup in given:
        for x in (ASKED, ASKED.astype(object), ASKED.astype("S"), ASKED.tolist()):
            np.testing.assert_allclose(lookup(x).numpy(), expected, rtol=1e-6)
    assert given[0].get_vocabulary() == given[1].get_vocabulary()


def test_the_vocabulary_is_ordered_by_frequency_and_then_from_the_last_text():
    layer = layers.StringLookup(mask_token="zz")
    layer.adapt(iter([WORDS[:2], (WORDS[2:], None)]))
    assert layer.get_vocabulary() == ["zz", "[UNK]", "a", "b", "c", "?"]
    layer.adapt(iter(WORDS.tolist()))
    assert layer.get_vocabulary(include_special_tokens=False) == ["a", "b", "c", "?"]
    assert layer.vocabulary_size() == 6
    numbers = layers.IntegerLookup()
    numbers.adapt(np.array([3, 5, 3, 9]))
    assert numbers.get_vocabulary() == [-1, 3, 9, 5]


def test_inverted_lookups_return_texts(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("a\nb\n")
    back = layers.StringLookup(vocabulary=str(file), invert=True)
    assert back(np.array([[0, 1], [2, 3]])).tolist() == [["[UNK]", "a"], ["b", "[UNK]"]]
    numbers = layers.IntegerLookup(vocabulary=[7, 8], mask_token=0, invert=True)
    assert numbers(np.array([0, 1, 2, 3, 9])).numpy().tolist() == [0, -1, 7, 8, -1]


REFUSED = [
    (lambda: layers.StringLookup(vocabulary=["a", "a"]), "several times"),
    (lambda: layers.StringLookup(vocabulary=["a", "b"], max_tokens=2), "max_tokens=2"),
    (lambda: layers.StringLookup(vocabulary=["m", "b"], mask_token="b"), "masked or unknown"),
    (lambda: layers.StringLookup(vocabulary=["a"]).adapt(WORDS), "Leave it out"),
    (lambda: layers.StringLookup(vocabulary=["a"], output_mode="tf_idf"), "idf_weights"),
    (lambda: layers.StringLookup(vocabulary=["a"], num_oov_indices=0)(["b"]), "num_oov_indices=1"),
    (lambda: layers.IntegerLookup(vocabulary=[1], num_oov_indices=0)(np.array([2])).numpy(), "not in the vocabulary"),
    (lambda: layers.StringLookup(vocabulary=["a"])(np.array([1, 2])), r"x\.astype\(str\)"),
    (lambda: layers.StringLookup(vocabulary=["a"])(np.array(["a", None], object)), "was given None"),
    (lambda: layers.StringLookup(output_mode="multi"), "'multi_hot'"),
    (lambda: layers.StringLookup(sparse=True), "sparse"),
    (lambda: layers.Hashing(3, salt="x"), "one integer or two"),
    (lambda: layers.HashedCrossing(3)([np.array(["a"])]), "two arrays"),
    (lambda: layers.HashedCrossing(3)([rv.Input((1,)), rv.Input((1,))]), "crosses what lookups"),
    (lambda: layers.HashedCrossing(3)([np.array([1.5]), np.array([1])]), "int64"),
    (layers.Discretization, "num_bins"),
    (lambda: layers.Discretization(num_bins=3)(np.ones((1, 1))), "adapt"),
    (lambda: layers.StringLookup()(layers.Dense(1)(rv.Input((1,)))), "dtype='string'"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_hashing_and_crossing():
    x, numbers = np.array([["a"], ["bc"]]), np.array([[3], [-4]])
    assert layers.Hashing(10)(np.array([["a", "b"]])).numpy().tolist() == [[FARM_A % 10, FARM_B % 10]]
    masked = layers.Hashing(10, mask_value="a")(np.array(["a", "b"]))
    assert masked.numpy().tolist() == [0, FARM_B % 9 + 1]
    assert layers.Hashing(10)(numbers).numpy().tolist() == layers.Hashing(10)(numbers.astype(str)).numpy().tolist()
    cross = layers.HashedCrossing(1000)([x, numbers, np.array([["x"], ["y"]])])
    assert cross.numpy().tolist() == [[733], [945]]
    assert layers.HashedCrossing(5, output_mode="one_hot")([x, numbers]).shape == (2, 5)


FARM_A, FARM_B = fingerprint(b"a"), fingerprint(b"b")


def test_discretization_finds_boundaries_between_equally_many_values():
    layer = layers.Discretization(num_bins=4, epsilon=0.01)
    layer.adapt(np.arange(1000.0).reshape(100, 10))
    assert np.allclose(layer.bin_boundaries, [249, 499, 749], atol=10)
    again = layers.Discretization.from_config(layer.get_config())
    assert np.array_equal(np.bincount(again(np.arange(1000.0)).numpy()), np.bincount(layer(np.arange(1000.0)).numpy()))


# --- in models ------------------------------------------------------------------------------------------------------

X, Y = np.array([["a"], ["b"], ["q"], ["a"]]), np.array([0.0, 1, 2, 0], np.float32)


def sequential():
    return rv.Sequential([
        rv.Input((1,), dtype="string"), layers.StringLookup(vocabulary=["a", "b"]), layers.Embedding(3, 2),
        layers.Flatten(), layers.Dense(1),
    ]), X  # fmt: skip


def functional():
    text, number = rv.Input((1,), dtype="string"), rv.Input((2,))
    assert text.dtype == "string"
    hashed = layers.Hashing(4, output_mode="one_hot")(text)
    return rv.Model([text, number], layers.Dense(1)(layers.Concatenate()([hashed, number]))), [X, np.ones((4, 2), "f4")]


def nested():
    text = rv.Input((1,), dtype="string")
    inner, _ = sequential()
    return rv.Model(text, layers.ReLU()(inner(text))), X


@pytest.mark.parametrize("make", [sequential, functional, nested])
def test_models_take_texts_in_fit_predict_and_calls_and_keep_the_tables_in_their_files(make, tmp_path):
    rv.set_seed(0)
    model, x = make()
    model.compile("sgd", "mse")
    history = model.fit(x, Y, epochs=2, batch_size=2, shuffle=False, verbose=0).history["loss"]
    rv.set_seed(0)
    other, _ = make()
    other.compile("sgd", "mse")

    def rows(part):
        return tuple(a[part] for a in x) if isinstance(x, list) else x[part]

    batches = [(rows(slice(0, 2)), Y[:2]), (rows(slice(2, 4)), Y[2:])]
    assert other.fit(iter(batches * 2), epochs=2, steps_per_epoch=2, verbose=0).history["loss"] == history
    predicted = model.predict(x, verbose=0)
    np.testing.assert_allclose(model(x).numpy(), predicted, rtol=1e-6)
    model.save(tmp_path / "model.ranvier")
    assert np.array_equal(rv.load_model(tmp_path / "model.ranvier").predict(x, verbose=0), predicted)


def test_a_new_vocabulary_makes_a_new_program():
    layer = layers.StringLookup(vocabulary=["a"], output_mode="one_hot")
    model = rv.Sequential([layer])
    assert model.predict(X, verbose=0).shape == (4, 2)
    layer.set_vocabulary(["a", "b"])
    assert model.predict(X, verbose=0).shape == (4, 3)


def test_an_input_of_texts_goes_to_one_layer():
    x = rv.Input((1,), dtype="string", name="words")
    parts = [layers.Hashing(4)(x), layers.Hashing(5)(x)]
    model = rv.Model(x, layers.Concatenate()(parts))
    with pytest.raises(ValueError, match="'words' goes to 'hashing"):
        model.predict(X, verbose=0)


@rv.register_module
class Words(rv.Model):
    """Calls a layer of texts itself, which learns its vocabulary later."""

    def __init__(self):
        super().__init__()
        self.lookup = layers.StringLookup(output_mode="one_hot")
        self.last = layers.Dense(1)

    def call(self, x):
        return self.last(self.lookup(x))


@rv.register_module
class Columns(rv.Model):
    """Takes columns by name: two of texts, one of numbers."""

    def __init__(self):
        super().__init__()
        self.city, self.name_of = layers.StringLookup(vocabulary=["a", "b"]), layers.Hashing(4, output_mode="one_hot")
        self.vectors, self.bins, self.last = layers.Embedding(3, 2), layers.Discretization(num_bins=2), layers.Dense(1)

    def call(self, inputs):
        city = layers.Flatten()(self.vectors(self.city(inputs["city"])))
        age = rv.ops.cast(self.bins(inputs["age"]), "float32")
        return self.last(rv.ops.concatenate([city, self.name_of(inputs["name"]), age], axis=-1))


def words():
    model = Words()
    model.lookup.adapt(X)
    return model, X


def columns():
    model, x = Columns(), {"city": X, "name": X.astype(object), "age": np.arange(4.0, dtype=np.float32)[:, None]}
    model.bins.adapt(x["age"])
    return model, x


@pytest.mark.parametrize("make", [words, columns])
def test_models_that_call_layers_of_texts_themselves(make, tmp_path):
    """In calls, fit, evaluate and predict, on arrays and batches; files have what `adapt` found."""
    rv.set_seed(0)
    model, x = make()
    model.compile("sgd", "mse", engine="reference")

    def rows(start, stop):
        return {k: v[start:stop] for k, v in x.items()} if isinstance(x, dict) else x[start:stop]

    options = {"verbose": 0, "ignore": "RV"}
    history = model.fit(x, Y, batch_size=2, shuffle=False, **options).history["loss"]
    rv.set_seed(0)
    other, _ = make()
    other.compile("sgd", "mse", engine="reference")
    assert other.fit(iter([(rows(0, 2), Y[:2]), (rows(2, 4), Y[2:])]), **options).history["loss"] == history
    predicted = model.predict(x)
    np.testing.assert_allclose(model(x).numpy(), predicted, rtol=1e-6)
    assert model.evaluate(x, Y, verbose=0) == pytest.approx(float(np.mean((predicted[:, 0] - Y) ** 2)), rel=1e-5)
    model.save(tmp_path / "model.ranvier")
    assert np.array_equal(rv.load_model(tmp_path / "model.ranvier").predict(x), predicted)


def test_texts_that_go_to_several_layers_of_a_model_or_to_none_are_reported():
    class Both(rv.Model):
        def __init__(self):
            super().__init__()
            self.one, self.two = layers.Hashing(4, name="one"), layers.Hashing(5, name="two")

        def call(self, x):
            return self.one(x) + self.two(x)

    model = Both()
    assert model(X).shape == (4, 1)
    with pytest.raises(ValueError, match=r"holds texts, which go to 'one' and 'two'.* Write an input for each"):
        model.predict(X)


# --- tables ---------------------------------------------------------------------------------------------------------

TABLE = {
    "age": np.array([3.0, 5, 9, 2], np.float32), "job": np.array(["a", "b", "a", "c"]), "n": np.array([1, 2, 2, 7]),
    "at": np.array([0.5, 1, 2, 4], np.float32),
}  # fmt: skip


def test_a_feature_space_encodes_columns_and_crosses(tmp_path):
    space = rv.utils.FeatureSpace(
        {
            "age": "float_normalized", "job": "string_categorical", "n": "integer_categorical",
            "at": rv.utils.FeatureSpace.float_discretized(None, bin_boundaries=[1.0, 3.0]),
        },
        crosses=[("job", "n")], crossing_dim=8,
    )  # fmt: skip
    space.adapt(TABLE)
    made = space(TABLE).numpy()
    assert made.shape == (4, 1 + 3 + 4 + 4 + 8)  # age, at, job, n, job_X_n
    assert np.allclose(made[:, 0], (TABLE["age"] - 4.75) / TABLE["age"].std(), atol=1e-6)
    assert made[:, 1:4].argmax(1).tolist() == [0, 1, 1, 2]
    assert made[:, 4:8].argmax(1).tolist() == [1, 3, 1, 2]
    assert (made[:, 12:].sum(1) == 1).all()
    assert np.array_equal(space({name: column[0] for name, column in TABLE.items()}).numpy(), made[0])
    space.save(tmp_path / "space.ranvier")
    assert np.array_equal(rv.load_model(tmp_path / "space.ranvier")(TABLE).numpy(), made)
    assert space.get_encoded_features().shape == (None, 20)
    assert space.get_inputs()["job"].dtype == "string"


def test_a_feature_space_of_a_dict_learns_from_batches():
    space = rv.utils.FeatureSpace({"job": "string_categorical", "age": "float"}, output_mode="dict")
    space.adapt([({name: column[part] for name, column in TABLE.items()}, 0) for part in (slice(2), slice(2, 4))])
    made = space(TABLE)
    assert made["job"].numpy().argmax(1).tolist() == [1, 3, 1, 2]
    assert np.array_equal(made["age"].numpy()[:, 0], TABLE["age"])
    with pytest.raises(ValueError, match="no 'age'"):
        space({"job": TABLE["job"]})


def test_a_feature_space_is_part_of_a_model(tmp_path):
    """Trained on what is encoded already, and then given the columns, as in Keras's guide."""
    space = rv.utils.FeatureSpace(
        {"age": "float_normalized", "job": "string_categorical", "n": "integer_categorical"},
        crosses=[("job", "n")], crossing_dim=8,
    )  # fmt: skip
    space.adapt(TABLE)
    encoded, columns = space.get_encoded_features(), space.get_inputs()
    assert encoded.shape == (None, *space(TABLE).shape[1:])
    outputs = layers.Dense(1)(encoded)
    training, whole = rv.Model(encoded, outputs), rv.Model(columns, outputs)
    training.compile("sgd", "mse", engine="reference")
    training.fit(space(TABLE).numpy(), Y, verbose=0, ignore="RV")
    table = {name: TABLE[name][:, None] for name in columns}
    np.testing.assert_allclose(rv.Model(columns, encoded).predict(table), space(TABLE).numpy(), rtol=1e-6)
    np.testing.assert_allclose(whole.predict(table), training.predict(space(TABLE).numpy()), rtol=1e-5)
    whole.save(tmp_path / "model.ranvier")
    assert np.array_equal(rv.load_model(tmp_path / "model.ranvier").predict(table), whole.predict(table))
    by_name = rv.utils.FeatureSpace({"job": "string_hashed", "n": "integer_categorical"}, "dict", hashing_dim=4)
    by_name.adapt(TABLE)
    made = rv.Model(by_name.get_inputs(), by_name.get_encoded_features()).predict({k: table[k] for k in ("job", "n")})
    assert all(np.array_equal(made[name], part.numpy()) for name, part in by_name(TABLE).items())


def test_crossings_in_a_model_are_those_of_arrays():
    words, numbers = np.array([["a"], ["q"], ["b"]]), np.array([[1], [2], [9]])
    text, number = rv.Input((1,), dtype="string"), rv.Input((1,), dtype="int32")
    lookups = layers.StringLookup(vocabulary=["a", "b"]), layers.IntegerLookup(vocabulary=[1, 2])
    for mode in ("int", "one_hot"):
        symbolic = layers.HashedCrossing(50, mode)([lookups[0](text), lookups[1](number)])
        found = rv.Model([text, number], symbolic).predict([words, numbers])
        indices = [lookups[0](words).numpy(), lookups[1](numbers).numpy()]
        wanted = layers.HashedCrossing(50, mode)(indices).numpy()
        assert np.array_equal(found, wanted)
        assert found.dtype == wanted.dtype == ("int64" if mode == "int" else "float32")
    rows = np.array(list(np.ndindex(3, 4, 2))).T
    assert np.array_equal(cross_table((3, 4, 2), 11), crossed(list(rows), 11))
    with pytest.raises(TypeError, match="crosses what lookups, Hashing and Discretization return"):
        layers.HashedCrossing(4)([text, number])
    with pytest.raises(ValueError, match="crosses 100,000,000 combinations"):
        layers.HashedCrossing(4)([layers.Hashing(10_000)(text), layers.Hashing(10_000)(rv.Input((1,), dtype="string"))])
