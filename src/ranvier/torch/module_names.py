"""PyTorch's modules that define nothing here: those whose names others hold, and those that are not there.

They are made when `ranvier.torch` is imported, so that programs can import them. ``torch.nn.modules.conv`` shows all of
`torch.nn`. A name of ``torch.fft``, which is not there, raises AttributeError: the error says what to write instead.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from ranvier.ops.torch import missing_names
from ranvier.support.rows import load

SHOWN = {  # by module: those that show its names
    __package__: "functional serialization",
    "ranvier.torch.nn":
        "nn.modules nn.modules.activation nn.modules.adaptive nn.modules.batchnorm nn.modules.channelshuffle "
        "nn.modules.container nn.modules.conv nn.modules.distance nn.modules.dropout nn.modules.flatten "
        "nn.modules.fold nn.modules.instancenorm nn.modules.lazy nn.modules.linear nn.modules.loss "
        "nn.modules.normalization nn.modules.padding nn.modules.pixelshuffle nn.modules.pooling nn.modules.rnn "
        "nn.modules.sparse nn.modules.transformer nn.modules.upsampling nn.parameter",
    "ranvier.torch.nn.module_hooks": "nn.modules.module",
    "ranvier.torch.nn.tuples": "nn.modules.utils",
    "ranvier.torch.nn.utils": "nn.utils.clip_grad nn.utils.convert_parameters",
    "ranvier.torch.optim":
        "optim.adadelta optim.adagrad optim.adam optim.adamax optim.adamw optim.lbfgs optim.nadam optim.rmsprop "
        "optim.sgd",
    "ranvier.torch.distributions":
        "distributions.bernoulli distributions.beta distributions.categorical distributions.dirichlet "
        "distributions.exponential distributions.gamma distributions.laplace distributions.log_normal "
        "distributions.multivariate_normal distributions.normal distributions.one_hot_categorical "
        "distributions.poisson distributions.uniform",
    "ranvier.torch.autograd": "autograd.anomaly_mode autograd.grad_mode autograd.variable",
    "ranvier.torch.func": "nn.utils.stateless",
    "ranvier.torch.utils.data": "utils.data.distributed",
    "ranvier.tensor.hooks": "utils.hooks",
}  # fmt: skip
ABSENT = (
    "compiler", "fft", "fx", "hub", "masked", "profiler",
    "signal", "sparse", "special", "nn.utils.parametrizations", "nn.utils.parametrize", "nn.utils.prune",
    "quantization",
)  # fmt: skip


class NamedModule(ModuleType):
    """A module without definitions: it shows what ``place`` holds, or nothing."""

    def __init__(self, name: str, place: str) -> None:
        shown = f"``torch.{name}`` shows the names of `{place}`." if place else f"``torch.{name}`` is not there."
        super().__init__(f"ranvier.torch.{name}", shown)
        self.__spec__ = ModuleSpec(self.__name__, None)
        self.__path__: list[str] = []
        self._name, self._place = name, place

    def __getattr__(self, name: str) -> Any:
        if self._place and (name == "__all__" or not name.startswith("__")):
            return getattr(load(self._place), name)
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        words = missing_names.NAMES.get(self._name) or missing_names.NAMES[self._name.rpartition(".")[2]]
        raise AttributeError(f"torch.{self._name}.{name} does not exist: {words}.")

    def __dir__(self) -> list[str]:
        return dir(load(self._place)) if self._place else []


def install() -> None:
    """Make the modules. Those that are not there can be imported, and are no attributes of their packages."""
    for place, names in SHOWN.items():
        for name in names.split():
            module = NamedModule(name, place)
            package, _, own = module.__name__.rpartition(".")
            sys.modules[module.__name__] = module
            if package in sys.modules:  # one that is loaded later names them itself
                setattr(sys.modules[package], own, module)
    for name in ABSENT:
        sys.modules[f"ranvier.torch.{name}"] = NamedModule(name, "")
