"""Networks as scikit-learn estimators: `NeuralClassifier` and `NeuralRegressor`.

scikit-learn is an optional dependency (``pip install "ranvier[sklearn]"``), so the classes are imported lazily.
"""

from typing import Any

from ranvier.support.errors import lazy_names

_look_up, __dir__, __all__ = lazy_names("ranvier.estimators", {
    "ranvier.estimators.classifier": "NeuralClassifier",
    "ranvier.estimators.regressor": "NeuralRegressor",
})  # fmt: skip


def __getattr__(name: str) -> Any:
    try:
        return _look_up(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "sklearn":
            raise
        raise ModuleNotFoundError(
            f"{name} needs scikit-learn, which is not installed. Write: pip install 'ranvier[sklearn]'", name="sklearn"
        ) from None
