"""Targets, compiling and loading: what LLVM would end the process for is refused first (FAULT 44)."""

import ctypes
import gc
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from ranvier.engines.native.runtime import llvm
from ranvier.engines.native.runtime.llvm import (
    assembly,
    check_runnable,
    compile_object,
    load_object,
    optimized_ir,
    resolve_target,
    target_names,
)
from ranvier.engines.native.runtime.object_file import symbols
from ranvier.engines.native.runtime.release_memory import release_pages
from ranvier.engines.native.target.target import CompilerError, Target

APPLE = Target("apple", "arm64-apple-darwin", "generic", "", 32, 16, True)
FMA = "declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)\n"
AXPY = (
    FMA
    + """
define void @axpy(ptr %x, ptr %y) {
  %a = load <16 x float>, ptr %x, align 4
  %b = load <16 x float>, ptr %y, align 4
  %r = call <16 x float> @llvm.fma.v16f32(<16 x float> %a, <16 x float> %a, <16 x float> %b)
  store <16 x float> %r, ptr %y, align 4
  ret void
}
"""
)
# A call of memset, a constant table, and a variable.
WHOLE = """
@table = private constant [5 x float] [float 1.0, float 2.0, float 4.0, float 8.0, float 16.0]
@variable = global i64 7
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
define void @zero(ptr %p, i64 %n) {
  %bytes = mul i64 %n, 4
  call void @llvm.memset.p0.i64(ptr %p, i8 0, i64 %bytes, i1 false)
  ret void
}
define float @look(i64 %i) {
  %at = getelementptr float, ptr @table, i64 %i
  %v = load float, ptr %at
  ret float %v
}
"""
HOST = resolve_target("host")
native_x86 = HOST.arch == "x86_64"


def runnable(name: str) -> bool:
    try:
        check_runnable(resolve_target(name))
    except CompilerError:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "arch", "registers", "width", "fma"),
    [
        ("x86-64-v2", "x86_64", 16, 16, False),
        ("x86-64-v3", "x86_64", 16, 32, True),
        ("x86-64-v4", "x86_64", 32, 64, True),
        ("aarch64", "aarch64", 32, 16, True),
    ],
)
def test_a_target_says_what_the_processor_has(name, arch, registers, width, fma):
    target = resolve_target(name)
    facts = target.arch, target.vector_registers, target.vector_bytes, target.has_fma
    assert facts == (arch, registers, width, fma)
    assert target is resolve_target(name)


def test_the_host_is_the_default_and_can_run_itself(monkeypatch):
    monkeypatch.delenv("RANVIER_TARGET", raising=False)
    assert resolve_target() == HOST
    check_runnable(HOST)
    assert "+prefer-256-bit" not in HOST.features
    monkeypatch.setenv("RANVIER_TARGET", "aarch64")
    assert resolve_target().name == "aarch64"
    assert resolve_target("x86-64-v3").name == "x86-64-v3"


def test_an_unknown_target_names_the_known_ones(monkeypatch):
    monkeypatch.setenv("RANVIER_TARGET", "pentium")
    with pytest.raises(ValueError, match=r"'pentium' does not exist.*'host', 'x86-64-v2'.*'aarch64'"):
        resolve_target()


@pytest.mark.parametrize("name", [n for n in target_names() if runnable(n) and resolve_target(n).has_fma])
def test_code_for_every_target_gives_the_same_bits(name):
    target = resolve_target(name)
    library = load_object(compile_object(AXPY, target), target)
    x = np.linspace(0.1, 7, 16, dtype=np.float32)
    y = np.linspace(-3, 3, 16, dtype=np.float32)
    expected = (x.astype(np.float64) ** 2 + y).astype(np.float32)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(library.address("axpy"))(x.ctypes.data, y.ctypes.data)
    np.testing.assert_array_equal(y, expected)


def test_a_wide_target_uses_its_whole_vectors():
    assert "zmm" in assembly(AXPY, resolve_target("x86-64-v4"))
    assert "ymm" in assembly(AXPY, resolve_target("x86-64-v3"))
    assert "fmla" in assembly(AXPY, resolve_target("aarch64"))


@pytest.mark.parametrize("target", [HOST, resolve_target("aarch64"), APPLE], ids=lambda t: t.name)
def test_the_symbols_of_an_object_are_read(target):
    found = symbols(compile_object(WHOLE, target), target.arch)
    assert found.exported == {"zero", "look", "variable"}
    assert not found.hidden
    assert found.needed <= {"memset", "bzero"}
    assert len(found.needed) == 1


def test_a_loaded_object_calls_memset_and_holds_its_constants():
    library = load_object(compile_object(WHOLE, HOST), HOST)
    x = np.ones(100, np.float32)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(library.address("zero"))(x.ctypes.data, 90)
    assert x.sum() == 10
    assert ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_int64)(library.address("look"))(3) == 8
    assert ctypes.c_int64.from_address(library.address("variable")).value == 7
    with pytest.raises(CompilerError, match="no symbol 'absent'; it has look, variable, zero"):
        library.address("absent")


def test_loops_are_left_as_they_are():
    loop = """
define void @zero(ptr %p, i64 %n) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %at = getelementptr float, ptr %p, i64 %i
  store float 0.0, ptr %at
  %next = add nuw i64 %i, 1
  %more = icmp ult i64 %next, %n
  br i1 %more, label %loop, label %end
end:
  ret void
}
"""
    text = optimized_ir(loop, HOST)
    assert text.count("store float") == 1
    assert "x float>" not in text
    assert "memset" not in text


FUNCTION = "define float @f(float %x, i128 %n, i128 %m) {{\n{}\n}}\n"
REFUSED = [
    pytest.param("define void @f( {", "1:18: error: expected type", id="does not parse"),
    pytest.param(FUNCTION.format("  %y = fadd float %x, %z\n  ret float %y"), "undefined value '%z'", id="undefined value"),
    pytest.param("define i32 @f(i1 %c) {\ne:\n br i1 %c, label %a, label %b\na:\n %x = add i32 1, 2\n br label %b\nb:\n ret i32 %x\n}", "does not dominate all uses", id="does not verify"),
    pytest.param("declare float @sinf(float)\n" + FUNCTION.format("  %y = call float @sinf(float %x)\n  ret float %y"), "nothing outside itself: declare float @sinf", id="calls libm"),
    pytest.param("@x = external global i32\ndefine ptr @f() {\n  ret ptr @x\n}", "refer to nothing outside.*@x", id="external variable"),
    pytest.param("declare float @llvm.exp.f32(float)\n" + FUNCTION.format("  %y = call float @llvm.exp.f32(float %x)\n  ret float %y"), "no instruction stands for.*llvm.exp.f32", id="intrinsic that is a libm call"),
    pytest.param("declare float @llvm.fmuladd.f32(float, float, float)\n" + FUNCTION.format("  %y = call float @llvm.fmuladd.f32(float %x, float %x, float %x)\n  ret float %y"), "llvm.fmuladd", id="fused or not"),
    pytest.param(FUNCTION.format("  %y = frem float %x, 3.0\n  ret float %y"), "calls fmodf", id="operation that is a libm call"),
    pytest.param(FUNCTION.format("  %q = sdiv i128 %n, %m\n  %y = sitofp i128 %q to float\n  ret float %y"), "calls __", id="operation of the compiler's own library"),
    pytest.param("declare void @llvm.made.up()\ndefine void @f() {\n  call void @llvm.made.up()\n  ret void\n}", "llvm.made.up", id="intrinsic that does not exist"),
    pytest.param("declare void @llvm.x86.made.up()\ndefine void @f() {\n  call void @llvm.x86.made.up()\n  ret void\n}", "llvm.x86.made.up", id="machine intrinsic that does not exist"),
    pytest.param('define void @f() {\n  call void asm sideeffect "ud2", ""()\n  ret void\n}', "inline assembly", id="inline assembly"),
    pytest.param('module asm "nonsense"', "inline assembly", id="module assembly"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_44_what_llvm_would_end_the_process_for_is_an_error(text, words):
    with pytest.raises(CompilerError, match=words):
        compile_object(text, resolve_target("x86-64-v3"))


@pytest.mark.parametrize(
    ("intrinsic", "name"), [("llvm.x86.sse2.pause()", "aarch64"), ("llvm.aarch64.hint(i32 1)", "x86-64-v3")]
)
def test_44_another_machines_intrinsic_is_refused(intrinsic, name):
    text = f"declare void @{intrinsic.replace(' 1', '')}\ndefine void @f() {{\n  call void @{intrinsic}\n  ret void\n}}"
    with pytest.raises(CompilerError, match="lacks this intrinsic"):
        compile_object(text, resolve_target(name))


def test_a_missing_fused_operation_is_never_a_slow_library_call():
    compile_object(FMA + "define void @unused() {\n  ret void\n}", resolve_target("x86-64-v2"))
    with pytest.raises(CompilerError, match="fmaf"):
        compile_object(AXPY, resolve_target("x86-64-v2"))


@pytest.mark.parametrize(
    "data", [b"", b"\x7fELF", b"\x7fELF\x02\x01" + bytes(80), b"\xcf\xfa\xed\xfe" + b"\xff" * 40, b"MZ" * 90]
)
def test_44_bytes_that_are_no_object_are_refused(data):
    with pytest.raises(CompilerError, match=r"not an object file|damaged"):
        load_object(data, HOST)


def test_an_object_that_defines_nothing_is_refused():
    with pytest.raises(CompilerError, match="defines nothing"):
        compile_object("", HOST)


@pytest.mark.parametrize("cut", [100, 400, -1, -64])
def test_44_a_truncated_object_is_refused(cut):
    data = compile_object(WHOLE, HOST)
    with pytest.raises(CompilerError):
        load_object(data[:cut], HOST)


def test_another_machines_code_compiles_and_is_not_loaded(monkeypatch):
    foreign = resolve_target("aarch64" if native_x86 else "x86-64-v3")
    with pytest.raises(CompilerError, match=f"is {foreign.arch}, and this machine is"):
        load_object(compile_object(AXPY, foreign), foreign)


def test_features_that_a_processor_lacks_are_named(monkeypatch):
    present = dict.fromkeys(llvm._V4, True) | {"avx512f": False, "fma": False}
    monkeypatch.setattr(llvm, "_host", lambda: ("x86_64-pc-linux-gnu", "haswell", present))
    monkeypatch.setattr(llvm, "resolve_target", llvm._resolve.__wrapped__)
    with pytest.raises(CompilerError, match="'x86-64-v4' needs fma, avx512f, which"):
        check_runnable(llvm.resolve_target("x86-64-v4"))


@pytest.mark.parametrize(
    ("features", "registers", "width", "fma"),
    [
        ({"avx2": True, "fma": True}, 16, 32, True),
        ({"avx2": True, "fma": False}, 16, 16, False),
        (dict.fromkeys(llvm._V4, True) | {"prefer-256-bit": True}, 32, 64, True),
        ({}, 16, 16, False),
    ],
)
def test_the_hosts_vectors_are_read_from_its_features(features, registers, width, fma, monkeypatch):
    monkeypatch.setattr(llvm, "_host", lambda: ("x86_64-pc-linux-gnu", "haswell", features))
    target = llvm._resolve.__wrapped__("host")
    assert (target.vector_registers, target.vector_bytes, target.has_fma) == (registers, width, fma)
    assert target.features.split(",")[-1] == "-prefer-256-bit"
    assert "+prefer-256-bit" not in target.features


def test_libraries_are_independent_and_outlive_nobody():
    def constant(n: int) -> llvm.Library:
        return load_object(compile_object(f"define i64 @f() {{\n  ret i64 {n}\n}}", HOST), HOST)

    libraries = [constant(n) for n in range(8)]
    addresses = [lib.address("f") for lib in libraries]
    del libraries[::2]
    gc.collect()
    kept = [ctypes.CFUNCTYPE(ctypes.c_int64)(address)() for address in addresses[1::2]]
    assert kept == [1, 3, 5, 7]


def test_threads_compile_and_load_at_once():
    results = []

    def work(n: int) -> None:
        for k in range(5):
            text = f"define i64 @f() {{\n  ret i64 {n * k}\n}}"
            library = load_object(compile_object(text, HOST), HOST)
            results.append(ctypes.CFUNCTYPE(ctypes.c_int64)(library.address("f"))() == n * k)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 20


def test_llvm_is_imported_only_when_used():
    program = "import sys, ranvier.engines.native.runtime.llvm; print('llvmlite' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


TOUCH = """
import ranvier.engines.native.runtime.llvm as llvm
from ranvier.engines.native.runtime.release_memory import release_pages
from pathlib import Path

def resident():
    if not Path("/proc/self/smaps").exists():
        return 0
    rows = [line.split() for line in Path("/proc/self/smaps").read_text().splitlines()]
    inside, total = False, 0
    for row in rows:
        if "-" in row[0] and not row[0].endswith(":"):
            inside = row[-1].endswith("libllvmlite.so")
        elif inside and row[0] == "Rss:":
            total += int(row[1])
    return total  # kilobytes

target = llvm.resolve_target()
text = "define i64 @f(i64 %x) { %y = mul i64 %x, 3 ret i64 %y }"
data = llvm.compile_object(text, target)
library = llvm.load_object(data, target)
before = resident()
if large:
    llvm._LARGE = 0
    llvm.load_object(data, target)
else:
    release_pages("libllvmlite")
assert 4 * resident() <= before, (before, resident())
import ctypes
assert ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(library.address("f"))(4) == 12
assert llvm.compile_object(text, target) == data
"""


@pytest.mark.parametrize("large", [False, True])
def test_what_llvm_holds_is_given_back_and_comes_again(large):
    subprocess.run([sys.executable, "-c", f"large = {large}\n{TOUCH}"], check=True)


def test_nothing_is_given_back_of_what_is_no_library():
    release_pages("no such library")
