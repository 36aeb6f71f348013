"""``ranvier launch``: processes of one program, their output and their ends. Models are trained in tests/peers."""

import os
import signal
import subprocess
import sys

PROGRAM = """
import os, signal, sys, time
number = int(os.environ["JAX_PROCESS_ID"])
print("hello", os.environ["JAX_NUM_PROCESSES"], os.environ["JAX_COORDINATOR_ADDRESS"].split(":")[0], *sys.argv[1:])
if sys.argv[1:] == ["--fail"] and number == 1:
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1:] == ["--code"] and number == 0:
    sys.exit("enough")
"""


def launch(folder, *arguments, program=PROGRAM):
    (folder / "program.py").write_text(program, encoding="utf-8")
    command = [sys.executable, "-m", "ranvier", "launch", "-n", "2", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_each_line_has_the_number_of_its_process_and_the_program_its_arguments(tmp_path):
    done = launch(tmp_path, "program.py", "--size", "3", "-n", "7")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [f"[{i}] hello 2 127.0.0.1 --size 3 -n 7" for i in range(2)]


def test_the_code_is_that_of_the_first_process_that_failed(tmp_path):
    done = launch(tmp_path, "program.py", "--code")
    assert done.returncode == 1
    assert "[0] enough" in done.stderr
    assert "ranvier: process 0 ended with code 1." in done.stderr


def test_a_killed_process_is_named(tmp_path):
    done = launch(tmp_path, "program.py", "--fail")
    assert done.returncode == 128 + signal.SIGKILL
    assert "ranvier: process 1 was killed by SIGKILL." in done.stderr


def test_a_failure_ends_the_others(tmp_path):
    program = (
        "import ranvier.cli.launch, os, sys, time\n"
        "number = os.environ.get('JAX_PROCESS_ID')\n"
        "if number is None:\n"
        "    ranvier.cli.launch.GRACE = 0.5\n"
        "    sys.exit(ranvier.cli.launch.launch(2, __file__, []))\n"
        "time.sleep(1000) if number == '0' else sys.exit(3)\n"
    )
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "JAX_PROCESS_ID"}
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert "process 1 ended with code 3" in done.stderr


def test_a_program_that_is_not_there_is_one_line(tmp_path):
    done = launch(tmp_path, "other.py")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "ranvier: there is no program other.py. Write the path of a Python file instead."
    ]
