"""The trained weights and losses of small programs are those in golden.json, on every target and any number of threads.

A program that fails alone shows what is wrong by ``python -m tests.golden.record NAME``. See record.py.
"""

import contextlib
import json
import os
import platform
import subprocess
import sys

import pytest

from tests.golden import dense_programs, files, torch_programs
from tests.golden.programs import PROGRAMS, recorded

X86 = platform.machine() in ("x86_64", "AMD64")
SETTINGS = (
    [("x86-64-v4", 1), ("x86-64-v4", 3), ("x86-64-v3", 3), ("x86-64-v2", 1)] if X86 else [("host", 1), ("host", 3)]
)
HASHES = recorded()
# These programs have one layer each and differ in an elementwise rule. test_math.py and test_bits.py compare the bits of
# primitives and of whole trainings on every target, so every fifth of these runs on the further targets.
RULES = [
    *(f"optimizer {name}" for name in dense_programs.OPTIMIZERS),
    *(f"schedule {name}" for name in dense_programs.SCHEDULES),
    *(f"torch {name}" for name in (*torch_programs.OPTIMIZERS, *torch_programs.SCHEDULERS)),
]
CASES = [
    (name, target, threads)
    for target, threads in SETTINGS
    for name in PROGRAMS
    if target == SETTINGS[0][0] or name not in RULES or name in RULES[::5]
]


@pytest.fixture(scope="session")
def ask():
    """Runs a program on a target, in a process that is kept for all of that target's programs."""
    with contextlib.ExitStack() as stack:
        processes: dict[str, subprocess.Popen[str]] = {}

        def asked(target, threads, name):
            if target not in processes:
                processes[target] = stack.enter_context(
                    subprocess.Popen(
                        [sys.executable, "-W", "error", "-m", "tests.golden.record", "--serve"],
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                        env=os.environ | {"RANVIER_TARGET": target},
                    )
                )  # fmt: skip
            process = processes[target]
            assert process.stdin
            assert process.stdout
            process.stdin.write(json.dumps([threads, name]) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield asked


@pytest.mark.parametrize(("name", "target", "threads"), CASES)
def test_same_bits(name, target, threads, ask):
    found = ask(target, threads, name)
    if "Write RANVIER_TARGET=host instead" in found:
        pytest.skip(f"this processor cannot run it: {found}")
    assert found == HASHES[name]


def test_every_program_has_a_hash_of_its_own():
    assert list(HASHES) == list(PROGRAMS)
    assert len(set(HASHES.values())) == len(HASHES)


def test_every_file_is_read():
    assert {path.name for path in files.FOLDER.iterdir()} == set(files.WRITERS)
