"""Conversion of class labels to the targets of a network, and of its outputs to probabilities and labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from ranvier.data.convert import Array


@dataclass(frozen=True)
class Labels:
    """The classes of ``y``.

    ``kind`` is "binary" (one output, the probability of the second class), "multiclass" (one output for each class),
    "multilabel" (columns of 0 and 1, with one output each) or "multioutput" (columns of classes, with a block of
    outputs each). ``classes`` are the sorted classes of each column.
    """

    kind: str
    classes: tuple[Array, ...]

    @classmethod
    def of(cls, y: Array, classes: Any = None) -> Labels:
        """Determine the kind and the classes. ``classes`` are those of ``partial_fit``, which y need not contain.

        Raises ValueError for targets that are not classes, and for a single class.
        """
        check_classification_targets(y)
        if y.ndim == 1:
            known = np.unique(y if classes is None else classes)
            if len(known) < 2:
                raise ValueError(
                    f"y contains one class only, {known.tolist()[0]!r}, and at least two are needed. Write a y of at "
                    "least two classes, or partial_fit(X, y, classes=[...]) with all classes of later calls, instead."
                )
            return cls("binary" if len(known) == 2 else "multiclass", (known,))
        if classes is None:
            columns = tuple(np.unique(column) for column in y.T)
        else:
            columns = _columns(classes, y.shape[1])
        yes_or_no = all(np.isin(c, (0, 1)).all() for c in columns if c.dtype.kind in "biuf")
        if type_of_target(y) == "multilabel-indicator" and yes_or_no:
            return cls("multilabel", tuple(np.array([0, 1]) for _ in range(y.shape[1])))
        return cls("multioutput", columns)

    @property
    def sizes(self) -> list[int]:
        return [len(c) for c in self.classes]

    @property
    def width(self) -> int:
        """The number of outputs of the network."""
        if self.kind in ("multilabel", "binary"):
            return len(self.classes)
        return sum(self.sizes)

    @property
    def shown(self) -> Any:
        """``classes_`` of scikit-learn: an array, column numbers of labels, or a list of arrays for several outputs."""
        if self.kind == "multioutput":
            return list(self.classes)
        return np.arange(len(self.classes)) if self.kind == "multilabel" else self.classes[0]

    def codes(self, y: Array) -> Array:
        """The class number of each label, in the shape of y. Raises ValueError for unknown labels."""
        columns = [_codes(y, self.classes[0])] if y.ndim == 1 else []
        if y.ndim == 2:
            if y.shape[1] != len(self.classes):
                raise ValueError(f"y has {y.shape[1]} columns, and in fit it had {len(self.classes)}.")
            columns = [_codes(column, c) for column, c in zip(y.T, self.classes, strict=True)]
        return np.stack(columns, axis=1).reshape(y.shape)

    def targets(self, codes: Array, width: int, one_hot: bool) -> Array:
        """The targets of a loss of ``width`` outputs: class numbers, or with ``one_hot`` a column for each class."""
        if self.kind == "multioutput" or (self.kind == "multiclass" and one_hot):
            columns = [codes] if codes.ndim == 1 else list(codes.T)
            return np.concatenate(
                [np.eye(size, dtype=np.uint8)[c] for c, size in zip(columns, self.sizes, strict=True)], axis=1
            )
        if width == 2 and self.kind == "binary" and one_hot:
            return np.eye(2, dtype=np.uint8)[codes]
        return codes if codes.ndim == 2 or width > 1 else codes.reshape(-1, 1)

    def blocks(self, outputs: Array) -> list[Array]:
        """The probabilities of the classes of each column, computed from logits."""
        ends = np.cumsum(self.sizes)[:-1]
        return [_softmax(block) for block in np.split(outputs, ends, axis=1)]

    def decided(self, outputs: Array) -> Array:
        """The numbers of the most probable classes, in the shape of y."""
        if self.kind == "multioutput":
            starts = np.cumsum([0, *self.sizes[:-1]])
            parts = np.split(outputs, starts[1:], axis=1)
            return np.stack([part.argmax(1) for part in parts], axis=1)
        if self.kind == "multilabel":
            return (outputs > 0.5).astype(np.intp)
        if outputs.shape[1] == 1:
            return (outputs[:, 0] > 0.5).astype(np.intp)
        return np.asarray(outputs.argmax(1))

    def names(self, codes: Array) -> Array:
        """The labels of class numbers."""
        if codes.ndim == 1:
            return np.asarray(self.classes[0][codes])
        if self.kind == "multilabel":
            return codes
        return np.stack([c[column] for c, column in zip(self.classes, codes.T, strict=True)], axis=1)


def _columns(classes: Any, count: int) -> tuple[Array, ...]:
    """The classes of each column, from the argument of ``partial_fit``."""
    if len(classes) == count and all(np.ndim(c) == 1 for c in classes):
        return tuple(np.unique(c) for c in classes)
    if np.ndim(classes) == 1 and np.array_equal(classes, np.arange(count)):
        return tuple(np.array([0, 1]) for _ in range(count))
    raise ValueError(
        f"classes is {classes!r}, and y has {count} columns. Write a list with the classes of each column, or for "
        f"columns of 0 and 1 classes=np.arange({count}), instead."
    )


def _codes(y: Array, classes: Array) -> Array:
    places: Array = np.searchsorted(classes, y)
    places[places == len(classes)] = 0
    unknown = classes[places] != y
    if np.any(unknown):
        found = np.unique(np.asarray(y)[unknown])[:10].tolist()
        raise ValueError(
            f"y contains {found}, which is not among the classes {classes.tolist()[:20]}. Write all classes at the "
            "first partial_fit(X, y, classes=[...]), or call fit again, instead."
        )
    return places


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
