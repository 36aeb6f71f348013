"""Operators of ``ai.onnx.ml`` that look categories up."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier import ops as o
from ranvier.interop.foreign import refuse
from ranvier.interop.onnx.labels import Labels
from ranvier.interop.onnx.table import row
from ranvier.interop.onnx.values import Context, cast, tensor
from ranvier.ops.functional.label_checks import in_range


def _places(x: Any, keys: Any) -> Any:
    """The place of each element among keys, the last of equal ones; the number of keys where it is none of them."""
    keys = np.asarray(keys)
    hit = o.equal(o.expand_dims(x, -1), tensor(keys))
    if keys.dtype.kind == "f":
        hit = o.logical_or(hit, o.logical_and(o.isnan(o.expand_dims(x, -1)), tensor(np.isnan(keys))))
    later = o.argmax(o.flip(cast(hit, "int32"), axis=-1), axis=-1)
    return o.where(o.any(hit, axis=-1), o.subtract(len(keys) - 1, later), len(keys))


@row("ai.onnx.ml.LabelEncoder")
def label_encoder(c: Context, x: Any, codes: Any = None, classes_strings: Any = None, **given: Any) -> Any:
    """``codes`` are the keys, as `labels.compute` gives them for strings."""
    kinds = {"floats": (np.float32, "default_float", -0.0), "int64s": (np.int64, "default_int64", -1)}
    if codes is None and classes_strings is not None:  # of version 1
        given = {"keys_int64s": range(len(classes_strings)), "values_strings": classes_strings, **given}
    elif codes is not None and not any(name.startswith("values_") for name in given):
        given = {"values_int64s": range(len(codes)), **given}
    keys = np.asarray(codes, np.int64) if codes is not None else None
    values = default = None
    for name, (dtype, unknown, otherwise) in kinds.items():
        if f"keys_{name}" in given:
            keys = np.asarray(given[f"keys_{name}"], dtype)
        if f"values_{name}" in given:
            values, default = np.asarray(given[f"values_{name}"], dtype), given.get(unknown, otherwise)
    if "keys_tensor" in given:
        keys = given["keys_tensor"]
    if "values_strings" in given:
        values, default = np.array(given["values_strings"], object), given.get("default_string", "_Unused")
    if "values_tensor" in given:
        values = given["values_tensor"]
        default = "_Unused" if values.dtype.kind == "O" else -1 if values.dtype.kind == "i" else -0.0
    if keys is None or values is None or len(keys) != len(values):
        raise refuse(
            "keys or values of it are missing. Write as many keys, of the element type of the input, as values"
        )
    if "default_tensor" in given:
        default = np.ravel(given["default_tensor"])[0]
    places = _places(cast(x, keys.dtype.name), keys)
    if values.dtype.kind == "O":
        texts = [s.decode("utf-8") if isinstance(s, bytes) else s for s in (*values, default)]
        return Labels(cast(places, "int64"), np.array(texts, object))
    return o.take(tensor(np.append(values, np.array(default, values.dtype)).astype(values.dtype)), places)


@row("ai.onnx.ml.CategoryMapper")
def category_mapper(
    c: Context, x: Any, cats_int64s: Any, cats_strings: Any = (), codes: Any = None, default_int64: int = -1,
    default_string: str = "_Unused",
) -> Any:  # fmt: skip
    if codes is not None:
        return label_encoder(c, x, codes, values_int64s=cats_int64s, default_int64=default_int64)
    return label_encoder(c, x, keys_int64s=cats_int64s, values_strings=cats_strings, default_string=default_string)


@row("ai.onnx.ml.OneHotEncoder")
def one_hot_encoder(
    c: Context, x: Any, cats_int64s: Any = (), cats_strings: Any = (), codes: Any = None, zeros: int = 1
) -> Any:
    keys = np.array(cats_int64s if codes is None else codes, np.int64)
    if not len(keys):
        raise refuse("its categories are strings, and its input is numbers. Write cats_int64s")
    places = _places(cast(x, "int64"), keys)
    if not zeros:
        places = in_range(places, "element", len(keys))
    return cast(o.equal(o.expand_dims(places, -1), tensor(np.arange(len(keys)))), "float32")
