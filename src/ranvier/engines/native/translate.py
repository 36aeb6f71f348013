"""From a graph that went through the passes to LLVM text. Imported only where a program is not found in the cache."""

from __future__ import annotations

from ranvier.engines.native import features, llvm, units
from ranvier.engines.native.again import compute_again
from ranvier.engines.native.context import Text
from ranvier.engines.native.dumping import dump
from ranvier.engines.native.edges import leave_out
from ranvier.engines.native.layout import lay_out
from ranvier.engines.native.moments import by_sample
from ranvier.engines.native.program import assemble
from ranvier.engines.native.schedule import Schedule
from ranvier.engines.native.totals import by_row
from ranvier.engines.native.winograd import transform
from ranvier.engines.native.workers import samples_adjacent, share_out
from ranvier.graph.graph import Graph

__all__ = ["schedule_of", "text_of"]


def schedule_of(graph: Graph, batch: int) -> Schedule:
    """The tasks of a graph that went through the passes, and their order."""
    laid = by_row(by_sample(compute_again(lay_out(leave_out(transform(graph, batch))), batch)))
    # The first of these that finds something to do: its parts are what threads take.
    ways = (units.divide, share_out, features.divide)
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
