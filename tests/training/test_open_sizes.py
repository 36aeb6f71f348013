"""Inputs with None as a size, `Input((None, None, 3))`: a program for each size that comes."""

import json

import numpy as np
import pytest

import ranvier as rv
from ranvier.training.loop.verify_resume import verify_resume

L = rv.layers


@pytest.fixture(autouse=True)
def _reference():
    rv.set_engine("reference")
    rv.set_seed(0)
    yield
    rv.set_engine(None)


def images(size, rows=4):
    return np.random.default_rng(size).normal(size=(rows, size, size + 2, 3)).astype("float32")


def classifier():
    x = rv.Input((None, None, 3))
    h = L.MaxPooling2D()(L.Conv2D(4, 3, padding="same", activation="relu")(x))
    return rv.Model(x, L.Dense(2)(L.GlobalAveragePooling2D()(h)))


def masker():
    return rv.Sequential([rv.Input((None, None, 3)), L.Conv2D(4, 3, padding="same", activation="relu"), L.Conv2D(1, 1)])


def test_shapes_have_none_where_sizes_are_open():
    model = masker()
    assert model.output_shape == (None, None, None, 1)
    assert rv.Input((None, 3)).shape == (None, None, 3)
    assert "(None, None, None, 4)" in "".join(row for row in summary_of(model))


def summary_of(model):
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    return lines


@pytest.mark.parametrize("size", [6, 9])
def test_each_size_is_computed_as_by_a_network_of_that_size(size):
    model, x = classifier(), images(size)
    fixed_input = rv.Input(x.shape[1:])
    h = L.MaxPooling2D()(L.Conv2D(4, 3, padding="same", activation="relu")(fixed_input))
    fixed = rv.Model(fixed_input, L.Dense(2)(L.GlobalAveragePooling2D()(h)))
    fixed.set_weights(model.get_weights())
    np.testing.assert_array_equal(model.predict(x, verbose=0), fixed.predict(x, verbose=0))
    histories = []
    for one in (model, fixed):
        one.compile("sgd", "mse")
        histories.append(one.fit(x, np.ones((4, 2)), verbose=0).history)
    assert histories[0] == histories[1]


def test_batches_of_different_sizes():
    model = masker()
    model.compile("sgd", "mse")
    sizes = (6, 8, 6, 7)
    batches = [(images(n), np.zeros((4, n, n + 2, 1))) for n in sizes]
    history = model.fit(iter(batches), steps_per_epoch=4, verbose=0, validation_data=batches[0]).history
    assert np.isfinite(history["loss"]).all()
    assert [model.predict(images(n), verbose=0).shape for n in sizes] == [(4, n, n + 2, 1) for n in sizes]
    losses = [model.evaluate(x, y, verbose=0) for x, y in batches]
    together = model.evaluate(iter(batches), steps=4, verbose=0)
    np.testing.assert_allclose(together, np.mean(losses), rtol=1e-5)


def test_saved_networks_keep_their_open_sizes(tmp_path):
    model = classifier()
    model.save(tmp_path / "model.ranvier")
    again = rv.load_model(tmp_path / "model.ranvier")
    copy = rv.Model.from_config(json.loads(json.dumps(model.get_config())))
    assert again.input_shape == copy.input_shape == (None, None, None, 3)
    np.testing.assert_array_equal(again.predict(images(7), verbose=0), model.predict(images(7), verbose=0))


def test_the_program_used_longest_ago_goes():
    model = masker()
    for size in range(3, 3 + 70):
        model.predict(images(size, 1), verbose=0)
        model.predict(images(3, 1), verbose=0)
    predictors = model._predictors
    assert len(predictors) == 64
    assert any(kinds[0][0] == (3, 5, 3) for kinds, *_ in predictors)


MISTAKES = [
    (
        lambda: rv.Sequential([rv.Input((None, 3)), L.Flatten(), L.Dense(2)]),
        "kernel of layer 'dense.*depends on the data",
    ),
    (lambda: rv.Sequential([rv.Input((4, None)), L.Dense(2)]), r"Write the size there, such as Input\(\(28, 28, 3\)\)"),
    (lambda: masker().predict(images(6)[..., :2]), r"\(\?, \?, 3\)|None|expects"),
]


@pytest.mark.parametrize(("run", "text"), MISTAKES)
def test_mistakes(run, text):
    with pytest.raises(ValueError, match=text):
        run()


# --- sequences ------------------------------------------------------------------------------------------------------

LENGTHS = (3, 5, 3, 2, 7, 5, 5, 3, 2, 4)
TOKENS = [np.arange(1, n + 1) % 9 for n in LENGTHS]
SERIES = [np.random.default_rng(i).normal(size=(n, 4)).astype("float32") for i, n in enumerate(LENGTHS)]
Y = np.arange(10.0)


def bag():
    """Of tokens; 0 is padding."""
    model = rv.Sequential(
        [rv.Input((None,), dtype="int32"), L.Embedding(9, 3, mask_zero=True), L.GlobalAveragePooling1D(), L.Dense(1)]
    )
    model.compile("sgd", "mse")
    return model


def tagger():
    model = rv.Sequential([rv.Input((None, 4)), L.Dense(2)])
    model.compile("sgd", "mse")
    return model


def of_two():
    tokens, extra = rv.Input((None,), dtype="int32", name="tokens"), rv.Input((2,), name="extra")
    h = L.Concatenate()([L.GlobalAveragePooling1D()(L.Embedding(9, 3)(tokens)), extra])
    model = rv.Model([tokens, extra], L.Dense(1)(h))
    model.compile("sgd", "mse")
    return model


def test_lists_of_sequences_of_any_length():
    model = bag()
    each = np.concatenate([model.predict(row[None], verbose=0) for row in TOKENS])
    np.testing.assert_allclose(model.predict(TOKENS, verbose=0), each, rtol=1e-5)
    np.testing.assert_allclose(model.predict([row.tolist() for row in TOKENS], verbose=0), each, rtol=1e-5)
    found = model.evaluate(TOKENS, Y, verbose=0, batch_size=2)
    np.testing.assert_allclose(found, np.mean((each[:, 0] - Y) ** 2), rtol=1e-5)
    longest = np.zeros((10, 7), "int32")
    for row, tokens in zip(longest, TOKENS, strict=True):
        row[: len(tokens)] = tokens
    np.testing.assert_allclose(model.predict(longest, verbose=0), each, rtol=1e-5)  # padding changes nothing


def test_training_on_lists_follows_the_seed():
    model = bag()
    before, found = model.get_weights(), []
    for seed in (5, 5, 6):
        rv.set_seed(seed)
        model.set_weights(before)
        model.compile("sgd", "mse")
        history = model.fit(
            TOKENS, Y, epochs=2, batch_size=2, verbose=0, validation_split=0.2, sample_weight=np.ones(10),
        ).history  # fmt: skip
        found.append((history["loss"], history["val_loss"]))
    assert found[0] == found[1] != found[2]
    assert model.fit(TOKENS, Y, verbose=0, validation_data=(TOKENS, Y), class_weight=dict.fromkeys(range(10), 1.0))


def test_a_stopped_run_on_lists_goes_on():
    verify_resume(bag, TOKENS, Y, batch_size=2, stops=[3, 8])


def test_batches_of_lists_have_one_length_each():
    seen: list[tuple[int, ...]] = []

    class Watched(L.Layer):
        def forward(self, x):
            seen.append(tuple(x.shape[1:]))
            return x

    model = rv.Sequential([rv.Input((None, 4)), Watched(), L.Dense(2)])
    model.compile("sgd", "mse")
    targets = [np.zeros((n, 2)) for n in LENGTHS]
    weights = [np.ones(n) for n in LENGTHS]
    model.fit(SERIES, targets, sample_weight=weights, verbose=0)
    assert {(n, 4) for n in LENGTHS} <= set(seen)
    outputs = model.predict(SERIES, verbose=0)
    assert [o.shape for o in outputs] == [(n, 2) for n in LENGTHS]
    for one, series in zip(outputs, SERIES, strict=True):
        np.testing.assert_allclose(one, model.predict(series[None], verbose=0)[0], rtol=1e-5)


def test_several_inputs_one_of_any_length():
    model, extra = of_two(), np.ones((10, 2))
    found = model.predict([TOKENS, extra], verbose=0)
    np.testing.assert_array_equal(model.predict({"tokens": TOKENS, "extra": extra}, verbose=0), found)
    loss = model.evaluate([TOKENS, extra], Y, verbose=0)
    np.testing.assert_allclose(loss, np.mean((found[:, 0] - Y) ** 2), rtol=1e-5)
    assert model.fit([TOKENS, extra], Y, verbose=0).history["loss"]


def test_batches_of_a_generator_of_any_length():
    def batches():
        for tokens in TOKENS:
            yield tokens[None], np.ones(1)

    assert len(bag().fit(batches(), verbose=0).history["loss"]) == 1


def test_networks_that_are_built_for_any_length():
    class Own(rv.Model):
        def __init__(self):
            super().__init__()
            self.embedding, self.dense = L.Embedding(9, 3, mask_zero=True), L.Dense(1)
            self.mean = L.GlobalAveragePooling1D()

        def call(self, x):
            return self.dense(self.mean(self.embedding(x)))

    own = Own()
    own.build((None, None))
    own.compile("sgd", "mse")
    own.fit(TOKENS, Y, verbose=0)
    assert own.predict(TOKENS, verbose=0).shape == (10, 1)
    inner = rv.Sequential([L.Dense(3), L.LayerNormalization()])
    steps = rv.Sequential([rv.Input((None, 4)), L.TimeDistributed(inner), L.TimeDistributed(L.Flatten())])
    assert steps.output_shape == (None, None, 3)
    outputs = steps.predict(SERIES, verbose=0)
    for one, series in zip(outputs, SERIES, strict=True):
        np.testing.assert_allclose(one, inner(series).numpy(), rtol=1e-5, atol=1e-6)


WRONG = [
    (lambda: bag().fit([TOKENS[0], TOKENS[1][:0]], [1, 2], verbose=0), r"x\[1\] is an empty sequence"),
    (lambda: bag().predict(np.zeros((2, 0), "int32")), r"shape \(2, 0\): its sequences are empty"),
    (lambda: bag().fit(TOKENS, Y[:4], verbose=0), "x has 10, y has 4"),
    (lambda: bag().predict(np.array([[1, 2.5]])), "x has 2.5 in row 0, position 1, and the network takes whole"),
    (lambda: bag().predict([[1, 2], [3], [8, 77]]), "was given 77, in row 2, position 1"),
    (lambda: tagger().predict([SERIES[0], SERIES[1][:, :3]]), r"x\[0\] has elements of shape \(4,\), and x\[1\] has"),
    (lambda: tagger().predict(SERIES, steps=1), "steps counts batches"),
    (lambda: tagger().fit(SERIES, [np.zeros((3, 2))] * 10, verbose=0), r"y has shape .* is \(samples, \d, 2\)"),
    (lambda: of_two().fit([TOKENS, np.ones((4, 2))], Y, verbose=0), r"x\[0\] has 10, x\[1\] has 4"),
]


@pytest.mark.parametrize(("run", "text"), WRONG)
def test_wrong_sequences(run, text):
    with pytest.raises(ValueError, match=text):
        run()


def test_a_computed_index_out_of_range():
    """It is named with the row of the list, and its position."""
    x = rv.Input((None,), dtype="int32")
    model = rv.Model(x, L.GlobalAveragePooling1D()(L.Embedding(9, 3)(x * 2)))
    for engine in ("native", "reference"):
        rv.set_engine(engine)
        with pytest.raises(ValueError, match=r"was given 12, in row 2, position 1\."):
            model.predict([[1, 2], [3], [3, 6]], verbose=0)


def test_more_lengths_than_programs_that_are_kept():
    model, many = bag(), [np.ones(n, "int32") for n in range(1, 67)]
    with pytest.warns(UserWarning, match=r"x has 66 different lengths.*batches_by_length"):
        model.evaluate(many, np.zeros(66), verbose=0)


def test_more_padding_changes_no_bit_of_a_prediction():
    rv.set_engine("native")
    model = bag()
    tokens = np.arange(1, 9, dtype="int32").reshape(2, 4)
    padded = (np.pad(tokens, ((0, 0), (0, n))) for n in (1, 30))
    for x in padded:
        np.testing.assert_array_equal(model.predict(x, verbose=0), model.predict(tokens, verbose=0))
