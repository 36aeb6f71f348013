"""LBFGS on functions with known minima."""

import pytest

import ranvier as rv
import ranvier.torch as torch


@pytest.fixture(autouse=True)
def reference(float64):
    before = rv.get_engine()
    rv.set_engine("reference")
    yield
    rv.set_engine(before)


def valley(x):
    """Rosenbrock's function: its minimum is 0, at (1, 1)."""
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def closure_of(x, optimizer, function, losses):
    def closure():
        optimizer.zero_grad()
        loss = function(x)
        loss.backward()
        losses.append(loss.item())
        return loss

    return closure


@pytest.mark.parametrize("options", [{"history_size": 100}, {"history_size": 5}, {"lr": 0.5}])
def test_a_valley_is_followed_to_its_minimum(options):
    x = torch.tensor([-1.5, 2.0], requires_grad=True)
    losses: list[float] = []
    optimizer = torch.optim.LBFGS([x], line_search_fn="strong_wolfe", max_iter=100, **options)
    first = optimizer.step(closure_of(x, optimizer, valley, losses))
    assert first.item() == losses[0] == 12.5
    assert x.tolist() == pytest.approx([1, 1], abs=1e-4)
    assert len(losses) == optimizer.state[x]["func_evals"] <= 125


def test_a_quadratic_function_in_steps_of_lr():
    x = torch.tensor([3.0, -2.0], requires_grad=True)
    losses: list[float] = []
    optimizer = torch.optim.LBFGS([x], lr=1.0, max_iter=50)
    closure = closure_of(x, optimizer, lambda x: x[0] ** 2 + 3 * x[1] ** 2, losses)
    for _ in range(2):
        optimizer.step(closure)
    assert losses[-1] < 1e-9


def test_a_state_dict_continues_a_run():
    found = []
    for restored in (False, True):
        x = torch.tensor([-1.5, 2.0], requires_grad=True)
        losses: list[float] = []
        optimizer = torch.optim.LBFGS([x], max_iter=5, line_search_fn="strong_wolfe")
        optimizer.step(closure_of(x, optimizer, valley, losses))
        if restored:
            kept, optimizer = optimizer.state_dict(), torch.optim.LBFGS([x])
            optimizer.load_state_dict(kept)
        optimizer.step(closure_of(x, optimizer, valley, losses))
        found.append(losses)
    assert found[0] == found[1]


def test_refused():
    x = torch.tensor([1.0], requires_grad=True)
    with pytest.raises(TypeError, match=r"Write optimizer.step\(closure\)"):
        torch.optim.LBFGS([x]).step()
    with pytest.raises(ValueError, match="Write 'strong_wolfe', or None"):
        torch.optim.LBFGS([x], line_search_fn="armijo")
    with pytest.raises(ValueError, match="one group"):
        torch.optim.LBFGS([{"params": [x]}, {"params": [torch.tensor([1.0], requires_grad=True)]}])
