"""Every operation on every pair of dtypes: its dtype and its values are PyTorch's."""

import operator
import os
import warnings
from typing import Any, cast

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]

DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64")
FIRST = {"bool": [1, 0, 1, 0], "uint8": [7, 0, 250, 3], "float": [1.5, -2.25, 300.0, 0.75], "int": [7, -3, 100, 2]}
SECOND = {"bool": [1, 1, 0, 1], "uint8": [2, 5, 9, 200], "float": [0.5, 2.0, -3.0, 1.25], "int": [2, 5, -3, 1]}
NUMBERS = (True, 3, 1.5)

BINARY = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "truediv": operator.truediv,
    "floordiv": operator.floordiv,
    "mod": operator.mod,
    "pow": operator.pow,
    "lt": operator.lt,
    "le": operator.le,
    "eq": operator.eq,
    "maximum": lambda x, y, t: t.maximum(x, y),
    "minimum": lambda x, y, t: t.minimum(x, y),
    "fmod": lambda x, y, t: t.fmod(x, y),
    "trunc_divide": lambda x, y, t: t.div(x, y, rounding_mode="trunc"),
    "where": lambda x, y, t: t.where(t.tensor([True, False, True, False]), x, y),
    "logical_xor": lambda x, y, t: t.logical_xor(x, y),
}
UNARY = {
    "sum": lambda x, t: x.sum(),
    "sum_dim": lambda x, t: t.sum(x, 0),
    "prod": lambda x, t: x.prod(),
    "prod_bool": lambda x, t: t.prod(x, dtype=t.bool),
    "cumsum": lambda x, t: x.cumsum(0),
    "cumprod": lambda x, t: x.cumprod(0),
    "sum_float64": lambda x, t: x.sum(dtype=t.float64),
    "argmax": lambda x, t: x.argmax(),
    "argmin_dim": lambda x, t: t.argmin(x, 0),
    "max": lambda x, t: x.max(),
    "min_dim": lambda x, t: x.min(0),
    "any": lambda x, t: (x != 0).any(),
    "count_nonzero": lambda x, t: t.count_nonzero(x),
    "neg": lambda x, t: -x,
    "abs": lambda x, t: x.abs(),
    "sign": lambda x, t: x.sign(),
    "square": lambda x, t: x.square(),
    "exp": lambda x, t: (x / 300).exp(),
    "relu": lambda x, t: t.relu(x),
    "reciprocal": lambda x, t: t.reciprocal(x),
    "tril": lambda x, t: t.tril(x.reshape(2, 2)),
    "triu": lambda x, t: t.triu(x.reshape(2, 2), 1),
    "matmul": lambda x, t: x.reshape(2, 2) @ x.reshape(2, 2),
    "clamp": lambda x, t: x.clamp(1, 5),
    "masked_fill": lambda x, t: x.masked_fill(x > 1, 1),
    "floor": lambda x, t: t.floor(x),
    "softmax": lambda x, t: t.softmax(x / 300, 0),
    "softmax_float64": lambda x, t: t.softmax(x, 0, dtype=t.float64),
    "sort": lambda x, t: t.sort(x.unique())[0],
    "topk_places": lambda x, t: t.topk(x.unique(), 2)[1],
    "nonzero": lambda x, t: x.nonzero(),
    "mean": lambda x, t: x.mean(),
    "zeros_like": lambda x, t: t.zeros_like(x) + 1,
    "cat": lambda x, t: t.cat([x, x]),
    "bool": lambda x, t: x.bool(),
    "long": lambda x, t: x.long(),
    "half": lambda x, t: (x / 3).half(),
    "bfloat16": lambda x, t: (x / 3).bfloat16(),
}


@pytest.fixture(autouse=True)
def _by_the_reference_engine():
    import ranvier as rv

    rv.set_engine("reference")
    yield
    rv.set_engine(None)


def numbers_of(table, dtype):
    kind = dtype if dtype in table else "float" if "float" in dtype else "int"
    return table[kind]


def made(library, numbers, dtype):
    return library.tensor(numbers, dtype=getattr(library, dtype))


def plain(result):
    """The dtype of a result and its values in double precision; of several results a list."""
    if isinstance(result, tuple):
        return [plain(r) for r in result]
    return str(result.dtype).removeprefix("torch."), np.array(result.tolist(), np.float64)


def agree(expected, got, what):
    if isinstance(expected, list):
        for e, g in zip(expected, got, strict=True):
            agree(e, g, what)
        return
    (dtype, values), (own, numbers) = expected, got
    assert own == dtype, what
    rtol = {"float16": 2e-3, "bfloat16": 1.6e-2, "float32": 1e-5, "float64": 1e-12}.get(dtype, 0)
    np.testing.assert_allclose(numbers, values, rtol=rtol, atol=rtol / 100, err_msg=what)


def compare(run, arguments, what):
    """Both libraries' results agree, where PyTorch has one; returns whether it has."""
    import torch

    import ranvier.torch as ours

    def by(library):
        values = [made(library, *a) if isinstance(a, tuple) else a for a in arguments]
        return run(*values, library)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = plain(by(torch))
    except (RuntimeError, TypeError, NotImplementedError, IndexError):
        return False
    agree(expected, plain(by(ours)), what)
    return True


@pytest.mark.parametrize("name", BINARY)
def test_pairs_of_dtypes(name):
    function = cast("Any", BINARY[name])
    run = function if name in ("maximum", "minimum", "fmod", "trunc_divide", "where", "logical_xor") else None
    compared = 0
    for one in DTYPES:
        x = (numbers_of(FIRST, one), one)
        others = [(numbers_of(SECOND, two), two) for two in DTYPES]
        others += [(numbers_of(SECOND, two)[0], two) for two in DTYPES]  # 0-d
        others += NUMBERS
        for other in others:
            what = f"{name} of {one} and {other}"
            compared += compare(run or (lambda a, b, t: function(a, b)), (x, other), what)
    assert compared > 100


@pytest.mark.parametrize("name", UNARY)
def test_each_dtype(name):
    compared = [compare(UNARY[name], [(numbers_of(FIRST, d), d)], f"{name} of {d}") for d in DTYPES]
    assert sum(compared) > 1


MADE = (
    "t.tensor([1, 2])", "t.tensor(3)", "t.tensor([1.5])", "t.tensor([True])", "t.tensor([1, 2.5])", "t.arange(3)",
    "t.arange(0, 1, 0.25)", "t.arange(5, 0, -2, dtype=t.int16)", "t.full((2,), 3)", "t.full((2,), True)",
    "t.full((2,), 2.5)", "t.full((3000, 1000), 1000).sum()", "t.zeros(2, dtype=t.int8)", "t.ones(2, dtype=t.bfloat16)",
    "t.eye(2, dtype=t.int64)", "t.linspace(0, 10, 4, dtype=t.int32)", "t.linspace(-3.7, 5.2, 4, dtype=t.int64)",
    "t.logspace(0, 3, 4, dtype=t.int64)", "t.linspace(0, 1, 3, dtype=t.float16)", "t.tensor([2**40, 1]) * 2**20",
    "t.tensor([200], dtype=t.uint8) + 100", "t.tensor([100], dtype=t.int8) + 100", "t.tensor([300.0]).to(t.int32)",
    "t.tensor([2**40]) // 7", "t.tensor([2**62 + 1]) % 1000", "t.tensor([3]) ** t.tensor([35])",
    "t.tensor([[2**40, 1], [1, 1]]) @ t.tensor([[2**10, 1], [3, 4]])", "t.bincount(t.tensor([0, 1, 1]))",
    "t.bincount(t.tensor([0, 1, 1]), t.tensor([0.5, 0.25, 0.25]))", "t.ones(2) + t.tensor(1.0, dtype=t.float64)",
    "t.ones(2, dtype=t.int32) + t.tensor(1, dtype=t.int64)", "t.nn.functional.one_hot(t.tensor([0, 2]))",
    "t.nn.functional.avg_pool1d(t.tensor([[[-1, -2, 4, 5]]]), 2)", "t.nn.functional.relu6(t.tensor([-1, 9]))",
    "t.tril_indices(2, 2)", "t.triu_indices(2, 2)", "t.searchsorted(t.tensor([1, 3]), t.tensor([2]))",
    "t.randint(5, 6, (2,))", "t.randperm(1)", "t.diag_embed(t.tensor([True, False]))",
    "t.utils.data.default_collate([1.5, 2.5])", "t.utils.data.default_collate([1, 2])", "t.trace(t.tensor([[1, 2], [3, 4]]))",
    "t.tensor([1.0, 2.0]).half() * t.tensor([1.0, 2.0]).bfloat16()", "t.tensor([1.001]).bfloat16().float()",
    "t.nn.functional.hardtanh(t.tensor([-4, 1, 9]))", "t.nn.functional.linear(t.tensor([[1, 2]]), t.tensor([[3, 4]]))",
    "t.addmm(t.ones(1, 1, dtype=t.int64), t.tensor([[1, 2]]), t.tensor([[3], [4]]), beta=0.6, alpha=2.5)",
    "t.tensor([70000.0]).half()", "t.tensor([1.0, 3.0]).half().var()", "t.tensor([True, False]) + 1",
)  # fmt: skip


@pytest.mark.parametrize("expression", MADE)
def test_what_is_made(expression):
    assert compare(lambda t: eval(expression, {"t": t}), (), expression)


@pytest.mark.parametrize(
    "expression",
    [
        "t.tensor([1, 2]) // 0",
        "t.tensor([1, 2]) % t.tensor([1, 0])",
        "5 // t.tensor([0])",
        "t.tensor([1]).div(0, rounding_mode='trunc')",
        "t.nn.Linear(2, 2)(t.tensor([[1, 2]]))",
        "t.nn.functional.linear(t.ones(1, 2), t.ones(2, 2, dtype=t.float64))",
        "t.tensor([1.0]).bfloat16().numpy()",
        "t.tensor([1], requires_grad=True)",
    ],
)
def test_what_pytorch_refuses(expression):
    import torch

    import ranvier.torch as ours

    for library in (torch, ours):
        with pytest.raises((RuntimeError, TypeError)):
            eval(expression, {"t": library})
