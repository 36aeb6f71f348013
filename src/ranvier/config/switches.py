"""Keras's switches: limits of a run, and settings that other libraries read and nothing here does."""

from __future__ import annotations

import os
from collections.abc import Callable

from ranvier.support.validation import whole

# What the switches are at the start, and "interactive_logging" and so on name them.
_ON = {"interactive_logging": True, "traceback_filtering": True, "flash_attention": False, "nnx": False}


def _of_environment(name: str) -> int | None:
    text = os.environ.get(name)
    return whole(name, int(text)) if text else None


_LIMITS = {name: _of_environment(f"KERAS_{name.upper()}") for name in ("max_epochs", "max_steps_per_epoch")}


def _turns(name: str, on: bool, doc: str) -> Callable[[], None]:
    def turn() -> None:
        _ON[name] = on

    turn.__name__ = turn.__qualname__ = f"{'enable' if on else 'disable'}_{name}"
    turn.__doc__ = doc
    return turn


def _asks(name: str, doc: str) -> Callable[[], bool]:
    def ask() -> bool:
        return _ON[name]

    ask.__name__ = ask.__qualname__ = f"is_{name}_enabled"
    ask.__doc__ = doc
    return ask


enable_interactive_logging = _turns("interactive_logging", True, "Let ``fit`` print its progress, as it does at first.")
disable_interactive_logging = _turns(
    "interactive_logging", False, 'Let ``fit``, ``evaluate`` and ``predict`` with verbose="auto" print nothing.'
)
is_interactive_logging_enabled = _asks("interactive_logging", "Whether ``fit`` prints its progress.")
enable_traceback_filtering = _turns("traceback_filtering", True, "No effect: errors name your line in any case.")
disable_traceback_filtering = _turns("traceback_filtering", False, "No effect: tracebacks are whole in any case.")
is_traceback_filtering_enabled = _asks("traceback_filtering", "What was set last.")
enable_flash_attention = _turns("flash_attention", True, "No effect: long sequences are computed in parts in any case.")
disable_flash_attention = _turns("flash_attention", False, "No effect: long sequences are computed in parts anyway.")
is_flash_attention_enabled = _asks("flash_attention", "What was set last.")
is_nnx_enabled = _asks("nnx", "False: there is no Flax.")


def enable_unsafe_deserialization() -> None:
    """Raises ValueError: files hold no code, so that loading one is safe, and runs none."""
    raise ValueError(
        "files are loaded without running code, and none is in them. Write @rv.saving.register_keras_serializable() "
        "above a function of yours, and leave enable_unsafe_deserialization() out, instead."
    )


def set_backend(backend: str) -> None:
    """Raises ValueError for any name but "ranvier": `ranvier.set_engine` chooses what runs programs."""
    if backend != "ranvier":
        raise ValueError(f"backend {backend!r}: the one here is 'ranvier'. Write rv.set_engine({backend!r}) instead.")


def max_epochs() -> int | None:
    """The most epochs of any ``fit``: the last of `set_max_epochs`, or ``KERAS_MAX_EPOCHS``; None is no limit."""
    return _LIMITS["max_epochs"]


def set_max_epochs(max_epochs: int | None) -> None:
    """Let ``fit`` train for this number of epochs at most, to try a program; None is no limit.

    Raises ValueError for a number below 1. Source: Keras.
    """
    _LIMITS["max_epochs"] = None if max_epochs is None else whole("max_epochs", max_epochs)


def max_steps_per_epoch() -> int | None:
    """The most steps of an epoch: the last of `set_max_steps_per_epoch`, or ``KERAS_MAX_STEPS_PER_EPOCH``."""
    return _LIMITS["max_steps_per_epoch"]


def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Let each epoch of ``fit`` and its validation, ``evaluate`` and ``predict`` have this number of steps at most.

    Raises ValueError for a number below 1. Source: Keras.
    """
    _LIMITS["max_steps_per_epoch"] = (
        None if max_steps_per_epoch is None else whole("max_steps_per_epoch", max_steps_per_epoch)
    )


def limited(name: str, given: int | None) -> int | None:
    """A number of epochs or steps, at most the limit of this name."""
    limit = _LIMITS[name]
    return given if limit is None else limit if given is None else min(given, limit)
