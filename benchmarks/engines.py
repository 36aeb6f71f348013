"""Ranvier on the engines of other libraries, against the same networks written by hand for them: rows and limits."""

from __future__ import annotations

from benchmarks.networks import NETWORKS
from benchmarks.sequence_networks import SEQUENCES
from benchmarks.workload import Requirement, Workload

BATCH = 128
ARTICLE = (784, 64, 64, 10)
IMAGES = 10_240  # of one epoch
SEQUENCE_SAMPLES = 2_560
# Engine, contestants that are written for its library, limit.
AGAINST = (
    ("ranvier-jax", "jax", 1.1),
    ("ranvier-torch", "torch-compiled", 1.1),
    ("ranvier-torch-eager", "torch", 1.3),
    ("ranvier-tensorflow", "keras-tf", 1.1),
)
CONTESTANTS = tuple(dict.fromkeys(name for row in AGAINST for name in row[:2]))

ENGINE_WORKLOADS: tuple[Workload, ...] = (
    Workload(
        "engines-article", f"engines: 784-64-64-10, batch {BATCH}, Adam, fit", "train", ARTICLE, BATCH, 60_000,
        images=True, contestants=CONTESTANTS,
    ),
    *(
        Workload(
            f"engines-{network}", f"engines: {NETWORKS[network].title}: training, batch {BATCH}, Adam", "images",
            batch=BATCH, samples=IMAGES, loss_at=2, network=network, checked=checked, contestants=CONTESTANTS,
        )
        for network, checked in (("cnn", 2560), ("resnet", 640))
    ),
    Workload(
        "engines-lstm", f"engines: {SEQUENCES['lstm'].title}: training, batch {BATCH}, Adam", "sequences",
        batch=BATCH, samples=SEQUENCE_SAMPLES, loss_at=2, network="lstm", checked=8 * BATCH, contestants=CONTESTANTS,
    ),
)  # fmt: skip

ENGINE_REQUIREMENTS: tuple[Requirement, ...] = tuple(
    Requirement(workload.name, "ratio", limit, against, contestant)
    for workload in ENGINE_WORKLOADS
    for contestant, against, limit in AGAINST
)
