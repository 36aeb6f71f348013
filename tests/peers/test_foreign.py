"""Objects of PyTorch's and Keras's own packages, given to Ranvier: the error says what they are and what to write."""

import keras
import pytest
import torch

import ranvier as rv
import ranvier.torch as ours
from ranvier.torch import nn

pytestmark = pytest.mark.peers
LINEAR, DENSE = torch.nn.Linear(2, 3), keras.layers.Dense(3)


class Attribute(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value


NET = nn.Sequential(nn.Linear(2, 3))
CALLS = [
    lambda: nn.Sequential(LINEAR),
    lambda: nn.Sequential(nn.Linear(2, 2), LINEAR),
    lambda: rv.Sequential([LINEAR]),
    lambda: rv.Sequential([rv.layers.Dense(2)]).add(LINEAR),
    lambda: nn.ModuleList([LINEAR]),
    lambda: nn.ModuleDict({"a": LINEAR}),
    lambda: Attribute(LINEAR),
    lambda: Attribute(torch.nn.Parameter(torch.ones(2))),
    lambda: ours.optim.SGD(LINEAR.parameters(), lr=0.1),
    lambda: NET.compile(torch.optim.SGD(LINEAR.parameters(), lr=0.1), "mse"),
    lambda: NET.compile("sgd", torch.nn.MSELoss()),
    lambda: rv.Sequential([DENSE]),
    lambda: nn.Sequential(DENSE),
    lambda: rv.Sequential([rv.layers.Dense(2)]).compile(keras.optimizers.SGD(), "mse"),
    lambda: rv.Sequential([rv.layers.Dense(2)]).compile("sgd", keras.losses.MeanSquaredError()),
]


@pytest.mark.parametrize("call", CALLS)
def test_what_is_of_another_library(call):
    with pytest.raises(TypeError, match=r"own package, a \w+ there, .* Write `import ranvier"):
        call()
