"""Strings in files of ONNX: class names, which no program computes with, by whole numbers that stand for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier import ops as o
from ranvier.interop.foreign import refuse
from ranvier.interop.onnx.values import NUMBERS, Context, cast, tensor

MOVE = frozenset({
    "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze",
    "ai.onnx.ml.ArrayFeatureExtractor",
})  # fmt: skip
"""Operators that give the strings of their first input, elsewhere."""
KEYS = {
    "ai.onnx.ml.LabelEncoder": ("keys_strings", "keys_tensor", "classes_strings"),
    "ai.onnx.ml.CategoryMapper": ("cats_strings",),
    "ai.onnx.ml.OneHotEncoder": ("cats_strings",),
}
"""Operators that look strings up, and the attributes in which: the codes of these are looked up instead."""


@dataclass
class Labels:
    """Strings: ``codes`` are their places in ``names``."""

    codes: Any
    names: Any


def is_text(value: Any) -> bool:
    return isinstance(value, Labels) or (isinstance(value, np.ndarray) and value.dtype.kind in "OU")


def coded(value: Any) -> Labels:
    """An array of strings as `Labels`."""
    if isinstance(value, Labels):
        return value
    texts = [s.decode("utf-8") if isinstance(s, bytes) else str(s) for s in value.ravel()]
    names, codes = np.unique(np.array(texts, object), return_inverse=True)
    return Labels(codes.reshape(value.shape).astype(np.int64), names)


def of_classes(index: Any, ints: Sequence[int] | None, strings: Sequence[str] | None) -> Any:
    """The labels of classes by their numbers: of the attribute for whole numbers, or of that for strings."""
    if strings:
        return Labels(cast(index, "int64"), np.array(strings, object))
    return o.take(tensor(np.array(ints, np.int64)), index)


def compute(
    op: str, context: Context, given: Sequence[Any], attributes: dict[str, Any], run: Callable[..., Any]
) -> Any:
    """What an operator gives for strings. ``run`` computes it for numbers."""
    first = coded(given[0]) if is_text(given[0]) else None
    if first is not None and not any(map(is_text, given[1:])):
        if op in MOVE:
            return Labels(run(op, context, [first.codes, *given[1:]], attributes), first.names)
        if op == "Cast" and int(attributes["to"]) == NUMBERS["string"]:
            return first
        if op in KEYS:
            keys = next((attributes.pop(name) for name in KEYS[op] if name in attributes), ())
            names, own = np.unique(first.names, return_inverse=True)  # a name may be there twice
            first, places = Labels(o.take(tensor(own), first.codes), names), {name: n for n, name in enumerate(names)}
            codes = [places.get(s.decode("utf-8") if isinstance(s, bytes) else s, -1) for s in keys]
            return run(op, context, [first.codes], {**attributes, "codes": codes})
    raise refuse("it computes with strings. Write whole numbers in their place when the file is made")
