"""X and y as scikit-learn validates them. Its errors for text, dates and wrong shapes say besides what to write."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from ranvier.data.arrays import warn_of_other_labels
from ranvier.data.convert import Array, refuse_dates, to_numeric

NOT_NUMERIC = "could not convert string"  # part of NumPy's error for text


def validated(estimator: Any, X: Any, *y: Any, classifies: bool, **options: Any) -> Any:
    """X, or X and y, as arrays; X may be a sparse matrix in CSR format."""
    target = None if not y or classifies else y[0]
    refuse_dates(X, "X")
    refuse_dates(target, "y")
    if y:
        warn_of_other_labels(X, y[0], "X", "y")
    try:
        found = validate_data(estimator, X, *y, accept_sparse="csr", dtype="numeric", **options)
        checked = found[0] if y else found
        if checked.dtype.kind == "O":  # text, which scikit-learn does not check in all frames
            checked.astype(np.float64)
        return found
    except ValueError as error:
        if NOT_NUMERIC in str(error):
            try:
                to_numeric(X, "X")
                to_numeric(0 if target is None else target, "y")
            except TypeError as better:
                raise ValueError(str(better)) from None
        fix = correction(X, *y)
        if fix is None:
            raise
        raise ValueError(f"{error}\n{fix}") from None


def correction(X: Any, y: Any = None) -> str | None:
    """What to write for an X that is likely transposed, swapped with y, or a set; None if it is none of them."""
    if isinstance(X, (set, frozenset)):
        return "X is a set, which has no order. Write an array of shape (samples, features) instead."
    inputs, targets = (tuple(getattr(a, "shape", ())) for a in (X, y))
    if len(inputs) == 2 and targets and inputs[1] == targets[0] != inputs[0]:
        return "The samples are the columns of X. Write X.T instead."
    if len(inputs) == 1 and len(targets) == 2 and inputs[0] == targets[0]:
        return "X and y are likely swapped. Write fit(X, y), the features first, instead."
    return None


def checked_pair(estimator: Any, X: Any, y: Any, classifies: bool, **options: Any) -> tuple[Any, Array]:
    """X and y of a fit. Raises TypeError for a sparse y."""
    if hasattr(y, "tocsr"):
        raise TypeError(
            f"Sparse data was passed for y, a {type(y).__name__}, but dense data is required. Write y.toarray() "
            "instead."
        )
    X, y = validated(estimator, X, y, classifies=classifies, multi_output=True, y_numeric=not classifies, **options)
    return X, y
