"""Objects and functions of the user's in saved models: registered, or given where they are loaded."""

from dataclasses import dataclass

import numpy as np
import pytest

import ranvier as rv
from ranvier.support.custom_objects import OBJECTS
from ranvier.training import CheckpointError

X = np.random.default_rng(2).normal(size=(64, 5)).astype(np.float32)


@pytest.fixture(autouse=True)
def reference():
    rv.set_engine("reference")
    yield
    rv.set_engine(None)


mine = rv.saving.register_keras_serializable(package="tests of saving")


@mine
class Cubic(rv.regularizers.Regularizer):
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return self.factor * (abs(x) ** 3).sum()

    def get_config(self):
        return {"factor": self.factor}


@mine
@dataclass(frozen=True)
class Below(rv.constraints.Constraint):
    most: float

    def __call__(self, w):
        return rv.ops.minimum(w, self.most)


@mine
class Filled(rv.initializers.Initializer):
    def __init__(self, value):
        self.value = value

    def __call__(self, shape, dtype=None):
        return np.full(shape, self.value, dtype or "float32")

    def get_config(self):
        return {"value": self.value}


@mine
def bent(x):
    return x.maximum(0.1 * x)


def own_layers(**options):
    return rv.Sequential([rv.layers.Dense(3, input_shape=(5,), **options), rv.layers.Lambda(bent)])


OWN = [  # arguments of a layer, and the names of what they hold
    {"activation": bent},
    {"kernel_regularizer": Cubic(0.5)},
    {"kernel_constraint": Below(0.25)},
    {"kernel_initializer": Filled(0.125)},
]


@pytest.mark.parametrize("options", OWN, ids=lambda options: next(iter(options)))
def test_registered_objects_and_functions_are_saved_by_name(options, tmp_path):
    model = own_layers(**options)
    model.compile("sgd", "mse")
    model.fit(X, X[:, :3], verbose=0)
    model.save(tmp_path / "m")
    assert b"tests of saving>" in (tmp_path / "m").read_bytes()
    twins = rv.load_model(tmp_path / "m"), rv.models.clone_model(model)
    twins[1].compile("sgd", "mse")
    twins[1].set_weights(model.get_weights())
    for twin in (model, *twins):
        twin.fit(X, X[:, :3], verbose=0, shuffle=False)
        assert twin.evaluate(X, X[:, :3], verbose=0) == model.evaluate(X, X[:, :3], verbose=0)


def test_objects_that_are_not_registered_where_they_are_loaded_are_given(tmp_path, monkeypatch):
    own_layers(activation=bent, kernel_regularizer=Cubic(0.5)).save(tmp_path / "m")
    for name in list(OBJECTS):
        monkeypatch.delitem(OBJECTS, name)
    with pytest.raises(CheckpointError, match=r"'tests of saving>bent', which is not registered.*custom_objects="):
        rv.load_model(tmp_path / "m")
    known = {"bent": bent, "Cubic": Cubic}
    assert rv.load_model(tmp_path / "m", custom_objects=known).layers[0].kernel_regularizer.factor == 0.5


def test_what_no_file_can_hold_is_reported_before_training(tmp_path):
    model = own_layers(activation=lambda x: x)
    model.compile("sgd", "mse")
    before = model.get_weights()[0]
    with pytest.raises(TypeError, match=r"which a file cannot hold. Write a function with a name"):
        model.fit(X, X[:, :3], verbose=0, callbacks=[rv.callbacks.ModelCheckpoint(tmp_path / "m")])
    np.testing.assert_array_equal(model.get_weights()[0], before)


def test_names_in_files_are_those_of_a_package():
    with pytest.raises(ValueError, match=r"'tests of saving>bent' belongs to .*\(package="):
        rv.saving.register_keras_serializable("tests of saving", "bent")(lambda x: x)
    rv.saving.register_keras_serializable("another package", "bent")(lambda x: x)
    assert rv.saving.get_registered_name(bent) == "tests of saving>bent"
    with pytest.raises(TypeError, match=r"get_registered_name\(3\): write a class or a function"):
        rv.saving.get_registered_name(3)


def squared(y, p):
    return ((y - p) ** 2).mean(-1)


class Scaled(rv.losses.Loss):
    def __init__(self, factor=1.0, **options):
        super().__init__(**options)
        self.factor = factor

    def call(self, y_true, y_pred):
        return self.factor * squared(y_true, y_pred)


class Forgetful(rv.losses.Loss):
    def __init__(self, factor=1.0):
        super().__init__()
        self.by = factor

    def call(self, y_true, y_pred):
        return self.by * squared(y_true, y_pred)


@pytest.mark.parametrize(
    ("loss", "metrics"), [(squared, [squared]), (Scaled(3.0), ["mae", squared])], ids=["function", "class"]
)
def test_losses_and_metrics_of_ones_own_are_given_at_load(loss, metrics, tmp_path):
    model = own_layers()
    model.compile("adam", loss, metrics)
    model.fit(X, X[:, :3], verbose=0)
    model.save(tmp_path / "m")
    with pytest.warns(
        UserWarning, match=r"a loss, metric or schedule of yours, and the model is not compiled.*custom_objects="
    ):
        assert rv.load_model(tmp_path / "m")._compiled is None
    twin = rv.load_model(tmp_path / "m", custom_objects={"squared": squared, "Scaled": Scaled})
    for one in (model, twin):
        one.fit(X, X[:, :3], verbose=0, shuffle=False)
    np.testing.assert_array_equal(model.get_weights()[0], twin.get_weights()[0])
    assert model.evaluate(X, X[:, :3], verbose=0) == twin.evaluate(X, X[:, :3], verbose=0)


def test_a_loss_whose_configuration_would_lose_something_is_not_saved(tmp_path):
    model = own_layers()
    model.compile("adam", Forgetful(3.0))
    with pytest.warns(UserWarning, match="the loss 'forgetful' cannot be saved"):
        model.save(tmp_path / "m")


@mine
class Falling(rv.optimizers.schedules.LearningRateSchedule):
    def __init__(self, first, by=0.5):
        self.first, self.by = first, by

    def __call__(self, step):
        return self.first * self.by**step

    def get_config(self):
        return {"first": self.first, "by": self.by}


@mine
class Within(rv.optimizers.schedules.LearningRateSchedule):
    def __init__(self, inner):
        self.inner = inner

    def __call__(self, step):
        return 2 * self.inner(step)

    def get_config(self):
        return {"inner": rv.optimizers.schedules.serialize(self.inner)}

    @classmethod
    def from_config(cls, config):
        return cls(rv.optimizers.schedules.deserialize(config["inner"]))


@mine
class Half(rv.optimizers.schedules.ExponentialDecay):
    def __call__(self, step):
        return 0.5 * super().__call__(step)


@mine
class Silent(Falling):
    def get_config(self):
        return {"first": self.first}


SCHEDULES = [Falling(0.1), Within(Falling(0.1, 0.25)), Half(0.1, 10, 0.9)]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_a_registered_schedule_is_saved_by_name(schedule, tmp_path, monkeypatch):
    model = own_layers()
    model.compile(rv.optimizers.Adam(schedule), "mse", ["mae"])
    model.fit(X, X[:, :3], verbose=0)
    model.save(tmp_path / "m")
    twin = rv.load_model(tmp_path / "m")
    assert repr(twin.optimizer) == repr(model.optimizer)
    for one in (model, twin):
        one.fit(X, X[:, :3], verbose=0, shuffle=False)
    np.testing.assert_array_equal(model.get_weights()[0], twin.get_weights()[0])
    for name in [n for n in OBJECTS if n != "tests of saving>bent"]:
        monkeypatch.delitem(OBJECTS, name)
    given = {kind.__name__: kind for kind in (Falling, Within, Half)}
    assert repr(rv.load_model(tmp_path / "m", custom_objects=given).optimizer) == repr(model.optimizer)
    with pytest.warns(UserWarning, match=f">{type(schedule).__name__}, a loss, metric or schedule of yours"):
        assert rv.load_model(tmp_path / "m")._compiled is None


def test_a_schedule_whose_configuration_would_lose_something_is_not_saved():
    with pytest.raises(ValueError, match=r"the schedule Silent cannot be saved. Write a get_config"):
        rv.optimizers.schedules.describe(Silent(0.1))
