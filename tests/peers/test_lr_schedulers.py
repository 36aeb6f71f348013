"""Two hundred steps of every scheduler against torch.optim.lr_scheduler: rates and momenta."""

import numpy as np
import pytest

import ranvier.torch as ours
from ranvier.optimizers import schedules as s
from ranvier.torch.optim import lr_scheduler

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:.*no parameter has a gradient")]
STEPS = 200


def square(epoch):
    return 1.0 / (1 + epoch) ** 2


def saw(epoch):
    return 0.9 if epoch % 7 else 1.5


class Falling:
    """A called object, which has a state."""

    def __init__(self, speed):
        self.speed = speed

    def __call__(self, epoch):
        return self.speed**epoch


SGD = ("SGD", {"lr": 0.1, "momentum": 0.9})
ADAM = ("Adam", {"lr": 0.1, "betas": (0.9, 0.99)})
NADAM = ("NAdam", {"lr": 0.1})
RMS = ("RMSprop", {"lr": 0.1})
PLAIN = ("SGD", {"lr": 0.1})
TWO = ("SGD", {"lr": 0.1, "momentum": 0.5})  # in two groups

# optimizer, scheduler as a function of the module and the optimizer
ROWS = [
    (SGD, lambda s, o: s.LambdaLR(o, square)),
    (TWO, lambda s, o: s.LambdaLR(o, [square, Falling(0.95)])),
    (ADAM, lambda s, o: s.MultiplicativeLR(o, saw)),
    (TWO, lambda s, o: s.MultiplicativeLR(o, [Falling(0.999), saw])),
    (SGD, lambda s, o: s.StepLR(o, 30)),
    (ADAM, lambda s, o: s.StepLR(o, step_size=1, gamma=0.97)),
    (SGD, lambda s, o: s.MultiStepLR(o, [30, 80])),
    (SGD, lambda s, o: s.MultiStepLR(o, [80, 5, 5, 30], gamma=0.5)),
    (SGD, lambda s, o: s.ConstantLR(o)),
    (SGD, lambda s, o: s.ConstantLR(o, factor=0.5, total_iters=40)),
    (SGD, lambda s, o: s.LinearLR(o)),
    (SGD, lambda s, o: s.LinearLR(o, start_factor=0.1, end_factor=0.5, total_iters=50)),
    (SGD, lambda s, o: s.LinearLR(o, start_factor=1.0, end_factor=0.0, total_iters=250)),
    (SGD, lambda s, o: s.ExponentialLR(o, 0.95)),
    (TWO, lambda s, o: s.ExponentialLR(o, gamma=1.01)),
    (SGD, lambda s, o: s.PolynomialLR(o)),
    (SGD, lambda s, o: s.PolynomialLR(o, total_iters=150, power=2.0)),
    (SGD, lambda s, o: s.CosineAnnealingLR(o, 50)),
    (SGD, lambda s, o: s.CosineAnnealingLR(o, T_max=33, eta_min=0.01)),
    (SGD, lambda s, o: s.CosineAnnealingLR(o, T_max=1, eta_min=0.01)),
    (SGD, lambda s, o: s.CosineAnnealingWarmRestarts(o, 30)),
    (SGD, lambda s, o: s.CosineAnnealingWarmRestarts(o, T_0=10, T_mult=2, eta_min=1e-3)),
    (SGD, lambda s, o: s.CyclicLR(o, 0.01, 0.1, step_size_up=20)),
    (ADAM, lambda s, o: s.CyclicLR(o, 0.01, 0.1, step_size_up=15, step_size_down=30, mode="triangular2")),
    (SGD, lambda s, o: s.CyclicLR(o, 0.01, 0.1, step_size_up=20, mode="exp_range", gamma=0.99)),
    (PLAIN, lambda s, o: s.CyclicLR(o, 0.01, 0.1, step_size_up=20, scale_fn=square, cycle_momentum=False)),
    (RMS, lambda s, o: s.CyclicLR(o, 0.01, 0.1, 10, scale_fn=square, scale_mode="iterations", base_momentum=0.7)),
    (TWO, lambda s, o: s.CyclicLR(o, [0.01, 0.02], [0.1, 0.2], step_size_up=20, base_momentum=[0.1, 0.2])),
    (SGD, lambda s, o: s.OneCycleLR(o, 0.1, total_steps=201)),
    (ADAM, lambda s, o: s.OneCycleLR(o, max_lr=0.1, epochs=21, steps_per_epoch=10, anneal_strategy="linear")),
    (NADAM, lambda s, o: s.OneCycleLR(o, 0.1, 220, pct_start=0.25, div_factor=10, final_div_factor=100, three_phase=True)),
    (PLAIN, lambda s, o: s.OneCycleLR(o, 0.1, 201, cycle_momentum=False, pct_start=0.0)),
    (PLAIN, lambda s, o: s.OneCycleLR(o, 0.1, 201, three_phase=True, anneal_strategy="linear", base_momentum=0.5)),
    (TWO, lambda s, o: s.OneCycleLR(o, [0.1, 0.3], 201)),
    (SGD, lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 0.1, total_iters=20), s.CosineAnnealingLR(o, 100)], [20])),
    (SGD, lambda s, o: s.SequentialLR(o, [s.ConstantLR(o, 0.1, 2), s.ExponentialLR(o, 0.9)], milestones=[20])),
    (SGD, lambda s, o: s.SequentialLR(
        o, [s.StepLR(o, 10), s.PolynomialLR(o, 40), s.MultiStepLR(o, [5]), s.LambdaLR(o, square)], [30, 80, 150])),
    (SGD, lambda s, o: s.SequentialLR(o, [s.ExponentialLR(o, 0.9), s.CosineAnnealingWarmRestarts(o, 20)], [30])),
    (SGD, lambda s, o: s.SequentialLR(o, [s.LinearLR(o), s.MultiplicativeLR(o, saw)], [30])),
    (TWO, lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 20), s.ExponentialLR(o, 0.9)])),
    (SGD, lambda s, o: s.ChainedScheduler([s.CosineAnnealingLR(o, 40), s.StepLR(o, 60, 0.5)], o)),
]  # fmt: skip


def setup(torch, schedulers, optimizer, make):
    name, settings = optimizer
    a, b = (torch.zeros(2, requires_grad=True) for _ in "ab")
    groups = [{"params": [a], "lr": 0.3}, {"params": [b]}] if optimizer is TWO else [a, b]
    made = getattr(torch.optim, name)(groups, **settings)
    scheduler = make(schedulers, made)
    made.step()
    return made, scheduler


def watch(optimizer, scheduler, steps=STEPS):
    """Rates, momenta and what get_last_lr says, after each step."""
    path = []
    for _ in range(steps):
        momenta = [g.get("momentum", 0.0) if "betas" not in g else g["betas"][0] for g in optimizer.param_groups]
        path.append([g["lr"] for g in optimizer.param_groups] + momenta)
        assert scheduler.get_last_lr() == [g["lr"] for g in optimizer.param_groups]
        scheduler.step()
    return np.array(path)


@pytest.mark.parametrize(("optimizer", "make"), ROWS)
def test_rates_and_momenta(optimizer, make):
    torch = pytest.importorskip("torch")
    theirs = watch(*setup(torch, torch.optim.lr_scheduler, optimizer, make))
    np.testing.assert_allclose(watch(*setup(ours, lr_scheduler, optimizer, make)), theirs, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize(("optimizer", "make"), ROWS)
def test_a_state_goes_on_as_torchs_does(optimizer, make):
    torch = pytest.importorskip("torch")
    paths = []
    for library, schedulers in ((torch, torch.optim.lr_scheduler), (ours, lr_scheduler)):
        first, scheduler = setup(library, schedulers, optimizer, make)
        watch(first, scheduler, 77)
        second, other = setup(library, schedulers, optimizer, make)
        second.load_state_dict(first.state_dict())
        other.load_state_dict(scheduler.state_dict())
        paths.append((watch(first, scheduler, 100), watch(second, other, 100)))
    (theirs, _), (uninterrupted, resumed) = paths
    np.testing.assert_array_equal(resumed, uninterrupted)
    np.testing.assert_allclose(resumed, theirs, rtol=1e-12, atol=1e-16)


CLOSED = [
    lambda s, o: s.StepLR(o, 30),
    lambda s, o: s.MultiStepLR(o, [30, 80]),
    lambda s, o: s.ConstantLR(o, 0.5, 40),
    lambda s, o: s.LinearLR(o, 0.1, 0.5, 50),
    lambda s, o: s.ExponentialLR(o, 0.95),
    lambda s, o: s.PolynomialLR(o, 150, 2.0),
    lambda s, o: s.CosineAnnealingLR(o, 33, 0.01),
    lambda s, o: s.LambdaLR(o, square),
]


@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.parametrize("make", CLOSED)
def test_the_formula_of_a_given_epoch(make):
    torch = pytest.importorskip("torch")
    (theirs, a), (mine, b) = (
        setup(library, schedulers, SGD, make)
        for library, schedulers in ((torch, torch.optim.lr_scheduler), (ours, lr_scheduler))
    )
    for epoch in (0, 1, 29, 30, 31, 50, 150, 199):
        a.step(epoch)
        b.step(epoch)
        assert mine.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-12, abs=1e-16)


def test_parts_of_epochs_of_warm_restarts():
    torch = pytest.importorskip("torch")
    for mult in (1, 2):
        (theirs, a), (mine, b) = (
            setup(library, schedulers, SGD, lambda s, o, m=mult: s.CosineAnnealingWarmRestarts(o, 10, m))
            for library, schedulers in ((torch, torch.optim.lr_scheduler), (ours, lr_scheduler))
        )
        for epoch in np.linspace(0, 60, 91):
            a.step(float(epoch))
            b.step(float(epoch))
            assert mine.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-9)


SAME = [  # a schedule, PyTorch's scheduler that is the same function, up to which step
    (s.StepDecay(0.1, 30, 0.5), lambda t, o: t.StepLR(o, 30, 0.5), 200),
    (s.ExponentialDecay(0.1, 1, 0.97), lambda t, o: t.ExponentialLR(o, 0.97), 200),
    (s.PiecewiseConstantDecay([29, 79], [0.1, 0.05, 0.025]), lambda t, o: t.MultiStepLR(o, [30, 80], 0.5), 200),
    (s.PolynomialDecay(0.1, 150, 0.0, power=2.0), lambda t, o: t.PolynomialLR(o, 150, 2.0), 200),
    (s.CosineDecay(0.1, 150, alpha=0.1), lambda t, o: t.CosineAnnealingLR(o, 150, eta_min=0.01), 151),
    (s.CosineDecayRestarts(0.1, 10, t_mul=2), lambda t, o: t.CosineAnnealingWarmRestarts(o, 10, 2), 200),
    (s.CosineDecayRestarts(0.1, 30, 1.0, 1.0, 0.01), lambda t, o: t.CosineAnnealingWarmRestarts(o, 30, 1, 1e-3), 200),
    (s.WarmUp(0.1, 50, 0.02), lambda t, o: t.LinearLR(o, 0.2, 1.0, 50), 200),
    (s.WarmUp(s.ExponentialDecay(0.1, 1, 0.9), 20, 0.01),
     lambda t, o: t.SequentialLR(o, [t.LinearLR(o, 0.1, total_iters=20), t.ExponentialLR(o, 0.9)], [20]), 200),
    (s.OneCycle(0.1, 200), lambda t, o: t.OneCycleLR(o, 0.1, 200), 200),
    (s.OneCycle(0.1, 200, 0.25, "linear"), lambda t, o: t.OneCycleLR(o, 0.1, 200, pct_start=0.25, anneal_strategy="linear"), 200),
    (s.OneCycle(0.1, 200, div_factor=9, final_div_factor=99, three_phase=True),
     lambda t, o: t.OneCycleLR(o, 0.1, 200, div_factor=9, final_div_factor=99, three_phase=True), 200),
]  # fmt: skip


@pytest.mark.parametrize(("schedule", "make", "steps"), SAME, ids=[repr(row[0])[:40] for row in SAME])
def test_schedules_that_are_torchs_schedulers(schedule, make, steps):
    torch = pytest.importorskip("torch")
    rates = watch(*setup(torch, torch.optim.lr_scheduler, SGD, make), steps)[:, 0]
    np.testing.assert_allclose(schedule(np.arange(steps)), rates, rtol=1e-12, atol=1e-16)


PLATEAUS = [
    {},
    {"mode": "max", "factor": 0.5, "patience": 3},
    {"threshold_mode": "abs", "threshold": 0.05, "patience": 2, "cooldown": 4},
    {"mode": "max", "threshold_mode": "abs", "threshold": 0.05, "patience": 0, "min_lr": 1e-3},
    {"patience": 1, "factor": 0.3, "eps": 1e-3, "min_lr": [1e-2, 1e-4]},
]


@pytest.mark.parametrize("settings", PLATEAUS)
def test_reduce_on_plateau(settings):
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(3).normal(size=STEPS).cumsum() * 0.1 + 5
    values[50] = np.nan
    a, b = (
        setup(library, schedulers, TWO, lambda s, o: s.ReduceLROnPlateau(o, **settings))[1]
        for library, schedulers in ((torch, torch.optim.lr_scheduler), (ours, lr_scheduler))
    )
    for value in values:
        a.step(float(value))
        b.step(ours.tensor(value) if np.isfinite(value) else value)
        assert b.get_last_lr() == pytest.approx(a.get_last_lr(), rel=1e-12)
        assert b.in_cooldown == a.in_cooldown
    other = setup(ours, lr_scheduler, TWO, lambda s, o: s.ReduceLROnPlateau(o, **settings))[1]
    other.load_state_dict(b.state_dict())
    assert (other.best, other.num_bad_epochs, other.last_epoch) == (b.best, b.num_bad_epochs, STEPS)


TRAINED = [
    (SGD, lambda s, o: s.OneCycleLR(o, 0.1, 30)),
    (PLAIN, lambda s, o: s.OneCycleLR(o, 0.1, 30)),
    (ADAM, lambda s, o: s.OneCycleLR(o, 0.1, 30)),
    (NADAM, lambda s, o: s.CyclicLR(o, 0.01, 0.1, 5)),
    (("Adamax", {"lr": 0.1}), lambda s, o: s.CyclicLR(o, 0.01, 0.1, 5)),
    (RMS, lambda s, o: s.CyclicLR(o, 0.001, 0.01, 5)),
    (("AdamW", {"lr": 0.1}), lambda s, o: s.ExponentialLR(o, 0.9)),
]


@pytest.mark.parametrize(("optimizer", "make"), TRAINED)
def test_weights_with_rates_and_momenta_that_change(optimizer, make):
    torch = pytest.importorskip("torch")
    gradients = np.random.default_rng(5).normal(size=(25, 6)).astype(np.float32)
    name, settings = optimizer
    results = []
    for library, schedulers in ((torch, torch.optim.lr_scheduler), (ours, lr_scheduler)):
        w = library.ones(6, requires_grad=True)
        made = getattr(library.optim, name)([w], **settings)
        scheduler = make(schedulers, made)
        for g in gradients:
            made.zero_grad()
            (w * library.tensor(g)).sum().backward()
            made.step()
            scheduler.step()
        results.append(w.detach().numpy())
    np.testing.assert_allclose(results[1], results[0], rtol=2e-5, atol=2e-6)
