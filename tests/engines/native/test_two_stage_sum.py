"""Sums of all elements of a large value: each thread sums up rows, and one thread the rows' sums."""

import numpy as np
import pytest

import ranvier as rv
from ranvier.engines import native, reference
from ranvier.engines.native import compiler
from ranvier.engines.native.compiler import schedule_of
from ranvier.engines.native.runtime import threads as runtime
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import BATCH, apply


def total(shape, op="reduce_sum"):
    w = input_node("w", shape, "float32")
    return Graph((w,), (apply(op, w * w, axes=tuple(range(len(shape)))),))


@pytest.mark.parametrize(
    ("shape", "tasks"),
    [
        ((784, 100), 2),
        ((64, 200), 2),  # rows longer than what is summed up in registers
        ((32, 3, 3, 32), 2),
        ((64, 100), 1),  # little
        ((8, 4000), 1),  # few rows
        ((9000,), 1),
    ],
)
@pytest.mark.parametrize("op", ["reduce_sum", "reduce_max"])
def test_in_two_stages(shape, tasks, op):
    graph = total(shape, op)
    schedule = schedule_of(compiler.lower(graph), 1)
    assert len(schedule.tasks) == tasks
    assert [task.division for task in schedule.order] == ["split", "serial"][-tasks:]
    w = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    found = []
    for threads in (1, 2, 3, 7):
        out = np.zeros((), np.float32)
        with runtime.threads_here(threads):
            native.compile(graph, 1).run([w], [out])
        found.append(out)
    assert len({value.tobytes() for value in found}) == 1
    expected = np.zeros((), np.float32)
    reference.compile(graph, 1).run([w], [expected])
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)


@pytest.mark.parametrize(
    "regularizer",
    [
        rv.regularizers.OrthogonalRegularizer(1e-2, "columns"),
        lambda w: ((w**2).sum(0) + 1e-6).sqrt().sum() * 1e-2,
        lambda w: ((w - w.T) ** 2).sum() * 1e-2,
        lambda w: ((w**2).sum(1) + 1e-6).sqrt().sum() * 1e-2,
    ],
)
def test_what_reads_weights_otherwise_waits_for_them(regularizer):
    """By columns, or transposed: the bits are those of one thread."""
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((400, 128)).astype(np.float32), rng.integers(0, 5, 400)
    x[rng.random(x.shape) < 0.8] = 0

    def trained(threads):
        rv.set_seed(0)
        with runtime.threads_here(threads):
            model = rv.Sequential([rv.layers.Dense(128, "relu", kernel_regularizer=regularizer), rv.layers.Dense(5)])
            model.compile("adam", rv.losses.SparseCategoricalCrossentropy(True))
            model.fit(x, y, batch_size=64, epochs=4, verbose=0, ignore="RV")
            return model.get_weights()

    expected = trained(1)
    for threads in (2, 2, 3, 7):
        for found, value in zip(trained(threads), expected, strict=True):
            np.testing.assert_array_equal(found, value)


def test_weights_are_summed_up_by_the_threads_that_have_them():
    regularizer = rv.regularizers.L2(1e-3)
    model = rv.Sequential(
        [rv.layers.Dense(100, "relu", kernel_regularizer=regularizer, input_shape=(400,)), rv.layers.Dense(1)]
    )
    model.compile("adam", "mse")
    rng = np.random.default_rng(0)
    model.fit(rng.standard_normal((64, 400)), rng.standard_normal(64), batch_size=64, verbose=0)
    (step,) = (s for key, s in model._compiled.programs.items() if key[0] == "train")
    tasks = schedule_of(compiler.lower(step.graph), 64).tasks
    assert {task.space: task.parts for task in tasks if task.parts} == {
        (BATCH, 400): 8,
        (8, BATCH, 100): 8,
        (400, 100): 8,
    }
