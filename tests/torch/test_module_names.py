"""Modules that PyTorch has for names of others, for settings and for tests."""

import importlib

import numpy as np
import pytest

import ranvier.torch as torch
from ranvier.torch import module_names, nn
from ranvier.torch.testing import assert_close

ROWS = [  # a module, one of its names, and what has it
    ("autograd.grad_mode", "no_grad", torch.no_grad),
    ("autograd.variable", "Variable", torch.autograd.Variable),
    ("functional", "einsum", torch.einsum),
    ("nn.modules.conv", "Conv2d", nn.Conv2d),
    ("nn.modules.module", "Module", nn.Module),
    ("nn.parallel", "DataParallel", nn.DataParallel),
    ("nn.parameter", "Parameter", nn.Parameter),
    ("nn.utils.clip_grad", "clip_grad_norm_", nn.utils.clip_grad_norm_),
    ("optim.adam", "Adam", torch.optim.Adam),
    ("serialization", "load", torch.load),
    ("types", "Tensor", torch.tensor(1.0).__class__),
    ("nn.utils.stateless", "functional_call", torch.func.functional_call),
    ("utils.hooks", "RemovableHandle", type(nn.ReLU().register_forward_hook(print))),
    ("utils.data.dataset", "Dataset", torch.utils.data.Dataset),
    ("version", "__version__", torch.__version__),
]


@pytest.mark.parametrize(("name", "attribute", "expected"), ROWS, ids=[row[0] for row in ROWS])
def test_a_module_shows_what_another_defines(name, attribute, expected):
    module = importlib.import_module(f"ranvier.torch.{name}")
    assert getattr(module, attribute) is expected
    assert attribute in dir(module)


@pytest.mark.parametrize("name", module_names.ABSENT)
def test_a_module_that_is_not_there_says_what_to_write(name):
    module = importlib.import_module(f"ranvier.torch.{name}")
    with pytest.raises(AttributeError, match=rf"^torch\.{name}\.load does not exist: .{{20}}"):
        module.load
    assert not hasattr(module, "__file__") and not dir(module)  # noqa: PT018


def test_one_process():
    net = nn.Linear(2, 1)
    assert nn.DataParallel(net)(torch.ones(1, 2)).equal(net(torch.ones(1, 2)))
    assert list(nn.DataParallel(net).state_dict()) == ["module.weight", "module.bias"]
    assert not torch.distributed.is_available()
    for refused in (
        lambda: nn.parallel.DistributedDataParallel(net),
        lambda: torch.distributed.init_process_group("gloo"),
        lambda: torch.multiprocessing.spawn(print),
    ):
        with pytest.raises(RuntimeError, match="there is one process"):
            refused()


def test_flags_of_other_libraries_are_taken():
    cudnn = importlib.import_module("ranvier.torch.backends.cudnn")
    assert cudnn is torch.backends.cudnn
    assert cudnn.deterministic
    assert not importlib.import_module("ranvier.torch.backends.mps").is_available()


def test_what_changes_nothing():
    double = torch.jit.script(lambda x: 2 * x)
    assert torch.utils.checkpoint.checkpoint(double, torch.tensor(3.0), use_reentrant=False).item() == 6
    pair = importlib.import_module("ranvier.torch.nn.modules.utils")._pair
    assert (pair(3), pair([1, 2])) == ((3, 3), (1, 2))


CLOSE = [
    (torch.ones(3), torch.ones(3) + 2e-6, {}, ""),
    ([1, 2.0], [1, 2.0 + 1e-8], {}, ""),
    ({"a": torch.ones(2)}, {"a": np.ones(2, np.float32)}, {}, ""),
    (torch.tensor([float("nan")]), torch.tensor([float("nan")]), {"equal_nan": True}, ""),
    (torch.ones(3), torch.ones(3, dtype=torch.float64), {"check_dtype": False}, ""),
    (torch.ones(3), torch.ones(3, dtype=torch.float64), {}, "dtypes differ: float32 and float64"),
    (torch.ones(3), torch.ones(2), {}, r"shapes differ: \(3,\) and \(2,\)"),
    (torch.ones(2), torch.tensor([1.0, 1.1]), {}, r"1 of 2 elements differ.* at index \(1,\): 1.0 and 1.1"),
    ([torch.ones(2), 1], [torch.ones(2), 2], {}, r"differ at\[1\]"),
    (torch.tensor([float("inf")]), torch.tensor([1.0]), {}, "1 of 1"),
    (torch.tensor([1]), torch.tensor([3]), {"rtol": 1, "atol": 0, "msg": "own"}, ""),
    (torch.tensor([1]), torch.tensor([3]), {"rtol": 0, "atol": 1, "msg": "own"}, "^own$"),
]


@pytest.mark.parametrize(("actual", "expected", "options", "words"), CLOSE)
def test_assert_close(actual, expected, options, words):
    if not words:
        assert_close(actual, expected, **options)
        return
    with pytest.raises(AssertionError, match=words):
        assert_close(actual, expected, **options)


IMPORTS = [
    ("from ranvier.torch.profiler import profile", r"^torch\.profiler\.profile does not exist: compiled"),
    ("from ranvier.torch.nn import Liner", r"^torch\.nn\.Liner does not exist. The nearest that does is Linear"),
    ("from ranvier.torch.nn.modules.conv import Conv", r"^torch\.nn\.Conv does not exist"),
    ("from ranvier.layers import Dens", r"^ranvier\.layers\.Dens does not exist. The nearest that does is Dense"),
    ("from ranvier.preprocessing.image import ImageDataGenerator", "write utils.image_dataset_from_directory"),
    ("from ranvier.applications import ResNet50", "rv.models has resnet18"),
    ("from ranvier.optimizers.legacy import Adam", "write that of rv.optimizers"),
]


@pytest.mark.parametrize(("line", "said"), IMPORTS)
def test_an_import_of_a_name_that_is_not_there_says_what_to_write(line, said):
    with pytest.raises(ImportError, match=said):
        exec(line, {})
    names: dict[str, object] = {}
    exec("from ranvier.preprocessing.sequence import pad_sequences\nfrom ranvier.torch import nn, optim", names)
    assert names["nn"] is nn


def test_the_modules_of_keras_by_the_path_of_tensorflow():
    tf = importlib.import_module("ranvier")
    names: dict[str, object] = {}
    exec("from ranvier.keras.layers import Dense\nfrom ranvier.keras import Model, layers", names)
    assert tf.keras.layers.Dense is names["Dense"]
    assert tf.keras.preprocessing.sequence.pad_sequences is tf.utils.pad_sequences
    assert tf.keras.Sequential is tf.Sequential
    assert "keras" not in tf.__all__
    with pytest.raises(TypeError, match=r"leave rv\.function out"):
        tf.function(lambda x: x + 1)(np.ones(2, np.float32))
