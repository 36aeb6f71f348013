"""Tensors as text, in PyTorch's format."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.graph.dtypes import widened
from ranvier.tensor.context import get_dtype
from ranvier.tensor.trace import CUT, Function

FORMATTED_BY_DEFAULT = ("int64", "bool")  # beside the default floating dtype: dtypes that are not written
PROFILES = {"default": (4, 1000, 3, 80), "short": (2, 1000, 2, 80), "full": (4, math.inf, 3, 80)}
# Functions whose gradients PyTorch names by another word.
GRADIENT_NAMES = {
    "multiply": "Mul", "subtract": "Sub", "divide": "Div", "negative": "Neg", "power": "Pow", "concatenate": "Cat",
    "matmul": "Mm", "expand_dims": "Unsqueeze", "absolute": "Abs", "reshape": "View", "clip": "Clamp",
}  # fmt: skip


@dataclass
class Options:
    """What ``torch.set_printoptions`` sets."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


options = Options()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed; None leaves a setting as it is.

    ``precision`` counts digits after the point. Of a tensor with more than ``threshold`` elements the first and last
    ``edgeitems`` of each dimension are shown. ``sci_mode`` chooses 1.0000e+00 or 1.0000; None lets the values choose.
    ``profile`` is "default", "short" or "full".
    """
    if profile is not None:
        if profile not in PROFILES:
            raise ValueError(f"profile={profile!r} does not exist. Write one of {', '.join(PROFILES)} instead.")
        options.precision, options.threshold, options.edgeitems, options.linewidth = PROFILES[profile]
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    for name, value in given.items():
        if value is not None:
            setattr(options, name, value)
    options.sci_mode = sci_mode


def gradient_name(tensor: Any) -> str:
    """The name of a result's gradient in PyTorch's style: ``MulBackward0``, or that of the user's own function."""
    node, computed_by = tensor.trace_node, tensor.history_ended
    if node is not None:
        while node.function is CUT:
            rule = tensor.segment.leaves[node.inputs[-1].ordinal].rule
            if hasattr(rule, "name"):
                return f"{rule.name}Backward"
            node = node.inputs[node.output_index]  # what a hook follows
        computed_by = node.function
    if computed_by is None:
        return "AliasBackward0"
    function = computed_by.name
    name = GRADIENT_NAMES.get(function) or "".join(part.capitalize() for part in function.split("_"))
    return f"{name}Backward0"


def is_computed(tensor: Any) -> bool:
    """Whether a tensor is the result of a function with a gradient, also where its history has ended."""
    node = tensor.trace_node
    if node is None:
        return isinstance(tensor.history_ended, Function) and tensor.history_ended is not CUT
    return not tensor.is_leaf and node.function is not None


def text_of(tensor: Any) -> str:
    """``tensor([1.5000, 2.0000], grad_fn=<MulBackward0>)``."""
    array, head = widened(tensor.compute()), "tensor("
    suffixes = []
    if not array.size and array.ndim != 1:
        suffixes.append(f"size={tuple(array.shape)}")
    if tensor.dtype not in (get_dtype(), *FORMATTED_BY_DEFAULT):
        suffixes.append(f"dtype=torch.{tensor.dtype.name}")
    if tensor.requires_grad:
        suffixes.append(f"grad_fn=<{gradient_name(tensor)}>" if is_computed(tensor) else "requires_grad=True")
    text = head + (array_text(array, len(head)) if array.size else "[]")
    last = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if last + len(suffix) + 2 > options.linewidth:
            text += f",\n{' ' * len(head)}{suffix}"
            last = len(head) + len(suffix)
        else:
            text += f", {suffix}"
            last += len(suffix) + 2
    return f"{text})"


def array_text(array: Any, indent: int) -> str:
    """The elements in brackets, rows below each other; ``indent`` is the column in which the text begins."""
    is_long = array.size > options.threshold
    shown = array
    if is_long:
        for axis, size in enumerate(array.shape):
            if size > 2 * options.edgeitems:
                shown = np.take(shown, [*range(options.edgeitems), *range(-options.edgeitems, 0)], axis)
    element, width = element_format(shown)
    return _rows(array, indent, is_long, element, width)


def _rows(array: Any, indent: int, is_long: bool, element: Callable[[Any], str], width: int) -> str:
    if array.ndim == 0:
        return element(array[()])
    edge = options.edgeitems
    shortened = is_long and len(array) > 2 * edge
    items = [*array[:edge], *array[len(array) - edge :]] if shortened else list(array)
    if array.ndim == 1:
        texts = [element(value) for value in items]
        if shortened:
            texts.insert(edge, " ...")
        each = max(1, (options.linewidth - indent) // (width + 2))
        lines = [", ".join(texts[i : i + each]) for i in range(0, len(texts), each)]
        return f"[{(',' + chr(10) + ' ' * (indent + 1)).join(lines)}]"
    texts = [_rows(part, indent + 1, is_long, element, width) for part in items]
    if shortened:
        texts.insert(edge, "...")
    return f"[{(',' + chr(10) * (array.ndim - 1) + ' ' * (indent + 1)).join(texts)}]"


def element_format(values: Any) -> tuple[Callable[[Any], str], int]:
    """The function that writes an element, all in one width, and the width."""
    if values.dtype.kind != "f":
        width = max((len(str(value)) for value in values.flat), default=1)
        return lambda value: f"{value!s:>{width}}", width
    finite = values[np.isfinite(values) & (values != 0)].astype(np.float64)
    sizes = np.abs(finite)
    is_whole = bool((finite == np.ceil(finite)).all())
    with np.errstate(over="ignore"):
        is_wide = bool(finite.size) and (sizes.max() / sizes.min() > 1000 or sizes.max() > 1e8)
    scientific = is_wide or (bool(finite.size) and not is_whole and bool(sizes.min() < 1e-4))
    if options.sci_mode is not None:
        scientific = options.sci_mode
    if scientific:
        kind = f".{options.precision}e"
    else:
        kind = ".0f" if is_whole else f".{options.precision}f"
    point = "." if is_whole and not scientific else ""

    def written(value: float) -> str:
        return f"{value:{kind}}{point if math.isfinite(value) else ''}"

    width = max((len(written(float(value))) for value in finite), default=1)
    return lambda value: f"{written(float(value)):>{width}}", width
