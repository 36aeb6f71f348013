"""Prefetching of the next step's rows: when it is done, and that it changes no result."""

import numpy as np
import pytest

from ranvier.engines import native, reference
from ranvier.engines.native import compiler
from ranvier.engines.native.codegen import prefetch
from ranvier.engines.native.codegen.assemble import assemble
from ranvier.engines.native.compiler import schedule_of
from ranvier.engines.native.runtime import llvm
from ranvier.engines.native.runtime import threads as runtime
from ranvier.graph.node import BATCH
from tests.engines.native.test_programs import training_step


def chosen(sizes, batch):
    graph, _ = training_step(sizes)
    return prefetch.choose(schedule_of(compiler.lower(graph), batch))


def test_the_largest_gather_beside_the_largest_product():
    found = chosen((784, 64, 64, 10), 32)
    assert found.row == 784 * 4
    assert found.task.space == (BATCH, 784)
    assert found.product.space == (784, 64)
    assert found.task.parts == 8


@pytest.mark.parametrize(
    ("sizes", "batch"),
    [((20, 16, 10), 8), ((10, 46, 46, 10), 128), ((784, 64, 10), 2048)],  # small rows, samples shared out
)
def test_where_nothing_is_to_be_gained(sizes, batch):
    assert chosen(sizes, batch) is None


@pytest.mark.parametrize("name", ["aarch64", "x86-64-v2", "x86-64-v4"])
def test_every_target_has_such_a_call(name):
    graph, _ = training_step((784, 64, 10))
    target = llvm.resolve_target(name)
    text = assemble(schedule_of(compiler.lower(graph), 32), target).text
    assert text.count(prefetch.CALL) == 1
    assert llvm.compile_object(text, target)


@pytest.mark.parametrize("threads", [1, 2, 3, 9])
@pytest.mark.parametrize("sizes", [(784, 64, 10), (300, 256, 5)])  # by features, by rows
def test_steps_of_all_sizes(sizes, threads):
    """The last step has fewer rows, and there are none after it; indices out of range prefetch no row."""
    graph, arrays = training_step(sizes)
    given = arrays(77)
    given[2][[3, 40, 76]] = -5, 2**31 - 1, 77
    results = []
    for engine in (reference, native):
        own = [a.copy() for a in given]
        with runtime.threads_here(threads):
            engine.compile(graph, 32).run(own, [np.zeros((), np.float32)], 0, 3, 77)
        results.append(own)
    for expected, found in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=5e-4, atol=5e-5)
