"""The compiler: a graph becomes machine code, by the passes in `PASSES`, a schedule, LLVM text and an object file.

    graph -> early passes -> in the cache? -> late passes -> schedule -> LLVM text -> object file, kept in the cache

RANVIER_DUMP names the stages to print, with commas between: ``graph``, a pass, ``schedule``, ``llvm`` (the text that
LLVM is given), ``optimized`` (after LLVM's own passes), ``assembly``, or ``all``. With RANVIER_VERIFY=1, as in the
tests, the graph is verified after every pass that changes it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from ranvier.engines.native.runtime import llvm
from ranvier.engines.native.runtime.context import Text
from ranvier.engines.native.runtime.object_cache import cache_key, default_cache
from ranvier.engines.native.runtime.program import Improvement, NativeProgram
from ranvier.engines.native.runtime.thread_tuning import Remembered
from ranvier.engines.native.runtime.threads import default_threads, get_threads
from ranvier.engines.native.target.target import Target
from ranvier.engines.reference import ReferenceProgram
from ranvier.graph.graph import Graph, verify
from ranvier.graph.loop_passes import unroll_checked, with_body
from ranvier.graph.node import Node
from ranvier.support.collector import paused_collector
from ranvier.support.exits import finite
from ranvier.support.rows import load

if TYPE_CHECKING:
    from ranvier.engines.native.codegen.assemble import Assembler
    from ranvier.engines.native.schedule.schedule import Schedule


class Pass(NamedTuple):
    """A row of `PASSES`.

    ``function`` is "module:attribute", imported when the pass first runs. An early pass takes a graph, a late one a
    graph and the batch size; each returns a graph that computes the same. ``bodies``: it also runs on the bodies of
    loops, whose inputs and results stay as they are.
    """

    name: str
    function: str
    late: bool = False
    bodies: bool = False

    def run(self, graph: Graph, batch: int) -> Graph:
        given, graph = graph, self._applied(graph, load(self.function), batch)
        # What no pass has changed is verified once.
        if (graph is not given or self is PASSES[0]) and os.environ.get("RANVIER_VERIFY"):
            from ranvier.engines.native.passes.primitives import INTERNAL

            verify(graph, INTERNAL)
        dump(self.name, graph.__str__)
        return graph

    def _applied(self, graph: Graph, function: Callable[..., Graph], batch: int) -> Graph:
        if self.bodies:

            def change(node: Node, old: Node) -> Node:
                return with_body(node, self._applied(node.attrs["body"], function, batch))

            graph = graph.changed(change, "scan")
        return function(graph, batch) if self.late else function(graph)


EARLY, LATE = False, True
BODIES = True
PASSES = (
    # Early passes run before the cache is asked: the graph that they give is part of a program's key.
    Pass("lift_checks", "ranvier.engines.native.passes.lift_checks:lift_checks"),
    Pass("simplify", "ranvier.graph.simplify:simplify"),
    Pass("clip_slices", "ranvier.graph.clip_slices:clip_slices", EARLY, BODIES),
    Pass("split_strided", "ranvier.engines.native.passes.split_strided:split_strided"),
    Pass("squeeze", "ranvier.engines.native.passes.squeeze:squeeze"),
    Pass("simplify_squeezed", "ranvier.graph.simplify:simplify"),
    # Late passes run for a program that the cache does not have.
    Pass("winograd", "ranvier.engines.native.passes.winograd:winograd", LATE, BODIES),
    Pass("patches", "ranvier.engines.native.passes.patches:patches", LATE, BODIES),
    Pass("clip_padding", "ranvier.engines.native.passes.clip_padding:clip_padding", LATE, BODIES),
    Pass("place_carries", "ranvier.engines.native.passes.loops:place_carries", LATE, BODIES),
    Pass("pack_constants", "ranvier.engines.native.passes.loops:pack_constants", LATE),
    Pass("pack_weights", "ranvier.engines.native.passes.pack_weights:pack_weights", LATE),
    Pass("rematerialize", "ranvier.engines.native.passes.rematerialize:rematerialize", LATE),
    Pass("read_placed", "ranvier.engines.native.passes.kept_parts:read_placed", LATE),
    Pass("copy_slices", "ranvier.engines.native.passes.kept_parts:copy_slices", LATE),
    Pass("batch_variance", "ranvier.engines.native.passes.batch_variance:batch_variance", LATE),
    Pass("two_stage_sum", "ranvier.engines.native.passes.two_stage_sum:two_stage_sum", LATE),
    Pass("wide_products", "ranvier.engines.native.passes.wide_products:wide_products", LATE, BODIES),
    Pass("sparse_updates", "ranvier.engines.native.passes.sparse_updates:sparse_updates", LATE),
    Pass("parallelize", "ranvier.engines.native.passes.parallelize:parallelize", LATE),
    Pass("project_in_steps", "ranvier.engines.native.passes.loops:project_in_steps", LATE),
)
"""Every pass, in the order in which they run."""
AFTER_CACHE = (*(each.name for each in PASSES if each.late), "schedule", "llvm", "optimized", "assembly")
STAGES = ("graph", *(each.name for each in PASSES if not each.late), *AFTER_CACHE, "all")


def asked(*stages: str) -> bool:
    """Whether RANVIER_DUMP names one of these stages. Raises ValueError if it names a stage that does not exist."""
    given = os.environ.get("RANVIER_DUMP", "")
    wanted = given.split(",") if given else []
    unknown = [stage for stage in wanted if stage not in STAGES]
    if unknown:
        raise ValueError(
            f"RANVIER_DUMP={given}: there is no stage {unknown[0]!r}. Write some of {', '.join(STAGES)}, with commas "
            "between, instead."
        )
    return "all" in wanted or any(stage in wanted for stage in stages)


def dump(stage: str, text: Callable[[], object]) -> None:
    """Print a stage if RANVIER_DUMP names it."""
    if asked(stage):
        sys.stderr.write(f"--- {stage} ---\n{text()}\n")


def lower(graph: Graph) -> Graph:
    """The graph after the early passes."""
    dump("graph", graph.__str__)
    return _after(graph, 0, EARLY)


def optimize(graph: Graph, batch: int) -> Graph:
    """A graph that `lower` gave after the late passes; ``batch`` is the most rows that a step sees."""
    return _after(graph, batch, LATE)


def _after(graph: Graph, batch: int, late: bool) -> Graph:
    given: dict[str, Graph] = {}  # by function, the last graph that it gave: it would give the same again
    for each in PASSES:
        if each.late != late:
            continue
        if given.get(each.function) is graph:
            dump(each.name, graph.__str__)
        else:
            graph = given[each.function] = each.run(graph, batch)
    return graph


def schedule_of(graph: Graph, batch: int) -> Schedule:
    """The schedule of a graph that `lower` gave."""
    from ranvier.engines.native.passes.virtual_workers import samples_adjacent
    from ranvier.engines.native.schedule.schedule import Schedule

    return Schedule(optimize(graph, batch), batch, samples_adjacent(graph, batch))


def text_of(graph: Graph, batch: int, target: Target) -> Text:
    """The LLVM text of a graph that `lower` gave."""
    assembler = _assembler(graph, batch, target)
    for _ in assembler.units():
        pass
    return _dumped(assembler.program(), target)


def _assembler(graph: Graph, batch: int, target: Target) -> Assembler:
    # Imported here: to load a program from the cache takes less time than these imports.
    from ranvier.engines.native.codegen.assemble import Assembler

    schedule = schedule_of(graph, batch)
    dump("schedule", schedule.__str__)
    return Assembler(schedule, target)


def _dumped(text: Text, target: Target) -> Text:
    dump("llvm", lambda: text.text)
    dump("optimized", lambda: llvm.optimized_ir(text.text, target))
    dump("assembly", lambda: llvm.assembly(text.text, target))
    return text


@finite.busy()
def compile(graph: Graph, batch: int | None = None) -> NativeProgram | ReferenceProgram:
    """Compile a graph, or load it from the cache. ``batch`` is the most rows that a step sees.

    The reference engine runs programs over arrays without elements: they compute nothing.
    """
    graph = unroll_checked(graph)
    if any(0 in node.shape for node in graph.nodes()):
        return ReferenceProgram(graph, batch)
    target = llvm.resolve_target()
    llvm.check_runnable(target)
    with paused_collector():
        return _compile(graph, batch, target)


def _compile(graph: Graph, batch: int | None, target: Target) -> NativeProgram:
    lowered = lower(graph)
    rows = batch or 1
    key = cache_key(str(lowered), str(rows), target.triple, target.cpu, target.features)
    cache = default_cache()
    threads = Remembered(cache, cache_key(key, "threads", str(default_threads())))
    quick = _is_further_size(lowered, key)
    quick_key = cache_key(key, "quick")
    found = cache.get(key)
    if found is not None:
        quick = False
    elif (found := cache.get(quick_key)) is not None:
        quick = True
    after = QUICK_SECONDS
    if found is None:
        began = perf_counter()
        text, objects = _compiled(lowered, rows, target, quick)
        after = 2 * (perf_counter() - began)
        cache.put(quick_key if quick else key, _packed(text, objects))
    else:
        if asked(*AFTER_CACHE):
            text_of(lowered, rows, target)  # prints the stages
        text, objects = _unpacked(found)

    def better() -> tuple[Text, llvm.Library]:
        text, objects = _compiled(lowered, rows, target)
        cache.put(key, _packed(text, objects))
        return text, llvm.load_objects(objects, target)

    improvement = Improvement(better, after) if quick else None
    text = text._replace(text="")  # megabytes, for people to read
    return NativeProgram(graph, batch, text, llvm.load_objects(objects, target), threads, improvement)


_sizes: dict[int, set[str]] = {}  # the keys of programs, by a hash of what their sizes have in common
MOST_SIZES = 2  # of a program that are compiled with care at once
QUICK_TILE = 6  # vectors that tiles have registers for in quickly compiled code: short loops, and the same bits
QUICK_SECONDS = 0.2  # of running, after which a program that was compiled quickly is compiled with care


def _is_further_size(lowered: Graph, key: str) -> bool:
    """Whether the same operations have been compiled for several other sizes, as for a text that grows by a word in
    each call. Such programs mostly run once or twice: their code is compiled quickly, and again if they run for long.

    Other sizes of what a program trains make another network, which is trained for long.
    """
    trained = tuple([updated.shape for updated, _ in lowered.updates])
    known = _sizes.setdefault(hash((trained, *[node.op.name for node in lowered.nodes()])), set())
    known.add(key)
    return len(known) > MOST_SIZES


def _packed(text: Text, objects: Sequence[bytes]) -> bytes:
    """What the cache keeps of a program."""
    head = dict(
        symbols=text.symbols, scratch=text.scratch, private=text.private, work=text.work, sizes=[*map(len, objects)]
    )
    return b"".join([json.dumps(head).encode(), b"\n", *objects])


def _unpacked(found: bytes) -> tuple[Text, list[bytes]]:
    line, _, data = found.partition(b"\n")
    facts = json.loads(line)
    ends = accumulate(facts["sizes"], initial=0)
    objects = [data[start:end] for start, end in pairwise(ends)]
    return Text("", tuple(facts["symbols"]), facts["scratch"], facts["private"], facts["work"]), objects


def _compiled(lowered: Graph, rows: int, target: Target, quick: bool = False) -> tuple[Text, list[bytes]]:
    """The text and the objects of a graph that `lower` gave."""
    from ranvier.engines.native.runtime import thread_pool
    from ranvier.engines.native.runtime.units import Unit, compile_units
    from ranvier.engines.native.schedule.loop_nest import registers

    tiled = target
    if quick:
        fewer = min(target.vector_registers, QUICK_TILE * registers(target, "float32"))
        tiled = target._replace(vector_registers=fewer)
    count, made = get_threads(), list["Assembler"]()
    pool = thread_pool.missing() if count > 1 and target == llvm.resolve_target("host") else None

    def units() -> Iterator[Unit]:
        if pool is not None:  # the program will run on it; another thread has nothing else to compile yet
            yield Unit(pool[1])
        made.append(_assembler(lowered, rows, tiled))
        for unit in made[0].units():
            yield unit._replace(quick=quick)

    objects = compile_units(units(), target, count)
    if pool is not None:
        default_cache().put(pool[0], objects.pop(0))
    return _dumped(made[0].program(), target), objects
