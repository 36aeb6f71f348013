"""Programs that change tensors in place, index them, choose from them and differentiate: what PyTorch makes of each."""

import copy

import numpy as np
import pytest
import torch as theirs

import ranvier.torch as ours

pytestmark = pytest.mark.peers


def linear(torch, inputs, outputs, width=0.5, bias=0.0):
    layer = torch.nn.Linear(inputs, outputs)
    values = np.linspace(-width, width, inputs * outputs).reshape(outputs, inputs).astype("float32")
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(values))
        layer.bias.fill_(bias)
    return layer


def gradients_of(module):
    return [p.grad for p in module.parameters()]


# --- parameters changed between steps ---------------------------------------------------------------------------------


def clipped_weights(torch):
    net = torch.nn.Sequential(linear(torch, 2, 3), linear(torch, 3, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(4):
        optimizer.zero_grad()
        net(torch.ones(4, 2)).pow(2).mean().backward()
        optimizer.step()
        with torch.no_grad():
            net[0].weight.clamp_(-0.3, 0.3)
    return [*net.parameters(), *gradients_of(net)]


def descent_by_hand(torch):
    net = linear(torch, 2, 1, bias=1.0)
    for _ in range(4):
        net.zero_grad()
        net(torch.ones(4, 2)).pow(2).mean().backward()
        with torch.no_grad():
            for p in net.parameters():
                p -= 0.1 * p.grad
    return list(net.parameters())


def descent_on_a_leaf(torch):
    a, losses = torch.tensor([2.0], requires_grad=True), []
    for _ in range(4):
        loss = (a * a * 3).sum()
        loss.backward()
        losses.append(loss.item())
        with torch.no_grad():
            a -= 0.1 * a.grad
            a.grad = None
    return [losses, a]


def descent_through_data(torch):
    results = []
    for change in (
        lambda p: p.data.sub_(0.1 * p.grad),
        lambda p: setattr(p, "data", p.data - 0.1 * p.grad),
        lambda p: p.data.add_(p.grad, alpha=-0.1),
    ):
        net = linear(torch, 2, 1, bias=1.0)
        for _ in range(3):
            loss = net(torch.ones(4, 2)).pow(2).mean()
            net.zero_grad()
            loss.backward()
            results.append(loss)
            for p in net.parameters():
                change(p)
    return results


def moving_average(torch):
    slow, fast = linear(torch, 2, 1), linear(torch, 2, 1, 1.0, 2.0)
    for _ in range(3):
        for p, q in zip(slow.parameters(), fast.parameters(), strict=True):
            p.data.mul_(0.9).add_(q.data, alpha=0.1)
    return list(slow.parameters())


def averaged_weights(torch):
    """A second network follows the first by momentum; for a look at it they are exchanged, and back."""
    net, slow, results = linear(torch, 2, 1), linear(torch, 2, 1, 1.0, 2.0), []
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    pairs = list(zip(net.parameters(), slow.parameters(), strict=True))
    for _ in range(3):
        optimizer.zero_grad()
        net(torch.ones(4, 2)).pow(2).mean().backward()
        optimizer.step()
        for p, s in pairs:
            s.data = s.data * 0.5 + p.data * 0.5
        kept = [p.data for p, _ in pairs]
        for p, s in pairs:
            p.data = s.data.clone()
        results.append(net(torch.ones(1, 2)))
        for (p, _), before in zip(pairs, kept, strict=True):
            p.data = before
    return [*results, *net.parameters(), *slow.parameters()]


def read_after_the_step(torch):
    """What was computed from a loss that has been read, and is itself read late."""
    net, running, right = linear(torch, 2, 3), 0.0, []
    optimizer, kept = torch.optim.SGD(net.parameters(), lr=0.1), []
    for _ in range(3):
        optimizer.zero_grad()
        out = net(torch.ones(4, 2))
        loss = out.pow(2).mean()
        loss.backward()
        loss.item()
        running += loss.detach()
        kept.append(loss.detach() * 2)
        right.append((out > 0).float().mean())
        more = loss + 1
        optimizer.step()
        kept += [more, net.weight.data.sum()]
    return [running, *right, *kept]


def kept_copies(torch):
    net = linear(torch, 2, 1, bias=1.0)
    before = net.weight.clone()
    net.weight.data.add_(1)
    results = [before.sum(), net.weight - before]
    torch.nn.init.zeros_(net.weight)
    return [*results, before.sum(), net.weight]


def loaded_after_use(torch):
    net = linear(torch, 2, 1, bias=1.0)
    y = net(torch.ones(1, 2))
    y.item()
    net.load_state_dict({"weight": torch.zeros(1, 2), "bias": torch.zeros(1)})
    return [y.detach(), (y * 2).detach(), net(torch.ones(1, 2))]


def weight_norms(torch):
    net = linear(torch, 3, 3)
    optimizer, losses = torch.optim.Adam(net.parameters(), lr=0.1), []
    for _ in range(4):
        optimizer.zero_grad()
        loss = (net(torch.ones(2, 3)) - 1).pow(2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss)
        with torch.no_grad():
            norm = net.weight.norm(dim=1, keepdim=True)
            net.weight.mul_(torch.clamp(norm, max=0.5) / norm)
    return [*losses, net.weight]


# --- results and gradients changed ------------------------------------------------------------------------------------


def changed_results(torch):
    t, x = torch.ones(3) * 2, torch.arange(6.0).view(3, 2) * 1
    t.add_(1)
    x.sub_(x.mean(0)).div_(x.std(0))
    total = torch.zeros(2)
    total += x[0]
    return [t, x, total]


def changed_gradients(torch):
    net = linear(torch, 2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    (net(torch.ones(1, 2)) * 3).sum().backward()
    for p in net.parameters():
        p.grad.clamp_(-1.5, 1.5)
        p.grad.add_(p.data, alpha=0.1)
    optimizer.step()
    return [*net.parameters(), *gradients_of(net)]


def written_with_history(torch):
    p = torch.tensor([1.0, 2, 3], requires_grad=True)
    out, total = torch.zeros(3), torch.zeros(3)
    out[0] = p[0] * 2
    total.add_(p * 2)
    copied = torch.empty(3).copy_(p * 3)
    y = p * 5
    y[1] = 0
    ((p**2).sum() + out.sum() + total.sum() + copied.sum() + y.sum()).backward()
    return [p.grad, out, total, copied, y]


def written_in_many_places(torch):
    p = torch.tensor([[1.0, 2, 3], [4, 5, 6]], requires_grad=True)
    y = p * 1
    y[:, 1] = p[:, 0] * 2
    y[1, [0, 2]] = torch.tensor([7.0, 8.0])
    (y * y).sum().backward()
    return [y, p.grad]


def written_through_views(torch):
    t, net, result = torch.ones(2, 3), linear(torch, 2, 2), torch.ones(2, 3) * 1
    t[0].zero_()
    t[:, 1].fill_(5)
    net.weight.data[0].zero_()
    result[0].add_(3)
    result[1][2] = 9
    return [t, net.weight, result]


# --- choosing ---------------------------------------------------------------------------------------------------------


def indices(torch):
    x = torch.arange(12.0).view(3, 4).requires_grad_()
    rows, labels = torch.arange(3), torch.tensor([0, 1, 3])
    parts = [x[rows, labels], x[range(3), [2, 2, 1]], x[:, torch.tensor([2])], x[x > 4], x[[-1, 0]], x[1:, [0, 0]]]
    sum(part.sum() * (i + 1) for i, part in enumerate(parts)).backward()
    return [*parts, x.grad]


def picked_log_probabilities(torch):
    x = torch.tensor([[1.0, 2, 3], [3, 2, 1]], requires_grad=True)
    loss = -(x * 1).log_softmax(dim=1)[range(2), torch.tensor([0, 2])].mean()
    loss.backward()
    return [loss, x.grad, x.softmax(dim=-1)]


def ordered(torch):
    x = torch.tensor([[3.0, 1, 2, 0], [4, 6, 5, 7]], requires_grad=True)
    top, least = (x * 1).topk(2), (x * 1).topk(3, 1, largest=False)
    up, down = torch.sort(x, dim=0), x.detach()[:, :3].sort(descending=True)
    (top.values.sum() + least.values.sum() * 3 + up.values[0].sum()).backward()
    return [top.values, least.values, *up, *down, x.grad, torch.argsort(x[0, :3]), x.detach().max(1).values]


def gathered(torch):
    x, index = torch.arange(6.0).view(2, 3).requires_grad_(), torch.tensor([[2, 2], [0, 1]])
    mask = x.detach() > 2
    parts = [torch.gather(x, 1, index), (x * 2).gather(0, index[:, :1] % 2), torch.index_select(x, 1, index[1])]
    parts += [x.masked_fill(mask, 0.0), torch.masked_select(x, mask)]
    sum(part.sum() for part in parts).backward()
    return [*parts, x.grad, torch.nonzero(mask)]


def taken_apart(torch):
    x = torch.arange(10.0).view(5, 2)
    return [
        *x.chunk(2), *torch.split(x, 2), *x.split([1, 4]), *x.unbind(1), x.repeat(2, 3), torch.vstack([x, x]),
        torch.hstack([x, x]), torch.hstack([x[0], x[1]]), torch.vstack([x[0], x[1]]),
    ]  # fmt: skip


def numbers(torch):
    x = torch.tensor([[1.0, 2, 4], [3, 5, 9]])
    return [
        x.std(), x.std(0), x.var(1, keepdim=True), x.std(dim=1, unbiased=False), x.var(correction=0), torch.std(x),
        x.norm(), x.norm(1), x.norm(2, 1), x.norm(p=2, dim=0), x.amax(1), x.amin(), torch.log2(x), torch.log10(x),
        torch.isinf(x / 0), float(torch.allclose(x, x + 1e-9)), float(torch.equal(x, x + 1)), x.type(torch.int),
    ]  # fmt: skip


CHANGES = {
    "an element": lambda torch, q: q.__setitem__(0, 9.0),
    "copied": lambda torch, q: q.copy_(torch.ones(2)),
    "filled": lambda torch, q: q.fill_(5.0),
    "computed": lambda torch, q: q.mul_(2).tolist(),
    "several times": lambda torch, q: (q.mul_(2).tolist(), q.add_(1), q.fill_(3.0)),
    "through data": lambda torch, q: q.data.mul_(2).tolist(),
}


def operands_overwritten(torch):
    """What a gradient needs was computed before, and keeps the values of then."""
    results = []
    for make in (lambda q: q.clone().detach(), lambda q: q * 2, lambda q: torch.stack([q[0], q[1]])):
        for change in CHANGES.values():
            for is_read in (False, True):
                q, w = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0], requires_grad=True)
                loss = (w * make(q)).sum()
                if is_read:
                    loss.item()
                change(torch, q)
                loss.backward()
                results += [w.grad, q, loss]
    x, w = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0], requires_grad=True)
    loss = (w * x.mul_(2)).sum()
    results.append(loss.item())
    loss.backward()
    return [*results, w.grad, x]


def activations_in_place(torch):
    """As statements, in a residual block that adds what was changed, and of the data themselves."""
    F, nn = torch.nn.functional, torch.nn
    x = torch.linspace(-2, 2, 12).reshape(3, 4)
    layer = linear(torch, 4, 4)
    h = layer(x)
    block = nn.Sequential(nn.ReLU(True), linear(torch, 4, 4), nn.LeakyReLU(0.2, inplace=True))
    h = h + block(h)
    F.elu(h, 0.5, inplace=True)
    h.sum().item()
    h.sum().backward()
    results = [x, h, *gradients_of(layer), *gradients_of(block)]
    changes = [F.relu_, F.elu_, F.celu_, F.selu_, F.hardtanh_, F.leaky_relu_, torch.sigmoid_, torch.exp_]
    for change in changes:
        results += [change(y := x.clone() - 0.1), y]
    for name in ("relu6", "silu", "mish", "hardsigmoid", "hardswish", "celu"):
        y = (x + 0.3).requires_grad_() * 1
        assert getattr(F, name)(y, inplace=True) is y
        results.append(y)
    y = x.clone()
    F.threshold(y, 0.5, -3.0, inplace=True)
    net = nn.Sequential(nn.Dropout(0.5, inplace=True), nn.ReLU(inplace=True), nn.Hardtanh(-0.3, 0.4, True)).eval()
    results += [y, net(y), y]
    results.append(float((F.dropout2d(torch.ones(1, 64, 1, 1), 0.5, True, True) == 0).any()))
    z = torch.ones(99)
    F.dropout(z, inplace=True)
    results.append(float((z == 0).any()))
    net[0].inplace = net[1].inplace = net[2].inplace = False
    return [*results, *(float(repr(m) == m.__class__.__name__ + "()") for m in net[1:2])]


def state_dicts(torch):
    """What a state dict holds is written through, and asks for no gradient."""
    net = torch.nn.Sequential(linear(torch, 2, 3), torch.nn.BatchNorm1d(3))
    state = net.state_dict()
    kept = copy.deepcopy(state)
    state["0.weight"] += 1
    state["0.bias"].copy_(torch.ones(3))
    state["1.weight"].mul_(2)
    state["1.running_mean"].fill_(0.5)
    net(torch.tensor([[1.0, 2.0], [3.0, 5.0], [-1.0, 0.5]])).pow(3).sum().backward()
    results = [*net.parameters(), *gradients_of(net[1]), *net.buffers(), *state.values(), *kept.values()]
    results += [float(any(v.requires_grad for v in state.values())), float(state["0.weight"].grad is None)]
    net.load_state_dict({name: value * 2 for name, value in kept.items()})
    return [*results, *state.values()]


def parts_of_weights(torch):
    w = torch.nn.Parameter(torch.zeros(4, 3))
    torch.nn.init.constant_(w[:2], 0.5)
    torch.nn.init.eye_(w[1:])
    assert 0 < torch.nn.init.xavier_uniform_(w[:1]).abs().max() < 1.3
    torch.nn.init.ones_(w[0])
    assert w.requires_grad
    return [w]


def scaled_sums(torch):
    x, y = torch.tensor([1.0, -2.0]), torch.tensor([3.0, 4.0])
    return [x.add(y, alpha=0.5), x.sub(y, alpha=2), x.clamp_min(0), x.clamp_max(0.5), x.where(x > 0, y)]


def weights_that_are_nan(torch):
    """An evaluation, which may count in a tensor, finds them also where they meet zeros; a step looks at its update."""
    x, w, seen = torch.zeros(64, 100), torch.ones(100, 64, requires_grad=True), torch.zeros(())
    x[:, 90:] = 1.0
    with torch.no_grad():
        w[3] = float("nan")
        y = x @ w
        seen += 1
    return [torch.isnan(y).float(), seen]


# --- numbers that are easily wrong ------------------------------------------------------------------------------------


def rests_of_divisions(torch):
    x = torch.tensor([1.0, 1.0, 1e10, 5, -5, 7, -7, 6, 0.3], requires_grad=True)
    y = torch.tensor([0.1, -0.1, 3, float("inf"), float("inf"), -2, 2, 3, -1e-9], requires_grad=True)
    rests = [x % y, torch.fmod(x, y), torch.remainder(x, 0.7)]
    rests[0].sum().backward()
    return [*rests, (x // y).detach()[:-1], x.grad, y.grad[:-1] * 1e-3]


def far_from_zero(torch):
    x = torch.tensor([-1e20, -88.0, -20.0, 0.0, 0.5, 3.0, 88.0, 1e20], requires_grad=True)
    parts = [torch.sinh(x), torch.cosh(x), torch.asinh(x), torch.acosh(x.detach())]
    parts.append(torch.log(torch.erfc(torch.tensor([-2.0, 0.5, 4.0, 8.0]))))
    parts[2].sum().backward()
    return [*parts, x.grad]


def norms_of_matrices(torch):
    x = torch.arange(24.0).view(2, 3, 4) - 7
    orders = ("fro", "nuc", 1, -1, 2, -2, float("inf"), -float("inf"))
    whole = [torch.linalg.norm(x[0], k) for k in orders]
    parts = [torch.linalg.matrix_norm(x, k, (0, -1), True) for k in orders]
    vectors = [torch.linalg.vector_norm(torch.tensor([0.0, 3, 4]), k) for k in (-1, -2, 0.5, 0)]
    return [*whole, *parts, *vectors, torch.norm(x[0], "nuc"), torch.linalg.norm(x), torch.linalg.norm(x, 1, 2)]


def shares_of_elements(torch):
    x = torch.tensor([[1.0, 2, float("inf")], [float("nan"), 2, 1], [4, 3, 9]])
    shares = torch.tensor([0.0, 0.2, 0.5])
    modes = ("linear", "lower", "higher", "nearest", "midpoint")
    return [
        *(torch.quantile(x, shares, 1, interpolation=mode)[1:] for mode in modes), torch.quantile(x[2], 0.3),
        x.median(), *x.median(1)[:1], *x[2:].median(1, True), x[0].median(),
    ]  # fmt: skip


def joined_and_summed(torch):
    x = torch.arange(6.0).view(2, 3)
    several = torch.einsum("...ij,...kj->...ik", [x, torch.ones(4, 1, 3)])
    grown, y = torch.tensor([]), x * 1
    y[y > 9] = 1.0
    for _ in range(2):
        grown = torch.cat([grown, x])
    return [several, torch.einsum("ij,kj,k->i", x, x, x[:, 0]), grown, x.squeeze(0), x[:, None].squeeze((0, 1)), y]


def of_nothing(torch):
    x = torch.zeros(0, 3)
    return [x.any(), x.all(), x.any(0), x.all(1), torch.logsumexp(x, 0), x.amax(1)]


PROGRAMS = [
    rests_of_divisions, far_from_zero, norms_of_matrices, shares_of_elements, joined_and_summed, of_nothing,
    clipped_weights, descent_by_hand, descent_on_a_leaf, descent_through_data, moving_average, kept_copies,
    averaged_weights, read_after_the_step, loaded_after_use, weight_norms, changed_results, changed_gradients,
    written_with_history, written_in_many_places, written_through_views, indices, picked_log_probabilities, ordered,
    gathered, taken_apart, numbers, scaled_sums, state_dicts, parts_of_weights, operands_overwritten,
    activations_in_place, weights_that_are_nan,
]  # fmt: skip


def values(results):
    return [np.asarray(r.detach().numpy() if hasattr(r, "detach") else r) for r in results]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_as_pytorch(program):
    for ours_, theirs_ in zip(values(program(ours)), values(program(theirs)), strict=True):
        assert ours_.shape == theirs_.shape
        np.testing.assert_allclose(ours_, theirs_, rtol=1e-5, atol=1e-6)


WRONG = [
    lambda torch: torch.tensor([1.0, 2.0], requires_grad=True).__setitem__(0, 5.0),
    lambda torch: torch.tensor([1.0], requires_grad=True).fill_(5.0),
    lambda torch: torch.nn.ReLU(True)(torch.ones(2, requires_grad=True)),
    lambda torch: torch.nn.functional.dropout(torch.ones(2, requires_grad=True), inplace=True),
    lambda torch: (torch.arange(6.0).view(3, 2) * 1)[torch.tensor([99])],
    lambda torch: torch.nn.CrossEntropyLoss()(torch.zeros(2, 3), torch.tensor([0, 3])),
    lambda torch: torch.nn.functional.nll_loss(torch.zeros(2, 3), torch.tensor([2, -1])),
    lambda torch: torch.nn.functional.one_hot(torch.tensor([0, 4]), 3),
    lambda torch: torch.nn.CrossEntropyLoss()(torch.zeros(2, 3), torch.tensor([[0.0], [3.0]]).long().view(-1)),
    lambda torch: torch.nn.functional.embedding(torch.tensor([[0, 4]]).flatten() + 0, torch.zeros(3, 2)),
    lambda torch: (torch.ones(3, requires_grad=True).argmax() == 0).float().backward(),
    lambda torch: torch.tensor([1, 2]).add_(0.5),
    lambda torch: torch.ones(2).add_(torch.ones(3, 2)),
    lambda torch: torch.arange(3.0).topk(4),
    lambda torch: torch.zeros(0).max(),
    lambda torch: torch.zeros(0, 3).argmin(0),
    lambda torch: torch.ones(2, 3).sum((0, 0)),
    lambda torch: torch.ones(2, 3).select(5, 0),
    lambda torch: torch.ones(2, 3).index_select(-3, torch.tensor([0])),
    lambda torch: torch.ones(2, 3).index_copy(2, torch.tensor([0]), torch.ones(1, 3)),
    lambda torch: torch.quantile(torch.ones(2, 3), 0.5, 2),
    lambda torch: torch.quantile(torch.ones(3), 1.5),
    lambda torch: torch.nn.Unflatten(7, (1, 1))(torch.ones(2, 3)),
    lambda torch: torch.linalg.matrix_norm(torch.ones(2, 3), dim=(0, 2)),
    lambda torch: torch.linalg.norm(torch.ones(2, 3, 4), 1),
    lambda torch: torch.cat([]),
    lambda torch: torch.cat([torch.ones(2), torch.ones(2, 3)]),
    lambda torch: torch.roll(torch.ones(2, 3), (1, 2), 0),
    lambda torch: torch.split(torch.ones(3), 0),
    lambda torch: torch.ones(3).chunk(0),
    lambda torch: torch.arange(0, 5, 0),
    lambda torch: torch.ones(4).reshape(-1, -1),
    lambda torch: (torch.ones(2, requires_grad=True) * 2).backward(torch.ones(3)),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_what_pytorch_refuses(number):
    for torch in (ours, theirs):
        with pytest.raises((IndexError, RuntimeError, ValueError, TypeError)):
            WRONG[number](torch)
