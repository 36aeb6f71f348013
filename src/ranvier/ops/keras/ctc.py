"""Keras's ``ctc_loss`` and ``ctc_decode``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.graph.dtypes import STORAGE
from ranvier.ops import arrays
from ranvier.ops.functional import ctc as bodies
from ranvier.ops.functional.label_checks import in_range, labels_in_range
from ranvier.ops.keras.arrays import convert_to_tensor
from ranvier.ops.keras.elementwise import Operand
from ranvier.tensor.tensor import Tensor

Array = np.ndarray[Any, Any]
STRATEGIES = ("greedy", "beam_search")


def ctc_loss(
    target: Operand, output: Operand, target_length: Operand, output_length: Operand, mask_index: int = 0
) -> Any:
    """The CTC loss of each sample, (batch,), for labels (batch, length) and scores (batch, steps, classes).

    The scores are not normalized by softmax. ``mask_index`` is the class of the blank. Labels and steps beyond the
    lengths, (batch,) each, do not count. Raises ValueError for lengths that are negative or beyond the steps or labels.
    """
    output = convert_to_tensor(output)
    if output.dtype in STORAGE:  # the loss is float32, as in Keras
        output = arrays.cast(output, "float32")
    target = labels_in_range(convert_to_tensor(target), "target label", output.shape[-1], None)
    taken, counts = output_length, target_length
    if output.ndim == 3 and target.ndim == 2:  # other ranks have an error of their own
        taken, counts = _lengths(taken, output.shape[1]), _lengths(counts, target.shape[1])
    return bodies.ctc_of_scores(output, target, taken, counts, mask_index)


def _lengths(lengths: Operand, size: Any) -> Any:
    """``lengths`` of sequences that are ``size`` long at most."""
    lengths = convert_to_tensor(lengths)
    return in_range(lengths, "sequence length", size + 1) if isinstance(size, int) else lengths


def ctc_decode(
    inputs: Operand,
    sequence_lengths: Operand,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int = 0,
) -> tuple[Tensor, Tensor]:
    """The labels that scores (batch, steps, classes) say, with -1 after the last one. Evaluated at once.

    "greedy" takes the best class of each step: labels (1, batch, steps), and the negative sum of its scores (batch, 1).
    "beam_search" takes the ``top_paths`` most probable label sequences of ``beam_width`` that are followed: labels
    (top_paths, batch, steps), and their log-probabilities (batch, top_paths). ``merge_repeated``, for "greedy": equal
    classes one after the other are one label.
    """
    scores = np.asarray(convert_to_tensor(inputs).compute(), np.float64)
    lengths = np.asarray(convert_to_tensor(sequence_lengths).compute())
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy {strategy!r} of ctc_decode. Write 'greedy' or 'beam_search' instead.")
    if scores.ndim != 3 or lengths.shape != scores.shape[:1]:
        raise ValueError(
            f"ctc_decode of scores {scores.shape} and lengths {lengths.shape}. Write scores (batch, steps, classes) "
            "and lengths (batch,) instead."
        )
    _lengths(lengths, scores.shape[1])
    if strategy == "greedy":
        labels, found = _greedy(scores, lengths, merge_repeated, mask_index)
    else:
        scores = scores - np.logaddexp.reduce(scores, -1, keepdims=True)
        parts = [_beams(row[:n], beam_width, top_paths, mask_index) for row, n in zip(scores, lengths, strict=True)]
        labels = np.full((top_paths, *scores.shape[:2]), -1)
        for i, (paths, _) in enumerate(parts):
            for place, path in enumerate(paths):
                labels[place, i, : len(path)] = path
        found = np.stack([logs for _, logs in parts])
    return Tensor(labels.astype(np.int32)), Tensor(found.astype(np.float32))


def _greedy(scores: Array, lengths: Array, merge: bool, blank: int) -> tuple[Array, Array]:
    there = np.arange(scores.shape[1]) < lengths[:, None]
    best = np.where(there, scores.argmax(-1), blank)
    label = best != blank
    if merge:
        label[:, 1:] &= best[:, 1:] != best[:, :-1]
    order = np.argsort(~label, -1, kind="stable")
    labels = np.take_along_axis(np.where(label, best, -1), order, -1)
    return labels[None], -np.where(there, scores.max(-1), 0).sum(-1)[:, None]


def _beams(logs: Array, width: int, top: int, blank: int) -> tuple[list[tuple[int, ...]], Array]:
    """The most probable label sequences of (steps, classes), and their log-probabilities."""
    prefixes: list[tuple[int, ...]] = [()]
    # Of each prefix, the log-probability of its readings that end with a blank, and of those that end with its label.
    silent, spoken = np.zeros(1), np.full(1, -np.inf)
    for row in logs:
        count, classes = len(prefixes), len(row)
        total = np.logaddexp(silent, spoken)
        last = np.array([prefix[-1] if prefix else -1 for prefix in prefixes])
        longer = total[:, None] + row
        some = np.flatnonzero(last >= 0)
        longer[some, last[some]] = silent[some] + row[last[some]]
        longer[:, blank] = -np.inf
        stays_silent = total + row[blank]
        stays_spoken = np.where(last >= 0, spoken + row[last], -np.inf)
        known = {prefix: k for k, prefix in enumerate(prefixes)}
        for k in some:  # a prefix that is another one and a label
            parent = known.get(prefixes[k][:-1])
            if parent is not None:
                stays_spoken[k] = np.logaddexp(stays_spoken[k], longer[parent, last[k]])
                longer[parent, last[k]] = -np.inf
        candidates = np.concatenate([np.logaddexp(stays_silent, stays_spoken), longer.ravel()])
        chosen = np.argsort(-candidates, kind="stable")[:width]
        chosen = chosen[candidates[chosen] > -np.inf]
        new = [divmod(int(c) - count, classes) for c in chosen if c >= count]
        kept = [int(c) for c in chosen if c < count]
        prefixes = [prefixes[k] for k in kept] + [(*prefixes[k], label) for k, label in new]
        silent = np.concatenate([stays_silent[kept], np.full(len(new), -np.inf)])
        spoken = np.concatenate([stays_spoken[kept], [longer[place] for place in new]])
    total = np.logaddexp(silent, spoken)
    order = np.argsort(-total, kind="stable")[:top]
    found = np.full(top, -np.inf)
    found[: len(order)] = total[order]
    return [prefixes[k] for k in order], found
