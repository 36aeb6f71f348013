"""Ranvier: a compiler for neural networks. These are the public names, in the vocabulary of Keras.

``import ranvier.torch as torch`` is the same library in the vocabulary of PyTorch.
"""

from typing import TYPE_CHECKING

from ranvier import layers
from ranvier.engines import get_engine, set_engine
from ranvier.layers import Input, Layer
from ranvier.module import Module, Parameter, Sequential, register_module
from ranvier.ops import tensor_methods as methods  # methods gives tensors their operators
from ranvier.support import rows
from ranvier.support.errors import missing
from ranvier.support.version import __version__
from ranvier.tensor.context import get_dtype, no_grad, set_dtype
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor

if TYPE_CHECKING:
    from ranvier import (
        activations,
        backend,
        calibration,
        callbacks,
        config,
        constraints,
        data,
        datasets,
        estimators,
        explain,
        initializers,
        losses,
        metrics,
        models,
        ops,
        optimizers,
        pictures,
        random,
        regularizers,
        saving,
        search,
        torch,
        utils,
    )
    from ranvier.engines.native.runtime.threads import get_threads, set_threads
    from ranvier.initializers import Initializer
    from ranvier.losses import Loss
    from ranvier.metrics import Metric
    from ranvier.module.parameter import Variable
    from ranvier.optimizers import Optimizer
    from ranvier.regularizers import Regularizer
    from ranvier.search import fit_many
    from ranvier.tensor.rng import set_seed
    from ranvier.training import load_model, verify_resume
    from ranvier.training.loop.lr_finder import find_learning_rate

Model = Module  # Keras's name for what subclasses of a network derive from

__all__ = [
    "Initializer",
    "Input",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Module",
    "Optimizer",
    "Parameter",
    "Regularizer",
    "Sequential",
    "Tensor",
    "Variable",
    "__version__",
    "activations",
    "backend",
    "calibration",
    "callbacks",
    "config",
    "constraints",
    "data",
    "datasets",
    "estimators",
    "explain",
    "find_learning_rate",
    "fit_many",
    "function",
    "get_dtype",
    "get_engine",
    "get_threads",
    "initializers",
    "layers",
    "load_model",
    "losses",
    "metrics",
    "models",
    "no_grad",
    "ops",
    "optimizers",
    "pictures",
    "random",
    "register_module",
    "regularizers",
    "saving",
    "search",
    "set_dtype",
    "set_engine",
    "set_seed",
    "set_threads",
    "torch",
    "utils",
    "verify_resume",
]

_LAZY = {  # imported when first used, so that `import ranvier` stays quick
    "Initializer": "ranvier.initializers:Initializer",
    "Loss": "ranvier.losses:Loss",
    "Metric": "ranvier.metrics:Metric",
    "Optimizer": "ranvier.optimizers:Optimizer",
    "Regularizer": "ranvier.regularizers:Regularizer",
    "Variable": "ranvier.module.parameter:Variable",
    "activations": "ranvier.activations",
    "backend": "ranvier.backend",
    "calibration": "ranvier.calibration",
    "callbacks": "ranvier.callbacks",
    "config": "ranvier.config",
    "constraints": "ranvier.constraints",
    "data": "ranvier.data",
    "datasets": "ranvier.datasets",
    "estimators": "ranvier.estimators",
    "explain": "ranvier.explain",
    "find_learning_rate": "ranvier.training.loop.lr_finder:find_learning_rate",
    "fit_many": "ranvier.search:fit_many",
    "get_threads": "ranvier.engines.native.runtime.threads:get_threads",
    "initializers": "ranvier.initializers",
    "load_model": "ranvier.training:load_model",
    "losses": "ranvier.losses",
    "metrics": "ranvier.metrics",
    "models": "ranvier.models",
    "ops": "ranvier.ops",
    "optimizers": "ranvier.optimizers",
    "pictures": "ranvier.pictures",
    "random": "ranvier.random",
    "regularizers": "ranvier.regularizers",
    "saving": "ranvier.saving",
    "search": "ranvier.search",
    "set_seed": "ranvier.tensor.rng:set_seed",
    "set_threads": "ranvier.engines.native.runtime.threads:set_threads",
    "torch": "ranvier.torch",
    "utils": "ranvier.utils",
    "verify_resume": "ranvier.training:verify_resume",
}

# What lower rooms look up by name: see `ranvier.support.rows`.
rows.declare({
    ("method", "check"): "ranvier.training.preflight.run:check",
    ("method", "compile"): "ranvier.training.step.compiled:compile",
    ("method", "evaluate"): "ranvier.training.loop.evaluate:evaluate",
    ("method", "fit"): "ranvier.training.loop.fit:fit",
    ("method", "load_weights"): "ranvier.training.checkpoint.model_file:load_weights",
    ("method", "predict"): "ranvier.training.loop.predict:predict",
    ("method", "save"): "ranvier.training.checkpoint.model_file:save",
    ("method", "save_weights"): "ranvier.training.checkpoint.model_file:save_weights",
    ("method", "train_on_batch"): "ranvier.training.loop.fit:train_on_batch",
    ("method", "plot"): "ranvier.pictures:network",
    ("method", "_repr_html_"): "ranvier.pictures.html:model_html",
    # Of the classes in saved files: by the start of a name, the module that registers them.
    ("classes", "torch."): "ranvier.torch.nn",
    ("classes", "models."): "ranvier.models",
    ("classes", "Calibrated"): "ranvier.calibration",
    ("classes", ""): "ranvier.layers.operators",
    ("criteria", "torch."): "ranvier.torch.nn.losses",
    # What turns a name such as "l2" into an object.
    ("get", "activation"): "ranvier.activations:get",
    ("get", "constraint"): "ranvier.constraints:get",
    ("get", "initializer"): "ranvier.initializers:get",
    ("get", "regularizer"): "ranvier.regularizers:get",
    ("registry", "activation"): "ranvier.activations:REGISTRY",
    ("registry", "constraint"): "ranvier.constraints:REGISTRY",
    ("registry", "initializer"): "ranvier.initializers:REGISTRY",
    ("registry", "regularizer"): "ranvier.regularizers:REGISTRY",
})  # fmt: skip

__getattr__, __dir__ = missing(globals(), "ranvier", __all__, _LAZY)
del methods, rows
