"""Recurrent layers: masks, states, what dropout drops, cells of your own, and what is refused."""

import copy
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import layers
from tests.layers.recurrent_rows import FRAMES, SERIES

LONG = np.random.default_rng(5).normal(size=(4, 6, 2)).astype(np.float32)
LENGTHS = [6, 3, 1, 0]
MASK = np.arange(6) < np.array(LENGTHS)[:, None]


@pytest.fixture(autouse=True)
def reference():
    before = rv.get_engine()
    rv.set_engine("reference")
    yield
    rv.set_engine(before)


class Decay(layers.Layer):
    """A cell whose output is not its state."""

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.state_size = self.output_size = units

    def build(self, input_shape: Any) -> None:
        self.w = self.add_weight((input_shape[-1], self.state_size), "glorot_uniform", name="w")

    def call(self, inputs: Any, states: Any) -> Any:
        h = 0.5 * states[0] + rv.ops.matmul(inputs, self.w)
        return rv.ops.tanh(h), [h]


class Sum:
    """A cell that is no layer."""

    state_size = 2

    def call(self, inputs: Any, states: Any) -> Any:
        return inputs + states[0], [inputs + states[0]]


MADE = {
    "lstm": lambda **o: layers.LSTM(3, **o),
    "gru": lambda **o: layers.GRU(3, **o),
    "stacked": lambda **o: layers.RNN([layers.GRUCell(2), layers.LSTMCell(3, implementation=1)], **o),
    "own": lambda **o: layers.RNN(Decay(3), **o),
    "no layer": lambda **o: layers.RNN(Sum(), **o),
}


@pytest.mark.parametrize("name", MADE)
def test_a_masked_sequence_is_a_shorter_one(name):
    rv.set_engine("native")  # whose bits do not depend on the number of rows, as those of NumPy's products may
    layer, each = MADE[name](), MADE[name](return_sequences=True)
    zeros = MADE[name](return_sequences=True, zero_output_for_mask=True, return_state=True)
    last = layer(LONG, mask=MASK).numpy()
    for other in (each, zeros):
        other.build((None, 6, 2))
        other.set_weights(layer.get_weights())
    steps, padded = each(LONG, mask=MASK).numpy(), zeros(LONG, mask=MASK)[0].numpy()
    for i, n in enumerate(LENGTHS):
        alone = each(LONG[i : i + 1, :n])[0].numpy() if n else np.zeros((0, last.shape[1]))
        held = np.repeat(alone[-1:] if n else np.zeros((1, last.shape[1])), 6 - n, 0)
        np.testing.assert_array_equal(steps[i], np.concatenate([alone, held]))
        np.testing.assert_array_equal(padded[i], np.concatenate([alone, 0 * held]))
        np.testing.assert_array_equal(last[i], steps[i, -1])


def test_more_padding_changes_no_bit():
    x = rv.Input((None,), dtype="int32")
    h = layers.Embedding(5, 3, mask_zero=True)(x)
    y = layers.Dense(2)(
        layers.Bidirectional(layers.GRU(3))(layers.Bidirectional(layers.LSTM(2, return_sequences=True))(h))
    )
    model = rv.Model(x, y)
    tokens = np.array([[1, 4, 2, 0], [3, 0, 0, 0]], np.int32)
    want = model.predict(tokens, verbose=0)
    np.testing.assert_array_equal(model.predict(np.pad(tokens, ((0, 0), (0, 5))), verbose=0), want)


def test_states_are_given_and_returned():
    layer = layers.LSTM(3, return_state=True)
    whole, *_ = layer(LONG)
    _, *states = layer(LONG[:, :4])
    np.testing.assert_array_equal(layer(LONG[:, 4:], initial_state=states)[0].numpy(), whole.numpy())
    x, h, c = rv.Input((2, 2)), rv.Input((3,)), rv.Input((3,))
    model = rv.Model([x, h, c], layer(x, initial_state=[h, c])[0])
    given = [s.numpy() for s in states]
    np.testing.assert_array_equal(model.predict([LONG[:, 4:], *given], verbose=0), whole.numpy())


@pytest.mark.filterwarnings("ignore:RV501")  # the layer before the last hardly learns
@pytest.mark.parametrize("name", ["lstm", "stacked"])
def test_a_stateful_layer_goes_on_where_the_last_batch_ended(name):
    whole = rv.Sequential([rv.Input((6, 2)), MADE[name](return_sequences=True)])
    model = rv.Sequential([rv.Input(batch_shape=(4, 2, 2)), MADE[name](return_sequences=True, stateful=True)])
    model.set_weights(whole.get_weights())
    want = np.concatenate(np.split(whole.predict(LONG, verbose=0), 3, 1))
    parts = np.concatenate(np.split(LONG, 3, 1))
    layer, twin = model.layers[0], copy.deepcopy(model)
    np.testing.assert_array_equal(model.predict(parts, batch_size=4, verbose=0), want)
    assert (model.predict(parts, batch_size=4, verbose=0) != want).any()
    layer.reset_state()
    np.testing.assert_array_equal(np.concatenate([model(parts[i : i + 4]).numpy() for i in (0, 4, 8)]), want)
    layer.reset_states()
    model.compile(rv.optimizers.SGD(1e-6), "mse")
    targets = np.random.default_rng(0).normal(size=want.shape).astype(np.float32)
    loss = model.fit(parts, targets, batch_size=4, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(loss, [((want - targets) ** 2).mean()], rtol=1e-4)
    np.testing.assert_array_equal(twin.predict(parts, batch_size=4, verbose=0), want)
    with pytest.raises(ValueError, match="keeps states of 4 samples and was given a batch of 3"):
        model.predict(parts[:3], verbose=0)
    with pytest.raises(ValueError, match="keeps states of 4 samples and was given a batch of 3"):
        model(parts[:3])


@pytest.mark.parametrize("recurrent", [0.0, 0.5])
def test_dropout_drops_the_same_in_all_steps(recurrent):
    layer = layers.SimpleRNN(40, "linear", False, "ones", "identity", dropout=0.5, recurrent_dropout=recurrent)
    layer.train()
    x = np.ones((50, 3, 1), np.float32)
    y = layer(x).numpy()
    if recurrent:  # h3 = 2 k (2 r (2 k r + 2 k) ...): a state that is dropped once is dropped in all steps
        assert set(np.unique(y)) <= {0.0, 2.0, 14.0}
    else:
        assert set(np.unique(y)) == {0.0, 6.0}
        assert (y == y[:, :1]).all()
    assert (layer(x).numpy() != y).any(), "each call drops others"
    assert (layer(x, training=False).numpy() == 3).all()


@pytest.mark.parametrize("make", [layers.LSTM, layers.GRU])
def test_with_recurrent_dropout_each_gate_drops_its_own(make):
    rv.set_seed(0)
    layer = make(8, dropout=0.2, recurrent_dropout=0.3)
    first = layer(SERIES, training=True).numpy()
    rv.set_seed(0)
    twin = make(8, dropout=0.2, recurrent_dropout=0.3)
    np.testing.assert_array_equal(twin(SERIES, training=True).numpy(), first)
    assert (layer(SERIES).numpy() != first).any()


def test_the_arguments_of_a_cell_are_attributes_of_its_layer():
    layer = layers.LSTM(3, dropout=0.1, implementation=1, kernel_regularizer="l2", name="memory")
    assert (layer.units, layer.dropout, layer.unit_forget_bias) == (3, 0.1, True)
    layer(SERIES)
    assert [w.name for w in layer.weights] == ["kernel", "recurrent_kernel", "bias"]
    np.testing.assert_array_equal(layer.cell.bias.numpy(), [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    assert len(layer.losses) == 1
    assert repr(layer).startswith("LSTM(")
    frozen = layers.Bidirectional(layers.LSTM(3), trainable=False)
    frozen(SERIES)
    assert (len(frozen.trainable_weights), len(frozen.non_trainable_weights)) == (0, 6)


def test_a_layer_that_assigns_runs_step_by_step():
    whole, alone = (
        layers.TimeDistributed(layers.BatchNormalization(momentum=0.5)),
        layers.BatchNormalization(momentum=0.5),
    )
    got = whole(LONG, training=True).numpy()
    want = np.stack([alone(LONG[:, t], training=True).numpy() for t in range(6)], 1)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(whole.layer.moving_mean.numpy(), alone.moving_mean.numpy(), rtol=1e-6)

    class Normalized(layers.GRUCell):
        def __init__(self, units: int) -> None:
            super().__init__(units)
            self.normalization = layers.BatchNormalization()

        def call(self, inputs: Any, states: Any) -> Any:
            return super().forward(self.normalization(inputs), states)

    model = rv.Sequential([rv.Input((6, 2)), layers.RNN(Normalized(3)), layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(LONG, LONG[:, 0, :1], verbose=0)
    assert model.layers[0].cell.normalization.moving_mean.numpy().any()


def test_a_layer_at_each_step_draws_for_each():
    layer = layers.TimeDistributed(layers.Dropout(0.5))
    y = layer(np.ones((2, 6, 5), np.float32), training=True).numpy()
    assert (y[:, 1:] != y[:, :-1]).any()


def test_a_last_state_of_an_odd_number_of_steps_is_flattened():
    model = rv.Sequential([rv.Input(FRAMES.shape[1:]), layers.ConvLSTM2D(2, 2), layers.Flatten(), layers.Dense(3)])
    want = model.predict(FRAMES, verbose=0)
    rv.set_engine("native")
    np.testing.assert_allclose(model.predict(FRAMES, verbose=0), want, rtol=1e-5, atol=1e-6)


class Wrong:
    state_size = 2


NOT: Any = layers.Dense(2)
REFUSED: dict[str, Any] = {  # what is written, and the error
    "rank": (lambda: layers.LSTM(3)(SERIES[0]), r"it takes 3 dimensions, \(batch, steps, features\), and there are 2"),
    "rank of images": (lambda: layers.ConvLSTM2D(3, 2)(FRAMES[0]), r"it takes 5 dimensions, \(batch, steps, height, width"),
    "no step": (lambda: layers.GRU(3)(SERIES[:, :0]), "its sequences have 0 steps"),
    "other features": (lambda: (m := layers.GRU(3), m(SERIES), m(SERIES[..., :3])), "takes 4 features at each step"),
    "state of another batch": (
        lambda: layers.LSTM(3, name="memory")(SERIES, initial_state=[np.zeros((3, 3))] * 2),
        r"'memory' was given an initial_state of shapes \(3, 3\), \(3, 3\) for .* Write states of shapes \(2, 3\), \(2, 3\)",
    ),
    "one state of two": (lambda: layers.LSTM(3)(SERIES, initial_state=np.zeros((2, 3))), "Write states of shapes"),
    "mask": (lambda: layers.LSTM(3)(SERIES, mask=MASK), r"a mask of shape \(4, 6\) .* Write one of shape \(2, 3\)"),
    "no cell": (lambda: layers.RNN(Wrong()), r"no method call\(inputs, states\)"),
    "a layer": (lambda: layers.RNN(NOT), "has no state_size"),
    "units": (lambda: layers.LSTM(0), "units of layer"),
    "dropout": (lambda: layers.LSTM(3, dropout=1.5), "Write a fraction from 0"),
    "samples": (lambda: rv.Sequential([rv.Input((5, 2)), layers.GRU(3, stateful=True)]), r"Input\(batch_shape=\(32,"),
    "merge": (lambda: layers.Bidirectional(layers.LSTM(3), "max"), "Write one of 'concat', 'sum'"),
    "one way": (lambda: layers.Bidirectional(layers.LSTM(3), backward_layer=layers.LSTM(3)), "go_backwards=True in"),
    "not recurrent": (lambda: layers.Bidirectional(NOT), r"Write a recurrent layer, LSTM\(8\), instead"),
    "unequal": (
        lambda: layers.Bidirectional(layers.LSTM(3), backward_layer=layers.GRU(3, go_backwards=True, return_sequences=True)),
        "return_sequences=False and True",
    ),
    "strides": (lambda: layers.ConvLSTM1D(3, 2, strides=2, dilation_rate=2), "Write 1 for one of them"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    call, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        call()
