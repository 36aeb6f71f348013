"""Ranvier: a compiler for neural networks. These are the public names, in the vocabulary of Keras.

``import ranvier.torch as torch`` is the same library in the vocabulary of PyTorch.
"""

from ranvier.support import (
    imports,  # first: other threads then wait for this module
    interrupts,
)

interrupts.end_quietly()  # before the imports that take long

from ranvier.support import named_modules, rows  # noqa: E402  # after Ctrl-C is handled
from ranvier.support.errors import lacking, lazy_names  # noqa: E402  # after Ctrl-C is handled

# Tensors get their operators and methods.
imports.run("ranvier", lambda: rows.load("ranvier.ops.methods:attach")())  # noqa: F821, PLW0108  # before `del`; it may run again

# What lower rooms look up by name: see `ranvier.support.rows`.
rows.declare({
    ("method", "check"): "ranvier.training.preflight.run:check",
    ("method", "compile"): "ranvier.training.loop.fit:compile",  # a model that is compiled is fitted next
    ("method", "compute_loss"): "ranvier.training.step.methods:compute_loss",
    ("method", "compute_metrics"): "ranvier.training.step.methods:compute_metrics",
    ("method", "evaluate"): "ranvier.training.loop.evaluate:evaluate",
    ("method", "export"): "ranvier.interop.onnx.exporting:export",
    ("method", "explain_step"): "ranvier.training.explain_step:explain_step",
    ("method", "fit"): "ranvier.training.loop.fit:fit",
    ("method", "get_metrics_result"): "ranvier.training.step.methods:get_metrics_result",
    ("method", "load_weights"): "ranvier.interop.files:load_weights",
    ("method", "predict"): "ranvier.training.loop.predict:predict",
    ("method", "predict_step"): "ranvier.training.step.methods:predict_step",
    ("method", "report"): "ranvier.auto.report.writing:write_report",
    ("method", "save"): "ranvier.interop.files:save",
    ("method", "save_weights"): "ranvier.interop.files:save_weights",
    ("method", "test_step"): "ranvier.training.step.methods:test_step",
    ("method", "train_on_batch"): "ranvier.training.loop.fit:train_on_batch",
    ("method", "to_keras"): "ranvier.interop.keras.live:to_keras",
    ("method", "to_torch"): "ranvier.interop.torch.live:to_torch",
    ("method", "train_step"): "ranvier.training.step.methods:train_step",
    ("method", "plot"): "ranvier.pictures:network",
    ("method", "_repr_html_"): "ranvier.pictures.html:model_html",
    # What a functional model records: the layers that hold calls of operations.
    ("layer", "Activation"): "ranvier.layers:Activation",
    ("layer", "Add"): "ranvier.layers:Add",
    ("layer", "GetItem"): "ranvier.layers.operators:GetItem",
    ("layer", "Input"): "ranvier.layers:Input",
    ("layer", "Multiply"): "ranvier.layers:Multiply",
    ("layer", "Operation"): "ranvier.layers.operators:Operation",
    ("layer", "Subtract"): "ranvier.layers:Subtract",
    # Of the classes in saved files: by the start of a name, the module that registers them.
    ("onnx", "export"): "ranvier.interop.onnx.torch_export:export_called",  # of PyTorch's vocabulary
    ("classes", "torch."): "ranvier.torch.nn",
    ("classes", "models."): "ranvier.models",
    ("classes", "onnx."): "ranvier.interop.onnx.model",
    ("classes", "exported."): "ranvier.interop.torch.model",
    ("classes", "Calibrated"): "ranvier.calibration",
    ("classes", ""): "ranvier.layers",
    ("criteria", "torch."): "ranvier.torch.nn.losses",
    # What results of explanations draw themselves with.
    ("picture", "importances"): "ranvier.pictures:importances",
    ("picture", "partial_dependence"): "ranvier.pictures:partial_dependence",
    # What turns a name such as "l2" into an object.
    ("get", "activation"): "ranvier.activations:get",
    ("get", "constraint"): "ranvier.constraints:get",
    ("get", "initializer"): "ranvier.initializers:get",
    ("get", "regularizer"): "ranvier.regularizers:get",
    # The modules whose objects have names as plain values; and the layers and models that are registered.
    ("serialized", "activations"): "ranvier.activations",
    ("serialized", "constraints"): "ranvier.constraints",
    ("serialized", "initializers"): "ranvier.initializers",
    ("serialized", "layers"): "ranvier.layers",
    ("serialized", "losses"): "ranvier.losses",
    ("serialized", "metrics"): "ranvier.metrics",
    ("serialized", "models"): "ranvier.models",
    ("serialized", "ops"): "ranvier.ops",
    ("serialized", "optimizers.schedules"): "ranvier.optimizers.schedules",
    ("serialized", "optimizers"): "ranvier.optimizers",
    ("serialized", "regularizers"): "ranvier.regularizers",
    ("serialized", ""): "ranvier.module.serialization:class_of",
    ("registry", "activation"): "ranvier.activations:REGISTRY",
    ("registry", "constraint"): "ranvier.constraints:REGISTRY",
    ("registry", "initializer"): "ranvier.initializers:REGISTRY",
    ("registry", "regularizer"): "ranvier.regularizers:REGISTRY",
})  # fmt: skip

# Loaded when they are first used, so that `import ranvier` stays quick.
__getattr__, __dir__, __all__ = lazy_names("ranvier", {
    "ranvier.":
        "activations auto backend calibration callbacks config constraints data datasets distribution estimators "
        "explain initializers interop layers losses metrics models ops optimizers pictures random regularizers saving "
        "search torch utils",
    "ranvier.config.": "dtype_policies mixed_precision",
    "ranvier.config.dtype_policies": "DTypePolicy FloatDTypePolicy",
    "ranvier.engines": "get_engine set_engine",
    "ranvier.engines.native.runtime.threads": "get_threads set_threads",
    "ranvier.initializers": "Initializer",
    "ranvier.estimators.": "wrappers",
    "ranvier.layers": "Input InputSpec Layer",
    "ranvier.losses": "Loss",
    "ranvier.metrics": "Metric",
    "ranvier.module.": "tree",
    "ranvier.module": "Model=Module Module Parameter Sequential register_module",
    "ranvier.module.parameter": "Variable",
    "ranvier.ops.loops": "remat",
    "ranvier.optimizers": "Optimizer",
    "ranvier.regularizers": "Regularizer",
    "ranvier.search": "fit_many",
    "ranvier.support.version": "__version__",
    "ranvier.tensor.context": "get_dtype no_grad set_dtype",
    "ranvier.tensor.function": "function",
    "ranvier.tensor.gradient_tape": "GradientTape",
    "ranvier.tensor.rng": "set_seed",
    "ranvier.tensor.tensor": "Tensor",
    "ranvier.interop.files": "load_model",
    "ranvier.interop.keras.live": "from_keras",
    "ranvier.interop.onnx.model": "from_onnx",
    "ranvier.interop.torch.exported": "from_torch",
    "ranvier.training": "verify_resume",
    "ranvier.training.loop.lr_finder": "find_learning_rate",
})  # fmt: skip

# Modules of Keras that programs import: those whose names others hold, and those that are not there.
lacking["ranvier"] = {
    "applications": "rv.models has resnet18, mobilenet_v2 and others, and rv.from_keras converts those of Keras",
    "legacy": "write the optimizer or the layer of rv.optimizers or rv.layers",
    "legacy.optimizers": "write that of rv.optimizers",
    "quantizers": "there are no quantized weights",
    "optimizers.legacy": "write that of rv.optimizers",
    "preprocessing.text": "rv.layers.TextVectorization and rv.utils.text_dataset_from_directory do this",
}
_OF_KERAS = (
    "activations backend callbacks config constraints datasets initializers layers losses metrics models optimizers "
    "random regularizers saving utils"
)
named_modules.install(
    "ranvier", "ranvier",
    {
        "ranvier": "keras",  # with ``import ranvier as tf`` there is tf.keras.layers
        **{f"ranvier.{name}": f"keras.{name}" for name in _OF_KERAS.split()},
        "ranvier.config.dtype_policies": "dtype_policies keras.dtype_policies",
        "ranvier.config.mixed_precision": "mixed_precision keras.mixed_precision",
        "ranvier.estimators.wrappers": "wrappers keras.wrappers",
        "ranvier.module.tree": "tree keras.tree",
        "ranvier.optimizers.schedules": "keras.optimizers.schedules",
        "ranvier.utils":
            "preprocessing preprocessing.image preprocessing.sequence keras.preprocessing keras.preprocessing.image "
            "keras.preprocessing.sequence keras.utils",
    },
    lacking["ranvier"],
)  # fmt: skip

del _OF_KERAS, imports, lacking, named_modules, rows
