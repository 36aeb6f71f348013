"""Optimizers: each rule against its paper's formula in float64, clipping, decay, state, and the explicit loop."""

import copy
import gc
import math
import weakref

import numpy as np
import pytest

import ranvier as rv
from ranvier import optimizers
from ranvier.engines import reference
from ranvier.graph import ops
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.maps import without_maps
from ranvier.graph.node import Node, apply
from ranvier.optimizers import explicit_step
from ranvier.tensor import trace
from ranvier.tensor.context import set_dtype
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor

assert ops.PRIMITIVES


@function
def product(p: Node, g: Node):
    """A loss whose gradient by ``p`` is ``g``."""
    return apply("reduce_sum", p * g, axes=tuple(range(p.ndim)))


@pytest.fixture
def float64():
    set_dtype("float64")
    yield
    set_dtype("float32")


def run(optimizer, start, gradients):
    """The parameter after each step, with the given gradients."""
    p = Tensor(start, requires_grad=True)
    optimizer.attach([p])
    path = []
    for g in gradients:
        optimizer.zero_grad()
        product(p, Tensor(g)).backward()
        optimizer.step()
        path.append(p.numpy())
    return np.array(path)


START = np.array([0.5, -1.0, 2.0])
GRADIENTS = np.random.default_rng(0).normal(size=(12, 3))
GRADIENTS[5:, 2] = 0.0


def sgd(p, g, s, t):
    return p - 0.01 * g


def momentum(p, g, s, t):
    s["m"] = 0.9 * s.get("m", 0) - 0.01 * g
    return p + s["m"]


def nesterov(p, g, s, t):
    s["m"] = 0.9 * s.get("m", 0) - 0.01 * g
    return p + 0.9 * s["m"] - 0.01 * g


def moments(g, s):
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0) + 0.001 * g * g


def adam(p, g, s, t):
    moments(g, s)
    return p - 0.001 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * s["m"] / (np.sqrt(s["v"]) + 1e-7)


def adam_torch(p, g, s, t):
    moments(g, s)
    return p - 0.001 * s["m"] / (1 - 0.9**t) / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-7)


def adamw(p, g, s, t):
    return adam(p * (1 - 0.001 * 0.004), g, s, t)


def adamax(p, g, s, t):
    moments(g, s)
    s["u"] = np.maximum(0.999 * s.get("u", 0), abs(g))
    return p - 0.001 / (1 - 0.9**t) * s["m"] / (s["u"] + 1e-7)


def rmsprop(p, g, s, t):
    s["v"] = 0.9 * s.get("v", 0) + 0.1 * g * g
    return p - 0.001 * g / np.sqrt(s["v"] + 1e-7)


def adagrad(p, g, s, t):
    s["a"] = s.get("a", 0.1) + g * g
    return p - 0.001 * g / np.sqrt(s["a"] + 1e-7)


def adadelta(p, g, s, t):
    s["v"] = 0.95 * s.get("v", 0) + 0.05 * g * g
    step = np.sqrt(s.get("d", 0) + 1e-7) / np.sqrt(s["v"] + 1e-7) * g
    s["d"] = 0.95 * s.get("d", 0) + 0.05 * step * step
    return p - 0.001 * step


def lion(p, g, s, t):
    m = s.get("m", np.zeros(3))
    s["m"] = 0.99 * m + 0.01 * g
    return p - 0.001 * np.sign(0.9 * m + 0.1 * g)


def sparse_adam(p, g, s, t):
    m, v = s.get("m", np.zeros(3)), s.get("v", np.zeros(3))
    new, used = adam(p, g, s, t), g != 0
    s["m"], s["v"] = np.where(used, s["m"], m), np.where(used, s["v"], v)
    return np.where(used, new, p)


RULES = [
    (optimizers.SGD(), sgd),
    (optimizers.SGD(momentum=0.9), momentum),
    (optimizers.SGD(momentum=0.9, nesterov=True), nesterov),
    (optimizers.Adam(), adam),
    (optimizers.Adam(formula="torch"), adam_torch),
    (optimizers.AdamW(), adamw),
    (optimizers.Adamax(), adamax),
    (optimizers.RMSprop(), rmsprop),
    (optimizers.Adagrad(), adagrad),
    (optimizers.Adadelta(), adadelta),
    (optimizers.Lion(), lion),
    (optimizers.SparseAdam(), sparse_adam),
]


@pytest.mark.parametrize(("optimizer", "formula"), RULES, ids=lambda x: getattr(x, "__name__", ""))
def test_the_rule_is_the_papers(optimizer, formula, float64):
    fresh = optimizers.get(optimizers.describe(optimizer))
    state: dict = {}
    p, expected = START, []
    for t, g in enumerate(GRADIENTS, 1):
        p = formula(p, g, state, t)
        expected.append(p)
    np.testing.assert_allclose(run(fresh, START, GRADIENTS), expected, rtol=1e-12)


LONG = np.array([3.0, 0.0, 4.0])
SETTINGS = [  # settings, what one step of plain descent subtracts from zeros for a gradient of (3, 0, 4)
    (optimizers.SGD(1.0, clipvalue=3.5), [3.0, 0.0, 3.5]),
    (optimizers.SGD(1.0, clipnorm=1.0), [0.6, 0.0, 0.8]),
    (optimizers.SGD(1.0, clipnorm=10.0), [3.0, 0.0, 4.0]),
    (optimizers.SGD(1.0, global_clipnorm=2.5), [1.5, 0.0, 2.0]),
    (optimizers.SGD(1.0, maximize=True), [-3.0, 0.0, -4.0]),
    (optimizers.SGD(1.0, momentum=0.5, dampening=0.5, formula="torch"), [3.0, 0.0, 4.0]),
]


@pytest.mark.parametrize(("optimizer", "expected"), SETTINGS, ids=repr)
def test_settings(optimizer, expected):
    np.testing.assert_allclose(-run(optimizer, np.zeros(3), [LONG])[0], expected, rtol=1e-6)


def test_built_as_keras_does_it_is_attached():
    p = Tensor([1.0], requires_grad=True)
    optimizer = optimizers.SGD(1.0, momentum=0.5)
    for _ in range(2):
        optimizer.build([p])
    assert (optimizer.parameters, len(optimizer.variables)) == ([p], 2)


class OfUnitNorm(optimizers.Adam):
    def rule(self, p, g, slots, lr, t):
        norm = apply("sqrt", apply("reduce_sum", g * g, axes=tuple(range(g.ndim))))
        return super().rule(p, g / apply("broadcast", norm, shape=g.shape, axes=()), slots, lr, t)


@pytest.mark.parametrize(("kind", "maps"), [(optimizers.Adam, 9), (OfUnitNorm, 0)])
def test_a_step_holds_an_elementwise_rule_once(kind, maps):
    rng, shapes = np.random.default_rng(0), [(3, 4), (3, 4), (5,)]
    arrays = [np.abs(rng.normal(size=shape)).astype(np.float32) for _ in range(4) for shape in shapes]
    nodes = [input_node(f"x{i}", a.shape, "float32") for i, a in enumerate(arrays)]
    rate, count = input_node("rate", (), "float32"), input_node("count", (), "uint32")
    slots = [{"momentum": m, "velocity": v} for m, v in zip(nodes[6:9], nodes[9:], strict=True)]
    new, after, _ = kind(0.1).update(nodes[:3], nodes[3:6], slots, rate, [count])
    graph = Graph((*nodes, rate, count), (*new, *(x for s in after for x in s.values())))
    assert len(graph.of("map")) == maps
    assert len({node.attrs["body"] for node in graph.of("map")}) == min(maps, 3)
    given = [*arrays, np.float32(0.1), np.uint32(3)]
    found, expected = (reference.evaluate(g, given, {})[0] for g in (graph, without_maps(graph)))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_global_norm_is_of_all_gradients_together():
    a, b = (Tensor(np.zeros(1), requires_grad=True) for _ in "ab")
    optimizer = optimizers.SGD(1.0, global_clipnorm=1.0).attach([a, b])
    product(a, Tensor([3.0])).backward()
    product(b, Tensor([4.0])).backward()
    optimizer.step()
    np.testing.assert_allclose([a.item(), b.item()], [-0.6, -0.8], rtol=1e-6)


@pytest.mark.parametrize(("coupled", "expected"), [(False, 2.0 - 0.1 * 0.5 * 2.0), (True, 2.0 - 0.1 * 0.5 * 2.0)])
def test_weight_decay_without_a_gradient_is_the_same_either_way(coupled, expected):
    optimizer = optimizers.SGD(0.1, weight_decay=0.5, coupled=coupled)
    assert run(optimizer, [2.0], [[0.0]])[0] == pytest.approx(expected)


def test_dead_inputs_leave_no_denormal_state():
    optimizer = optimizers.Adam()
    run(optimizer, [1.0], [[1e-3], *([[0.0]] * 700)])
    slots = {name: slot.item() for name, slot in optimizer.slots[0].items()}
    assert slots["momentum"] == 0.0
    assert slots["velocity"] > 1e-30


def test_a_new_learning_rate_compiles_nothing():
    p = Tensor(np.zeros(2), requires_grad=True)
    optimizer = optimizers.SGD(1.0).attach([p])

    def step():
        optimizer.zero_grad()
        product(p, Tensor([1.0, 1.0])).backward()
        optimizer.step()

    step()
    step()
    known = len(trace.programs)
    optimizer.learning_rate = 0.25
    step()
    assert len(trace.programs) == known
    np.testing.assert_array_equal(p.numpy(), [-2.25, -2.25])


def test_parameters_without_a_gradient_stay():
    a, b = (Tensor(np.ones(2), requires_grad=True) for _ in "ab")
    optimizer = optimizers.Adam().attach([a, b])
    product(a, Tensor([1.0, 1.0])).backward()
    optimizer.step()
    assert (a.numpy() < 1).all()
    assert (b.numpy() == 1).all()


def test_a_step_keeps_memory_order_of_weights():
    p = Tensor.wrap(np.asfortranarray(np.zeros((3, 2), np.float32)), requires_grad=True)
    g = np.arange(6, dtype=np.float32).reshape(3, 2)
    optimizer = optimizers.SGD(1.0, momentum=0.5).attach([p])
    product(p, Tensor(g)).backward()
    optimizer.step()
    assert p._value.flags.f_contiguous
    np.testing.assert_array_equal(p.numpy(), -g)


def test_state_goes_and_comes_back():
    whole = run(optimizers.NAdam(), START, GRADIENTS)
    first = optimizers.NAdam()
    half = run(first, START, GRADIENTS[:6])
    second = optimizers.NAdam()
    p = Tensor(half[-1], requires_grad=True)
    second.attach([p]).set_state(first.state())
    for g in GRADIENTS[6:]:
        second.zero_grad()
        product(p, Tensor(g)).backward()
        second.step()
    np.testing.assert_array_equal(p.numpy(), whole[-1])


class Own(optimizers.SGD):
    """As one writes a rule for Keras."""

    def update_step(self, gradient, variable, learning_rate):
        variable.assign_sub(gradient)


class Stepping(optimizers.SGD):
    def step(self):
        raise AssertionError


ERRORS = [
    (lambda: optimizers.get("adm"), ValueError, "Write 'adam' instead"),
    (lambda: optimizers.get(3), TypeError, "no optimizer"),
    (lambda: optimizers.SGD(-1.0), ValueError, "learning_rate=-1.0"),
    (lambda: optimizers.get({"class_name": "SGD", "config": {"learning_rate": len}}), TypeError, "this is a number"),
    (lambda: optimizers.Adam(beta_1=1.0), ValueError, r"in \[0, 1\)"),
    (lambda: optimizers.SGD(clipnorm=1.0, clipvalue=1.0), ValueError, "only one"),
    (lambda: optimizers.SGD(formula="jax"), ValueError, "'keras' or 'torch'"),
    (lambda: optimizers.Ftrl(learning_rate_power=0.5), ValueError, "a number of 0 or less"),
    (lambda: optimizers.SGD(ema_momentum=1.0), ValueError, r"in \[0, 1\)"),
    (lambda: optimizers.SGD(gradient_accumulation_steps=1), ValueError, "a whole number of 2 or more"),
    (lambda: optimizers.SGD(ema_overwrite_frequency=2.5), ValueError, "a whole number of 1 or more"),
    (lambda: optimizers.Adam(loss_scale_factor=2.0), ValueError, "loss_scale_factor=2.0.* Leave it out"),
    (lambda: optimizers.SGD().step(), RuntimeError, "attach"),
    (lambda: optimizers.Adam(0.001, 0.9, 0.999, None), TypeError, r"Adam\(epsilon=None\): this is a number"),
    (lambda: optimizers.Adam(beta_1=None), TypeError, r"Adam\(beta_1=None\): this is a number"),
    (lambda: optimizers.SGD(momentum=True), TypeError, r"SGD\(momentum=True\): this is a number"),
    (lambda: optimizers.Adam(amsgrad=None), TypeError, r"Adam\(amsgrad=None\): write True or False"),
    (lambda: optimizers.Adam(amsgrad="yes"), TypeError, r"Adam\(amsgrad='yes'\): write True or False"),
    (lambda: setattr(optimizers.Adam(), "beta_1", "x"), TypeError, r"Adam\(beta_1='x'\): this is a number"),
    (lambda: setattr(optimizers.Adam(), "lr", 1e-5), AttributeError, r"no setting 'lr'. Write optimizer.learning_rate = 1e-05"),
    (lambda: setattr(optimizers.SGD(clipnorm=1.0), "clipvalue", 1.0), ValueError, "clipnorm and clipvalue. Write only one"),
    (lambda: optimizers.SGD(decay=1e-6), TypeError, r"no argument 'decay'. Write learning_rate=rv.optimizers.schedules.InverseTimeDecay"),
    (lambda: optimizers.SGD().apply([None], [Tensor([1.0])]), ValueError, r"no gradient for any.*\[v.grad for v"),
    (lambda: optimizers.SGD().apply([[1.0]], []), ValueError, "1 gradients for 0 parameters"),
    (lambda: optimizers.SGD().attach([Tensor([1.0])]).apply([[1.0]], [Tensor([1.0])]), ValueError, "does not train"),
    (lambda: optimizers.SGD().apply([[1.0, 2.0]], [Tensor([1.0])]), ValueError, r"gradient of shape \(2,\) for a parameter of shape \(1,\)"),
    (lambda: Own().attach([Tensor([1.0])]), TypeError, r"Own has an update_step of its own.* Write rule\("),
    (lambda: run(optimizers.Optimizer(), [0.0], [[1.0]]), NotImplementedError, r"Optimizer has no rule. Write rule\("),
    (lambda: line(Stepping()), TypeError, "Stepping has a step of its own, which the compiled step would not call"),
    (lambda: line(optimizers.Adam(optimizers.schedules.WarmUp(0.01, 5))).optimizer.set_rate(1, "X"), TypeError, r"Write Adam\(0.01\), or leave X out"),
    (lambda: optimizers.SGD().attach([]), ValueError, "no parameters"),
    (lambda: optimizers.SGD().attach([Tensor([1.0])]).attach([Tensor([1.0])]), ValueError, "new optimizer"),
    (lambda: optimizers.Adam().attach([Tensor([1.0])]).set_state({"a": 1}), ValueError, "0.momentum is missing.*a is unknown"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "text"), ERRORS)
def test_errors(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_gradients_may_be_applied_as_in_keras():
    """With `apply`, also by `value.grad`, and with `apply_gradients`: as ``step`` does, for a part of the parameters too."""
    rng = np.random.default_rng(1)
    starts, other = rng.normal(size=(2, 3)), None
    for way in ("step", "apply", "numpy", "pairs"):
        a, b = variables = [rv.Variable(v) for v in starts]
        optimizer = optimizers.Adam(0.1)
        for _ in range(3):
            for v in variables:
                v.grad = None
            (product(a, b) + a.sum()).backward()
            grads = [v.value.grad for v in variables]
            if way == "step":
                optimizer.attach(variables).step()
            elif way == "pairs":
                optimizer.apply_gradients(zip(grads, variables, strict=True))
            else:
                optimizer.apply([g.numpy() for g in grads] if way == "numpy" else grads, variables)
            assert [v.grad is g for v, g in zip(variables, grads, strict=True)] == [True, True]
        now = np.array([v.numpy() for v in variables])
        other = now if other is None else other
        np.testing.assert_array_equal(now, other)
    optimizer.apply([np.ones(3)], [b])
    optimizer.apply([None, np.ones(3)])
    np.testing.assert_array_equal(a.numpy(), now[0])
    assert (b.numpy() != now[1]).all()
    assert optimizer.iterations.item() == 5


def test_programs_of_steps_keep_no_parameters_and_are_bounded(monkeypatch):
    monkeypatch.setattr(explicit_step, "_FUNCTIONS", {})
    monkeypatch.setattr(explicit_step, "FUNCTIONS", 3)
    seen = []
    for i in range(5):
        p = Tensor(np.ones(2), requires_grad=True)
        optimizer = optimizers.SGD(0.1, weight_decay=0.1 * (i + 1)).attach([p])
        optimizer.exclude_from_weight_decay([p])
        product(p, Tensor(np.ones(2))).backward()
        optimizer.step()
        seen.append(weakref.ref(p))
        del p, optimizer
    gc.collect()
    assert [r() for r in seen[:4]] == [None] * 4  # what is recorded next may be about the last
    assert len(explicit_step._FUNCTIONS) == 3


def test_describe_and_get_are_inverse():
    for kind in optimizers.REGISTRY.classes.values():
        made = optimizers.get(optimizers.describe(kind(0.125, clipnorm=2.0)))
        assert type(made) is kind
        assert (made.learning_rate, made.clipnorm) == (0.125, 2.0)


# --- what Keras's have besides ------------------------------------------------------------------------------------


def line(optimizer):
    model = rv.Sequential([rv.layers.Dense(1, input_shape=(2,), kernel_initializer="zeros")])
    model.compile(optimizer, "mse")
    return model


LINE = np.arange(16.0).reshape(8, 2) / 16
FIT = {"verbose": 0, "shuffle": False, "ignore": "RV"}


def test_a_learning_rate_can_be_assigned_to_and_read():
    optimizer = optimizers.SGD(0.5, name="mine")
    rate = optimizer.learning_rate
    rate.assign(0.25)
    assert (optimizer.learning_rate, rate.numpy(), rate.item(), optimizer.name) == (0.25, 0.25, 0.25, "mine")
    for twin in (copy.copy(optimizer), copy.deepcopy(optimizer), optimizer.fresh()):
        twin.learning_rate.assign(1.0)
        assert (twin.learning_rate, optimizer.learning_rate) == (1.0, 0.25)
    assert type(optimizer.current_rate()) is float
    assert repr(optimizer) == "SGD(learning_rate=0.25, name='mine')"
    assert repr(optimizers.Adam()) == "Adam(learning_rate=0.001)"
    seen = rv.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: model.optimizer.learning_rate.assign(0.5 / (1 + epoch))
    )
    model, other = line(optimizers.SGD(0.5)), line(optimizers.SGD(0.5))
    model.fit(LINE, LINE[:, :1], epochs=2, callbacks=[seen], **FIT)
    for rate in (0.5, 0.25):
        other.optimizer.learning_rate = rate
        other.fit(LINE, LINE[:, :1], **FIT)
    np.testing.assert_array_equal(model.get_weights()[0], other.get_weights()[0])


def test_gradients_of_some_batches_make_one_step():
    schedule = optimizers.schedules.ExponentialDecay(0.5, 1, 0.5)
    parts, whole = (line(optimizers.Adam(schedule, gradient_accumulation_steps=4)), line(optimizers.Adam(schedule)))
    parts.fit(LINE, LINE[:, :1], batch_size=2, epochs=3, **FIT)
    whole.fit(LINE, LINE[:, :1], batch_size=8, epochs=3, **FIT)
    np.testing.assert_allclose(parts.get_weights()[0], whole.get_weights()[0], rtol=1e-5)
    assert parts.optimizer.current_rate() == whole.optimizer.current_rate()
    before = parts.get_weights()[0]
    parts.fit(LINE[:6], LINE[:6, :1], batch_size=2, **FIT)  # no step yet
    np.testing.assert_array_equal(parts.get_weights()[0], before)


def test_the_average_of_weights_takes_their_place_at_the_end(tmp_path):
    seen = []
    watch = rv.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(model.get_weights()[0]))
    model = line(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    model.fit(LINE, LINE[:, :1], batch_size=2, epochs=2, callbacks=[watch], **FIT)
    average = seen[0]
    for weights in seen[1:]:
        average = (average + weights) / 2
    np.testing.assert_allclose(model.get_weights()[0], average, rtol=1e-5)
    model.save(tmp_path / "model")
    read = rv.load_model(tmp_path / "model")
    assert (read.optimizer.use_ema, len(read.optimizer.variables)) == (True, 3)
    for twin in (model, read):
        twin.fit(LINE, LINE[:, :1], **FIT)
    np.testing.assert_array_equal(model.get_weights()[0], read.get_weights()[0])
