"""The operators that come in: a function on tensors for each, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ranvier.support.registry import decorator_of

TABLE: dict[str, Callable[..., Any]] = {}
row = decorator_of(TABLE)
"""Adds a function to the table, by the names of operators.

It takes a `Context`, the inputs (None where one is left out) and the attributes by name, and returns an output or
several in a tuple.
"""
