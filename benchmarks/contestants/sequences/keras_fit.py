"""Keras's `fit` on sequences. On TensorFlow a trial selects the settings, as on images."""

from __future__ import annotations

from typing import Any

import keras

from benchmarks.contestants import Job
from benchmarks.contestants.images import Array
from benchmarks.contestants.images.keras_fit import fitted
from benchmarks.contestants.keras_fit import OPTIMIZERS
from benchmarks.contestants.sequences import vocabulary
from benchmarks.sequence_networks import SEQUENCES
from benchmarks.workload import Workload


def compiled(workload: Workload, options: dict[str, Any]) -> Any:
    """The network with its initial weights and its optimizer."""
    optimizer = OPTIMIZERS[workload.optimizer](workload.learning_rate)
    return vocabulary.compiled(workload, SEQUENCES[workload.network], keras, optimizer, **options)


def sequences(workload: Workload, x: Array, y: Array) -> Job:
    return fitted(workload, x, y, compiled)
