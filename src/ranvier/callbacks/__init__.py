"""Callbacks: objects that `fit` calls while a model trains, with the names and meaning of Keras 3.

Every callback here continues after a stop of the process: see `BackupAndRestore`.
"""

from ranvier.support.errors import lazy_names

__getattr__, __dir__, __all__ = lazy_names("ranvier.callbacks", {
    "ranvier.callbacks.averages": "SwapEMAWeights",
    "ranvier.callbacks.backup": "BackupAndRestore",
    "ranvier.callbacks.model_checkpoint": "ModelCheckpoint",
    "ranvier.callbacks.rates": "LearningRateScheduler ReduceLROnPlateau",
    "ranvier.callbacks.records": "CSVLogger",
    "ranvier.callbacks.simple": "LambdaCallback TerminateOnNaN",
    "ranvier.callbacks.stopping": "EarlyStopping",
    "ranvier.callbacks.tensorboard": "TensorBoard",
    "ranvier.training.loop.callback": "Callback",
    "ranvier.training.loop.callback_list": "CallbackList",
    "ranvier.training.loop.history": "History",
})  # fmt: skip
