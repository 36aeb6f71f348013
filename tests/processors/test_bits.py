"""The same bits on other targets, for any number of threads, and on an emulated AArch64 processor. See docs/bits.md."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import test_bits as bits
from tests.processors.tools import Tools

try:
    Tools()
    WHY = ""
except FileNotFoundError as error:
    WHY = str(error)

ROOT = str(Path(__file__).parents[2])
HEAD = "from tests.processors import emulator\nemulator.install()\n"


def emulated(program):
    path = os.pathsep.join([ROOT, *filter(None, sys.path)])
    result = subprocess.run(
        [sys.executable, "-c", HEAD + bits.HEAD + bits.PROGRAMS[program] + bits.TAIL],
        capture_output=True, text=True, timeout=600, check=False, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.parametrize("program", [name for name in bits.PROGRAMS if name not in bits.SAMPLE])
def test_threads_targets_processes(program):
    bits.assert_same_bits(program)


def test_hash_seeds():
    """Interpreters whose sets have other orders, each for all programs."""
    programs = [bits.HEAD + program + bits.TAIL for program in bits.PROGRAMS.values()]
    outputs = [
        subprocess.run(
            [sys.executable, "-c", f"for program in {programs!r}: exec(program, {{}})"],
            capture_output=True, text=True, check=True, env=os.environ | {"PYTHONHASHSEED": str(seed)},
        ).stdout.split()
        for seed in (1, 2)
    ]  # fmt: skip
    assert len(set(outputs[0])) == len(bits.PROGRAMS)
    assert outputs[0] == outputs[1]


@pytest.mark.skipif(bool(WHY), reason=WHY)
@pytest.mark.parametrize("program", bits.PROGRAMS)
def test_aarch64(program):
    assert emulated(program) == bits.digest(program)
