"""The programs of PyTorch's vocabulary: explicit loops, and `fit` on its modules. See programs.py."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import ranvier.torch as torch
from ranvier.torch import nn, optim
from ranvier.torch.nn import functional as F
from ranvier.torch.optim import lr_scheduler, swa_utils
from ranvier.torch.utils.data import DataLoader, TensorDataset
from tests.golden.programs import KINDS, PROGRAMS, Result, X, Y, fit, numbers, program

PICTURES = numbers(12, 3, 8, 6)


def loop(net: Any, optimizer: Any, scheduler: Any = None, x: Any = X, y: Any = Y) -> Result:
    """Three steps of the usual explicit loop."""
    inputs, targets, losses = torch.tensor(x), torch.tensor(y), []
    for _ in range(3):
        loss = F.cross_entropy(net(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        losses.append(loss.item())
    return losses, [value.numpy() for value in net.state_dict().values()]


def network(*hidden: Any) -> Any:
    return nn.Sequential(nn.Linear(6, 8), *(hidden or (nn.Tanh(),)), nn.Linear(8, 3))


OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "SGD": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "SGD with dampening": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.1, maximize=True),
    "Adadelta": optim.Adadelta,
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.1),
    "Adam": lambda p: optim.Adam(p, lr=0.01, weight_decay=0.01, amsgrad=True),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01),
    "Adamax": optim.Adamax,
    "NAdam": lambda p: optim.NAdam(p, decoupled_weight_decay=True, weight_decay=0.01),
    "RMSprop": lambda p: optim.RMSprop(p, momentum=0.5, centered=True),
}
SCHEDULERS: dict[str, Callable[[Any], Any]] = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 2),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 3),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=5),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, total_iters=2), lr_scheduler.ExponentialLR(o, 0.9)], [1]
    ),
}


def optimized(make: Callable[[Any], Any]) -> Result:
    net = nn.Linear(6, 3)
    return loop(net, make(net.parameters()))


def scheduled(make: Callable[[Any], Any]) -> Result:
    net = nn.Linear(6, 3)
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    return loop(net, optimizer, make(optimizer))


PROGRAMS |= {f"torch {name}": functools.partial(optimized, make) for name, make in OPTIMIZERS.items()}
PROGRAMS |= {f"torch {name}": functools.partial(scheduled, make) for name, make in SCHEDULERS.items()}


@program
def torch_dropout_and_normalization() -> Result:
    net = network(nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.LayerNorm(8), nn.GELU())
    return loop(net, optim.Adam(net.parameters()))


@program
def torch_images() -> Result:
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 4, 3, 2, 1, groups=2),
        nn.GroupNorm(2, 4), nn.ConvTranspose2d(4, 3, 3, 2), nn.SiLU(), nn.AdaptiveAvgPool2d((2, 3)), nn.Flatten(),
        nn.Linear(18, 3))  # fmt: skip
    return loop(net, optim.Adam(net.parameters()), x=PICTURES, y=KINDS[:12])


class Net(nn.Module):
    """A module as PyTorch's users write it, with functions, methods and an operator or two."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)
        self.fc1, self.fc2 = nn.Linear(120, 10), nn.Linear(10, 3)

    def forward(self, x: Any) -> Any:
        x = torch.flatten(F.relu(self.conv(x)), 1)
        x = torch.tanh(self.fc1(x)) * 2 + self.fc1(x).clamp(-1, 1).sigmoid()
        return self.fc2(F.dropout(x, 0.2, self.training))


@program
def torch_module_and_loader() -> Result:
    net = Net()
    optimizer = optim.AdamW(net.parameters(), lr=0.01)
    loader = DataLoader(TensorDataset(torch.tensor(PICTURES), torch.tensor(KINDS[:12])), batch_size=5, shuffle=True)
    criterion, losses = nn.CrossEntropyLoss(label_smoothing=0.1), []
    for _ in range(2):
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), targets)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 0.5)
            optimizer.step()
            losses.append(loss.item())
    return losses, [p.detach().numpy() for p in net.parameters()]


@program
def torch_fit() -> Result:
    """The other vocabulary's `fit` on this one's module."""
    import ranvier as rv

    net = network(nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3))
    return fit(net, X, Y, optimizer=rv.optimizers.AdamW(), loss=nn.CrossEntropyLoss(), metrics=["accuracy"])


@program
def torch_losses() -> Result:
    """A sum of criteria, of modules and of functions."""
    net = nn.Sequential(nn.Linear(6, 7), nn.Mish(), nn.Linear(7, 3))
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    inputs, targets, losses = torch.tensor(X), torch.tensor(numbers(40, 3, seed=4)), []
    for _ in range(3):
        out = net(inputs)
        loss = nn.MSELoss()(out, targets) + nn.L1Loss()(out, targets) + nn.HuberLoss(delta=0.5)(out, targets)
        loss = loss + F.smooth_l1_loss(out, targets) + F.binary_cross_entropy_with_logits(out, (targets > 0).float())
        loss = loss + F.kl_div(F.log_softmax(out, 1), F.softmax(targets, 1), reduction="batchmean")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, [p.detach().numpy() for p in net.parameters()]


@program
def torch_eager() -> Result:
    """Gradients of the user's own step, without an optimizer."""
    w = torch.tensor(numbers(6, 3, seed=6), requires_grad=True)
    x, losses = torch.tensor(X), []
    for _ in range(3):
        loss = ((x @ w).exp().log1p() - x[:, :3].abs().sqrt()).pow(2).mean()
        loss.backward()
        with torch.no_grad():
            w -= 0.1 * w.grad  # type: ignore[operator]  # there is a gradient
        w.grad = None
        losses.append(loss.item())
    return losses, [w.detach().numpy()]


@program
def torch_averaged() -> Result:
    net = network(nn.BatchNorm1d(8), nn.ReLU())
    averaged = swa_utils.AveragedModel(net, avg_fn=swa_utils.get_ema_avg_fn(0.9))
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    losses = []
    for _ in range(3):
        losses += loop(net, optimizer)[0]
        averaged.update_parameters(net)
    return losses, [np.asarray(p.detach().numpy()) for p in averaged.parameters()]


@program
def torch_groups_accumulated() -> Result:
    """Parameter groups of their own rates, gradients of several batches, a frozen layer."""
    net = network(nn.ReLU(), nn.Linear(8, 8), nn.ELU())
    for p in net[2].parameters():
        p.requires_grad_(False)
    groups = [{"params": net[0].parameters()}, {"params": net[4].parameters(), "lr": 0.1}]
    optimizer = optim.Adam(groups, lr=0.01)
    losses = []
    for _ in range(2):
        optimizer.zero_grad()
        for i in (0, 20):
            loss = F.cross_entropy(net(torch.tensor(X[i : i + 20])), torch.tensor(Y[i : i + 20])) / 2
            loss.backward()
            losses.append(loss.item())
        optimizer.step()
    return losses, [p.detach().numpy() for p in net.parameters()]
