"""Our elementary functions: accuracy, special values, and the same bits on every target and in every width."""

import ctypes
import itertools
import math
from functools import cache
from typing import Any

import numpy as np
import pytest

from ranvier.engines.native.codegen.math import FUNCTIONS, intrinsic, library
from ranvier.engines.native.codegen.math.ssa import llvm_type, parse
from ranvier.engines.native.runtime.llvm import check_runnable, compile_object, load_object, resolve_target
from ranvier.engines.native.target.target import CompilerError
from ranvier.graph.random import threefry

FLOAT: dict[str, Any] = {"f32": np.float32, "f64": np.float64}
WORD: dict[str, Any] = {"f32": np.uint32, "f64": np.uint64}
SUFFIXES = ["v16f32", "f32", "v16f64", "f64"]
USES = [(name, suffix) for name in (*FUNCTIONS, "fma") for suffix in SUFFIXES]
COUNT = 1 << 18


def runnable():
    names = []
    for name in ("x86-64-v4", "x86-64-v3", "x86-64-v2", "aarch64"):
        try:
            check_runnable(resolve_target(name))
        except CompilerError:
            continue
        names.append(name)
    return names or ["host"]


TARGETS = runnable()


def loop(name, suffix):
    """A function that applies one of ours to arrays of three operands at most."""
    lanes, kind = parse(suffix)
    arity = 3 if name == "fma" else FUNCTIONS[name].arity
    vector, scalar, align = llvm_type(lanes, kind), llvm_type(0, kind), np.dtype(FLOAT[kind]).itemsize
    loads = "\n".join(
        f"  %p{i} = getelementptr {scalar}, ptr %a{i}, i64 %i\n  %v{i} = load {vector}, ptr %p{i}, align {align}"
        for i in range(arity)
    )
    return f"""define void @{name}.{suffix}(ptr %out, ptr %a0, ptr %a1, ptr %a2, i64 %n) {{
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
{loads}
  %r = call {vector} @rv.{name}.{suffix}({", ".join(f"{vector} %v{i}" for i in range(arity))})
  %p = getelementptr {scalar}, ptr %out, i64 %i
  store {vector} %r, ptr %p, align {align}
  %next = add i64 %i, {lanes or 1}
  %more = icmp ult i64 %next, %n
  br i1 %more, label %loop, label %end
end:
  ret void
}}"""


RANDOM = """define void @random(ptr %out, ptr %one, i32 %seed, i32 %stream, i64 %first) {
  %r = call <16 x i32> @rv.random_bits.v16(i32 %seed, i32 %stream, i64 %first)
  store <16 x i32> %r, ptr %out, align 4
  %s = call i32 @rv.random_bits.s(i32 %seed, i32 %stream, i64 %first)
  store i32 %s, ptr %one, align 4
  ret void
}"""


def module(uses, has_fma):
    definitions, declarations = library([*uses, ("random_bits", "v16"), ("random_bits", "s")], has_fma)
    return "\n".join([*sorted(declarations), definitions, RANDOM, *(loop(*use) for use in uses)])


@cache
def loaded(target_name):
    target = resolve_target(target_name)
    return load_object(compile_object(module(USES, target.has_fma), target), target)


def run(target, name, suffix, *operands):
    count = operands[0].size
    size = -(-count // 16) * 16
    with np.errstate(all="ignore"):
        padded = [np.resize(np.asarray(a).astype(FLOAT[suffix[-3:]]), size) for a in operands]
    out = np.empty_like(padded[0])
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4, ctypes.c_int64)(
        loaded(target).address(f"{name}.{suffix}")
    )
    function(out.ctypes.data, *([a.ctypes.data for a in padded] + [None] * 2)[:3], size)
    return out[:count]


def bits(array):
    """A float array's bits, with every NaN the same one."""
    return np.where(np.isnan(array), np.nan, array).astype(array.dtype).view(WORD[f"f{array.itemsize * 8}"])


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


ERF = np.vectorize(math.erf, otypes=[np.float64])
REFERENCE: dict[str, Any] = {"sigmoid": sigmoid, "erf": ERF}

# name, the range where it is neither 0, 1 nor infinite, bounds in ulp for float32 and float64 (float64's include
# the reference's own error)
ROWS = [
    ("exp", (-104, 89), 1.0, 2.0),
    ("expm1", (-20, 89), 1.6, 2.5),
    ("log", (0, 10), 1.0, 2.0),
    ("log1p", (-1, 10), 1.6, 2.0),
    ("tanh", (-10, 10), 1.8, 3.0),
    ("sigmoid", (-104, 20), 1.8, 3.5),
    ("erf", (-4, 4), 1.25, 2.0),
    ("sin", (-1e4, 1e4), 1.6, 2.0),
    ("cos", (-1e4, 1e4), 1.6, 2.0),
]
SPECIAL = np.array(
    [
        0.0,
        np.inf,
        np.nan,
        1,
        2,
        0.5,
        88.72,
        88.73,
        103.97,
        104,
        1e4,
        87.3,
        709.78,
        709.79,
        745.2,
        1e-45,
        1.1754944e-38,
        3.4e38,
    ]
)
SPECIAL = np.concatenate([SPECIAL, -SPECIAL])


def sweep(kind, low, high):
    """Evenly through all bit patterns, evenly over the range, near zero on a logarithmic scale, and special values."""
    rng = np.random.default_rng(12)
    patterns = np.linspace(0, 2.0 ** (32 if kind == "f32" else 64), COUNT, endpoint=False)
    patterns = patterns.astype(np.uint64).astype(WORD[kind]).view(FLOAT[kind])
    logarithmic = np.exp2(rng.uniform(-30, math.log2(high), COUNT)) * rng.choice([1, -1] if low < 0 else [1], COUNT)
    parts = [patterns, rng.uniform(low, high, COUNT), rng.uniform(max(low, -2), 2, COUNT), logarithmic, SPECIAL]
    with np.errstate(all="ignore"):
        return np.concatenate([p.astype(FLOAT[kind]) for p in parts])


def ulps(got, want):
    """Distance in units of the last place of the rounded reference; infinite where a special value is wrong."""
    with np.errstate(all="ignore"):
        rounded = want.astype(got.dtype)
        error = np.abs(got.astype(want.dtype) - want) / np.spacing(np.abs(rounded)).astype(want.dtype)
        alike = (got == rounded) | (np.isnan(got) & np.isnan(want))
        flipped = (got == 0) & (rounded == 0) & (np.signbit(got) != np.signbit(rounded))
        error = np.where(alike & ~np.isfinite(error), 0, error)  # infinities and NaN as they should be
        return np.where(flipped | np.isnan(error), np.inf, error)


@pytest.mark.parametrize(("name", "limits", "single", "double"), ROWS)
@pytest.mark.parametrize("suffix", ["v16f32", "v16f64"])
def test_accuracy(name, limits, single, double, suffix):
    x = sweep(suffix[-3:], *limits)
    x = x[:: 8 if suffix == "v16f64" else 1]
    if name in ("sin", "cos"):
        x = x[~(np.abs(x) > 1e6) | np.isinf(x)]
    got = run(TARGETS[0], name, suffix, x)
    with np.errstate(all="ignore"):
        want = (REFERENCE.get(name) or getattr(np, name))(x.astype(np.float64))
    error = ulps(got, want)
    worst = error.argmax()
    assert error[worst] <= (single if suffix == "v16f32" else double), (x[worst], got[worst], want[worst])


def power_operands(kind):
    rng = np.random.default_rng(7)
    x = np.concatenate([rng.uniform(0, 5, COUNT), np.exp(rng.uniform(-87, 88, COUNT))])
    y = np.concatenate([rng.uniform(-50, 50, COUNT), rng.uniform(-3, 3, COUNT)])
    integer = rng.random(x.size) < 0.2
    y = np.where(integer, np.rint(y), y)
    x = np.where(integer & (rng.random(x.size) < 0.5), -x, x)
    values = [0, 1, 2, 3, 0.5, 2.5, 1e-40, 1e30, 3e38, 2**24 + 2.0, np.inf, np.nan]
    pairs = np.array(list(itertools.product(values + [-v for v in values], repeat=2)))
    return [np.concatenate([a, b]).astype(FLOAT[kind]) for a, b in ((x, pairs[:, 0]), (y, pairs[:, 1]))]


@pytest.mark.parametrize(("suffix", "bound"), [("v16f32", 0.51), ("v16f64", 3.0)])
def test_power(suffix, bound):
    x, y = power_operands(suffix[-3:])
    got = run(TARGETS[0], "power", suffix, x, y)
    with np.errstate(all="ignore"):
        want = np.power(x.astype(np.float64), y.astype(np.float64))
    error = ulps(got, want)
    worst = error.argmax()
    assert error[worst] <= bound, (x[worst], y[worst], got[worst], want[worst])


@pytest.mark.parametrize("name", ["sin", "cos"])
@pytest.mark.parametrize("suffix", ["v16f32", "v16f64"])
def test_far_out_it_stays_bounded(name, suffix):
    x = np.exp2(np.linspace(17, 127 if suffix == "v16f32" else 1023, 10000))
    assert (np.abs(run(TARGETS[0], name, suffix, x)) <= 1).all()


def test_limits_are_exact():
    rows = {
        "exp": [(-np.inf, 0), (np.inf, np.inf), (0, 1)],
        "log": [(0, -np.inf), (-0.0, -np.inf), (1, 0), (np.inf, np.inf)],
        "log1p": [(-1, -np.inf), (0, 0)],
        "tanh": [(20, 1), (-20, -1), (np.inf, 1), (-np.inf, -1)],
        "sigmoid": [(1e4, 1), (-1e4, 0), (0, 0.5), (np.inf, 1), (-np.inf, 0)],
        "erf": [(6, 1), (-6, -1), (np.inf, 1)],
    }
    for (name, row), suffix in itertools.product(rows.items(), SUFFIXES):
        x, want = np.array(row).T
        assert np.array_equal(run(TARGETS[0], name, suffix, x), want), (name, suffix)


def some_of_everything(name, kind):
    if name == "power":
        return [a[::8] for a in power_operands(kind)]
    if name == "fma":
        return fused_operands(kind)
    limits = next(row[1] for row in ROWS if row[0] == name)
    return [sweep(kind, *limits)[::7]]


def fused_operands(kind):
    """Random bit patterns, sums that nearly cancel, ties, and (float32 only) the ends of the range."""
    rng = np.random.default_rng(3)
    dtype, precision = FLOAT[kind], np.finfo(FLOAT[kind]).nmant + 1
    span = 70 if kind == "f32" else 300
    x, y = (rng.choice([1, -1], COUNT) * np.exp2(rng.uniform(-span, span, COUNT)) for _ in range(2))
    coarse = rng.random(COUNT) < 0.3  # few bits, so that ties are common
    with np.errstate(all="ignore"):
        x = np.where(coarse, np.ldexp(np.rint(np.frexp(x)[0] * 64), 3), x).astype(dtype)
        y = y.astype(dtype)
        near = -(x * y) * (1 + rng.integers(-3, 4, COUNT) * 2.0 ** -rng.choice([precision - 1, precision, 13], COUNT))
        z = np.where(rng.random(COUNT) < 0.5, near, rng.permutation(near)).astype(dtype)
        if kind == "f64":
            return [x, y, z]
        patterns = [rng.integers(0, 1 << 32, COUNT).astype(np.uint32).view(dtype) for _ in range(3)]
        special = [0, 1, 1e-45, 1e-38, 2.0**-75, 3.4e38, np.inf, np.nan]
        grid = np.array(list(itertools.product(special + [-v for v in special], repeat=3)), dtype).T
        return [np.concatenate(parts) for parts in zip([x, y, z], patterns, grid, strict=True)]


@pytest.mark.parametrize("name", [*FUNCTIONS, "fma"])
def test_same_bits_on_every_target_and_in_every_width(name):
    for kind in ("f32", "f64"):
        operands = some_of_everything(name, kind)
        first = bits(run(TARGETS[0], name, f"v16{kind}", *operands))
        for target in TARGETS:
            for suffix in (f"v16{kind}", kind):
                differ = np.flatnonzero(bits(run(target, name, suffix, *operands)) != first)
                assert not differ.size, (target, suffix, [a[differ[0]] for a in operands])


def test_fused_multiply_add_rounds_once():
    """Against exact rational arithmetic, on every target; so also the emulation where the processor needs none."""
    from fractions import Fraction

    operands = [a[:400] for a in fused_operands("f64")]
    want = [
        float(Fraction(a) * Fraction(b) + Fraction(c))
        for a, b, c in zip(*map(np.ndarray.tolist, operands), strict=True)
    ]
    for target in TARGETS:
        assert np.array_equal(run(target, "fma", "v16f64", *operands), want)


@pytest.mark.parametrize("target", TARGETS)
def test_random_bits_are_the_reference_engines(target):
    function = ctypes.CFUNCTYPE(
        None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint64
    )(loaded(target).address("random"))
    for seed, stream, first in [(0, 0, 0), (1, 2, 3), (0xFFFFFFFF, 0x9E3779B9, (1 << 32) - 5), (5, 6, (1 << 64) - 16)]:
        out, one = np.empty(16, np.uint32), np.empty(1, np.uint32)
        function(out.ctypes.data, one.ctypes.data, seed, stream, first)
        want = threefry(seed, stream, np.uint64(first) + np.arange(16, dtype=np.uint64))
        assert np.array_equal(out, want)
        assert one[0] == want[0]


@pytest.mark.parametrize("target", ["x86-64-v2", "x86-64-v3", "x86-64-v4", "aarch64"])
def test_no_target_needs_the_c_library(target):
    # compile_object refuses objects with undefined symbols
    target = resolve_target(target)
    assert compile_object(module(USES, target.has_fma), target)


def test_library_writes_each_function_and_declaration_once():
    uses = [("exp", "v16f32"), ("exp", "v16f32"), ("erf", "v16f32"), ("fma", "v8f32")]
    definitions, declarations = library(uses, has_fma=True)
    heads = [line for line in definitions.splitlines() if line.startswith("define")]
    assert sorted(head.split("@")[1].split("(")[0] for head in heads) == [
        "rv.erf.v16f32", "rv.exp.v16f32", "rv.fma.v16f32", "rv.fma.v8f32",
    ]  # fmt: skip
    assert intrinsic("fma", "v8f32", 3) in declarations
    assert library(uses, has_fma=True) == library(reversed(uses), has_fma=True)
    assert "llvm.fma" not in "".join([library(uses, has_fma=False)[0], *library(uses, has_fma=False)[1]])


@pytest.mark.parametrize(("use", "error"), [(("exp", "v0f32"), ValueError), (("tan", "f32"), KeyError)])
def test_unknown_functions_and_types_are_refused(use, error):
    with pytest.raises(error):
        library([use], has_fma=True)
