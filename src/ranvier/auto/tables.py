"""Tables of files: CSV, TSV, Parquet and Excel, and frames of pandas or polars. Values stay as they are written."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.data.class_folders import opened
from ranvier.data.convert import Array, is_number
from ranvier.support.columns import column_names
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.utf8 import utf8

SEPARATED = (".csv", ".tsv", ".tab", ".txt", ".data", ".psv")
PARQUET = (".parquet", ".pq")
EXCEL = (".xlsx", ".xlsm", ".xls")
ENDINGS = SEPARATED + PARQUET + EXCEL
SEPARATORS = (",", ";", "\t", "|")
SNIFFED = 50  # the first records, by which the separator is found
LISTED = 3  # lines that an error names
NOTED = 5  # lines that a note names


@dataclass(eq=False)
class Table(CheckedConstructor):
    """Columns by name, in order, and the line of each row.

    ``columns`` are arrays (rows,): of a text file objects, which are the texts as written, and of other files also
    numbers, booleans and datetime64. Missing values are "", None or NaN. ``lines`` say for each row where it is from:
    with the ``unit`` "line" they are numbers of lines of a text file, from 1; with "row" numbers of rows, as Excel
    counts them; with "file" names of files. ``source`` is where the table is from, for messages, and ``digest`` the
    SHA-256 of the file. ``notes`` say what was found: encoding, separator. A folder of images or sounds is a table with
    arrays (rows, ...) as a column; its ``options`` say how it was read, and ``kinds`` are those of columns that need
    not be found.
    """

    columns: dict[str, Array]
    lines: Array
    source: str = "the table"
    digest: str = ""
    notes: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    unit: str = "line"

    def __len__(self) -> int:
        return len(self.lines)

    def __repr__(self) -> str:
        return f"<Table: {len(self):,} rows, {len(self.columns)} columns, of {self.source}>"

    def rows(self, places: Any) -> Table:
        """The table of some rows: numbers of rows, or a mask."""
        columns = {name: values[places] for name, values in self.columns.items()}
        return replace(self, columns=columns, lines=self.lines[places])

    def line(self, place: Any) -> str:
        """Where a row is, for a message."""
        return f"{self.source}, {self.unit} {self.lines[place]}"

    def lines_of(self, places: Array) -> str:
        """Where some rows are, for a message: "line 7", or "lines 7, 8, 9, 12, 13 and 4 more"."""
        return f"{self.unit}{'s' * (len(places) != 1)} {_listed(self.lines[places].tolist(), NOTED)}"


def read_table(data: Any, *, separator: str | None = None, encoding: str | None = None) -> Table:
    """Read a table from a file, or take a frame of pandas, polars and their like, or a text file opened in binary mode.

    The ending of the name says the format: CSV and its kin (``.csv .tsv .tab .txt .data .psv``), Parquet (``.parquet
    .pq``) and Excel (``.xlsx .xlsm .xls``, the first sheet). The latter two need pandas or polars: ``pip install
    'ranvier[frames]'``. Of text files the encoding (UTF-8, UTF-16, GB 18030 or Windows-1252) and the separator (comma,
    semicolon, tab or bar) are found, unless they are given. The first line has the names of the columns; where all of
    its fields are numbers, it is a row, and the columns are ``column1``, ``column2``, ...

    Raises ValueError with the line for a row of another number of fields and for quotes that are not closed; for
    columns of equal names; for a table without rows; and for a file that changes while it is read.
    """
    if column_names(data) is not None:
        return from_frame(data)
    if hasattr(data, "read"):
        path, suffix, whole = Path(str(getattr(data, "name", "the table"))), SEPARATED[0], data.read()
    else:
        path = Path(data).expanduser()
        suffix = path.suffix.lower()
        if suffix not in ENDINGS:
            raise ValueError(
                f"{path} ends in {path.suffix or 'no known ending'!r}. Write a table in a file that ends in one of "
                f"{', '.join(ENDINGS)} instead."
            )
        whole = read_whole(path)
    digest = hashlib.sha256(whole).hexdigest()
    if suffix in SEPARATED:
        table = _from_text(*_decoded(whole, path, encoding), path, separator)
    else:
        table = from_frame(_frame(whole, path, suffix in EXCEL), str(path), 2 if suffix in EXCEL else 1)
    if not len(table):
        raise ValueError(f"{path} has the columns {list(table.columns)} and no rows. Write a table with rows instead.")
    table.digest = digest
    return table


def read_whole(path: Path) -> bytes:
    """The bytes of a file. Raises ValueError where it changes meanwhile, and OSError where it cannot be read."""
    before = path.stat()
    with opened(path) as file:
        whole = file.read()
    after = path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(whole) != after.st_size:
        raise ValueError(f"{path} changed while it was read. Wait until it is whole, and try again.")
    return whole


# --- text files -----------------------------------------------------------------------------------------------------


def _decoded(whole: bytes, path: Path, encoding: str | None) -> tuple[str, tuple[str, ...]]:
    """The text, and a note where it is not UTF-8."""
    if encoding is not None:
        try:
            return whole.decode(encoding).removeprefix("\ufeff"), ()
        except (UnicodeDecodeError, LookupError) as error:
            raise ValueError(
                f"{path} is not in the encoding {encoding!r}: {error}. Write another one instead."
            ) from None
    if whole.startswith((b"\xff\xfe", b"\xfe\xff")):
        return utf16(whole, "utf-16", path), ("read as UTF-16",)
    if (zeros := whole[:2000].count(0)) > len(whole[:2000]) // 10:  # of ASCII every other byte is zero
        little = whole[1:2000:2].count(0) > zeros / 2
        return utf16(whole, "utf-16-le" if little else "utf-16-be", path), ("read as UTF-16",)
    if 0 in whole:
        line = whole[: whole.index(0)].count(b"\n") + 1
        raise ValueError(f"{path}, line {line}, has a zero byte, which no text has. Repair the file instead.")
    try:
        return whole.decode("utf-8").removeprefix("\ufeff"), ()
    except UnicodeDecodeError:
        pass
    try:
        chinese = whole.decode("gb18030")
        wide = [c for c in chinese if ord(c) > 127]
        if sum(map(_is_common, wide)) > 0.9 * len(wide):  # letters with accents give rare characters
            return chinese, ("read as GB 18030: it is not UTF-8",)
    except UnicodeDecodeError:
        pass
    try:
        return whole.decode("cp1252"), ("read as Windows-1252: it is not UTF-8",)
    except UnicodeDecodeError:
        return utf8(whole, str(path)), ()  # which raises, with the place


def _is_common(character: str) -> bool:
    """Whether a Chinese character is among the 6,763 of GB 2312."""
    try:
        return bool(character.encode("gb2312"))
    except UnicodeEncodeError:
        return False


def utf16(whole: bytes, encoding: str, path: Path) -> str:
    try:
        return whole.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text file: {error}. Write a table in UTF-8 instead.") from None


def _from_text(text: str, notes: tuple[str, ...], path: Path, separator: str | None) -> Table:
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # a text may be long
    sign = separator or _separator(text, path)
    records, lines = _records(text, sign, path)
    if not records:
        raise ValueError(f"{path} is empty. Write a table with a line of names and rows instead.")
    header = [field.strip() for field in records[0]]
    if all(is_number(field) for field in header):
        header = [f"column{k + 1}" for k in range(len(header))]
        notes += (f"line {lines[0]} has numbers and no names: the columns are column1 to column{len(header)}",)
    else:
        records, lines = records[1:], lines[1:]
    names = unique_names(header, str(path))
    _check_widths(records, lines, len(names), sign, path)
    if sign != ("\t" if path.suffix.lower() in (".tsv", ".tab") else ","):
        notes += (f"separated by {'tabs' if sign == chr(9) else repr(sign)}",)
    columns = {name: _objects(row[k] for row in records) for k, name in enumerate(names)}
    return Table(columns, np.array(lines, np.int64), str(path), notes=notes)


def _records(text: str, sign: str, path: Path, most: int | None = None) -> tuple[list[list[str]], list[int]]:
    """The records that are not empty, and the line that each begins in."""
    records, lines = [], []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=sign, strict=True)
    began = 1
    try:
        for row in reader:
            if row and (len(row) > 1 or row[0].strip()):
                records.append(row)
                lines.append(began)
                if most is not None and len(records) >= most:
                    break
            began = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {began}: {error}. Close its quotes, and double those within a field, instead."
        ) from None
    return records, lines


def _separator(text: str, path: Path) -> str:
    """The separator by which the most of the first records have as many fields as the first one, which has several."""
    best, found = (0.0, 0), ","
    for sign in SEPARATORS:
        try:
            records, _ = _records(text, sign, path, SNIFFED)
        except ValueError:  # quotes that are closed elsewhere: another separator, or the error is raised later
            continue
        width = len(records[0]) if records else 0
        if width < 2:
            continue
        equal = sum(len(row) == width for row in records) / len(records)
        if (round(equal, 1), width) > best:
            best, found = (round(equal, 1), width), sign
    return found


def _check_widths(records: Sequence[Sequence[str]], lines: Sequence[int], width: int, sign: str, path: Path) -> None:
    wrong = [(line, len(row)) for line, row in zip(lines, records, strict=True) if len(row) != width]
    if not wrong:
        return
    more = f" The same is wrong with the lines {_listed([line for line, _ in wrong[1:]])}." if len(wrong) > 1 else ""
    shown = "a tab" if sign == "\t" else repr(sign)
    line, fields = wrong[0]
    raise ValueError(
        f"{path}, line {line}, has {fields} fields, and there are {width} columns.{more} Quote fields that hold "
        f"{shown} with double quotes, or repair the lines, instead."
    )


def _listed(numbers: Sequence[Any], most: int = LISTED) -> str:
    shown = ", ".join(map(str, numbers[:most]))
    return shown + (f" and {len(numbers) - most:,} more" if len(numbers) > most else "")


def unique_names(names: Sequence[str], source: str) -> list[str]:
    """Names of columns; empty ones are numbered. Raises ValueError for equal ones."""
    named = [name or f"column{k + 1}" for k, name in enumerate(names)]
    twice = [name for name, times in Counter(named).items() if times > 1]
    if twice:
        raise ValueError(f"{source} has several columns named {twice[0]!r}. Give each a name of its own instead.")
    return named


def _objects(values: Iterable[Any]) -> Array:
    listed = list(values)
    array = np.empty(len(listed), object)
    array[:] = listed
    return array


# --- frames ---------------------------------------------------------------------------------------------------------


def _frame(whole: bytes, path: Path, excel: bool) -> Any:
    """A frame of a Parquet or Excel file, by polars or by pandas. Raises ModuleNotFoundError, with what to write."""
    failed: ImportError | None = None
    for read in (_by_pandas,) if excel else (_by_polars, _by_pandas):  # pandas reads more kinds of Excel files
        try:
            return read(io.BytesIO(whole), excel)
        except ImportError as error:
            failed = error
        except Exception as error:  # of whatever class the library raises for a damaged file
            raise ValueError(
                f"{path} could not be read: {str(error).rstrip('.')}. Repair it, or write CSV, instead."
            ) from error
    raise needs_frames(path.suffix, failed)


def needs_frames(ending: str, error: ImportError | None) -> ModuleNotFoundError:
    """The error where files with this ending find no library."""
    return ModuleNotFoundError(f"{ending} files need pandas or polars ({error}). Write: pip install 'ranvier[frames]'")


def _by_polars(file: Any, excel: bool) -> Any:
    import polars as pl

    return pl.read_parquet(file)


def _by_pandas(file: Any, excel: bool) -> Any:
    import pandas as pd

    return pd.read_excel(file) if excel else pd.read_parquet(file)


def from_frame(frame: Any, source: str = "the frame", first: int = 1) -> Table:
    """The table of a frame. ``first`` is the number of its first row in messages."""
    names = unique_names(list(column_names(frame) or ()), source)
    columns = {}
    for name, key in zip(names, frame.columns, strict=True):
        values = np.asarray(frame[key].to_numpy())
        if values.dtype.kind not in "ObiufM":
            values = values.astype(object)
        columns[name] = values.astype("datetime64[us]") if values.dtype.kind == "M" else values  # Python's precision
    length = len(next(iter(columns.values()), ()))
    return Table(columns, np.arange(first, first + length), source, unit="row")
