"""Keras's own tests, which its wheel carries, run against ours: only the imports are changed.

Each test module runs with an ``__import__`` of its own, by which ``keras`` and ``keras.src`` mean Ranvier. A test that
asks for a name which is not here does not apply. Of the others, failures whose arrays differ are wrong numbers.

    python -m tests.peers.keras_tests                    all modules; one line for each fault, then a table
    python -m tests.peers.keras_tests layers/core ops    those with one of these texts in their paths
"""

from __future__ import annotations

import argparse
import builtins
import contextlib
import functools
import importlib
import importlib.util
import inspect
import os
import re
import signal
import sys
import types
import unittest
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import ranvier as rv
from ranvier.module.core import Functional
from ranvier.support.errors import snake_case
from ranvier.tensor.masks import mask_of, set_mask

os.environ.setdefault("KERAS_BACKEND", "numpy")
ROOT = Path(next(iter(importlib.util.find_spec("keras").submodule_search_locations))) / "src"
SECONDS = 20  # the most that a test may take
# What they test is not what we have: other backends, several machines, internals of Keras.
ELSEWHERE = (
    "backend/", "distribution/", "export/", "quantizers/", "dtype_policies/", "saving/", "tree/", "wrappers/",
    "utils/module_utils", "utils/tracking", "utils/traceback", "utils/python_utils", "utils/naming", "utils/code_stats",
    "utils/jax_layer", "utils/torch_utils", "utils/tf_utils", "utils/backend_utils", "utils/dtype_utils",
    "utils/rng_utils", "applications/", "testing/", "legacy/", "rematerialization", "models/cloning", "distillation/",
)  # fmt: skip
# Modules of Keras that the tests use as tools; they compute nothing of what is tested.
TOOLS = ("tree", "utils.traceback_utils", "utils.python_utils", "backend.common.dtypes", "backend.common.backend_utils")
OTHERS = ("tensorflow", "grain", "flax", "torch")  # a test that uses them is of another backend
NAMESPACES = ("layers", "ops", "losses", "metrics", "optimizers", "models", "callbacks", "utils", "random", "saving",
              "initializers", "regularizers", "constraints", "activations", "backend", "config", "datasets")  # fmt: skip


# What dtypes there are is on docs/keras.md, as is that there are no sparse tensors.
NOT_HERE = ("dtype 'complex64' is none", "quantize", "_lora", "dtype_policy")


class AbsentError(Exception):
    """A test asks for a name that is not here."""


class Absent:
    """Stands for a name that is not here: using it raises `AbsentError`."""

    def __init__(self, name: str) -> None:
        self.__dict__["name"] = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise AbsentError(self.name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(f"{self.name}.{name}")

    def __mro_entries__(self, bases: Any) -> tuple[type, ...]:
        raise AbsentError(self.name)


class _SymbolicValues(type):
    """``KerasTensor(shape, dtype)`` makes an input, and our symbolic values are instances."""

    def __call__(cls, shape: Any, dtype: Any = "float32", sparse: bool = False, ragged: bool = False, **kw: Any) -> Any:
        if sparse or ragged:
            raise AbsentError("sparse and ragged tensors")
        return rv.Input(batch_shape=tuple(shape), dtype=dtype)

    def __instancecheck__(cls, instance: Any) -> bool:
        return hasattr(instance, "__tensor_function__") and not isinstance(instance, rv.Tensor)


class KerasTensor(metaclass=_SymbolicValues):
    """Keras's name for a symbolic value."""


class Operation:
    """Keras's class of an operation, such as ``Mean``: made with some arguments, and called with the others."""

    def __init__(self, function: Any, kind: type, *args: Any, **options: Any) -> None:
        bound = inspect.signature(kind).bind(*args, **options).arguments
        self.function = function
        self.options = {**{k: v for k, v in bound.items() if k != "kwargs"}, **bound.get("kwargs", {})}
        self.options.pop("name", None)

    def __call__(self, *args: Any, **options: Any) -> Any:
        options, rest, placed = {**self.options, **options}, list(args), []
        for p in inspect.signature(self.function).parameters.values():  # each in its place in the function
            if p.kind is not p.POSITIONAL_OR_KEYWORD or not (rest or p.name in options):
                break
            placed.append(options.pop(p.name) if p.name in options else rest.pop(0))
        return self.function(*placed, *rest, **options)

    call = symbolic_call = compute_output_spec = __call__


def operation(path: str, name: str) -> Any:
    """What makes the operations of a class of Keras, where its function is here; None for any other name."""
    if not name[:1].isupper():
        return None
    kind = getattr(importlib.import_module(f"keras.src.{path}"), name, None)
    near = (snake_case(name), name.lower(), re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    found = next((getattr(rv.ops, one) for one in near if one in dir(rv.ops)), None)
    return None if kind is None or found is None else functools.partial(Operation, found, kind)


def layer_test(run: Any) -> Any:
    """``run_layer_test`` without half floats, in which layers do not compute here, and without Keras's internals."""

    @functools.wraps(run)
    def inner(self: Any, layer_cls: Any, init_kwargs: Any, *args: Any, **options: Any) -> Any:
        for internal in ("expected_num_seed_generators", "expected_num_non_trainable_variables"):
            options.pop(internal, None)
        options |= {"run_mixed_precision_check": False, "assert_built_after_instantiation": False}
        return run(self, layer_cls, init_kwargs, *args, **options)

    return inner


def _numpy(x: Any) -> Any:
    return np.asarray(x)


def standardize_dtype(dtype: Any) -> str:
    """The name of a dtype, as Keras's function gives it: Python's types are those of its numbers."""
    if dtype is None:
        return str(rv.get_dtype())
    python = {bool: "bool", int: "int32", float: str(rv.get_dtype())}
    return python.get(dtype) or str(getattr(dtype, "name", None) or dtype).removeprefix("torch.")


OWN: dict[str, Any] = {
    "standardize_dtype": standardize_dtype,
    "disable_flash_attention": lambda: None,
    "enable_flash_attention": lambda: None,
    "KerasTensor": KerasTensor,
    "Functional": Functional,
    "is_keras_tensor": lambda x: isinstance(x, KerasTensor),
    "convert_to_numpy": _numpy,
    "is_tensor": lambda x: isinstance(x, rv.Tensor),
    "backend": lambda: "ranvier",
    "SUPPORTS_SPARSE_TENSORS": False,
    "SUPPORTS_RAGGED_TENSORS": False,
    "SUPPORTS_COMPLEX_DTYPES": False,
    "clear_session": lambda free_memory=True: rv.utils.clear_session(),
    "is_float_dtype": lambda dtype: "float" in str(dtype),
    "is_int_dtype": lambda dtype: "int" in str(dtype),
    "is_nnx_enabled": lambda: False,
    "get_keras_mask": mask_of,
    "set_keras_mask": set_mask,
}


class Shim(types.ModuleType):
    """A module of Keras whose names are ours."""

    def __init__(self, path: str) -> None:
        super().__init__("keras.src." + path if path else "keras")
        self.__dict__["path"] = path
        self.__dict__["__path__"] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return resolve(self.path, name)


def resolve(path: str, name: str) -> Any:
    """What a name in a module of Keras is here."""
    inner = f"{path}.{name}".strip(".")
    if inner == "src":
        return Shim("")
    if inner in TOOLS or path in TOOLS:
        return (
            importlib.import_module(f"keras.src.{inner}")
            if inner in TOOLS
            else getattr(importlib.import_module(f"keras.src.{path}"), name)
        )
    if name in OWN and not (name == "backend" and path == ""):
        return OWN[name]
    place = ROOT / inner.replace(".", "/")
    if inner.startswith("testing") or inner.endswith("_test"):
        return _tool(inner) if place.with_suffix(".py").exists() or place.is_dir() else getattr(_tool(path), name)
    if path.startswith("testing") or path.endswith("_test"):
        return getattr(_tool(path), name)
    parts = path.split(".")
    if path and place.with_suffix(".py").exists():
        return Shim(inner)
    if parts[0] == "ops" and len(parts) > 1 and (found := operation(path, name)) is not None:
        return found
    for space in [*(p for p in parts if p in NAMESPACES), "", "backend" if "backend" in parts else "utils"]:
        found = getattr(rv, space, None) if space else rv
        if space == "optimizers" and "schedules" in (*parts, name):
            schedules = getattr(rv.optimizers, "schedules", None)
            if hasattr(schedules, name):
                return getattr(schedules, name)
        if found is not None and name in dir(found) and (place.is_dir() is False or space):
            return getattr(found, name)
    if place.is_dir() or place.with_suffix(".py").exists():
        return Shim(inner)
    if "backend" in parts and hasattr(rv.ops, name):
        return getattr(rv.ops, name)
    return Absent(inner)


_LOADED: dict[str, types.ModuleType] = {}
CONFTEST = types.ModuleType("conftest")  # it skips tests of one of Keras's backends, and the wheel does not have it
CONFTEST.skip_if_backend = lambda backend, reason: lambda test: test


def _tool(path: str) -> types.ModuleType:
    """A module of Keras's tests themselves, run with our imports."""
    if path not in _LOADED:
        place = ROOT / path.replace(".", "/")
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        module = _LOADED[path] = types.ModuleType(f"keras_tests.{path}")
        _run(file, module)
        if path == "testing.test_case":
            module.TestCase.run_layer_test = layer_test(module.TestCase.run_layer_test)
            module.get_seed_generators = lambda layer: []
    return _LOADED[path]


def _import(name: str, globals_: Any = None, locals_: Any = None, fromlist: Any = (), level: int = 0) -> Any:
    if level == 0 and name.partition(".")[0] == "keras":
        inner = name.removeprefix("keras").removeprefix(".").removeprefix("src").removeprefix(".")
        if not fromlist:
            return Shim("")
        if not (inner.startswith("testing") or inner.endswith("_test")):
            return Shim(inner)
        module = _tool(inner)
        for part in fromlist:
            if not hasattr(module, part) and (ROOT / inner.replace(".", "/") / f"{part}.py").exists():
                setattr(module, part, _tool(f"{inner}.{part}"))
        return module
    if level == 0 and name == "conftest":
        return CONFTEST
    if level == 0 and name.partition(".")[0] in OTHERS:
        return Absent(name if fromlist else name.partition(".")[0])
    return builtins.__import__(name, globals_, locals_, fromlist, level)


def _run(file: Path, module: types.ModuleType) -> None:
    module.__file__ = str(file)
    sys.modules[module.__name__] = module
    own = dict(vars(builtins))
    own["__import__"] = _import
    module.__dict__["__builtins__"] = own
    exec(compile(file.read_text(), str(file), "exec"), module.__dict__)  # the tests of an installed wheel


class Outcome(NamedTuple):
    """What came of one test."""

    test: str
    kind: str  # "passed", "wrong number", "failed", "other words", "not here", "skipped"
    why: str = ""


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """Raise TimeoutError in a test that takes too long."""

    def late(signum: int, frame: Any) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _outcome(test: unittest.TestCase) -> Outcome:
    name = test.id().removeprefix("keras_tests.")
    result = unittest.TestResult()
    with _limited():
        try:
            test.run(result)
        except BaseException as error:  # noqa: BLE001  # of any kind: as a failure
            return Outcome(name, "failed", f"{type(error).__name__}: {error}")
    if result.skipped:
        return Outcome(name, "skipped")
    faults = [*result.errors, *result.failures]
    if not faults:
        return Outcome(name, "passed")
    text = faults[0][1]
    lines = text.splitlines()
    at = next((i for i in reversed(range(len(lines))) if re.search("Error|Exception", lines[i].split(":")[0])), -1)
    last = " ".join(lines[at:]) if lines[at].endswith("Error: ") else lines[at]
    if (
        "AbsentError" in text
        or any(part in last for part in NOT_HERE)
        or re.search("SparseTest|_sparse_|_ragged_", name)
        or "is unsupported with backend" in last
        or last.startswith("UnboundLocalError")  # it has a branch for each of Keras's backends
        or (last.startswith("AttributeError: ranvier.") and "does not exist" in last)
    ):
        return Outcome(name, "not here", last)
    if "AssertionError" in last and " does not match " in last:
        return Outcome(name, "other words", last)  # an error is raised, in words of ours
    if last.startswith("Skipped:"):
        return Outcome(name, "skipped")
    if re.search("Mismatched elements|location mismatch", text) and "shapes" not in last:
        return Outcome(name, "wrong number", _reason(text))
    return Outcome(name, "failed", last)


def _reason(text: str) -> str:
    lines = [line.strip() for line in text.splitlines()]
    return next((line for line in lines if "max absolute difference" in line.lower()), lines[-1])


def run(file: Path, only: str = "") -> list[Outcome]:
    """The outcomes of the tests of a module with a text in their names; one "not here" where it cannot be loaded."""
    title = str(file.relative_to(ROOT).with_suffix("")).replace("/", ".")
    try:
        module = _tool(title)
    except Exception as error:  # noqa: BLE001  # of any kind: it asks for something else
        return [Outcome(title, "not here", f"{type(error).__name__}: {error}")]
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    tests = [t for group in suite for t in group if type(t).__module__ == module.__name__]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return [_outcome(test) for test in tests if only in test.id()]


def files(parts: list[str]) -> list[Path]:
    """The test modules that apply, with one of these texts in their paths."""
    found = sorted(ROOT.rglob("*_test.py"))
    names = [(f, str(f.relative_to(ROOT))) for f in found]
    return [f for f, name in names if not name.startswith(ELSEWHERE) and (not parts or any(p in name for p in parts))]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", help="texts of paths")
    parser.add_argument("--engine", default="reference", help="the engine: by default the one that compiles nothing")
    parser.add_argument("--only", default="", help="a text in the names of tests")
    parser.add_argument("--words", action="store_true", help="also errors in words of ours")
    parser.add_argument("--part", default="0/1", help="I/N: each N-th module from I on")
    given = parser.parse_args()
    rv.set_engine(given.engine)
    first, step = map(int, given.part.split("/"))
    tallies: dict[str, Counter[str]] = {}
    for file in files(given.parts)[first::step]:
        outcomes = run(file, given.only)
        for o in outcomes:
            if o.kind in ("failed", "wrong number", "not here", *(("other words",) if given.words else ())):
                print(f"{o.kind:12} {o.test}: {o.why[:200]}")
        tally = tallies[str(file.relative_to(ROOT))] = Counter(o.kind for o in outcomes)
        print(f"-- {file.relative_to(ROOT)}: {dict(tally)}", flush=True)
    _print_table({**tallies, "all": sum(tallies.values(), Counter())})


def _print_table(tallies: dict[str, Counter[str]]) -> None:
    """A row for each module: how many tests apply, and what came of them; what is not here does not apply."""
    kinds = ("passed", "failed", "other words", "wrong number")
    print(f"\n{'':70} {'apply':>7}" + "".join(f"{kind:>14}" for kind in kinds) + f"{'not here':>10}")
    for name, tally in tallies.items():
        applies = sum(tally[kind] for kind in kinds)
        print(f"{name:70} {applies:7}" + "".join(f"{tally[kind]:14}" for kind in kinds) + f"{tally['not here']:10}")


if __name__ == "__main__":
    main()
