"""The benchmarks of wider, deeper and more layers: their networks, their arithmetic, and how they are judged."""

import importlib
import math

import numpy as np
import pytest
from rich.console import Console

pytest.importorskip("benchmarks", reason="the source distribution has no benchmarks")
(datasets, figures, growth, networks, ours, overview, peak, report, workloads) = (
    importlib.import_module(f"benchmarks.{name}")
    for name in (
        *("datasets", "figures", "growth", "networks", "contestants.images.ours", "overview", "peak", "report"),
        "workloads",
    )
)
WIDE = workloads.by_name("growth-2x4096-adam-32")


def record(workload, *rows):
    return {
        "workload": workload.name, "data": "numbers", "flops": workload.flops, "bytes": workload.bytes, "peak": 500.0,
        "bandwidth": 50.0, "failed": {}, "cost": [0.1, 1.0], "date": "2026-01-01",
        "rows": [{"name": name, "times": times, "loss": 0.5, "note": ""} for name, times in rows],
        "machine": {"cpu": "a processor", "cores": 2, "system": "a system", "versions": {}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("resnet18", 11_181_642), ("resnet50", 23_528_522), ("mobilenet", 2_236_682), ("resnet110", 1_730_714)],
)
def test_known_networks_have_their_known_numbers_of_weights(name, parameters):
    assert networks.NETWORKS[name].parameters == parameters


@pytest.mark.parametrize("name", ["unet", "autoencoder", "mobilenet", networks.stack_name(512, 7, 1)])
def test_networks_are_built_with_their_shapes_and_weights(name):
    network = networks.NETWORKS[name]
    model = ours.build(network)
    assert tuple(model.output_shape[1:]) == network.steps()[-1].made
    weights = network.weights()
    model.set_weights(weights)
    assert [w.shape for w in model.get_weights()] == [w.shape for w in weights]
    assert sum(math.prod(w.shape) for w in model.trainable_weights) == network.parameters


def test_the_least_time_follows_from_operations_and_weights():
    steps = WIDE.samples / 32
    assert WIDE.flops == steps * 2 * 32 * 5 * 4096**2
    assert WIDE.bytes == steps * 2 * 4 * 3 * 2 * (4096**2 + 4096)
    made = record(WIDE, ("ranvier", [0.3, 0.2, 0.4]), ("torch", [1.0, 1.0, 1.0]))
    least = WIDE.flops / 500e9 + WIDE.bytes / 50e9
    judged = [v for v in figures.verdicts({WIDE.name: made}) if v.requirement.measure == "least"]
    assert [v.value for v in judged] == [pytest.approx(0.3 / least)]
    assert judged[0].met is (0.3 / least <= 1.33)


def test_every_row_has_a_limit():
    limited = {r.workload for r in workloads.REQUIREMENTS}
    assert {w.name for w in growth.GROWTH_WORKLOADS} <= limited
    assert limited <= {w.name for w in workloads.WORKLOADS}


def test_tables_show_peers_and_the_least_time():
    memory = workloads.by_name("growth-memory-2x4096-adam-32")
    once = workloads.by_name("growth-predict-1024-1024-10-8")
    made = {
        WIDE.name: record(WIDE, ("ranvier", [0.3]), ("torch", [1.0]), ("jax", [0.6])),
        memory.name: record(memory, ("ranvier", [700.0]), ("torch", [1000.0])),
        once.name: record(once, ("ranvier", [1e-4]), ("onnx", [2e-4])),
    }
    (row,) = overview.growth(made)[2:]
    least = figures.least(made[WIDE.name])
    shown = [figures.duration(0.3 / math.ceil(WIDE.samples / 32)), f"{0.3 / least:.2f}", "0.300", "0.500", "0.700"]
    for cell in shown:
        assert f"| {cell} " in row
    assert overview.predictions(made)[2:] == ["| 1024-1024-10 | 0.500 |"]
    assert all(title in report.markdown([made]) for title in ("## Growth", WIDE.title))
    report.show(made[WIDE.name], Console(quiet=True))


def test_images_that_are_no_multiple_of_four_are_random_too(tmp_path):
    x, y, _ = datasets._pictures((7, 7, 5), 12, tmp_path)
    assert np.load(x).shape == (12, 7, 7, 5)
    assert len(np.load(y)) == 12


def test_a_copy_has_a_bandwidth(monkeypatch):
    monkeypatch.setattr(peak, "COPIED", 1 << 20)
    assert peak.bandwidth(2, tries=1) > 0.1
