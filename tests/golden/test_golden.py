"""The trained weights and losses of small programs, on three threads, are those in golden.json.

A program that fails alone shows what is wrong by ``python -m tests.golden.record NAME``. See record.py; other targets
are in tests/processors.
"""

import pytest

from tests.golden import files
from tests.golden.programs import PROGRAMS, recorded
from tests.golden.served import Served

HASHES = recorded()
THREADS = 3  # the hashes are of one thread, which tests/processors has too


@pytest.fixture(scope="session")
def served():
    with Served("host") as process:
        yield process


@pytest.mark.parametrize("name", PROGRAMS)
def test_same_bits(name, served):
    assert served.hash(THREADS, name) == HASHES[name]


def test_every_program_has_a_hash_of_its_own():
    assert list(HASHES) == list(PROGRAMS)
    assert len(set(HASHES.values())) == len(HASHES)


def test_every_file_is_read():
    assert {path.name for path in files.FOLDER.iterdir()} == set(files.WRITERS)
