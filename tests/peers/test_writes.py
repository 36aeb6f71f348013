"""Writes to values that gradients need: refused where PyTorch refuses them, and right where it does not."""

import numpy as np
import pytest
import torch as theirs

import ranvier.torch as ours
from ranvier.engines import set_engine

pytestmark = pytest.mark.peers

# What is recorded of the weights w and v, the data x and the layer net; the write, without gradients where it begins
# with "no_grad"; what is differentiated by w.
ROWS = [
    ("y = w * w", "no_grad: w.mul_(2)", "y"),
    ("y = w * w", "no_grad: w.copy_(x)", "y"),
    ("y = w * w", "no_grad: w.clamp_(0, 1)", "y"),
    ("y = w * w", "no_grad: w[0] = 3", "y"),
    ("y = w * w", "no_grad: w.view(-1).mul_(2)", "y"),
    ("y = w * w", "no_grad: v.mul_(2)", "y"),
    ("y = w * 2 + x", "no_grad: w.mul_(2)", "y"),
    ("y = w * w", "w.detach().mul_(3)", "y"),
    ("y = w * w", "w.data.mul_(3)", "y"),
    ("y = w * w", "w.data = w.data * 3", "y"),
    ("y = w * x", "x.mul_(2)", "y"),
    ("y = w * x; y.tolist()", "x.mul_(2)", "y"),
    ("y = w * x", "x[0] = 9", "y"),
    ("y = w * x", "x.zero_()", "y"),
    ("y = w * w.detach() + x", "x.add_(1)", "y"),
    ("y = w * (x * x)", "x.add_(1)", "y"),
    ("y = (w - x) ** 2", "no_grad: x.mul_(0.9).add_(w)", "y"),
    ("a = w * 2; y = a * a", "a.add_(1)", "y"),
    ("a = w * 2; y = a * a", "no_grad: a.add_(1)", "y"),
    ("a = w * 2; y = a * a; a = w * 2", "a.add_(1)", "a * 2"),
    ("a = w * 2; y = a * a; b = w * 2", "b.add_(1)", "y"),
    ("a = w.clone(); y = a.square_(); b = w.clone()", "b.exp_(); b.add_(1)", "y"),
    ("y = w.exp()", "y.mul_(2)", "y"),
    ("h = w * 1; y = h.exp()", "h.mul_(2)", "y"),
    ("y = w.relu()", "y.mul_(2)", "y"),
    ("h = w * 1; y = h.relu()", "h.mul_(2)", "y"),
    ("y = torch.ones(2)", "y.mul_(w); y.mul_(v); y.mul_(w)", "y"),
    ("y = w.clone()", "y.pow_(2); y.pow_(2)", "y"),
    ("h = w.clone(); a = h.view(-1); y = a * a", "h.add_(1)", "y"),
    ("h = w.clone(); a = h.view(-1); y = h * h", "a.add_(1)", "y"),
    ("h = w.clone(); y = h * h", "h[0] = 3", "y"),
    ("y = w.softmax(0)", "y[0] = 3", "y"),
    ("y = w * 2; t = y[0] * y[1]", "y[0] = t", "y"),
    ("a = torch.sigmoid(w); y = a.tanh()", "a.add_(1)", "y"),
    ("a = w * 1; y = torch.cat([a, a])", "a.zero_()", "y"),
    ("a = w * 1; a.register_hook(lambda g: g * 2); y = a * a", "no_grad: w.add_(1)", "y"),
    ("a = w * 1; a.register_hook(lambda g: g * 2); y = a * w", "no_grad: w.add_(1)", "y"),
    ("a = v * v; y = w * w", "no_grad: v.add_(1)", "y"),
    ("a = (v * v).detach(); y = w * a", "no_grad: v.add_(1)", "y"),
    ("y = (w**3).sum(); g, = torch.autograd.grad(y, w, create_graph=True)", "no_grad: w.add_(1)", "g"),
    ("y = net(x * w); z = net(w)", "z.sum().backward(); torch.optim.SGD(net.parameters(), 0.1).step()", "y"),
    ("y = net(w)", "y = torch.nn.functional.relu_(y); y += w; y = torch.nn.functional.relu_(y)", "net(y)"),
    ("h = torch.relu(net(w)); y = net(h)", "h += y", "h"),
    ("i = torch.tensor([1, 0]); y = (w * w)[i] + w[i]", "i.add_(-1)", "y"),
    ("y = torch.nn.functional.mse_loss(w, x)", "x.add_(1)", "y"),
    ("t = torch.tensor(0); y = torch.nn.functional.cross_entropy(w, t)", "t.add_(1)", "y"),
    ("y = torch.zeros(3, 2)", "y[1] = net(y[0]) * w; y[2] = net(y[1])", "y"),
    ("y = torch.zeros(3, 2); h = w", "h = net(h); y[1] = h; h = net(h); y[2] = h", "y"),
]  # fmt: skip


def changed(torch, before, write, loss):
    """The gradient by w, or the error of `backward`."""
    torch.manual_seed(0)
    names = {"torch": torch, "x": torch.tensor([3.0, 4.0]), "net": torch.nn.Linear(2, 2)}
    names["w"], names["v"] = (torch.tensor([a, 2.0], requires_grad=True) for a in (1.0, 5.0))
    with torch.no_grad():
        names["net"].weight.copy_(torch.tensor([[1.0, 2.0], [0.5, -1.0]]))
        names["net"].bias.zero_()
    exec(before, names)
    with torch.set_grad_enabled(not write.startswith("no_grad: ")):
        exec(write.removeprefix("no_grad: "), names)
    value = eval(loss, names).sum()
    names["w"].grad = None
    try:
        value.backward()
    except RuntimeError as error:
        return error
    return names["w"].grad.tolist()


@pytest.mark.parametrize("row", ROWS, ids=" | ".join)
def test_writes_to_what_gradients_need(row):
    set_engine("reference")
    expected, found = changed(theirs, *row), changed(ours, *row)
    assert isinstance(found, RuntimeError) == isinstance(expected, RuntimeError), (expected, found)
    if isinstance(found, RuntimeError):
        assert "overwritten" in str(found)
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-5)


# --- what the gradients of functions read -----------------------------------------------------------------------------

A, B, IMAGE, SERIES = ((2, 3),), ((2, 3), (2, 3)), ((1, 2, 4, 4),), ((2, 3, 4),)
# Shapes of operands, and functions of them that PyTorch does not keep more of than we do, nor less.
KEPT = {
    A: "abs acos asin atan sin cos tan sinh cosh tanh asinh atanh exp exp2 expm1 log log2 log10 log1p sqrt rsqrt "
    "square reciprocal sigmoid neg sign floor relu erf erfc erfinv lgamma digamma logit mean sum var clone trunc frac "
    "F.relu F.relu6 F.elu F.selu F.celu F.gelu F.silu F.mish F.softplus F.leaky_relu F.hardsigmoid F.hardswish "
    "F.hardshrink F.softshrink F.tanhshrink F.softsign F.logsigmoid F.normalize F.hardtanh",
    B: "mul div atan2 maximum minimum fmod remainder F.mse_loss F.l1_loss F.smooth_l1_loss F.huber_loss "
    "F.poisson_nll_loss F.binary_cross_entropy_with_logits F.cosine_similarity",
}
ROWS_KEPT = [
    *((shapes, f"torch.{name}(*a)".replace(".F.", ".nn.functional.")) for shapes, names in KEPT.items() for name in names.split()),
    (A, "a[0].softmax(-1)"), (A, "a[0].log_softmax(-1)"), (A, "a[0].cumsum(0)"), (A, "a[0].max(0)[0]"), (A, "a[0] / 2"),
    (A, "1 / a[0]"), (A, "a[0] ** 2"), (A, "a[0].sort(0)[0]"), (A, "a[0].clamp(0.2, 0.5)"), (A, "a[0].roll(1)"),
    (A, "a[0].repeat(2, 1)"), (A, "a[0].tril()"), (A, "torch.where(a[0] > 0.5, a[0], 0.0)"), (B, "a[0].T @ a[1]"),
    (B, "torch.stack(a)"), (A, "torch.nn.functional.cross_entropy(a[0], torch.tensor([0, 2]))"),
    (A, "torch.nn.functional.layer_norm(a[0], (3,))"), (A, "torch.nn.functional.pad(a[0], (1, 1))"),
    (A, "torch.nn.functional.dropout(a[0], 0.5)"), (A, "torch.nn.functional.batch_norm(a[0], None, None, training=True)"),
    (A, "torch.nn.functional.embedding(torch.tensor([0, 1]), a[0])"), (IMAGE, "torch.nn.functional.max_pool2d(a[0], 2)"),
    (IMAGE, "torch.nn.functional.interpolate(a[0], scale_factor=2)"), (SERIES, "torch.nn.functional.instance_norm(a[0])"),
    (((2, 3), (4, 3), (4,)), "torch.nn.functional.linear(*a)"), (((2, 3, 5), (4, 3, 2)), "torch.nn.functional.conv1d(*a)"),
    (((2, 3, 5), (3, 4, 2)), "torch.nn.functional.conv_transpose1d(*a)"), (((2, 3), (3, 4)), "torch.mm(*a)"),
]  # fmt: skip


@pytest.mark.parametrize(("shapes", "text"), ROWS_KEPT, ids=[text for _, text in ROWS_KEPT])
def test_what_the_gradient_of_a_function_reads(shapes, text):
    """A write to each operand, and to the result, is refused where PyTorch refuses it."""
    set_engine("reference")
    for place in range(len(shapes) + 1):
        found = []
        for torch in (theirs, ours):
            arrays = [np.linspace(0.1, 0.9, int(np.prod(s)), dtype="float32").reshape(s) for s in shapes]
            operands = [torch.tensor(a).requires_grad_() * 1.0 for a in arrays]
            result = eval(text, {"torch": torch, "a": operands})
            with torch.no_grad():
                [*operands, result][place].add_(0.25)
            try:
                result.sum().backward()
                found.append(False)
            except RuntimeError:
                found.append(True)
        assert found[0] == found[1], ("PyTorch, ours:", found, place)


# --- memory that is shared --------------------------------------------------------------------------------------------

STEP = "p.sum().backward(); torch.optim.SGD([p], lr=1.0).step()"
SHARED = [
    "q = torch.ones(2); p.data = q; q.mul_(3)",
    f"q = torch.ones(2); p.data = q; {STEP}",
    "q = torch.ones(2) * 2; p.data = q; q[0] = 9",
    f"q = torch.ones(2) * 2; p.data = q; {STEP}",
    "n = np.ones(2, 'float32'); p.data = torch.from_numpy(n); n[0] = 7; q = p.detach()",
    "q = torch.nn.Parameter(torch.ones(2)); p.data = q.data; q.data.mul_(3)",
    f"q = torch.nn.Parameter(torch.ones(2)); p.data = q.data; {STEP}",
    "q = torch.ones(2, 2); p.data = q[0]; q.mul_(3)",
    f"q = torch.ones(2, 2); p.data = q[0]; {STEP}",
    "p.data = torch.ones(3); q = p.detach(); (p * p).sum().backward()",
    "p = torch.nn.Parameter(torch.arange(6.0).view(2, 3)); p.data = p.data[:, :2]; q = p.detach()",
    "q = torch.ones(2); v = q[:1]; p.data = q; v.mul_(5)",
    "a, q = torch.ones(2), torch.ones(2); p.data = a; p.data = q; a.mul_(5); q.mul_(3)",
    "q = torch.ones(2); p = q.detach().requires_grad_(); " + STEP,
    "q = torch.ones(2, requires_grad=True); p = q.detach().requires_grad_(); " + STEP,
    "q = torch.ones(2); y = (p * q).sum(); k = q.detach().requires_grad_(); y.backward()",
    "q = torch.ones(2); y = (p * q).sum(); k = torch.nn.Parameter(q); y.backward()",
    "q = torch.zeros(2); q.data = torch.ones(2)",
    "q, b = torch.ones(2), torch.zeros(2); k = q.data; q.data = b.data; b.data = k; q.data += 10; b.data += 5",
]  # fmt: skip


@pytest.mark.parametrize("program", SHARED)
def test_memory_that_is_shared(program):
    set_engine("reference")
    found = []
    for torch in (theirs, ours):
        names = {"torch": torch, "np": np, "p": torch.nn.Parameter(torch.zeros(2))}
        exec(program, names)
        grad = names["p"].grad
        found.append([names["p"].tolist(), names["q"].tolist(), None if grad is None else grad.tolist()])
    assert found[0] == found[1]
