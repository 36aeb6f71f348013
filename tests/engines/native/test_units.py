"""Programs in several units: compiled on several threads, linked into one library."""

import ctypes

import pytest

from ranvier.engines.native import compiler
from ranvier.engines.native.runtime import thread_pool
from ranvier.engines.native.runtime.llvm import load_objects, resolve_target
from ranvier.engines.native.runtime.units import Unit, compile_units
from ranvier.engines.native.target.target import CompilerError
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import apply

HOST = resolve_target("host")
COUNT = 5
CALLS = "\n".join(f"  %v{i + 1} = call i64 @add{i}(i64 %v{i})" for i in range(COUNT))
HEADS = "\n".join(f"declare hidden i64 @add{i}(i64)" for i in range(COUNT))
ENTRY = Unit(
    f"{HEADS}\ndefine i64 @entry(i64 %v0) {{\n{CALLS}\n  ret i64 %v{COUNT}\n}}\n",
    frozenset(f"add{i}" for i in range(COUNT)),
)


def part(number, word="add"):
    text = f"define hidden i64 @add{number}(i64 %x) noinline {{\n  %r = {word} i64 %x, {10**number}\n  ret i64 %r\n}}\n"
    return Unit(text)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_units_call_each_other_however_many_threads_compile_them(threads):
    objects = compile_units((*map(part, range(COUNT)), ENTRY), HOST, threads)
    assert len(objects) == COUNT + 1
    library = load_objects(objects, HOST)
    assert library.names == {"entry"}
    assert library.function("entry", ctypes.c_int64, ctypes.c_int64)(0) == 11111


def test_units_read_constants_of_each_other():
    """A deep program has several units of calls, and its constants are in one of them."""
    data = Unit('@c.1 = unnamed_addr constant [8 x i8] c"\\07\\00\\00\\00\\00\\00\\00\\00", align 64\n')
    read = "define i64 @entry() {\n  %v = load i64, ptr @c.1, align 8\n  ret i64 %v\n}\n"
    reader = Unit(f"@c.1 = external unnamed_addr constant [8 x i8], align 64\n{read}", frozenset(["c.1"]))
    library = load_objects(compile_units((data, reader), HOST, 1), HOST)
    assert library.function("entry", ctypes.c_int64)() == 7


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_a_unit_is_raised_and_so_is_one_of_those_who_write_them(threads):
    with pytest.raises(CompilerError, match="expected instruction opcode"):
        compile_units((part(0), part(1, "addd"), part(2)), HOST, threads)

    def units():
        yield part(0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        compile_units(units(), HOST, threads)


def test_a_unit_calls_only_what_it_declares_to_and_what_another_defines():
    with pytest.raises(CompilerError, match="nothing outside itself"):
        compile_units((ENTRY._replace(outside=frozenset()),), HOST, 1)
    with pytest.raises(CompilerError, match="add0, add1"):
        load_objects(compile_units((ENTRY,), HOST, 1), HOST)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_program_for_several_threads_brings_their_pool_into_the_cache(threads, tmp_path, monkeypatch):
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path))
    monkeypatch.setattr(compiler, "get_threads", lambda: threads)
    x = input_node("x", (3,), "float32")
    compiler.compile(Graph((x,), (apply("neg", x),)))
    assert (thread_pool.missing() is None) == (threads > 1)
