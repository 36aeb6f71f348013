"""The golden programs end in the same bits on older x86-64 processors, whose instructions this one has too."""

import platform

import pytest

from tests.golden import dense_programs, torch_programs
from tests.golden.programs import PROGRAMS, recorded
from tests.golden.served import Served

X86 = platform.machine() in ("x86_64", "AMD64")
SETTINGS = {"x86-64-v3": 3, "x86-64-v2": 1}  # the threads of each target
# These programs have one layer each and differ in an elementwise rule. test_math.py and test_bits.py compare the bits of
# primitives and of whole trainings on every target, so every fifth of these runs here.
RULES = [
    *(f"optimizer {name}" for name in dense_programs.OPTIMIZERS),
    *(f"schedule {name}" for name in dense_programs.SCHEDULES),
    *(f"torch {name}" for name in (*torch_programs.OPTIMIZERS, *torch_programs.SCHEDULERS)),
]
NAMES = [name for name in PROGRAMS if name not in RULES or name in RULES[::5]]
HASHES = recorded()
pytestmark = pytest.mark.skipif(not X86, reason="this processor is no x86-64")


@pytest.fixture(scope="module", params=SETTINGS)
def target(request):
    with Served(request.param) as process:
        yield request.param, process


@pytest.mark.parametrize("name", NAMES)
def test_same_bits(name, target):
    setting, process = target
    found = process.hash(SETTINGS[setting], name)
    if "Write RANVIER_TARGET=host instead" in found:
        pytest.skip(f"this processor cannot run it: {found}")
    assert found == HASHES[name]
