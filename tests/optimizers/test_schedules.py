"""Schedules: formulas by hand, in programs and as numbers, exact counts, files, and what is refused and how."""

import copy
import json
import math
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ranvier as rv
from ranvier import engines, optimizers
from ranvier.graph.graph import Graph, input_node
from ranvier.ops import arrays
from ranvier.optimizers import schedules as s
from ranvier.tensor import trace
from ranvier.tensor.tensor import Tensor
from tests.strategies import ENGINES

STEPS = (0, 1, 2, 7, 10, 11, 20, 29, 30, 31, 40, 69, 70, 99, 100, 101, 150, 1000)


def half_cosine(done):
    return 0.5 * (1 + math.cos(math.pi * done))


def restarts(t):
    start, length, height = 0, 10, 1.0
    while t >= start + length:
        start, length, height = start + length, length * 2, height * 0.5
    return 0.1 * (0.9 * height * half_cosine((t - start) / length) + 0.1)


def one_cycle(t):
    t = min(t, 99)
    if t <= 29:
        return 0.1 + (0.004 - 0.1) / 2 * (1 + math.cos(math.pi * t / 29))
    return 4e-7 + (0.1 - 4e-7) / 2 * (1 + math.cos(math.pi * (t - 29) / 70))


def triangle(t):
    t = min(t, 99)
    for begin, end, a, b in ((0, 24, 0.01, 0.1), (24, 48, 0.1, 0.01), (48, 99, 0.01, 0.001)):
        if t <= end:
            return a + (b - a) * (t - begin) / (end - begin)
    return 0.001


# schedule, the same by hand
ROWS = [
    (s.Constant(0.1), lambda t: 0.1),
    (s.ExponentialDecay(0.1, 30, 0.5), lambda t: 0.1 * 0.5 ** (t / 30)),
    (s.ExponentialDecay(0.1, 30, 0.5, staircase=True), lambda t: 0.1 * 0.5 ** (t // 30)),
    (s.ExponentialDecay(0.1, 99, 2.0), lambda t: 0.1 * 2 ** (t / 99)),
    (s.StepDecay(0.1, 10), lambda t: 0.1 * 0.1 ** (t // 10)),
    (s.InverseTimeDecay(0.1, 30, 0.5), lambda t: 0.1 / (1 + 0.5 * t / 30)),
    (s.InverseTimeDecay(0.1, 30, 0.5, staircase=True), lambda t: 0.1 / (1 + 0.5 * (t // 30))),
    (s.PiecewiseConstantDecay([10, 30], [1, 0.5, 0.1]), lambda t: 1 if t <= 10 else 0.5 if t <= 30 else 0.1),
    (s.PiecewiseConstantDecay([], [0.1]), lambda t: 0.1),
    (s.PolynomialDecay(0.1, 30), lambda t: 0.0999 * (1 - min(t, 30) / 30) + 0.0001),
    (s.PolynomialDecay(0.1, 30, 0.01, power=2.5), lambda t: 0.09 * (1 - min(t, 30) / 30) ** 2.5 + 0.01),
    (s.PolynomialDecay(0.1, 30, 0.01, cycle=True), lambda t: 0.09 * (1 - t / (30 * max(1, math.ceil(t / 30)))) + 0.01),
    (s.CosineDecay(0.1, 30), lambda t: 0.1 * half_cosine(min(t, 30) / 30)),
    (s.CosineDecay(0.1, 30, alpha=0.2), lambda t: 0.1 * (0.8 * half_cosine(min(t, 30) / 30) + 0.2)),
    (s.CosineDecay(0.01, 30, warmup_target=0.1, warmup_steps=10),
     lambda t: 0.01 + 0.09 * t / 10 if t < 10 else 0.1 * half_cosine(min(t - 10, 30) / 30)),
    (s.CosineDecay(0.01, 30, warmup_target=0.1), lambda t: 0.1 * half_cosine(min(t, 30) / 30)),
    (s.CosineDecayRestarts(0.1, 10, m_mul=0.5, alpha=0.1), restarts),
    (s.CosineDecayRestarts(0.1, 10, t_mul=1.0, m_mul=0.9), lambda t: 0.1 * 0.9 ** (t // 10) * half_cosine(t % 10 / 10)),
    (s.WarmUp(s.StepDecay(0.1, 30, 0.5), 20, start=0.05),
     lambda t: 0.05 + 0.05 * t / 20 if t < 20 else 0.1 * 0.5 ** ((t - 20) // 30)),
    (s.WarmUp(0.1, 20), lambda t: 0.1 * min(t, 20) / 20),
    (s.WarmUp(s.CosineDecay(0.1, 30), 2.5), lambda t: 0.1 * t / 2.5 if t < 2.5 else 0.1 * half_cosine(min(t - 2.5, 30) / 30)),
    (s.OneCycle(0.1, 100), one_cycle),
    (s.OneCycle(0.1, 100, 0.25, "linear", 10.0, 10.0, three_phase=True), triangle),
]  # fmt: skip
EXACT = [s.Constant(0.1), s.PiecewiseConstantDecay([10, 30], [1, 0.5, 0.1])]  # nothing is rounded but the table


def in_program(schedule, steps, engine, dtype="float32"):
    """What a compiled program has for the rate at each count of steps."""
    count = input_node("count", (), "uint32")
    program = engines.compile(Graph((count,), (schedule.node(count, dtype),)), engine=engine)
    rates = []
    for step in steps:
        result = np.zeros((), dtype)
        program.run([np.asarray(step, np.uint32)], [result])
        rates.append(result.item())
    return np.array(rates, dtype)


@pytest.mark.parametrize(("schedule", "formula"), ROWS, ids=[repr(row[0])[:60] for row in ROWS])
def test_the_rate_is_the_formulas(schedule, formula):
    expected = [formula(t) for t in STEPS]
    np.testing.assert_allclose(schedule(np.array(STEPS)), expected, rtol=1e-13)
    np.testing.assert_array_max_ulp(np.array([schedule(t) for t in STEPS]), schedule(np.array(STEPS)), 1)
    assert isinstance(schedule(3), float)
    for engine in ENGINES:
        np.testing.assert_allclose(in_program(schedule, STEPS, engine, "float64"), expected, rtol=1e-14, atol=1e-18)


MANY = [*range(250), *range(2**24 - 3, 2**24 + 4), 2**31, 2**32 - 1]


@pytest.mark.parametrize("schedule", EXACT, ids=repr)
def test_tables_have_the_same_bits_on_both_engines(schedule):
    np.testing.assert_array_equal(in_program(schedule, MANY, "native", "float64"), schedule(np.array(MANY)))


@pytest.mark.parametrize(("schedule", "formula"), ROWS, ids=[repr(row[0])[:60] for row in ROWS])
def test_engines_agree_to_the_last_places_of_doubles(schedule, formula):
    """The native one fuses multiplications with additions, the reference does not: 4 units, and then one rounding."""
    doubles = schedule(np.array(MANY))
    np.testing.assert_allclose(in_program(schedule, MANY, "native", "float64"), doubles, rtol=1e-15, atol=5e-17)
    np.testing.assert_array_max_ulp(in_program(schedule, MANY, "native"), doubles.astype(np.float32), 1)


LATE = [2**24, 2**24 + 1, 2**24 + 3, 2**31 - 1, 2**31, 2**32 - 1]


@pytest.mark.parametrize("engine", ENGINES)
def test_counts_beyond_what_float32_holds(engine):
    """In float32 the steps 2**24 and 2**24 + 1 are the same, and the fractions of these are all wrong."""
    for schedule, formula in [
        (s.PiecewiseConstantDecay([2**24], [0.1, 0.2]), lambda t: 0.1 if t <= 2**24 else 0.2),
        (s.CosineDecayRestarts(0.1, 1000, 1.0), lambda t: 0.1 * half_cosine(t % 1000 / 1000)),
        (s.StepDecay(0.1, 2**24 + 1, 0.5), lambda t: 0.1 * 0.5 ** (t // (2**24 + 1))),
        (s.InverseTimeDecay(0.1, 1, 1.0), lambda t: 0.1 / (1 + t)),
    ]:
        expected = np.array([formula(t) for t in LATE])
        np.testing.assert_allclose(in_program(schedule, LATE, engine, "float64"), expected, rtol=1e-10)
        np.testing.assert_array_equal(in_program(schedule, LATE, engine), expected.astype(np.float32))


RATE = st.floats(1e-6, 10.0)
SOME = st.floats(1.0, 1e6) | st.integers(1, 10**6)
SHARE = st.floats(0.0, 1.0)
RANDOM = st.one_of(
    st.builds(s.Constant, RATE),
    st.builds(s.ExponentialDecay, RATE, SOME, SHARE, st.booleans()),
    st.builds(s.StepDecay, RATE, SOME, SHARE),
    st.builds(s.InverseTimeDecay, RATE, SOME, SHARE, st.booleans()),
    st.builds(s.PolynomialDecay, RATE, SOME, RATE, st.floats(0.0, 4.0), st.booleans()),
    st.builds(s.CosineDecay, RATE, SOME, SHARE, warmup_target=st.none() | RATE, warmup_steps=st.just(0.0) | SOME),
    st.builds(s.CosineDecayRestarts, RATE, st.floats(10.0, 1e6), st.just(1.0) | st.floats(1.01, 10.0), SHARE, SHARE),
    st.builds(s.OneCycle, RATE, st.integers(100, 10**6), st.floats(0.1, 0.45), three_phase=st.booleans()),
    st.lists(SOME.map(float), max_size=40, unique=True).flatmap(
        lambda marks: st.builds(
            s.PiecewiseConstantDecay,
            st.just(sorted(marks)),
            st.lists(RATE, min_size=len(marks) + 1, max_size=len(marks) + 1),
        )
    ),
)
NESTED = st.recursive(RANDOM, lambda inner: st.builds(s.WarmUp, inner | RATE, SOME, RATE), max_leaves=3)


@settings(max_examples=40, deadline=None)
@given(NESTED, st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 2000), min_size=1, max_size=20))
def test_any_schedule_at_any_step(schedule, steps):
    """Finite, never below zero nor above its largest setting, alike on both engines, and the same after a file."""
    rates = schedule(np.array(steps))
    assert np.isfinite(rates).all()
    assert (rates >= 0).all()
    assert (rates <= 10.0 * (1 + 1e-12)).all()
    # A cosine has lost digits where its argument is the difference of large numbers.
    np.testing.assert_allclose(in_program(schedule, steps, "native", "float64"), rates, rtol=1e-6, atol=1e-8)
    assert s.get(json.loads(json.dumps(s.describe(schedule)))) == schedule
    assert eval(repr(schedule), dict(vars(s))) == schedule


@pytest.mark.parametrize("multiplier", [1.0, 1.5, 2.0, 3.0, 5.0, 10.0])
def test_restarts_come_at_exactly_their_step(multiplier):
    schedule = s.CosineDecayRestarts(1.0, 10, multiplier)
    start, length = 0.0, 10.0
    while start < 2**31:
        at = math.ceil(start)
        assert schedule(at) == pytest.approx(half_cosine((at - start) / length), rel=1e-9)
        assert schedule(at) > 0.9
        start, length = start + length, length * (multiplier if multiplier > 1 else 1e6)
        if multiplier == 1.0:
            start = math.ceil(start / 10) * 10


# --- in training ----------------------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(96, 5)).astype(np.float32), RNG.integers(0, 3, 96)


def network(optimizer, engine=None):
    rv.set_seed(3)
    model = rv.Sequential([rv.layers.Dense(8, activation="tanh", input_shape=(5,)), rv.layers.Dense(3)])
    loss = rv.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer, loss=loss, engine=engine)
    return model


def fitted(optimizer, epochs=3, **options):
    model = network(optimizer, **options)
    model.fit(X, Y, epochs=epochs, batch_size=16, verbose=0)
    return model


def same_weights(a, b):
    return all(np.array_equal(u, v) for u, v in zip(a.get_weights(), b.get_weights(), strict=True))


def test_a_constant_schedule_is_a_number():
    assert same_weights(fitted(optimizers.Adam(0.01)), fitted(optimizers.Adam(s.Constant(0.01))))


def test_a_schedule_in_fit_is_what_setting_the_rate_by_hand_is():
    by_hand = network(optimizers.SGD(1.0, momentum=0.9, weight_decay=0.01))
    schedule = s.WarmUp(s.CosineDecay(0.5, 12), 4)
    for epoch in range(3):
        for batch in range(6):
            rows = slice(16 * batch, 16 * batch + 16)
            by_hand._compiled.optimizer.learning_rate = schedule(6 * epoch + batch)
            by_hand.train_on_batch(X[rows], Y[rows])
    model = network(optimizers.SGD(schedule, momentum=0.9, weight_decay=0.01))
    model.fit(X, Y, epochs=3, batch_size=16, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert model._compiled.optimizer.current_rate() == schedule(18)


def test_the_rate_at_the_end_of_an_epoch():
    schedule, seen = s.CosineDecay(0.1, 600), []
    model = network(optimizers.SGD(schedule))
    note = rv.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(model.optimizer.current_rate()))
    history = model.fit(X, Y, epochs=60, batch_size=16, verbose=0, callbacks=[note])
    assert seen == [schedule(6 * (epoch + 1)) for epoch in range(60)]
    assert "learning_rate" not in history.history


def test_both_engines_train_alike():
    schedule = s.CosineDecayRestarts(0.1, 4, m_mul=0.8)
    native, reference = fitted(optimizers.SGD(schedule)), fitted(optimizers.SGD(schedule), engine="reference")
    for a, b in zip(native.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_number_and_a_schedule_take_turns():
    model = network(optimizers.SGD(0.1))
    optimizer, programs = model._compiled.optimizer, model._compiled.programs
    for rate, number in [
        (0.1, 1),
        (0.2, 1),
        (s.StepDecay(0.1, 5), 2),
        (s.StepDecay(0.1, 5), 2),
        (0.3, 2),
        (s.Constant(0.2), 3),
    ]:
        optimizer.learning_rate = rate
        model.fit(X, Y, batch_size=16, verbose=0)
        assert len(programs) == number
    assert optimizer.iterations.item() == 36
    assert optimizer.current_rate() == 0.2


def explicit(optimizer, steps):
    w = Tensor(np.ones(2), requires_grad=True)
    optimizer.attach([w])
    path = []
    for _ in range(steps):
        optimizer.zero_grad()
        w.sum().backward()
        optimizer.step()
        path.append(w.numpy()[0])
    return np.array(path)


def test_an_explicit_loop_reads_the_schedule_and_compiles_once():
    schedule = s.PiecewiseConstantDecay([1, 4], [1.0, 0.5, 0.25])
    optimizer = optimizers.SGD(schedule)
    path = explicit(optimizer, 3)
    known = len(trace.programs)
    path = np.append(path, explicit_more(optimizer, 4))
    assert len(trace.programs) == known
    np.testing.assert_array_equal(-np.diff(path, prepend=1.0), [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25])
    optimizer.learning_rate = 2.0
    assert explicit_more(optimizer, 1)[0] == path[-1] - 2.0


def explicit_more(optimizer, steps):
    (w,) = optimizer.parameters
    path = []
    for _ in range(steps):
        optimizer.zero_grad()
        w.sum().backward()
        optimizer.step()
        path.append(w.numpy()[0])
    return path


@dataclass(frozen=True)
class Wave(s.LearningRateSchedule):
    """One of a user's own, with a table."""

    top: float

    def rate(self, step):
        return self.top * (1.5 + arrays.sin(step)) / (2.5 + 0 * step)


def test_a_schedule_of_ones_own():
    for engine in ENGINES:
        np.testing.assert_allclose(
            in_program(Wave(0.1), STEPS, engine), [0.1 * (1.5 + math.sin(t)) / 2.5 for t in STEPS], rtol=1e-6
        )
    assert not same_weights(fitted(optimizers.SGD(Wave(0.1))), fitted(optimizers.SGD(Wave(0.2))))


class KerasStyle(s.LearningRateSchedule):
    """As one writes it for Keras: by overriding the call."""

    def __init__(self, top):
        self.top = top

    def __call__(self, step):
        return self.top / (step + 1)


def test_a_schedule_written_in_kerass_way():
    optimizer = optimizers.SGD(KerasStyle(1.0))
    path = explicit(optimizer, 3)
    np.testing.assert_allclose(-np.diff(path, prepend=1.0), [1, 1 / 2, 1 / 3], rtol=1e-6)
    assert optimizer.current_rate() == 0.25
    for engine in ENGINES:
        assert in_program(KerasStyle(1.0), [3], engine, "float64")[0] == 0.25


class Halved(s.CosineDecay):
    """One of the library's, made another by overriding the call."""

    def __call__(self, step):
        return 0.5 * super().__call__(step)


class Quartered(Halved):
    def rate(self, step):
        return 0.25 * super().rate(step)


@pytest.mark.parametrize(("kind", "share"), [(Halved, 0.5), (Quartered, 0.125)])
def test_what_a_subclass_overrides_is_the_rate(kind, share):
    """Its ``__call__``, its ``rate``: in programs, as a number, and when called."""
    whole, schedule = s.CosineDecay(0.1, 10), kind(0.1, 10)
    path = explicit(optimizers.SGD(schedule), 3)
    np.testing.assert_allclose(-np.diff(path, prepend=1.0), share * whole(np.arange(3)), rtol=1e-5)
    np.testing.assert_allclose(optimizers.SGD(schedule).current_rate(), share * 0.1)
    np.testing.assert_allclose(s.WarmUp(schedule, 5)(6), share * whole(1))
    np.testing.assert_allclose(schedule.at([3, 4]), share * whole(np.array([3, 4])))
    np.testing.assert_allclose(schedule(np.array([3, 4])), share * whole(np.array([3, 4])))


# --- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("schedule", "formula"), ROWS, ids=[repr(row[0])[:60] for row in ROWS])
def test_description_and_back(schedule, formula):
    described = json.loads(json.dumps(s.describe(schedule)))
    assert s.get(described) == schedule
    assert hash(s.get(described)) == hash(schedule)
    assert s.deserialize(json.loads(json.dumps(s.serialize(schedule)))) == schedule
    assert type(schedule).from_config(json.loads(json.dumps(schedule.get_config()))) == schedule
    optimizer = optimizers.get(json.loads(json.dumps(optimizers.describe(optimizers.Adam(schedule)))))
    assert optimizer.learning_rate == schedule


def test_the_config_of_a_schedule_of_ones_own():
    @dataclass(frozen=True)
    class Own(s.LearningRateSchedule):
        first: float
        then: s.LearningRateSchedule

    own = Own(0.1, s.Constant(0.2))
    assert Own.from_config(own.get_config()) == own
    with pytest.raises(NotImplementedError, match="KerasStyle has no method get_config"):
        KerasStyle(1.0).get_config()
    with pytest.raises(TypeError, match=r"write what serialize\(schedule\) returned"):
        s.deserialize(0.1)


def test_a_saved_model_goes_on_with_its_schedule(tmp_path):
    schedule = s.WarmUp(s.OneCycle(0.1, 30), 5)
    whole = network(optimizers.Adam(schedule))
    whole.fit(X, Y, epochs=4, batch_size=16, shuffle=False, verbose=0)
    half = network(optimizers.Adam(schedule))
    half.fit(X, Y, epochs=2, batch_size=16, shuffle=False, verbose=0)
    half.save(tmp_path / "m.ranvier")
    loaded = rv.load_model(tmp_path / "m.ranvier")
    assert loaded._compiled.optimizer.learning_rate == schedule
    loaded.fit(X, Y, epochs=2, batch_size=16, shuffle=False, verbose=0)
    assert same_weights(loaded, whole)


@pytest.mark.parametrize(("schedule", "formula"), ROWS, ids=[repr(row[0])[:60] for row in ROWS])
def test_copies_and_pickles_are_equal(schedule, formula):
    """Estimators are cloned, and sent to other processes, with their settings."""
    optimizer = optimizers.Adam(schedule)
    for twin in (copy.deepcopy(schedule), pickle.loads(pickle.dumps(schedule)), copy.deepcopy(optimizer).learning_rate):
        assert (twin, hash(twin)) == (schedule, hash(schedule))
    with pytest.raises(AttributeError, match="cannot assign"):
        schedule.initial_learning_rate = 1.0


def test_every_schedule_is_in_the_registry():
    named = {n for n in s.__all__ if isinstance(getattr(s, n), type)} - {"LearningRateSchedule"}
    assert named == set(s.base.REGISTRY.classes)


# --- what is refused ------------------------------------------------------------------------------------------------


def nested(depth):
    described = {"class_name": "Constant", "config": {"learning_rate": 0.1}}
    for _ in range(depth):
        described = {"class_name": "WarmUp", "config": {"schedule": described, "steps": 2}}
    return described


@rv.saving.register_keras_serializable("tests of schedules")
def shell(step):
    """Registered, and no schedule."""


HOSTILE = [
    ({"class_name": "os.system", "config": {}}, "'os.system' does not exist"),
    ({"class_name": "tests of schedules>shell", "config": {}}, "'tests of schedules>shell' does not exist"),
    ({"class_name": "CosineDecay", "config": {"command": "ls"}}, "command"),
    ({"class_name": "CosineDecay", "config": {"initial_learning_rate": [1], "decay_steps": 3}}, "a number"),
    ({"class_name": "CosineDecay", "config": 3}, "does not say how to train"),
    (nested(40), "16 deep"),
    ({}, "a number"),
]


@pytest.mark.parametrize(("rate", "text"), HOSTILE)
def test_hostile_files(rate, text, tmp_path):
    from ranvier.data import files
    from ranvier.training import CheckpointError

    path = tmp_path / "m.ranvier"
    network(optimizers.SGD(s.CosineDecay(0.1, 10))).save(path)
    described, tensors = files.read(path)
    described = {name: described[name] for name in ("architecture", "compiled")}
    described["compiled"]["optimizer"]["config"]["learning_rate"] = rate
    files.store(path, tensors, described)
    with pytest.raises(CheckpointError, match=text):
        rv.load_model(path)


class Broken(s.LearningRateSchedule):
    def rate(self, step):
        return 0.1


class Empty(s.LearningRateSchedule):
    pass


@dataclass
class Changing(s.LearningRateSchedule):
    top: float


@dataclass(frozen=True)
class Holding(s.LearningRateSchedule):
    tops: list


def test_schedules_within_schedules():
    assert s.get(nested(4))(1000) == 0.1
    assert s.get(nested(4))(1) == 0.0


def test_a_schedule_is_printed_as_it_is_written():
    assert repr(KerasStyle(0.5)) == "KerasStyle(top=0.5)"
    written = "WarmUp(schedule=CosineDecay(initial_learning_rate=0.1, decay_steps=100), steps=10)"
    assert repr(s.WarmUp(s.CosineDecay(0.1, 100), 10)) == written
    assert eval(written, dict(vars(s))) == s.WarmUp(s.CosineDecay(0.1, 100), 10)
    assert repr(s.PiecewiseConstantDecay([1, 2.5], [1, 0.5, 0.1])).endswith(
        "(boundaries=[1, 2.5], values=[1, 0.5, 0.1])"
    )


ERRORS = [
    (lambda: s.get(nested(1000)), ValueError, "more than 16 deep"),
    (lambda: s.ExponentialDecay(0.1, 0, 0.5), ValueError, "decay_steps=0.*above 0"),
    (lambda: s.ExponentialDecay(-0.1, 10, 0.5), ValueError, "initial_learning_rate=-0.1.*0 or more"),
    (lambda: s.ExponentialDecay("0.1", 10, 0.5), TypeError, "initial_learning_rate='0.1'.*a number"),
    (lambda: s.CosineDecay(math.nan, 10), ValueError, "finite"),
    (lambda: s.CosineDecay(0.1, 10, alpha=2), ValueError, "from 0 to 1"),
    (lambda: s.PiecewiseConstantDecay([1, 2], [0.1]), ValueError, "2 boundaries and 1 values. Write 3 values"),
    (lambda: s.PiecewiseConstantDecay([2, 1], [1, 2, 3]), ValueError, "that rise"),
    (lambda: s.PiecewiseConstantDecay(2, [1, 2]), TypeError, "a list of numbers"),
    (lambda: s.CosineDecayRestarts(0.1, 10, t_mul=0.5), ValueError, "1 or more"),
    (lambda: s.CosineDecayRestarts(0.1, 1, t_mul=1.00001), ValueError, "t_mul=1.0, or more first_decay_steps"),
    (lambda: s.OneCycle(0.1, 3), ValueError, "without steps"),
    (lambda: s.OneCycle(0.1, 100, 0.6, three_phase=True), ValueError, "another pct_start"),
    (lambda: s.OneCycle(0.1, 100, anneal_strategy="cosine"), ValueError, "'cos' or 'linear'"),
    (lambda: s.WarmUp(0.1, 0), ValueError, "steps=0"),
    (lambda: s.WarmUp("x", 10), TypeError, "'x' is no schedule. Write a number, or one such as"),
    (lambda: s.get("CosineDecay"), TypeError, r"'CosineDecay' is no schedule. Write CosineDecay\(...\) instead"),
    (lambda: s.Constant(0.1)(-1), ValueError, "step of 0 or more"),
    (lambda: s.get({"class_name": "CosineDecy"}), ValueError, "'CosineDecay'"),
    (lambda: s.get(s.CosineDecay), TypeError, r"CosineDecay\(...\)"),
    (lambda: s.describe(Broken()), ValueError, "Broken.*cannot be saved"),
    (lambda: Broken()(1), TypeError, r"Broken.rate\(step\) gives 0.1.*computed from step"),
    (lambda: optimizers.Adam(Changing(0.1)), TypeError, r"Changing has no hash.*@dataclass\(frozen=True\)"),
    (lambda: optimizers.Adam(Holding([0.1])), TypeError, "tuples for lists"),
    (lambda: s.WarmUp(Changing(0.1), 10), TypeError, "no hash"),
    (lambda: float(s.Constant(0.1)), TypeError, r"Constant.*each step. Write optimizer.current_rate\(\)"),
    (lambda: Empty()(1), NotImplementedError, "rate"),
    (lambda: optimizers.Adam(lambda: 0.1), TypeError, "a number or a schedule.*LearningRateScheduler"),
    (lambda: optimizers.Adam(s.CosineDecay), TypeError, "is a class"),
    (lambda: optimizers.Adam(s.Constant(0.1)).set_rate(0.2, "Plateau"), TypeError, "Plateau sets.*schedule Constant.*Adam"),
    (lambda: setattr(optimizers.Adam(), "learning_rate", -1), ValueError, "learning_rate=-1"),
    (lambda: setattr(optimizers.Adam(), "learning_rate", math.nan), ValueError, "0 or more"),
    (lambda: optimizers.Adam().vary("epsilon", 0.1), ValueError, "beta_1"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "text"), ERRORS)
def test_errors(make, error, text):
    with pytest.raises(error, match=text):
        make()


@pytest.mark.filterwarnings("ignore::ranvier.training.PreflightWarning")
def test_a_loss_that_explodes_names_the_rate_of_that_step():
    model = network(optimizers.SGD(s.ExponentialDecay(1e-3, 1, 1e6)))
    with pytest.raises(FloatingPointError, match=r"it is 1e\+(09|15|21|27|33|39)"):
        model.fit(X, Y, epochs=10, batch_size=16, verbose=0)


def test_a_number_may_be_an_array_of_one():
    assert optimizers.Adam(np.asarray(0.5)).learning_rate == 0.5
    assert optimizers.Adam(np.float32(0.5)).learning_rate == 0.5


def test_a_model_with_a_schedule_of_ones_own_is_saved_without_it(tmp_path):
    model = fitted(optimizers.SGD(Wave(0.1)), epochs=1)
    with pytest.warns(UserWarning, match=r"the optimizer SGD\(.*Wave\(top=0.1\)\) cannot be saved"):
        model.save(tmp_path / "m.ranvier")
    assert same_weights(rv.load_model(tmp_path / "m.ranvier"), model)
