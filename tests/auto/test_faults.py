"""Files that are wrong, one row each: what is written, what is done, and what must be said, with line and column."""

import errno
import os
import re

import numpy as np
import pytest

import ranvier as rv
from ranvier.auto import Run, baselines, evaluate, find_columns, predict, read_table, train
from ranvier.auto.checks import notes_of, task_of
from ranvier.auto.samples import look_at
from ranvier.data import files

ROWS = [
    f"{k % 7},{'red' if k % 3 else 'blue'},2024-01-{k % 28 + 1:02},{'yes' if k % 7 > 2 else 'no'}" for k in range(40)
]
HEAD = "size,color,day,good"
GOOD = "\n".join([HEAD, *ROWS]) + "\n"
TINY = {"trials": 1, "folds": 2, "settings": {"epochs": 2, "width": 4, "rate": 0.01}}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """The engine that needs no compiling, and no trees: tests/peers has them."""
    monkeypatch.setattr(baselines, "has_trees", lambda: False)
    rv.set_engine("reference")
    yield
    rv.set_engine(None)


def written(folder, content, name="data.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# --- how a file is read ---------------------------------------------------------------------------------------------

READ = {  # the content and the name of a file, and what must be found in it, by column
    "a byte-order mark": (b"\xef\xbb\xbf" + b"a,b\n1,x\n2,y\n", "d.csv", {"a": ["1", "2"], "b": ["x", "y"]}),
    "UTF-16": ("a,b\n1,é\n".encode("utf-16"), "d.csv", {"a": ["1"], "b": ["é"]}),
    "UTF-16 without a mark": ("a,b\n1,x\n".encode("utf-16-le"), "d.csv", {"a": ["1"], "b": ["x"]}),
    "Windows-1252": ("name,b\nMüller,1\n".encode("cp1252"), "d.csv", {"name": ["Müller"], "b": ["1"]}),
    "GB 18030": ("城市,人口\n北京市,1\n上海市,2\n".encode("gb18030"), "d.csv", {"城市": ["北京市", "上海市"], "人口": ["1", "2"]}),
    "semicolons and decimal commas": ("a;b\n1,5;x\n2,5;y\n", "d.csv", {"a": ["1,5", "2,5"], "b": ["x", "y"]}),
    "tabs": ("a\tb\n1\tx, y\n", "d.tsv", {"a": ["1"], "b": ["x, y"]}),
    "bars": ("a|b\n1|x\n", "d.txt", {"a": ["1"], "b": ["x"]}),
    "quoted commas and lines": ('a,b\n1,"x, ""y""\nz"\n2,w\n', "d.csv", {"a": ["1", "2"], "b": ['x, "y"\nz', "w"]}),
    "no names": ("1,2\n3,4\n", "d.csv", {"column1": ["1", "3"], "column2": ["2", "4"]}),
    "empty lines": ("a,b\n\n1,x\n\n", "d.csv", {"a": ["1"], "b": ["x"]}),
    "one column": ("a\n1\n2\n", "d.csv", {"a": ["1", "2"]}),
    "lines of Windows": ("a,b\r\n1,x\r\n", "d.csv", {"a": ["1"], "b": ["x"]}),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_a_file_is_read(name, tmp_path):
    content, file, columns = READ[name]
    table = read_table(written(tmp_path, content, file))
    assert {name: values.tolist() for name, values in table.columns.items()} == columns


def test_lines_are_those_of_the_file(tmp_path):
    table = read_table(written(tmp_path, 'a,b\n1,"x\ny"\n\n2,z\n'))
    assert table.lines.tolist() == [2, 5]


REFUSED = {  # the content and the name of a file, and what must be said
    "ragged": (
        "a,b\n1,x\n2\n3,y\n4,5,6\n",
        "d.csv",
        "line 3, has 1 fields, and there are 2 columns. The same is wrong with the lines 5",
    ),
    "a quote that stays open": ('a,b\n1,x\n2,"y\n3,z\n', "d.csv", "line 3: .*Close its quotes"),
    "equal names": ("a,a\n1,2\n", "d.csv", "several columns named 'a'"),
    "no rows": ("a,b\n", "d.csv", "no rows"),
    "empty": ("", "d.csv", "is empty"),
    "another ending": ("a", "d.doc", r"ends in '.doc'"),
    "a zero byte": ("a,b\n1,x\n2,y\0z\n" + 30 * "3,z\n", "d.csv", "line 3, has a zero byte"),
    "no text": (b"\xff\xfe\x00", "d.csv", "is no text file"),
    "damaged Parquet": (b"PAR1", "d.parquet", "could not be read"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_is_refused(name, tmp_path):
    content, file, pattern = REFUSED[name]
    with pytest.raises(ValueError, match=pattern):
        read_table(written(tmp_path, content, file))


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    from ranvier.auto import tables

    path = written(tmp_path, GOOD)
    usual = tables.opened

    def opened(path):
        with path.open("a") as file:
            file.write("1,red,2024-01-01,no\n")
        os.utime(path, ns=(1, 1))
        return usual(path)

    monkeypatch.setattr(tables, "opened", opened)
    with pytest.raises(ValueError, match="changed while it was read"):
        read_table(path)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_and_their_files(library, tmp_path):
    module = pytest.importorskip(library)
    frame = module.DataFrame({"a": [1.5, None], "b": ["x", None], "c": [True, False]})
    path = tmp_path / "d.parquet"
    frame.write_parquet(path) if library == "polars" else pytest.importorskip("pyarrow") and frame.to_parquet(path)
    for table in (read_table(frame), read_table(path)):
        kinds = {name: column.kind for name, column in find_columns(table).items()}
        assert kinds == {"a": "constant", "b": "constant", "c": "yes/no"}
        assert find_columns(table)["a"].missing == 1


def test_a_sheet_of_excel(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("openpyxl")
    pandas.DataFrame({"a": [1, 2], "b": ["x", None]}).to_excel(tmp_path / "d.xlsx", index=False)
    table = read_table(tmp_path / "d.xlsx")
    assert table.columns["a"].tolist() == [1, 2]
    assert find_columns(table)["b"].missing == 1
    assert table.lines.tolist() == [2, 3]


# --- kinds and targets ----------------------------------------------------------------------------------------------

N = np.arange(60)
KINDS = {  # values, and the kind that must be found
    "numbers": ([f"{k / 7:.3f}" for k in N], "number"),
    "decimal commas": ([f"{k / 7:.3f}".replace(".", ",") for k in N], "number"),
    "numbers with a slip": ([*[str(k * k) for k in range(59)], "12o"], "number"),
    "numbers with infinities": ([*[str(k * k) for k in range(58)], "inf", "1e400"], "number"),
    "a counter": ([str(k) for k in N], "identifier"),
    "names": ([f"Anna{k}" for k in N], "identifier"),
    "categories": (["a", "b", "c"] * 20, "category"),
    "yes and no": (["Yes", "no", ""] * 20, "yes/no"),
    "0 and 1": (["0", "1"] * 30, "yes/no"),
    "dates": ([f"2024-02-{k % 28 + 1:02}" for k in N], "date"),
    "European dates": ([f"{k % 28 + 1}.2.2024" for k in N], "date"),
    "American dates": ([f"2/{k % 28 + 1}/2024 13:05" for k in N], "date"),
    "texts": ([f"the quick brown fox number {k} jumps" for k in N], "text"),
    "constant": (["x"] * 60, "constant"),
    "empty": (["", "NA"] * 30, "constant"),
}


@pytest.mark.parametrize("name", KINDS)
def test_the_kind_of_a_column(name):
    values, kind = KINDS[name]
    table = rv.auto.Table({"x": np.array(values, object)}, np.arange(len(values)))
    assert find_columns(table)["x"].kind == kind


TARGETS = {  # a column, and what must be said of it as a target
    "constant": (["x"] * 60, "has the value 'x' in all rows"),
    "missing": ([""] * 60, "is empty"),
    "the number of the row": ([str(k) for k in N], "like a number of the row"),
    "names": ([f"Anna{k}" for k in N], "like a number of the row"),
    "free text": (KINDS["texts"][0], "is free text"),
    "a date": (KINDS["dates"][0], "is a date"),
}


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_is_refused(name):
    values, pattern = TARGETS[name]
    table = rv.auto.Table({"x": np.array(values, object)}, np.arange(len(values)))
    with pytest.raises(ValueError, match=pattern):
        task_of(table, find_columns(table), ["x"])


def test_the_format_of_dates_is_told_by_all_of_a_sorted_column():
    """The first months have days that could be months; later days could not."""
    values = np.array(
        [f"{k % 12 + 1}/{k // 100 + 1}/2024" for k in range(300)] + [f"{k % 28 + 1}/11/2024" for k in range(300)],
        object,
    )
    column = find_columns(rv.auto.Table({"x": values}, np.arange(600)))["x"]
    assert (column.kind, column.facts["format"]) == ("date", "%d/%m/%Y")


def test_several_targets_are_alike():
    table = rv.auto.Table({n: np.array(KINDS[k][0], object) for n, k in zip("abc", KINDS, strict=False)} | {
        "z": np.array(["no", "yes"] * 30, object)}, N)  # fmt: skip
    with pytest.raises(ValueError, match="all are numbers, or all have two values, and 'z' is a yes/no"):
        task_of(table, find_columns(table), ["a", "z"])


GIVEN = {  # a column, the kind that is given, and what must be said
    "no number": (["red", "blue"], "number", "is given as number, and no value in it is one .'red'"),
    "no date": (["red", "blue"], "date", "Write --columns x=category instead"),
    "no kind": (["red", "blue"], "colour", "is given as 'colour'"),
}


@pytest.mark.parametrize("name", GIVEN)
def test_a_kind_that_is_given_is_checked(name):
    values, kind, pattern = GIVEN[name]
    table = rv.auto.Table({"x": np.array(values, object)}, np.arange(2))
    with pytest.raises(ValueError, match=pattern):
        find_columns(table, {"x": kind})


def test_a_column_of_numbers_and_words_is_noted():
    values = np.array([*[str(k * 7 % 11) for k in range(48)], *["low"] * 12], object)
    table = rv.auto.Table({"x": values, "y": np.array(["a", "b"] * 30, object)}, N)
    columns = find_columns(table)
    columns["y"].role = "target"
    assert "80% of its values are numbers" in " ".join(notes_of(table, columns, *task_of(table, columns, ["y"])))


def test_a_column_that_gives_the_target_away_is_reported():
    rng = np.random.default_rng(0)
    leak, other = rng.choice(["a", "b"], 60).astype(object), rng.normal(size=60).round(3).astype(str).astype(object)
    table = rv.auto.Table({"leak": leak, "other": other, "y": leak.copy()}, np.arange(60))
    columns = find_columns(table)
    columns["y"].role = "target"
    notes = notes_of(table, columns, *task_of(table, columns, ["y"]))
    assert [note for note in notes if "gives the target away" in note and "'leak'" in note]
    assert not [note for note in notes if "'other'" in note]


def test_a_target_that_is_nearly_the_row_number_is_reported():
    rng = np.random.default_rng(0)
    values = np.array([f"{k + rng.normal() / 9:.4f}" for k in N], object)
    table = rv.auto.Table({"x": values[::-1].copy(), "y": values}, N)
    columns = find_columns(table)
    columns["y"].role = "target"
    assert "nearly the number of the row" in " ".join(notes_of(table, columns, *task_of(table, columns, ["y"])))


# --- a run ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    rv.set_engine("reference")
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "has_trees", lambda: False)
        return train(written(folder, GOOD), "good", folder / "run", **TINY)


def test_columns_may_be_in_another_order_and_there_may_be_more(run, tmp_path):
    usual = predict(run, written(tmp_path, GOOD))
    names = HEAD.split(",")
    turned = [",".join([*row.split(",")[:3][::-1], "more"]) for row in ROWS]
    other = predict(run, written(tmp_path, "\n".join([",".join([*names[:3][::-1], "new"]), *turned]), "o.csv"))
    np.testing.assert_array_equal(other.output, usual.output)
    assert other.notes == ["the column 'new' is not known, and not used"]


MISFITS = {  # how a file for predict differs, and what must be said
    "a column is missing": ("size,day\n1,2024-01-01\n", ValueError, "lacks the column 'color'"),
    "another type": ("size,color,day\nbig,red,2024-01-01\nlow,red,2024-01-01\n", ValueError, "'size' was a number .*'big' in line 2"),
    "a number that is none": ("size,color,day\n1,red,2024-01-01\nbig,red,2024-01-01\n", None, "line 3, column 'size': 'big' is no number"),
    "a date that is none": ("size,color,day\n1,red,2024-02-30\n2,red,2024-02-03\n", None, "line 2, column 'day': '2024-02-30' is no date"),
    "a new category": ("size,color,day\n1,pink,2024-01-01\n", None, "line 2, column 'color': 'pink' was not in the training data"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit_is_said_by_line_and_column(name, run, tmp_path):
    content, error, pattern = MISFITS[name]
    path = written(tmp_path, content)
    if error is not None:
        with pytest.raises(error, match=pattern):
            predict(run, path)
        return
    made = predict(run, path)
    assert re.search(pattern, "\n".join(made.notes))
    np.testing.assert_allclose(made.output.sum(1), 1, rtol=1e-5)


ROWS_OF = {  # where a table is from, and what a row is called in messages
    "a frame": (lambda columns, folder: pytest.importorskip("pandas").DataFrame(columns), "the frame, row 2"),
    "a folder": (lambda columns, folder: texts_in(folder), r"texts, file red/1.txt"),
    "arrays": (lambda columns, folder: arrays_in(folder), r"x.npz, row 2"),
}


def texts_in(folder):
    for name in ("blue/0.txt", "red/1.txt"):
        (folder / "texts" / name).parent.mkdir(parents=True)
        written(folder, "a text", f"texts/{name}")
    return folder / "texts"


def arrays_in(folder):
    np.savez(folder / "x.npz", x=np.zeros((2, 3)), y=np.arange(2))
    return folder / "x.npz"


@pytest.mark.parametrize("name", ROWS_OF)
def test_rows_are_called_what_they_are(name, tmp_path):
    make, expected = ROWS_OF[name]
    table = rv.auto.read_data(make({"color": ["blue", "red"]}, tmp_path))
    assert table.line(1).endswith(expected)
    assert table.lines_of(np.arange(2)).startswith(f"{table.unit}s ")


FORMATS = {  # what a file of predictions is read with
    ".csv": "", ".tsv": "", ".psv": "", ".txt": "", ".xlsx": "openpyxl", ".parquet": "polars",
}  # fmt: skip


@pytest.mark.parametrize("ending", FORMATS)
def test_predictions_are_written_in_the_format_that_the_name_says(ending, run, tmp_path):
    if FORMATS[ending]:
        pytest.importorskip("pandas")
        pytest.importorskip(FORMATS[ending])
    made = predict(run, written(tmp_path, GOOD))
    made.write(tmp_path / f"out{ending}")
    table = read_table(tmp_path / f"out{ending}")
    assert list(table.columns) == [*HEAD.split(","), "predicted good", "probability no", "probability yes"]
    assert table.columns["color"].tolist() == [row.split(",")[1] for row in ROWS]
    np.testing.assert_allclose(table.columns["probability yes"].astype(float), made.output[:, 1], rtol=1e-6)
    assert made.records()[1]["size"] == 1


def test_predictions_of_another_ending_are_refused(run, tmp_path):
    with pytest.raises(ValueError, match=r"ends in '\.doc'\. Write a file that ends in one of \.csv"):
        predict(run, written(tmp_path, GOOD)).write(tmp_path / "out.doc")


def test_a_class_that_the_model_does_not_know_is_said_with_its_line(run, tmp_path):
    with pytest.raises(ValueError, match="line 42, column 'good': the model does not know the class 'perhaps'"):
        evaluate(run, written(tmp_path, GOOD + "1,red,2024-01-01,perhaps\n"))


def test_rows_without_a_target_are_left_out(tmp_path):
    path = written(tmp_path, GOOD + "1,red,2024-01-01,\n")
    asked = {"target": "good", "columns": {}, "metric": "", "folds": 2, "seed": 0}
    made, _ = look_at(tmp_path, asked | dict.fromkeys(["time_column", "group", "test"]), read_table(path))
    assert "1 row has no target and is left out (line 42)" in made.notes
    assert 40 not in np.concatenate([made.arrays["train"], made.arrays["test"]])


def test_a_file_that_changes_after_it_was_read_is_noted(tmp_path):
    path = written(tmp_path, GOOD)
    made = train(path, "good", tmp_path / "run", progress=lambda *_: path.write_text(GOOD + ROWS[0] + "\n"), **TINY)
    assert made.notes[-1].endswith("was changed while the model was trained, which knows what it was before")
    with pytest.raises(ValueError, match="has changed since"):
        made.read_data()


def test_a_report_from_another_folder_has_its_data_or_says_what_it_lacks(run, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from ranvier.cli.main import app

    monkeypatch.chdir(tmp_path)
    (tmp_path / "there" / "inner").mkdir(parents=True)
    path = written(tmp_path / "there", GOOD)
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path / "there")
        train(path.name, "good", "run", **TINY)
    made = Run.load(tmp_path / "there" / "run")
    assert made.data["path"] == path.name
    assert len(made.read_data()) == len(ROWS)
    (tmp_path / path.name).write_text("another,file\n1,2\n3,4\n")  # of the same name, where the report is written
    assert len(made.read_data()) == len(ROWS)
    (tmp_path / path.name).unlink()
    pytest.importorskip("matplotlib")
    path.unlink()
    result = CliRunner().invoke(app, ["report", "there/run"])
    assert result.exit_code == 1
    assert "is not complete: importances and dependences are left out: there is no file" in " ".join(
        result.stderr.split()
    )
    assert (tmp_path / "there" / "run" / "report.html").is_file()


def test_a_full_disk_names_the_file_and_leaves_no_run(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device (free some)", str(tmp_path / "run"))

    monkeypatch.setattr(files, "write_bytes", full)
    with pytest.raises(OSError, match="No space left on device"):
        train(written(tmp_path, GOOD), "good", tmp_path / "run", **TINY)
    with pytest.raises(FileNotFoundError, match="it is no run"):
        Run.load(tmp_path / "run")


def test_a_time_column_without_order_and_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="'color' is a category"):
        train(written(tmp_path, GOOD), "good", tmp_path / "run", time_column="color", **TINY)
    with pytest.raises(FileNotFoundError, match="there is no file or folder"):
        train(tmp_path / "nothing.csv", "good", tmp_path / "run", **TINY)


def test_a_damaged_run_is_refused(run, tmp_path):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(files.CheckpointError, match="is damaged"):
        Run.load(tmp_path)


def test_a_finished_run_is_not_overwritten(run, tmp_path):
    with pytest.raises(FileExistsError, match="has a finished run"):
        train(written(tmp_path, GOOD), "good", run.folder, **TINY)
