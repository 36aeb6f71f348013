"""Networks as scikit-learn estimators: `NeuralClassifier` and `NeuralRegressor`.

scikit-learn is an extra (``pip install "ranvier[sklearn]"``), so the classes are imported when first used.
"""

from typing import TYPE_CHECKING

from ranvier.module.names import missing

if TYPE_CHECKING:
    from ranvier.estimators.classifier import NeuralClassifier
    from ranvier.estimators.regressor import NeuralRegressor

__all__ = ["NeuralClassifier", "NeuralRegressor"]

_LAZY = {
    "NeuralClassifier": "ranvier.estimators.classifier:NeuralClassifier",
    "NeuralRegressor": "ranvier.estimators.regressor:NeuralRegressor",
}

__getattr__ = missing("ranvier.estimators", __all__, _LAZY)
