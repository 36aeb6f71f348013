"""Networks described by calling layers on an Input: their values, their summaries, their files."""

import copy
import json
import pickle
import re
import subprocess
import sys
from collections import OrderedDict

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier.module import Functional, from_architecture

RNG = np.random.default_rng(5)
N = 40
A, B = (RNG.normal(size=(N, f)).astype(np.float32) for f in (6, 6))
VALUE = (A[:, :1] * B[:, :1]).astype(np.float32)
KIND = (A[:, 1] > 0).astype(int) + (B[:, 1] > 0)
OPTIONS: dict = {"epochs": 2, "batch_size": 16, "shuffle": False, "verbose": 0, "ignore": "RV"}


@pytest.fixture(autouse=True)
def engine():
    rv.set_engine("reference")
    rv.set_seed(0)
    yield
    rv.set_engine(None)


# --- networks -----------------------------------------------------------------------------------------------------


def residual():
    x = rv.Input((6,), name="x")
    y = rv.layers.Dense(8, activation="relu")(x)
    z = rv.layers.Dropout(0.4)(rv.layers.BatchNormalization()(rv.layers.Dense(8)(y)))
    return rv.Model(x, rv.layers.Dense(1)(rv.activations.relu(y + z)), name="residual")


def siamese():
    a, b = rv.Input((6,), name="a"), rv.Input((6,), name="b")
    body = rv.Sequential([rv.layers.Dense(8, activation="relu"), rv.layers.Dense(4)], name="body")
    return rv.Model([a, b], rv.layers.Dense(1)(abs(body(a) - body(b)) / 2))


def two_heads(pack=list):
    a, b = rv.Input((6,), name="a"), rv.Input((6,), name="b")
    x = rv.layers.Concatenate()([rv.layers.Dense(8, activation="tanh")(a), b[:, 1:4]])
    value, kind = (rv.layers.Dense(1, name="value")(x), rv.layers.Dense(3, activation="softmax", name="kind")(x))
    if pack in (dict, OrderedDict):
        return rv.Model({"b": b, "a": a}, pack([("value", value), ("kind", kind)]))
    return rv.Model(inputs=pack([a, b]), outputs=pack([value, kind]))


def nested():
    x = rv.Input((6,))
    shared = rv.layers.Dense(6, activation="tanh")
    inner = rv.Model(x, shared(shared(x)), name="inner")
    start = rv.Input((6,))
    return rv.Model(start, rv.layers.Dense(1)(inner(-start) * inner(start) + 1))


@rv.register_module(name="tests.Halves")
class Halves(rv.Model):
    """A network of one's own that is a layer of another, and returns two tensors."""

    def __init__(self):
        super().__init__()
        self.dense = rv.layers.Dense(6)

    def call(self, x, training=False):
        y = self.dense(x)
        return {"low": y[:, :3], "high": y[:, 3:]}


def of_ones_own():
    x = rv.Input((6,))
    halves = Halves()(x)
    return rv.Model(x, rv.layers.Dense(1)(halves["low"] ** 2 - 3 % halves["high"]))


def always_dropping():
    x = rv.Input((6,))
    return rv.Model(x, rv.layers.Dense(1)(rv.layers.Dropout(0.5)(x, training=True)))


HEADS = ["mse", "sparse_categorical_crossentropy"]
NAMED = dict(zip(["value", "kind"], HEADS, strict=True))
ROWS = [  # network, inputs, targets, loss
    (residual, A, VALUE, "mse"),
    (siamese, [A, B], VALUE, "mse"),
    (two_heads, [A, B], [VALUE, KIND], HEADS),
    (lambda: two_heads(tuple), (A, B), (VALUE, KIND), HEADS),
    (lambda: two_heads(dict), {"a": A, "b": B}, {"value": VALUE, "kind": KIND}, NAMED),
    (lambda: two_heads(OrderedDict), {"b": B, "a": A}, {"kind": KIND, "value": VALUE}, NAMED),
    (nested, A, VALUE, "mse"),
    (of_ones_own, A, VALUE, "mse"),
    (always_dropping, A, VALUE, "mse"),
]


def fitted(network, x, y, loss):
    rv.set_seed(0)
    model = network()
    model.compile("adam", loss)
    history = model.fit(x, y, **OPTIONS)
    return model, history.history


def flat(values):
    values = list(values.values()) if isinstance(values, dict) else values
    return list(values) if isinstance(values, (list, tuple)) else [values]


def same(one, other):
    assert type(one) is type(other)
    for a, b in zip(flat(one), flat(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("network", "x", "y", "loss"), ROWS)
def test_a_network_trains_and_what_is_saved_or_copied_goes_on_alike(network, x, y, loss, tmp_path):
    model, history = fitted(network, x, y, loss)
    assert np.isfinite(history["loss"]).all()
    assert history["loss"][1] != history["loss"][0]
    model.save(tmp_path / "model.ranvier")
    loaded, copied = rv.load_model(tmp_path / "model.ranvier"), copy.deepcopy(model)
    assert json.loads(json.dumps(model.architecture())) == loaded.architecture() == copied.architecture()
    if network is not always_dropping:
        same(model.predict(x), loaded.predict(x))
        same(model.predict(x), copied.predict(x))
        called = model(x)
        for a, b in zip(flat(called), flat(model.predict(x)), strict=True):
            np.testing.assert_allclose(a.numpy(), b, rtol=1e-5, atol=1e-6)
    for one in (loaded, copied):
        assert isinstance(one, Functional)
        assert not set(map(id, one.parameters())) & set(map(id, model.parameters()))
        assert [layer.name for layer in one.layers] == [layer.name for layer in model.layers]
        assert (one.input_shape, one.output_shape) == (model.input_shape, model.output_shape)
        assert one.output_names == model.output_names
    copied.compile("adam", loss)
    model.compile("adam", loss)
    for one in (model, copied):
        rv.set_seed(3)
        one.fit(x, y, **OPTIONS)
    for a, b in zip(model.get_weights(), copied.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert model.evaluate(x, y, verbose=0) == copied.evaluate(x, y, verbose=0) or network is always_dropping


class Written(rv.Model):
    def __init__(self, first, second, last):
        super().__init__()
        self.first, self.second, self.last = first, second, last

    def forward(self, x):
        y = self.first(x)
        return self.last(rv.activations.relu(y * 3 + self.second(y)) / 7)


def test_a_described_network_computes_what_a_forward_does():
    first, second, last = layers = [rv.layers.Dense(8), rv.layers.Dense(8), rv.layers.Dense(2)]
    x = rv.Input((6,))
    y = first(x)
    model = rv.Model(x, last(rv.activations.relu(y * 3 + second(y)) / 7))
    np.testing.assert_array_equal(model.predict(A), Written(*layers).predict(A))


def test_dropout_and_batch_normalization_follow_the_mode():
    model = residual()
    still = model.predict(A)
    assert not model.training
    np.testing.assert_allclose(model(A).numpy(), still, rtol=1e-5, atol=1e-6)
    moved = model(A, training=True).numpy()
    assert np.abs(moved - still).max() > 0.01
    assert np.abs(always_dropping()(A).numpy() - always_dropping()(A).numpy()).max() > 0.01
    model.train()
    assert all(layer.training for layer in model.modules())


def test_small_images_through_a_residual_block_train_alike_on_both_engines():
    """Eight rows of eight fit a tile together with a loop that their borders depend on, and must not."""
    rows, curves = RNG.normal(size=(N, 8, 8, 2)).astype(np.float32), []
    for engine in ("reference", "native"):
        rv.set_engine(engine)
        rv.set_seed(0)
        images = rv.Input((8, 8, 2))
        x = rv.layers.Conv2D(4, 1)(images)
        x = x + rv.layers.Conv2D(4, 3, padding="same", activation="relu")(x)
        model = rv.Model(images, rv.layers.Dense(1)(rv.layers.GlobalAveragePooling2D()(x)))
        model.compile("sgd", "mse")
        curves.append(model.fit(rows, VALUE, **OPTIONS).history["loss"])
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-5)


def test_a_shared_layer_has_one_set_of_weights():
    model = siamese()
    assert [p.shape for p in model.parameters()] == [(6, 8), (8,), (8, 4), (4,), (4, 1), (1,)]
    np.testing.assert_allclose(model.predict([A, A]), 0, atol=1e-7)


# --- looking ------------------------------------------------------------------------------------------------------


def test_names_shapes_and_layers():
    model = two_heads()
    assert [layer.name for layer in model.layers if layer.weights][-2:] == ["value", "kind"]
    assert model.get_layer("kind") is model.layers[-1] is model.get_layer(index=-1)
    assert model.input_names == ["a", "b"]
    assert model.output_names == ["value", "kind"]
    assert model.input_shape == [(None, 6), (None, 6)]
    assert model.output_shape == [(None, 1), (None, 3)]
    assert [value.shape for value in model.inputs] == model.input_shape
    assert two_heads(dict).output_names == ["kind", "value"]  # as Keras sorts them
    assert two_heads(OrderedDict).output_names == ["value", "kind"]
    assert two_heads(dict).output_shape == {"value": (None, 1), "kind": (None, 3)}
    assert [value.shape for value in two_heads(dict).outputs] == [(None, 3), (None, 1)]
    assert [value.call.module.name for value in two_heads(dict).inputs] == ["a", "b"]
    assert isinstance(model, rv.Model)
    x = rv.Input((2,))
    head = rv.layers.Dense(1, name="head")
    assert rv.Model(x, [head(x), head(-x), x]).output_names == ["head", "head_1", x.name]


def test_what_layers_were_called_on():
    x = rv.Input((3,), dtype="float32")
    dense, add = rv.layers.Dense(4), rv.layers.Add()
    y = dense(x)
    z = add([y, y * 2])
    assert (dense.output, dense.input, add.input[0]) == (y, x.output, y)
    assert (z.shape, z.dtype, z.ndim, x.shape) == ((None, 4), "float32", 2, (None, 3))
    assert repr(y) == f"<Symbolic (None, 4) float32, of {dense.name!r}>"
    with pytest.raises(ValueError, match="has not been called on an Input yet, so it has no one output"):
        rv.layers.Dense(2).output
    dense(x)
    with pytest.raises(ValueError, match="was called 2 times, so it has no one input"):
        dense.input


@pytest.mark.parametrize("change", [lambda m: m, copy.deepcopy, lambda m: from_architecture(m.architecture())])
def test_a_model_of_a_part_of_another(change):
    model = change(residual())
    features = rv.Model(model.inputs, model.get_layer(index=2).output)
    assert features.output_shape == (None, 8)
    assert features.layers == model.layers[:3]
    assert features.predict(A).shape == (N, 8)
    both = rv.Model(model.input, {"features": model.layers[2].output, "end": model.output})
    np.testing.assert_array_equal(both.predict(A)["end"], model.predict(A))


def test_a_model_of_a_part_of_a_sequence():
    model = rv.Sequential([rv.Input((6,)), rv.layers.Dense(4, name="four"), rv.layers.Dense(2)])
    inner = rv.Model(model.inputs, [model.get_layer("four").output, model.outputs[0]])
    four, end = inner.predict(A)
    np.testing.assert_array_equal(end, model.predict(A))
    np.testing.assert_allclose(four, model.layers[0](A).numpy(), rtol=1e-5)
    twin = copy.deepcopy(model)
    assert rv.Model(twin.input, twin.layers[0].output).layers[1] is twin.layers[0]
    model.add(rv.layers.Dense(3, name="three"))
    assert model.output.shape == (None, 3)
    with pytest.raises(ValueError, match="is not known yet"):
        rv.Sequential([rv.layers.Dense(2)]).inputs


class Plain(rv.Model):
    """Described by its inputs and outputs, and with a method of its own."""

    def surest(self, x):
        return self.predict(x).argmax(1)


@rv.register_module
class Known(Plain):
    pass


@rv.register_module
class Made(Plain):
    """What makes its inputs and outputs itself, and has a layer that they do not use."""

    def __init__(self, units=3):
        self.units = units
        self.spare = rv.layers.Dense(2, input_shape=(1,))
        x = rv.Input((6,))
        super().__init__(inputs=x, outputs=rv.layers.Dense(units, activation="softmax")(x))


def of_its_ends(cls):
    x = rv.Input((6,))
    return cls(x, rv.layers.Dense(3, activation="softmax")(x), name="net")


@pytest.mark.parametrize("make", [lambda: of_its_ends(Plain), lambda: of_its_ends(Known), Made])
def test_a_subclass_is_described_by_its_inputs_and_outputs(make, tmp_path):
    model = make()
    assert type(model) in (Plain, Known, Made)
    assert (model.output_shape, model.training) == ((None, 3), False)
    pickled = pickle.dumps(model)
    model.save(tmp_path / "model")
    twins = [rv.load_model(tmp_path / "model"), copy.deepcopy(model), pickle.loads(pickled)]
    model.compile(rv.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    model.fit(A, model.surest(A), verbose=0, ignore="RV")
    for twin in twins:
        np.testing.assert_array_equal(twin.predict(A), model.predict(A))
        assert rv.Model(twin.input, twin.output).predict(A).shape == (N, 3)
    unknown = type(model) is Plain  # a file holds what it computes, and no code
    assert [isinstance(twin, Plain) for twin in twins] == [not unknown, True, True]


@pytest.mark.parametrize("change", [lambda m: m, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_layers_of_a_sequence_know_their_outputs_before_anything_else_is_asked(change):
    model = rv.Sequential([rv.Input((6,)), rv.layers.Dense(4), rv.layers.Dense(2)])
    model = change(model)
    assert model[0].output.shape == (None, 4)
    model.add(rv.layers.Dense(3))  # the layers before it are called once all the same
    outputs = [layer.output for layer in model.layers]
    assert [value.shape for value in rv.Model(model.input, outputs).outputs] == [(None, 4), (None, 2), (None, 3)]
    model.pop()
    assert model.layers[0].output.shape == (None, 4)


def test_what_was_described_in_float64_is_loaded_in_float32(tmp_path, float64):
    x = rv.Input((4, 4, 1))
    model = rv.Model(x, rv.layers.Conv2D(2, 3)(x))
    model.save(tmp_path / "model")
    rv.set_dtype("float32")
    read = rv.load_model(tmp_path / "model")
    assert {t.dtype for t in (read.input, read.output, *read.weights)} == {"float32"}


def test_a_model_converted_to_float64_can_still_be_described(float64):
    for model in (residual().to("float32"), rv.Sequential([rv.Input((6,)), rv.layers.Dense(2)]).to("float32")):
        model.double()
        assert rv.Model(model.inputs, model.get_layer(index=1 - len(model.layers)).output).output_shape[0] is None
        assert {value.dtype for value in (model.input, model.output)} == {"float64"}


def test_summary_names_every_layer(capsys):
    model = two_heads()
    model.summary(line_length=90)
    text = capsys.readouterr().out
    for layer in model.layers:
        assert f"{layer.name} ({type(layer).__name__})" in text
    assert "(None, 11)" in text


def test_a_picture_joins_the_model_within_to_what_is_around_it():
    from ranvier.pictures.diagram import Drawing

    start = rv.Input((6,), name="start")
    inner = rv.Model(x := rv.Input((6,)), rv.layers.Dense(4, name="within")(x))
    before = rv.layers.Dense(6, name="before")(start)
    boxes = Drawing(rv.Model(start, rv.layers.Add(name="sum")([inner(before), inner(start)]))).boxes
    joined = [(box.scope.rpartition("/")[2], [boxes[i].scope.rpartition("/")[2] for i in box.sources]) for box in boxes]
    ends = [
        ("start", []),
        ("before", ["start"]),
        ("within", ["before"]),
        ("within", ["start"]),
        ("sum", ["within"] * 2),
    ]
    assert joined == ends


def test_weights_go_by_place_and_not_by_name(tmp_path):
    one, other = residual(), residual()
    other.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(one.predict(A), other.predict(A))
    one.layers[1].kernel.assign(np.ones((6, 8), np.float32))
    one.save_weights(filepath=tmp_path / "weights.ranvier")
    other.load_weights(tmp_path / "weights.ranvier")
    np.testing.assert_array_equal(one.predict(A), other.predict(A))


def test_ways_to_give_inputs():
    model = two_heads()
    wanted = model.predict([A, B])
    for given in ((A, B), {"a": A, "b": B}, {"b": B, "a": A}):
        same(model.predict(given), wanted)
    for called in (model([A, B]), model(A, B), model({"b": B, "a": rv.Tensor(A)}), model((rv.Tensor(A), B))):
        np.testing.assert_allclose(called[1].numpy(), wanted[1], rtol=1e-5, atol=1e-6)
    x = rv.Input((6,))
    alone = rv.Model([x], rv.layers.Dense(1)(x))
    np.testing.assert_array_equal(alone.predict([A]), alone.predict(A))
    np.testing.assert_allclose(alone([rv.Tensor(A)]).numpy(), alone.predict(A), rtol=1e-5)


@pytest.mark.parametrize("pack", [lambda v: [v], lambda v: (v,)])
def test_an_output_alone_in_a_list_is_no_list(pack):
    x = rv.Input((6,))
    model = rv.Model(pack(x), pack(rv.layers.Dense(3, name="out")(x)))
    model.compile("sgd", {"out": "mse"}, metrics=["mae"])
    assert (model.input_shape, model.output_shape) == ((None, 6), (None, 3))
    assert (model.predict(A).shape, model(A).shape, model([A]).shape) == ((len(A), 3),) * 3
    y = np.linspace(0, 1, 3 * len(A), dtype=np.float32).reshape(len(A), 3)
    wanted = model.evaluate(A, y, verbose=0)
    batches = list(zip(np.split(A, 2), np.split(y, 2), strict=True))
    for given, target in ((A, [y]), ([A], y), ([A], [y]), ((A,), (y,)), (A, {"out": y})):
        assert model.evaluate(given, target, verbose=0) == wanted
    for form in (lambda y: [y], lambda y: {"out": y}):
        assert np.allclose(model.evaluate(((a, form(b)) for a, b in batches), verbose=0), wanted)
    model.fit(A, {"out": y}, verbose=0)
    np.testing.assert_array_equal(rv.models.model_from_json(model.to_json())(A).shape, (len(A), 3))
    with pytest.raises(ValueError, match=r"y names the outputs \['other'\], and the model has \['out'\]"):
        model.fit(A, {"other": y}, verbose=0)
    inner = model(x)
    assert isinstance(inner, type(pack(0)))
    assert inner[0].shape == (None, 3)


def test_integers_stay_integers():
    x = rv.Input((4,), dtype="uint8")
    model = rv.Model(x, rv.layers.Dense(1)(rv.layers.Rescaling(1 / 255)(x)))
    assert (x.dtype, model.layers[1].output.dtype) == ("uint8", "float32")
    assert model.predict(np.arange(8, dtype=np.uint8).reshape(2, 4)).shape == (2, 1)


# --- operators ----------------------------------------------------------------------------------------------------

OPERATORS = [
    lambda x, y: x + y, lambda x, y: x - 2, lambda x, y: 2 - x, lambda x, y: x * y, lambda x, y: x / y, lambda x, y: 1 / x,
    lambda x, y: x // 2, lambda x, y: x % y, lambda x, y: x**2, lambda x, y: 2.0**x, lambda x, y: -x, lambda x, y: abs(x),
    lambda x, y: np.float32(3) * x, lambda x, y: np.abs(x) + np.add(x, 1), lambda x, y: x[:, 1:3], lambda x, y: x[..., 0],
    lambda x, y: x[:, None, ::2], lambda x, y: x + True, lambda x, y: x > 0, lambda x, y: x <= 0, lambda x, y: (x < y) | ~(x <= 1),
    lambda x, y: ((x != 0) ^ (y != x)) & (True ^ (y > 0)), lambda x, y: np.float32(0) < x,
]  # fmt: skip


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operator_is_a_layer_that_a_file_holds(operator):
    x, y = rv.Input((6,)), rv.Input((6,))
    model = rv.Model([x, y], operator(x, y))
    read = from_architecture(json.loads(json.dumps(model.architecture())))
    wanted = operator(rv.Tensor(A), rv.Tensor(B)).numpy() if "np" not in operator.__code__.co_names else operator(A, B)
    np.testing.assert_allclose(model.predict([A, B]), wanted, rtol=1e-6)
    np.testing.assert_array_equal(read.predict([A, B]), model.predict([A, B]))


def test_whether_two_symbolic_values_are_one():
    x, y = x6(), x6()
    assert ([x == x, x == y, x == 0, x != "x"], len({x, y, x})) == ([True, False, False, True], 2)


def test_activations_of_symbolic_values_are_layers():
    x = rv.Input((6,))
    model = rv.Model(x, rv.activations.silu(rv.activations.softmax(x)))
    assert [type(layer).__name__ for layer in model.layers] == ["Input", "Activation", "Activation"]
    read = from_architecture(model.architecture())
    np.testing.assert_array_equal(read.predict(A), model.predict(A))


# --- mistakes -----------------------------------------------------------------------------------------------------


def x6():
    return rv.layers.Dense(6, name="six")(rv.Input((6,), name="x"))


def two_of_one_name():
    x = rv.Input((6,))
    return rv.Model(x, rv.layers.Dense(1, name="d")(rv.layers.Dense(2, name="d")(x)))


def branch(value):
    return 1 if value else 0


MISTAKES = [
    (lambda: np.asarray(x6()), TypeError, r"np.asarray\(\) needs numbers, and <Symbolic .* has none yet"),
    (lambda: np.exp(x6()), TypeError, r"np.exp computes with numbers.* Write a layer"),
    (lambda: float(x6()), TypeError, r"float\(\) needs numbers"),
    (lambda: range(x6()), TypeError, "an index needs numbers"),
    (lambda: list(x6()), TypeError, "a loop needs numbers"),
    (lambda: x6() != np.ones(5), ValueError, "not_equal"),
    (lambda: branch(x6() > 1), TypeError, "neither true nor false"),
    (lambda: branch(x6()), TypeError, "neither true nor false.* Write a class with a forward that uses where"),
    (lambda: x6() + "1", TypeError, r"add of a symbolic value takes another, a number or an array, not str. Write np.array"),
    (lambda: x6().mean(), AttributeError, r"is no tensor yet, and has no .mean. Write a layer .*Lambda"),
    (lambda: x6().nonsense, AttributeError, "no attribute 'nonsense'"),
    (lambda: rv.activations.softmax(x6(), axis=1), TypeError, r"softmax computes with tensors.*Softmax\(axis\)"),
    (lambda: x6().flatten(), AttributeError, r"has no .flatten. Write rv.layers.Flatten\(\)\(x\) instead"),
    (lambda: x6()[0], ValueError, "would choose among the samples of a batch"),
    (lambda: x6()[:, "a"], TypeError, "cannot be indexed by 'a'"),
    (lambda: rv.Input((3,))(x6()), TypeError, "is an Input, where a network begins"),
    (lambda: rv.Model([A], x6()), TypeError, r"inputs\[0\] is ndarray, no Input. Write"),
    (lambda: rv.Model({"a": rv.Input((2,))}, {"y": 3}), TypeError, r"outputs\['y'\] is int, not what a layer returned"),
    (lambda: rv.Model(rv.Input((2,)), None), ValueError, "a model needs outputs. Write rv.Model"),
    (lambda: rv.Model([], x6()), ValueError, "a model needs inputs"),
    (lambda: rv.Model({1: rv.Input((2,))}, x6()), TypeError, "Write names as keys"),
    (lambda: rv.Model([x := rv.Input((2,)), x], x * 2), ValueError, "an Input is twice among inputs"),
    (lambda: rv.Model(rv.Input((6,), name="y"), x6()), ValueError,
     r"depend on the Input 'x' \(made at .*test_functional_model.py:\d+\), which is not among the inputs \(y\). Write inputs=\[y, x\]"),
    (two_of_one_name, ValueError, r"2 layers are named 'd' \(made at .*:\d+ and .*:\d+\). Write another name="),
    (lambda: two_heads()(A), TypeError, r"takes 2 input\(s\) and was given 1. Write model\(\[a, b\]\)"),
    (lambda: two_heads()({"a": A, "c": B}), TypeError, r"was given the inputs \['a', 'c'\]. Write \{'a': ..., 'b': ...\}"),
    (lambda: torch.nn.Conv1d(6, 2, 1)(rv.Input((6, 3), dtype="float64")), ValueError,
     r"float64 meets float32. Write .astype\('float32'\) .*or rv.set_dtype\('float64'\)"),
    (lambda: rv.layers.BatchNormalization(center=False, scale=False)(rv.Tensor(A, dtype="float64"), training=True),
     ValueError, r"float.. meets float"),
    (lambda: residual()(A[:, :2]), ValueError, r"'x' .*cannot take float32\[40,2\]: it takes \(batch, 6\)"),
    (lambda: two_heads().get_layer("x"), ValueError, "has no layer 'x'. Write one of a, b, "),
    (lambda: two_heads().get_layer(index=9), ValueError, "and none at 9"),
    (lambda: two_heads().get_layer(), ValueError, "takes a name or an index"),
    (lambda: rv.layers.Lambda(lambda x: None)(x6()), TypeError, "returned None. Write a forward that returns a tensor"),
    (lambda: type("Net", (rv.Model,), {"call": branch})(rv.Input((2,)), x6()), TypeError,
     r"Net says in its call what it computes.* super\(\).__init__\(inputs, outputs\) and no call"),
    (lambda: type("Net", (rv.Model,), {"forward": branch})(rv.Input((2,)), x6()), TypeError,
     r"Net says in its forward what it computes.* super\(\).__init__\(inputs, outputs\) and no forward"),
    (lambda: rv.Model(x := rv.Input((2,)), rv.layers.Lambda(lambda v: v)(x)).architecture(), TypeError,
     "a file cannot hold. Write a function with a name"),
]  # fmt: skip


@pytest.mark.parametrize(("mistake", "kind", "words"), MISTAKES)
def test_mistakes_are_reported_with_what_to_write_instead(mistake, kind, words):
    with pytest.raises(kind, match=words):
        mistake()


def test_layers_that_do_not_fit_are_reported_at_the_call_with_what_led_there():
    x = rv.Input((6,), name="pixels")
    y = rv.layers.Dense(4, name="four")(x)
    z = rv.layers.Dense(3, name="three")(x)
    with pytest.raises(ValueError, match=r"cannot take float32\[batch,4\], float32\[batch,3\]") as caught:
        rv.layers.Add(name="sum")([y, z])
    for words in ("Input 'pixels'", "Dense 'four'", "Dense 'three'", "Add 'sum'", "<- does not fit", "made at"):
        assert words in str(caught.value)
    with pytest.raises(ValueError, match="its kernel takes 6 features"):
        rv.Model(x, y).get_layer("four")(y)


# --- files --------------------------------------------------------------------------------------------------------

HOSTILE = [
    (lambda c: c["calls"][1][1].update(tuple=[{"ref": [9, 0]}]), "not the architecture"),
    (lambda c: c["calls"][1][1].update(tuple=[{"ref": [1, 0]}]), "not the architecture"),  # of itself
    (lambda c: c["calls"][1][1].update(tuple=[{"ref": [-1, 0]}]), "-1 as a number of a call"),
    (lambda c: c["calls"][1][1].update(tuple=[{"ref": [True, 0]}]), "True as a number of a call"),
    (lambda c: c["calls"][1][1].update(tuple=[{"value": 1}]), "is called on nothing"),
    (lambda c: c["calls"][1].__setitem__(0, 99), "not the architecture"),
    (lambda c: c["calls"][1].__setitem__(1, {"eval": "1"}), "an argument of kind 'eval'"),
    (lambda c: c["calls"][1].__setitem__(2, {"dict": [["nonsense", {"value": 1}]]}), "not the architecture"),
    (lambda c: c["calls"].pop(), "not the architecture"),
    (lambda c: c["layers"].append({"module": rv.layers.Dense(1).architecture()}), "layers that lead to no output"),
    (lambda c: c["layers"].__setitem__(1, 3), "layers that are none"),
    (lambda c: c.update(outputs={"value": 3}), "not the architecture"),
    (lambda c: c.update(inputs={"list": []}), "a model needs inputs"),
    (lambda c: c.pop("calls"), "not the architecture"),
    (lambda c: c.update(calls=3), "not the architecture"),
]


def plain(config):
    """The configuration in a description, with its mappings as they were given."""

    def opened(value):
        if isinstance(value, list):
            return [opened(v) for v in value]
        if isinstance(value, dict) and set(value) == {"mapping"}:
            return {k: opened(v) for k, v in value["mapping"]}
        return value

    return {key: opened(value) for key, value in config.items()}


def closed(value):
    if isinstance(value, list):
        return [closed(v) for v in value]
    if isinstance(value, dict) and "module" not in value:
        return {"mapping": [[k, closed(v)] for k, v in value.items()]}
    return value


@pytest.mark.parametrize(("spoil", "words"), HOSTILE)
def test_descriptions_that_are_no_network_are_refused(spoil, words):
    description = residual().architecture()
    config = plain(description["config"])
    from_architecture({**description, "config": {k: closed(v) for k, v in config.items()}})
    spoil(config)
    with pytest.raises(ValueError, match=words):
        from_architecture({**description, "config": {k: closed(v) for k, v in config.items()}})


def test_models_within_models_cannot_name_more_calls_than_a_process_can_make():
    def doubled(inner):
        x = rv.Input((1,))
        return rv.Model(x, inner(inner(x)))

    start = rv.Input((1,))
    model = rv.Model(start, rv.layers.ReLU()(start))
    for _ in range(3):
        model = doubled(model)
    description = model.architecture()
    assert from_architecture(description).predict(np.ones((2, 1))).shape == (2, 1)
    for _ in range(30):
        outer = doubled(rv.layers.ReLU()).architecture()
        outer["config"]["layers"][1] = {"module": description}
        description = outer
    with pytest.raises(ValueError, match="more than 100,000 calls of layers"):
        from_architecture(description)


def test_sequences_that_use_a_part_twice_cannot_either():
    words = {"module": rv.layers.ReLU().architecture()}
    for level in range(30):
        pair = {"*": [[words, {"again": level}]]}
        words = {"module": {"class": "Sequential", "name": f"s{level}", "config": pair}}
    with pytest.raises(ValueError, match="more than 100,000 calls of layers"):
        from_architecture(words["module"])


def shared_in_a_chain():
    dense = rv.layers.Dense(6)
    return rv.Sequential([rv.Input((6,)), dense, rv.layers.ReLU(), dense])


def shared_at_two_levels():
    x, dense = rv.Input((6,)), rv.layers.Dense(6)
    inner = rv.Model(x, rv.layers.Dense(3)(dense(x)))
    start = rv.Input((6,))
    return rv.Model(start, inner(start) * inner(dense(start)))


@pytest.mark.parametrize("network", [shared_in_a_chain, shared_at_two_levels])
def test_what_a_network_uses_twice_is_one_in_its_file(network, tmp_path):
    model = network()
    model.save(tmp_path / "model.ranvier")
    loaded = rv.load_model(tmp_path / "model.ranvier")
    assert len(list(loaded.parameters())) == len(list(model.parameters()))
    np.testing.assert_array_equal(loaded.predict(A), model.predict(A))
    for number in (-1, 9, True, None):
        text = json.dumps(model.architecture())
        assert '{"again": ' in text
        with pytest.raises(ValueError, match="not the architecture"):
            from_architecture(json.loads(re.sub(r'{"again": \d+}', json.dumps({"again": number}), text)))


def test_a_deep_network_is_copied_and_saved_without_recursion():
    x = y = rv.Input((2,))
    for _ in range(400):
        y = rv.layers.ReLU()(y)
    model = rv.Model(x, y)
    assert copy.deepcopy(model).predict(A[:, :2]).shape == (N, 2)
    assert len(from_architecture(model.architecture()).layers) == 401


def test_a_process_that_has_described_nothing_reads_a_described_model(tmp_path):
    x = rv.Input((6,))
    model = rv.Model(x, abs(x)[:, ::2] / 3)
    model.save(tmp_path / "model.ranvier")
    program = "import sys, ranvier as rv; print(rv.load_model(sys.argv[1]).output_shape)"
    command = [sys.executable, "-c", program, str(tmp_path / "model.ranvier")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "(None, 3)\n"


def test_symbolic_values_show_the_batch_of_an_input_and_data_may_have_any():
    x, y = rv.Input(batch_shape=(3, 4)), rv.Input((4,))
    values = (
        x + 1,
        rv.ops.sum(x, axis=0),
        rv.ops.reshape(x, (6, 2)),
        rv.layers.Dense(5)(x),
        x + y,
        rv.layers.Dense(2)(x + y),
    )
    assert [v.shape for v in values] == [(3, 4), (4,), (6, 2), (3, 5), (None, 4), (None, 2)]
    model = rv.Model(x, rv.layers.Dense(2)(x))
    for one in (model, rv.models.clone_model(model), rv.Sequential([rv.Input((4,), batch_size=3), rv.layers.Dense(2)])):
        assert (one.input_shape, one.output_shape) == ((3, 4), (3, 2))
        assert one.predict(np.ones((7, 4)), verbose=0).shape == (7, 2)


def test_compute_output_shape_takes_sizes_that_may_be_any():
    layer = rv.layers.Conv2D(5, 3)
    assert layer.compute_output_shape((2, None, 8, 3)) == (2, None, 6, 5)
    assert layer.compute_output_shape((None, 8, 8, 3)) == (None, 6, 6, 5)
    assert not layer.built


def test_models_that_begin_at_what_a_layer_computes(tmp_path):
    """With an Input in its place, and the layers themselves, as in Keras."""
    x = np.linspace(-1, 1, 24, dtype=np.float32).reshape(6, 4)
    given = rv.Input((4,))
    hidden = rv.layers.Dense(5, activation="tanh", name="hidden")(given)
    narrow = rv.layers.Dense(3, name="narrow")(hidden)
    result = rv.layers.Dense(2, name="last")(rv.layers.Concatenate(name="joined")([narrow, hidden]))
    whole, front = rv.Model(given, result), rv.Model(given, {"narrow": narrow, "hidden": hidden})
    parts = front.predict(x)
    back = rv.Model(whole.get_layer("hidden").output, whole.output)
    both = rv.Model({"narrow": narrow, "hidden": hidden}, result)
    assert ([layer.name for layer in back.layers], back.input_shape) == (
        ["hidden_output", "narrow", "joined", "last"], (None, 5),
    )  # fmt: skip
    back.save(tmp_path / "back.ranvier")
    for model, inputs in (
        (back, parts["hidden"]),
        (both, parts),
        (rv.load_model(tmp_path / "back.ranvier"), parts["hidden"]),
    ):
        np.testing.assert_array_equal(model.predict(inputs), whole.predict(x))
    back.compile("sgd", "mse")
    back.fit(parts["hidden"], np.ones((6, 2)), verbose=0, ignore="RV")
    np.testing.assert_array_equal(back.predict(parts["hidden"]), whole.predict(x))  # the layers are the same
    assert whole.get_layer("narrow").output is narrow
    np.testing.assert_array_equal(rv.Model(hidden, hidden)(parts["hidden"]), parts["hidden"])
    with pytest.raises(ValueError, match=r"depend on the Input .* not among the inputs \(narrow_output\)"):
        rv.Model(narrow, result)


def test_operators_of_a_symbolic_value_and_constants(tmp_path):
    """Arrays and tensors are constants of the model, in files too; weights behind one are not trained, with a warning."""
    x, row, table = np.ones((2, 3), np.float32), np.arange(3, dtype=np.float32), rv.layers.Embedding(3, 3)
    given = rv.Input((3,))
    model = rv.Model(given, [row - given, rv.Tensor(row) / given, given @ rv.Tensor(np.diag(row)), row >= given])
    model.save(tmp_path / "model.ranvier")
    for found in (model(x), rv.load_model(tmp_path / "model.ranvier")(x)):
        for part, expected in zip(found, (row - x, row / x, x @ np.diag(row), row >= x), strict=True):
            np.testing.assert_array_equal(part, expected)
    with pytest.warns(UserWarning, match=r"'add.*' is called on a tensor of weights.* as a constant"):
        held = rv.Model(given, table(np.array([0])) + given)
    assert held.count_params() == 0
    before = held.predict(x, verbose=0)
    np.testing.assert_array_equal(before, table.embeddings.numpy()[0] + x)
    trained = rv.Model(given, rv.layers.Dense(1)(held.output))
    trained.compile("sgd", "mse")
    trained.fit(x, np.ones((2, 1)), epochs=2, verbose=0, ignore="RV")
    np.testing.assert_array_equal(held.predict(x, verbose=0), before)


class Positions(rv.Layer):
    """Tokens and their places, as networks for texts of any length add them."""

    def __init__(self, length):
        super().__init__()
        self.tokens, self.places = rv.layers.Embedding(9, 4), rv.layers.Embedding(length, 4)

    def call(self, inputs):
        return self.tokens(inputs) + self.places(rv.ops.arange(0, rv.ops.shape(inputs)[-1], 1))


def test_tables_of_places_of_inputs_of_any_length():
    """A length that may be any is no place out of range; one that is given is."""
    layer, given = Positions(6), rv.Input((None,), dtype="int64")
    model, tokens = rv.Model(given, layer(given)), np.array([[1, 8, 0]])
    expected = layer.tokens.embeddings.numpy()[tokens] + layer.places.embeddings.numpy()[:3]
    np.testing.assert_array_equal(model.predict(tokens, verbose=0), expected)
    with pytest.raises(ValueError, match=r"Embedding\(6, ...\) was given 6, in row 6"):
        model.predict(np.zeros((1, 7)), verbose=0)


def test_inputs_within_further_lists_of_one():
    """As a train_step is given them of batches ``((a, b),)``."""
    model = rv.Model(ends := [rv.Input((2,)), rv.Input((2,))], ends[0] - ends[1])
    a, b = np.ones((3, 2), np.float32), np.zeros((3, 2), np.float32)
    np.testing.assert_array_equal(model(((a, b),)), a)
    np.testing.assert_array_equal(model([{model.input_names[0]: a, model.input_names[1]: b}]), a)
