"""Checks of numbers in settings: counts and amounts. Errors give the setting, its value and what to write instead."""

from __future__ import annotations

import math
from typing import Any


def is_whole(value: Any, least: int = 1) -> bool:
    """Whether a value is an integer, Python's or another library's, of at least ``least``."""
    return not isinstance(value, bool) and hasattr(value, "__index__") and bool(value.__index__() >= least)


def whole(name: str, value: Any, least: int = 1, of: str = "") -> int:
    """``value`` as an int of at least ``least``. Raises ValueError naming the argument, and what it is ``of``."""
    if not is_whole(value, least):
        given = f"{of}({name}={value!r})" if of else f"{name}={value!r}"
        raise ValueError(f"{given}: write a whole number of {least} or more instead.")
    return int(value.__index__())


def amount(value: Any, what: str, name: str, most: float = math.inf) -> float:
    """``value`` as a float from 0 to ``most``; raises ValueError naming the argument of ``what``."""
    if type(value) is float and 0.0 <= value <= most and value != math.inf:  # the usual case, without a look-up
        return value
    number = not isinstance(value, bool) and hasattr(value, "__float__") and not isinstance(value, str)
    if not number or not 0 <= (result := float(value)) <= most or math.isinf(result):
        allowed = "a number of 0 or more" if math.isinf(most) else f"a number from 0 to {most:g}"
        raise ValueError(f"{what}({name}={value!r}): write {allowed} instead.")
    return result
