"""One explained step: the numbers of the real step to the last bit, and gradients that finite differences confirm."""

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier import layers
from ranvier.torch import nn

X = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
Y = np.array([0, 1, 2, 1, 0])


def network(*middle, last="softmax"):
    rv.set_seed(1)
    return rv.Sequential([rv.Input((3,)), layers.Dense(4, "tanh"), *middle, layers.Dense(3, last)])


MODELS = {
    "dense": network,
    "many": lambda: network(layers.BatchNormalization(), layers.Dropout(0.3), layers.Dense(4, kernel_regularizer="l2"), layers.Activation("relu")),
    "lstm": lambda: network(layers.Reshape((2, 2)), layers.LSTM(2)),
    "frozen": lambda: network(layers.Dense(4, "relu", trainable=False)),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_the_numbers_are_those_of_train_on_batch(name):
    model = MODELS[name]()
    model.compile(rv.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    for _ in range(2):
        before = model.get_weights()
        step = model.explain_step(X, Y)
        assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
        assert step.loss == model.train_on_batch(X, Y)
        after = {layer.name: layer.weights for layer in step.layers}
        for layer in model.layers:
            for own in ("kernel", "bias", "gamma", "moving_mean"):
                tensor = getattr(layer, own, None)
                if tensor is not None:
                    np.testing.assert_array_equal(after[layer.name][own].after, tensor.numpy())
    assert "LSTM" not in [type(layer).__name__ for layer in model.layers] or [x.kind for x in step.layers][2] == "LSTM"


def test_the_numbers_are_those_of_pytorchs_loop(engine):
    rv.set_seed(0)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(3, 4), nn.Linear(4, 3)

        def forward(self, x):
            return self.fc2(torch.relu(self.fc1(x)))

    model, loss = Net(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(2):
        step = model.explain_step(X, Y, loss=loss, optimizer=optimizer)
        optimizer.zero_grad()
        value = loss(model(torch.tensor(X)), torch.tensor(Y))
        value.backward()
        optimizer.step()
        assert step.loss == value.item()
        for name in ("fc1", "fc2"):
            weight, layer = getattr(model, name).weight, step[name]
            np.testing.assert_array_equal(layer.weights["weight"].after, weight.detach().numpy())
            np.testing.assert_array_equal(layer.weights["weight"].gradient, weight.grad.numpy())
            np.testing.assert_allclose(layer.inputs @ layer.matrix + layer.bias, layer.sums, rtol=1e-5, atol=1e-6)
    assert [layer.activation for layer in step.layers] == ["relu", None]


def test_each_product_of_the_chain_rule(float64):
    model = network(layers.Dense(5, "sigmoid"), last=None)
    model.compile("sgd", "mse")
    x, y = X.astype(float), np.random.default_rng(1).standard_normal((5, 3))
    step = model.explain_step(x, y)
    first, second, last = step.layers
    assert [layer.activation for layer in step.layers] == ["tanh", "sigmoid", None]
    np.testing.assert_allclose(first.slopes, 1 - np.tanh(first.sums) ** 2)
    for layer, following in ((first, second), (second, last)):
        assert step.fed_by(layer) is following
        np.testing.assert_allclose(step.delta_products(layer).sum(2), layer.output_gradients)
        np.testing.assert_allclose(layer.output_gradients * layer.slopes, layer.deltas)
    np.testing.assert_allclose(last.deltas, 2 / 15 * (last.outputs - y))
    for layer, own in zip(step.layers, model.layers, strict=True):
        np.testing.assert_allclose(layer.products.sum(1) + layer.bias, layer.sums)
        np.testing.assert_allclose(layer.gradient_products.sum(0), layer.weights["kernel"].gradient)
        kernel = own.kernel.numpy().copy()
        for place in ((0, 0), (2, 1)):
            losses = []
            for sign in (1, -1):
                moved = kernel.copy()
                moved[place] += sign * 1e-6
                own.kernel.assign(moved)
                losses.append(model.evaluate(x, y, verbose=0))
            own.kernel.assign(kernel)
            difference = (losses[0] - losses[1]) / 2e-6
            np.testing.assert_allclose(layer.weights["kernel"].gradient[place], difference, rtol=1e-6, atol=1e-9)


def test_one_sample_and_layers_without_neurons():
    rv.set_seed(0)
    model = rv.Sequential([
        rv.Input((6, 6, 1)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(2, "softmax")
    ])  # fmt: skip
    model.compile("sgd", "sparse_categorical_crossentropy", engine="reference")
    image = np.random.default_rng(0).random((6, 6, 1))
    step = model.explain_step(image, 1)
    convolution, flatten, dense = step.layers
    assert convolution.output_gradients.shape == convolution.outputs.shape == (1, 4, 4, 4)
    np.testing.assert_array_equal(flatten.output_gradients, convolution.output_gradients.reshape(1, -1))
    np.testing.assert_allclose(dense.deltas, dense.outputs - [[0, 1]], atol=1e-6)
    assert dense.output_gradients is None  # the loss takes the sums
    with pytest.raises(TypeError, match=r"'conv2d\w*' \(Conv2D\) is not dense"):
        convolution.products
    text = str(step)
    assert "... 120 more" in text
    assert "sum of 64 products" in text
    assert "sparse_categorical_crossentropy = " in text
    assert step._repr_html_().count("<table>") == 6
    functional = rv.Model(inputs := rv.Input((6, 6, 1)), model(inputs))
    functional.compile("sgd", "sparse_categorical_crossentropy", engine="reference")
    assert functional.explain_step(image, 1).loss == step.loss


def test_layers_within_layers_show_their_weights_and_linear_is_no_activation():
    model = rv.Sequential([rv.Input((3, 2)), layers.GRU(3), layers.Dense(1, "linear")])
    model.compile("sgd", "mse", engine="reference")
    step = model.explain_step(np.ones((3, 2)), 1.0)
    assert list(step.layers[0].weights) == ["cell.kernel", "cell.recurrent_kernel", "cell.bias"]
    assert (step.layers[1].activation, step.layers[1].slopes) == (None, None)
    assert "gru.cell.recurrent_kernel (3, 9)" in str(step).replace(model.layers[0].name, "gru")


def test_a_small_network_is_written_out():
    model = rv.Sequential([rv.Input((2,)), layers.Dense(1, "relu", kernel_initializer="ones", name="[red]")])
    model.compile(rv.optimizers.SGD(0.5), "mse", engine="reference")
    text = " ".join(str(model.explain_step([2.0, -1.0], 3.0)).split())
    for part in ("[red] (Dense, relu)", "2 * 1 + (-1) * 1 + 0 1 1", "mse = 4 for the target 3",
                 "0 -4 1 -4", "[0, 0] 1 2 * (-4) -8 5", "[1, 0] 1 (-1) * (-4) 4 -1", "[0] 0 (-4) -4 2"):  # fmt: skip
        assert part in text


def test_what_cannot_be_explained_is_refused():
    model = network()
    with pytest.raises(RuntimeError, match=r"is not compiled.*Write model.compile"):
        model.explain_step(X, Y)
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    with pytest.raises(TypeError, match="has a step of its own"):
        model.explain_step(X, Y)
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="3"):
        model.explain_step(X, Y + 1)
    with pytest.raises(TypeError, match="explain_step"):
        model.explain_step(X, Y, rate=1)
