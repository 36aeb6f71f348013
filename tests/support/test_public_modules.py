"""Public modules: each that is an attribute of another can be imported by its path, first and alone."""

import importlib
import subprocess
import sys
import types

import pytest

ALONE = """
import importlib, sys
known = set()
for path in sys.argv[1:]:
    if path in known:
        continue
    for name in [n for n in sys.modules if n.partition(".")[0] == "ranvier"]:
        del sys.modules[name]  # as in a fresh interpreter
    try:
        importlib.import_module(path)
        known.update(name for name in sys.modules if name.startswith(path + "."))  # Python imports path before them
    except Exception as error:
        print(path, repr(error))
"""


def shown(module, name):
    """A public name of a module; of one whose optional package is not installed, the name of that."""
    try:
        return getattr(module, name, None)
    except ModuleNotFoundError as error:
        return error.name


def public_modules():
    """The paths of all public modules, and of each the module that it stands for."""
    found, pending = {}, ["ranvier"]
    while pending:
        path = pending.pop()
        module = found[path] = importlib.import_module(path)
        for name in module.__all__ if hasattr(module, "__all__") else ():
            value = shown(module, name)
            if isinstance(value, types.ModuleType) and f"{path}.{name}" not in found:
                pending.append(f"{path}.{name}")
    return found


def test_every_public_module_can_be_imported_by_its_path():
    found = public_modules()
    assert {"ranvier.torch.nn.functional", "ranvier.optimizers.schedules", "ranvier.datasets.mnist"} <= set(found)
    for path, module in found.items():
        home, _, name = path.rpartition(".")
        assert not home or getattr(found[home], name) is module, path
    result = subprocess.run([sys.executable, "-c", ALONE, *sorted(found)], capture_output=True, text=True, check=True)
    assert not result.stdout


@pytest.mark.parametrize(
    "statement",
    [
        "from ranvier.datasets import mnist",
        "from ranvier.optimizers import schedules",
        "import ranvier.torch.nn.functional as F",
        "from ranvier.torch.utils.data import DataLoader",
        "from ranvier.layers import Dense, MaxPool2D",
    ],
)
def test_the_first_lines_of_tutorials(statement):
    subprocess.run([sys.executable, "-W", "error", "-c", statement], check=True)


def test_lazy_names_are_listed_and_lead_somewhere():
    """What a package lists is there, and what is there by a lazy name is listed by dir()."""
    for path, module in public_modules().items():
        listed = set(dir(module))
        for name in module.__all__ if hasattr(module, "__all__") else ():
            assert name in listed, f"{path}.{name}"
        for name in listed:
            if not name.startswith("__"):
                assert shown(module, name) is not None or name == "newaxis" or path.endswith("version"), (
                    f"{path}.{name}"
                )
