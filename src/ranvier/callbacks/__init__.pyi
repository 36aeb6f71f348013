# Written by `python -m tests.stubs --write`; a test holds it against the code.
from ranvier.callbacks.averages import SwapEMAWeights as SwapEMAWeights
from ranvier.callbacks.backup import BackupAndRestore as BackupAndRestore
from ranvier.callbacks.model_checkpoint import ModelCheckpoint as ModelCheckpoint
from ranvier.callbacks.rates import LearningRateScheduler as LearningRateScheduler
from ranvier.callbacks.rates import ReduceLROnPlateau as ReduceLROnPlateau
from ranvier.callbacks.records import CSVLogger as CSVLogger
from ranvier.callbacks.simple import LambdaCallback as LambdaCallback
from ranvier.callbacks.simple import TerminateOnNaN as TerminateOnNaN
from ranvier.callbacks.stopping import EarlyStopping as EarlyStopping
from ranvier.callbacks.tensorboard import TensorBoard as TensorBoard
from ranvier.training.loop.callback import Callback as Callback
from ranvier.training.loop.callback_list import CallbackList as CallbackList
from ranvier.training.loop.history import History as History

__all__ = ['BackupAndRestore', 'CSVLogger', 'Callback', 'CallbackList', 'EarlyStopping', 'History', 'LambdaCallback', 'LearningRateScheduler', 'ModelCheckpoint', 'ReduceLROnPlateau', 'SwapEMAWeights', 'TensorBoard', 'TerminateOnNaN']
