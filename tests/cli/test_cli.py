"""The command line, each case a process: what is printed where, and the exit code."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from datetime import datetime, time, timedelta
from pathlib import Path

import pytest

import ranvier

RANVIER = [sys.executable, "-W", "error", "-m", "ranvier.cli"]
# No Fashion-MNIST is found, wherever this machine has it: the bundled digits train in a moment and need no network.
# Without a path, joblib finds no program that counts the cores, and warns.
OFFLINE = {"RANVIER_OFFLINE": "1", "RANVIER_DATA": os.devnull, "PATH": "", "LOKY_MAX_CPU_COUNT": "1"}


def ranvier_(*arguments, **options):
    return subprocess.run(
        [*RANVIER, *map(str, arguments)],
        capture_output=True, text=True, timeout=300, check=False, env=os.environ | OFFLINE, **options,
    )  # fmt: skip


def test_version():
    result = ranvier_("--version")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"ranvier {ranvier.__version__}\n", "")


def test_the_package_itself_is_the_command_line():
    by_package = subprocess.run(
        [sys.executable, "-m", "ranvier", "--version"], capture_output=True, text=True, timeout=300, check=True
    )
    assert by_package.stdout == f"ranvier {ranvier.__version__}\n"


def test_info_names_what_a_report_needs():
    result = ranvier_("info")
    assert result.returncode == 0, result.stderr
    names = [line.split()[0] for line in result.stdout.splitlines()]
    assert names == ["ranvier", "python", "packages", "engine", "processor", "target", "threads", "cache"]


def test_info_follows_the_environment(tmp_path):
    chosen = {"RANVIER_TARGET": "x86-64-v2", "RANVIER_THREADS": "3", "RANVIER_CACHE": str(tmp_path)}
    result = subprocess.run(
        [*RANVIER, "info"], capture_output=True, text=True, timeout=300, check=True, env=os.environ | chosen
    )
    values = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert values["target"].startswith("x86-64-v2,")
    assert (values["threads"], values["cache"]) == ("3", str(tmp_path))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("argument", ["--help", "--version", "info"])
def test_a_full_disk_is_reported_in_a_line(argument):
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [*RANVIER, argument], stdout=full, stderr=subprocess.PIPE, text=True, timeout=300, check=False
        )
    assert result.returncode == 1
    assert result.stderr == "ranvier: No space left on device\n"


def test_info_refuses_an_engine_that_does_not_exist():
    result = subprocess.run(
        [*RANVIER, "info"], capture_output=True, text=True, timeout=300, check=False, env=os.environ | {"RANVIER_ENGINE": "bogus"}
    )  # fmt: skip
    assert result.returncode == 1
    assert (
        result.stderr
        == "ranvier: engine 'bogus' does not exist. Write one of 'native', 'reference', 'jax', 'torch', 'tensorflow'.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["demo", "--epochs", "0"], 2, "epochs"),
        (["demo", "--epochs", "many"], 2, "epochs"),
        (["demo", "--no-such"], 2, "--no-such"),
        (["train"], 2, "train"),
        (
            ["convert", "none.onnx", "x.py"],
            1,
            "ranvier: there is no file none.onnx. Write the name of one that exists.",
        ),
        (["convert", "w.pt", "x.py", "--model", "none.keras"], 1, "there is no file w.pt"),
        (["inspect", "none.keras"], 1, "there is no file none.keras"),
        (
            ["demo", "--epochs", "1", "--out", "{file}"],
            1,
            "file is a file, and the model and the picture need a folder",
        ),
    ],
)
def test_errors_are_a_line_and_a_code(arguments, code, said, tmp_path):
    (tmp_path / "file").touch()
    result = ranvier_(*(argument.format(file=tmp_path / "file") for argument in arguments))
    assert result.returncode == code
    assert said in result.stderr
    assert "Traceback" not in result.stderr


TABLE = "size,kind,label\n" + "".join(f"{i},{'ab'[i % 2]},{'xy'[i % 3 == 0]}\n" for i in range(40))
SMALL = ("--trials", "1", "--folds", "2", "--set", "epochs=1", "--set", "width=4", "--set", "rate=0.01")


def in_terminal(folder, command, *steps, **environment):
    """The code of a command, and what it prints on a terminal where a person waits for a text, types, and so on."""
    pytest.importorskip("termios")  # of a terminal of POSIX
    mine, its = os.openpty()
    (folder / "data.csv").write_text(TABLE)
    settings = os.environ | OFFLINE | {"TERM": "xterm"} | environment
    with subprocess.Popen(
        command, stdin=its, stdout=its, stderr=its, cwd=folder, env=settings, start_new_session=True
    ) as process:
        os.close(its)
        late = threading.Timer(120, process.kill)  # where what is awaited never comes
        late.start()
        seen, place, rest = b"", 0, list(steps)
        try:
            while part := os.read(mine, 4096):
                seen += part
                if rest and (found := seen.find(rest[0][0], place)) >= 0:
                    awaited, typed = rest.pop(0)
                    place = found + len(awaited)
                    os.write(mine, typed)
        except OSError:  # how Linux says that the other end is closed
            pass
        os.close(mine)
        code = process.wait(timeout=300)
        late.cancel()
        return code, " ".join(seen.decode().split())


def answered(folder, *answers, data="data.csv"):
    """The same of ``train`` without a target, for these answers."""
    return in_terminal(folder, [*RANVIER, "train", data, *SMALL], *((b"predicted?", answer) for answer in answers))


def test_a_terminal_is_asked_for_the_target(tmp_path):
    code, text = answered(tmp_path, b"kimd\n", b"kind\n")
    assert code == 0, text
    assert "the columns are 'size', 'kind', 'label'" in text
    assert "has no column 'kimd'. Write 'kind'" in text
    assert text.count("predicted? [label]:") == 2
    assert "target kind: one of 2 classes (a, b)" in text
    assert "no target is given" not in text


@pytest.mark.parametrize(
    ("answer", "code", "said"), [(b"\n", 0, "column 'label', for its name"), (b"\4", 130, "stopped")]
)
def test_a_terminal_takes_the_guess_or_ends(answer, code, said, tmp_path):
    found, text = answered(tmp_path, answer)
    assert (found, said in text) == (code, True), text


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("size,kind,label", "it is the column 'label', for its name. Write --target for another"),
        ("label1,kind,last", "it is the last column, 'last'. Write --target for another"),
    ],
)
def test_a_pipe_is_told_which_column_is_the_target(names, said, tmp_path):
    (tmp_path / "data.csv").write_text(TABLE.replace("size,kind,label", names))
    result = ranvier_("train", "data.csv", *SMALL, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert f"note: no target is given: {said}\n" in result.stdout


def test_a_shell_completes_what_is_typed(tmp_path):
    shell = shutil.which("bash")
    if shell is None:
        pytest.skip("no bash on this system")
    (tmp_path / ".bashrc").write_text("PS1='ready: '\n")
    code, text = in_terminal(
        tmp_path, [shell, "-i"],
        (b"ready: ", b"ranvier --install-completion\n"),
        (b"ready: ", b"exec bash -i\n"),
        (b"ready: ", b"ranvier tr\t"),
        (b"ranvier train ", b"da\t"),
        (b"data.csv ", b"--tar\t"),
        (b"--target ", f"kind {' '.join(SMALL)}\n".encode()),
        (b"ready: ", b"exit\n"),
        HOME=str(tmp_path), PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    )  # fmt: skip
    assert code == 0, text
    assert "bash completion installed in" in text
    assert "target kind: one of 2 classes (a, b)" in text
    assert "wrote data-run in" in text


def test_a_terminal_walks_dates_of_excel(tmp_path):
    """Cells of days, of times, and one that is no date, in and out."""
    openpyxl = pytest.importorskip("openpyxl")
    pytest.importorskip("pandas")
    book = openpyxl.Workbook()
    moments = [datetime(2024, 1, 1) + timedelta(days=k, hours=k % 24) for k in range(40)]
    rows = [(moment.date(), moment, "xy"[k % 3 == 0]) for k, moment in enumerate(moments)]
    for row in [("day", "moment", "label"), *rows[:-1], ("unknown", *rows[-1][1:])]:
        book.active.append(row)
    book.save(tmp_path / "dates.xlsx")

    code, text = answered(tmp_path, b"\n", data="dates.xlsx")
    assert code == 0, text
    assert "day date, 2024-01-01 to 2024-02-08 " in text
    assert "moment date, 2024-01-01 to 2024-02-09T15:00:00 " in text
    assert "dates.xlsx, row 41, column 'day': 'unknown' is no date" in text
    code, text = in_terminal(tmp_path, [*RANVIER, "predict", "dates-run", "dates.xlsx", "--out", "out.xlsx"])
    assert code == 0, text
    assert "wrote 40 rows to out.xlsx" in text
    cells = list(openpyxl.load_workbook(tmp_path / "out.xlsx").active.iter_rows(min_row=2, max_col=3, values_only=True))
    days = [*(datetime.combine(day, time()) for day, _, _ in rows[:-1]), "unknown"]
    assert cells == [(day, *row[1:]) for day, row in zip(days, rows, strict=True)]


def test_what_is_written_is_named(tmp_path):
    """Each file of weights in several, and the file of a JSON object; and in a sentence what is not there."""
    ranvier.Sequential([ranvier.Input((4,)), ranvier.layers.Dense(300)]).save(tmp_path / "m.ranvier")
    shards = ranvier_("convert", "m.ranvier", "w.safetensors", "--max-shard-size", "2KB", cwd=tmp_path)
    written = {path.name for path in tmp_path.iterdir()} - {"m.ranvier"}
    assert len(written) == 3
    assert shards.stdout == "".join(f"wrote {name}\n" for name in sorted(written))
    missing = ranvier_("convert", "m.ranvier", Path("none", "m.keras"), cwd=tmp_path)
    assert missing.stderr.startswith(f"ranvier: {Path('none', 'm.keras')}: there is no folder none. Make it first")

    (tmp_path / "data.csv").write_text(TABLE)
    assert ranvier_("train", "data.csv", *SMALL, cwd=tmp_path).returncode == 0
    predicted = ranvier_("predict", "data-run", "data.csv", "--json", "--out", "out.tsv", cwd=tmp_path)
    assert json.loads(predicted.stdout)["out"] == "out.tsv"
    assert (tmp_path / "out.tsv").read_text().startswith("size\tkind\tlabel\t")


def test_demo(tmp_path):
    result = ranvier_("demo", "--epochs", "2", "--out", tmp_path / "a folder", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "test accuracy" in result.stdout
    assert "\x1b" not in result.stdout, "no terminal, so no colours and no cursor movement"
    for heading in ("precision", "recall", "F1"):
        assert heading in result.stdout
    model = ranvier.load_model(tmp_path / "a folder" / "demo.ranvier")
    assert model.predict([[[0] * 8] * 8], verbose=0).shape == (1, 10)
    assert (tmp_path / "a folder" / "demo.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in (tmp_path / "a folder").iterdir()} == {"demo.ranvier", "demo.png"}


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="no SIGPIPE on this system")
def test_a_reader_that_goes_away_ends_it_quietly(tmp_path):
    process = subprocess.Popen(
        [*RANVIER, "demo", "--epochs", "200", "--out", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | OFFLINE | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGPIPE
    assert errors == b""


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent differently there")
def test_ctrl_c_stops_the_demo_with_its_own_code(tmp_path):
    process = subprocess.Popen(
        [*RANVIER, "demo", "--epochs", "100000", "--out", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | OFFLINE | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if "Epoch" in line or "epoch" in line:
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent differently there")
def test_ctrl_c_while_it_is_imported():
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "ranvier", "demo", "--epochs", "100000", "--out", os.devnull],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | OFFLINE,
    )  # fmt: skip
    assert process.stderr is not None
    assert any("numpy" in line for line in process.stderr)  # up to the first of its modules
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in errors) == (130, False), errors
