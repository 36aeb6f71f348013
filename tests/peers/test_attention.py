"""Attention against Keras and PyTorch: names, order and shapes of weights, values and every gradient, with masks."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as ours
from ranvier import layers
from ranvier.engines import set_engine
from ranvier.tensor.tensor import Tensor
from tests.layers.attention_rows import KEYS, PAIRS, SEEN, VALUES, WANTED, WORDS

keras = pytest.importorskip("keras")
torch = pytest.importorskip("torch")

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
RNG = np.random.default_rng(3)
IMAGES, LONG = (RNG.standard_normal(shape).astype(np.float32) for shape in ((2, 3, 4, 5), (2, 5, 7)))
SHORT = np.arange(5) < np.array([[5], [3]])
CAUSED, SCORES = {"use_causal_mask": True}, {"return_attention_scores": True}
MASKS = {"mask": [WANTED, SEEN]}


@pytest.fixture(autouse=True)
def reference():
    set_engine("reference")
    yield
    set_engine(None)


def agree(pairs, scale=1.0):
    for found, wanted in pairs:
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=2e-5 * scale)


# --- Keras --------------------------------------------------------------------------------------------------------

KERAS = [  # the layer, the arguments, the options of the call
    ("MultiHeadAttention(2, 4)", (WORDS, VALUES), {}),
    ("MultiHeadAttention(2, 4, 5, use_bias=False, output_shape=6)", (WORDS, VALUES, LONG), SCORES),
    ("MultiHeadAttention(2, 4)", (WORDS, VALUES, KEYS), {"value_mask": SEEN, "key_mask": SEEN, "attention_mask": PAIRS}),
    ("MultiHeadAttention(2, 4, sliding_window=2, use_gate=True)", (WORDS, VALUES), CAUSED),
    ("MultiHeadAttention(2, 4)", (WORDS, VALUES), {**CAUSED, **SCORES}),
    ("MultiHeadAttention(2, 4, attention_axes=(1, 2))", (IMAGES, IMAGES), {}),
    ("MultiHeadAttention(2, 4, attention_axes=2, output_shape=(2, 3))", (IMAGES, IMAGES), SCORES),
    ("GroupQueryAttention(4, 6, 2)", (WORDS, KEYS), {}),
    ("GroupQueryAttention(4, 6, 1, use_gate=True)", (WORDS, KEYS), {**CAUSED, "key_mask": SHORT}),
    ("GroupQueryAttention(4, 6, 2, sliding_window=3)", (WORDS, KEYS), {**SCORES, "attention_mask": PAIRS}),
    ("Attention()", [WORDS, VALUES, KEYS], MASKS),
    ("Attention(use_scale=True)", [WORDS, KEYS], {**CAUSED, **SCORES}),
    ("Attention(score_mode='concat', use_scale=True)", [WORDS, VALUES, KEYS], MASKS),
    ("AdditiveAttention()", [WORDS, VALUES, KEYS], {**MASKS, **SCORES}),
    ("AdditiveAttention(use_scale=False)", [WORDS, KEYS], CAUSED),
    ("EinsumDense('abc,cde->abde', (None, 2, 3), bias_axes='de', activation='tanh')", (WORDS,), {}),
    ("EinsumDense('ab...,bc->ac...', 4, bias_axes='c')", (WORDS,), {}),
    ("EinsumDense('abc,bcd->ad', 4)", (WORDS,), {}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "given", "options"), KERAS)
def test_keras(text, given, options):
    import jax

    theirs, mine = (eval(text, {**vars(module)}) for module in (keras.layers, Named(layers)))

    def call(layer, xs):
        return layer(list(xs), **options) if isinstance(given, list) else layer(*xs, **options)

    shapes = [x.shape for x in given]
    theirs.build(*([shapes] if isinstance(given, list) else shapes))
    call(mine, map(Tensor, given))
    assert [(w.name, tuple(w.shape)) for w in mine.weights] == [(w.name, tuple(w.shape)) for w in theirs.weights]
    weights = [RNG.standard_normal(w.shape).astype(np.float32) for w in theirs.weights]
    theirs.set_weights(weights)
    mine.set_weights(weights)

    def total(variables, xs):
        xs = [list(xs)] if isinstance(given, list) else xs
        y, _ = theirs.stateless_call(variables, [v.value for v in theirs.non_trainable_variables], *xs, **options)
        y = y if isinstance(y, tuple) else (y,)
        return sum((part * part).sum() for part in y), y

    variables = [v.value for v in theirs.trainable_variables]
    (_, values), slopes = jax.jit(jax.value_and_grad(total, argnums=(0, 1), has_aux=True))(variables, list(given))
    leaves = [Tensor(x, requires_grad=True) for x in given]
    result = call(mine, leaves)
    result = result if isinstance(result, tuple) else (result,)
    sum((part * part).sum() for part in result).backward()
    agree((x.numpy(), y) for x, y in zip(result, values, strict=True))
    wanted = [np.asarray(g) for g in (*slopes[0], *slopes[1])]
    agree(
        zip([p.grad.numpy() for p in (*mine.parameters(), *leaves)], wanted, strict=True),
        max(abs(g).max() for g in wanted),
    )


# --- PyTorch ------------------------------------------------------------------------------------------------------

Q, K = np.moveaxis(WORDS[..., :4], 1, 0), np.moveaxis(KEYS[..., :4], 1, 0)  # (L, N, E), (S, N, E)
HIDDEN, PAIRED = ~SEEN, ~PAIRS[0]
BEHIND = np.triu(np.full((4, 4), -np.inf, np.float32), 1)
ADDED = RNG.standard_normal((4, 5)).astype(np.float32)
HEADS, FEW = "MultiheadAttention(4, 2, batch_first={})", {"need_weights": False}
ENCODER = "TransformerEncoderLayer(4, 2, 8, 0.0{})"
DECODER = "TransformerDecoder(TransformerDecoderLayer(4, 2, 8, 0.0), 2, LayerNorm(4))"


def first(*arrays):
    return [np.moveaxis(x, 1, 0) for x in arrays]


PYTORCH = [  # the module, the arguments (one is for all three), the options of the call
    (HEADS.format(False), [Q, K, K + 1], {"key_padding_mask": HIDDEN}),
    (HEADS.format(True), first(Q, K, K + 1), {"attn_mask": PAIRED, "average_attn_weights": False}),
    (HEADS.format(False), "Q", {}),
    (HEADS.format(True), [Q[:, 0], K[:, 0], K[:, 0]], {"key_padding_mask": HIDDEN[0], **FEW}),
    (HEADS.format(False), "Q", {"attn_mask": BEHIND, "is_causal": True, **FEW}),
    (HEADS.format(False), "Q", {"attn_mask": BEHIND, "is_causal": True}),
    ("MultiheadAttention(4, 2, bias=False)", [Q, K, K + 1], {"attn_mask": ADDED, **FEW}),
    ("MultiheadAttention(4, 2, add_bias_kv=True)", [Q, K, K + 1], {"attn_mask": np.repeat(PAIRS, 2, 0) < 0.5}),
    ("MultiheadAttention(4, 2, add_bias_kv=True, add_zero_attn=True, batch_first=True)", first(Q, K, K + 1),
     {"attn_mask": ADDED, "key_padding_mask": np.where(HIDDEN, -2, 1).astype(np.float32)}),
    ("MultiheadAttention(4, 2, kdim=3, vdim=2)", [Q, K[..., :3], K[..., :2]], {}),
    (ENCODER.format(""), [Q], {"src_mask": BEHIND}),
    (ENCODER.format(", norm_first=True, activation='gelu', bias=False"), [Q], {"src_key_padding_mask": HIDDEN[:, 1:]}),
    (f"TransformerEncoder({ENCODER.format(', batch_first=True')}, 2)", first(Q), {"mask": BEHIND, "is_causal": True}),
    (DECODER, [Q, K], {"tgt_mask": BEHIND, "memory_key_padding_mask": HIDDEN}),
    ("Transformer(4, 2, 1, 1, 8, 0.0, norm_first=True)", [K, Q], {"tgt_mask": BEHIND, "src_key_padding_mask": HIDDEN}),
]  # fmt: skip


class Named:
    """The public names of a lazy module."""

    def __init__(self, module):
        self.__dict__.update({name: getattr(module, name) for name in module.__all__})


@pytest.mark.parametrize(("text", "given", "options"), PYTORCH)
def test_pytorch(text, given, options):
    theirs, mine = (eval(text, {**vars(module)}) for module in (torch.nn, Named(ours.nn)))
    state = {name: RNG.standard_normal(tuple(w.shape)).astype(np.float32) for name, w in theirs.state_dict().items()}
    theirs.load_state_dict({name: torch.tensor(w) for name, w in state.items()})
    mine.load_state_dict({name: ours.tensor(w) for name, w in state.items()})
    assert list(mine.state_dict()) == list(state)
    found = []
    for library, module in ((torch, theirs), (ours, mine)):
        arrays = [Q] if given == "Q" else given
        leaves = [library.tensor(np.ascontiguousarray(x), requires_grad=True) for x in arrays]
        more = {
            k: library.tensor(np.ascontiguousarray(v)) if isinstance(v, np.ndarray) else v for k, v in options.items()
        }
        y = module(*(leaves * 3 if given == "Q" else leaves), **more)
        parts = [part for part in (y if isinstance(y, tuple) else (y,)) if part is not None]
        sum((part * part).sum() + part.sum() for part in parts).backward()
        slopes = [x.grad.detach().numpy() for x in (*module.parameters(), *leaves) if x.grad is not None]
        found.append(([part.detach().numpy() for part in parts], slopes))
    agree(zip(found[1][0], found[0][0], strict=True))
    agree(zip(found[1][1], found[0][1], strict=True), max(abs(g).max() for g in found[0][1]))


@pytest.mark.parametrize("text", ["MultiheadAttention(64, 4, add_bias_kv=True)", "MultiheadAttention(64, 4, kdim=32)",
                                  "TransformerEncoderLayer(64, 4)", "Transformer(64, 4, 1, 1, 128)"])  # fmt: skip
def test_initial_distributions(text):
    theirs, mine = (dict(eval(text, vars(m)).named_parameters()) for m in (torch.nn, Named(ours.nn)))
    for name, parameter in theirs.items():
        x, y = parameter.detach().numpy(), mine[name].numpy()
        assert x.shape == y.shape
        if x.std() == 0 or x.size < 1000:
            assert (x.std() == 0) == (y.std() == 0)
        else:
            np.testing.assert_allclose((y.std(), abs(y).max()), (x.std(), abs(x).max()), rtol=0.1)


def test_where_a_query_sees_no_key():
    q = np.ones((1, 2, 4, 3), np.float32)
    hidden = np.zeros((4, 4), bool)
    for mask in (hidden, np.where(hidden, 0, -np.inf).astype(np.float32)):
        for library in (torch, ours):
            leaf = library.tensor(q, requires_grad=True)
            y = library.nn.functional.scaled_dot_product_attention(leaf, leaf, leaf, attn_mask=library.tensor(mask))
            y.sum().backward()
            assert not y.detach().numpy().any()
            assert not leaf.grad.numpy().any()
    query, key = np.ones((1, 4, 2, 3), np.float32), np.arange(24, dtype=np.float32).reshape(1, 4, 2, 3)
    masked = [m.ops.dot_product_attention(query, key, key, mask=hidden[None, None]) for m in (keras, rv)]
    agree([(masked[1].numpy(), np.asarray(masked[0]))])


@pytest.mark.parametrize(
    ("queries", "keys"), [((2, 1, 3, 4), (2, 3, 5, 4)), ((2, 2, 3, 4), (2, 2, 0, 4)), ((0, 2, 3, 4), (0, 2, 5, 4))]
)
def test_one_head_of_queries_no_keys_and_no_samples(queries, keys):
    arrays, found = [RNG.standard_normal(shape).astype(np.float32) for shape in (queries, keys, keys)], []
    for library in (torch, ours):
        leaves = [library.tensor(x, requires_grad=True) for x in arrays]
        y = library.nn.functional.scaled_dot_product_attention(*leaves)
        (y * y).sum().backward()
        found.append([y.detach().numpy(), *(x.grad.numpy() for x in leaves)])
    agree(zip(found[1], found[0], strict=True))


def test_no_samples_in_a_layer():
    for library in (torch, ours):
        x = library.zeros(0, 3, 8)
        y, weights = library.nn.MultiheadAttention(8, 2, batch_first=True)(x, x, x)
        assert (tuple(y.shape), tuple(weights.shape)) == ((0, 3, 8), (0, 3, 3))
        assert tuple(library.nn.Flatten()(x).shape) == (0, 24)
