"""Columns of tables, whatever holds them: an array (rows, columns), a frame, or a dict of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.support.columns import column_names

Rows = npt.NDArray[np.intp]


class Table:
    """A table of any kind, which is not changed: its columns can be read, and replaced in a copy.

    ``names`` are those of the columns; of an array they are "0", "1" and so on, unless given. Raises ValueError for
    arrays that are not (rows, columns), and for names that are not one for each column.
    """

    def __init__(self, x: Any, names: Sequence[str] | None = None, *, what: str = "x") -> None:
        self.x = x
        found = tuple(map(str, x)) if isinstance(x, Mapping) else column_names(x)
        self.keys: Sequence[Any] | None = list(x) if isinstance(x, Mapping) else None
        if found is None:
            self.x = x if hasattr(x, "shape") else np.asarray(x)
            if len(np.shape(self.x)) != 2:
                raise ValueError(
                    f"{what} has shape {np.shape(self.x)}, and a table is (rows, columns). Write a frame or an array "
                    "with a column for each feature instead."
                )
            found = tuple(map(str, range(self.x.shape[1])))
        elif self.keys is None:
            self.keys = list(x.columns)
        if names is not None and len(names) != len(found):
            raise ValueError(f"there are {len(names)} names for {len(found)} columns. Write one for each.")
        self.names = found if names is None else tuple(map(str, names))

    def __len__(self) -> int:
        return len(next(iter(self.x.values()))) if isinstance(self.x, Mapping) else int(self.x.shape[0])

    def index(self, feature: int | str) -> int:
        """The number of a column from its number or name. Raises ValueError for one that does not exist."""
        if isinstance(feature, str) and feature in self.names:
            return self.names.index(feature)
        if not isinstance(feature, str) and 0 <= int(feature) < len(self.names):
            return int(feature)
        raise ValueError(f"there is no column {feature!r}. Write one of {', '.join(self.names[:20])} instead.")

    def column(self, index: int) -> npt.NDArray[Any]:
        """The values of a column."""
        if self.keys is not None:
            return np.asarray(self.x[self.keys[index]])
        column = self.x[:, index]
        return np.asarray(column.toarray().ravel() if hasattr(column, "toarray") else column)

    def rows(self, rows: Rows) -> Any:
        """Some rows, as a table of the same kind."""
        if isinstance(self.x, Mapping):
            return type(self.x)((key, np.asarray(values)[rows]) for key, values in self.x.items())  # type: ignore[call-arg]
        if hasattr(self.x, "iloc"):
            return self.x.iloc[rows]
        return self.x[rows.tolist()] if self.keys is not None else self.x[rows]

    def shuffled(self, index: int, rows: Rows) -> Any:
        """A copy in which the column has the values of ``rows``, in their order."""
        if isinstance(self.x, Mapping) or self.keys is None:
            return self.replaced(index, self.column(index)[rows])
        if hasattr(self.x, "iloc"):
            return self._assigned(index, self.x.iloc[rows, index].set_axis(self.x.index))
        return self.x.with_columns(self.x[self.keys[index]][rows.tolist()])

    def replaced(self, index: int, values: Any) -> Any:
        """A copy in which the column has these values: an array, or one value for all rows."""
        if isinstance(self.x, Mapping):
            key = list(self.x)[index]
            old = np.asarray(self.x[key])
            return {
                **self.x,
                key: np.broadcast_to(np.asarray(values, old.dtype if old.dtype.kind != "U" else None), old.shape),
            }
        if self.keys is None:
            made = self.x.tolil(copy=True) if hasattr(self.x, "tolil") else self.x.copy()
            made[:, index] = np.reshape(values, (-1, 1)) if hasattr(self.x, "tolil") and np.ndim(values) else values
            return made.tocsr() if hasattr(self.x, "tolil") else made
        if hasattr(self.x, "iloc"):
            return self._assigned(index, values)
        old = self.x[self.keys[index]]
        column = type(old)(old.name, list(np.broadcast_to(np.asarray(values, object), len(self))), strict=False)
        return self.x.with_columns(column.cast(old.dtype, strict=False))

    def _assigned(self, index: int, values: Any) -> Any:
        made = self.x.copy()
        column = self.x.iloc[:, index]
        given = type(column)(values, index=self.x.index)
        # A category stays one; a number may become a fraction.
        made.isetitem(index, given.astype(column.dtype) if column.dtype.kind == "O" else given)
        return made
