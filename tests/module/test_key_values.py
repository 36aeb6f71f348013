"""Generation step by step gives what the whole forward pass gives, in both vocabularies."""

from itertools import pairwise

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier import layers, ops
from ranvier.engines import set_engine
from ranvier.models import KeyValueCache

WORDS, WIDTH = 11, 8
IDS = np.random.default_rng(0).integers(0, WORDS, (2, 10))


class Causal(rv.Model):
    """A small causal transformer."""

    def __init__(self, positions):
        super().__init__()
        self.embedding, self.positions = layers.Embedding(WORDS, WIDTH), positions
        self.heads = layers.MultiHeadAttention(2, 4)
        self.groups = layers.GroupQueryAttention(4, 4, 2, sliding_window=5)
        self.last = layers.Dense(WORDS)

    def call(self, ids):
        x = self.embedding(ids)
        x = x + self.positions(x)
        for layer in (self.heads, self.groups):
            x = x + layer(x, x, use_causal_mask=True)
        return self.last(x)


class Encoder(torch.nn.Module):
    """The same of PyTorch's modules."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(WORDS, WIDTH)
        layer = torch.nn.TransformerEncoderLayer(WIDTH, 2, 16, 0.0, batch_first=True)
        self.encoder, self.last = torch.nn.TransformerEncoder(layer, 2), torch.nn.Linear(WIDTH, WORDS)

    def forward(self, ids):
        mask = torch.nn.Transformer.generate_square_subsequent_mask(ids.shape[1])
        return self.last(self.encoder(self.embedding(ids), mask=mask, is_causal=True))


@pytest.fixture(autouse=True)
def reference():
    set_engine("reference")
    yield
    set_engine(None)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Causal(layers.PositionEmbedding(12)),
        lambda: Causal(layers.SinePositionEncoding()),
        lambda: Causal(layers.RotaryEmbedding()),
        Encoder,
    ],
)
def test_steps_give_what_the_whole_gives(make):
    model, cache = make(), KeyValueCache(12)
    whole = model(rv.Tensor(IDS)).numpy()
    ends = [0, 4, 5, 6, 8, 10]
    parts = [cache(model, rv.Tensor(IDS[:, a:b])).numpy() for a, b in pairwise(ends)]
    np.testing.assert_allclose(np.concatenate(parts, 1), whole, rtol=1e-4, atol=1e-5)
    assert cache.used == 10
    assert cache.position.item() == 10


def test_a_compiled_loop_gives_the_tokens_of_the_whole():
    rv.set_seed(3)
    model, prompts = Causal(layers.SinePositionEncoding()), IDS[:, :4]
    ids = prompts
    for _ in range(6):
        ids = np.concatenate([ids, model(rv.Tensor(ids)).numpy()[:, -1:].argmax(-1)], 1)
    cache = KeyValueCache(10)
    first = ops.argmax(cache(model, rv.Tensor(prompts))[:, -1], -1)

    def step(carry, _):
        token, cache.state = carry
        following = ops.argmax(cache(model, token[:, None])[:, -1], -1)
        return (following, cache.state), token

    _, tokens = ops.scan(step, (first, cache.state), None, length=6)
    assert np.array_equal(tokens.numpy().T, ids[:, 4:])


def test_mistakes_name_the_fix():
    model = Causal(layers.SinePositionEncoding())
    with pytest.raises(ValueError, match=r"of 3 tokens has 0 and is given 4 more\. Write a larger length"):
        KeyValueCache(3)(model, rv.Tensor(IDS[:, :4]))
    with pytest.raises(ValueError, match=r"length=0\): write a whole number"):
        KeyValueCache(0)
    layer, x = layers.MultiHeadAttention(2, 4), rv.Tensor(np.ones((2, 3, 4), np.float32))
    with pytest.raises(ValueError, match="Write prompts of one length"):
        KeyValueCache(3)(lambda t: layer(t, t, value_mask=np.ones((2, 3), bool), use_causal_mask=True), x)
