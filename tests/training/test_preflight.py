"""Checks before training: one row for each, a program that triggers it once and its corrected version."""

import contextlib
import copy
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
import ranvier.torch.nn as nn
from ranvier import optimizers
from ranvier.initializers import Constant, RandomNormal
from ranvier.ops import arrays
from ranvier.ops.functional.convolution import convolve
from ranvier.torch import optim
from ranvier.torch.utils.data import DataLoader, TensorDataset
from ranvier.training import NonFiniteLoss, PreflightError, PreflightWarning
from ranvier.training.adapters.arrays import to_data
from ranvier.training.preflight import predictions, table
from ranvier.training.preflight.probe import STEPS, Probe
from ranvier.training.preflight.report import ERROR, Report
from ranvier.training.preflight.validation import shared_rows
from ranvier.training.step.compiled import compiled
from ranvier.training.step.step import step_for

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)
N, F, K = 200, 5, 3
X = RNG.normal(size=(N, F)).astype(np.float32)
Y = X[:, :K].argmax(1)
VALUES = X[:, :1].copy()
BINARY = (X[:, 0] > 0).astype(np.float32)
PIXELS = RNG.integers(0, 256, (N, F)).astype(np.uint8)
PIXELS[0, 0] = 255
PICTURES = np.random.default_rng(1).integers(0, 256, (N, 4, 4, 3)).astype(np.uint8)
SQUARES = np.random.default_rng(2).standard_normal((N, 9, 9, 3)).astype(np.float32)
TURNED = SQUARES.transpose(0, 3, 1, 2)
ONE_HOT = np.eye(K, dtype=np.float32)[Y]
D, layers = rv.layers.Dense, rv.layers
WIDE = RandomNormal(0, 3)
SCE, BCE, CCE = "sparse_categorical_crossentropy", "binary_crossentropy", "categorical_crossentropy"


@pytest.fixture(autouse=True)
def reference():
    rv.set_engine("reference")
    rv.set_seed(0)
    yield
    rv.set_engine(None)


def logits(name="SparseCategoricalCrossentropy"):
    return getattr(rv.losses, name)(from_logits=True)


def adapted():
    layer = layers.Normalization()
    layer.adapt(X)
    return layer


@dataclass
class Program:
    """A model, how it is compiled, and what it is fitted on."""

    model: Any  # a list of layers, or a module
    loss: Any = "mse"
    x: Any = field(default_factory=lambda: X)
    y: Any = field(default_factory=lambda: VALUES)
    rate: Any = 1e-6  # of SGD; or an optimizer
    validation: Any = None
    options: dict[str, Any] = field(default_factory=dict)  # of fit and check
    metrics: Any = None

    def compiled(self) -> Any:
        rv.set_seed(0)
        model = rv.Sequential(self.model) if isinstance(self.model, list) else self.model
        rule = copy.deepcopy(self.rate) if isinstance(self.rate, optimizers.Optimizer) else optimizers.SGD(self.rate)
        model.compile(rule, self.loss, metrics=self.metrics)
        return model

    def check(self, **options: Any) -> Report:
        report: Report = self.compiled().check(
            self.x, self.y, validation_data=self.validation, **self.options, **options
        )
        return report

    def fit(self, **options: Any) -> Any:
        model = self.compiled()
        model.fit(self.x, self.y, validation_data=self.validation, verbose=0, **self.options, **options)
        return model


def scaled(columns, factor):
    x = X.copy()
    x[:, columns] *= factor
    return x


def constant(column, value):
    x = X.copy()
    x[:, column] = value
    return x


class Listed(nn.Module):
    """Layers in whatever it is given."""

    def __init__(self, parts):
        super().__init__()
        self.parts = parts
        self.end = D(1)

    def forward(self, x):
        for part in self.parts:
            x = part(x)
        return self.end(x)


class Net(nn.Module):
    """Layers by attributes; ``it`` may be left out of forward, or of the end."""

    def __init__(self, it, end=None):
        super().__init__()
        self.it = it
        self.end = end or nn.Linear(F, K)
        self.through = end is not None

    def forward(self, x):
        return self.end(self.it(x) if self.through else x)


# Broken and corrected. The layer to blame is the one called "it"; where none is named, none is blamed.
ROWS = {
    "RV101": (
        lambda: Program([D(K, activation="softmax", name="it")], logits(), y=Y),
        lambda: Program([D(K, name="it")], logits(), y=Y),
    ),
    "RV102": (
        lambda: Program([D(K, name="it")], SCE, y=Y),
        lambda: Program([D(K, activation="softmax")], SCE, y=Y),
    ),
    "RV103": (
        lambda: Program(Net(it=nn.Linear(F, K), end=nn.Identity()), nn.NLLLoss(), y=Y),
        lambda: Program(Net(it=nn.Linear(F, K), end=nn.LogSoftmax(-1)), nn.NLLLoss(), y=Y),
    ),
    "RV104": (
        lambda: Program([D(K, activation="sigmoid", name="it")], SCE, y=Y),
        lambda: Program([D(K, activation="softmax")], SCE, y=Y),
    ),
    "RV105": (
        lambda: Program([D(1, activation="softmax", name="it")], SCE, y=np.zeros(N, int)),
        lambda: Program([D(1, activation="sigmoid")], BCE, y=BINARY),
    ),
    "RV106": (
        lambda: Program([D(4, name="it"), D(1)]),
        lambda: Program([D(4, activation="relu"), D(1)]),
    ),
    "RV107": (
        lambda: Program([D(4), layers.Dropout(0.2, name="it")], y=X[:, :4]),
        lambda: Program([D(8, activation="relu"), layers.Dropout(0.2), D(4)], y=X[:, :4]),
    ),
    "RV108": (
        lambda: Program([D(2, activation="relu"), layers.Dropout(0.5, name="it"), D(1)]),
        lambda: Program([D(8, activation="relu"), layers.Dropout(0.5), D(1)]),
    ),
    "RV109": (
        lambda: Program([D(4), layers.Softmax(axis=0, name="it"), D(1)]),
        lambda: Program([D(4), layers.Softmax(axis=1), D(1)]),
    ),
    "RV110": (
        lambda: Program([D(K, activation="relu", name="it")], logits(), y=Y),
        lambda: Program([D(K)], logits(), y=Y),
    ),
    "RV111": (
        lambda: Program([D(4, activation="tanh", kernel_initializer="ones", name="it"), D(1, kernel_initializer="ones")]),
        lambda: Program([D(4, activation="tanh"), D(1, kernel_initializer="zeros")]),
    ),
    "RV112": (
        lambda: Program(Net(it=nn.Linear(F, K)), nn.CrossEntropyLoss(), y=Y),
        lambda: Program(Net(it=nn.Identity()), nn.CrossEntropyLoss(), y=Y),
    ),
    "RV113": (
        lambda: Program([layers.Normalization(name="it"), D(1)]),
        lambda: Program([adapted(), D(1)]),
    ),
    "RV114": (
        lambda: Program([layers.Rescaling(1 / 255), layers.RandomBrightness(0.1, name="it"), layers.Flatten(), D(1)], x=PICTURES),
        lambda: Program([layers.RandomBrightness(0.1), layers.Rescaling(1 / 255), layers.RandomContrast(0.1, (0, 1)), layers.Flatten(), D(1)], x=PICTURES),
    ),
    "RV115": (
        lambda: Program([layers.Conv2D(4, 1, activation="relu", name="it"), layers.Flatten(), D(1)], x=TURNED),
        lambda: Program([layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), D(1)], x=SQUARES),
    ),
    "RV116": (
        lambda: Program([D(K, activation="softmax", name="it")], BCE, y=ONE_HOT),
        lambda: Program([D(K, activation="softmax")], CCE, y=ONE_HOT),
    ),
    "RV117": (
        lambda: Program([D(1, kernel_initializer=Constant(0.1), name="it")], "poisson", np.abs(X), np.abs(VALUES)),
        lambda: Program([D(1, activation="exponential")], "poisson", np.abs(X), np.abs(VALUES)),
    ),
    "RV118": (
        lambda: Program(Listed([D(4, "relu", name="it")])),
        lambda: Program(Listed(nn.ModuleList([D(4, "relu")]))),
    ),
    "RV201": (
        lambda: Program([D(K, activation="softmax", name="it")], SCE, PIXELS, Y),
        lambda: Program([layers.Rescaling(1 / 255), D(K, activation="softmax")], SCE, PIXELS, Y),
    ),
    "RV202": (
        lambda: Program([D(1, name="it")], x=X * 1000, rate=1e-9),
        lambda: Program([D(1)], x=X),
    ),
    "RV203": (
        lambda: Program([D(1, name="it")], x=scaled([1], 1e5), rate=1e-12),
        lambda: Program([D(1)], x=scaled([1], 10)),
    ),
    "RV204": (
        lambda: Program([D(1, name="it")], x=constant(2, 3)),
        lambda: Program([D(1)], x=np.abs(constant(2, 0))),  # the background of images
    ),
    "RV205": (
        lambda: Program([D(1)], x=X * 0),
        lambda: Program([D(1)]),
    ),
    "RV301": (
        lambda: Program([D(1, activation="sigmoid", name="it")]),
        lambda: Program([D(1, activation="sigmoid")], y=BINARY),
    ),
    "RV302": (
        lambda: Program([D(1, activation="sigmoid", name="it")], BCE, y=2 * BINARY - 1),
        lambda: Program([D(1, activation="sigmoid")], BCE, y=BINARY),
    ),
    "RV303": (
        lambda: Program([D(K, activation="softmax", name="it")], CCE, y=1 - ONE_HOT),
        lambda: Program([D(K, activation="softmax")], CCE, y=ONE_HOT),
    ),
    "RV304": (
        lambda: Program([D(K, activation="softmax", name="it")], SCE, y=Y * 0 + 1),
        lambda: Program([D(K, activation="softmax")], SCE, y=Y),
    ),
    "RV305": (
        lambda: Program([D(1, name="it")], y=VALUES * 0 + 2),
        lambda: Program([D(1)]),
    ),
    "RV306": (
        lambda: Program([D(1, activation="sigmoid", name="it")], BCE, y=np.arange(N) < 5),
        lambda: Program([D(1, activation="sigmoid")], BCE, y=np.arange(N) < 5, options={"class_weight": {0: 1.0, 1: 39.0}}),
    ),
    "RV307": (
        lambda: Program([D(K, activation="softmax", name="it")], SCE, y=np.maximum(Y, 1)),
        lambda: Program([D(2, activation="softmax")], SCE, y=np.maximum(Y, 1) - 1),
    ),
    "RV308": (
        lambda: Program([D(1, name="it")], y=VALUES * 10_000),
        lambda: Program([D(1)], y=VALUES),
    ),
    "RV309": (
        lambda: Program([D(1)], metrics=["accuracy"]),
        lambda: Program([D(1)], metrics=["mae"]),
    ),
    "RV401": (
        lambda: Program([D(1)], x=X[:100], y=VALUES[:100], validation=(X[90:], VALUES[90:])),
        lambda: Program([D(1)], x=X[:100], y=VALUES[:100], validation=(X[100:], VALUES[100:])),
    ),
    "RV402": (
        lambda: Program([D(K, activation="softmax")], SCE, X[:24], Y[:24] % 2, validation=(X[24:48], Y[24:48])),
        lambda: Program([D(K, activation="softmax")], SCE, X[:24], Y[:24], validation=(X[24:48], Y[24:48])),
    ),
    "RV403": (
        lambda: Program([D(K, activation="softmax")], SCE, X[:100], Y[:100], validation=(X[100:], Y[100:] % 2)),
        lambda: Program([D(K, activation="softmax")], SCE, X[:100], Y[:100], validation=(X[100:], Y[100:])),
    ),
    "RV404": (
        lambda: Program([D(1)], x=X[:100], y=VALUES[:100], validation=(X[100:] * 255, VALUES[100:])),
        lambda: Program([D(1)], x=X[:100], y=VALUES[:100], validation=(X[100:] * 2, VALUES[100:])),
    ),
    "RV501": (
        lambda: Program([D(8, activation="sigmoid", name="it"), *(D(8, activation="sigmoid") for _ in range(12)), D(1)]),
        lambda: Program([D(8, "relu"), *(D(8, "relu", kernel_initializer="he_normal") for _ in range(12)), D(1)]),
    ),
    "RV502": (
        lambda: Program([D(8, "relu"), *(D(8, "relu", kernel_initializer=WIDE) for _ in range(6)), D(1, name="it")], rate=1e-30),
        lambda: Program([D(8, "relu"), *(D(8, "relu", kernel_initializer="he_normal") for _ in range(6)), D(1)]),
    ),
    "RV503": (
        lambda: Program([D(1)], rate=100.0),
        lambda: Program([D(1)], rate=0.01),
    ),
    "RV504": (
        lambda: Program([D(1)], lambda y, p: arrays.log(p * 0 + y * 0)),
        lambda: Program([D(1)], lambda y, p: arrays.square(p - y)),
    ),
    "RV505": (
        lambda: Program([D(16, activation="relu", bias_initializer=Constant(-100), name="it"), D(1)]),
        lambda: Program([D(16, activation="relu"), D(1)]),
    ),
    "RV507": (
        lambda: Program([D(1)], rate=optimizers.schedules.CosineDecay(1e-6, 2)),
        lambda: Program([D(1)], rate=optimizers.schedules.WarmUp(optimizers.schedules.CosineDecay(1e-6, 20), 20)),
    ),
    "RV508": (
        lambda: Program([D(1)], rate=optimizers.Adam(1e-6, epsilon=0.0)),
        lambda: Program([D(1)], rate=optimizers.Adam(1e-6)),
    ),
    "RV506": (        lambda: Program([D(16, activation="tanh", bias_initializer=Constant(100), name="it"), D(1)]),
        lambda: Program([D(16, activation="softplus", bias_initializer=Constant(-100)), D(1)]),
    ),
}  # fmt: skip
GIVEN = {  # what is refused without a check, and reported by `check`
    "RV001": (lambda: Program([D(1)], x=constant((3, 2), np.nan)), lambda: Program([D(1)])),
    "RV002": (lambda: Program([D(4), nn.Linear(7, 1)]), lambda: Program([D(4), nn.ReLU(), nn.Linear(4, 1)])),
}
CHECKS = {check.code: check for check in table.CHECKS}


def blamed(build):
    """The layer called "it" in a row, and the line of this file that makes it."""
    first = build.__code__.co_firstlineno
    line = Path(__file__).read_text(encoding="utf-8").splitlines()[first - 1]
    named = re.search(r'name="it"|\bit=', line)
    return ("it", f"{__file__}:{first}") if named else (None, None)


@pytest.mark.parametrize("code", ROWS)
def test_a_check_finds_its_mistake_once_and_knows_the_place(code):
    (finding,) = ROWS[code][0]().check()
    check = CHECKS[code]
    assert (finding.code, finding.title, finding.level) == (code, check.title, check.level)
    assert (finding.layer, finding.line) == blamed(ROWS[code][0])
    assert finding.fix.split(" ", 1)[0] in ("Write", "Check", "Leave", "Call", "Scale")
    assert finding.fix.endswith(".")


@pytest.mark.parametrize("code", ROWS)
def test_fit_warns_once_or_refuses(code):
    program = ROWS[code][0]()
    if code == "RV504":
        with pytest.raises(NonFiniteLoss):
            program.fit()
    elif CHECKS[code].level == ERROR:
        with pytest.raises(PreflightError, match=code) as error:
            program.fit()
        assert error.value.report.codes == [code]
    else:
        with warnings.catch_warnings(record=True) as caught, contextlib.suppress(NonFiniteLoss):
            warnings.simplefilter("always")
            model = program.fit()
            model.fit(program.x, program.y, verbose=0, validation_data=program.validation, **program.options)
        (warning,) = caught  # although fit ran twice
        assert warning.category is PreflightWarning
        assert str(warning.message).startswith(f"{code} {CHECKS[code].title}: ")
        assert warning.filename == __file__


@pytest.mark.parametrize("code", ROWS)
def test_nothing_is_said_of_the_corrected_program(code):
    program = ROWS[code][1]()
    assert not program.check()
    program.fit()


@pytest.mark.parametrize("code", ROWS)
def test_every_check_can_be_silenced(code):
    assert not ROWS[code][0]().check(ignore=(code,))
    with contextlib.suppress(NonFiniteLoss):
        ROWS[code][0]().fit(ignore=code[:3])


def test_pictures_whose_edges_hardly_vary_are_of_one_scale():
    pixels = PIXELS.copy()
    pixels[:, 0], pixels[:, 1] = 255 * (np.arange(N) % 2), 0
    pixels[7, 1] = 1
    for x in (pixels / 255, (pixels / 255).astype(np.float32)):
        assert Program([D(1)], x=x).check().codes == []
        assert Program([D(1)], x=x * 0.99).check().codes == ["RV203"]


def test_a_layer_outside_that_the_optimizer_has_is_trained():
    base = nn.Linear(F, 4)
    model = Listed([base])
    model(torch.tensor(X))  # which builds the last layer
    both = [*model.parameters(), *base.parameters()]
    report = model.check(X, VALUES, loss=nn.MSELoss(), optimizer=optim.SGD(both, lr=1e-6))
    assert "RV118" not in report.codes


@pytest.mark.parametrize("code", GIVEN)
def test_what_is_refused_is_reported(code):
    broken, corrected = GIVEN[code]
    report = broken().check()
    assert report.codes == [code]
    assert str(report[0]) == f"{code} {report[0].title}: {report[0].text}"
    with pytest.raises(ValueError, match=re.escape(report[0].text.splitlines()[0][-30:])):
        broken().fit()
    assert not corrected().check()


def test_there_is_a_row_for_every_check():
    assert sorted(ROWS) == sorted(CHECKS)
    assert sorted(GIVEN) == sorted(code for code, _ in table.GIVEN.values())


def test_the_document_has_the_table():
    text = (ROOT / "docs/checks.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (RV\d{3}) \| ([^|]+) \| (\w+) \|", text, re.MULTILINE)
    wanted = [(code, title, ERROR) for code, title in table.GIVEN.values()]
    wanted += sorted((c.code, c.title, c.level) for c in (*table.CHECKS, *predictions.CHECKS))
    assert [(code, title.strip(), level) for code, title, level in rows] == wanted


def test_what_is_lost_in_float32_is_said():
    times = np.concatenate([X, 1.7e9 + np.arange(len(X))[:, None] % 50], 1)
    (fault,) = [f for f in Program([D(1)], x=times).check() if f.code == "RV204"]
    assert "float32 is too coarse for numbers like 1.7e+09: write x - x.mean(0)" in str(fault)
    (fault,) = [f for f in Program([D(1)], x=constant(2, 3)).check() if f.code == "RV204"]
    assert "coarse" not in str(fault)


# --- reports ------------------------------------------------------------------------------------------------------


def test_a_report_is_a_list_that_prints():
    report = Program([D(4, name="it"), D(1)], x=constant(2, 3)).check()
    assert report.codes == ["RV106", "RV204"]
    assert len(report) == 2
    assert [f.code for f in report] == report.codes
    assert not report.errors
    text = repr(report)
    assert text.startswith("0 errors, 2 warnings\nwarning: RV106 no nonlinearity: ")
    page = report._repr_html_()
    assert "<td" in page
    assert "RV204" in page
    assert "&#x27;it&#x27;" in page
    nothing = Program([D(1)]).check()
    assert not nothing
    assert repr(nothing) == "No findings."


def test_errors_come_first_and_together():
    program = Program([D(4), D(1, activation="softmax")], SCE, x=X * 0, y=np.zeros(N, int))
    report = program.check()
    assert report.codes[0] == "RV105"
    with pytest.warns(PreflightWarning, match="RV106"), pytest.raises(PreflightError, match="RV105"):
        program.fit()


def test_codes_are_checked():
    with pytest.raises(ValueError, match=r'no check \'RV999\'.*Write ignore=\("RV'):
        Program([D(1)]).check(ignore=("RV999",))
    with pytest.raises(ValueError, match="no check"):
        Program([D(1)]).fit(ignore="")
    assert not Program([D(4), D(1)]).check(ignore="RV")


def test_a_warning_can_be_filtered_by_its_code():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="RV106")
        Program([D(4), D(1)]).fit()


def test_errors_come_at_every_fit():
    program = ROWS["RV302"][0]()
    model = program.compiled()
    for _ in range(2):
        with pytest.raises(PreflightError, match="RV302"):
            model.fit(program.x, program.y, verbose=0)


def test_check_needs_compile():
    with pytest.raises(RuntimeError, match="not compiled"):
        rv.Sequential([D(1)]).check(X, VALUES)


def test_a_report_says_what_was_not_tried():
    wide = [D(4000, activation="relu"), D(4000, activation="relu"), D(1)]
    (note,) = Program(wide).check().notes
    assert note.startswith("No trial steps were run: the network is too large")
    (note,) = ROWS["RV105"][0]().check().notes
    assert note == "No trial steps were run: correct the errors first."


def zeros(units, activation=None):
    return D(units, activation=activation, kernel_initializer="zeros")


ENDS = [  # layers, loss, targets, and the codes
    (lambda: [zeros(K, "softmax")], SCE, Y, []),  # each output has targets of its own
    (lambda: [zeros(K), layers.Softmax()], SCE, Y, []),
    (lambda: [zeros(8, "tanh"), D(K, activation="softmax")], SCE, Y, []),  # outgoing weights of the units differ
    (lambda: [zeros(8, "tanh"), zeros(K, "softmax")], SCE, Y, ["RV111"]),
    (lambda: [zeros(8, "relu"), D(K, activation="softmax")], SCE, Y, ["RV111"]),  # none passes a gradient
    (lambda: [D(8, activation="tanh", kernel_initializer="ones", bias_initializer=WIDE), zeros(1)], "mse", VALUES, []),
    (lambda: [D(1, activation="softmax")], BCE, BINARY, ["RV105"]),
    (lambda: [D(1), layers.Softmax()], "mse", BINARY, ["RV105"]),
]


@pytest.mark.parametrize(("model", "loss", "y", "codes"), ENDS)
def test_units_that_stay_equal_and_outputs_that_stay(model, loss, y, codes):
    assert Program(model(), loss, y=y).check(ignore=("RV5",)).codes == codes


# --- good programs ------------------------------------------------------------------------------------------------


class Branches(rv.Module):
    """Two inputs, two outputs, and a layer that serves in training alone."""

    def __init__(self):
        super().__init__()
        self.left, self.right, self.extra = D(8, "relu"), D(8, "tanh"), D(8, "relu")
        self.classes, self.value = D(K, activation="softmax", name="classes"), D(1, name="value")

    def forward(self, a, b):
        h = arrays.concatenate([self.left(a), self.right(b)], -1)
        if self.training:
            h = arrays.concatenate([h, self.extra(a)], -1)[:, :16]
        return self.classes(h), self.value(h)


def branches():
    rv.set_seed(0)
    model = Branches()
    model.compile("adam", [SCE, "mse"])
    return model


def test_several_inputs_and_outputs():
    x, y = [X, PIXELS / np.float32(255)], [Y, VALUES]
    assert not branches().check(x, y)
    branches().fit(x, y, verbose=0)


HALF = slice(0, 100)
BAD_BRANCHES = [  # inputs, targets, rows of each input that validate, and the layer blamed for each code
    (lambda: [X, PIXELS], lambda: [Y, VALUES], None, {"RV201": "right"}),
    (lambda: [X, X * 1000], lambda: [Y, VALUES * 1e5], None, {"RV202": "right", "RV308": "value"}),
    (lambda: [X, X], lambda: [Y * 0, VALUES], None, {"RV304": "classes"}),
    (lambda: [X[HALF], X[HALF]], lambda: [Y[HALF], VALUES[HALF]], (50, 50), {"RV401": None}),
    (lambda: [X[HALF], X[HALF]], lambda: [Y[HALF], VALUES[HALF]], (50, 51), {}),  # equal rows of one input only
]


@pytest.mark.parametrize(("x", "y", "starts", "codes"), BAD_BRANCHES)
def test_mistakes_in_one_of_several(x, y, starts, codes):
    options = {}
    if starts:
        left, right = (slice(start, start + 90) for start in starts)
        options["validation_data"] = ([X[left], X[right]], [Y[left], VALUES[left]])
    assert {f.code: f.layer for f in branches().check(x(), y(), **options)} == codes


def test_images_are_no_tables():
    """The background never varies, and channels may be constant: no findings."""
    images = np.zeros((N, 4, 4, 2), np.float32)
    images[:, 1:3, 1:3, 0] = X[:, :4].reshape(N, 2, 2) > 0
    flat = images.reshape(N, -1)
    standardized = (flat - flat.mean(0)) / (flat.std(0) + 1e-7)
    for x in (images, flat, standardized):
        model = rv.Sequential([layers.Flatten(), D(8, activation="relu"), D(K, activation="softmax")])
        model.compile("adam", SCE)
        assert not model.check(x, Y)


class Convolution(rv.Module):
    """Kernels of 3 x 3 on images with the channels last."""

    def __init__(self, channels, filters, groups=1, name=None):
        super().__init__(name=name)
        self.groups = groups
        self.kernel = rv.Parameter(RNG.normal(0, 0.3, (3, 3, channels // groups, filters)).astype(np.float32))

    def forward(self, x):
        return convolve(x, self.kernel, None, (1, 1), "valid", (1, 1), self.groups)


IMAGES = RNG.random((40, 8, 8, 2), np.float32)
CONVOLUTIONS = [  # layers, inputs, and the code if there is one, with the layer "it"
    (lambda: [Convolution(2, 4, name="it"), Convolution(4, 4), layers.ReLU()], IMAGES, ["RV106"]),
    (lambda: [Convolution(2, 4, name="it")], IMAGES, ["RV106"]),
    (lambda: [Convolution(2, 4), layers.ReLU()], IMAGES, []),
    (lambda: [Convolution(2, 4, groups=2), Convolution(4, 4), layers.ReLU()], IMAGES, []),  # separable
    (lambda: [Convolution(2, 4, name="it"), layers.ReLU()], (255 * IMAGES).astype(np.uint8), ["RV201"]),
]


@pytest.mark.parametrize(("first", "x", "codes"), CONVOLUTIONS)
def test_convolutions_are_layers_like_others(first, x, codes):
    report = Program([*first(), layers.Flatten(), D(K, activation="softmax")], SCE, x, Y[:40]).check()
    assert report.codes == codes
    assert [f.layer for f in report] == ["it"] * len(codes)


QUIET: dict[str, Any] = {
    "a linear bottleneck": lambda: Program([D(16, "relu"), D(2), D(16, "relu"), D(1)]),
    "a row or two in both": lambda: Program([D(1)], x=X[:100], y=VALUES[:100], validation=(X[98:150], VALUES[98:150])),
    "dead units on two rows": lambda: Program([D(16, activation="relu", bias_initializer=Constant(-100)), D(1)], x=X[:2], y=VALUES[:2]),
    "the rounding of what is constant": lambda: Program([D(1)], x=np.where(np.arange(F) == 1, np.float32(0.1) + np.float32(1e-8) * (np.arange(N) % 2)[:, None], X)),
    "a rare pixel": lambda: Program([D(1)], x=np.where(np.arange(F) == 1, np.float32(0.02) * (np.arange(N) == 3)[:, None], X)),
}  # fmt: skip


@pytest.mark.parametrize("name", QUIET)
def test_what_is_no_mistake_is_not_reported(name):
    assert not QUIET[name]().check()


def test_small_features_beside_ordinary_ones_are_reported():
    assert Program([D(1)], x=scaled([1], 1e-4)).check().codes == ["RV203"]


def test_two_layers_without_nonlinearity_are_reported_unless_the_first_is_a_bottleneck():
    wide = lambda *sizes: Program([*(D(n) for n in sizes), layers.ReLU(), D(1)])  # noqa: E731
    assert [wide(*sizes).check().codes for sizes in ((8, 8), (8, 2), (F, 9), (2, 9))] == [["RV106"]] * 3 + [[]]


def test_rows_of_few_values_repeat_by_chance():
    x, y = RNG.integers(0, 4, (1000, 6)).astype(np.float32), RNG.normal(size=1000)
    halves: dict[str, Any] = {"x": x[:500], "y": y[:500]}
    assert 0.05 < len(shared_rows([x[:500]], [x[500:]])[0]) / 500 < 0.25
    assert not Program([D(1)], **halves, validation=(x[500:], y[500:])).check()
    assert Program([D(1)], **halves, validation=(x[300:700], y[300:700])).check().codes == ["RV401"]


def test_categories_repeat_as_often_in_validation_as_in_training():
    """One-hot rows of 40 columns, of which few are distinct; the same rows of a hundred kinds come again and again."""
    kinds = RNG.permutation(np.eye(40, dtype=np.float32)[RNG.integers(0, 40, (60, 2))].sum(1))
    x, y = kinds[RNG.integers(0, 60, 1000)], RNG.normal(size=1000)
    halves: dict[str, Any] = {"x": x[:500], "y": y[:500]}
    assert not Program([D(1)], **halves, validation=(x[500:], y[500:])).check(ignore="RV204")
    sparse = (RNG.random((400, 40)) < 0.5).astype(np.float32)  # no two alike but those that were put into both
    leaked: dict[str, Any] = {"x": sparse[:200], "y": y[:200], "validation": (sparse[150:], y[150:400])}
    assert Program([D(1)], **leaked).check().codes == ["RV401"]


CAUSED = {  # a network whose loss is not finite whatever the learning rate, and what is said of it
    "logarithm of a negative number": (lambda: Program([D(1, kernel_initializer=WIDE, name="it")], "poisson", y=np.abs(VALUES)), "poisson.* takes the logarithm of the outputs.*layer 'it'.*activation='exponential'"),
    "shares of nothing": (lambda: Program([D(K, activation="relu", kernel_initializer=WIDE, name="it")], SCE, y=Y), "expects probabilities.*layer 'it'.*activation='softmax'"),
    "dropped probabilities": (lambda: Program([D(K, activation="softmax"), layers.Dropout(0.9, name="it")], SCE, y=Y), "dropout comes after the last layer"),
}  # fmt: skip


@pytest.mark.parametrize("what", CAUSED)
def test_the_error_of_a_loss_that_is_not_finite_names_its_cause(what):
    program, said = CAUSED[what]
    with pytest.raises(NonFiniteLoss, match=f"The likely cause: .*{said}") as error:
        program().fit(ignore="RV")
    assert "learning rate" not in str(error.value)


def test_accuracy_of_shares_and_of_zeros_and_ones_is_no_mistake():
    for y in (BINARY, (X[:, :1] > 0) * 1.0):
        assert not Program([D(1)], y=y, metrics=["accuracy"]).check()
    assert not Program([D(K, activation="softmax")], y=ONE_HOT, metrics=["accuracy"]).check()


def test_values_that_are_not_finite_are_not_judged():
    x = constant(0, np.inf)
    x[::2, 1] = np.nan
    with contextlib.suppress(NonFiniteLoss):
        Program([D(1)], x=x, options={"check_finite": False}).fit()


def test_memory_mapped_arrays(tmp_path):
    np.save(tmp_path / "x.npy", X)
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    report = Program([D(1)], x=x, validation=(x[100:], VALUES[100:])).check()
    assert report.codes == ["RV401"]


def test_a_trained_model_on_a_fresh_optimizer_is_no_fast_one():
    """Its loss is near zero, from which any step takes it far."""
    target = X @ np.array([[1.0], [2.0], [0.0], [-1.0], [0.5]], np.float32)
    model = rv.Sequential([D(1, input_shape=(F,))])
    model.set_weights([np.array([[1.0], [2.0], [0.0], [-1.0], [0.5]], np.float32), np.zeros(1, np.float32)])
    model.compile(optimizers.Adam(0.01), "mse")
    assert not model.check(X, target)


# --- what checking costs, and changes -----------------------------------------------------------------------------


def test_check_changes_nothing():
    def model():
        rv.set_seed(3)
        made = rv.Sequential([D(8, activation="relu"), layers.Dropout(0.3), D(K, activation="softmax")])
        made.compile("adam", SCE)
        return made

    plain = model()
    plain.fit(X, Y, epochs=2, verbose=0)
    checked = model()
    assert not checked.check(X, Y)
    checked.fit(X, Y, epochs=2, verbose=0)
    for a, b in zip(plain.get_weights(), checked.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def probe(engine):
    rv.set_engine(engine)
    rv.set_seed(0)
    made = rv.Sequential([D(16, activation="relu"), layers.Dropout(0.3), D(K, activation="softmax")])
    made.build((None, F))
    made.compile("adam", SCE)
    state = compiled(made, "check")
    data = to_data(made, state, X, Y)
    return Probe(made, state, data, step_for(made, state, data, 64, "train"))


def test_the_program_that_trains_tries_its_steps_as_the_reference_does():
    (native, change), (reference, other) = (probe(engine).trial for engine in ("native", "reference"))
    assert len(native) == STEPS + 1
    np.testing.assert_allclose(native, reference, rtol=1e-5)
    np.testing.assert_allclose(change, other, rtol=1e-4)


@pytest.mark.parametrize("awake", [0, 9, 150])
def test_a_unit_is_idle_only_if_no_row_wakes_it(awake):
    """Row ``awake`` is the only one on which the units are not zero."""
    model = rv.Sequential([D(8, activation="relu", input_shape=(1,)), D(1)])
    model.set_weights(
        [np.arange(1, 9, dtype=np.float32)[None], np.zeros(8, np.float32), np.ones((8, 1), np.float32), np.zeros(1)]
    )
    model.compile(optimizers.SGD(1e-6), "mse")
    x = np.full((N, 1), -1, np.float32)
    assert [f.code for f in model.check(x, VALUES, ignore="RV2")] == ["RV505"]
    x[awake] = 1
    assert not model.check(x, VALUES, ignore="RV2")


def test_silenced_checks_train_to_the_same_bits():
    weights = [
        Program([D(8, activation="relu"), layers.Dropout(0.3), D(1)], rate=0.01).fit(**o).get_weights()
        for o in ({}, {"ignore": "RV"})
    ]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_generator_is_judged_by_its_first_batch():
    def batches():
        for start in range(0, N, 50):
            yield X[start : start + 50], Y[start : start + 50] * 0  # one class in each batch says nothing

    model = rv.Sequential([D(4), D(K, activation="softmax")])
    model.compile("adam", SCE)
    report = model.check(batches())
    assert report.codes == ["RV106"]
    assert report.notes[0].startswith("Checked the first batch, 50 rows, ")
    with pytest.warns(PreflightWarning, match="RV106"):
        model.fit(batches(), verbose=0)


def test_your_own_loop_is_checked_by_its_loss_and_optimizer():
    net = nn.Sequential(nn.Linear(F, 8), nn.ReLU(), nn.Linear(8, K), nn.Softmax(-1))
    assert net.check(X, Y, loss=nn.CrossEntropyLoss()).codes == ["RV101"]
    net = nn.Sequential(nn.Linear(F, 8), nn.ReLU(), nn.Linear(8, K))
    assert not net.check(X, Y, loss=nn.CrossEntropyLoss(), optimizer=optim.Adam(net.parameters(), lr=0.01))
    fast = optim.SGD(net.parameters(), lr=30.0)
    assert net.check(X, Y, loss=nn.CrossEntropyLoss(), optimizer=fast).codes == ["RV503"]
    assert fast.state_dict()["param_groups"][0]["iterations"] == 0  # no step was taken
    few = optim.SGD(list(net.parameters())[:2], lr=0.01)
    assert not net.check(X, Y, loss=nn.CrossEntropyLoss(), optimizer=few)


def test_a_loader_of_arrays_is_looked_at_whole():
    data = TensorDataset(torch.tensor(X), torch.tensor(Y * 0))
    model = rv.Sequential([D(K, activation="softmax")])
    model.compile("adam", SCE)
    assert model.check(DataLoader(data, batch_size=20, shuffle=True)).codes == ["RV304"]


def test_large_data_are_sampled_and_the_report_says_so():
    x = np.tile(X, (50, 1)) + RNG.normal(size=(50 * N, F)).astype(np.float32)
    report = Program([D(1)], x=x, y=np.tile(VALUES, (50, 1))).check()
    assert not report
    assert "1,024 of 10,000 rows" in report.notes[0]


# --- rows that two arrays share -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "width"), [("float32", 5), ("float32", 784), ("uint8", 3), ("float64", 2), ("bool", 70), ("int32", 1)]
)
def test_shared_rows_are_exact(dtype, width):
    x = RNG.integers(0, 3 if width < 6 else 2, (300, width)).astype(dtype)
    a, b = x[:200], x[150:]
    rows, copies = shared_rows([a], [b])
    np.testing.assert_array_equal(a[copies], b[rows])
    known = {row.tobytes() for row in a}
    assert rows.tolist() == [i for i, row in enumerate(b) if row.tobytes() in known]


def test_rows_of_two_inputs_are_shared_only_together():
    x = np.arange(40, dtype=np.float32).reshape(20, 2)
    rows, copies = shared_rows([x, x], [x[[3, 4]], x[[3, 5]]])
    assert rows.tolist() == [0]
    assert copies.tolist() == [3]


def test_an_epoch_of_some_steps_is_what_a_schedule_is_compared_with():
    x = np.random.default_rng(0).normal(size=(320, 4)).astype(np.float32)
    model = rv.Sequential([rv.layers.Dense(1, input_shape=(4,))])
    model.compile(optimizers.Adam(optimizers.schedules.CosineDecay(1e-3, 6)), "mse")
    with pytest.warns(PreflightWarning, match="RV507.*one epoch has 10 steps"):
        model.fit(x, x[:, :1], epochs=1, verbose=0)
    model.compile(optimizers.Adam(optimizers.schedules.CosineDecay(1e-3, 6)), "mse")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(x, x[:, :1], epochs=2, steps_per_epoch=4, verbose=0)
