"""Ranvier on sequences, in the style of user code: layers, `compile`, `fit`, `predict`; attention as a function."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

import ranvier as rv
from benchmarks.contestants import Job
from benchmarks.contestants.images import Array, Epochs, prediction, training
from benchmarks.contestants.images.ours import fitted
from benchmarks.contestants.ours import OPTIMIZERS
from benchmarks.contestants.sequences import calls, heads_of, passes, vocabulary, writing
from benchmarks.sequence_networks import SEQUENCES
from benchmarks.workload import Workload


def compiled(workload: Workload) -> Any:
    """The network of the workload, or the one that the environment names, with its weights and its optimizer."""
    rv.set_seed(0)
    sequence = SEQUENCES[os.environ.get("NETWORK", workload.network)]
    return vocabulary.compiled(workload, sequence, rv, OPTIMIZERS[workload.optimizer](workload.learning_rate))


def memory(workload: Workload, x: Array, y: Array) -> Epochs:
    """A program that trains, with its data and its initial weights; or that attends."""
    if workload.network == "attention":
        return passes(_attending(workload, x))
    return fitted(compiled(workload), workload, x, y)


def sequences(workload: Workload, x: Array, y: Array) -> Job:
    return training(workload, memory(workload, x, y), "")


def infer(workload: Workload, x: Array, y: Array) -> Job:
    model = vocabulary.build(SEQUENCES[workload.network], rv, trained=True)
    return prediction(
        workload, x, y, lambda batch: model.predict(batch, batch_size=workload.batch, verbose=0), logits=True
    )


def generate(workload: Workload, x: Array, y: Array) -> Job:
    model = vocabulary.build(SEQUENCES[workload.network], rv, trained=True, prefixes=True)

    def write(first: int, count: int, drawn: bool) -> Array:
        return np.asarray(rv.models.generate(model, [first], count, temperature=float(drawn)))

    return writing(workload, x, write)


def _attending(workload: Workload, x: Array) -> Any:
    import ranvier.torch as torch
    import ranvier.torch.nn.functional as F

    queries, keys, values = (torch.tensor(part, requires_grad=True) for part in heads_of(workload, x))

    def attend() -> float:
        queries.grad = keys.grad = values.grad = None
        (F.scaled_dot_product_attention(queries, keys, values, is_causal=True) ** 2).sum().backward()
        return float(np.abs(np.asarray(queries.grad)[..., ::64, :]).mean())

    return attend


def attention(workload: Workload, x: Array, y: Array) -> Job:
    return calls(_attending(workload, x))
