"""What `optimizer.state` of the PyTorch vocabulary is: dicts that are what steps read, until they are taken out."""

import copy
from typing import Any

import pytest

from ranvier import torch
from ranvier.torch import optim


def stepped(*params):
    optimizer = optim.Adam(params, lr=0.1)
    sum((p * p).sum() for p in params).backward()
    optimizer.step()
    return optimizer


def test_the_state_of_a_parameter_is_a_dict():
    w = torch.ones(2, requires_grad=True)
    optimizer = stepped(w)
    optimizer.state["mine"] = {"a": 1}
    state: Any = optimizer.state[w]
    assert state is optimizer.state[w]
    for live in (state, optimizer.state):
        plain = {key: live[key] for key in live}
        assert isinstance(live, dict)
        assert list(reversed(live)) == list(live)[::-1] == [*plain][::-1]
        for same in (live | {}, {} | live, {**live}, dict(live), live.copy(), copy.copy(live)):
            assert type(same) is dict
            assert list(same) == list(plain)
    live = optimizer.state["mine"]
    live |= {"b": 2}
    assert (live == {"a": 1, "b": 2}, live != {"a": 1, "b": 2}) == (True, False)

    other, v = copy.deepcopy((optimizer, w))
    other.state.clear()
    state["exp_avg"].zero_()
    assert (len(other.state), v in other.state, float(optimizer.state[w]["step"])) == (0, False, 1.0)


def test_a_state_that_was_taken_out_is_a_dict_of_its_own():
    w, v = (torch.ones(2, requires_grad=True) for _ in range(2))
    optimizer = stepped(w, v)
    known = optimizer.state[w]["exp_avg"].tolist()
    state, all_of_them = optimizer.state.pop(w), optimizer.state
    assert (w in optimizer.state, v in optimizer.state) == (False, True)
    optimizer.state = {}
    assert (len(optimizer.state), v in all_of_them) == (0, True)
    optimizer.step()
    assert (state["exp_avg"].tolist(), float(state["step"])) == (known, 1.0)
    state["exp_avg"] = torch.zeros(5)  # of no consequence
    assert optimizer.state[w]["exp_avg"].shape == (2,)


def test_a_state_of_another_shape_waits_for_its_parameter():
    w = torch.ones(3, requires_grad=True)
    optimizer = stepped(w)
    before = optimizer.state[w]["exp_avg"].clone()
    optimizer.state[w]["exp_avg"] = torch.zeros(2)
    assert optimizer.state[w]["exp_avg"].shape == (2,)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"exp_avg of parameter 0 has shape \(2,\) in .* Adam instead of \(3,\)"):
            optimizer.step()
    optimizer.state[w]["exp_avg"] = before
    optimizer.step()
    assert float(optimizer.state[w]["step"]) == 2
    saved = optimizer.state_dict()
    optimizer.state[w]["exp_avg"] = torch.zeros(2)
    optimizer.load_state_dict(saved)
    optimizer.step()
    assert float(optimizer.state[w]["step"]) == 3
