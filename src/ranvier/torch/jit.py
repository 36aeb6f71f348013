"""``torch.jit``: all operations are compiled, so that scripts and traces are the functions themselves."""

from __future__ import annotations

from typing import Any

from ranvier.support.errors import missing

__all__ = ["export", "ignore", "is_scripting", "is_tracing", "script", "script_method", "trace", "unused"]


def script(obj: Any, *args: Any, **options: Any) -> Any:
    """``obj`` itself, a module or a function. Also a decorator."""
    return obj


def trace(func: Any, example_inputs: Any = None, *args: Any, **options: Any) -> Any:
    """``func`` itself, a module or a function: it is compiled for each shape that it is called with."""
    return func


def ignore(drop: Any = False, **options: Any) -> Any:
    """A decorator without effect."""
    return drop if callable(drop) else script


export = unused = script_method = script


def is_scripting() -> bool:
    """False: the code runs as Python."""
    return False


is_tracing = is_scripting

__getattr__, __dir__ = missing("torch.jit", __all__, hints={"save": "model.save(path)", "load": "rv.load_model(path)"})
