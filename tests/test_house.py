"""The house: what is exported, what an import costs, which way the arrows point, what the tree must not hold."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "ranvier"
PUBLIC = [
    "ranvier", "ranvier.layers", "ranvier.losses", "ranvier.metrics", "ranvier.optimizers", "ranvier.initializers",
    "ranvier.activations", "ranvier.callbacks", "ranvier.calibration", "ranvier.data", "ranvier.data.datasets", "ranvier.torch", "ranvier.torch.nn", "ranvier.torch.nn.functional",
    "ranvier.regularizers", "ranvier.constraints", "ranvier.utils", "ranvier.config", "ranvier.backend", "ranvier.saving", "ranvier.ops", "ranvier.ops.nn", "ranvier.ops.linalg", "ranvier.random", "ranvier.models", "ranvier.search", "ranvier.pictures", "ranvier.explain",
    "ranvier.torch.optim", "ranvier.torch.optim.lr_scheduler", "ranvier.torch.utils.data", "ranvier.optimizers.schedules",
]  # fmt: skip
OPTIONAL = [
    "sklearn", "scipy", "matplotlib", "torch", "tensorflow", "keras", "jax", "onnx", "onnxruntime", "pandas", "polars",
    "PIL", "pyreadr", "tensorboard",
]  # fmt: skip
# Costly or needed late: a terminal is drawn to, a file is read, a command line is parsed, a program is compiled.
LATE = [
    "rich",
    "typer",
    "safetensors",
    "asyncio",
    "multiprocessing",
    "unittest",
    "email",
    "http",
    "ssl",
    "pydoc",
]


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
def test_what_a_module_lists_is_what_it_exports_and_other_names_are_told(name):
    """Tab completion offers what is imported late, too; a name that does not exist is an AttributeError that says so."""
    module = importlib.import_module(name)
    assert not set(module.__all__) - set(dir(module))
    with pytest.raises(AttributeError, match="does not exist"):
        module.no_such_name  # noqa: B018


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
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


@pytest.mark.parametrize(
    "statement", ["import ranvier", "import ranvier.torch", "import ranvier.torch.nn.functional"]
)
def test_an_import_takes_nothing_optional(statement):
    assert not imported(statement) & set(OPTIONAL)


def test_importing_ranvier_is_light():
    new = imported("import ranvier")
    assert not new & set(LATE)
    assert not [name for name in new if name.startswith("ranvier.torch")]


# --- which way the arrows point -----------------------------------------------------------------------------------

FLOORS = {  # a room of the house, and its floor; it may import from its own floor and from those below
    "graph": 1, "support": 1,
    "engines": 2, "data": 2,
    "tensor": 3, "datasets": 3,
    "ops": 4, "initializers": 4, "config": 4,
    "module": 5, "losses": 5, "optimizers": 5, "activations": 5, "constraints": 5, "regularizers": 5, "random": 5,
    "layers": 6, "metrics": 6, "explain": 6, "pictures": 6,
    "training": 7, "torch": 7,
    "callbacks": 8, "calibration": 8, "estimators": 8, "saving": 8, "interop": 8,
    "cli": 9, "search": 9, "models": 9, "utils": 9,
    "backend": 10,
}  # fmt: skip


def imports_of(path):
    """Modules of ranvier that a file imports when it is itself imported, not inside a function or for types only."""
    pending = list(ast.parse(path.read_text(encoding="utf-8")).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif (
            isinstance(node, (ast.Try, ast.If, ast.With))
            and "TYPE_CHECKING" not in ast.unparse(node).split("\n")[0]
        ):
            pending.extend(child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt))


def test_arrows_point_downward():
    upward = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        floor = FLOORS.get(parts[0])
        for name in imports_of(path):
            target = name.split(".")
            if (
                floor is not None
                and target[0] == "ranvier"
                and len(target) > 1
                and FLOORS.get(target[1], 0) > floor
            ):
                upward.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert not upward


def test_every_part_has_its_floor():
    parts = {
        path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert parts - {"__init__", "__main__"} <= set(FLOORS)


WRAPPED = re.compile(
    r"%\s*(?:max\()?(?:len\()?[\w.()]*(?:ndim|shape\)?\))"
)  # an axis out of range, made one that is there


def test_axes_are_found_by_one_rule():
    """`ops.arrays.promotion.axis_of` refuses an axis that is not there."""
    above = [path for part, floor in FLOORS.items() if floor > FLOORS["engines"] for path in places_of(part)]
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


def test_files_are_read_in_one_sitting():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py")}
    assert not {str(path.relative_to(ROOT)): length for path, length in lengths.items() if length > 600}


def test_nothing_large_is_committed():
    assert not [path.name for path in tracked() if path.stat().st_size > 1 << 20]
