"""Batches from a generator. Each is checked, so that an error names the batch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ranvier.data.own_rows import each_its_own, own_rows

# Data sets of PyTorch and Ranvier whose items are samples, not batches.
SAMPLES = ("ConcatDataset", "StackDataset", "Subset", "TensorDataset")
Batch = tuple[Any, Any, Any]
Validator = Callable[[Any], Any]


class RanOut(ValueError):  # noqa: N818  # the name says what happened
    """A source yielded fewer batches than requested."""


def batches_from(
    source: Iterable[Any],
    *,
    steps: int | None = None,
    as_x: Validator | None = None,
    as_y: Validator | None = None,
    as_w: Validator | None = None,
    parts: Callable[[Any], tuple[Any, ...] | None] | None = None,
    name: str = "the generator",
    check: bool = True,
    start: int = 0,
) -> Iterator[Batch]:
    """Yield ``(x, y, sample_weight)`` for each batch of ``source``; y and sample_weight may be None.

    A batch is ``x`` alone, or a tuple or list ``(x,)``, ``(x, y)`` or ``(x, y, sample_weight)``. ``parts`` may divide
    it otherwise, and returns None where it does not. ``as_x``, ``as_y`` and ``as_w`` validate the arrays
    (``as_features``, ``as_labels``, ... with their arguments bound); each may return a tuple or a dict of arrays. With
    ``steps``, exactly that many batches are taken, otherwise all; ``start`` of them were taken before. Batches may
    differ only in their number of samples, unless ``check`` is False.

    Raises ``TypeError`` for other objects than iterables and batches, and ``ValueError`` for a batch that is empty,
    changes shape, has arrays of different lengths, is invalid, or is missing. Errors give the index of the batch, from
    0. An error of the generator is raised unchanged, with the index as a note.
    """
    check_source(source, name)
    batches = each_its_own(in_order(source))
    first: tuple[Any, ...] | None = None
    index = start
    while steps is None or index < steps:
        try:
            item = next(batches)
        except StopIteration:
            ended(index, steps, name)
            return
        except Exception as error:
            error.add_note(f"(raised by {name} while it made batch {index})")
            raise
        found = parts(item) if parts is not None else None
        each = _parts(item if found is None else found, index, name)
        try:
            x = as_x(each[0]) if as_x else _as_array(each[0])
            y = as_y(each[1]) if as_y and each[1] is not None else _as_array(each[1])
            w = as_w(each[2]) if as_w and each[2] is not None else _as_array(each[2])
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"Batch {index} of {name}: {error}") from error
        described = _check(x, y, w, index, name) if check else ()
        first = described if first is None else first
        if described != first:
            _changed(first, described, index, name)
        yield x, y, w
        index += 1


def name_of(source: Any) -> str:
    """The name of a source in errors."""
    return str(getattr(source, "__name__", type(source).__name__))


def check_source(source: Any, name: str) -> None:
    """Raise TypeError for an object that yields no batches."""
    if isinstance(source, type) or (callable(source) and hasattr(source, "__name__") and not _readable(source)):
        what = "class" if isinstance(source, type) else "function"
        raise TypeError(f"{name} is a {what} ({source!r}). Write {source.__name__}() instead.")
    kind = type(source)
    if kind.__name__ in SAMPLES and kind.__module__.split(".")[0] in ("ranvier", "torch"):
        raise TypeError(
            f"{name} yields single samples, and batches are needed. Write DataLoader(dataset, batch_size=32) instead."
        )
    if not _readable(source):
        raise TypeError(
            f"{name} is a {type(source).__name__}, which yields no batches. Write a generator, a DataLoader that "
            "yields (x, y), or iter(...) of a list of batches, instead."
        )


def _readable(source: Any) -> bool:
    return hasattr(source, "__iter__") or by_number(source)


def by_number(source: Any) -> bool:
    """Whether batches are read by index, as from a PyDataset of Keras, which has a length and raises no IndexError.

    The class of Keras also has ``__iter__``, which its ``fit`` does not use; ``on_epoch_end`` identifies it.
    """
    kind = type(source)
    indexed = hasattr(kind, "__getitem__") and (hasattr(kind, "__len__") or hasattr(kind, "num_batches"))
    return indexed and (not hasattr(kind, "__iter__") or hasattr(kind, "on_epoch_end"))


def number_of(source: Any) -> int | None:
    """The number of batches of a source that is read by index; None where it is unlimited, and for other sources."""
    if not by_number(source):
        return None
    number = source.num_batches if hasattr(type(source), "num_batches") else len(source)
    return None if number is None else int(number)


def in_order(source: Any, order: Iterable[int] | None = None) -> Iterator[Any]:
    """The batches of one pass. A source that is read by index yields them in this order."""
    if not by_number(source):
        return own_rows(source) or iter(source)
    number = number_of(source)
    ascending = itertools.count() if number is None else range(number)
    return (source[i] for i in (ascending if order is None else order))


def notify(source: Any, event: str) -> None:
    """Call ``on_epoch_begin`` or ``on_epoch_end`` of a source that is read by index, if it has the method."""
    method = getattr(source, event, None) if by_number(source) else None
    if method is not None:
        method()


def _parts(item: Any, index: int, name: str) -> Batch:
    if item is None:
        raise TypeError(f"Batch {index} of {name} is None. Write yield x, y (or return to end it) instead.")
    if isinstance(item, dict):
        raise TypeError(f"Batch {index} of {name} is a dict with keys {list(item)[:5]}. Write a tuple (x, y) instead.")
    if isinstance(item, (list, tuple)):
        item = type(item)(np.array(part, object) if _are_texts(part) else part for part in item)
    # A list of arrays is a batch (PyTorch's DataLoader yields lists). A list of numbers is x.
    if not isinstance(item, tuple) and not (isinstance(item, list) and _holds_arrays(item)):
        return item, None, None
    if not 1 <= len(item) <= 3:
        raise TypeError(
            f"Batch {index} of {name} has {len(item)} parts. Write (x, y) or (x, y, sample_weight) instead."
        )
    for part, role in zip(item[:2], ("x", "y"), strict=False):
        if part is None and (role == "x" or len(item) == 3):
            raise TypeError(f"Batch {index} of {name} has None for {role}. Write an array there instead.")
    x, y, w = (*item, None, None)[:3]
    return x, y, w


def _are_texts(part: Any) -> bool:
    """Whether this is a list or tuple of texts, as a DataLoader gives those of a batch."""
    return isinstance(part, (list, tuple)) and bool(part) and all(isinstance(text, (str, bytes)) for text in part)


def _holds_arrays(part: Any) -> bool:
    """Whether this is an array with dimensions, or a list, tuple or dict of such arrays."""
    if isinstance(part, (list, tuple, Mapping)):
        return bool(part) and all(map(_holds_arrays, part.values() if isinstance(part, Mapping) else part))
    return bool(getattr(part, "shape", ()))


def _as_array(part: Any) -> Any:
    return part if part is None or hasattr(part, "shape") else np.asarray(part)


def _check(x: Any, y: Any, w: Any, index: int, name: str) -> tuple[Any, ...]:
    """Check the lengths within one batch. Return what all batches have in common: the parts and their sample shapes."""
    named = [leaf for role, part in (("x", x), ("y", y), ("sample_weight", w)) for leaf in _leaves(part, role)]
    for role, part in named:
        if len(part.shape) == 0:
            raise ValueError(
                f"Batch {index} of {name}: {role} is a single value. Write an array with one row a sample instead, and "
                "of a data set of single samples DataLoader(dataset, batch_size=32) or dataset.batch(32)."
            )
    lengths = {role: int(part.shape[0]) for role, part in named}
    if len(set(lengths.values())) > 1:
        stated = ", ".join(f"{role} has {n}" for role, n in lengths.items())
        raise ValueError(f"Batch {index} of {name}: the numbers of samples differ: {stated}. Write equal ones instead.")
    if 0 in lengths.values():
        raise ValueError(f"Batch {index} of {name} has 0 samples. Write at least one row, or omit the batch, instead.")
    return tuple((role, tuple(int(n) for n in part.shape[1:])) for role, part in named)


def _leaves(part: Any, role: str) -> list[tuple[str, Any]]:
    """The arrays of one part, with their names."""
    if isinstance(part, (tuple, dict)):
        items = part.items() if isinstance(part, dict) else enumerate(part)
        return [leaf for key, value in items for leaf in _leaves(value, f"{role}[{key!r}]")]
    return [] if part is None else [(role, part)]


def _changed(first: tuple[Any, ...], now: tuple[Any, ...], index: int, name: str) -> None:
    before, after = dict(first), dict(now)
    for role in dict.fromkeys((*before, *after)):
        if before.get(role) == after.get(role):
            continue
        if role in before and role in after:
            what = f"{role} has samples of shape {after[role]}, in batch 0 they had {before[role]}"
        else:
            state, then = ("present", "missing") if role in after else ("missing", "present")
            what = f"{role} is {state}, and in batch 0 it was {then}"
        raise ValueError(f"Batch {index} of {name}: {what}. Write batches of one kind instead.")


def ended(index: int, steps: int | None, name: str) -> None:
    """Raise RanOut where a source ended before batch ``index``."""
    if index == 0:
        raise RanOut(
            f"{name} yielded no batch: batch 0 is missing. Write a source that starts again in each epoch (a "
            "DataLoader, a PyDataset, an object whose __iter__ is a generator) instead."
        )
    if steps is not None:
        raise RanOut(
            f"{name} ended early: batch {index} of {steps} is missing. Write steps_per_epoch={index}, or a "
            "generator that starts again (while True), instead."
        )
