"""The benchmarks of sequences: their networks, their arithmetic, their data, and how they are judged."""

import importlib

import numpy as np
import pytest

pytest.importorskip("benchmarks", reason="the source distribution has no benchmarks")
(contestants, datasets, overview, report, sequences, sequence_networks, vocabulary, workloads) = (
    importlib.import_module(f"benchmarks.{name}")
    for name in (
        *("contestants", "datasets", "overview", "report", "sequences", "sequence_networks"),
        *("contestants.sequences.vocabulary", "workloads"),
    )
)
SEQUENCES = sequence_networks.SEQUENCES
LSTM = workloads.by_name("sequences-lstm-128")


def record(workload, *rows):
    return {
        "workload": workload.name, "data": "numbers", "flops": workload.flops, "bytes": workload.bytes, "peak": 500.0,
        "bandwidth": 50.0, "failed": {}, "cost": [0.1, 1.0], "date": "2026-01-01",
        "rows": [{"name": name, "times": times, "loss": 0.5, "note": ""} for name, times in rows],
        "machine": {"cpu": "a processor", "cores": 2, "system": "a system", "versions": {}},
    }  # fmt: skip


def test_every_row_has_a_limit_and_contestants_that_can():
    limited = {r.workload for r in workloads.REQUIREMENTS}
    assert {w.name for w in sequences.SEQUENCE_WORKLOADS} <= limited
    for workload in sequences.SEQUENCE_WORKLOADS:
        able = {c.name for c in contestants.CONTESTANTS if workload.kind in c.kinds}
        assert set(workload.contestants) <= able, workload.name
    for requirement in sequences.SEQUENCE_REQUIREMENTS:
        who = workloads.by_name(requirement.workload).contestants
        assert not who or {requirement.against} - {"fastest peer", ""} <= set(who), requirement


@pytest.mark.parametrize("name", ["lstm", "gru", "bilstm", "transformer", "textcnn", "speech"])
def test_networks_are_built_with_their_shapes_and_weights(name):
    network = SEQUENCES[name]
    importlib.import_module("ranvier").set_seed(0)
    model = vocabulary.build(network, importlib.import_module("ranvier"))
    assert tuple(model.output_shape[1:]) == network.answers
    assert sum(w.size for w in model.get_weights()) == network.parameters


def test_operations_are_those_of_the_direct_algorithm():
    assert SEQUENCES["lstm"].forward_flops == 2 * (28 * (28 + 128) * 512 + 1280)
    assert SEQUENCES["lstm"].training_flops == 3 * SEQUENCES["lstm"].forward_flops - 2 * 28 * 28 * 512
    pairs = 4096 * 4097 // 2
    assert SEQUENCES["attention"].training_flops == 3 * 2 * 2 * 256 * pairs
    assert LSTM.flops == SEQUENCES["lstm"].training_flops * LSTM.samples


@pytest.mark.parametrize("name", ["bilstm", "gpt", "speech"])
def test_data_can_be_learned(name, tmp_path):
    network = SEQUENCES[name]
    x, y = (np.load(path) for path in datasets._sequences(name, network, 40, tmp_path)[:2])
    assert x.shape == (40, *network.shape)
    assert y.dtype == np.int32
    if name == "gpt":
        np.testing.assert_array_equal(x[:, 1:], y[:, :-1])
    if name == "bilstm":
        assert 0 < (x == 0).mean() < 0.5
        assert x.max() < network.vocabulary
        told = np.where(x > 0, x % 2 == y[:, None], 0).sum() / (x > 0).sum()
        assert told == pytest.approx(2 / 3, abs=0.05)


def test_the_table_shows_peers_and_memory():
    memory = sequences.memory_of(LSTM)
    made = {
        LSTM.name: record(LSTM, ("ranvier", [0.3]), ("torch", [1.0]), ("jax", [0.6])),
        memory.name: record(memory, ("ranvier", [70.0]), ("torch", [100.0])),
    }
    (row,) = overview.sequences(made)[2:]
    assert all(f"| {cell} " in row for cell in ("0.300", "0.500", "0.700"))
    assert "## Sequences" in report.markdown([made])
