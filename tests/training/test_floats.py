"""A model computes in the floats that it was made in, whatever the process's are by then."""

import copy
from typing import Any

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier import explain, layers
from ranvier.pictures.histograms import layer_outputs
from ranvier.tensor.call_state import call_state
from ranvier.tensor.context import dtype_scope, get_dtype

X = np.random.default_rng(0).random((24, 6, 6, 1)).astype(np.float32)
Y = np.arange(24) % 3


def made() -> Any:
    rv.set_seed(0)
    model = rv.Sequential([
        rv.Input((6, 6, 1)), layers.Conv2D(2, 3, name="maps"), layers.BatchNormalization(), layers.Flatten(),
        layers.Dense(3, activation="softmax")])  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def trained(model: Any) -> Any:
    model.fit(X, Y, verbose=0, epochs=2, batch_size=8, validation_split=0.25)
    return model.get_weights()


def mostly_right(model: Any) -> Any:
    return (model.predict(X).argmax(1) + (np.arange(24) % 3 == 0)) % 3


USES: dict[str, Any] = {
    "call": lambda m: m(X).numpy(),
    "call on a list": lambda m: m(X.tolist()).numpy(),
    "predict": lambda m: m.predict(X),
    "predict again": lambda m: [m.predict(X), m.predict(X)],
    "predict with callbacks": lambda m: m.predict(X, callbacks=[rv.callbacks.Callback()]),
    "evaluate": lambda m: m.evaluate(X, Y, verbose=0),
    "fit": trained,
    "train_on_batch": lambda m: [m.train_on_batch(X, Y), *m.get_weights()],
    "check": lambda m: len(m.check(X, Y).findings),
    "a copy": lambda m: copy.deepcopy(m).predict(X),
    "saliency": lambda m: explain.saliency(m, X),
    "smooth_grad": lambda m: explain.smooth_grad(m, X, samples=2, seed=0),
    "integrated_gradients": lambda m: explain.integrated_gradients(m, X, steps=2),
    "grad_cam": lambda m: explain.grad_cam(m, X),
    "occlusion": lambda m: explain.occlusion(m, X),
    "scores": lambda m: explain.scores(m, X),
    "calibrate": lambda m: rv.calibration.calibrate(m, X, mostly_right(m)).predict(X),
    "find_learning_rate": lambda m: rv.find_learning_rate(m, X, Y, steps=10, batch_size=8).losses,
    "activations": lambda m: list(layer_outputs(m, X).values()),
}


def test_what_is_no_data_leaves_no_trace():
    model = made()
    with pytest.raises(TypeError, match="a tensor cannot hold"):
        model(np.array(["a"]))
    assert call_state.results is None


@pytest.mark.parametrize("name", USES)
@pytest.mark.parametrize(("own", "process"), [("float64", "float32"), ("float32", "float64")])
def test_a_model_computes_in_its_own_floats(name, own, process):
    with dtype_scope(own):
        expected = USES[name](made())
        model = made()
    with dtype_scope(process):
        found = USES[name](model)
        assert get_dtype() == process
    pairs = zip(found, expected, strict=True) if isinstance(found, list) else [(found, expected)]
    for mine, theirs in pairs:
        np.testing.assert_array_equal(mine, theirs)
        assert np.asarray(mine).dtype == np.asarray(theirs).dtype


@pytest.mark.parametrize("form", ["float64", np.float64, "float32"])
def test_a_layer_computes_in_its_dtype(form, tmp_path):
    name = np.dtype(form).name
    layer = layers.Dense(3, activation="tanh", dtype=form)
    model = rv.Sequential(
        [rv.Input((36,)), layer, layers.BatchNormalization(dtype=form), layers.Dense(1, dtype="float32")]
    )
    assert (layer.dtype, layer.compute_dtype, layer.kernel.dtype, model.layers[1].moving_mean.dtype) == (name,) * 4
    model.compile("adam", "mse")
    flat = X.reshape(24, 36)
    model.fit(flat, Y[:, None], verbose=0, ignore="RV")
    assert layer(flat).dtype == name
    assert model.predict(flat).dtype == np.float32
    model.save(tmp_path / "m.rv")
    for copied in (rv.load_model(tmp_path / "m.rv"), rv.models.clone_model(model)):
        assert [w.dtype for w in copied.weights] == [w.dtype for w in model.weights]
    np.testing.assert_array_equal(rv.load_model(tmp_path / "m.rv").predict(flat), model.predict(flat))


def two_outputs(inputs: Any) -> Any:
    return [layers.Dense(1, dtype="float64", name="a")(inputs), layers.Dense(1, name="b")(inputs)]


def penalized(inputs: Any) -> Any:
    wide = layers.Dense(1, dtype="float64", kernel_regularizer="l2", name="a")(inputs)
    return [wide, layers.Dense(1, kernel_regularizer="l2", name="b")(inputs)]


@pytest.mark.parametrize("made_of", [two_outputs, penalized])
@pytest.mark.parametrize("options", [{}, {"global_clipnorm": 0.01}], ids=repr)
def test_floats_of_both_kinds_in_one_network(made_of, options):
    # In float64 throughout the weights are the same but for rounding.
    flat, target, weights = X.reshape(24, 36), Y[:, None].astype(np.float32), []
    for name in ("float32", "float64"):
        with dtype_scope(name):
            rv.set_seed(0)
            inputs = rv.Input((36,))
            model = rv.Model(inputs, made_of(inputs))
            model.set_weights([np.full(w.shape, 0.1) for w in model.weights])
            model.compile(rv.optimizers.SGD(0.1, **options), ["mse", "mse"])
            model.fit(flat, [target, target], verbose=0, shuffle=False, ignore="RV")
            loss = model.evaluate(flat, [target, target], verbose=0)[0]
            weights.append([loss, *model.get_weights()])
    assert [w.dtype for w in weights[0][1:]] == ["float64"] * 2 + ["float32"] * 2
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)


@pytest.mark.parametrize("by", ["optimizer", "clip_grad_norm_"])
def test_the_global_norm_is_of_gradients_of_both_kinds(by):
    a, b = (rv.Tensor([0.0], dtype=form, requires_grad=True) for form in ("float32", "float64"))
    a.grad, b.grad = rv.Tensor([3.0], dtype="float32"), rv.Tensor([4.0], dtype="float64")
    if by != "optimizer":
        assert torch.nn.utils.clip_grad_norm_([a, b], 1.0).item() == pytest.approx(5.0)
        assert (a.grad.dtype, b.grad.dtype) == ("float32", "float64")
    rv.optimizers.SGD(1.0, global_clipnorm=1.0 if by == "optimizer" else None).attach([a, b]).step()
    np.testing.assert_allclose([a.item(), b.item()], [-0.6, -0.8], rtol=1e-6)


OWN = [  # layers with weights, and the shape of a sample
    (lambda: layers.Dense(2, activation="relu"), (4,)),
    (lambda: layers.Conv1D(2, 2), (6, 4)),
    (lambda: layers.Conv2D(2, 2, data_format="channels_first"), (4, 6, 6)),
    (lambda: layers.Conv2DTranspose(2, 2), (6, 6, 4)),
    (lambda: layers.DepthwiseConv2D(2), (6, 6, 4)),
    (lambda: layers.SeparableConv2D(2, 2), (6, 6, 4)),
    (layers.BatchNormalization, (6, 4)),
    (layers.LayerNormalization, (6, 4)),
    (layers.RMSNormalization, (6, 4)),
    (lambda: layers.GroupNormalization(2), (6, 4)),
    (layers.PReLU, (4,)),
]


@pytest.mark.parametrize(("make", "shape"), OWN, ids=lambda value: getattr(value, "__name__", str(value)))
@pytest.mark.parametrize("process", ["float32", "float64"])
def test_a_layer_with_weights_computes_in_their_floats_whatever_it_is_given(make, shape, process):
    other = "float64" if process == "float32" else "float32"
    with dtype_scope(process):
        layer, given = make(), np.random.default_rng(1).normal(size=(5, *shape)).astype(other)
        expected = layer(given)
        wide = rv.Tensor(given, dtype=other)
        for training in (False, True):
            result = layer(wide, training=training)
            assert (wide.dtype, result.dtype, result.requires_grad) == (other, process, True)
            if not training:
                np.testing.assert_array_equal(result.numpy(), expected.numpy())
        before = layers.Identity(dtype=other)
        model = rv.Sequential([rv.Input(shape), before, make(), layers.Flatten(), layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(given, given.reshape(5, -1)[:, :1], verbose=0, ignore="RV")
        assert {w.dtype for w in model.weights} == {process}
