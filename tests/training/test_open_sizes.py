"""Inputs with None as a size, `Input((None, None, 3))`: a program for each size that comes."""

import json

import numpy as np
import pytest

import ranvier as rv

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
