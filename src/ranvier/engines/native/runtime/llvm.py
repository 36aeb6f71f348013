"""LLVM, through llvmlite: targets, compiling text to objects, loading objects.

Everything that could make LLVM end the process (unverified code, symbols that do not exist, intrinsics of another
machine) is refused before LLVM sees it.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import re
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

from ranvier.engines.native.runtime.object_file import Symbols, symbols
from ranvier.engines.native.runtime.release_memory import release_pages
from ranvier.engines.native.target.target import CompilerError, Target, arch_of
from ranvier.support import exits, forks

# Cross targets: architecture, required features, vector registers, their bytes, fused multiply-add. The levels are
# those of the x86-64 psABI.
_V2 = ("sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "cx16")
_V3 = (*_V2, "avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe")
_V4 = (*_V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
_LEVELS: dict[str, tuple[str, tuple[str, ...], int, int, bool]] = {
    "x86-64-v2": ("x86_64", _V2, 16, 16, False),
    "x86-64-v3": ("x86_64", _V3, 16, 32, True),
    "x86-64-v4": ("x86_64", _V4, 32, 64, True),
    "aarch64": ("aarch64", (), 32, 16, True),
}
# LLVM prefers half-width vectors on some AVX-512 processors; our tiles assume the full width.
_FULL_WIDTH = {"x86_64": "-prefer-256-bit"}

# External functions that generated code may call. LLVM emits these calls for loops that copy or fill.
_EXTERNAL = frozenset({"memcpy", "memmove", "memset"})
_EXTERNAL_APPLE = _EXTERNAL | {"bzero", "__bzero", "memset_pattern4", "memset_pattern8", "memset_pattern16"}
# Intrinsics that LLVM turns into instructions on every target. Absent on purpose: exp, log, sin, pow (library calls)
# and fmuladd (fused on one machine and not on another, so its bits differ).
_INTRINSICS = (
    r"llvm\.(?:fma|fabs|sqrt|copysign|floor|ceil|trunc|rint|nearbyint|round|roundeven|is\.fpclass"
    r"|minnum|maxnum|minimum|maximum|minimumnum|maximumnum|smin|smax|umin|umax|abs|ctpop|ctlz|cttz|bswap|bitreverse"
    r"|fshl|fshr|[us](?:add|sub|shl)\.sat|[us](?:add|sub|mul)\.with\.overflow|fpto[us]i\.sat"
    r"|vector\.\w+|vector\.reduce\.\w+|masked\.\w+|stepvector|get\.active\.lane\.mask"
    r"|memcpy|memcpy\.inline|memmove|memset|memset\.inline|prefetch|readcyclecounter|lifetime\.\w+|assume|expect|ptrmask"
    r"|experimental\.noalias\.scope\.decl|(?P<arch>x86|aarch64)\..+)(?:\.[\w.]+)?"
)
_MACHINE = {"x86": "x86_64", "aarch64": "aarch64"}

# Passes before code generation, which itself eliminates common subexpressions, hoists loop invariants and selects
# addresses. Our code is tiled and vectorized already: LLVM's optimization levels take 20 times as long or more (80 to
# 240 ms for a program of 5,500 lines, beside 190), and the code is no faster or smaller.
_PASSES = ("always_inliner", "sroa", "simplify_cfg")
_LEVEL = 2  # of code generation
# Code that is compiled quickly has no passes before, and the lowest level: a third of the time, and the same bits. It
# is two to five times as slow.
_QUICK_LEVEL = 0

# Compiling takes tens of megabytes, mostly LLVM's own code. They are released after each large program and after the
# next loads: the thread pool and the shuffle.
_LIBRARY = "libllvmlite"
_LARGE = 1 << 15  # bytes of an object that takes a tenth of a second to compile
_LOADS = 3
_due = 0

# LLVM calls are serialized, and none runs while the process forks.
_lock = threading.RLock()
forks.guard(_lock)


@cache
def _binding() -> ModuleType:
    with _lock:
        import llvmlite.binding as llvm

        exits.at_end(llvm.common._at_shutdown)  # llvmlite is not told if it is imported while the interpreter ends
        forks.guard(llvm.ffi.lib._lock)  # of llvmlite, whose objects are freed without ours
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
    binding: ModuleType = llvm
    return binding


@cache
def _all_targets() -> None:
    llvm = _binding()
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


@cache
def _release_start() -> None:
    """Release the memory of LLVM's start, which touches half of its code."""
    release_pages(_LIBRARY)


@cache
def _externals() -> dict[str, int]:
    """The addresses of the external functions, without a search through the process's libraries."""
    functions = dict(memcpy=ctypes.memmove, memmove=ctypes.memmove, memset=ctypes.memset)
    return {name: ctypes.cast(f, ctypes.c_void_p).value or 0 for name, f in functions.items()}


@cache
def _host() -> tuple[str, str, dict[str, bool]]:
    """The triple, processor name and features of this machine."""
    llvm = _binding()
    try:
        features = dict(llvm.get_host_cpu_features())
    except RuntimeError:  # LLVM cannot ask this system; the triple's base features hold
        features = {}
    return llvm.get_process_triple(), llvm.get_host_cpu_name(), features


def target_names() -> tuple[str, ...]:
    """The names that ``resolve_target`` knows."""
    return ("host", *_LEVELS)


def resolve_target(name: str | None = None) -> Target:
    """The target called ``name``, otherwise the one that RANVIER_TARGET names, otherwise this machine's processor.

    Raises:
        ValueError: no target has that name.
    """
    name = name or os.environ.get("RANVIER_TARGET") or "host"
    if name not in target_names():
        raise ValueError(f"target {name!r} does not exist. Write one of {', '.join(map(repr, target_names()))}.")
    return _resolve(name)


@cache
def _resolve(name: str) -> Target:
    triple, cpu, present = _host()
    if name != "host":
        arch, _, registers, width, fma = _LEVELS[name]
        if arch != arch_of(triple):
            triple = f"{arch}-unknown-linux-gnu"
        cpu = "generic" if arch == "aarch64" else name
        return Target(name, triple, cpu, _FULL_WIDTH.get(arch, ""), registers, width, fma)
    arch = arch_of(triple)
    features = ["+" * on + "-" * (not on) + f for f, on in sorted(present.items()) if f != "prefer-256-bit"]
    features += [_FULL_WIDTH[arch]] if arch in _FULL_WIDTH else []
    registers, width, fma = 16, 16, False
    if arch == "aarch64":
        registers, fma = 32, True
    elif all(present.get(f) for f in ("avx512f", "avx512vl", "avx512dq", "avx512bw", "fma")):
        registers, width, fma = 32, 64, True
    elif present.get("avx2") and present.get("fma"):
        width, fma = 32, True
    return Target(name, triple, cpu, ",".join(features), registers, width, fma)


def check_runnable(target: Target) -> None:
    """Refuse a target whose code this machine cannot run.

    Raises:
        CompilerError: it is for another architecture, or uses features that this processor lacks.
    """
    triple, cpu, present = _host()
    hint = "Write RANVIER_TARGET=host instead, or only compile for it."
    if target.arch != arch_of(triple):
        raise CompilerError(f"target {target.name!r} is {target.arch}, and this machine is {arch_of(triple)}. {hint}")
    needs = _LEVELS[target.name][1] if target.name in _LEVELS else ()
    missing = [f for f in needs if not present.get(f)]
    if missing:
        raise CompilerError(f"target {target.name!r} needs {', '.join(missing)}, which {cpu} lacks. {hint}")


@contextmanager
def exclusive() -> Iterator[None]:
    """With LLVM's lock held."""
    with exits.finite.busy(), _lock:
        exits.finite.check()  # the interpreter may have begun to end meanwhile
        _binding()
        _release_start()
        yield


@contextmanager
def _compiled(
    ir: str, target: Target, outside: frozenset[str] = frozenset(), quick: bool = False
) -> Iterator[tuple[Any, Any]]:
    """The optimized module and the target machine. ``outside`` are names of other units that it may use."""
    if "asm" in ir and re.search(r'(?m)^[^;"\n]*\basm\b', ir):
        raise CompilerError("the module holds inline assembly, which cannot be checked. Write an intrinsic instead.")
    llvm = _binding()
    try:
        module = llvm.parse_assembly(ir, context=llvm.create_context())
        _check_declarations(module, target, outside)
        machine = _machine(target, _QUICK_LEVEL if quick else _LEVEL)
        module.triple = machine.triple
        module.data_layout = str(machine.target_data)
        module.verify()
        if not quick:
            _optimize(module, machine)
        yield module, machine
    except CompilerError:
        raise
    except RuntimeError as error:
        raise CompilerError(f"LLVM refused the module for {target.name}: {error}") from error


def _machine(target: Target, level: int = _LEVEL) -> Any:
    llvm = _binding()
    if target.arch != arch_of(llvm.get_process_triple()):
        _all_targets()
    # Small, position-independent code keeps constants as memory operands. It needs an object's sections close together,
    # as LLVM's own linker (`_linker`) lays them out; on Windows that linker is not finished.
    model = dict(reloc="default", codemodel="jitdefault") if os.name == "nt" else dict(reloc="pic", codemodel="small")
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=level, jit=True, **model
    )


def _check_declarations(module: Any, target: Target, outside: frozenset[str]) -> None:
    """LLVM would abort on a symbol that it can't find, or an intrinsic that it cannot select."""
    for function in module.functions:
        if not function.is_declaration or function.name in _EXTERNAL or function.name in outside:
            continue
        line = str(function).strip().rpartition("\n")[2]
        if not function.name.startswith("llvm."):
            raise CompilerError(f"a module may call nothing outside itself: {line}")
        match = re.fullmatch(_INTRINSICS, function.name)
        if not match:
            raise CompilerError(f"no instruction stands for this intrinsic on every target: {line}")
        if match["arch"] and _MACHINE[match["arch"]] != target.arch:
            raise CompilerError(f"target {target.name!r} is {target.arch}, which lacks this intrinsic: {line}")
    for variable in module.global_variables:
        if variable.is_declaration and variable.name not in outside:
            raise CompilerError(f"a module may refer to nothing outside itself: {str(variable).strip()}")


def _optimize(module: Any, machine: Any) -> None:
    llvm = _binding()
    manager = llvm.create_new_module_pass_manager()
    for name in _PASSES:
        getattr(manager, f"add_{name}_pass")()
    manager.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=1)))


def compile_object(ir: str, target: Target) -> bytes:
    """The object file of a module in LLVM's text form.

    Raises:
        CompilerError: the module does not parse or verify, or needs a symbol from outside itself.
    """
    with exclusive():
        return emit(ir, target)


def emit(ir: str, target: Target, outside: frozenset[str] = frozenset(), quick: bool = False) -> bytes:
    """The same within `exclusive`: several threads may do so at once, each with modules of its own.

    ``outside`` are functions and constants of other units that it may use. ``quick``: compile in a third of the time
    to code that is slower and gives the same bits.
    """
    with _compiled(ir, target, outside, quick) as (module, machine):
        data = _emit_unlocked(module, machine)
    _check_undefined(data, target, outside)
    return data


def _emit_unlocked(module: Any, machine: Any) -> bytes:
    """``machine.emit_object(module)`` without llvmlite's own lock, which makes threads wait for each other.

    LLVM needs no lock for modules of different contexts.
    """
    from llvmlite.binding import ffi

    def unlocked(name: str) -> Any:
        return getattr(ffi.lib, name)._cfn

    with ffi.OutputString() as error:
        buffer = unlocked("LLVMPY_TargetMachineEmitToMemory")(machine, module, 1, error)
        if not buffer:
            raise RuntimeError(str(error))
    try:
        return ctypes.string_at(ffi.lib.LLVMPY_GetBufferStart(buffer), ffi.lib.LLVMPY_GetBufferSize(buffer))
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


def assembly(ir: str, target: Target) -> str:
    """The target's assembly of a module, for people to read."""
    with exclusive(), _compiled(ir, target) as (module, machine):
        return str(machine.emit_assembly(module))


def optimized_ir(ir: str, target: Target) -> str:
    """A module's text after the passes that ``compile_object`` runs."""
    with exclusive(), _compiled(ir, target) as (module, _):
        return str(module)


def _check_undefined(data: bytes, target: Target, outside: Collection[str] = ()) -> Symbols:
    found = symbols(data, target.arch)
    known = _EXTERNAL_APPLE if "-apple-" in target.triple else _EXTERNAL
    unknown = sorted(found.needed - known - {"_GLOBAL_OFFSET_TABLE_"} - set(outside))
    if unknown:
        raise CompilerError(
            f"code for {target.name!r} calls {', '.join(unknown)}: some operation has no instruction there. "
            "Write it out in simpler ones instead."
        )
    return found


class Library:
    """A loaded object. Its addresses are valid while it is alive: keep it together with an address."""

    def __init__(self, linked: Any, names: frozenset[str]) -> None:
        self._linked = linked
        self.names = names

    def address(self, name: str) -> int:
        """The address of a function or variable.

        Raises:
            CompilerError: the object defines no such symbol.
        """
        if name not in self.names:
            raise CompilerError(f"the object has no symbol {name!r}; it has {', '.join(sorted(self.names)) or 'none'}")
        return int(self._linked[name])

    def function(self, name: str, result: Any, *types: Any) -> Any:
        """A function as one of ctypes, which runs without Python's lock. It keeps the library alive."""
        made: Any = ctypes.CFUNCTYPE(result, *types)(self.address(name))
        made.keep = self
        return made


@cache
def _linker() -> Any:
    """LLVM's in-process linker. It places an object's sections close together, as small code needs."""
    llvm = _binding()
    machine = _machine(resolve_target("host"))
    return llvm.create_lljit_compiler(machine, use_jit_link=os.name != "nt", suppress_errors=True)


_count = itertools.count()


def load_object(data: bytes, target: Target) -> Library:
    """Load an object's code into this process.

    Raises:
        CompilerError: this machine cannot run it, it is no object file, or it needs symbols from outside.
    """
    return load_objects([data], target)


def load_objects(objects: Sequence[bytes], target: Target) -> Library:
    """Load the code of a program's objects, which may call each other."""
    check_runnable(target)
    found = [symbols(data, target.arch) for data in objects]
    defined = {name for own in found for name in (*own.exported, *own.hidden)}
    names = {name for data in objects for name in _check_undefined(data, target, defined).exported}
    llvm = _binding()
    with exits.finite.busy(), _lock:
        try:
            builder = llvm.JITLibraryBuilder()
            for data in objects:
                builder.add_object_img(data)
            for name in names:
                builder.export_symbol(name)
            for name, address in _externals().items():
                builder.import_symbol(name, address)
            linked = builder.link(_linker(), f"object{next(_count)}")
        except RuntimeError as error:
            raise CompilerError(f"LLVM could not load the object: {error}") from error
        _loaded(sum(map(len, objects)))
    return Library(linked, frozenset(names))


def _loaded(size: int) -> None:
    """Release memory, if that is due, after an object of ``size`` bytes was loaded."""
    global _due
    if size >= _LARGE:
        _due = _LOADS
    if _due:
        _due -= 1
        release_pages(_LIBRARY)
