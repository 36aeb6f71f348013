"""Operators on numbers that are known, such as sizes: those of Python, and of PyTorch for sizes of any batch."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from ranvier.interop.foreign import ANY_BATCH, UnsupportedError
from ranvier.interop.torch.table import row

EXACT = ("add", "sub", "mul", "neg", "getitem", "sym_int", "sym_sum")  # also of the number that stands for any batch
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(operator, name)
        for name in ("add", "sub", "mul", "neg", "floordiv", "mod", "pow", "truediv", "getitem", "eq", "ne", "lt", "le",
                     "gt", "ge", "and_", "or_", "not_")
    },
    "sym_max": max, "sym_min": min, "sym_not": operator.not_, "sym_float": float, "sym_int": int, "sqrt": math.sqrt,
    "sym_ite": lambda chosen, a, b: a if chosen else b, "sym_sum": sum, "ceil": math.ceil, "floor": math.floor,
}  # fmt: skip


def _number_row(name: str, function: Callable[..., Any]) -> None:
    @row(f"number.{name}", merged=True)
    def compute(**given: Any) -> Any:
        values = list(given.values())
        if name not in EXACT and any(type(v) is int and abs(v) >= ANY_BATCH // 2 for v in values):
            whole = name == "floordiv" and not values[0] % (values[1] * ANY_BATCH)
            if not whole and not (name in ("eq", "ne") and values[0] == values[1]):
                raise UnsupportedError("a number that is computed from the size of the batch")
        return function(*values)


for _name, _function in FUNCTIONS.items():
    _number_row(_name, _function)
