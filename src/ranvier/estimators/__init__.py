"""Networks as scikit-learn estimators: `NeuralClassifier` and `NeuralRegressor`.

scikit-learn is an optional dependency (``pip install "ranvier[sklearn]"``), so the classes are imported lazily.
"""

from typing import TYPE_CHECKING, Any

from ranvier.support.errors import missing

if TYPE_CHECKING:
    from ranvier.estimators.classifier import NeuralClassifier
    from ranvier.estimators.regressor import NeuralRegressor

__all__ = ["NeuralClassifier", "NeuralRegressor"]

_look_up, __dir__ = missing(
    "ranvier.estimators",
    __all__,
    {
        "NeuralClassifier": "ranvier.estimators.classifier:NeuralClassifier",
        "NeuralRegressor": "ranvier.estimators.regressor:NeuralRegressor",
    },
)


def __getattr__(name: str) -> Any:
    try:
        return _look_up(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "sklearn":
            raise
        raise ModuleNotFoundError(
            f"{name} needs scikit-learn, which is not installed. Write: pip install 'ranvier[sklearn]'", name="sklearn"
        ) from None
