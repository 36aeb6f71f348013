"""From a graph that went through the passes to LLVM text. Imported only where a program is not found in the cache."""

from __future__ import annotations

from ranvier.engines.native.codegen.assemble import assemble
from ranvier.engines.native.dump import dump
from ranvier.engines.native.passes import split_features, split_units
from ranvier.engines.native.passes.batch_variance import by_sample
from ranvier.engines.native.passes.clip_padding import leave_out
from ranvier.engines.native.passes.pack_weights import lay_out
from ranvier.engines.native.passes.rematerialize import compute_again
from ranvier.engines.native.passes.two_stage_sum import by_row
from ranvier.engines.native.passes.virtual_workers import samples_adjacent, share_out
from ranvier.engines.native.passes.winograd import transform
from ranvier.engines.native.runtime import llvm
from ranvier.engines.native.runtime.context import Text
from ranvier.engines.native.schedule.schedule import Schedule
from ranvier.graph.graph import Graph

__all__ = ["schedule_of", "text_of"]


def schedule_of(graph: Graph, batch: int) -> Schedule:
    """The tasks of a graph that went through the passes, and their order."""
    laid = by_row(by_sample(compute_again(lay_out(leave_out(transform(graph, batch))), batch)))
    # The first of these that finds something to do: its parts are what threads take.
    ways = (split_units.divide, share_out, split_features.divide)
    divided = next((made for way in ways if (made := way(laid, batch)) is not laid), laid)
    return Schedule(divided, batch, samples_adjacent(graph, batch))


def text_of(graph: Graph, batch: int, target: llvm.Target) -> Text:
    """The LLVM text of a graph that went through the passes."""
    schedule = schedule_of(graph, batch)
    dump("schedule", schedule.__str__)
    text = assemble(schedule, target)
    dump("llvm", lambda: text.text)
    dump("optimized", lambda: llvm.optimized_ir(text.text, target))
    dump("assembly", lambda: llvm.assembly(text.text, target))
    return text
