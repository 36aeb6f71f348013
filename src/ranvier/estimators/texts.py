"""X of texts and of sequences of any length, as the arrays or the sparse matrix that an estimator takes."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.layers import BytePairEncoding, TextVectorization
from ranvier.layers.text import TextLayer, is_texts, joined
from ranvier.support.source_lines import warn

MOST = 20_000  # tokens of the vocabulary where no vectorizer was given


def numbers_of(estimator: Any, X: Any, fresh: bool) -> Any:
    """X as numbers: of texts those of the vectorizer, which with ``fresh`` learns them; sequences of one length.

    Anything else is returned as it is. Raises ValueError for texts where ``fit`` was given none.
    """
    if _of_texts(X):
        return _vectors(estimator, X, fresh)
    if fresh:
        estimator.__dict__.pop("vectorizer_", None)
    known = None if fresh else estimator._length  # X was of several lengths in fit
    if isinstance(X, (list, tuple)) and (_ragged(X) or known) and all(hasattr(row, "__len__") for row in X):
        return _padded(estimator, X, fresh)
    if fresh:
        estimator._length = None
    return X


def _of_texts(X: Any) -> bool:
    """Whether X is one text a sample."""
    if isinstance(X, (list, tuple)):
        return bool(X) and all(isinstance(text, (str, bytes)) for text in X)
    return getattr(X, "ndim", 0) == 1 and len(X) > 0 and is_texts(np.asarray(X))


# --- texts ----------------------------------------------------------------------------------------------------------


def _vectors(estimator: Any, X: Any, fresh: bool) -> Any:
    if fresh:
        estimator.vectorizer_ = _adapted(estimator.vectorizer, X)
    vectorizer = estimator.__dict__.get("vectorizer_")
    if vectorizer is None:
        raise ValueError("X has texts, and fit was given numbers. Write numbers instead, or fit it with texts.")
    if isinstance(vectorizer, TextVectorization) and vectorizer.output_mode != "int":
        return _counts(vectorizer, X, scaled=estimator.vectorizer is None)
    codes = vectorizer.encode(X)
    if fresh:
        estimator._length = codes.shape[1]
    return _of_length(codes, estimator._length)


def _adapted(given: Any, X: Any) -> TextLayer:
    """The vectorizer of a fit, which has learned its vocabulary of these texts, unless it knew one."""
    if given is None:
        made: Any = TextVectorization(MOST, output_mode="tf_idf")
    elif isinstance(given, (TextVectorization, BytePairEncoding)):
        made = copy.deepcopy(given)
    else:
        raise TypeError(
            f"vectorizer is {given!r}. Write rv.layers.TextVectorization(...), rv.layers.BytePairEncoding(...) or None "
            "instead."
        )
    if made._learned() is None:
        made.adapt(X)
    return made


def _counts(vectorizer: TextVectorization, X: Any, scaled: bool) -> Any:
    """The vectors of texts as a sparse matrix; ``scaled`` to length 1."""
    from scipy import sparse

    codes, rows, _ = joined(vectorizer.indices(X))
    known = codes >= 0
    ones = np.ones(int(known.sum()), np.float32)
    matrix = sparse.csr_matrix((ones, (rows[known], codes[known])), (len(X), vectorizer.depth))
    if vectorizer.output_mode == "multi_hot":
        matrix.data[:] = 1
    if vectorizer.output_mode == "tf_idf":
        assert vectorizer.table.weights is not None
        matrix.data *= vectorizer.table.weights[matrix.indices]
    if scaled:
        lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(1)).reshape(-1))
        matrix.data /= np.repeat(np.where(lengths == 0, 1, lengths), np.diff(matrix.indptr)).astype(np.float32)
    return matrix


# --- sequences ------------------------------------------------------------------------------------------------------


def _ragged(X: Any) -> bool:
    """Whether X has sequences of numbers, not all of one length."""
    rows = [row for row in X if isinstance(row, (list, tuple, np.ndarray))]
    return len(rows) == len(X) > 1 and len({len(row) for row in rows if np.ndim(row)}) > 1


def _padded(estimator: Any, X: Any, fresh: bool) -> Array:
    if estimator.model is None:
        raise ValueError(
            f"X has sequences of {min(map(len, X))} to {max(map(len, X))} elements. Write model=a function (shape, "
            "outputs) -> network of sequences, or rows of one length, instead."
        )
    rows = [np.asarray(row) for row in X]
    shapes = {row.shape[1:] for row in rows if len(row)}
    if len(shapes) > 1 or any(row.dtype.kind not in "biuf" for row in rows):
        raise ValueError(
            "the elements of the sequences in X differ in shape, or are no numbers. Write numbers instead."
        )
    if fresh:
        estimator._length = max(map(len, rows))
    wide = max(estimator._length or 0, *map(len, rows))
    array = np.zeros((len(rows), wide, *next(iter(shapes))), np.result_type(*{row.dtype for row in rows}))
    for place, row in zip(array, rows, strict=True):
        place[: len(row)] = row
    return _of_length(array, estimator._length)


def _of_length(array: Array, length: int | None) -> Array:
    """Sequences of the length that they had in fit: padded with zeros, or cut, with a warning."""
    if length is None or array.shape[1] == length:
        return array
    if array.shape[1] > length:
        cut = int((array[:, length:] != 0).reshape(len(array), -1).any(1).sum())
        if cut:
            warn(
                f"{cut:,} of {len(array):,} sequences are longer than the {length:,} elements of the longest one in "
                "fit, and are cut."
            )
        return array[:, :length]
    return np.pad(array, [(0, 0), (0, length - array.shape[1]), *[(0, 0)] * (array.ndim - 2)])
