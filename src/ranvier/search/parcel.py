"""What travels to a worker in another process: the function that builds models, the arrays and the variants.

Arrays travel beside the rest, so that a back end can send each of them once, or share its memory. A worker makes a
`Plan` of its own from them, and keeps it for the next variant.
"""

from __future__ import annotations

import functools
import inspect
import socket
import sys
import threading
import types
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ranvier import engines
from ranvier.search.plan import Plan
from ranvier.search.results import Trained
from ranvier.search.team import named, train
from ranvier.search.variants import Variant
from ranvier.support.version import __version__
from ranvier.tensor.context import dtype_scope, get_dtype
from ranvier.training.step.runner import Interrupt

VERSIONS = {"ranvier": __version__, "Python": ".".join(map(str, sys.version_info[:2]))}
KEPT = 2  # plans of a worker


class Place(NamedTuple):
    """The place of an array among those that travel apart."""

    number: int


def detach(value: Any, arrays: list[Any]) -> Any:
    """The value with a `Place` for each of its arrays, which are added to ``arrays``."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        arrays.append(value)
        return Place(len(arrays) - 1)
    if type(value) in (list, tuple):
        return type(value)(detach(part, arrays) for part in value)
    if type(value) is dict:
        return {name: detach(part, arrays) for name, part in value.items()}
    return value


def attach(value: Any, arrays: Sequence[Any]) -> Any:
    """What was given to `detach`."""
    if isinstance(value, Place):
        return arrays[value.number]
    if type(value) in (list, tuple):
        return type(value)(attach(part, arrays) for part in value)
    if type(value) is dict:
        return {name: attach(part, arrays) for name, part in value.items()}
    return value


# --- pickling -----------------------------------------------------------------------------------------------------


def packed(parts: dict[str, Any]) -> bytes:
    """The parts in one pickle, also functions of the main program. Raises TypeError naming what cannot be sent."""
    try:
        import cloudpickle
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "workers in other processes need cloudpickle. Write: pip install cloudpickle", name=error.name
        ) from error

    try:
        result: bytes = cloudpickle.dumps(parts)
    except Exception as error:
        place, value, reason = _culprit(parts, "", error)
        raise TypeError(
            f"{place} is a {type(value).__name__}, which cannot be sent to a worker in another process: {reason}. "
            "Make it inside the function that uses it, or leave parallel_config, to train on threads, instead."
        ) from error
    return result


def unpacked(data: Any) -> Any:
    """What was given to `packed`."""
    import cloudpickle

    return cloudpickle.loads(data)


def _error_of(value: Any) -> Exception | None:
    """The error of pickling a value, if there is one."""
    import cloudpickle

    try:
        cloudpickle.dumps(value)
    except Exception as error:  # noqa: BLE001 - any class of a user may raise any error
        return error
    return None


def _culprit(value: Any, place: str, error: Exception, seen: frozenset[int] = frozenset()) -> tuple[str, Any, str]:
    """The innermost part that cannot be pickled: where it is, the value, and why."""
    for name, part in _parts(value):
        if id(part) not in seen and (own := _error_of(part)) is not None:
            inner = f"{name} in {place}" if place else name
            return _culprit(part, inner, own, seen | {id(part)})
    return place, value, str(error).rstrip(".") or type(error).__name__


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """The parts of a value with their names, in messages."""
    if isinstance(value, dict):
        yield from ((str(name), part) for name, part in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from ((f"element {i}", part) for i, part in enumerate(value))
    elif isinstance(value, functools.partial):
        yield from _parts({"the function": value.func, **dict(enumerate(value.args)), **value.keywords})
    elif isinstance(value, types.MethodType):
        yield "self", value.__self__
    elif isinstance(value, types.FunctionType):
        found = inspect.getclosurevars(value)
        yield from ((f"{name!r}", part) for name, part in {**found.nonlocals, **found.globals}.items())
    elif hasattr(value, "__dict__") and not isinstance(value, (type, types.ModuleType)):
        yield from ((f"{name!r}", part) for name, part in vars(value).items())


# --- on both sides ------------------------------------------------------------------------------------------------


class Parcel:
    """What all variants of a search need, ready to travel."""

    def __init__(self, plan: Plan, keep: bool) -> None:
        self.arrays: list[Any] = []
        given = {
            "x": plan.x, "y": plan.y, "sample_weight": plan.weight, "build": plan.build, "callbacks": plan.callbacks,
            "folds": plan.folds, "validate": plan.validate, "monitor": plan.monitor,
            "options": plan.options, "engine": engines.get_engine(), "dtype": get_dtype(), "keep": keep,
        }  # fmt: skip
        common = packed({name: detach(value, self.arrays) for name, value in given.items()})
        self.common = np.frombuffer(common, np.uint8)  # an array, too, so that it is sent once


class Worker:
    """A search in the process of a worker."""

    def __init__(self, common: Any, arrays: Sequence[Any]) -> None:
        given = {name: attach(part, arrays) for name, part in unpacked(memoryview(common)).items()}
        self.keep, self.dtype = given["keep"], given["dtype"]
        engines.set_engine(given["engine"])
        self.lock = threading.Lock()  # Dask has workers of several threads
        self.plan = Plan(
            given["build"], given["x"], given["y"], given["sample_weight"], given["folds"], given["callbacks"],
            given["validate"], 0, given["monitor"], given["options"],
        )  # fmt: skip

    def train(self, number: int, variant: Variant, reported: set[str]) -> Trained:
        """Build a model and train it on one thread, as `ranvier.search.team.Threads` does."""
        from ranvier.engines.native.runtime.threads import threads_here

        with named(variant), threads_here(1), dtype_scope(self.dtype):
            with self.lock:
                self.plan.reported |= reported
                job = self.plan.job(number, variant)
            row = train(job, Interrupt())
        if not self.keep:
            row.model = None
        return row


_workers: dict[str, Worker] = {}
_lock = threading.Lock()


def train_here(versions: dict[str, str], search: str, number: int, variant: bytes, common: Any, *arrays: Any) -> bytes:
    """In a worker: train a variant of the search of this name. Returns the packed result."""
    differs = [
        f"{name} {VERSIONS[name]}, and the program {have}" for name, have in versions.items() if have != VERSIONS[name]
    ]
    if differs:
        raise RuntimeError(
            f"the worker on {socket.gethostname()} has {'; '.join(differs)}, so that its models would differ. Install "
            "the same version there instead."
        )
    with _lock:
        worker = _workers.pop(search, None) or Worker(common, arrays)
        _workers[search] = worker
        for old in list(_workers)[:-KEPT]:
            del _workers[old]
    return packed({"result": worker.train(number, **unpacked(variant))})
