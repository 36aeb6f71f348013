"""The house: what is exported, what an import costs, which way the arrows point, what the tree must not hold."""

import importlib
import inspect
import re
import subprocess
import sys

import pytest

from tests import house, stubs
from tests.house import FLOORS, PACKAGE, ROOT

TABLES: dict[str, str] = {}  # files that are longer than others: tables, with the reason
EMITTED: dict[str, str] = {  # functions that are longer than others: text that is emitted, with the reason
    "ranvier.engines.native.runtime.pool_ir.pool_ir": "LLVM text of the thread pool"
}
PUBLIC = [
    "ranvier", "ranvier.layers", "ranvier.losses", "ranvier.metrics", "ranvier.optimizers", "ranvier.initializers",
    "ranvier.activations", "ranvier.callbacks", "ranvier.calibration", "ranvier.data", "ranvier.data.datasets", "ranvier.datasets", "ranvier.torch", "ranvier.torch.nn", "ranvier.torch.nn.functional",
    "ranvier.regularizers", "ranvier.constraints", "ranvier.utils", "ranvier.config", "ranvier.backend", "ranvier.saving", "ranvier.ops", "ranvier.ops.nn", "ranvier.ops.linalg", "ranvier.random", "ranvier.models", "ranvier.search", "ranvier.pictures", "ranvier.explain",
    "ranvier.torch.optim", "ranvier.torch.optim.lr_scheduler", "ranvier.torch.utils.data", "ranvier.optimizers.schedules",
]  # fmt: skip
OPTIONAL = [
    "sklearn", "scipy", "matplotlib", "torch", "tensorflow", "keras", "jax", "onnx", "onnxruntime", "pandas", "polars",
    "PIL", "pyreadr", "tensorboard", "h5py", "starlette", "uvicorn",
]  # fmt: skip
# Costly or needed late: a terminal is drawn to, a file is read, a command line is parsed, a program is compiled.
LATE = ["rich", "typer", "safetensors", "asyncio", "multiprocessing", "unittest", "email", "http", "ssl", "pydoc"]


# --- what is exported ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PUBLIC)
def test_every_exported_name_exists_once_and_in_order(name):
    module = importlib.import_module(name)
    assert len(set(module.__all__)) == len(module.__all__)
    missing = [entry for entry in module.__all__ if not hasattr(module, entry)]
    assert not missing, f"{name}.__all__ promises {missing}"


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_class_and_function_has_a_docstring(name):
    module = importlib.import_module(name)
    objects = {entry: getattr(module, entry) for entry in module.__all__}
    bare = [
        entry
        for entry, value in objects.items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and not value.__doc__
    ]
    assert not bare, f"{name}: no docstring on {bare}"


@pytest.mark.parametrize("name", PUBLIC)
def test_a_module_lists_what_it_exports_and_other_names_are_errors(name):
    """Tab completion offers what is imported late, too; a name that does not exist is an AttributeError that says so."""
    module = importlib.import_module(name)
    assert not set(module.__all__) - set(dir(module))
    with pytest.raises(AttributeError, match="does not exist"):
        module.no_such_name


def test_the_exports_of_ranvier_are_exactly_these():
    """A name appears in or leaves the public face on purpose, never by accident."""
    import ranvier

    expected = (ROOT / "tests" / "golden" / "exports.txt").read_text().split()
    assert sorted(ranvier.__all__) == expected


def test_typed():
    assert (PACKAGE / "py.typed").exists()


# --- what an import costs -----------------------------------------------------------------------------------------


def imported(statement):
    """Top-level names of the modules that a fresh interpreter holds after ``statement`` and did not hold before."""
    code = f"import sys; before = set(sys.modules)\n{statement}\nprint(*sorted(set(sys.modules) - before))"
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


@pytest.mark.parametrize("statement", ["import ranvier", "import ranvier.torch", "import ranvier.torch.nn.functional"])
def test_an_import_takes_nothing_optional(statement):
    assert not imported(statement) & set(OPTIONAL)


def test_importing_ranvier_is_light():
    new = imported("import ranvier")
    assert not new & set(LATE)
    assert not [name for name in new if name.startswith("ranvier.torch")]


# --- which way the arrows point -----------------------------------------------------------------------------------

ROOMS = sorted({house.room_of(name) for name in house.files()} - {house.FACE})


def test_every_room_has_its_floor():
    assert set(ROOMS) <= set(FLOORS)
    assert len(set(ROOMS) - {house.DOOR}) <= 34


def test_arrows_point_downward():
    """Every import counts: at the top, in a function, for types alone, and as a text that names a module."""
    assert not [str(arrow) for arrow in house.upward()]


def test_rooms_form_no_circle():
    assert not house.circles_of_rooms()
    assert house.floors_used() <= 11


def test_the_parts_of_a_folder_form_no_circle():
    assert not house.circles_in_folders()
    assert not [str(arrow) for arrow in house.own_faces()]


def test_modules_are_imported_by_names_in_the_code():
    """By a text, or by one of the two mechanisms that load by name: lazy names and rows (support), and engines."""
    assert not house.dynamic()


def test_the_library_imports_nothing_from_outside():
    assert not house.outside()


def test_tests_are_in_folders_named_like_the_rooms():
    """Beside them stand what holds of the whole house, golden results, and tests with machines or peers of their own."""
    folders = {path.name for path in (ROOT / "tests").iterdir() if (path / "__init__.py").exists()}
    assert folders - {"golden", "peers", "processors", "types"} <= set(FLOORS)


WRAPPED = re.compile(
    r"%\s*(?:max\()?(?:len\()?[\w.()]*(?:ndim|shape\)?\))"
)  # an axis out of range, made one that is there


def test_axes_are_found_by_one_rule():
    """`ops.arrays.promotion.axis_of` refuses an axis that is not there."""
    above = [path for part in ROOMS if FLOORS[part] > FLOORS["engines"] for path in places_of(part)]
    found = [
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path in above
        for line in path.read_text(encoding="utf-8").splitlines()
        if WRAPPED.search(line)
    ]
    assert found == ["ops/arrays/promotion.py: return place % ndim"]


def places_of(part):
    folder = PACKAGE / part
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


# --- what the tree must not hold ----------------------------------------------------------------------------------


def tracked():
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listing.stdout.split("\0") if name]
    return [path for path in files if path.is_file()]


# Spelled in pieces, so that this file passes its own test.
FORBIDDEN = re.compile(
    r"/(?:home|Users)/" r"\w+"  # somebody's folder
    r"|(?<![\w./-])/(?:work|root|opt)/" r"\w+"
    r"|\b(?:index|files|download|registry|proxy|mirror)\.[\w.-]*(?:pypi|pythonhosted|pytorch|npmjs|debian)\.\w+"
    r"|--(?:extra-)?index-" r"url"
    r"|\b(?:10|192\.168|172\.(?:1[6-9]|2\d|3[01]))(?:\.\d{1,3}){2,3}\b"  # a private network
)  # fmt: skip


def test_no_file_names_a_machine_or_a_registry():
    found = []
    for path in tracked():
        data = path.read_bytes()
        if b"\0" in data:
            continue
        for number, line in enumerate(data.decode("utf-8").splitlines(), 1):
            if match := FORBIDDEN.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {match[0]}")
    assert not found


def test_files_and_functions_are_read_in_one_sitting():
    assert not {name: n for name, n in house.long_files().items() if name not in TABLES}
    assert not {name: n for name, n in house.long_functions().items() if name not in EMITTED}


def test_classes_are_what_their_code_says():
    """No object changes its class, no constructor is replaced, no names are written into a module from outside."""
    assert not house.class_swaps()


def test_words_of_the_former_house_are_gone():
    assert not house.forbidden_names()


def test_nothing_large_is_committed():
    assert not [path.name for path in tracked() if path.stat().st_size > 1 << 20]


# --- what type checkers read --------------------------------------------------------------------------------------


def test_stubs_are_what_the_code_gives():
    different = [str(path.relative_to(ROOT)) for path, _ in stubs.differing()]
    assert not different, "write: python -m tests.stubs --write"


def test_a_lazy_name_is_no_module_of_its_package():
    """Python puts a module into its package when it is imported: it would take the place of the name."""
    clashes = [
        f"{package}.{name}"
        for package in stubs.faces()
        for name, (_, attribute) in stubs.places(package).items()
        if attribute and f"{package}.{name}" in house.files()
    ]
    assert not clashes
