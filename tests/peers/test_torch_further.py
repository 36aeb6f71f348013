"""Further functions and modules of PyTorch: matrices, differences, order, losses, pooling, fused and orthogonal layers."""

from typing import Any

import numpy as np
import pytest

import ranvier.torch as ours

theirs = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.peers,
    pytest.mark.usefixtures("in_float64"),
    pytest.mark.filterwarnings("ignore:torch.*:UserWarning"),
]

RNG = np.random.default_rng(2)
X = RNG.normal(size=(3, 4))
Y = RNG.normal(size=(4, 5))
S = RNG.normal(size=(4, 4))
PD = S @ S.T + np.eye(4)
C = RNG.normal(size=(2, 3, 4))
V = RNG.normal(size=4)
P = np.abs(X) + 0.2
IMAGES = RNG.normal(size=(2, 3, 7, 8))
SAMPLES = np.random.default_rng(9).random((2, 3, 3))
SCORES = RNG.normal(size=(3, 4))
LABELS = np.array([[3, 0, -1, 1], [-1, 2, 0, 1], [0, 1, 2, 3]])
HOLES = np.where(RNG.random((3, 4)) < 0.3, np.nan, X)
FAILING = np.stack([np.eye(3), np.zeros((3, 3)), np.diag([1.0, -1, 2])])
WHOLE = np.array([[4, -6, 0], [9, 12, 7]])


def flat(t, *results):
    return t.cat([r.reshape(-1) for r in results])


def visited(t):
    """The layers in the order in which `apply` meets them."""
    shared, found = t.nn.Tanh(), []
    net = t.nn.Sequential(t.nn.Linear(1, 1), t.nn.Sequential(shared, t.nn.ReLU()), shared)
    net.apply(lambda m: found.append(type(m).__name__))
    return found


ELEMENTS: list[Any] = [
    [np.float64(1)], [np.float32(1), 2.0], [1, np.float64(2)], [np.int32(1)], [np.int32(1), 2], [1, np.float32(2)], [np.bool_(1)],
    [[np.float64(1)], [2]],
]  # fmt: skip


def distance(a, b):
    return (a - b).abs().sum(-1)


# Functions of a library and of tensors that require a gradient, and the arrays of those
SMOOTH: dict[str, tuple[Any, ...]] = {
    "addr": (lambda t, x, v, w: t.addr(x, v[:3], w, beta=0.5, alpha=2), X, V, V),
    "addbmm": (lambda t, x, a, b: t.addbmm(x, a, b, beta=0.3, alpha=2), X[:, :3], C, C.transpose(0, 2, 1)),
    "addmm_": (lambda t, x, a, b: x.clone().addmm_(a, b, beta=0.5), X @ Y, X, Y),
    "multi_dot": (lambda t, v, s, y: t.linalg.multi_dot([v, s, y]), V, S, Y),
    "chain_matmul": (lambda t, x, s, y: t.chain_matmul(x, s, y), X, S, Y),
    "linalg.cross": (lambda t, a, b: t.linalg.cross(a, b, dim=1), C, C[::-1].copy()),
    "linalg.diagonal": (lambda t, c: t.linalg.diagonal(c, offset=1), C),
    "vecdot": (lambda t, c, d: t.linalg.vecdot(c, d, dim=1), C, C[::-1].copy()),
    "solve_triangular": (lambda t, a, b: t.linalg.solve_triangular(a, b, upper=True), PD, Y),
    "solve_triangular, right": (lambda t, a, b: t.linalg.solve_triangular(a, b, upper=False, left=False), PD, X),
    "triangular_solve": (lambda t, b, a: t.triangular_solve(b, a, upper=False, transpose=True)[0], Y, PD),
    "cholesky": (lambda t, a: t.cholesky(a @ a.T + t.eye(4), upper=True), S),
    "cholesky_solve": (lambda t, b, a: t.cholesky_solve(b, a), Y, np.linalg.cholesky(PD)),
    "cholesky_inverse": (lambda t, a: t.cholesky_inverse(a, upper=True), np.linalg.cholesky(PD).T.copy()),
    "matrix_exp": (lambda t, a: t.matrix_exp(3 * a), S),
    "cond": (lambda t, a: t.linalg.cond(a), S),
    "linalg.vander": (lambda t, x: t.linalg.vander(x, N=3), X),
    "svd": (lambda t, x: t.svd(x).S, X),
    "qr": (lambda t, y: t.qr(y.T).R.abs(), Y),
    "logdet": (lambda t, a: t.logdet(a @ a.T), S),
    "slogdet": (lambda t, a: a.slogdet()[1], S),
    "lu": (lambda t, a, x, y: flat(t, *t.linalg.lu(a)[1:], *t.linalg.lu(x)[1:], *t.linalg.lu(y)[1:]), S, X, Y[:, :3]),
    "lu_factor": (lambda t, a, x, y: flat(t, *(t.linalg.lu_factor(m)[0] for m in (a, x, y))), S, X, Y[:, :3]),
    "lu_solve": (lambda t, a, b: t.linalg.lu_solve(*t.linalg.lu_factor(a), b) + t.lu_solve(b, *t.linalg.lu_factor(a)), S, Y),
    "lu_solve, right": (lambda t, a, b: t.linalg.lu_solve(*t.linalg.lu_factor(a), b, left=False, adjoint=True), S, X),
    "inv_ex, solve_ex": (lambda t, a, b: flat(t, t.linalg.inv_ex(a)[0], t.linalg.solve_ex(a, b)[0], t.linalg.solve_ex(a, b.T, left=False)[0]), S, Y),
    "cholesky_ex": (lambda t, a: t.linalg.cholesky_ex(a @ a.T + t.eye(4), upper=True)[0], S),
    "tensorinv": (lambda t, a: t.linalg.tensorinv(a.reshape(2, 2, 4)), S),
    "tensorsolve": (lambda t, a, b: t.linalg.tensorsolve(a.reshape(2, 4, 2), b, dims=(0, 2)), S, V),
    "householder_product": (lambda t, y: t.linalg.householder_product(y, t.geqrf(y.detach())[1]), Y[:, :3]),
    "ormqr": (lambda t, y, s: t.ormqr(*t.geqrf(y.detach()), s) + t.ormqr(*t.geqrf(y.detach()), s, False, True), Y[:, :3], S),
    "igamma": (lambda t, x: t.special.gammainc(t.tensor(P * 9), x * 9) + t.igammac(t.tensor(P), x * 3).log(), P[::-1].copy()),
    "copysign": (lambda t, x, y: t.copysign(x, y), X, X[::-1].copy()),
    "ldexp": (lambda t, x: t.ldexp(x, t.tensor([1.0, 2, -3, 0])), X),
    "float_power": (lambda t, x: t.float_power(x, 1.5), P),
    "rsub": (lambda t, x, y: t.rsub(x, y, alpha=2), X, X[::-1].copy()),
    "mvlgamma": (lambda t, x: t.mvlgamma(x + 2, 3), P),
    "cumulative_trapezoid": (lambda t, y: t.cumulative_trapezoid(y, dx=0.5, dim=0), X),
    "cumulative_trapezoid, points": (lambda t, y, x: t.cumulative_trapezoid(y, x), X, np.cumsum(np.abs(V))),
    "gradient": (lambda t, x: t.cat(t.gradient(x, spacing=0.5), 0), X),
    "gradient, points": (lambda t, x: t.gradient(x, spacing=(t.tensor([0.0, 1, 3, 4]),), dim=1)[0], X),
    "gradient, edges": (lambda t, x: t.gradient(x, dim=1, edge_order=2)[0], X),
    "nanmedian": (lambda t, x: t.nanmedian(x, 1)[0], HOLES),
    "msort": (lambda t, x: t.msort(x), X),
    "renorm": (lambda t, x: t.renorm(x, 3, 1, 0.9), X),
    "diagflat": (lambda t, v: v.diagflat(1), V),
    "dstack": (lambda t, x, y: t.dstack((x, y)), X, X[::-1].copy()),
    "hsplit": (lambda t, x: t.cat(x.hsplit([1, 3]), 1), X),
    "vsplit, dsplit": (lambda t, c: t.vsplit(c, 2)[1].dsplit(2)[0], C[:, :2].transpose(0, 1, 2).copy().reshape(2, 2, 4)),
    "slice_scatter": (lambda t, x, v: t.slice_scatter(x, v[None, :2].expand(3, 2), 1, 0, 4, 2), X, V),
    "select_scatter": (lambda t, x, v: x.select_scatter(v, 0, -1), X, V),
    "put": (lambda t, x, v: t.put(x, t.tensor([1, 5, -1, 1]), v, accumulate=True), X, V),
    "pdist": (lambda t, x: t.pdist(x, 3.0), X),
    "entr": (lambda t, x: t.special.entr(x), P),
    "ndtr": (lambda t, x: t.special.ndtr(x) + t.special.ndtri(t.special.expit(x)), X),
    "xlog1py": (lambda t, x, y: t.special.xlog1py(x, y), X, P),
    "i0": (lambda t, x: t.i0(x * 9) + x.i0() + t.special.i0e(x * 9), X),
    "i1": (lambda t, x: t.special.i1(x * 9) + t.special.i1e(x * 9), X),
    "polygamma": (lambda t, x: t.polygamma(1, x * 3 - 7.3) + t.special.polygamma(3, x.abs() + 0.1) + x.polygamma(0), X),
    "log_ndtr": (lambda t, x: t.special.log_ndtr(x * 9), X),
    "erfcx": (lambda t, x: t.special.erfcx(x * 9 + 8), P),
    "fractional_max_pool2d": (lambda t, x: t.nn.FractionalMaxPool2d((2, 3), output_ratio=0.5, _random_samples=t.tensor(SAMPLES[..., :2]))(x), IMAGES),
    "fractional_max_pool3d": (
        lambda t, x: t.nn.FractionalMaxPool3d(2, (1, 2, 3), _random_samples=t.tensor(SAMPLES[:1, :2]))(x[None]), IMAGES,
    ),
    "in place": (lambda t, x: t.acos_(x / 9) + t.sinh_(x * 2) + (x / 9).asin_().deg2rad_(), X),
    "lp_pool2d": (lambda t, x: t.nn.functional.lp_pool2d(x, 3, (2, 3), 2, ceil_mode=True), np.abs(IMAGES)),
    "LPPool1d": (lambda t, x: t.nn.LPPool1d(2, 3)(x[:, 0]), IMAGES),
    "lp_pool, inf": (lambda t, x: t.nn.functional.lp_pool2d(x, float("inf"), 2), IMAGES),
    "multilabel_margin": (lambda t, x: t.nn.MultiLabelMarginLoss()(x, t.tensor(LABELS)), SCORES),
    "multilabel_margin, one": (lambda t, x: t.nn.functional.multilabel_margin_loss(x[0], t.tensor(LABELS[0]), reduction="none"), SCORES),
    "triplet": (lambda t, a, p, n: t.nn.TripletMarginWithDistanceLoss(distance_function=distance, swap=True, margin=3.0)(a, p, n), X, X + 1, X[::-1].copy()),
    "rrelu": (lambda t, x: t.nn.RReLU(0.1, 0.5).eval()(x), X),
    "real": (lambda t, x: t.real(x).conj() + t.angle(x).detach(), X),
}  # fmt: skip


@pytest.mark.parametrize("name", SMOOTH)
def test_values_and_gradients(name):
    function, *arrays = SMOOTH[name]
    found = []
    for t in (theirs, ours):
        tensors = [t.tensor(a).requires_grad_() for a in arrays]
        result = function(t, *tensors)
        (result * t.cos(t.arange(result.numel(), dtype=t.float64)).reshape(result.shape)).sum().backward()
        found.append([result.detach().numpy(), *(x.grad.numpy() for x in tensors if x.grad is not None)])
    for expected, got in zip(*found, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-7, atol=1e-9)


PLAIN: dict[str, Any] = {
    "vander": lambda t: (t.vander(t.tensor(V), 3), t.vander(t.tensor(V), increasing=True)),
    "cond": lambda t: (t.linalg.cond(t.tensor(S), 1), t.linalg.cond(t.tensor(S), "fro"), t.linalg.cond(t.tensor(X), -2)),
    "gcd": lambda t: (t.gcd(t.tensor(WHOLE), t.tensor(6)), t.tensor(WHOLE).lcm(t.tensor(4))),
    "unravel_index": lambda t: t.unravel_index(t.tensor([[5, 0], [11, 7]]), (3, 4)),
    "nanmedian": lambda t: (t.nanmedian(t.tensor(HOLES)), *t.tensor(HOLES).nanmedian(0, keepdim=True)),
    "nanquantile": lambda t: t.nanquantile(t.tensor(HOLES), t.tensor([0.2, 0.7]), 1),
    "windows": lambda t: (t.kaiser_window(5), t.kaiser_window(6, False, 3.0)),
    "dtypes": lambda t: [
        str(t.result_type(t.tensor([1]), 1.5))[-7:],
        str(t.promote_types(t.int32, t.float16))[-7:],
        t.can_cast(t.float32, t.int64)],
    "questions": lambda t: [t.is_nonzero(t.tensor([0.5])), t.is_same_size(t.ones(2), t.ones(3)), t.ones(2).is_signed(), t.isreal(t.ones(2))],
    "logical": lambda t: (t.tensor([1, 0]).logical_and_(t.tensor([2, 2])), t.tensor([0.5, -1.0]).heaviside_(t.tensor([1.0, 1.0]))),
    "methods": lambda t: (t.tensor(X).kron(t.eye(2)), t.tensor(S).matrix_power(2), t.tensor(X).rot90(), t.tensor(X).pinverse()),
    "pivots": lambda t: (*t.linalg.lu_factor_ex(t.tensor(C[:, :, :3])), *t.lu_unpack(*t.linalg.lu_factor(t.tensor(X)))),
    "geqrf": lambda t: t.geqrf(t.tensor(X)),
    "where matrices fail": lambda t: (t.linalg.inv_ex(t.tensor(FAILING))[1], t.linalg.cholesky_ex(t.tensor(FAILING))[1]),
    "dtypes of lists": lambda t: [str(t.tensor(a).dtype).rpartition(".")[2] for a in ELEMENTS],
    "apply": visited,
    "places as indices": lambda t: t.tensor(X).T[t.nonzero(t.tensor(X).T > 0, as_tuple=True)[0]].sum(0),
    "swapped": lambda t: t.tensor(C).swapaxes_(0, 2),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_values(name):
    expected, found = (
        [*result] if isinstance(result, (tuple, list)) else [result] for result in map(PLAIN[name], (theirs, ours))
    )
    for theirs_, ours_ in zip(expected, found, strict=True):
        if hasattr(theirs_, "numpy"):
            assert str(ours_.dtype).rpartition(".")[2] == str(theirs_.dtype).rpartition(".")[2]
            np.testing.assert_allclose(ours_.numpy(), theirs_.numpy(), rtol=1e-7)
        else:
            assert ours_ == theirs_


def with_weights_of(t, net, reference):
    net.load_state_dict({name: t.tensor(value.detach().numpy()) for name, value in reference.state_dict().items()})
    return net


def test_adaptive_softmax():
    x, y = RNG.normal(size=(5, 8)), np.array([0, 3, 9, 4, 6])
    made = [t.nn.AdaptiveLogSoftmaxWithLoss(8, 10, [3, 6], div_value=2.0, head_bias=True) for t in (theirs, ours)]
    with_weights_of(ours, made[1], made[0])
    found = []
    for t, net in zip((theirs, ours), made, strict=True):
        output, loss = net(t.tensor(x), t.tensor(y))
        loss.backward()
        grads = [p.grad.numpy() for p in net.parameters()]
        log = net.log_prob(t.tensor(x))
        found.append(
            [
                output.detach().numpy(),
                loss.detach().numpy(),
                log.detach().numpy(),
                net.predict(t.tensor(x)).numpy(),
                *grads,
            ]
        )
    for expected, got in zip(*found, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize(
    ("shape", "kind"), [((4, 4), None), ((4, 4), "cayley"), ((3, 5), None), ((5, 3), "matrix_exp")]
)
def test_orthogonal(shape, kind):
    made = [
        t.nn.utils.parametrizations.orthogonal(t.nn.Linear(*shape[::-1], bias=False), orthogonal_map=kind)
        for t in (theirs, ours)
    ]
    original: Any
    base, original = made[0].parametrizations.weight[0].base, made[0].parametrizations.weight.original
    free = np.tri(max(shape), min(shape), -1)
    moved = RNG.normal(size=shape) * (free.T if shape[0] < shape[1] else free) + original.detach().numpy()
    found = []
    for t, net in zip((theirs, ours), made, strict=True):
        part = net.parametrizations.weight
        start = net.weight.detach().numpy()
        small = min(shape)
        product = start @ start.T if shape[0] < shape[1] else start.T @ start
        np.testing.assert_allclose(product, np.eye(small), atol=1e-9)
        part[0].base.copy_(t.tensor(base.detach().numpy()))
        with t.no_grad():
            part.original.copy_(t.tensor(moved))
        result = net(t.tensor(np.arange(shape[1]) / 3.0))
        (result**3).sum().backward()
        found.append([result.detach().numpy(), part.original.grad.numpy()])
    for expected, got in zip(*found, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-9)


def test_fused_layers_and_synchronized_normalization():
    x = ours.tensor(IMAGES)
    conv, norm = ours.nn.Conv2d(3, 4, 3), ours.nn.BatchNorm2d(4)
    norm(conv(x))
    conv.eval(), norm.eval()
    fused = ours.nn.utils.fuse_conv_bn_eval(conv, norm)
    np.testing.assert_allclose(fused(x).detach().numpy(), norm(conv(x)).detach().numpy(), rtol=1e-7, atol=1e-9)
    net: Any = ours.nn.SyncBatchNorm.convert_sync_batchnorm(ours.nn.Sequential(conv, norm))
    assert type(net[1]) is ours.nn.SyncBatchNorm
    assert net[1].weight is norm.weight
    np.testing.assert_allclose(net(x).detach().numpy(), norm(conv(x)).detach().numpy())


@pytest.mark.parametrize("rank", [2, 5])
def test_principal_components(rank):
    x = RNG.normal(size=(9, 5))
    u, s, v = ours.pca_lowrank(ours.tensor(x), q=rank)
    eu, es, ev = theirs.pca_lowrank(theirs.tensor(x), q=rank, niter=20)
    np.testing.assert_allclose(s.numpy(), es.numpy(), rtol=1e-4)
    np.testing.assert_allclose(((u * s) @ v.T).numpy(), ((eu * es) @ ev.T).numpy(), atol=1e-3)


def test_older_names_and_settings_without_effect():
    ours.manual_seed(3)
    w = ours.nn.init.xavier_uniform(ours.empty(3, 4))
    with ours.random.fork_rng():
        first = ours.rand(3).tolist()
    assert ours.rand(3).tolist() == first
    assert w.shape == (3, 4)
    with ours.nn.attention.sdpa_kernel([ours.nn.attention.SDPBackend.MATH]):
        assert not ours.is_autocast_enabled()
    with pytest.raises(TypeError, match=r"write SDPBackend\.MATH"), ours.nn.attention.sdpa_kernel("math"):
        pass
    assert ours.amp.custom_fwd(device_type="cuda")(len) is len
    x = ours.tensor(X)
    np.testing.assert_array_equal(ours.layer_norm(x, (4,)).numpy(), ours.nn.functional.layer_norm(x, (4,)).numpy())


def test_quantiles_without_nan_say_that_they_have_no_gradient():
    x = ours.tensor(HOLES, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"no gradient. Write x.detach\(\)"):
        ours.nanquantile(x, 0.5)
    assert not ours.nanquantile(x.detach(), 0.5).requires_grad


@pytest.mark.parametrize("module", [theirs, ours])
def test_a_singular_matrix_has_factors_but_cannot_be_solved_by_them(module):
    matrix = module.tensor(FAILING)
    assert bool((module.linalg.lu_factor_ex(matrix)[2] > 0).any())
    with pytest.raises(RuntimeError, match=r"linalg\.lu_factor"):
        module.linalg.lu_factor(matrix)
