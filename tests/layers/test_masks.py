"""Masks from layer to layer, in losses and in metrics."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import layers
from ranvier.tensor.masks import mask_of, set_mask
from ranvier.tensor.tensor import Tensor

TOKENS = np.array([[1, 2, 0, 0], [3, 0, 0, 0], [4, 1, 1, 2]], np.int32)
KEPT = TOKENS != 0
X = np.random.default_rng(3).normal(size=(3, 4, 5)).astype(np.float32)
IMAGES = X.reshape(3, 4, 5, 1)


@pytest.fixture
def reference() -> Iterator[None]:
    rv.set_engine("reference")
    yield
    rv.set_engine(None)


def masked(x: Any = X, mask: Any = KEPT) -> Tensor:
    return set_mask(Tensor(x), mask)


def embedded() -> layers.Embedding:
    return layers.Embedding(6, 5, mask_zero=True)


LAYERS: dict[str, Any] = {  # the layer, its input, and the mask of its output
    "dense": (lambda: layers.Dense(2), X, KEPT),
    "dropout": (lambda: layers.Dropout(0.5), X, KEPT),
    "activation": (lambda: layers.Activation("tanh"), X, KEPT),
    "layer norm": (layers.LayerNormalization, X, KEPT),
    "batch norm": (layers.BatchNormalization, X, KEPT),
    "float64": (lambda: layers.Dense(2, dtype="float64"), X, KEPT),
    "mean of steps": (layers.GlobalAveragePooling1D, X, None),
    "flatten": (layers.Flatten, X, None),
    "largest step": (layers.GlobalMaxPooling1D, X, None),
    "lambda": (lambda: layers.Lambda(lambda x: x * 2), X, None),
    "lambda with a mask": (lambda: layers.Lambda(lambda x: x * 2, mask=lambda x, m: ~m), X, ~KEPT),
    "lambda that takes it": (lambda: layers.Lambda(lambda x, mask: x * mask[:, :, None], mask=KEPT), X, KEPT),
    "masking": (lambda: layers.Masking(1.5), np.where(KEPT[:, :, None], X, np.float32(1.5)), KEPT),
    "embedding": (embedded, TOKENS, KEPT),
    "embedding without": (lambda: layers.Embedding(6, 5), TOKENS, None),
    "reversible": (lambda: layers.ReversibleEmbedding(6, 5, mask_zero=True), TOKENS, KEPT),
    "steps": (lambda: layers.TimeDistributed(layers.Dense(2)), X, KEPT),
    "steps of images": (lambda: layers.TimeDistributed(layers.Conv1D(2, 3)), IMAGES, KEPT),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_mask_of_the_output(name: str, reference: None) -> None:
    make, x, wanted = LAYERS[name]
    given = Tensor(x) if "embedding" in name or "reversible" in name or name == "masking" else masked(x)
    layer = make()
    if name in ("flatten", "largest step", "lambda", "embedding without") and mask_of(given) is not None:
        with pytest.warns(UserWarning, match=r"was given inputs with a mask.*Write supports_masking"):
            found = mask_of(layer(given))
    else:
        found = mask_of(layer(given))
    assert (found is None) if wanted is None else np.array_equal(found.numpy(), wanted)


def test_values_of_layers_that_take_it(reference: None) -> None:
    mean = layers.GlobalAveragePooling1D()(masked()).numpy()
    np.testing.assert_allclose(mean, [x[m].mean(0) for x, m in zip(X, KEPT, strict=True)], rtol=1e-5)
    nothing = layers.GlobalAveragePooling1D()(masked(mask=np.zeros_like(KEPT))).numpy()
    assert not nothing.any()  # a sample without a step
    norm = layers.BatchNormalization(momentum=0.0)
    norm.train()
    norm(masked())
    np.testing.assert_allclose(norm.moving_mean.numpy(), X[KEPT].mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(norm.moving_variance.numpy(), X[KEPT].var(0), rtol=1e-4)
    assert not layers.Masking(1.5)(np.full((1, 2, 3), 1.5, np.float32)).numpy().any()
    with pytest.raises(ValueError, match=r"a mask of shape \(3,\) .*Write a mask of all dimensions but the last"):
        norm(X, mask=np.ones(3, bool))
    with pytest.raises(ValueError, match=r"a mask of shape \(3, 2\) .*Write one of shape \(3, 4\)"):
        layers.TimeDistributed(layers.Dense(2))(X, mask=np.ones((3, 2), bool))


MERGING = [  # in NumPy, of two inputs with the masks a and b
    (layers.Add(), lambda x, y, a, b: x + y),
    (layers.Multiply(), lambda x, y, a, b: np.where(a | b, np.where(a, x, 1) * np.where(b, y, 1), 0)),
    (layers.Maximum(), lambda x, y, a, b: np.maximum(np.where(a, x, np.where(b, y, x)), np.where(b, y, x))),
    (layers.Minimum(), lambda x, y, a, b: np.minimum(np.where(a, x, np.where(b, y, x)), np.where(b, y, x))),
]


@pytest.mark.parametrize(("layer", "value"), MERGING, ids=lambda row: getattr(row, "name", None))
def test_merged_inputs(layer: Any, value: Any, reference: None) -> None:
    other = np.roll(KEPT, 1, 1)
    for a, b in ((KEPT, other), (KEPT, None), (None, None)):
        found = layer([masked(mask=a), masked(X[::-1].copy(), b)])
        whole = np.ones_like(KEPT)
        first, second = ((whole if m is None else m)[:, :, None] for m in (a, b))
        np.testing.assert_allclose(found.numpy(), value(X, X[::-1], first, second), rtol=1e-6)
        mask = mask_of(found)
        assert (mask is None) == (a is None or b is None)
        assert mask is None or np.array_equal(mask.numpy(), KEPT | other)


class Own(layers.Layer):
    """Keeps what it was given."""

    seen: Any = None

    def forward(self, x: Any, mask: Any = None) -> Any:
        self.__dict__["seen"] = mask
        return x * 2


class Pair(layers.Layer):
    def call(self, query: Any, value: Any, query_mask: Any = None, value_mask: Any = None) -> Any:
        return query * query_mask[:, :, None] + value

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return ~previous_mask


def test_layers_of_ones_own() -> None:
    own = Own()
    with pytest.warns(UserWarning, match="was given inputs with a mask"):
        assert mask_of(own(masked())) is None
    assert np.array_equal(own.seen.numpy(), KEPT)
    own.supports_masking = True
    assert np.array_equal(mask_of(own(X, mask=KEPT)).numpy(), KEPT)
    pair = Pair()
    assert pair.supports_masking
    result = pair(masked(), Tensor(X))
    np.testing.assert_allclose(result.numpy(), X * KEPT[:, :, None] + X)
    assert np.array_equal(mask_of(result).numpy(), ~KEPT)


def functional() -> Any:
    x = rv.Input((4,), dtype="int32")
    h = layers.Dense(3, activation="tanh")(embedded()(x))
    return rv.Model(x, layers.Dense(2)(layers.Concatenate()([h, layers.Dropout(0.0)(h)])))


class Subclassed(rv.Model):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.dense, self.out = embedded(), layers.Dense(3, activation="tanh"), layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.out(self.dense(self.embedding(x)))


def sequential() -> Any:
    first = rv.Input((4,), dtype="int32")
    return rv.Sequential([first, rv.Sequential([embedded(), layers.Dense(3, activation="tanh")]), layers.Dense(2)])


MODELS = {"functional": functional, "subclassed": Subclassed, "sequential": sequential}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("weight", [None, (3,), (3, 4), (3, 1)], ids=str)
def test_losses_and_metrics(make: Any, weight: Any, reference: None) -> None:
    rv.set_engine("native" if weight == (3, 4) else "reference")
    model = make()
    y = np.random.default_rng(1).normal(size=(3, 4, 2)).astype(np.float32)
    given = None if weight is None else np.random.default_rng(2).random(weight).astype(np.float32)
    model.compile("sgd", "mse", metrics=["mae"], weighted_metrics=["mse"])
    output = model(TOKENS)
    assert np.array_equal(mask_of(output).numpy(), KEPT)
    errors = output.numpy() - y
    w = 1.0 if given is None else given.reshape(3, -1)
    square = (errors**2).mean(-1)
    loss = (square * w * KEPT).sum() / KEPT.sum()
    wanted = [loss, np.abs(errors).mean(-1)[KEPT].mean(), (square * w * KEPT).sum() / (KEPT * w).sum()]
    found = model.evaluate(TOKENS, y, sample_weight=given, verbose=0)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    np.testing.assert_allclose(model.train_on_batch(TOKENS, y, sample_weight=given)[0], loss, rtol=1e-5)
    history = model.fit(TOKENS, y, sample_weight=given, verbose=0, batch_size=3).history
    assert history["loss"][0] < loss
    eager = rv.losses.MeanSquaredError()(y, output, None if given is None else given)
    np.testing.assert_allclose(eager.numpy(), loss, rtol=1e-5)
    metric = rv.metrics.MeanAbsoluteError()
    metric.update_state(y, output)
    np.testing.assert_allclose(metric.result(), wanted[1], rtol=1e-5)


def test_padding_has_no_gradient(reference: None) -> None:
    """A step on padded sequences changes the weights as one on the sequences alone does."""
    model = rv.Sequential(
        [rv.Input((None,), dtype="int32"), embedded(), layers.GlobalAveragePooling1D(), layers.Dense(1)]
    )
    weights = model.get_weights()
    after = []
    for x in (TOKENS[:1], TOKENS[:1, :2]):
        model.set_weights(weights)
        model.compile("sgd", "mse")
        model.train_on_batch(x, np.ones((1, 1)))
        after.append(model.get_weights())
    for one, other in zip(*after, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_a_batch_without_a_position(reference: None) -> None:
    model = rv.Sequential([rv.Input((4,), dtype="int32"), embedded(), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    assert model.evaluate(np.zeros((2, 4), np.int32), np.ones((2, 4, 1)), verbose=0) == [0.0, 0.0]


@pytest.mark.parametrize("reduction", ["sum", "mean", "mean_with_sample_weight", "none"])
def test_reductions(reduction: str, reference: None) -> None:
    y, weight = np.zeros((3, 4, 1), np.float32), np.arange(12.0).reshape(3, 4)
    values = (X[:, :, :1] ** 2)[..., 0]
    loss = rv.losses.MeanSquaredError(reduction=reduction)
    found = loss(y, masked(X[:, :, :1]), weight).numpy()
    weighted = np.where(KEPT, values * weight, 0)
    divisor = {"mean": KEPT.sum(), "mean_with_sample_weight": (KEPT * weight).sum()}.get(reduction, 1)
    np.testing.assert_allclose(found, weighted if reduction == "none" else weighted.sum() / divisor, rtol=1e-5)


def test_ignored_classes_beside_a_mask(reference: None) -> None:
    labels = np.array([[1, 0, 1, 1], [2, 2, 2, 2], [1, 0, 2, 2]])
    loss = rv.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=1)
    logits = X[:, :, :3]
    each = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, labels[..., None], -1)[..., 0]
    counted = KEPT & (labels != 1)
    np.testing.assert_allclose(loss(labels, masked(logits)).numpy(), each[counted].mean(), rtol=1e-5)


def test_through_a_file(tmp_path: Any, reference: None) -> None:
    for make in (functional, sequential):
        model = make()
        model.save(tmp_path / "model.rv")
        again = rv.load_model(tmp_path / "model.rv")
        found = again(TOKENS)
        assert np.array_equal(found.numpy(), model(TOKENS).numpy())
        assert np.array_equal(mask_of(found).numpy(), KEPT)


def test_reversible(reference: None) -> None:
    tied, free = layers.ReversibleEmbedding(6, 5), layers.ReversibleEmbedding(6, 5, False, logit_soft_cap=2.0)
    tied(TOKENS)
    table = tied.get_weights()[0]
    np.testing.assert_allclose(tied(X, reverse=True).numpy(), X @ table.T, rtol=1e-4, atol=1e-6)
    free(TOKENS)
    assert [w.shape for w in free.weights] == [(6, 5), (5, 6)]
    wanted = 2 * np.tanh(X @ free.get_weights()[1] / 2)
    np.testing.assert_allclose(free(X, reverse=True).numpy(), wanted, rtol=1e-4, atol=1e-6)


def test_a_mark_at_the_start_is_no_constant_feature() -> None:
    model = rv.Sequential([embedded(), layers.GlobalAveragePooling1D(), layers.Dense(1)])
    model.compile("sgd", "mse", engine="reference")
    x = np.random.default_rng(0).integers(0, 6, (16, 4))
    x[:, 0] = 5
    model.fit(x, np.arange(16.0), verbose=0)  # a warning would be an error
