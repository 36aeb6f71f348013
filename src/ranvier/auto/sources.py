"""Data of any kind as a table: files of tables, folders of images, sounds or texts, arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ranvier.auto.folders import folder_digest, is_one, read_arrays, read_folder
from ranvier.auto.tables import Table, read_table, read_whole
from ranvier.support.columns import column_names

ARRAYS = ".npz"


def read_data(
    data: Any, *, separator: str | None = None, encoding: str | None = None, options: Mapping[str, Any] | None = None
) -> Table:
    """The table of a file (`read_table`), of a folder, an image or a sound (`read_folder`), of an ``.npz`` file, or of
    a frame, or of an open file.

    ``options`` are those of a table that was read before, so that this one is read in the same way. A `Table` is
    returned as it is. Raises ValueError and OSError as these functions do.
    """
    if isinstance(data, Table):
        return data
    if column_names(data) is None and not hasattr(data, "read"):
        path = Path(data).expanduser()
        if not path.exists():
            raise FileNotFoundError(f"there is no file or folder {path}. Write the name of one, such as data.csv.")
        if path.is_dir() or is_one(path):
            return read_folder(path, options)
        if path.suffix.lower() == ARRAYS:
            return read_arrays(path)
    return read_table(data, separator=separator, encoding=encoding)


def digest_of(data: Any) -> str:
    """The digest that the table of a file or of a folder has now. Raises OSError where it is gone."""
    path = Path(data).expanduser()
    return folder_digest(path) if path.is_dir() else hashlib.sha256(read_whole(path)).hexdigest()
