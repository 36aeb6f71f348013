"""The error for reading a value that does not exist while a model or a step is traced."""

from __future__ import annotations

from typing import Any

from ranvier.support.source_lines import caller, line_of, location
from ranvier.tensor.trace import StepTrace, state


def no_value(shape: tuple[Any, ...]) -> RuntimeError:
    """The error for a tensor of this shape, with the line of the user's code that reads it."""
    place = location(line_of(caller()))
    if isinstance(state.tracing, StepTrace):
        return RuntimeError(
            f"{place} reads the value of a tensor of shape {shape} in {state.tracing.method}, which is traced once and "
            "compiled for all batches. Write rv.ops.where(condition, a, b) or rv.ops.cond instead of Python's if, put "
            "a number that you want to see into the dict of logs instead of float(loss) or loss.numpy(), or write "
            "compile(..., run_eagerly=True), which runs the method for each batch, so that print and a debugger work."
        )
    return RuntimeError(
        f"this tensor of shape {shape} has no value: it stands for data while a model is traced. "
        "Write tensor functions (rv.ops.where, rv.ops.maximum, ...) instead of another library's (np.maximum, "
        f"tf.square) and of Python's if, print or numpy() in forward. ({place})"
    )
