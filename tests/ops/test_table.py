"""The table of operations: each row by its samples, in every column that shows it."""

import collections
import inspect
import math
import subprocess
import sys
from operator import methodcaller
from statistics import NormalDist

import numpy as np
import pytest

import ranvier as rv
from ranvier.ops import vocabulary
from ranvier.ops.table import ROWS, activations, elementwise
from ranvier.tensor.methods import TensorMethods

COLUMNS = ("keras", "torch", "method", "attribute")
RNG = np.random.default_rng(3)
X = RNG.uniform(0.3, 2, (3, 4)) * RNG.choice([-1, 1], (3, 4))
Y = RNG.uniform(0.3, 2, (3, 4)) * RNG.choice([-1, 1], (3, 4))
KNOWN = {
    "np": np, "math": math, "X": X, "Y": Y, "P": np.abs(X), "C": RNG.normal(size=(2, 3, 4)),
    "NANS": np.where(np.abs(X) < 0.7, np.nan, X),
    "NormalDist": NormalDist,
    "slope": lambda f, x: np.vectorize(lambda v: (f(v + 1e-5) - f(v - 1e-5)) / 2e-5)(x),
    "ODD": np.array([np.nan, 0, -0.0, np.inf, -np.inf, 2, -2]),
    "logsumexp": lambda x, axis=None, keepdims=False: np.log(np.exp(x).sum(axis, keepdims=keepdims)),
}  # fmt: skip


def cases():
    """Each sample of each row: the row, its arguments, and its value by NumPy."""
    for row in ROWS:
        values = row.value.split(";")
        for i, sample in enumerate(filter(None, row.samples.split(";"))):
            yield pytest.param(row, sample.strip(), values[i].strip(), id=f"{row.name}-{sample.strip()}")


CASES = list(cases())
ELEMENTWISE = (*elementwise.ROWS, *activations.ROWS)


def arguments(sample):
    return eval(f"given({sample})", {**KNOWN, "given": lambda *args, **kwargs: (list(args), kwargs)})


def shown(row, column):
    """The names under which a column shows the row's body."""
    entries = vocabulary.entries(row, column)
    return [name for names, rest in entries for name in names if rest.startswith("(") and name[-1] != "_"]


def functions(row):
    return [vocabulary.find(column, name) for column in ("keras", "torch") for name in shown(row, column)]


def methods(row):
    return [name for names, rest in vocabulary.entries(row, "method") for name in names if rest[0] != "-"]


def tensors(args):
    return [rv.Tensor(a) if isinstance(a, np.ndarray) else a for a in args]


@pytest.mark.parametrize(("row", "sample", "value"), CASES)
def test_every_name_gives_the_value(row, sample, value, float64):
    args, options = arguments(sample)
    expected = eval(value, KNOWN)
    called = functions(row) or [vocabulary.load(row.body, row.doc)]
    for call in called:
        result = call(*tensors(args), **options).numpy()
        assert result.shape == np.shape(expected)
        np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-9)
    for name in methods(row):
        first, *rest = tensors(args)
        np.testing.assert_allclose(getattr(first, name)(*rest, **options).numpy(), result, rtol=1e-12)


FINITE = [c for c in CASES if c.values[0].body and not {"ODD", "NANS"} & {c.values[1][:3], c.values[1][:4]}]


@pytest.mark.parametrize(("row", "sample", "value"), [c for c in FINITE if c.values[0].name != "stop_gradient"])
def test_gradients_are_those_of_finite_differences(row, sample, value, float64):
    args, options = arguments(sample)
    body = (functions(row) or [vocabulary.load(row.body, row.doc)])[0]

    def result(x):
        return body(rv.Tensor(x), *tensors(args[1:]), **options)

    if args[0].dtype != float:
        with pytest.raises(RuntimeError, match="has no gradient"):
            rv.Tensor(args[0], requires_grad=True)
        return
    if result(args[0]).dtype != "float64":
        assert not body(rv.Tensor(args[0], requires_grad=True), *tensors(args[1:]), **options).requires_grad
        return
    x = rv.Tensor(args[0], requires_grad=True)
    weights = np.cos(np.arange(result(args[0]).numel())).reshape(result(args[0]).shape)
    (body(x, *tensors(args[1:]), **options) * rv.Tensor(weights)).sum().backward()
    for at in list(np.ndindex(args[0].shape))[::5]:
        step = np.zeros_like(args[0])
        step[at] = 1e-6
        ends = [(result(args[0] + sign * step).numpy() * weights).sum() for sign in (1, -1)]
        assert x.grad.numpy()[at] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(("row", "sample", "value"), [c for c in CASES if c.values[0].in_place == "yes"])
def test_in_place_is_the_function(row, sample, value, float64):
    args, options = arguments(sample)
    for name in methods(row):
        expected = getattr(tensors(args)[0], name)(*tensors(args)[1:], **options)
        first, *rest = tensors(args)
        assert getattr(first, f"{name}_")(*rest, **options) is first
        np.testing.assert_array_equal(first.numpy(), expected.numpy().astype(first.numpy().dtype))


@pytest.mark.parametrize(
    ("row", "sample", "value"), [c for c in CASES if c.values[0] in ELEMENTWISE and c.values[0].keras]
)
@pytest.mark.filterwarnings("ignore:RV601")  # some samples have NaN
def test_symbolic_values_are_recorded(row, sample, value):
    args, options = arguments(sample)
    args = [a.astype(np.float32) if isinstance(a, np.ndarray) else a for a in args]
    for name in shown(row, "keras"):
        call = getattr(rv.ops, name.rpartition(".")[2])
        inputs = [rv.Input(a.shape[1:]) if isinstance(a, np.ndarray) else a for a in args]
        model = rv.Model([x for x in inputs if not isinstance(x, (int, float))], call(*inputs, **options))
        result = model.predict([a for a in args if isinstance(a, np.ndarray)], verbose=0)
        np.testing.assert_allclose(result, call(*args, **options).numpy(), rtol=1e-6)


@pytest.mark.parametrize("name", sorted({*vocabulary.names("activation")} - {"threshold"}))  # which needs numbers
def test_an_activation_is_known_by_its_name_everywhere(name):
    model = rv.Sequential([rv.Input((4,)), rv.layers.Activation(name)])
    expected = getattr(rv.activations, name)(rv.Tensor(X))
    np.testing.assert_allclose(model.predict(X, verbose=0), expected.numpy(), rtol=1e-6)
    assert rv.activations.get(name) is getattr(rv.activations, name)


# --- the table itself -----------------------------------------------------------------------------------------------


def test_rows_of_elementwise_functions_and_activations_have_samples():
    assert not [r.name for r in ELEMENTWISE if r.body and not r.samples]
    assert not [r.name for r in ROWS if r.samples.count(";") != r.value.count(";")]


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_shows_each_name_once(column):
    names = [n for row in ROWS for names, _ in vocabulary.entries(row, column) for n in names]
    assert not [name for name, count in collections.Counter(names).items() if count > 1]


@pytest.mark.parametrize("column", COLUMNS[:3])
def test_every_function_has_a_signature_and_a_docstring(column):
    for name in vocabulary.names(column):
        function = vocabulary.find(column, name)
        assert inspect.signature(function) is not None
        if not name.startswith("__"):
            assert function.__doc__, name


def test_signatures_are_those_of_the_vocabulary():
    ours = [str(inspect.signature(f)) for f in (rv.ops.softmax, rv.torch.softmax, rv.torch.nn.functional.elu)]
    assert [s.replace("'", "") for s in ours] == [
        "(x: Any, axis: int = -1) -> Any",
        "(input: Node, dim: int, dtype: str | None = None) -> Node",
        "(input: Node, alpha: float = 1.0, inplace: bool = False) -> Node",
    ]
    assert rv.torch.neg.__name__ == "neg"


def test_wrong_arguments_are_reported_in_the_words_of_the_vocabulary():
    x = rv.Tensor(X)
    for call, words in [
        (lambda: rv.torch.softmax(x), "softmax needs dim. It takes input, dim"),
        (lambda: rv.ops.softmax(x, axes=1), "softmax has no argument 'axes'. Write axis= instead"),
        (lambda: rv.torch.sin(x, x), "sin takes at most 1 argument without a name, and was given 2"),
        (lambda: x.sum(out=x), r"sum has no argument 'out'. Write y = sum\(...\)"),
        (lambda: methodcaller("sum", 0, dim=0)(x), "sum was given .*twice"),
    ]:
        with pytest.raises(TypeError, match=words):
            call()


def test_pytorch_takes_the_names_of_numpy():
    x = rv.Tensor(X)
    expected = X.astype(np.float32).sum(1, keepdims=True)
    for result in (
        rv.torch.sum(x, axis=1, keepdims=True), x.sum(axis=1, keepdims=True), rv.torch.sum(input=x, dim=1, keepdim=True),
    ):  # fmt: skip
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-6)


def test_importing_the_other_vocabulary_gives_tensors_nothing():
    code = (
        "from ranvier import Tensor; before = set(dir(Tensor)); import ranvier.torch.nn.functional as F; x = F.relu(Tensor([1.0]));"
        "x.softmax(0); x += 1; print(set(dir(Tensor)) == before, len(before) > 300)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["True", "True"]


def test_a_method_is_the_function_itself_after_its_first_call():
    rv.Tensor(X).sinc()
    assert vars(TensorMethods)["sinc"] is vocabulary.find("torch", "sinc")


def test_what_pytorch_has_and_tensors_lack_is_explained():
    with pytest.raises(AttributeError, match=r"Tensor\.imag does not exist: there are no complex tensors"):
        rv.Tensor(X).imag
    with pytest.raises(AttributeError, match="'Tensor' object has no attribute 'no_such'"):
        rv.Tensor(X).no_such
    assert not hasattr(rv.Tensor(X), "share_memory_")
