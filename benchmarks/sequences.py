"""The workloads on sequences: training, prediction, memory, compilation, attention alone; their limits."""

from __future__ import annotations

import dataclasses

from benchmarks.sequence_networks import SEQUENCES
from benchmarks.workload import FASTEST, Requirement, Workload, sized

CHECKED = 8  # batches of the epochs whose loss is compared
NAMES = {"adam": "Adam", "sgd": "SGD"}
RATES = {"adam": 1e-3, "sgd": 0.1}
TRAINERS = ("ranvier", "torch", "jax", "keras-tf")
# Network, batch, optimizer, limits with what they are against, contestants.
_TRAINED: tuple[tuple[str, int, str, tuple[tuple[float, str], ...], tuple[str, ...]], ...] = (
    *(("lstm", batch, "adam", ((0.65, "torch"), (0.35, "keras-tf")), TRAINERS) for batch in (128, 32)),
    *(("gru", batch, "adam", ((0.4, FASTEST),), TRAINERS) for batch in (128, 32)),
    *(("rnn", batch, "adam", ((0.4, FASTEST),), TRAINERS) for batch in (128, 32)),
    ("bilstm", 32, "adam", ((0.5, FASTEST),), TRAINERS),
    *(("transformer", batch, "adam", ((0.35, "torch"),), TRAINERS) for batch in (128, 32)),
    ("gpt", 16, "adam", ((0.5, "torch"),), TRAINERS),
    ("bag", 64, "adam", ((0.35, FASTEST),), TRAINERS),
    ("bag", 64, "sgd", ((0.15, FASTEST),), TRAINERS),
    ("textcnn", 32, "adam", ((0.65, FASTEST),), TRAINERS),
    ("speech", 32, "adam", ((0.5, "torch"),), ("ranvier", "torch")),
)
_PREDICTED = ("lstm", "transformer")
_WRITING = ("charlm", "gpt")
_COMPILED = (("lstm", 128, 0.6), ("gpt", 16, 1.0))  # network, batch, seconds


def _train(network: str, batch: int, optimizer: str, contestants: tuple[str, ...]) -> Workload:
    plain = optimizer == "adam"
    return sized(
        Workload(
            f"sequences-{network}-{batch}" if plain else f"sequences-{network}-{optimizer}-{batch}",
            f"{SEQUENCES[network].title}: training, batch {batch}, {NAMES[optimizer]}", "sequences",
            batch=batch, samples=batch, optimizer=optimizer, learning_rate=RATES[optimizer], loss_at=2,
            network=network, checked=CHECKED * batch, contestants=contestants,
        )
    )  # fmt: skip


def memory_of(trained: Workload) -> Workload:
    """The memory of a process that does the same."""
    name = trained.name.replace("sequences-", "sequences-memory-", 1)
    samples = min(trained.samples, 4 * trained.batch)
    return dataclasses.replace(
        trained, name=name, kind="memory", samples=samples, checked=samples, unit="MB",
        title=f"{trained.title}: peak resident memory of a process", contestants=("ranvier", "torch"),
    )  # fmt: skip


def _predict(network: str) -> Workload:
    return Workload(
        f"sequences-predict-{network}", f"{SEQUENCES[network].title}: prediction of one sample", "infer", batch=1,
        samples=64, network=network, unit="call", contestants=("ranvier", "torch", "onnx"),
    )  # fmt: skip


def _generate(network: str) -> Workload:
    title = f"{SEQUENCES[network].title}: 127 drawn characters after one"
    return Workload(
        f"sequences-generate-{network}", title, "generate", batch=1, samples=1, network=network, loss_at=1, unit="call",
        contestants=("ranvier", "torch"),
    )  # fmt: skip


def _compile(network: str, batch: int, kind: str = "compile") -> Workload:
    without = ", without the step" * (kind == "depth")
    return Workload(
        f"sequences-{kind}-{network}",
        f"compile the training program of {SEQUENCES[network].title}, batch {batch}{without}", kind,
        batch=batch, samples=batch, network=network, unit="compilation",
    )  # fmt: skip


TRAINED = tuple(_train(network, batch, optimizer, who) for network, batch, optimizer, _, who in _TRAINED)
ATTENTION = Workload(
    "sequences-attention", f"{SEQUENCES['attention'].title}, batch 1: forward and backward", "attention", batch=1,
    samples=1, network="attention", loss_at=1, unit="call", contestants=("ranvier", "torch"),
)  # fmt: skip
SEQUENCE_WORKLOADS: tuple[Workload, ...] = (
    *TRAINED,
    ATTENTION,
    *(_predict(network) for network in _PREDICTED),
    *(_generate(network) for network in _WRITING),
    *(_compile(network, batch) for network, batch, _ in _COMPILED),
    _compile("gpt12", 16, "depth"),
    *(memory_of(workload) for workload in (*TRAINED, ATTENTION)),
)

SEQUENCE_REQUIREMENTS: tuple[Requirement, ...] = (
    *(
        Requirement(workload.name, "ratio", limit, against)
        for workload, (_, _, _, limits, _) in zip(TRAINED, _TRAINED, strict=True)
        for limit, against in limits
    ),
    Requirement(ATTENTION.name, "ratio", 0.7, "torch"),
    *(Requirement(_predict(network).name, "ratio", 0.9, "onnx") for network in _PREDICTED),
    *(Requirement(_generate(network).name, "ratio", 0.15, "torch") for network in _WRITING),
    *(Requirement(_compile(network, batch).name, "seconds", limit) for network, batch, limit in _COMPILED),
    Requirement("sequences-depth-gpt12", "ratio", 1.3, "ranvier-four"),
    *(Requirement(memory_of(workload).name, "ratio", 0.5, "torch") for workload in (*TRAINED, ATTENTION)),
)
