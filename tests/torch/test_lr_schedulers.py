"""PyTorch's schedulers by themselves: nothing is compiled anew, runs go on exactly, and what is refused and how."""

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier import optimizers
from ranvier.tensor import trace
from ranvier.torch import nn, optim
from ranvier.torch.nn import functional as F
from ranvier.torch.optim import lr_scheduler as s

pytestmark = pytest.mark.filterwarnings("ignore:.*no parameter has a gradient")  # schedules alone are looked at

X = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
Y = np.random.default_rng(1).integers(0, 3, 16)


def setup(make_optimizer, make_scheduler):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    optimizer = make_optimizer(net.parameters())
    return net, optimizer, make_scheduler(optimizer)


def train(net, optimizer, scheduler, steps):
    for _ in range(steps):
        loss = F.cross_entropy(net(torch.tensor(X)), torch.tensor(Y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    return np.concatenate([p.detach().numpy().ravel() for p in net.parameters()])


def adam(parameters):
    return optim.Adam(parameters, lr=0.01)


def plain(parameters):
    return optim.SGD(parameters, lr=0.1)


def heavy(parameters):
    return optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True)


LOOPS = [
    (adam, lambda o: s.ExponentialLR(o, 0.9)),
    (adam, lambda o: s.OneCycleLR(o, 0.1, 40)),
    (plain, lambda o: s.OneCycleLR(o, 0.1, 40)),
    (heavy, lambda o: s.CyclicLR(o, 0.01, 0.1, 5)),
    (lambda p: optim.RMSprop(p, centered=True), lambda o: s.CyclicLR(o, 0.001, 0.01, 5)),
    (optim.NAdam, lambda o: s.OneCycleLR(o, 0.1, 40, three_phase=True)),
    (heavy, lambda o: s.SequentialLR(o, [s.LinearLR(o), s.CosineAnnealingLR(o, 10)], [5])),
    (adam, lambda o: s.ChainedScheduler([s.LinearLR(o), s.SequentialLR(o, [s.StepLR(o, 2), s.StepLR(o, 3)], [5])])),
    (adam, lambda o: s.SequentialLR(o, [s.StepLR(o, 2), s.ChainedScheduler([s.LinearLR(o), s.ExponentialLR(o, 0.9)])], [5])),
    (adam, lambda o: s.SequentialLR(
        o, [s.LinearLR(o), s.SequentialLR(o, [s.StepLR(o, 2), s.ExponentialLR(o, 0.9)], [4])], [5])),
]  # fmt: skip


@pytest.mark.parametrize(("make_optimizer", "make_scheduler"), LOOPS)
def test_a_step_a_batch_compiles_nothing_anew(make_optimizer, make_scheduler):
    net, optimizer, scheduler = setup(make_optimizer, make_scheduler)
    train(net, optimizer, scheduler, 2)
    known, rate = len(trace.programs), optimizer.param_groups[0]["lr"]
    train(net, optimizer, scheduler, 20)
    assert len(trace.programs) == known
    assert optimizer.param_groups[0]["lr"] != rate


@pytest.mark.parametrize(("make_optimizer", "make_scheduler"), LOOPS)
def test_a_run_that_goes_on_has_the_same_bits(make_optimizer, make_scheduler):
    net, optimizer, scheduler = setup(make_optimizer, make_scheduler)
    train(net, optimizer, scheduler, 9)
    states = net.state_dict(), optimizer.state_dict(), scheduler.state_dict()
    other, second, follower = setup(make_optimizer, make_scheduler)
    for target, state in zip((other, second, follower), states, strict=True):
        target.load_state_dict(state)
    expected = train(net, optimizer, scheduler, 11)
    np.testing.assert_array_equal(train(other, second, follower, 11), expected)
    assert follower.get_last_lr() == scheduler.get_last_lr()


def test_a_scheduler_made_for_a_run_that_goes_on():
    net, optimizer, scheduler = setup(plain, lambda o: s.ExponentialLR(o, 0.5))
    train(net, optimizer, scheduler, 3)
    other = optim.SGD([{"params": list(net.parameters()), "initial_lr": 0.1}], lr=0.0125)
    follower = s.ExponentialLR(other, 0.5, last_epoch=2)
    assert (follower.last_epoch, follower.base_lrs, follower.get_last_lr()) == (3, [0.1], [0.0125])


def test_a_momentum_that_is_changed_by_hand_compiles_once():
    net, optimizer, scheduler = setup(heavy, s.ConstantLR)
    train(net, optimizer, scheduler, 2)
    known = []
    for momentum in (0.8, 0.7, 0.0, 0.9):
        optimizer.param_groups[0]["momentum"] = momentum
        train(net, optimizer, scheduler, 1)
        known.append(len(trace.programs))
    assert len(set(known)) == 1


def test_a_schedule_of_the_other_vocabulary_as_lr():
    net, optimizer, _ = setup(lambda p: optim.SGD(p, lr=optimizers.schedules.StepDecay(0.5, 1, 0.5)), lambda o: None)
    before = net[2].bias.numpy()
    steps = []
    for _ in range(3):
        optimizer.zero_grad()
        net[2].bias.sum().backward()
        optimizer.step()
        steps.append(net[2].bias.numpy()[0] - before[0])
    np.testing.assert_allclose(np.diff(steps, prepend=0.0), [-0.5, -0.25, -0.125], rtol=1e-6)
    with pytest.raises(TypeError, match="the schedule StepDecay"):
        s.StepLR(optimizer, 10)


def test_a_scheduler_in_a_callback_of_fit():
    """The optimizer of the PyTorch vocabulary in `fit`: what is set in its groups counts."""
    net, optimizer, scheduler = setup(plain, lambda o: s.StepLR(o, 1, 0.5))
    net.compile(optimizer, nn.CrossEntropyLoss())
    step = rv.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: scheduler.step())
    twin, by_hand, _ = setup(plain, lambda o: None)
    for rate in (0.1, 0.05, 0.025):
        by_hand.param_groups[0]["lr"] = rate
        train(twin, by_hand, Idle(), 1)
    net.fit(X, Y, epochs=3, batch_size=16, shuffle=False, verbose=0, callbacks=[step])
    assert optimizer._rules[0].current_rate() == 0.0125
    for a, b in zip(net.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_rates_and_momenta_that_change_at_every_batch_of_fit_compile_once():
    net, optimizer, scheduler = setup(adam, lambda o: s.OneCycleLR(o, 0.1, 24))
    net.compile(optimizer, nn.CrossEntropyLoss())
    step = rv.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: scheduler.step())
    net.fit(X, Y, epochs=10, batch_size=8, shuffle=False, verbose=0, callbacks=[step])
    assert len([key for key in net._compiled.programs if "train" in key]) == 1
    twin, by_hand, follower = setup(adam, lambda o: s.OneCycleLR(o, 0.1, 24))
    for i in range(20):
        rows = slice(0, 8) if i % 2 == 0 else slice(8, 16)
        by_hand.zero_grad()
        F.cross_entropy(twin(torch.tensor(X[rows])), torch.tensor(Y[rows])).backward()
        by_hand.step()
        follower.step()
    assert optimizer.param_groups[0]["betas"] == by_hand.param_groups[0]["betas"]
    for a, b in zip(net.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-4, atol=1e-5)


class Idle:
    def step(self):
        """Nothing."""


def test_a_rate_that_rounding_leaves_below_zero_is_zero():
    net, optimizer, scheduler = setup(plain, lambda o: s.LambdaLR(o, lambda epoch: -1e-17))
    before = np.concatenate([p.detach().numpy().ravel() for p in net.parameters()])
    np.testing.assert_array_equal(train(net, optimizer, scheduler, 2), before)


def test_the_order_of_steps():
    optimizer = optim.SGD([torch.ones(1)], lr=0.1)
    scheduler = s.StepLR(optimizer, 1)
    with pytest.warns(UserWarning, match="the first rate is never used"):
        scheduler.step()


def test_called_objects_keep_their_state():
    class Counting:
        def __init__(self):
            self.calls = 0

        def __call__(self, epoch):
            self.calls += 1
            return 1.0

    optimizer = optim.SGD([torch.ones(1)], lr=0.1)
    optimizer.step()
    scheduler = s.LambdaLR(optimizer, Counting())
    optimizer.step()
    for _ in range(4):
        scheduler.step()
    other = s.LambdaLR(optimizer, Counting())
    other.load_state_dict(scheduler.state_dict())
    assert vars(other.lr_lambdas[0]) == {"calls": 5}
    assert s.LambdaLR(optimizer, lambda e: 1.0).state_dict()["lr_lambdas"] == [None]


def made():
    optimizer = optim.SGD([torch.ones(1)], lr=0.1)
    optimizer.step()
    return optimizer


ERRORS = [
    (lambda: s.StepLR(optimizers.SGD(0.1), 10), TypeError, "rv.optimizers.schedules"),
    (lambda: s.StepLR(made(), 0), ValueError, "step_size=0"),
    (lambda: s.LambdaLR(made(), 3), TypeError, "lr_lambda=3"),
    (lambda: s.LambdaLR(made(), [abs, abs]), ValueError, "2 values for 1 groups"),
    (lambda: s.ConstantLR(made(), 0.0), ValueError, "above 0 to 1"),
    (lambda: s.LinearLR(made(), 2.0), ValueError, "start_factor=2.0"),
    (lambda: s.StepLR(made(), 10, last_epoch=3), KeyError, "load_state_dict"),
    (lambda: s.CosineAnnealingWarmRestarts(made(), 0), ValueError, "T_0=0"),
    (lambda: s.CosineAnnealingWarmRestarts(made(), 5, 1.5), ValueError, "T_mult=1.5"),
    (lambda: s.CosineAnnealingWarmRestarts(made(), 5).step(-1), ValueError, "0 or more"),
    (lambda: s.CyclicLR(made(), 0.1, 0.2, mode="square"), ValueError, "triangular"),
    (lambda: s.CyclicLR(made(), 0.1, 0.2, step_size_up=0), ValueError, "1 or more"),
    (lambda: s.CyclicLR(optim.Adadelta([torch.ones(1)]), 0.1, 0.2), ValueError, "cycle_momentum=False"),
    (lambda: s.OneCycleLR(optim.Adagrad([torch.ones(1)]), 0.1, 10), ValueError, "cycle_momentum=False"),
    (lambda: s.OneCycleLR(made(), 0.1), ValueError, "epochs and steps_per_epoch"),
    (lambda: s.OneCycleLR(made(), 0.1, 0), ValueError, "0 steps"),
    (lambda: s.OneCycleLR(made(), 0.1, 10, pct_start=2), ValueError, "pct_start"),
    (lambda: s.OneCycleLR(made(), 0.1, 10, anneal_strategy="sin"), ValueError, "'cos' or 'linear'"),
    (lambda: s.OneCycleLR(made(), 0.1, 10).step(11), ValueError, "10 steps, and this is step 11"),
    (lambda: s.ReduceLROnPlateau(made(), factor=1.0), ValueError, "factor=1.0"),
    (lambda: s.ReduceLROnPlateau(made(), mode="auto"), ValueError, "'min' or 'max'"),
    (lambda: s.SequentialLR(made(), [], []), ValueError, "no schedulers"),
    (lambda: s.SequentialLR(made(), [s.StepLR(made(), 1)], []), ValueError, "one optimizer"),
    (lambda: (o := made()) and s.SequentialLR(o, [s.StepLR(o, 1)], [3]), ValueError, "1 milestones. Write 0"),
    (lambda: (o := made()) and s.ChainedScheduler([s.ReduceLROnPlateau(o)]), ValueError, r"step\(value\)"),
    (lambda: (o := made()) and s.ChainedScheduler([o]), TypeError, "takes schedulers"),
    (lambda: s.StepLR(made(), 3).load_state_dict(s.ExponentialLR(made(), 0.9).state_dict()), ValueError, "step_size"),
    (lambda: s.CosineLR, AttributeError, "nearest"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "text"), ERRORS)
def test_errors(make, error, text):
    with pytest.raises(error, match=text):
        make()
