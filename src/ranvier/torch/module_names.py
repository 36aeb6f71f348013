"""PyTorch's modules that define nothing here: those whose names others hold, and those that are not there.

They are made when `ranvier.torch` is imported, so that programs can import them. ``torch.nn.modules.conv`` shows all of
`torch.nn`. A name of ``torch.fft``, which is not there, raises an error that says what to write instead.
"""

from __future__ import annotations

from ranvier.ops.torch import missing_names
from ranvier.support import named_modules

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
        "optim.adadelta optim.adagrad optim.adam optim.adamax optim.adamw optim.asgd optim.lbfgs optim.nadam "
        "optim.radam optim.rmsprop optim.rprop optim.sgd",
    "ranvier.torch.distributions":
        "distributions.bernoulli distributions.beta distributions.categorical distributions.dirichlet "
        "distributions.exponential distributions.gamma distributions.laplace distributions.log_normal "
        "distributions.multivariate_normal distributions.normal distributions.one_hot_categorical "
        "distributions.poisson distributions.transformed_distribution distributions.uniform",
    "ranvier.torch.autograd": "autograd.anomaly_mode autograd.grad_mode autograd.variable",
    "ranvier.torch.func": "nn.utils.stateless",
    "ranvier.torch.utils.data": "utils.data.distributed",
    "ranvier.tensor.hooks": "utils.hooks",
}  # fmt: skip
ABSENT = (
    "compiler", "fft", "fx", "hub", "masked", "profiler",
    "signal", "sparse", "quantization",
)  # fmt: skip


def _words(name: str) -> str:
    return missing_names.NAMES.get(name) or missing_names.NAMES[name.rpartition(".")[2]]


def install() -> None:
    """Make the modules."""
    named_modules.install(__package__, "torch", SHOWN, {name: _words(name) for name in ABSENT})
