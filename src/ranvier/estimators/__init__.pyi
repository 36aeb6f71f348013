# Written by `python -m tests.stubs --write`; a test holds it against the code.
from ranvier.estimators.classifier import NeuralClassifier as NeuralClassifier
from ranvier.estimators.regressor import NeuralRegressor as NeuralRegressor

__all__ = ['NeuralClassifier', 'NeuralRegressor']
