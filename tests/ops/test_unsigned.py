"""Whole numbers without a sign: uint16 and uint64, as files and tables bring them, compute as NumPy's."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier import ops

DTYPES = ("uint16", "uint64")
OPERATIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "add": (lambda a, b: a + b, lambda a, b: a + b),
    "sub": (lambda a, b: a - b, lambda a, b: a - b),
    "mul": (lambda a, b: a * b, lambda a, b: a * b),
    "neg": (lambda a, b: -a, lambda a, b: b - b - a),
    "quotient": (lambda a, b: a // b, lambda a, b: a // b),
    "rest": (lambda a, b: a % b, lambda a, b: a % b),
    "less": (lambda a, b: a < b, lambda a, b: a < b),
    "equal": (lambda a, b: a == b, lambda a, b: a == b),
    "maximum": (ops.maximum, np.maximum),
    "minimum": (ops.minimum, np.minimum),
    "largest": (lambda a, b: ops.max(a), lambda a, b: a.max()),
    "sorted": (lambda a, b: ops.sort(a), lambda a, b: np.sort(a)),
    "sum": (lambda a, b: ops.sum(a), lambda a, b: a.sum(dtype="uint32" if a.dtype == "uint16" else "uint64")),
    "bits": (lambda a, b: a & b | ops.right_shift(a, 2), lambda a, b: a & b | a >> a.dtype.type(2)),
    "float32": (lambda a, b: ops.cast(a, "float32"), lambda a, b: a.astype("float32")),
    "int32": (lambda a, b: ops.cast(a, "int32"), lambda a, b: a.astype("int32")),
    "joined": (lambda a, b: ops.concatenate([a, b]), lambda a, b: np.concatenate([a, b])),
}


@pytest.mark.parametrize("engine", ["reference", "native"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_they_compute_as_numpy(dtype, engine):
    rv.set_engine(engine)
    most = np.iinfo(dtype).max
    a, b = np.array([0, 1, 5, most, most - 3, 7], dtype), np.array([3, 2, 5, 2, most, 1], dtype)
    x, y = rv.Tensor(a), rv.Tensor(b)
    assert x.dtype == dtype
    found = {name: ours(x, y) for name, (ours, _) in OPERATIONS.items()}
    with np.errstate(all="ignore"):
        for name, (_, theirs) in OPERATIONS.items():
            wanted = np.asarray(theirs(a, b))
            assert found[name].numpy().dtype == wanted.dtype, name
            np.testing.assert_array_equal(found[name].numpy(), wanted, name)
    floats = rv.Tensor(np.array([-1.0, 2.7, np.nan, 1e30, 0.99]))
    assert ops.cast(floats, dtype).numpy().tolist() == [0, 2, 0, most, 0]
    assert ops.take(rv.Tensor(np.arange(4.0)), rv.Tensor(np.array([1, 3], dtype))).tolist() == [1, 3]
    rv.set_engine("native")


def test_both_vocabularies_and_files_have_them(tmp_path):
    numbers = torch.tensor([1, 2], dtype=torch.uint64)
    assert (numbers.dtype, torch.from_numpy(np.ones(2, np.uint16)).dtype) == (torch.uint64, torch.uint16)
    assert ops.cast([1, 2], "uint16").dtype == "uint16"
    assert rv.backend.result_type("uint16", "int8") == "int32"
    assert rv.backend.result_type("uint64", "int8") == "float32"
    for name in ("a.pt", "a.safetensors"):
        torch.save({"a": numbers, "b": torch.tensor([65535], dtype=torch.uint16)}, tmp_path / name)
        found = torch.load(tmp_path / name)
        assert [(v.dtype, v.tolist()) for v in found.values()] == [("uint64", [1, 2]), ("uint16", [65535])]
    with pytest.raises(ValueError, match=r"Embedding\(4, ...\) was given"):
        rv.layers.Embedding(4, 2)(np.array([[2**32]], np.uint64))
