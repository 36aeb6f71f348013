"""Functions with gradients of one's own, derivatives of functions, batches of functions, and their check."""

import copy

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier.engines import set_engine
from ranvier.tensor import trace
from ranvier.torch import func, nn
from ranvier.torch.autograd import Function, functional, gradcheck, gradgradcheck
from ranvier.torch.autograd.function import once_differentiable
from ranvier.torch.autograd.gradcheck import GradcheckError
from ranvier.torch.utils.checkpoint import checkpoint, checkpoint_sequential


@pytest.fixture(autouse=True)
def reference():
    set_engine("reference")
    yield
    set_engine("native")


class Exp(Function):
    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * y


class Scaled(Function):
    """In the form with setup_context, with an argument that is no tensor."""

    @staticmethod
    def forward(x, w, factor):
        return x * w * factor, (x > 0)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, w, ctx.factor = inputs
        ctx.save_for_backward(x, w, None)
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx, g, _):
        x, _w, nothing = ctx.saved_tensors
        assert nothing is None
        assert ctx.needs_input_grad == (False, True, False)
        return None, (g * x).sum(0) * ctx.factor, None


class Pair(Function):
    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return x * y, x + y

    @staticmethod
    def backward(ctx, g, h):
        x, y = ctx.saved_tensors
        return g * y + h, g * x + h


def leaf(*values, dtype=torch.float32):
    return torch.tensor(values, requires_grad=True, dtype=dtype)


def test_the_gradient_is_that_of_backward():
    x = leaf(0.0, 1.0)
    y = Exp.apply(x * 2)
    assert y.requires_grad
    assert y.grad_fn == "<ExpBackward>"
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp([0.0, 2.0]), rtol=1e-6)
    (first,) = torch.autograd.grad(Exp.apply(x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    np.testing.assert_allclose(second.numpy(), np.exp([0.0, 1.0]), rtol=1e-6)


def test_arguments_that_need_no_gradient():
    w = leaf(1.0, 2.0)
    y, mask = Scaled.apply(torch.tensor([[1.0, -1.0], [2.0, 3.0]]), w, 10)
    assert mask.tolist() == [[True, False], [True, True]]
    assert not mask.requires_grad
    (y * torch.tensor([[1.0, 2.0], [3.0, 4.0]])).sum().backward()
    assert w.grad.tolist() == [(1 + 6) * 10, (-2 + 12) * 10]
    assert not Exp.apply(torch.ones(2)).requires_grad
    with torch.no_grad():
        assert not Exp.apply(w).requires_grad


def test_several_results_and_zeros_for_those_that_are_not_used():
    x = leaf(1.0, 2.0)
    product, _ = Pair.apply(x * 2, x * x)
    product.sum().backward()
    assert x.grad.tolist() == [6, 24]


def test_a_function_twice_and_on_its_own_result():
    x = leaf(0.5)
    y = Exp.apply(Exp.apply(x)) + Exp.apply(x)
    y.backward()
    e = np.exp(0.5)
    np.testing.assert_allclose(x.grad.numpy(), [np.exp(e) * e + e], rtol=1e-6)


def test_a_loop_with_functions_runs_the_same_programs():
    w = leaf(0.1, 0.2)
    opt = torch.optim.SGD([w], 0.01)

    def step():
        opt.zero_grad()
        Exp.apply(w * 3).sum().backward()
        opt.step()
        return w.tolist()

    step(), step()
    count = len(trace.programs)
    step(), step()
    assert len(trace.programs) == count


class Once(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.from_numpy(np.sin(x.numpy()))

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        return torch.from_numpy(np.cos(ctx.saved_tensors[0].numpy())) * g


def test_functions_may_compute_with_numpy():
    x = leaf(0.0, 1.0)
    (first,) = torch.autograd.grad(Once.apply(x).sum(), x, create_graph=True)
    np.testing.assert_allclose(first.detach().numpy(), np.cos([0.0, 1.0]), rtol=1e-6)
    with pytest.raises(RuntimeError, match="marked by @once_differentiable"):
        first.sum().backward()


def returning(*parts):
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return parts

    return lambda: Wrong.apply(leaf(1.0, 2.0)).sum().backward()


WRONG = [
    (returning(), RuntimeError, "returned 0 gradients, and forward takes 1"),
    (returning(torch.ones(2), torch.ones(2)), RuntimeError, "returned 2 gradients"),
    (returning(torch.ones(3)), RuntimeError, r"shape \(3,\) for an argument of shape \(2,\)"),
    (returning(1.0), TypeError, "returned float for a tensor"),
    (lambda: Exp()(leaf(1.0)), RuntimeError, r"Write Exp.apply\(x\)"),
    (lambda: Function.apply(leaf(1.0)), NotImplementedError, "no forward"),
    (lambda: func.grad(lambda x: x * 2)(leaf(1.0, 2.0)), RuntimeError, "Write .mean"),
    (lambda: func.grad(lambda x: x)(torch.tensor(1)), TypeError, r"Write x.float\(\)"),
    (lambda: func.grad(lambda x: x)(1.0), TypeError, "here is float"),
    (lambda: func.vmap(lambda x, y: x + y)(torch.ones(2), torch.ones(3)), ValueError, "here are 2 and 3"),
    (lambda: func.vmap(lambda x: x, in_dims=3)(torch.ones(2)), ValueError, "in_dims=3 is no dimension"),
    (lambda: func.vmap(lambda x: 1)(torch.ones(2)), ValueError, "returned int"),
    (lambda: functional.vjp(lambda x: x, torch.ones(2)), RuntimeError, "needs v="),
    (lambda: functional.hessian(lambda x: x, torch.ones(2)), RuntimeError, "returns one number"),
    (lambda: func.functional_call(nn.Linear(1, 1), {"w": torch.ones(1)}, torch.ones(1, 1)), KeyError, "It has weight"),
    (lambda: gradcheck(torch.sin, torch.ones(2)), ValueError, "requires_grad_"),
]


@pytest.mark.parametrize(("call", "error", "said"), WRONG, ids=range(len(WRONG)))
def test_mistakes(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_fit_trains_with_functions_and_hooks_as_a_loop_does():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 1)

        def forward(self, x):
            return self.second(Exp.apply(self.first(x)))

    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    y = x.sum(1, keepdims=True)
    nets = [Net()]
    nets += [copy.deepcopy(nets[0]) for _ in range(2)]
    for net in nets[:2]:
        net.second.register_full_backward_hook(lambda m, gi, go: (gi[0] * 3,))
        net.first.bias.register_hook(lambda g: g * 0)
    nets[0].compile(rv.optimizers.SGD(0.01), "mse")
    nets[2].compile(rv.optimizers.SGD(0.01), "mse")
    for net in (nets[0], nets[2]):
        net.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    opt = torch.optim.SGD(nets[1].parameters(), 0.01)
    for _ in range(2):
        for i in (0, 4):
            opt.zero_grad()
            ((nets[1](torch.tensor(x[i : i + 4])) - torch.tensor(y[i : i + 4])) ** 2).mean().backward()
            opt.step()
    for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert not np.array_equal(nets[0].first.weight.numpy(), nets[2].first.weight.numpy())


def test_gradient_tapes_follow_functions():
    x = torch.tensor([1.0, 2.0])
    with rv.GradientTape() as outer:
        outer.watch(x)
        with rv.GradientTape() as tape:
            tape.watch(x)
            y = Exp.apply(x * 2)
        slope = tape.gradient(y, x)
    np.testing.assert_allclose(slope.numpy(), 2 * np.exp([2.0, 4.0]), rtol=1e-6)
    np.testing.assert_allclose(outer.gradient(slope, x).numpy(), 4 * np.exp([2.0, 4.0]), rtol=1e-6)
    with rv.GradientTape() as tape:
        tape.watch(x)
        y = Exp.apply(x)
    with pytest.raises(RuntimeError, match=r"Write torch.autograd.functional.jacobian"):
        tape.jacobian(y, x)


def test_hooks_that_read_values_are_reported_with_their_line_in_fit():
    net = nn.Sequential(nn.Linear(1, 1))
    net[0].register_full_backward_hook(lambda m, gi, go: print(go[0].sum().item()))
    net.compile("sgd", "mse")
    with pytest.raises(RuntimeError, match=r"stands for data .*test_autograd.py:\d+"):
        net.fit(np.ones((2, 1)), np.ones((2, 1)), verbose=0)


# --- derivatives of functions -------------------------------------------------------------------------------------


def cubes(x):
    return (x**3).sum()


X = torch.tensor([1.0, 2.0])
V = torch.tensor([1.0, 10.0])

DERIVATIVES = [
    (lambda: func.grad(cubes)(X), [3, 12]),
    (lambda: func.grad_and_value(cubes)(X)[1], 9),
    (lambda: func.grad(lambda x, y: (x * y).sum(), argnums=(0, 1))(X, V)[1], [1, 2]),
    (lambda: func.grad(lambda x: (cubes(x), x * 2), has_aux=True)(X)[1], [2, 4]),
    (lambda: func.grad(lambda x: func.grad(cubes)(x).prod())(X), [72, 36]),
    (lambda: func.grad(lambda p: (p["a"] * p["b"][0]).sum())({"a": X, "b": [V]})["b"][0], [1, 2]),
    (lambda: func.vjp(lambda x: x**2, X)[1](V)[0], [2, 40]),
    (lambda: func.vjp(lambda x: x**2, X)[0], [1, 4]),
    (lambda: func.jvp(lambda x: x**2, (X,), (V,))[1], [2, 40]),
    (lambda: func.jacrev(lambda x: x**2)(X), [[2, 0], [0, 4]]),
    (lambda: func.jacfwd(lambda x, y: x * y, argnums=1)(X, V), [[1, 0], [0, 2]]),
    (lambda: func.jacrev(lambda x: {"a": x.sum()})(X)["a"], [1, 1]),
    (lambda: func.hessian(cubes)(X), [[6, 0], [0, 12]]),
    (lambda: func.vmap(func.grad(cubes))(torch.stack([X, V])), [[3, 12], [3, 300]]),
    (lambda: func.vmap(lambda x, y: x * y, in_dims=(0, None), out_dims=1)(X, V), [[1, 2], [10, 20]]),
    (
        lambda: func.vmap(lambda d: d["a"].sum(), in_dims=({"a": 1, "b": None},))({"a": torch.ones(2, 3), "b": 1}),
        [2] * 3,
    ),
    (lambda: func.vmap(func.jacrev(lambda x: x**2))(torch.stack([X]))[0], [[2, 0], [0, 4]]),
    (lambda: func.jacrev(func.vmap(lambda x: x**2))(X), [[2, 0], [0, 4]]),
    (lambda: functional.jacobian(lambda a, b: a * b, (X, V))[1], [[1, 0], [0, 2]]),
    (lambda: functional.jacobian(lambda a: (a.sum(), a), X)[0], [1, 1]),
    (lambda: functional.hessian(lambda a, b: (a * a * b).sum(), (X, V))[0][1], [[2, 0], [0, 4]]),
    (lambda: functional.vjp(lambda x: x**2, X, V)[1], [2, 40]),
    (lambda: functional.jvp(lambda x: x**2, X, V)[1], [2, 40]),
    (lambda: functional.hvp(cubes, X, V)[1], [6, 120]),
    (lambda: functional.vhp(cubes, X, V)[0], 9),
    (lambda: func.grad(lambda x: Exp.apply(x * 0).sum())(X), [0, 0]),
]


@pytest.mark.parametrize(("call", "expected"), DERIVATIVES, ids=range(len(DERIVATIVES)))
def test_derivatives_of_functions(call, expected):
    found = call()
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
    assert not found.requires_grad


def test_derivatives_of_functions_are_differentiated_like_others():
    x = leaf(1.0, 2.0)
    func.grad(cubes)(x).sum().backward()
    assert x.grad.tolist() == [6, 12]
    y = leaf(1.0, 2.0)
    functional.jacobian(lambda a: a**3, y, create_graph=True).sum().backward()
    assert y.grad.tolist() == [6, 12]
    assert not functional.jacobian(lambda a: a**3, y).requires_grad


def test_rows_of_a_jacobian_and_samples_of_a_batch_are_one_program_each():
    def count(call):
        before = len(trace.programs)
        call()
        return len(trace.programs) - before

    rows = [count(lambda n=n: func.jacrev(lambda x: (x * 3).tanh())(torch.ones(n))) for n in (5, 9)]
    samples = [count(lambda n=n: func.vmap(func.grad(lambda x: x.tanh().sum()))(torch.ones(n, 7))) for n in (5, 9)]
    assert max(rows) <= 2
    assert samples[1] == 0
    assert samples[0] <= 2


def test_modules_as_functions_of_their_parameters():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(2, 2, bias=False)
            self.b = nn.Linear(2, 2, bias=False)
            self.b.weight = self.a.weight
            self.norm = nn.BatchNorm1d(2)

        def forward(self, x):
            return self.norm(self.b(self.a(x)))

    net = Tied().eval()
    eye = torch.eye(2) * 2
    before = net.a.weight
    result = func.functional_call(net, ({"a.weight": eye}, {"norm.running_mean": torch.ones(2)}), (torch.ones(1, 2),))
    np.testing.assert_allclose(result.detach().numpy(), [[3.0, 3.0]], rtol=1e-4)
    assert net.a.weight is before is net.b.weight
    nets = [nn.Linear(2, 1) for _ in range(3)]
    parameters, buffers = func.stack_module_state(nets)
    assert parameters["weight"].shape == (3, 1, 2)
    assert buffers == {}
    values = func.vmap(lambda p, x: func.functional_call(nets[0], p, x), in_dims=(0, None))(
        parameters, torch.ones(4, 2)
    )
    for value, one in zip(values, nets, strict=True):
        np.testing.assert_allclose(value.detach().numpy(), one(torch.ones(4, 2)).detach().numpy(), rtol=1e-6)


# --- checks -------------------------------------------------------------------------------------------------------


class WrongExp(Exp):
    @staticmethod
    def backward(ctx, g):
        return Exp.backward(ctx, g) * 1.01


def test_gradcheck():
    x, y = leaf(0.3, 0.7, dtype=torch.float64), leaf(1.0, 2.0, dtype=torch.float64)
    assert gradcheck(lambda a, b: (Exp.apply(a) * b, a.sin().sum()), (x, y))
    assert gradgradcheck(lambda a, b: Exp.apply(a) * b, (x, y))
    assert not gradcheck(WrongExp.apply, x, raise_exception=False)
    with pytest.raises(GradcheckError, match=r"is 2\.03389 at element 1 of the output and 1 of the input"):
        gradcheck(WrongExp.apply, x)


def test_checkpoints_change_no_number():
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    x = torch.ones(4, 2, requires_grad=True)
    assert checkpoint(net, x, use_reentrant=False).equal(net(x))
    assert checkpoint_sequential(net, 2, x, use_reentrant=False).equal(net(x))


def test_backward_of_several_tensors():
    x = leaf(1.0, 2.0)
    torch.autograd.backward([x.sum(), x * x], [None, torch.ones(2)])
    assert x.grad.tolist() == [3, 5]


def test_gradients_that_are_nan_are_reported_with_their_function():
    x = leaf(0.0, 4.0)

    def derive():
        (torch.sqrt(x * 1) * 0).sum().backward()

    derive()
    with torch.autograd.detect_anomaly():
        assert torch.is_anomaly_enabled()
        with pytest.raises(RuntimeError, match=r"of sqrt, whose result has shape \(2,\)"):
            derive()
    torch.autograd.set_detect_anomaly(True)
    with pytest.raises(RuntimeError, match="NaN"):
        derive()
    torch.autograd.set_detect_anomaly(False)
    derive()
    assert not torch.is_anomaly_enabled()
