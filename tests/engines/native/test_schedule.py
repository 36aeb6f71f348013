"""Schedules of random elementwise graphs: what a task reads is computed before, and no tasks wait for each other."""

import random

import pytest

from ranvier.engines.native.compiler import lower, schedule_of
from ranvier.engines.native.schedule.schedule import Schedule
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import BATCH, apply

UNARY = ("neg", "tanh", "sigmoid", "abs", "relu", "sign", "floor", "sin", "exp")
BINARY = ("add", "sub", "mul", "maximum", "minimum")
SEEDS = 400


def broadcast(node, shape):
    """The node as a value of this shape; None if it cannot be one."""
    if node.shape == shape:
        return node
    if node.ndim == len(shape) == 2 and 1 in node.shape:
        axis = 0 if node.shape[1] == 1 else 1
        node = apply("reshape", node, shape=(node.shape[axis],))
        return apply("broadcast", node, shape=shape, axes=(axis,)) if node.shape[0] == shape[axis] else None
    axes = [axis for axis in range(len(shape)) if node.shape in ((), shape[axis : axis + 1])]
    return apply("broadcast", node, shape=shape, axes=tuple(axes[:1]) * node.ndim) if axes else None


def random_graph(seed):
    """Up to 100 operations on a matrix, its rows, columns and sums, with several outputs and updates."""
    draw = random.Random(seed)
    few, columns = draw.choice([2, 5, draw.randint(1, 70)]), draw.choice([4, 127, 129, draw.randint(1, 70)])
    rows = BATCH if seed % 3 == 0 else few
    shapes = [(rows, columns), (columns,), (rows, 1), ()]
    inputs = [input_node(f"x{i}", shapes[i and draw.randrange(4)], "float32") for i in range(draw.randint(2, 6))]
    nodes = list(inputs)
    for _ in range(draw.randint(30, 100)):
        x, y = (draw.choice(nodes[-draw.choice((5, 20, 100)) :]) for _ in range(2))
        kind = draw.random()
        if kind < 0.3:
            nodes.append(apply(draw.choice(UNARY), x))
        elif kind < 0.8:
            wide, narrow = (x, y) if x.ndim >= y.ndim else (y, x)
            spread = broadcast(narrow, wide.shape)
            nodes += [apply(draw.choice(BINARY), wide, spread)] if spread is not None else []
        elif kind < 0.85:
            spread = broadcast(x, shapes[0])
            nodes += [spread] if spread is not None else []
        elif x.ndim:
            axes = tuple(sorted(draw.sample(range(x.ndim), draw.randint(1, x.ndim))))
            nodes.append(apply(draw.choice(["reduce_sum", "reduce_max"]), x, axes=axes))
    computed = nodes[len(inputs) :]
    outputs = dict.fromkeys([*draw.sample(computed, min(5, len(computed))), *computed[-1:]])
    updates = []
    for target in inputs if seed % 2 else ():
        updates += [(target, draw.choice(same))] if (same := [n for n in computed if n.type == target.type]) else []
    return Graph(tuple(inputs), tuple(outputs), tuple(updates))


def test_what_a_task_reads_is_computed_before(monkeypatch):
    make, missing = Schedule._make_tasks, list[int]()

    def checked(self, *arguments):
        fusion, buffers = make(self, *arguments)
        for task in self.tasks:
            makers = {fusion.task_of[node].number for node in task.reads if node in fusion.task_of} - {task.number}
            missing.extend(maker for maker in makers if not fusion.waits.before(task.number, maker))
        return fusion, buffers

    monkeypatch.setattr(Schedule, "_make_tasks", checked)
    for seed in range(SEEDS):
        graph = random_graph(seed)
        try:
            schedule_of(lower(graph), seed % 70 + 1)
        except (AssertionError, KeyError) as error:
            pytest.fail(f"seed {seed}: {error!r}")
        assert not missing, seed


def test_a_small_window_over_a_broadcast_that_is_also_an_output():
    row, matrix = input_node("row", (129,), "float32"), (5, 129)
    value = apply("exp", row)
    total = apply("reduce_sum", apply("broadcast", value, shape=matrix, axes=(1,)), axes=(0,))
    outputs = [apply("broadcast", node, shape=matrix, axes=(1,)) for node in (value, total)]
    schedule = schedule_of(lower(Graph((row,), tuple(outputs))), 1)
    assert [task.phase for task in schedule.order] == sorted(task.phase for task in schedule.order)


def test_new_scalars_that_read_each_others_old_values():
    scalars, x = [input_node(name, (), "float32") for name in "ab"], input_node("x", (8, 24), "float32")
    updates = (scalars[0], apply("reduce_sum", x, axes=(0, 1))), (scalars[1], apply("mul", *scalars))
    assert schedule_of(lower(Graph((*scalars, x), (), updates)), 1).order
