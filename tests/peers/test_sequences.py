"""The networks on sequences of the benchmarks are the same program in every library: results, gradients, predictions."""

import dataclasses
import importlib

import numpy as np
import pytest

pytest.importorskip("benchmarks", reason="the source distribution has no benchmarks")
torch = pytest.importorskip("torch")
sequence, sequence_networks, vocabulary, workloads, pytorch = (
    importlib.import_module(f"benchmarks.{name}")
    for name in (
        *("sequence", "sequence_networks", "contestants.sequences.vocabulary", "workloads"),
        "contestants.sequences.pytorch",
    )
)
Block, Dense, Embed, Recurrent = sequence.Block, sequence.Dense, sequence.Embed, sequence.Recurrent
ROWS, TOKENS = (5, 4), (6,)
AFTER = (sequence.Positions(), Block(2, 12, causal=True, gelu=True), sequence.Norm())
SMALL = {
    **{kind: (ROWS, (Recurrent(kind, 6), Dense(3))) for kind in sequence.GATES},
    "padded": (
        TOKENS,
        (Embed(9, 4, masked=True), Recurrent("lstm", 3, every=True, both=True), Recurrent("lstm", 3, both=True), Dense(3)),
    ),
    "attending": (ROWS, (sequence.Project(8), sequence.Positions(), Block(2, 12), sequence.Mean(), Dense(3))),
    "next": (TOKENS, (Embed(9, 8), *AFTER, Dense(9))),
    "written": (TOKENS, (Embed(9, 4), Recurrent("lstm", 5, every=True), Dense(9))),
    "bag": (TOKENS, (Embed(9, 4), sequence.Mean(), Dense(3))),
    "convolved": (TOKENS, (Embed(9, 4), sequence.Convs((2, 3), 5), Dense(3))),
    "heard": ((400,), (sequence.Bands(64, 20, 8), sequence.Conv(4), sequence.GlobalPool(), Dense(3))),
}  # fmt: skip


@pytest.fixture
def small(monkeypatch):
    """Puts a small network in the table."""

    def put(name):
        network = sequence.Sequence(name, *SMALL[name])
        monkeypatch.setitem(sequence_networks.SEQUENCES, "small", network)
        for module in (pytorch, importlib.import_module("benchmarks.contestants.images")):
            monkeypatch.setattr(module, "CORES", 1)
        return network

    return put


def report(network, kind, contestant, optimizer="adam"):
    """What a contestant reports for it: the loss of the third step, or that of predictions."""
    rng = np.random.default_rng(0)
    *steps, classes = network.answers
    if network.vocabulary:
        x = rng.integers(1, network.vocabulary, (8, *network.shape)).astype(np.int32)
        if network.masked:
            x[np.arange(x.shape[1]) >= rng.integers(2, x.shape[1] + 1, (8, 1))] = 0
    else:
        x = rng.standard_normal((8, *network.shape)).astype(np.float32)
    y = rng.integers(0, classes, (8, *steps)).astype(np.int32)
    workload = workloads.by_name("sequences-lstm-32" if kind == "sequences" else "sequences-predict-lstm")
    workload = dataclasses.replace(
        workload, network="small", batch=8, samples=8, checked=8, optimizer=optimizer, learning_rate=0.01
    )
    module = importlib.import_module(f"benchmarks.contestants.sequences.{contestant}")
    return getattr(module, kind)(workload, x, y).begin(3)


@pytest.mark.parametrize("name", [name for name in SMALL if name != "written"])
def test_three_steps_end_at_the_same_loss(small, name):
    pytest.importorskip("jax")
    network = small(name)
    optimizer = "sgd" if name == "bag" else "adam"
    expected = report(network, "sequences", "ours", optimizer)
    for contestant in ("pytorch", "jax_scan")[: 1 if name == "heard" else 2]:
        found = report(network, "sequences", contestant, optimizer)
        assert found == pytest.approx(expected, rel=2e-4), contestant


@pytest.mark.parametrize("name", ["lstm", "attending"])
def test_predictions_are_the_same(small, name):
    pytest.importorskip("onnxruntime")
    network = small(name)
    expected = report(network, "infer", "ours")
    for contestant in ("pytorch", "onnx_session"):
        assert report(network, "infer", contestant) == pytest.approx(expected, rel=1e-5), contestant


@pytest.mark.parametrize("name", ["next", "written"])
def test_the_likeliest_tokens_are_the_same(small, name):
    network = small(name)
    assert report(network, "generate", "ours") == report(network, "generate", "pytorch")


@pytest.mark.parametrize("name", ["gru", "padded", "next"])
def test_keras_gives_the_same_logits(small, keras, name):
    network = small(name)
    x = np.random.default_rng(0).standard_normal((2, *network.shape)).astype(np.float32)
    if network.vocabulary:
        x = np.array([[1, 2, 3, 4, 0, 0], [5, 6, 7, 8, 1, 2]], np.int32)
    model = pytorch.build(network, trained=True).eval()
    expected = model(torch.from_numpy(x)).detach()
    np.testing.assert_allclose(vocabulary.build(network, keras, trained=True)(x), expected, rtol=1e-4, atol=1e-5)


def test_attention_has_the_same_gradients():
    workload = workloads.by_name("sequences-attention")
    x = np.random.default_rng(0).standard_normal((1, 130, 24)).astype(np.float32)
    modules = (importlib.import_module(f"benchmarks.contestants.sequences.{name}") for name in ("ours", "pytorch"))
    own, theirs = (module.attention(workload, x, x).begin(1) for module in modules)
    assert own == pytest.approx(theirs, rel=1e-4)
