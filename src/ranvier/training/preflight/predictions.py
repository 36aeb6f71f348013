"""Checks of what `predict` was given and what it returns: NaN in either, reported once for each model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np

from ranvier.data.convert import Array, first_where, place
from ranvier.module import Module
from ranvier.module.shape_errors import user_name, user_names
from ranvier.training.preflight.report import WARNING, Check, Fault, Finding, raise_or_warn

SMALL = 1 << 22  # numbers of inputs that are read again although no output is NaN
FEW = 32  # numbers that Python adds faster than NumPy multiplies; their sum is NaN also where infinities cancel


@dataclass
class Prediction:
    """The arrays of a model's inputs and outputs; ``start`` is the number of their first row."""

    model: Module
    x: Sequence[Array]
    outputs: Sequence[Array]
    start: int = 0

    def first_nan(self, arrays: Sequence[Array], name: str) -> tuple[str, int] | None:
        """Where the first NaN is, and how many there are in that array."""
        for i, array in enumerate(arrays):
            found = first_where(array, np.isnan) if array.dtype.kind == "f" else None
            if found is not None:
                (row, *rest), count = found
                label = name if len(arrays) == 1 else f"{name}[{i}]"
                return f"{label} has nan at {place((row + self.start, *rest), None)}", count
        return None


def described(found: tuple[str, int]) -> str:
    text, count = found
    return f"{text} and {count - 1:,} more" if count > 1 else text


def in_inputs(view: Prediction) -> Iterator[Fault]:
    found = view.first_nan(view.x, "x")
    if found is not None:
        missing = view.first_nan(view.outputs, "the output")
        if missing is None and getattr(view.model, "_takes_nan", False):
            return
        result = "no output is NaN" if missing is None else described(missing)
        yield Fault(
            f"{described(found)}, and {result}",
            "Write np.nan_to_num(x), the values with which the training data were filled, or x without these rows, "
            "instead.",
        )


def in_outputs(view: Prediction) -> Iterator[Fault]:
    found = view.first_nan(view.outputs, "the output")
    if found is None:
        return
    for module in view.model.modules():
        for name, p in module._parameters.items():
            if p is not None and p.dtype.startswith("float") and np.isnan(p.numpy()).any():
                yield Fault(
                    f"{described(found)}, because weight {name!r} of layer {user_name(module, view.model)!r} has NaN",
                    "Load weights that were saved before, or train again with a smaller learning rate.",
                    module,
                )
                return
    yield Fault(
        f"{described(found)}, and neither the inputs nor the weights have NaN: a value of the network is infinite, or "
        "outside the domain of a function such as log or sqrt",
        "Write inputs of the scale of the training data, and log(x + 1e-7) for log(x), instead.",
    )


CHECKS = (
    Check("RV601", "NaN in inputs of predict", WARNING, in_inputs),
    Check("RV602", "NaN in outputs of predict", WARNING, in_outputs, unless=("RV601",)),
)


def has_nan(array: Array) -> bool:
    """Whether an array of floats has NaN: then, and only then, its product with itself is NaN."""
    if array.dtype.kind != "f":
        return False
    if array.size <= FEW and not isnan(sum(array.ravel().tolist())):
        return False
    if not array.flags.c_contiguous:
        return first_where(array, np.isnan) is not None
    return isnan(np.vdot(array, array))  # unlike np.dot, without a warning where large numbers overflow


def warn_of_nan(model: Module, x: Sequence[Array], outputs: Sequence[Array], start: int = 0) -> None:
    """Warn of NaN in ``outputs``, and in inputs that are small or have led to it."""
    reported: set[str] = model.__dict__.setdefault("_reported_nan", set())
    wrong = any(map(has_nan, outputs))
    if not wrong and (sum(a.size for a in x) > SMALL or not any(map(has_nan, x))):
        return
    view = Prediction(model, x, outputs, start)
    findings: list[Finding] = []
    names = user_names(model)
    for check in CHECKS:
        if not any(f.code in check.unless for f in findings):
            findings += [Finding.of(check, fault, names, {}) for fault in check.find(view)]
    raise_or_warn(findings, reported)
