"""The command line, each case a process: what is printed where, and the exit code."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import ranvier

RANVIER = [sys.executable, "-W", "error", "-m", "ranvier.cli"]
# No Fashion-MNIST is found, wherever this machine has it: the bundled digits train in a moment and need no network.
OFFLINE = {"RANVIER_OFFLINE": "1", "RANVIER_DATA": os.devnull, "PATH": ""}


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


def answered(folder, *answers):
    """What ``train`` without a target prints on a terminal where a person gives these answers, and its code."""
    pytest.importorskip("termios")  # of a terminal of POSIX
    mine, its = os.openpty()
    (folder / "data.csv").write_text(TABLE)
    command = [*RANVIER, "train", "data.csv", *SMALL]
    with subprocess.Popen(
        command, stdin=its, stdout=its, stderr=its, cwd=folder, env=os.environ | OFFLINE | {"TERM": "xterm"}
    ) as process:
        os.close(its)
        seen, asked, rest = b"", 0, list(answers)
        try:
            while part := os.read(mine, 4096):
                seen += part
                if rest and seen.count(b"predicted?") > asked:
                    asked += 1
                    os.write(mine, rest.pop(0))
        except OSError:  # how Linux says that the other end is closed
            pass
        os.close(mine)
        return process.wait(timeout=300), " ".join(seen.decode().split())


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
