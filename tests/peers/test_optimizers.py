"""Twenty steps of every optimizer against torch.optim and keras.optimizers, on the same random gradients."""

import collections
import copy
from typing import Any

import numpy as np
import pytest

import ranvier.torch
from ranvier import optimizers
from ranvier.graph import ops
from ranvier.graph.node import Node, apply
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor

# Keras on JAX hands NumPy variables whose __array__ takes no copy: its own affair.
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")]
assert ops.PRIMITIVES

SHAPES = [(4, 3), (3,)]
RNG = np.random.default_rng(7)
START = [RNG.normal(size=s).astype(np.float32) for s in SHAPES]
# Some gradients are zero, some tiny, so that epsilon's place shows.
STEPS = [[RNG.normal(size=s) * RNG.choice([0, 1e-6, 1e-3, 1, 10], s) for s in SHAPES] for _ in range(20)]
GRADIENTS = [[g.astype(np.float32) for g in step] for step in STEPS]


@function
def product(p: Node, g: Node):
    return apply("reduce_sum", p * g, axes=tuple(range(p.ndim)))


def ours(optimizer):
    params = [Tensor(s, requires_grad=True) for s in START]
    optimizer.attach(params)
    for step in GRADIENTS:
        optimizer.zero_grad()
        for p, g in zip(params, step, strict=True):
            product(p, Tensor(g)).backward()
        optimizer.step()
    return [p.numpy() for p in params]


def theirs_torch(name, **settings):
    torch = pytest.importorskip("torch")
    params = [torch.nn.Parameter(torch.tensor(s)) for s in START]
    optimizer = getattr(torch.optim, name)(params, **settings)
    for step in GRADIENTS:
        for p, g in zip(params, step, strict=True):
            p.grad = torch.tensor(g)
        optimizer.step()
    return [p.detach().numpy() for p in params]


def theirs_keras(name, **settings):
    keras = pytest.importorskip("keras")
    variables = [keras.Variable(s) for s in START]
    optimizer = getattr(keras.optimizers, name)(**settings)
    for step in GRADIENTS:
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in step], variables)
    return [np.asarray(v) for v in variables]


KERAS = [
    ("SGD", {}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"clipnorm": 0.5}),
    ("SGD", {"clipvalue": 0.5}),
    ("SGD", {"global_clipnorm": 0.5}),
    ("Adam", {}),
    ("Adam", {"learning_rate": 0.1, "amsgrad": True, "clipnorm": 1.0}),
    ("AdamW", {"learning_rate": 0.01}),
    ("Adamax", {"learning_rate": 0.01}),
    ("Nadam", {"learning_rate": 0.01}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.9, "centered": True, "epsilon": 1e-3}),
    ("Adagrad", {"learning_rate": 0.1}),
    ("Adadelta", {"learning_rate": 1.0}),
    ("Lion", {"learning_rate": 0.01, "weight_decay": 0.01}),
    ("Lamb", {"learning_rate": 0.01, "weight_decay": 0.01}),
    ("Ftrl", {"learning_rate": 0.1}),
    (
        "Ftrl",
        {
            "learning_rate_power": -0.7,
            "l1_regularization_strength": 0.01,
            "l2_regularization_strength": 0.02,
            "l2_shrinkage_regularization_strength": 0.1,
            "beta": 0.5,
            "initial_accumulator_value": 0.2,
        },
    ),
    ("Adafactor", {"learning_rate": 0.1, "weight_decay": 0.1}),
    ("Adafactor", {"beta_2_decay": -0.5, "clip_threshold": 0.5, "epsilon_2": 0.1}),
    ("Muon", {"learning_rate": 0.01}),
    ("Muon", {"nesterov": False, "rms_rate": None, "ns_steps": 3, "weight_decay": None, "adam_lr_ratio": 0.5}),
    ("Muon", {"momentum": 0.5, "adam_weight_decay": 0.1, "global_clipnorm": 1.0}),
    ("ScheduleFreeAdamW", {"weight_decay": 0.1, "warmup_steps": 5}),
    ("Adam", {"learning_rate": 0.01, "gradient_accumulation_steps": 3}),
    ("SGD", {"momentum": 0.9, "weight_decay": 0.1, "global_clipnorm": 1.0, "gradient_accumulation_steps": 4}),
    ("SGD", {"learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 4}),
    ("RMSprop", {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2, "gradient_accumulation_steps": 3}),
]

TORCH = [  # PyTorch's name, its settings, ours
    ("SGD", {"lr": 0.1}, {"learning_rate": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}, {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}, {"learning_rate": 0.1, "momentum": 0.9, "dampening": 0.5}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}, {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.1, "maximize": True}, {"learning_rate": 0.1, "maximize": True}),
    ("Adam", {}, {"epsilon": 1e-8}),
    ("Adam", {"amsgrad": True, "weight_decay": 0.1, "eps": 1e-3}, {"amsgrad": True, "weight_decay": 0.1, "epsilon": 1e-3}),
    ("AdamW", {}, {"epsilon": 1e-8, "weight_decay": 0.01, "coupled": False}),
    ("Adamax", {"eps": 1e-3}, {"learning_rate": 0.002, "epsilon": 1e-3}),
    ("NAdam", {}, {"learning_rate": 0.002, "epsilon": 1e-8, "momentum_decay": 0.004}),
    ("RMSprop", {}, {"learning_rate": 0.01, "rho": 0.99, "epsilon": 1e-8}),
    ("RMSprop", {"momentum": 0.9, "centered": True, "eps": 1e-3}, {"learning_rate": 0.01, "rho": 0.99, "momentum": 0.9, "centered": True, "epsilon": 1e-3}),
    ("Adagrad", {"lr_decay": 0.1}, {"learning_rate": 0.01, "initial_accumulator_value": 0.0, "epsilon": 1e-10, "lr_decay": 0.1}),
    ("Adadelta", {}, {"learning_rate": 1.0, "rho": 0.9, "epsilon": 1e-6}),
    ("RAdam", {"lr": 0.1}, {"learning_rate": 0.1, "epsilon": 1e-8}),
    ("RAdam", {"lr": 0.1, "betas": (0.8, 0.9), "weight_decay": 0.1}, {"learning_rate": 0.1, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-8, "weight_decay": 0.1}),
    ("Rprop", {}, {}),
    ("Rprop", {"lr": 0.1, "etas": (0.4, 1.5), "step_sizes": (0.05, 0.2)}, {"learning_rate": 0.1, "etas": (0.4, 1.5), "step_sizes": (0.05, 0.2)}),
    ("Adafactor", {}, {"learning_rate": 0.01, "epsilon_1": None, "coupled": False}),
    ("Adafactor", {"lr": 0.1, "d": 2.0, "eps": (1e-4, 0.1), "weight_decay": 0.1, "beta2_decay": -0.5}, {"learning_rate": 0.1, "clip_threshold": 2.0, "epsilon_1": 1e-4, "epsilon_2": 0.1, "weight_decay": 0.1, "beta_2_decay": -0.5, "coupled": False}),
    ("ASGD", {"lr": 0.1, "lambd": 0.1, "t0": 3, "weight_decay": 0.1}, {"learning_rate": 0.1, "lambd": 0.1, "t0": 3, "weight_decay": 0.1}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "settings"), KERAS)
def test_keras(name, settings):
    kind = optimizers.REGISTRY.find(name)
    for got, expected in zip(ours(kind(**settings)), theirs_keras(name, **settings), strict=True):
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(("name", "settings", "mine"), TORCH)
def test_torch(name, settings, mine):
    optimizer = optimizers.REGISTRY.find(name)(**{"coupled": True, **mine}, formula="torch")
    for got, expected in zip(ours(optimizer), theirs_torch(name, **settings), strict=True):
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(("name", "settings", "tolerance"), [
    ("Adafactor", {"lr": 0.1}, 2e-5),
    ("Muon", {"lr": 0.02}, 3e-3),  # PyTorch iterates in bfloat16
    ("Muon", {"lr": 0.02, "adjust_lr_fn": "match_rms_adamw", "nesterov": False, "momentum": 0.5}, 3e-3),
])  # fmt: skip
def test_states_of_another_shape_than_the_parameter(name, settings, tolerance):
    found: list[Any] = []
    for t in (pytest.importorskip("torch"), ranvier.torch):
        rng = np.random.default_rng(3)
        shapes = [(4, 3), (3, 5), *([(2, 3, 4), (3,), ()] if name == "Adafactor" else [])]
        params = [t.tensor(np.float32(rng.normal(size=s)), requires_grad=True) for s in shapes]
        optimizer = getattr(t.optim, name)(params, **settings)
        for i in range(6):
            optimizer.zero_grad()
            sum(((p - 1) ** 2 * (i + 1.0) + 0.1 * p**3).sum() for p in params).backward()
            optimizer.step()
            if i == 2:
                kept = copy.deepcopy(optimizer.state_dict())
                optimizer = getattr(t.optim, name)(params, **{**settings, "lr": 5.0})
                optimizer.load_state_dict(kept)
        state = optimizer.state_dict()["state"]
        values = [p.detach().numpy() for p in params]
        found.append((values, {(i, k): np.asarray(v) for i, of in state.items() for k, v in of.items()}))
    assert found[0][1].keys() == found[1][1].keys()
    for theirs, ours in zip([*found[0][0], *found[0][1].values()], [*found[1][0], *found[1][1].values()], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def test_muon_trains_what_keras_says_by_adamw():
    keras = pytest.importorskip("keras")
    import ranvier as rv

    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 9, (16, 5)), np.float32(rng.normal(size=(16, 2)))
    models: list[Any] = []
    for k in (keras, rv):
        layers = [
            k.layers.Embedding(9, 6),
            k.layers.Flatten(),
            k.layers.Dense(4, "tanh", name="hidden"),
            k.layers.Dense(2, name="output"),
        ]
        model = k.Sequential([k.layers.Input((5,), dtype="int32"), *layers])
        model.set_weights([np.asarray(w) for w in (models[0].get_weights() if models else model.get_weights())])
        model.compile(k.optimizers.Muon(0.01, exclude_layers=["out"]), "mse")
        models.append(model)
    for model in models:
        model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    for theirs, ours in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)  # the iteration enlarges roundings


# Which of four parameters have gradients: two tasks that take turns, layers that are unfrozen, all.
TURNS = [(0, 1), (0, 1), (2,), (0, 2, 3), (1,), (0, 1, 2, 3), (1, 3), (0,), (0, 1, 2, 3)]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *[(name, {}) for name in ("Adam", "AdamW", "NAdam", "Adamax")],
        *[("Adam", {"amsgrad": True}), ("Adagrad", {"lr_decay": 0.1}), ("RMSprop", {"momentum": 0.5})],
        ("SGD", {"momentum": 0.9, "dampening": 0.5}),
    ],
)
def test_each_parameter_counts_its_own_steps(name, settings):
    found: list[Any] = []
    for t in (pytest.importorskip("torch"), ranvier.torch):
        params = [t.tensor(np.float32([i, -1, 2]), requires_grad=True) for i in range(4)]
        make = getattr(t.optim, name)
        optimizer = make(params, lr=0.1, **settings)
        for i, chosen in enumerate(TURNS):
            optimizer.zero_grad()
            sum((params[k] * (1.0 + i - k) + params[k] ** 2).sum() for k in chosen).backward()
            optimizer.step()
            if i == 4:
                kept = optimizer.state_dict()
                optimizer = make(params, lr=0.3, **settings)
                optimizer.load_state_dict(kept)
        found.append([p.detach().numpy() for p in params])
    np.testing.assert_allclose(found[0], found[1], rtol=2e-5, atol=2e-6)


STATES = [("Adam", {"lr": 0.1, "amsgrad": True}), ("RAdam", {"lr": 0.1}), ("NAdam", {}), ("Adamax", {}), ("Adagrad", {"lr": 0.1}), ("Adadelta", {}),
          ("RMSprop", {"momentum": 0.9, "centered": True}), ("SGD", {"lr": 0.1}),
          ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5})]  # fmt: skip


@pytest.mark.parametrize(("name", "settings"), STATES)
def test_programs_change_the_state_and_the_groups(name, settings):
    """Reset, scaled, moved to a device, with parameters and groups that come and go, and taken over by another."""
    found: list[Any] = []
    for t in (pytest.importorskip("torch"), ranvier.torch):
        a, b, c = (t.tensor(np.float32([i, -1, 2]), requires_grad=True) for i in range(1, 4))
        curve: list[Any] = []

        def steps(*optimizers, params=(a, b, c), curve=curve):
            for _ in range(2):
                for optimizer in optimizers:
                    optimizer.zero_grad()
                    sum((i + 1) * (p * p).sum() for i, p in enumerate(params)).backward()
                    optimizer.step()
            curve.extend(p.detach().numpy().copy() for p in params)

        optimizer = getattr(t.optim, name)([a, b], **settings)
        steps(optimizer)
        kept = optimizer.state_dict()["state"]
        curve.extend(np.asarray(of[key].detach().numpy()) for i, of in kept.items() for key in sorted(of))
        names = [sorted(of) for of in kept.values()]
        optimizer.state = collections.defaultdict(dict)
        steps(optimizer)
        optimizer.state.clear()
        steps(optimizer)
        optimizer.state[a] = {}
        for of in optimizer.state.values():
            for key, value in of.items():
                of[key] = value.to("cpu")
                if value.shape:
                    of[key].mul_(0.5)
        steps(optimizer)
        optimizer.param_groups[0]["params"].append(c)
        steps(optimizer)
        optimizer.param_groups[0]["params"] = [b]
        steps(optimizer)
        optimizer.add_param_group({"params": [a, c], "lr": 0.01})
        steps(optimizer)
        optimizer.param_groups.pop()
        optimizer.param_groups[0]["lr"] = t.tensor(0.02)
        steps(optimizer)
        for p in (a, c):
            optimizer.state.pop(p, None)
        other = getattr(t.optim, name)([c])  # without momentum
        other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        steps(other)
        found.append((curve, names))
    assert found[0][1] == found[1][1]
    for ours, theirs in zip(found[0][0], found[1][0], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def move_by_pop(t, optimizer, w, new):
    optimizer.state[new] = optimizer.state.pop(w)


def move_before_the_removal(t, optimizer, w, new):
    optimizer.state[new] = optimizer.state[w]
    del optimizer.state[w]


def move_what_was_removed(t, optimizer, w, new):
    state = optimizer.state[w]
    del optimizer.state[w]
    optimizer.state[new] = state
    assert optimizer.state[new] is state


def move_after_the_parameter(t, optimizer, w, new):
    optimizer.param_groups[0]["params"][0] = new
    optimizer.add_param_group({"params": [t.ones(1, requires_grad=True)]})  # which looks where parameters are
    optimizer.state[new] = optimizer.state.pop(w)


def put_back_after_clear(t, optimizer, w, new):
    state = optimizer.state[w]
    optimizer.state.clear()
    optimizer.state[new] = state


def put_all_back(t, optimizer, w, new):
    saved = optimizer.state
    optimizer.state = collections.defaultdict(dict)
    optimizer.zero_grad()
    (w * w).sum().backward()
    optimizer.step()
    optimizer.state = saved
    optimizer.state[new] = optimizer.state.pop(w)


def rename(t, optimizer, w, new):
    optimizer.state = {new if p is w else p: dict(of) for p, of in optimizer.state.items()}


def grow_and_shrink(t, optimizer, w, new):
    """As programs that add points and take others out do."""
    state = optimizer.state.get(w, None)
    for name, value in state.items():
        if value.shape:
            state[name] = t.cat((value[t.tensor([True, False, True])], t.zeros(2)))
    del optimizer.state[w]
    optimizer.state[new] = state


MOVES = [
    move_by_pop, move_before_the_removal, move_what_was_removed, move_after_the_parameter, put_back_after_clear,
    put_all_back, rename, grow_and_shrink,
]  # fmt: skip


@pytest.mark.parametrize(("name", "settings"), [row for row in STATES if row != ("SGD", {"lr": 0.1})])
@pytest.mark.parametrize("move", MOVES)
def test_the_state_moves_to_another_parameter(move, name, settings):
    # The steps of these, which nothing depends on, are those of the group.
    own = name not in ("Adagrad", "Adadelta", "RMSprop")
    found: list[Any] = []
    for t in (pytest.importorskip("torch"), ranvier.torch):
        w, other = (t.tensor(np.float32([i, -1, 2]), requires_grad=True) for i in (1, 2))
        optimizer = getattr(t.optim, name)([w, other], **settings)

        def steps(*params, n, optimizer=optimizer):
            for _ in range(n):
                optimizer.zero_grad()
                sum((p * p).sum() for p in params).backward()
                optimizer.step()

        steps(w, other, n=3)
        steps(other, n=2)
        new = t.tensor(np.float32([3, 1, 2] if move is not grow_and_shrink else [3, 1, 2, 4]), requires_grad=True)
        move(t, optimizer, w, new)
        optimizer.param_groups[0]["params"][0] = new
        steps(new, other, n=2)
        held = [(k, v) for p in (new, other) for k, v in sorted(optimizer.state[p].items())]
        values = [np.asarray(v.detach()) for k, v in held if own or k != "step"]
        left = [p is w and own for p in optimizer.state]
        found.append([any(left), *(p.detach().numpy() for p in (new, other)), *values])
    for ours, theirs in zip(found[1], found[0], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)


def test_a_state_follows_its_parameter():
    found: list[Any] = []
    for t in (pytest.importorskip("torch"), ranvier.torch):
        a, b, c = (t.tensor(np.float32([i, -1, 2]), requires_grad=True) for i in range(1, 4))
        optimizer = t.optim.Adam([a, b, c], lr=0.1)

        def step(*params, optimizer=optimizer):
            optimizer.zero_grad()
            sum((p * p).sum() for p in params).backward()
            optimizer.step()

        step(a, b, c)
        step(b, c)
        step(c)
        of_b, of_c = optimizer.state[b], optimizer.state[c]
        optimizer.param_groups[0]["params"].pop(0)
        step(b, c)
        counts = [float(of["step"]) for of in (of_b, of_c)]
        of_b["exp_avg"].zero_()
        of_b["step"] = t.tensor(1.0)
        step(b, c)
        is_dict = [isinstance(x, dict) for x in (optimizer.state, of_b)]
        gone = [optimizer.state.get(0), optimizer.state.pop(0, 1), optimizer.state.setdefault(b) is of_b]
        found.append((counts, float(of_b["step"]), is_dict, gone, b.tolist(), c.tolist()))
    assert found[0][:4] == found[1][:4]
    np.testing.assert_allclose(found[0][4:], found[1][4:], rtol=2e-5)


def test_groups_as_in_pytorch():
    found: list[Any] = []
    for t in (pytest.importorskip("torch"), ranvier.torch):
        a, b = (t.tensor(np.float32([i, -1, 2]), requires_grad=True) for i in range(1, 3))
        optimizer = t.optim.SGD([{"params": []}, {"params": [a], "lr_scale": 0.5, "rho": 0.1}], lr=0.1)

        def closure(optimizer=optimizer, a=a):
            optimizer.zero_grad()
            loss = (a * a).sum()
            loss.backward()
            return loss

        with t.no_grad():
            optimizer.step(closure)
        optimizer.param_groups[0]["params"].append(b)
        (b * b).sum().backward()
        optimizer.step()
        group = optimizer.param_groups[1]
        names = t.optim.SGD(t.nn.Linear(2, 2).named_parameters(), 0.1).param_groups[0]["param_names"]
        found.append((a.tolist(), b.tolist(), names, group["rho"], group["lr_scale"]))
    assert found[0] == found[1]


@pytest.mark.parametrize("options", [{"line_search_fn": "strong_wolfe"}, {"lr": 0.1}, {"history_size": 3, "lr": 0.2}])
def test_lbfgs_evaluates_what_pytorch_evaluates(options):
    import torch as theirs

    start, found = np.random.default_rng(0).normal(size=(5, 3)), []
    for t in (ranvier.torch, theirs):
        w = t.tensor(start, dtype=t.float64).requires_grad_()
        losses: list[float] = []
        optimizer = t.optim.LBFGS([w], max_iter=8, **options)

        def closure(t=t, w=w, losses=losses, optimizer=optimizer):
            optimizer.zero_grad()
            loss = ((t.tanh(w) - 0.5) ** 2).sum() + (w[0] * w[1]).sum() ** 2
            loss.backward()
            losses.append(loss.item())
            return loss

        for _ in range(2):
            optimizer.step(closure)
        found.append(losses)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)
