"""Random numbers that a model draws in ``forward``: new ones for each batch, or an error."""

import numpy as np
import pytest

import ranvier.torch as torch
from ranvier.torch import nn

F = nn.functional
NEW = {
    "rand": lambda x: torch.rand(4),
    "randn": lambda x: torch.randn(4),
    "rand_like": torch.rand_like,
    "randn_like": torch.randn_like,
    "randn of the batch": lambda x: torch.randn(x.size(0), 4),
    "randn of a shape": lambda x: torch.randn(x.shape),
    "randint": lambda x: torch.randint(0, 90, (4,)).float(),
    "bernoulli": lambda x: torch.bernoulli(torch.sigmoid(x)),
    "normal": lambda x: torch.normal(0.0, 1.0, (4,)),
    "normal of a tensor": lambda x: torch.normal(x, 1.0),
    "normal_": lambda x: torch.empty(4).normal_(),
    "normal_ of zeros": lambda x: torch.zeros(x.shape[0], 4).normal_(1, 2),
    "uniform_": lambda x: torch.zeros_like(x).uniform_(-1, 1),
    "exponential_": lambda x: torch.zeros(4).exponential_(2.0),
    "dropout": lambda x: F.dropout(torch.ones_like(x) * torch.arange(4), 0.5),
    "sample": lambda x: torch.distributions.Normal(0.0, 1.0).sample((4,)),
    "rsample": lambda x: torch.distributions.Normal(x, 1.0).rsample(),
    "Uniform": lambda x: torch.distributions.Uniform(0.0, 1.0).sample((4,)),
    "Bernoulli": lambda x: torch.distributions.Bernoulli(logits=x).sample(),
    "Exponential": lambda x: torch.distributions.Exponential(torch.ones(4)).rsample(),
    "Laplace": lambda x: torch.distributions.Laplace(x, 1.0).rsample(),
}
REFUSED = {
    "randperm": lambda x: torch.randperm(4),
    "multinomial": lambda x: torch.multinomial(torch.ones(4), 2),
    "Gamma": lambda x: torch.distributions.Gamma(1.0, 1.0).sample((4,)),
    "a generator": lambda x: torch.rand(4, generator=torch.Generator()),
}


class Noisy(nn.Module):
    def __init__(self, draw):
        super().__init__()
        self.draw = draw
        self.layer = nn.Linear(4, 1)

    def forward(self, x):
        return self.layer(x + self.draw(x))


def losses(draw):
    torch.manual_seed(0)
    net = Noisy(draw)
    with torch.no_grad():
        net.layer.weight.copy_(torch.tensor([[1.0, 2.0, 4.0, 8.0]]))
    net.compile(torch.optim.SGD(net.parameters(), lr=1e-12), "mse", engine="reference")
    x = np.zeros((8, 4), "float32")
    return net.fit(x, x[:, :1], epochs=3, batch_size=8, verbose=0).history["loss"]


@pytest.mark.filterwarnings("ignore::ranvier.training.preflight.report.PreflightWarning")
@pytest.mark.parametrize("draw", NEW.values(), ids=NEW)
def test_each_batch_gets_numbers_of_its_own(draw):
    first = losses(draw)
    assert len({round(loss, 5) for loss in first}) == 3
    assert losses(draw) == first


@pytest.mark.filterwarnings("ignore::ranvier.training.preflight.report.PreflightWarning")
@pytest.mark.parametrize("draw", REFUSED.values(), ids=REFUSED)
def test_what_a_program_does_not_draw_is_refused(draw):
    with pytest.raises(RuntimeError, match=r"Write torch\.rand|Leave generator= out"):
        losses(draw)


def test_draws_of_a_program_have_their_distributions():
    """In a step that is traced, as outside."""
    made = {}

    class Drawing(nn.Module):
        def forward(self, x):
            n = x.shape[0]
            made["shape"] = torch.zeros(n, 3).shape[1]
            return torch.cat(
                [
                    torch.rand(n, 400),
                    torch.randn(n, 400),
                    torch.randint(2, 5, (n, 400)).float(),
                    torch.empty(n, 400).exponential_(4.0),
                ],
                1,
            )

    found = Drawing().predict(np.zeros((50, 2), "float32"), verbose=0).reshape(50, 4, 400)
    assert made["shape"] == 3
    np.testing.assert_allclose(found.mean((0, 2)), [0.5, 0, 3, 0.25], atol=0.02)
    np.testing.assert_allclose(found.std((0, 2)), [12**-0.5, 1, (2 / 3) ** 0.5, 0.25], atol=0.02)
    assert set(found[:, 2].ravel()) == {2, 3, 4}
