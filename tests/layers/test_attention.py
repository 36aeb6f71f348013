"""Attention layers: values by NumPy, gradients, files, masks that hide all, functional models, what is refused."""

import json

import numpy as np
import pytest

import ranvier as rv
from ranvier import layers
from ranvier.engines import set_engine
from ranvier.graph.grad import gradient
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import like, topological
from ranvier.graph.simplify import simplify
from ranvier.module import from_architecture
from ranvier.ops.functional import long_attention
from ranvier.ops.functional.attention import attend, attention_weights
from ranvier.ops.functional.scoring import HEADS_FIRST, HEADS_LAST, Scoring
from ranvier.tensor.tensor import Tensor
from tests.layers.attention_rows import ATTENTIONS, CAUSAL, KEYS, LISTS, SEEN, VALUES, WANTED, WORDS, softmax


def wide(arrays):
    return [x.astype(np.float64) for x in arrays]


@pytest.fixture(params=ATTENTIONS)
def row(request):
    make, given, options, value = ATTENTIONS[request.param]
    return make(), given, options, value


def test_value(row):
    layer, given, options, value = row
    alone = layer(*given, **options).numpy()
    y, weights = value(layer, *given)
    np.testing.assert_allclose(alone, y, rtol=1e-5, atol=1e-5)
    both = [x.numpy() for x in layer(*given, return_attention_scores=True, **options)]
    for found, wanted in zip(both, (y, weights), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def slopes(targets, f, step):
    found = []
    for target in targets:
        base = target.numpy()
        values = []
        for size in (step, -step):
            target.assign(base + size)
            values.append(f().item())
        target.assign(base)
        found.append((values[0] - values[1]) / (2 * step))
    return found


def test_gradient_by_finite_differences(row, float64):
    layer, given, options, _ = row
    leaves = [Tensor(x, requires_grad=True) for x in wide(given)]
    direction = np.cos(np.arange(layer(*leaves, **options).numpy().size)).reshape(layer(*leaves, **options).shape)

    def total():
        return (layer(*leaves, **options) * direction).sum()

    total().backward()
    targets = [*leaves, *layer.parameters()]
    numeric = slopes(targets, total, 1e-6)
    np.testing.assert_allclose([t.grad.numpy().sum() for t in targets], numeric, rtol=1e-5, atol=1e-8)


def test_through_a_file(row):
    layer, given, options, _ = row
    before = layer(*given, **options).numpy()
    twin = from_architecture(json.loads(json.dumps(layer.architecture())))
    twin.load_state_dict(layer.state_dict())
    assert np.array_equal(twin(*given, **options).numpy(), before)


@pytest.mark.parametrize("name", LISTS)
def test_attention_of_a_list(name):
    make, options, scores = LISTS[name]
    layer = make()
    y, weights = layer([WORDS, VALUES, KEYS], return_attention_scores=True, **options)
    seen = (SEEN[:, None] if "mask" in options else True) & (CAUSAL if "use_causal_mask" in options else True)
    wanted = softmax(scores(layer, WORDS, KEYS), seen)
    np.testing.assert_allclose(weights.numpy(), wanted, rtol=1e-5, atol=1e-6)
    means = np.where(WANTED[..., None], wanted @ VALUES, 0) if "mask" in options else wanted @ VALUES
    np.testing.assert_allclose(y.numpy(), means, rtol=1e-5, atol=1e-6)
    mask = layer.compute_mask([WORDS, VALUES], options.get("mask"))
    assert mask is (WANTED if "mask" in options else None)


def test_a_query_that_sees_no_key_gives_zeros_and_passes_no_gradient():
    q, k = (Tensor(x, requires_grad=True) for x in (WORDS, KEYS))
    mask = Tensor(np.zeros((4, 5), bool))
    y = attend(q, k, Tensor(VALUES), mask)
    y.sum().backward()
    assert not y.numpy().any()
    assert not q.grad.numpy().any()
    assert not k.grad.numpy().any()


def test_more_padding_changes_no_bit():
    longer = [np.concatenate([x, np.full((2, 3, x.shape[-1]), 9, np.float32)], 1) for x in (VALUES, KEYS)]
    mask = np.arange(8) < 5
    weights = attention_weights(WORDS, KEYS).numpy()
    padded = attention_weights(WORDS, longer[1], Tensor(mask)).numpy()
    assert np.array_equal(padded[..., :5], weights)
    assert not padded[..., 5:].any()


def test_dropout_while_training_alone():
    layer = layers.MultiHeadAttention(2, 3, dropout=0.5, seed=4)
    calm = layer(WORDS, VALUES).numpy()
    first, second = (layer(WORDS, VALUES, training=True).numpy() for _ in range(2))
    assert (first != second).any()
    assert (first != calm).any()
    _, weights = layer(WORDS, VALUES, return_attention_scores=True, training=True)
    np.testing.assert_allclose(weights.numpy().sum(-1), 1, rtol=1e-5)


def test_axes_of_attention():
    images = np.random.default_rng(1).standard_normal((2, 3, 4, 5)).astype(np.float32)
    layer = layers.MultiHeadAttention(2, 3, attention_axes=2)
    rows = layer(images, images).numpy()
    for i in range(3):
        alone = layers.MultiHeadAttention(2, 3)
        alone(images[:, i], images[:, i])
        alone.set_weights(layer.get_weights())
        np.testing.assert_allclose(alone(images[:, i], images[:, i]).numpy(), rows[:, i], rtol=1e-5, atol=1e-6)
    _, weights = layers.MultiHeadAttention(2, 3)(images, images, return_attention_scores=True)
    assert weights.shape == (2, 2, 3, 4, 3, 4)
    np.testing.assert_allclose(weights.numpy().sum((-1, -2)), 1, rtol=1e-5)
    with pytest.raises(ValueError, match="which have no order"):
        layers.MultiHeadAttention(2, 3)(images, images, use_causal_mask=True)


def test_a_functional_model_through_a_file(tmp_path):
    query, value, mask = rv.Input((4, 6)), rv.Input((5, 3)), rv.Input((5,), dtype="bool")
    y, weights = layers.MultiHeadAttention(2, 3)(query, value, value_mask=mask, return_attention_scores=True)
    y = layers.Attention()([layers.GroupQueryAttention(3, 4, 2)(y, y), y])
    model = rv.Model([query, value, mask], [y, weights])
    before = model.predict([WORDS, VALUES, SEEN], verbose=0)
    model.save(tmp_path / "m.ranvier")
    after = rv.models.load_model(tmp_path / "m.ranvier").predict([WORDS, VALUES, SEEN], verbose=0)
    assert all(map(np.array_equal, before, after))
    assert not before[1][:, :, :, :][np.broadcast_to(~SEEN[:, None, None], before[1].shape)].any()


def test_the_kernel_of_einsum_dense_has_the_fans_of_its_equation():
    rv.set_seed(0)
    layer = layers.EinsumDense("abc,cde->abde", (None, 20, 30))
    layer(np.zeros((1, 2, 50), np.float32))
    bound = np.sqrt(6 / 650)
    assert bound * 0.99 < np.abs(layer.kernel.numpy()).max() <= bound


def test_rotary_positions_make_products_of_distances():
    x = np.random.default_rng(2).standard_normal((1, 1, 8)).astype(np.float32)
    layer = layers.RotaryEmbedding()
    turned = layer(np.repeat(x, 6, 1)).numpy()[0]
    products = turned @ turned.T
    for distance in range(6):
        np.testing.assert_allclose(np.diagonal(products, distance), products[0, distance], rtol=1e-5)
    np.testing.assert_allclose(layer(x, start_index=4).numpy()[0, 0], turned[4], rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: layers.Attention(score_mode="dott"), ValueError, "Write 'dot' or 'concat'"),
        (lambda: layers.Attention()(WORDS), ValueError, r"\(\[query, value, key\], mask="),
        (lambda: layers.MultiHeadAttention(0, 3), ValueError, "num_heads of layer .* is 0"),
        (lambda: layers.GroupQueryAttention(3, 4, 3), ValueError, "Write a multiple of the second"),
        (lambda: layers.EinsumDense("ab,bc", 3), ValueError, "equation of layer .* 'abc,cd->abd'"),
        (lambda: layers.EinsumDense("ab,bc->ac", 3)(WORDS), ValueError, "takes 2 axes"),
        (lambda: layers.EinsumDense("abc,cd->abd", 3)(WORDS), ValueError, "Write one for each letter"),
        (lambda: layers.EinsumDense("abc,cd->abd", (5, 3))(WORDS), ValueError, "4 in the inputs and 5"),
        (lambda: layers.PositionEmbedding(3)(WORDS), ValueError, "Write a larger sequence_length"),
        (lambda: layers.RotaryEmbedding()(VALUES), ValueError, "write an even number"),
        (
            lambda: rv.ops.dot_product_attention(*(np.zeros((1, 2, n, 3), np.float32) for n in (4, 3, 3))),
            ValueError,
            "the queries have 4 heads and the keys 3",
        ),
    ],
)
def test_mistakes_name_the_fix(make, error, said):
    with pytest.raises(error, match=said):
        make()


def test_scoring_with_a_start_is_that_of_later_queries():
    whole = attention_weights(KEYS, KEYS, scoring=Scoring(causal=True, window=3)).numpy()
    last = attention_weights(KEYS[:, 3:], KEYS, None, None, Tensor(np.int32(3)), Scoring(causal=True, window=3)).numpy()
    assert np.array_equal(whole[:, 3:], last)


LENGTHS = [
    (150, 150, {"causal": True}),
    (100, 90, {}),
    (130, 140, {"causal": True, "window": 20}),
    (90, 130, {"window": 30}),
]


@pytest.mark.parametrize(("rows", "columns", "settings"), LENGTHS)
@pytest.mark.parametrize("masked", ["", "keys", "pairs"])
def test_blocks_of_long_sequences_are_the_whole(monkeypatch, rows, columns, settings, masked):
    set_engine("reference")
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((2, length, 2, 4)) for length in (rows, columns, columns)]
    seen = rng.random((rows if masked == "pairs" else 1, columns)) < 0.8
    found = []
    for long in (1 << 20, 1):
        monkeypatch.setattr(long_attention, "LONG", long)
        monkeypatch.setattr(long_attention, "ROWS", 16)
        leaves = [Tensor(x, requires_grad=True) for x in arrays]
        scoring = Scoring(HEADS_LAST, scale=0.5 + long / 2**40, **settings)  # each is a function of its own
        y = attend(*leaves, Tensor(seen) if masked else None, scoring=scoring)
        (y * y).sum().backward()
        found.append([y.numpy(), *(x.grad.numpy() for x in leaves)])
    for part, whole in zip(*found, strict=True):
        np.testing.assert_allclose(part, whole, rtol=1e-4, atol=1e-5)
    set_engine(None)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("heads_first", [False, True])
def test_blocks_of_heads_of_several_samples(engine, monkeypatch, heads_first, causal):
    """One head's values of several samples lie apart in memory."""
    shape, equations = ((2, 3, 48, 4), HEADS_FIRST) if heads_first else ((2, 48, 3, 4), HEADS_LAST)
    arrays, found = np.random.default_rng(0).standard_normal((3, *shape)), []
    for long in (1 << 20, 1):
        monkeypatch.setattr(long_attention, "LONG", long)
        monkeypatch.setattr(long_attention, "ROWS", 16)
        leaves = [Tensor(x, requires_grad=True) for x in arrays]
        y = attend(*leaves, scoring=Scoring(equations, scale=0.6 + long / 2**40, causal=causal))
        (y * y).sum().backward()
        found.append([y.numpy(), *(x.grad.numpy() for x in leaves)])
    for part, whole in zip(*found, strict=True):
        np.testing.assert_allclose(part, whole, rtol=1e-4, atol=1e-5)


def test_each_block_drops_other_weights(monkeypatch):
    monkeypatch.setattr(long_attention, "LONG", 1)
    monkeypatch.setattr(long_attention, "ROWS", 16)
    x, noise = np.zeros((48, 2)), [Tensor(np.uint32(n)) for n in (3, 4)]
    kept = attend(x, x, np.eye(48), None, None, None, *noise, scoring=Scoring(scale=0.7), rate=0.5).numpy() > 0
    assert 0.4 < kept.mean() < 0.6
    blocks = kept.reshape(3, 16, 48)
    assert not any(np.array_equal(blocks[i], blocks[i - 1]) for i in range(3))


def test_the_gradient_of_blocks_keeps_no_matrix_of_scores():
    q, k, v = (input_node(name, (1, 4, 2048, 8), "float32") for name in "qkv")
    y = attend(q, k, v, scoring=Scoring(causal=True))
    nodes = topological([y, *gradient(y, [q, k, v], like(y, 1.0))])
    most = max(np.prod(node.shape) for node in nodes)
    assert most == 4 * 2048 * 8, "of all positions there is no value but those of queries, keys and values"


def largest_scores(graph):
    """How many times the largest scores of queries are computed, in loops too."""
    inner = sum(largest_scores(node.attrs["body"]) for node in graph.of("scan"))
    return inner + sum(1 for _ in graph.of("reduce_max"))


def test_the_gradient_of_blocks_reads_what_was_found_of_each_query():
    inputs = [input_node(name, (1, 4, 2048, 8), "float32") for name in "qkv"]
    y = attend(*inputs, scoring=Scoring(causal=True))
    alone, both = Graph(tuple(inputs), (y,)), Graph(tuple(inputs), (y, *gradient(y, inputs, like(y, 1.0))))
    assert largest_scores(simplify(both)) == largest_scores(simplify(alone)) == long_attention.SPANS


@pytest.mark.parametrize("name", ["m.ranvier", "m.keras"])
def test_a_mask_of_the_operation_is_an_operand_in_a_file_too(name, tmp_path, recwarn):
    if name == "m.keras":
        pytest.importorskip("h5py")
    query, mask = rv.Input((4, 2, 3)), rv.Input((2, 4, 4), dtype="bool")
    model = rv.Model([query, mask], rv.ops.dot_product_attention(query, query, query, mask=mask))
    x = [WORDS.reshape(2, 4, 2, 3), np.random.default_rng(0).random((2, 2, 4, 4)) < 0.7]
    before = model.predict(x, verbose=0)
    model.save(tmp_path / name)
    assert np.array_equal(rv.models.load_model(tmp_path / name).predict(x, verbose=0), before)
    assert not np.array_equal(model.predict([x[0], np.ones_like(x[1])], verbose=0), before)
    assert not recwarn.list, "it is no mask of the layers after it"
