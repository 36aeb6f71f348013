"""Derivatives of functions of one variable: one factor, whose values are those of the rules, and when there is none."""

import numpy as np
import pytest

from ranvier.engines.native.schedule.schedule import Schedule
from ranvier.engines.reference import compile as compiled
from ranvier.graph.contraction import einsum
from ranvier.graph.grad import joint_gradient
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import BATCH, apply, like
from ranvier.graph.simplify import simplify
from ranvier.ops.functional import activations

F = {name: getattr(activations, name) for name in ("gelu", "silu", "elu", "softplus", "tanh_shrink", "squareplus")}
F["tanh gelu"] = lambda x: activations.gelu(x, True)
F["relu"] = lambda x: apply("relu", x)
ONE_FACTOR = F.keys() - {"relu", "tanh_shrink"}


def of_seed(nodes, seed):
    """The nodes that depend on the gradient that arrives."""
    found = {seed}
    for node in nodes:
        if any(i in found for i in node.inputs):
            found.add(node)
    return found


@pytest.mark.parametrize("name", F)
def test_one_factor_and_its_values(name):
    x, seed = (input_node(label, (64,), "float64") for label in "xs")
    y = F[name](x)
    (slope,) = joint_gradient([y], [seed], [x])
    graph = simplify(Graph((x, seed), (slope,)))
    products = [n for n in of_seed(graph.nodes(), graph.inputs[1]) if n.op.name == "mul"]
    assert len(products) == 1 or name not in ONE_FACTOR
    rng = np.random.default_rng(0)
    at, factor, step = rng.normal(size=64) * 3, rng.normal(size=64), 1e-6
    ends = [np.empty(64) for _ in range(2)]
    for moved, end in zip((at + step, at - step), ends, strict=True):
        compiled(Graph((x,), (y,)), None).run([moved], [end])
    found = np.empty(64)
    compiled(Graph((x, seed), (slope,)), None).run([at, factor], [found])
    np.testing.assert_allclose(found, factor * (ends[0] - ends[1]) / (2 * step), rtol=1e-6, atol=1e-8)


def both(inner_is_read):
    """x, a function of it, and its sigmoid, which something else reads too if asked."""
    x = input_node("x", (8,), "float64")
    gate = apply("sigmoid", x)
    y = x * gate
    return x, gate, y + gate if inner_is_read else y


@pytest.mark.parametrize("wanted", [False, True])
@pytest.mark.parametrize("inner_is_read", [False, True])
@pytest.mark.parametrize("inner_is_output", [False, True])
def test_inner_values_keep_their_own_derivatives(wanted, inner_is_read, inner_is_output):
    x, gate, y = both(inner_is_read)
    outputs = [y, gate] if inner_is_output else [y]
    found = joint_gradient(outputs, [like(y, 2.0), like(y, 3.0)][: len(outputs)], [x, gate] if wanted else [x])
    at = np.linspace(-2, 2, 8)
    arrays = [np.empty(8) for _ in found]
    compiled(Graph((x,), tuple(found)), None).run([at], arrays)
    s = 1 / (1 + np.exp(-at))
    by_gate = 2 * (at + inner_is_read) + 3 * inner_is_output
    np.testing.assert_allclose(arrays[0], 2 * s + by_gate * s * (1 - s), rtol=1e-12)
    if wanted:
        np.testing.assert_allclose(arrays[1], by_gate, rtol=1e-12)


def test_a_product_stores_the_derivative_of_its_activation_alone():
    x, w, v = (input_node(n, s, "float32") for n, s in (("x", (BATCH, 64)), ("w", (64, 256)), ("v", (256, 64))))
    z = einsum("bo,oi->bi", F["gelu"](einsum("bi,io->bo", x, w)), v)
    slopes = joint_gradient([z], [z], [w, v])
    graph = simplify(Graph((x, w, v), (), tuple((n, n - s) for n, s in zip((w, v), slopes, strict=True))))
    (task,) = (t for t in Schedule(graph, 8).tasks if any(n.op.name == "erf" for n in t.members))
    assert task.kind == "contract"
    assert len(task.stores) == 2  # the activation, and its derivative; not the product, its erf and its exp
