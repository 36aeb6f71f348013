"""Networks as scikit-learn estimators: `NeuralClassifier` and `NeuralRegressor`.

scikit-learn is an optional dependency (``pip install "ranvier[sklearn]"``), so the classes are imported lazily.
"""

from typing import Any

from ranvier.estimators.needs import needs_sklearn
from ranvier.support.errors import lazy_names

_look_up, __dir__, __all__ = lazy_names("ranvier.estimators", {
    "ranvier.estimators.classifier": "NeuralClassifier",
    "ranvier.estimators.regressor": "NeuralRegressor",
})  # fmt: skip


def __getattr__(name: str) -> Any:
    with needs_sklearn(name):
        return _look_up(name)
