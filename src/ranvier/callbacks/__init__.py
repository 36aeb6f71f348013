"""Callbacks: what `fit` tells while a model trains, and what is done about it. Names and meaning are those of Keras 3.

Every callback here can be stopped with the process and go on in another: see `BackupAndRestore`.
"""

from ranvier.callbacks.averages import SwapEMAWeights
from ranvier.callbacks.backup import BackupAndRestore
from ranvier.callbacks.model_checkpoint import ModelCheckpoint
from ranvier.callbacks.rates import LearningRateScheduler, ReduceLROnPlateau
from ranvier.callbacks.records import CSVLogger
from ranvier.callbacks.simple import LambdaCallback, TerminateOnNaN
from ranvier.callbacks.stopping import EarlyStopping
from ranvier.callbacks.tensorboard import TensorBoard
from ranvier.support.errors import missing
from ranvier.training.loop.callback import Callback
from ranvier.training.loop.callback_list import CallbackList
from ranvier.training.loop.history import History

__all__ = [
    "BackupAndRestore", "CSVLogger", "Callback", "CallbackList", "EarlyStopping", "History", "LambdaCallback",
    "LearningRateScheduler", "ModelCheckpoint", "ReduceLROnPlateau", "SwapEMAWeights", "TensorBoard", "TerminateOnNaN",
]  # fmt: skip

__getattr__, __dir__ = missing(globals(), "ranvier.callbacks", __all__)
