"""Generated eager programs: tensors changed in place, read, differentiated and stepped in any order, as in PyTorch."""

import random

import numpy as np
import pytest
import torch as theirs

import ranvier as rv
import ranvier.torch as ours

pytestmark = pytest.mark.peers

STATEMENTS = 12
# What docs/pytorch.md says is refused, where PyTorch goes on: a program is compared up to there.
REFUSED = ("history ended", "cannot be changed in place while")


class Program:
    """A program as lines of Python over ``torch`` and the tensors v0, v1 (parameters), v2, ..."""

    def __init__(self, number):
        self.random = random.Random(number)
        self.lines = [f"v{i} = torch.tensor({self.numbers()}, requires_grad=True)" for i in (0, 1)]
        self.lines += [f"v2 = torch.tensor({self.numbers()})"]
        self.lines += ["optimizer = torch.optim.SGD([v0, v1], lr=0.1, momentum=0.5)", "total = 0.0"]
        self.count = 3
        for _ in range(STATEMENTS):
            self.lines.append(self.random.choice(KINDS)(self))

    def numbers(self):
        return [round(self.random.uniform(-1, 1), 2) for _ in range(3)]

    def any(self):
        return f"v{self.random.randrange(self.count)}"

    def parameter(self):
        return f"v{self.random.randrange(2)}"

    def method(self, *more):
        return self.random.choice(["add_", "mul_", "sub_", *more])

    def new(self, value):
        self.count += 1
        return f"v{self.count - 1} = {value}"

    def noticed(self, parameter, line):
        """PyTorch does not notice what is written by way of ``data``, and takes new values for old ones in gradients."""
        return f"{line}\nwith torch.no_grad():\n    {parameter}.add_(0.0)"

    def value(self, depth=0):
        kind = self.random.random()
        if depth > 2 or kind < 0.35:
            return self.any()
        if kind < 0.6:
            return f"({self.value(depth + 1)} {self.random.choice('+-*')} {self.value(depth + 1)})"
        if kind < 0.7:
            return f"{self.value(depth + 1)} * {self.random.choice([0.5, 2.0, 1.0])}"
        if kind < 0.8:
            return f"torch.tanh({self.value(depth + 1)})"
        return self.random.choice(
            [f"{self.any()}.detach().clone()", f"{self.any()}.clone()", f"{self.parameter()}.data"]
        )


KINDS = [
    *[lambda p: p.new(p.value())] * 5,
    lambda p: f"with torch.no_grad():\n    {p.new('1.0 * ' + p.value())}",
    *[lambda p: f"({p.value()} * {p.any()}).sum().backward(retain_graph=True)"] * 2,
    lambda p: f"seen.append({p.any()}.tolist())",
    lambda p: f"seen.append(None if {(v := p.parameter())}.grad is None else {v}.grad.tolist())",
    *[lambda p: "optimizer.step()"] * 2,
    lambda p: "optimizer.zero_grad()",
    lambda p: p.noticed(v := p.parameter(), f"{v}.data = ({p.value()}).detach().clone()"),
    lambda p: p.noticed(v := p.parameter(), f"{v}.data.{p.method('copy_')}(({p.value()}).detach())"),
    lambda p: f"with torch.no_grad():\n    {p.parameter()}.{p.method('copy_')}({p.value()})",
    lambda p: f"{p.any()}.{p.method()}({p.value()})",
    lambda p: f"{p.any()}[{p.random.randrange(3)}] = {p.random.choice(['0.5', p.any() + '[1]'])}",
    lambda p: p.new(f"{p.any()}[{p.random.choice(['0:2', '1:', '[0, 2]'])}].sum() * {p.any()}"),
    lambda p: f"{p.any()}[0:2].mul_(2.0)",
    lambda p: p.new(f"{p.parameter()}.grad.clone()"),
    lambda p: f"total = total + ({p.value()}).sum()",
]


def outcome(names):
    """All that a program saw, and the tensors that it ends with."""
    tensors = {k: v for k, v in names.items() if k == "total" or (k[0] == "v" and k[1:].isdigit())}
    return [*names["seen"], *(np.asarray(getattr(v, "tolist", lambda v=v: v)()) for v in tensors.values())]


@pytest.mark.parametrize("engine", ["reference", "native"])
@pytest.mark.parametrize("hundred", range(4))
def test_as_pytorch(engine, hundred):
    rv.set_engine(engine)
    try:
        for number in range(100 * hundred, 100 * hundred + (100 if engine == "reference" else 10)):
            compare(number)
    finally:
        rv.set_engine(None)


def compare(number):
    a, b = {"torch": theirs, "seen": []}, {"torch": ours, "seen": []}
    done = []
    for line in Program(number).lines:
        try:
            exec(line, a)
        except (RuntimeError, AttributeError, NameError):  # PyTorch refuses it: it is no part of the program
            if "backward" in line:  # which may have gone half of the way
                break
            continue
        done.append(line)
        try:
            exec(line, b)
        except RuntimeError as error:
            if not any(words in str(error) for words in REFUSED):
                raise AssertionError("\n".join(done)) from error
            return
    for expected, got in zip(outcome(a), outcome(b), strict=True):
        if expected is None or got is None:
            assert expected is got, "\n".join(done)
        elif np.abs(expected).max(initial=0.0) < 1e4:  # beyond that rounding is all there is
            np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4, err_msg="\n".join(done))
