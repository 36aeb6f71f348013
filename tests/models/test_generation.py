"""Generation gives the tokens that the whole forward pass gives, and searches and limits what they should."""

import copy
import pickle
from itertools import product

import numpy as np
import pytest

import ranvier as rv
from ranvier import layers
from ranvier.models import char_lm, generate, gpt, seq2seq
from ranvier.models.generation import _seed
from ranvier.models.sampling import drawn, likely

WORDS = 7


class PyTorchModel(rv.Model):
    """An LSTM of two layers, in PyTorch's words."""

    def __init__(self):
        super().__init__()
        nn = rv.torch.nn
        self.embedding, self.lstm = nn.Embedding(WORDS, 6), nn.LSTM(6, 5, 2, batch_first=True)
        self.last = nn.Linear(5, WORDS)

    def forward(self, ids):
        return self.last(self.lstm(self.embedding(ids))[0])


def last_only():
    """The classical network: the state after the last token says what follows."""
    parts = [layers.Embedding(WORDS, 6), layers.GRU(5), layers.Dense(WORDS)]
    return rv.Sequential([rv.Input(batch_shape=(None, None), dtype="int32"), *parts])


MODELS = {
    "lstm": lambda: char_lm(WORDS, "lstm", width=6, depth=2),
    "gru": lambda: char_lm(WORDS, "gru", width=6, dropout=0.2),
    "rnn": lambda: char_lm(WORDS, "rnn", width=6),
    "gpt": lambda: gpt(WORDS, 16, width=8, depth=2, heads=2, dropout=0.2),
    "tied": lambda: gpt(WORDS, 16, width=8, depth=1, heads=2, tied=True),
    "last": last_only,
    "torch": PyTorchModel,
}


@pytest.fixture(autouse=True)
def reference():
    rv.set_engine("reference")
    yield
    rv.set_engine(None)


def scattered(model):
    """The model with larger weights, so that its tokens differ."""
    rng = np.random.default_rng(2)
    for p in model.parameters():
        p.assign(rng.normal(0, 0.7, p.shape).astype(np.float32))
    return model


def logits_after(model, *inputs):
    model.eval()
    return model(*(rv.Tensor(np.array([part], np.int32)) for part in inputs)).numpy().reshape(-1, WORDS)[-1:]


def by_the_whole(model, prompt, length, choose, *sources):
    """The tokens that whole forward passes give; ``choose`` takes logits and the position of the last token."""
    ids = list(prompt)
    for _ in range(length):
        ids.append(int(choose(logits_after(model, *sources, ids), len(ids) - 1)))
    return ids[len(prompt) :]


@pytest.mark.parametrize("name", MODELS)
def test_tokens_are_those_of_the_whole_forward_pass(name):
    model, prompts = scattered(MODELS[name]()), [[3, 1, 4], [5]]
    greedy = [by_the_whole(model, p, 6, lambda x, _: x.argmax()) for p in prompts]
    assert [row.tolist() for row in generate(model, prompts, 6, temperature=0)] == greedy
    assert generate(model, prompts[1], 6, temperature=0).tolist() == greedy[1]

    def draw(logits, place):
        return drawn(rv.Tensor(logits), 0.8, np.uint32(_seed(5)), np.uint32(place)).item()

    expected = by_the_whole(model, prompts[0], 8, draw)
    assert generate(model, prompts[0], 8, temperature=0.8, seed=5).tolist() == expected
    assert list(generate(model, prompts[0], 8, temperature=0.8, seed=5, stream=True)) == expected
    assert expected != by_the_whole(model, prompts[0], 8, lambda x, _: x.argmax())


@pytest.mark.parametrize("kind", ["gru", "lstm", "transformer"])
def test_an_encoder_is_computed_once(kind, tmp_path):
    model = scattered(seq2seq(6, WORDS, kind, width=8, depth=1, heads=2))
    sources = np.array([[3, 4, 5, 0], [2, 2, 1, 5]], np.int32)
    expected = [by_the_whole(model, [1], 5, lambda x, _: x.argmax(), row) for row in sources]
    found = generate(model, [[1], [1]], 5, temperature=0, sources=sources)
    assert [row.tolist() for row in found] == expected
    (step,) = model._token_steps.values()
    read = {node.attrs["name"] for node in step.program.graph.inputs}
    assert "source0" not in read
    assert {"fixed0", "token"} <= read
    encoder = {node.attrs["name"] for node in step.before[1] if node.attrs["name"].startswith("leaf")}
    assert encoder
    assert encoder.isdisjoint(read)
    model.save(tmp_path / "m.ranvier")
    again = rv.load_model(tmp_path / "m.ranvier")
    assert generate(again, [1], 5, temperature=0, sources=sources[0]).tolist() == expected[0]
    assert np.array_equal(  # more padding changes nothing
        generate(again, [1], 5, temperature=0, sources=[3, 4, 5]), found[0]
    )


def test_native_programs_draw_the_same():
    model = scattered(gpt(WORDS, 300, width=8, depth=1, heads=2))
    expected = generate(model, [2, 3], 200, seed=1, top_p=0.9)
    rv.set_engine("native")
    assert np.array_equal(generate(model, [2, 3], 200, seed=1, top_p=0.9), expected)
    assert np.array_equal(list(generate(model, [2, 3], 200, seed=1, top_p=0.9, stream=True)), expected)


@pytest.mark.parametrize(("top_k", "top_p"), [(3, 1), (1, 1), (50, 0.6), (5, 0.5), (50, 1)])
def test_likely_tokens_are_those_that_sorting_finds(top_k, top_p):
    logits, temperature = np.random.default_rng(0).normal(0, 2, (4, 50)).astype(np.float32), 0.7
    found = likely(rv.Tensor(logits), temperature, float(top_k), float(top_p)).numpy()
    for row, kept in zip(logits, found, strict=True):
        order = np.argsort(-row)[:top_k]
        shares = np.exp(row[order] / temperature) / np.exp(row[order] / temperature).sum()
        count = int(np.searchsorted(np.cumsum(shares), top_p * (1 - 1e-6))) + 1
        assert set(np.flatnonzero(np.isfinite(kept))) == set(order[:count])
        assert np.array_equal(kept[order[:count]], row[order[:count]])


def test_tokens_are_drawn_as_often_as_they_are_likely():
    logits = np.tile(np.log(np.float32([[0.5, 0.3, 0.15, 0.05]])), (4000, 1))
    counts = np.bincount(drawn(rv.Tensor(logits), 1.0, np.uint32(1), np.uint32(0)).numpy(), minlength=4)
    assert np.abs(counts / 4000 - [0.5, 0.3, 0.15, 0.05]).max() < 0.03
    cold = np.bincount(drawn(rv.Tensor(logits), 0.25, np.uint32(1), np.uint32(0)).numpy(), minlength=4)
    assert cold[0] > 0.85 * 4000


def test_many_beams_find_the_likeliest():
    model = scattered(char_lm(WORDS, "gru", width=6))

    def score(tokens):
        given = np.array([[2, *tokens]], np.int32)
        logs = np.log(
            np.exp(logits := model.predict(given, verbose=0)[0].astype(float)) / np.exp(logits).sum(-1)[:, None]
        )
        return sum(logs[i, token] for i, token in enumerate(tokens))

    expected = max(product(range(WORDS), repeat=3), key=score)
    assert tuple(generate(model, [2], 3, beams=WORDS**2)) == expected
    one = generate(model, [2], 3, beams=2, stop=())
    assert score(expected) >= score(one) >= score(generate(model, [2], 3, temperature=0))
    assert len(generate(model, [2], 3, beams=4, stop=expected)) < 3


def test_texts_stop_and_stream():
    model = scattered(char_lm("abcd.", width=6))
    text = generate(model, "ab", 30, seed=1)
    assert isinstance(text, str)
    assert "".join(generate(model, "ab", 30, seed=1, stream=True)) == text
    ended = generate(model, "ab", 30, seed=1, stop=text[4])
    assert ended == text[: text.index(text[4])]
    assert "".join(generate(model, "ab", 30, seed=1, stop=text[4], stream=True)) == ended
    rv.set_seed(4)
    first = generate(model, ["ab", "c"], 9)
    assert generate(model, ["ab", "c"], 9) != first
    rv.set_seed(4)
    assert generate(model, ["ab", "c"], 9) == first
    translator = seq2seq("abc", "^xyz$", "gru", width=8)
    assert (
        generate(translator, "^", 5, sources="abc", temperature=0)
        == generate(translator, ["^", "^"], 5, sources=["abc", "a"], temperature=0)[0]
    )


def test_new_weights_are_used():
    model = scattered(char_lm(WORDS, width=6))
    before = generate(model, [1], 12, temperature=0).tolist()
    model.set_weights([-w for w in model.get_weights()])
    assert generate(model, [1], 12, temperature=0).tolist() != before
    assert len(model._token_steps) == 1


def test_probabilities_are_drawn_from_as_logits_are():
    rv.set_seed(1)
    parts = [layers.Embedding(WORDS, 6), layers.GRU(5, return_sequences=True)]
    start = rv.Input(batch_shape=(None, None), dtype="int32")
    model = rv.Sequential([start, *parts, layers.Dense(WORDS, activation="softmax")])
    logits = rv.Sequential([start, *parts, layers.Dense(WORDS)])
    scattered(model)
    logits.set_weights(model.get_weights())
    expected = generate(logits, [1], 20, seed=2)
    assert np.array_equal(generate(model, [1], 20, seed=2), expected)
    copied = copy.deepcopy(model)  # which compiles its own programs
    assert "_token_steps" not in vars(copied)
    assert np.array_equal(generate(pickle.loads(pickle.dumps(copied)), [1], 20, seed=2), expected)


def of_tokens(*parts):
    start = rv.Input(batch_shape=(None, None), dtype="int32")
    return rv.Sequential([start, layers.Embedding(WORDS, 4), *parts, layers.Dense(WORDS)])


def seeing_all():
    model = of_tokens(layers.GRU(4, return_sequences=True))
    x = model.layers[0].output
    return rv.Model(model.input, layers.Dense(WORDS)(layers.MultiHeadAttention(1, 4)(x, x)))


def backward():
    parts = [layers.Embedding(WORDS, 4), layers.Bidirectional(layers.GRU(3, return_sequences=True))]
    return rv.Sequential([rv.Input(batch_shape=(None, None), dtype="int32"), *parts])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: generate(char_lm(WORDS), [1, 9]),
            "prompt 0 has the token 9 at position 1, and the model knows 0 to 6",
        ),
        (lambda: generate(char_lm("ab"), ""), "a prompt of 0 tokens"),
        (lambda: generate(char_lm(WORDS), [[1], 2]), r"a prompt of shape \(\)"),
        (lambda: generate(char_lm(WORDS), [1.5]), r"a prompt of 1 tokens \(float"),
        (lambda: generate(char_lm("ab"), "a", stop="ab"), "Write texts of one token each"),
        (lambda: generate(gpt(WORDS, 8, width=8), [1, 2], 20), "need 21 positions, .* Write at most length=7"),
        (lambda: generate(char_lm(WORDS), [1], temperature=-1), "temperature=-1"),
        (lambda: generate(char_lm(WORDS), [1], beams=2, top_k=3), "Leave the other arguments out"),
        (lambda: generate(char_lm(WORDS), [[1], [2]], stream=True), "of one prompt"),
        (lambda: generate(char_lm(WORDS), [1], sources=[1]), "Leave sources out"),
        (lambda: generate(seq2seq(5, 5, width=8), [1]), "Write sources="),
        (lambda: generate(seq2seq(5, 5, width=8), [1], sources=[[1], [2]]), "one for all"),
        (lambda: generate(backward(), [1]), "goes backward"),
        (lambda: generate(of_tokens(layers.Conv1D(4, 2, padding="causal")), [1]), "other logits for one token"),
        (lambda: generate(seeing_all(), [1]), "Write use_causal_mask=True in attention"),
        (lambda: char_lm(WORDS, "gpt"), "Write one of 'lstm', 'gru', 'rnn'"),
        (lambda: gpt(WORDS, width=30, heads=4), "width=28"),
        (lambda: char_lm(layers.TextVectorization()), "its adapt"),
    ],
)
def test_mistakes_name_the_fix(call, message):
    with pytest.raises(ValueError, match=message):
        call()
