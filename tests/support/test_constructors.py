"""Constructors: a call that does not fit is refused in the name of the class, and copies need no arguments."""

import copy
import importlib
import inspect
import pickle

import pytest

import ranvier as rv
from ranvier import torch
from ranvier.support.constructors import CheckedConstructor
from ranvier.tensor.tensor import Tensor
from tests.test_house import PUBLIC

# Their constructors run in steps of training, or raise errors of their own.
UNCHECKED = (Tensor, BaseException, torch.no_grad, torch.inference_mode)


class Mine(rv.layers.Dense):
    """A subclass that has its base's constructor."""


class Own(rv.layers.Layer):
    """A subclass with a constructor of its own, given a base's what it does not take."""

    def __init__(self, units):
        super().__init__(units)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (rv.layers.Conv2D, "Conv2D needs filters and kernel_size. It takes filters, kernel_size, strides, "),
        (lambda: rv.layers.Dense(64, activaton="relu"), "Dense has no argument 'activaton'. Write activation= instead"),
        (lambda: rv.layers.Dense(64, units=3), "Dense was given units twice, by place and by name. Write it once"),  # type: ignore[misc]
        (Mine, "Mine needs units. It takes units, activation, use_bias, "),
        (lambda: rv.Model(1, 2, 3), "Model takes at most 2 arguments without a name, and was given 3"),
        (lambda: rv.regularizers.L2(0.1, 2), "L2 takes at most 1 argument without a name, and was given 2"),
        (lambda: rv.callbacks.Callback(1), r"Callback\(\) takes no arguments"),
        (lambda: torch.nn.Linear(3), "Linear needs out_features. It takes in_features, out_features, bias"),
        (Own, r"Own\.__init__\(\) missing 1 required positional argument: 'units'"),
        (lambda: Own(3), r"Layer\.__init__\(\) takes 1 positional argument but 2 were given"),
    ],
)  # fmt: skip
def test_a_call_that_does_not_fit(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_a_class_shows_the_arguments_of_its_constructor():
    assert list(inspect.signature(Mine).parameters) == list(inspect.signature(rv.layers.Dense).parameters)
    assert list(inspect.signature(Mine).parameters)[:2] == ["units", "activation"]
    assert list(inspect.signature(Own).parameters) == ["units"]
    assert list(inspect.signature(Mine(3)).parameters) == ["args", "kwargs"]  # a call of the layer
    assert not list(inspect.signature(rv.callbacks.Callback).parameters)


@pytest.mark.parametrize(
    "thing",
    [
        rv.layers.Dense(3), Mine(3), rv.regularizers.L2(0.1), rv.constraints.MaxNorm(3), rv.losses.Huber(delta=2.0),
        rv.initializers.Constant(3.0), rv.optimizers.Adam(0.1), rv.callbacks.EarlyStopping(patience=2),
        torch.nn.Linear(2, 3), torch.utils.data.TensorDataset(torch.zeros(3)),
    ],
    ids=lambda thing: type(thing).__name__,
)  # fmt: skip
def test_copies_and_pickles_need_no_arguments(thing):
    twins = [copy.copy(thing), copy.deepcopy(thing), pickle.loads(pickle.dumps(thing))]
    assert [type(twin) for twin in twins] == [type(thing)] * 3
    assert all(vars(twin).keys() >= vars(thing).keys() - {"_record", "_graph"} for twin in twins)


def test_every_public_class_has_a_checked_constructor_that_runs_as_written():
    modules = [importlib.import_module(name) for name in PUBLIC if not name.startswith("ranvier.ops")]
    classes = {
        value for module in modules for name in module.__all__ if inspect.isclass(value := getattr(module, name))
    }
    unchecked = [
        kind.__qualname__
        for kind in classes
        if getattr(kind.__init__, "__module__", "").startswith("ranvier.")
        and not issubclass(kind, (CheckedConstructor, *UNCHECKED))
    ]
    assert not unchecked
    wrapped = [kind.__qualname__ for kind in classes if kind.__init__ is not inspect.unwrap(kind.__init__)]
    assert not wrapped
