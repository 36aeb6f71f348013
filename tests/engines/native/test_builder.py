"""The builder of functions: equal instructions are emitted once, where the first result is in scope."""

import ctypes

import pytest

from ranvier.engines.native.codegen.builder import Function
from ranvier.engines.native.runtime.llvm import compile_object, load_object, resolve_target

SUM = "add i64 %x, 1"


@pytest.fixture
def f():
    return Function("f", ["i64 %x", "ptr %p"], linkage="")


@pytest.mark.parametrize(
    ("text", "shared"),
    [
        (SUM, True),
        ("getelementptr inbounds i64, ptr %p, i64 3", True),
        ("call i64 @llvm.smin.i64(i64 %x, i64 4)", True),
        ("call <16 x float> @rv.exp.v16f32(<16 x float> %v)", True),
        ("load i64, ptr %p, align 8", False),  # it may hold another value by now
        ("alloca [4 x i64], align 64", False),
        ("phi i64 [ 0, %a ], [ %x, %b ]", False),
        ("call <16 x float> @llvm.masked.load.v16f32.p0(ptr %p, i32 4, <16 x i1> %m, <16 x float> %v)", False),
        ("call i64 @llvm.readcyclecounter()", False),
    ],
)
def test_what_follows_from_its_operands_is_written_once(f, text, shared):
    assert (f.op(text) == f.op(text)) == shared
    assert f.text().count(text) == (1 if shared else 2)


def test_a_value_is_at_hand_within_its_block_and_those_in_it(f):
    before = f.op(SUM)
    with f.loop(0, "%x"):
        assert f.op(SUM) == before
        inner = f.op("mul i64 %x, 3")
        with f.when(f.op("icmp sgt i64 %x, 5")):
            assert f.op("mul i64 %x, 3") == inner
            deepest = f.op("mul i64 %x, 5")
        assert f.op("mul i64 %x, 5") != deepest
    after = f.op("mul i64 %x, 3")
    assert after != inner
    assert f.op("mul i64 %x, 3") == after


def test_the_prologue_serves_all_and_uses_nothing_of_them(f):
    body = f.op(SUM)
    with f.at_entry():
        first = f.op(SUM)
        shared = f.op("mul i64 %x, 3")
    assert first != body
    with f.loop(0, "%x"):
        assert f.op("mul i64 %x, 3") == shared


def test_places_that_differ_by_a_number_share_all_but_one_instruction(f):
    places = [f.pointer("%p", f.mul(f.add("%x", row), 8), "i64") for row in (1, 2)]
    first, second = (next(line for line in f.lines if f"{place} =" in line) for place in places)
    assert f.text().count(" mul ") == 1
    assert first.rpartition(", ")[0].partition("=")[2] == second.rpartition(", ")[0].partition("=")[2]
    assert (first.rpartition(" ")[2], second.rpartition(" ")[2]) == ("8", "16")
    assert f.add(f.add("%x", 3), -3) == "%x"


def test_what_is_written_so_runs(f):
    """x * 3 in two branches and after them: the sum of 1 to x - 1, each three times, and what is added at the end."""
    with f.loop(1, "%x", carry=[("i64", "0")]) as turn:
        turn.next = [f.op(f"add i64 {turn.values[0]}, {f.op(f'mul i64 {turn.index}, 3')}")]
    with f.when(f.op("icmp sgt i64 %x, 100")):
        f.emit(f"store i64 {f.op('mul i64 %x, 3')}, ptr %p")
    with f.when(f.op("icmp sle i64 %x, 100")):
        total = f.op(f"add i64 {turn.results[0]}, {f.op('mul i64 %x, 3')}")
        f.emit(f"store i64 {total}, ptr %p")
    target = resolve_target()
    library = load_object(compile_object(f.text(), target), target)
    out = ctypes.c_int64()
    run = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)(library.address("f"))
    for x, expected in ((4, 3 * (1 + 2 + 3) + 12), (1, 3), (200, 600)):
        run(x, ctypes.addressof(out))
        assert out.value == expected
