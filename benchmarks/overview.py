"""The compact tables of RESULTS.md: networks on images and on sequences, complete trainings, growth, time by part."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median
from typing import Any

from benchmarks.figures import duration, least, markdown_table, number, ratios
from benchmarks.growth import GROWTH_WORKLOADS, PREDICTED, TRAINED
from benchmarks.images import DATASETS, IMAGE_WORKLOADS
from benchmarks.sequences import TRAINED as SEQUENCES
from benchmarks.sequences import memory_of
from benchmarks.workload import OURS
from benchmarks.workloads import WORKLOADS

Record = dict[str, Any]
# Of the training row: ours / theirs. Then of the prediction and memory rows of the same network.
_PEERS = ("torch", "keras-tf", "keras-jax")
_PREDICTED = (1, 64)
_RIVALS = ("torch", "jax", "keras-tf")  # of a row of growth
_TRAINED = (OURS, *_PEERS)


_HEADINGS = (
    "network", "an epoch", "GFLOP/s", "of peak", "/ PyTorch", "/ Keras on TensorFlow", "/ Keras on JAX",
    "predict 1 / ONNX Runtime", "predict 64 / ONNX Runtime", "memory / PyTorch",
)  # fmt: skip
_TRAININGS = ("data", "network", "epochs", "ranvier", "PyTorch", "Keras on TensorFlow", "Keras on JAX")
_GROWTH = (
    "training", "a step", "GFLOP/s", "of peak", "GB/s", "of a copy", "/ least possible time", "/ PyTorch", "/ JAX",
    "/ Keras on TensorFlow", "memory / PyTorch",
)  # fmt: skip
_SEQUENCES = (
    "network",
    "a step",
    "GFLOP/s",
    "of peak",
    "/ PyTorch",
    "/ JAX",
    "/ Keras on TensorFlow",
    "memory / PyTorch",
)
_TITLES = {
    "cnn": "CNN 32-64",
    "bn": "CNN 32-32-64 with batch normalization",
    "lenet": "LeNet-5",
    "resnet": "ResNet-20",
    "depthwise": "5x5 stride 2, depthwise, pointwise",
    "digits": "`cnn`: 32-64, dropout",
    "clothes": "`vgg_small`: 32-64-128, batch normalization, mirrored at random",
}
assert set(_TITLES) == {w.network for w in IMAGE_WORKLOADS if w.network}


def _ratio(records: Mapping[str, Record], name: str, peer: str) -> str:
    values = ratios(records[name], peer) if name in records else []
    return number(median(values)) if values else ""


def rows(records: Mapping[str, Record]) -> list[tuple[str, ...]]:
    """A row for each image network and batch that was trained; ratios are medians over the rounds, ours / theirs."""
    out = []
    for workload in IMAGE_WORKLOADS:
        record = records.get(workload.name)
        times = {row["name"]: row["times"] for row in record["rows"]} if record else {}
        if workload.kind != "images" or record is None or OURS not in times:
            continue
        network, batch = workload.network, workload.batch
        seconds = median(times[OURS])
        rate = record["flops"] / seconds / 1e9
        out.append(
            (
                f"{_TITLES[network]}, batch {batch}",
                duration(seconds),
                f"{rate:.0f}",
                f"{rate / record['peak']:.0%}",
                *(_ratio(records, workload.name, peer) for peer in _PEERS),
                *(_ratio(records, f"image-predict-{network}-{n}", "onnx") for n in _PREDICTED),
                _ratio(records, f"image-memory-{network}-{batch}", "torch"),
            )
        )
    return out


def table(records: Mapping[str, Record]) -> list[str]:
    """The lines of the table in Markdown; empty without image networks."""
    found = rows(records)
    return markdown_table(_HEADINGS, found) if found else []


def trainings(records: Mapping[str, Record]) -> list[str]:
    """The lines of the table of complete trainings, with test accuracies and times; empty without results."""
    found = []
    for workload in WORKLOADS:
        record = records.get(workload.name)
        if workload.kind != "accuracy" or record is None or not record["rows"]:
            continue
        ran = {row["name"]: row for row in record["rows"]}
        cells = [
            f"{ran[name]['loss']:.2%} in {duration(median(ran[name]['times']))}" if name in ran else ""
            for name in _TRAINED
        ]
        found.append((DATASETS[workload.dataset], _TITLES[workload.network], str(workload.epochs), *cells))
    return markdown_table(_TRAININGS, found) if found else []


def growth(records: Mapping[str, Record]) -> list[str]:
    """The lines of the table of trainings of wider and deeper networks, by step; empty without results."""
    found = []
    for workload in TRAINED:
        record = records.get(workload.name)
        ran = {row["name"]: row["times"] for row in record["rows"]} if record else {}
        if record is None or OURS not in ran:
            continue
        seconds = median(ran[OURS])
        rate, moved = record["flops"] / seconds / 1e9, record["bytes"] / seconds / 1e9
        found.append(
            (
                workload.title,
                duration(seconds / math.ceil(workload.samples / workload.batch)),
                f"{rate:.0f}",
                f"{rate / record['peak']:.0%}",
                f"{moved:.1f}",
                f"{moved / record['bandwidth']:.0%}",
                number(seconds / least(record)),
                *(_ratio(records, workload.name, peer) for peer in _RIVALS),
                _ratio(records, workload.name.replace("growth-", "growth-memory-", 1), "torch"),
            )
        )
    return markdown_table(_GROWTH, found) if found else []


def sequences(records: Mapping[str, Record]) -> list[str]:
    """The lines of the table of trainings on sequences, by step; empty without results."""
    found = []
    for workload in SEQUENCES:
        record = records.get(workload.name)
        ran = {row["name"]: row["times"] for row in record["rows"]} if record else {}
        if record is None or OURS not in ran:
            continue
        seconds = median(ran[OURS])
        rate = record["flops"] / seconds / 1e9
        found.append(
            (
                workload.title.replace(": training", ""),
                duration(seconds / math.ceil(workload.samples / workload.batch)),
                f"{rate:.0f}",
                f"{rate / record['peak']:.0%}",
                *(_ratio(records, workload.name, peer) for peer in _RIVALS),
                _ratio(records, memory_of(workload).name, "torch"),
            )
        )
    return markdown_table(_SEQUENCES, found) if found else []


def predictions(records: Mapping[str, Record]) -> list[str]:
    """The lines of the table of predictions, ours / ONNX Runtime by batch; empty without results."""
    found: dict[str, dict[int, str]] = {}
    for workload in GROWTH_WORKLOADS:
        if workload.unit == "call" and workload.name in records:
            cells = found.setdefault(workload.title.split(": ")[0], {})
            cells[workload.batch] = _ratio(records, workload.name, "onnx")
    rows = [(title, *(cells.get(batch, "") for batch in PREDICTED)) for title, cells in found.items()]
    headings = ("prediction", *(f"{batch} / ONNX Runtime" for batch in PREDICTED))
    return markdown_table(headings, rows) if rows else []


def times(records: Mapping[str, Record]) -> list[str]:
    """The lines of the table of the time of training steps by part; empty without results."""
    found = [(w.title, records[w.name]["parts"]) for w in WORKLOADS if "parts" in records.get(w.name, {})]
    if not found:
        return []
    headings = list(found[0][1])
    rows = [(title, *(f"{parts.get(part, 0.0):.0%}" for part in headings)) for title, parts in found]
    return markdown_table(("training", *headings), rows)
