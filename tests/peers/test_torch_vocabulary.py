"""The PyTorch vocabulary against PyTorch: the same program text on both, function by function and loss curve by loss curve."""

import inspect

import numpy as np
import pytest

import ranvier.torch as ours

theirs = pytest.importorskip("torch")

pytestmark = pytest.mark.peers
RNG = np.random.default_rng(0)
X = RNG.standard_normal((6, 5)).astype(np.float32)
P = RNG.dirichlet(np.ones(5), 6).astype(np.float32)
U = RNG.uniform(0.05, 0.95, (6, 5)).astype(np.float32)
V = RNG.uniform(0.05, 0.95, (6, 5)).astype(np.float32)
LABELS = np.array([0, 4, 2, 1, -100, 3])
WEIGHT = np.array([0.5, 1.0, 2.0, 1.5, 0.1], np.float32)


def array(value):
    return value.detach().numpy() if hasattr(value, "detach") else np.asarray(value)


def compare(program, *arrays, rtol=2e-5, atol=2e-6):
    """Run ``program(torch, *tensors)`` on both and compare the value, and the gradient by every float tensor."""
    results = []
    for t in (theirs, ours):
        tensors = [t.tensor(a, requires_grad=True) if a.dtype == np.float32 else t.tensor(a) for a in arrays]
        value = program(t, *tensors)
        parts = list(value) if isinstance(value, tuple) else [value]
        floats = [p for p in parts if "float" in str(p.dtype) and p.requires_grad]
        if floats:
            sum((f * f).sum() for f in floats).backward()
        grads = [x.grad for x in tensors if x.requires_grad]
        results.append([*map(array, parts), *(array(g) for g in grads if g is not None)])
    expected, got = results
    assert len(expected) == len(got)
    for e, g in zip(expected, got, strict=True):
        assert e.shape == g.shape
        np.testing.assert_allclose(g, e, rtol=rtol, atol=atol)


OPERATIONS = {
    "flatten": lambda t, x: t.flatten(x.reshape(2, 3, 5), 1),
    "matmul": lambda t, x: t.matmul(x, x.t()),
    "mm": lambda t, x: t.mm(x, t.transpose(x, 0, 1)),
    "softmax": lambda t, x: t.softmax(x, dim=1),
    "log_softmax": lambda t, x: t.log_softmax(x, 0),
    "relu": lambda t, x: t.relu(x),
    "sigmoid": lambda t, x: t.sigmoid(x),
    "tanh": lambda t, x: t.tanh(x),
    "exp": lambda t, x: t.exp(x),
    "log": lambda t, x: t.log(t.abs(x) + 1),
    "sqrt": lambda t, x: t.sqrt(x * x + 1),
    "sum": lambda t, x: (t.sum(x), t.sum(x, dim=1), t.sum(x, 0, keepdim=True)),
    "mean": lambda t, x: (t.mean(x), t.mean(x, dim=(0, 1)), x.mean(1)),
    "var and std": lambda t, x: (t.var(x, 1), t.std(x, dim=0, unbiased=False), t.var(x)),
    "max": lambda t, x: (t.max(x), t.max(x, dim=1).values, t.max(x, 1).indices, t.maximum(x, -x)),
    "min": lambda t, x: (t.min(x), t.min(x, 1).values, t.min(x, x * x)),
    "argmax": lambda t, x: (t.argmax(x), t.argmax(x, dim=1), x.argmin(1, keepdim=True)),
    "where": lambda t, x: t.where(x > 0, x, x * 0.1),
    "clamp": lambda t, x: (t.clamp(x, -0.5, 0.5), t.clamp(x, min=0.1), x.clamp(max=0.2)),
    "cat": lambda t, x: (t.cat([x, x * 2]), t.cat((x, x), dim=1)),
    "stack": lambda t, x: (t.stack([x, x * 2]), t.stack([x, x], dim=-1)),
    "shapes": lambda t, x: (t.reshape(x, (5, -1)), t.unsqueeze(x, 1), t.squeeze(x[:, :1], 1), t.permute(x, (1, 0))),
    "norm": lambda t, x: (t.norm(x), t.norm(x, dim=1), t.norm(x, 1, 0)),
    "logsumexp": lambda t, x: t.logsumexp(x, 1),
    "outer and dot": lambda t, x: (t.outer(x[0], x[1]), t.dot(x[0], x[1]), t.einsum("ij,kj->ik", x, x)),
    "comparisons": lambda t, x: (t.eq(x, x), t.gt(x, 0), t.le(x, 0), t.any(x > 3), t.all(x < 9, dim=1)),
    "arithmetic": lambda t, x: ((x - 1) / (x * x + 2), 2**x, -x, x % 2, 1 - x, t.pow(x, 2)),
    "indexing": lambda t, x: (x[1], x[:, 2], x[1:4, ::2], x[-1, None]),
    "dtypes": lambda t, x: (x.to(t.int32), (x > 0).float(), x.long(), x.double().mean().float()),
    "detach": lambda t, x: x * x.detach(),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations(name):
    compare(OPERATIONS[name], X)


CREATION = {
    "zeros": lambda t: (t.zeros(2, 3), t.zeros((4,)), t.zeros(())),
    "ones": lambda t: (t.ones([2]), t.ones(2, dtype=t.uint8)),
    "full": lambda t: (t.full((2, 2), 1.5), t.full([3], 2), t.full((1,), True)),
    "like": lambda t: (t.zeros_like(t.ones(3)), t.ones_like(t.arange(3)), t.full_like(t.ones(2), 3)),
    "arange": lambda t: (t.arange(5), t.arange(1, 2, 0.25), t.arange(5, 0, -2)),
    "linspace": lambda t: t.linspace(0, 1, 5),
    "eye": lambda t: (t.eye(3), t.eye(2, 3)),
    "tensor": lambda t: (t.tensor([1, 2]), t.tensor([[1.5]]), t.tensor(True), t.tensor(3, dtype=t.float32)),
}


@pytest.mark.parametrize("name", CREATION)
def test_creation(name):
    results = []
    for t in (theirs, ours):
        value = CREATION[name](t)
        results.append([array(v) for v in (value if isinstance(value, tuple) else (value,))])
    for e, g in zip(*results, strict=True):
        assert e.shape == g.shape
        assert e.dtype.kind == g.dtype.kind
        np.testing.assert_allclose(g, e, rtol=1e-6)


ACTIVATIONS = [
    "ReLU()", "ReLU(inplace=True)", "ReLU6()", "LeakyReLU()", "LeakyReLU(0.2)", "ELU()", "ELU(alpha=0.5)", "SELU()", "GELU()",
    "GELU(approximate='tanh')", "SiLU()", "Mish()", "Sigmoid()", "LogSigmoid()", "Tanh()", "Softplus()", "Softplus(beta=2)",
    "Softsign()", "Hardsigmoid()", "Hardswish()", "Hardtanh()", "Hardtanh(-0.3, 0.4)", "Softmax(dim=1)", "Softmax(0)",
    "LogSoftmax(dim=-1)", "Softmin(dim=1)", "Identity(3)", "Flatten()", "Flatten(0)", "Unflatten(1, (1, 5))",
]  # fmt: skip


@pytest.mark.parametrize("text", ACTIVATIONS)
def test_activation_modules(text):
    name, _, arguments = text.partition("(")
    make = {t: eval(f"lambda c: c({arguments}") for t in (theirs, ours)}  # the rows above
    compare(lambda t, x: make[t](getattr(t.nn, name))(x * 1), X)


LOSSES = {
    "mse": (lambda t, x, y: t.nn.MSELoss()(x, y), X, V),
    "mse, sum": (lambda t, x, y: t.nn.MSELoss(reduction="sum")(x, y), X, V),
    "l1": (lambda t, x, y: t.nn.L1Loss(reduction="none")(x, y), X, V),
    "smooth l1": (lambda t, x, y: t.nn.SmoothL1Loss(beta=0.5)(x, y), X, V),
    "huber": (lambda t, x, y: t.nn.HuberLoss(delta=0.7)(x, y), X, V),
    "cross entropy": (lambda t, x, y: t.nn.CrossEntropyLoss()(x, y), X, LABELS),
    "cross entropy, smoothed": (lambda t, x, y: t.nn.CrossEntropyLoss(label_smoothing=0.1)(x, y), X, LABELS),
    "cross entropy, weighted": (lambda t, x, y, w: t.nn.CrossEntropyLoss(w.detach())(x, y), X, LABELS, WEIGHT),
    "cross entropy, no reduction": (lambda t, x, y: t.nn.CrossEntropyLoss(reduction="none")(x, y), X, LABELS),
    "cross entropy, probabilities": (lambda t, x, y: t.nn.CrossEntropyLoss()(x, y.detach()), X, P),
    "nll": (lambda t, x, y: t.nn.NLLLoss(ignore_index=4)(t.log_softmax(x, 1), y % 5), X, LABELS),
    "bce": (lambda t, x, y: t.nn.BCELoss()(x, y.detach()), U, V),
    "bce, logits": (lambda t, x, y: t.nn.BCEWithLogitsLoss()(x, y.detach()), X, V),
    "bce, positives": (lambda t, x, y, w: t.nn.BCEWithLogitsLoss(pos_weight=w.detach())(x, y.detach()), X, V, WEIGHT),
    "kl": (lambda t, x, y: t.nn.KLDivLoss(reduction="batchmean")(t.log_softmax(x, 1), y.detach()), X, P),
    "kl, logs": (lambda t, x, y: t.nn.KLDivLoss(reduction="sum", log_target=True)(x, y.detach()), X, V),
    "functional": (lambda t, x, y: t.nn.functional.cross_entropy(x, y, reduction="sum"), X, LABELS),
    "functional, in order": (
        lambda t, x, y, w: t.nn.functional.cross_entropy(x, y, w.detach(), None, 3, None, "sum", 0.1),
        X,
        LABELS % 5,
        WEIGHT,
    ),
    "functional, linear": (lambda t, x, y: t.nn.functional.linear(x, y), X, V),
    "functional, cosine": (lambda t, x, y: t.nn.functional.cosine_similarity(x, y), X, V),
    "functional, normalize": (lambda t, x: t.nn.functional.normalize(x, dim=1), X),
    "functional, one hot": (lambda t, y: t.nn.functional.one_hot(y % 5, 5), LABELS),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name):
    program, *arrays = LOSSES[name]
    compare(program, *arrays)


OLDER = [{"size_average": False}, {"reduce": False}, {"size_average": True}, {"size_average": False, "reduce": True},
         {"size_average": True, "reduce": False, "reduction": "sum"}]  # fmt: skip
OLDER_LOSSES = {
    "MSELoss": ("mse_loss", X, V), "L1Loss": ("l1_loss", X, V), "SmoothL1Loss": ("smooth_l1_loss", X, V),
    "CrossEntropyLoss": ("cross_entropy", X, LABELS), "NLLLoss": ("nll_loss", X, LABELS),
    "BCELoss": ("binary_cross_entropy", U, V), "BCEWithLogitsLoss": ("binary_cross_entropy_with_logits", X, V),
    "KLDivLoss": ("kl_div", X, V),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
@pytest.mark.parametrize("given", OLDER, ids=str)
@pytest.mark.parametrize("name", OLDER_LOSSES)
def test_older_arguments_of_losses(name, given):
    """``size_average`` and ``reduce`` mean what they meant before there was ``reduction``, and are warned of."""
    function, x, y = OLDER_LOSSES[name]

    def program(t, x, y):
        with pytest.warns(UserWarning, match="size_average and reduce"):
            return (
                getattr(t.nn, name)(**given)(x, y.detach()),
                getattr(t.nn.functional, function)(x, y.detach(), **given),
            )

    compare(program, x, y)


def test_functions_of_losses_have_arguments_in_the_same_order():
    for name, *_ in OLDER_LOSSES.values():
        ours_, theirs_ = (list(inspect.signature(getattr(t.nn.functional, name)).parameters) for t in (ours, theirs))
        assert ours_ == [n for n in theirs_ if n in ours_]
        assert set(theirs_) - set(ours_) <= {"weight"}


@pytest.mark.parametrize("beta", [1.0, 2.0])
@pytest.mark.parametrize("threshold", [5.0, 20.0])
def test_softplus_is_linear_above_its_threshold(beta, threshold):
    at = threshold / beta
    x = np.array([-3e38, -1, 0, at * 0.999, at, at * 1.001, 3e38], np.float32)
    compare(lambda t, x: t.nn.Softplus(beta, threshold)(x), x[:-1], rtol=1e-6)
    assert ours.nn.Softplus(beta, threshold)(ours.tensor(x)).numpy()[-1] == np.float32(3e38)


DISTRIBUTIONS = {
    "xavier_uniform_": (), "xavier_normal_": (1.5,), "kaiming_uniform_": (), "kaiming_normal_": (0, "fan_out", "relu"),
    "uniform_": (-0.5, 2), "normal_": (1, 0.1), "trunc_normal_": (0, 1, -1, 1), "constant_": (0.3,), "zeros_": (), "ones_": (),
}  # fmt: skip


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_initial_values_have_the_same_distribution(name):
    def moments(t):
        values = array(getattr(t.nn.init, name)(t.empty(300, 200), *DISTRIBUTIONS[name]))
        return [values.mean(), values.std(), values.min(), values.max()]

    ours.manual_seed(0)
    theirs.manual_seed(0)
    normal = name.startswith(("normal", "xavier_n", "kaiming_n"))
    for i, (got, expected) in enumerate(zip(moments(ours), moments(theirs), strict=True)):
        spread = moments(theirs)[1] if i < 2 else moments(theirs)[1] * (30 if normal else 1)
        assert got == pytest.approx(expected, abs=float(0.03 * spread + 1e-6))


def test_layers_start_from_the_same_distribution():
    ours.manual_seed(0)
    for t in (theirs, ours):
        layer = t.nn.Linear(400, 100)
        for p in layer.parameters():
            values = array(p)
            assert np.abs(values).max() <= 1 / 20 + 1e-6
            assert values.std() == pytest.approx(1 / 20 / np.sqrt(3), rel=0.2)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("norm_type", [1.0, 2.0, float("inf")])
def test_gradient_clipping(norm_type, wide):
    results = []
    for t in (theirs, ours):
        a, b = t.tensor(X, requires_grad=True), t.tensor(U, requires_grad=True)
        if wide:
            b = b.detach().double().requires_grad_()
        ((a * a).sum() + (b * b * b).sum()).backward()
        total = t.nn.utils.clip_grad_norm_([a, b], 0.7, norm_type)
        t.nn.utils.clip_grad_value_([b], 0.05)
        results.append([array(total), array(a.grad), array(b.grad)])
    for e, g in zip(*results, strict=True):
        assert g.dtype == e.dtype
        np.testing.assert_allclose(g, e, rtol=1e-5, atol=1e-7)


# --- the explicit loop --------------------------------------------------------------------------------------------

N = 200
IMAGES = RNG.random((N, 4, 5)).astype(np.float32)
CLASSES = (IMAGES.reshape(N, -1) @ RNG.standard_normal((20, 3))).argmax(1)
ORDERS = [RNG.permutation(N).tolist() for _ in range(5)]


def network(t):
    class Net(t.nn.Module):  # type: ignore[misc, name-defined]  # of either library
        def __init__(self):
            super().__init__()
            self.fc1 = t.nn.Linear(20, 16)
            self.fc2 = t.nn.Linear(16, 8)
            self.fc3 = t.nn.Linear(8, 3)

        def forward(self, x):
            x = t.flatten(x, 1)
            x = t.nn.functional.relu(self.fc1(x))
            x = t.nn.functional.relu(self.fc2(x))
            return self.fc3(x)

    return Net()


def curve(t, state, make):
    """The mean loss of each of five epochs, and the weights after them."""
    net = network(t)
    net.load_state_dict({name: t.tensor(value) for name, value in state.items()})
    criterion = t.nn.CrossEntropyLoss()
    optimizer = make(t, net)
    losses = []
    for order in ORDERS:
        dataset = t.utils.data.TensorDataset(t.tensor(IMAGES), t.tensor(CLASSES))
        loader = t.utils.data.DataLoader(dataset, batch_size=32, sampler=order)
        running = 0.0
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            running += loss.item()
        losses.append(running / len(loader))
    return losses, {name: array(value) for name, value in net.state_dict().items()}


OPTIMIZERS = {
    "SGD": lambda t, n: t.optim.SGD(n.parameters(), lr=0.1),
    "SGD, momentum": lambda t, n: t.optim.SGD(n.parameters(), lr=0.05, momentum=0.9, dampening=0.1, weight_decay=1e-3),
    "SGD, Nesterov": lambda t, n: t.optim.SGD(n.parameters(), lr=0.05, momentum=0.9, nesterov=True),
    "Adam": lambda t, n: t.optim.Adam(n.parameters(), lr=0.01),
    "Adam, decay, amsgrad": lambda t, n: t.optim.Adam(
        n.parameters(), 0.01, (0.8, 0.99), weight_decay=1e-2, amsgrad=True
    ),
    "AdamW": lambda t, n: t.optim.AdamW(n.parameters(), lr=0.01),
    "Adamax": lambda t, n: t.optim.Adamax(n.parameters()),
    "NAdam": lambda t, n: t.optim.NAdam(n.parameters()),
    "RMSprop": lambda t, n: t.optim.RMSprop(n.parameters(), lr=1e-3, momentum=0.5, centered=True),
    "Adagrad": lambda t, n: t.optim.Adagrad(n.parameters(), lr_decay=0.01),
    "Adadelta": lambda t, n: t.optim.Adadelta(n.parameters()),
    "two groups": lambda t, n: t.optim.SGD(
        [{"params": n.fc1.parameters()}, {"params": [*n.fc2.parameters(), *n.fc3.parameters()], "lr": 0.2}], lr=0.05
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_loop_follows_the_loss_curve(name):
    theirs.manual_seed(3)
    state = {n: array(v) for n, v in network(theirs).state_dict().items()}
    expected, weights = curve(theirs, state, OPTIMIZERS[name])
    got, ours_after = curve(ours, state, OPTIMIZERS[name])
    np.testing.assert_allclose(got, expected, rtol=2e-4)
    assert expected[-1] < expected[0]
    for key, value in weights.items():
        np.testing.assert_allclose(ours_after[key], value, rtol=1e-2, atol=2e-3)


OWN_ARGUMENTS = {  # whose arguments differ on purpose
    "Module", "Sequential", "Optimizer", "Parameter", "Identity", "ModuleList", "ParameterList", "DataLoader", "Sampler",
    "RNNCellBase",
}  # fmt: skip
CLASSES_OF = {"nn": ours.nn, "optim": ours.optim, "utils.data": ours.utils.data}


@pytest.mark.parametrize("path", CLASSES_OF)
def test_arguments_and_defaults_are_those_of_pytorch(path):
    mine, other = CLASSES_OF[path], theirs
    for part in path.split("."):
        other = getattr(other, part)
    for name in set(mine.__all__) - OWN_ARGUMENTS:
        cls = getattr(mine, name)
        if not inspect.isclass(cls):
            continue
        params = inspect.signature(cls.__init__).parameters.values()
        wanted = inspect.signature(getattr(other, name).__init__).parameters
        if "args" in wanted:  # RNN, LSTM and GRU name no argument; test_torch_recurrent passes each to both
            continue
        positional = [p.name for p in params if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert positional == list(wanted)[: len(positional)], name
        for p in params:
            if p.default is not p.empty and p.default is not None:
                expected = p.default
                if inspect.isfunction(expected):
                    expected = getattr(theirs.nn.functional, expected.__name__)
                assert expected == wanted[p.name].default, (name, p.name)
