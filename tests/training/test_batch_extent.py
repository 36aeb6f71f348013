"""Networks and losses that compute with the number of rows of a batch: a program for each size of a batch."""

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
import ranvier.torch.nn.functional as F
from ranvier import engines
from ranvier.torch import nn
from tests.training.batch_programs import PROGRAMS

CHEAP = ["timedist", "vqvae_onehot", "gpt_flat_out", "bert_head", "simclr"]
X, Y = (np.random.default_rng(0).normal(size=(10, 5, n)).astype(np.float32) for n in (3, 2))


@pytest.fixture
def reference():
    engines.set_engine("reference")
    yield
    engines.set_engine(None)


@pytest.mark.parametrize(("name", "engine"), [*((name, "reference") for name in CHEAP), ("timedist", "native")])
def test_fit_is_the_loop(name, engine, reference):
    """Ten rows in batches of four: two programs, whose steps are those of an explicit loop."""
    program, x, y = PROGRAMS[name]
    net, loss = program(torch, nn, F)
    start = {k: v.clone() for k, v in net.state_dict().items()}
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    wanted = []
    for _ in range(2):
        losses = []
        for low in range(0, 10, 4):
            rows = torch.tensor(x[low : low + 4]), torch.tensor(y[low : low + 4])
            optimizer.zero_grad()
            error = loss(net(rows[0]), rows[1])
            error.backward()
            optimizer.step()
            losses += [error.item()] * len(rows[0])
        wanted.append(np.mean(losses))
    weights = {k: v.numpy().copy() for k, v in net.state_dict().items()}
    outputs = np.concatenate([net(torch.tensor(x[low : low + 4])).detach().numpy() for low in range(0, 10, 4)])

    net.load_state_dict(start)
    net.compile(torch.optim.SGD(net.parameters(), lr=0.1), lambda y, out: loss(out, y), engine=engine)
    history = net.fit(x, y, epochs=2, batch_size=4, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(history, wanted, rtol=1e-5)
    for key, value in net.state_dict().items():
        np.testing.assert_allclose(value.numpy(), weights[key], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(net.predict(x, batch_size=4, verbose=0), outputs, rtol=1e-4, atol=1e-6)
    assert np.isfinite(net.evaluate(x, y, batch_size=4, verbose=0))


def flat():
    inputs = rv.Input((5, 3))
    rows = rv.layers.Dense(2)(rv.ops.reshape(inputs, (-1, 3)))
    return rv.Model(inputs, rv.ops.reshape(rows, (-1, 5, 2)))


def test_a_functional_model_is_described_saved_and_copied(tmp_path, reference):
    model = flat()
    assert model.output_shape == (None, 5, 2)
    assert model.layers[2].output.shape == (None, 2)
    wanted = rv.Model(i := rv.Input((5, 3)), rv.layers.Dense(2)(i))
    wanted.set_weights(model.get_weights())
    np.testing.assert_allclose(model.predict(X, batch_size=4, verbose=0), wanted.predict(X, verbose=0), rtol=1e-6)
    model.save(tmp_path / "flat.keras")
    again = rv.models.load_model(tmp_path / "flat.keras")
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
    for both in (model, wanted):
        both.compile("sgd", "mse", metrics=["mae"], engine="reference")
    options = {"batch_size": 4, "shuffle": False, "sample_weight": np.arange(10.0), "validation_split": 0.2}
    found = [both.fit(X, Y, verbose=0, **options).history for both in (model, wanted)]
    assert found[0].keys() == found[1].keys()
    for key, values in found[0].items():
        np.testing.assert_allclose(values, found[1][key], rtol=1e-5)


def test_outputs_with_several_rows_for_each_sample(reference):
    inputs = rv.Input((5, 3))
    model = rv.Model(inputs, rv.layers.Dense(2)(rv.ops.reshape(inputs, (-1, 3))))
    assert model.predict(X, batch_size=4, verbose=0).shape == (50, 2)
    model.compile("sgd", lambda y, out: rv.ops.square(rv.ops.reshape(y, (-1, 2)) - out), engine="reference")
    other = flat()
    other.set_weights(model.get_weights())
    other.compile("sgd", "mse", engine="reference")
    losses = [m.fit(X, Y, batch_size=4, shuffle=False, verbose=0).history["loss"] for m in (model, other)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


@pytest.mark.parametrize("rows", [1680, 3360, 16, 7])
def test_rows_of_a_constant_are_not_those_of_the_samples(rows, reference):
    class Constant(rv.layers.Layer):
        def call(self, x):
            return rv.ops.ones((rows, 3)) * float(x.shape[0] * 1)

    inputs = rv.Input((3,))
    for model in (rv.Sequential([inputs, Constant()]), rv.Model(inputs, Constant()(inputs))):
        assert model.output_shape == (rows, 3)
        with pytest.raises(ValueError, match=rf"returns float32\[{rows},3\]"):
            model.predict(X[:8, 0], verbose=0)


OPEN = {
    "slice": (lambda x: x[:, 1:], (None, None, 3)),
    "length": (lambda x: rv.ops.ones((x.shape[1], 4)) + x[:, :1, :1], (None, None, 4)),
    "joined": (lambda x: rv.ops.reshape(x, (-1, 3)), (None, 3)),
    "added": (lambda x: rv.ops.concatenate([x, rv.ops.ones_like(x[:, :5])], 1), (None, None, 3)),
    "constant": (lambda x: x[:, :1] * rv.ops.ones((6464, 1)), (None, 6464, 3)),
}


@pytest.mark.parametrize("name", OPEN)
def test_sizes_that_follow_an_open_one_are_told_from_constants(name):
    class Sized(rv.layers.Layer):
        def call(self, x):
            return OPEN[name][0](x)

    inputs, fixed = rv.Input((None, 3)), rv.Input((6464, 3))
    assert rv.Model(inputs, Sized()(inputs)).output_shape == OPEN[name][1]
    # A size that is the number that stands for an open one: what is known of that network is another's.
    moved = rv.layers.Permute((2, 1))
    assert moved(inputs).shape == (None, 3, None)
    assert moved(fixed).shape == (None, 3, 6464)
    assert rv.layers.Dense(2)(moved(fixed)).shape == (None, 3, 2)


def test_masks_meet_rows_that_were_joined():
    class Joined(rv.layers.Layer):
        supports_masking = True

        def call(self, x):
            return rv.ops.reshape(rv.ops.reshape(x, (-1, 3)) * 2, (-1, 4, 3))

    class Plain(rv.layers.Layer):
        supports_masking = True

        def call(self, x):
            return x * 2

    ids = np.array([[1, 2, 0, 0], [3, 4, 5, 0], [1, 0, 0, 0], [2, 2, 2, 2], [1, 1, 0, 0]])
    losses, weights = [], None
    for layer in (Joined, Plain):
        inputs = rv.Input((4,), dtype="int32")
        hidden = rv.layers.Embedding(7, 3, mask_zero=True)(inputs)
        model = rv.Model(inputs, rv.layers.Dense(2)(layer()(hidden)))
        weights = weights or model.get_weights()
        model.set_weights(weights)
        model.compile("sgd", "mse", engine="reference")
        losses += model.fit(ids, Y[:5, :4], batch_size=2, shuffle=False, verbose=0).history["loss"]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_tensors_made_in_forward_begin_anew_in_each_step():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 1)
            self.register_buffer("steps", torch.zeros(()))

        def forward(self, x):
            made = torch.zeros(2)
            made[0] += x.mean()
            self.steps.add_(1)
            return self.layer(x) * 0 + made.sum()

    net = Counting()
    net.compile("sgd", lambda y, out: out.mean(), engine="reference")
    history = net.fit(np.ones((8, 3)), np.zeros((8, 1)), batch_size=4, epochs=2, verbose=0).history
    assert history["loss"] == [1, 1]
    assert net.steps.item() == 4


@pytest.mark.parametrize("call", [
    lambda x, at: torch.gather(x, 1, at),
    lambda x, at: torch.zeros(x.shape[0], 3).scatter_(1, at, 1),
    lambda x, at: torch.zeros(x.shape[0], 3).scatter_(1, at, x[:, :1]),
    lambda x, at: torch.zeros(x.shape[0], 3).scatter_add(1, at, x[:, :1]),
    lambda x, at: x[torch.arange(x.shape[0]), at[:, 0]][:, None],
    lambda x, at: x[torch.arange(x.shape[0])[:, None], at],
    lambda x, at: x.T[at[:, 0] - 3, torch.arange(x.shape[0])][:, None],
    lambda x, at: torch.stack([x, -x], 1)[torch.arange(x.shape[0])[:, None], :, at].flatten(1),
    lambda x, at: torch.topk(x, 2).values,
    lambda x, at: torch.topk(x, 2, largest=False).indices.float(),
])  # fmt: skip
def test_indices_that_are_computed(call, reference):
    class Net(nn.Module):
        def forward(self, x):
            return call(x, torch.argmin(x, 1, keepdim=True))

    net, x = Net(), X[:4, 0]
    np.testing.assert_array_equal(net.predict(x, verbose=0), net(torch.tensor(x)).numpy())


@pytest.mark.parametrize(("call", "words"), [
    (lambda x: x.reshape(-1, 4), r"\[2520,4\] for 3360 samples. Write a forward that returns one tensor with a row"),
    (lambda x: x.reshape(x.shape[0] * 2, 3), r"cannot reshape \(3360, 3\)"),
    (lambda x: x + torch.ones(4, 3), r"\(batch, 3\) and \(4, 3\)"),
])  # fmt: skip
def test_what_does_not_fit_is_reported(call, words):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x):
            return call(self.layer(x))

    net = Net()
    net.compile("sgd", "mse")
    with pytest.raises(ValueError, match=words):
        net.fit(X[:, 0], X[:, 1], batch_size=4, verbose=0)
