"""The outputs of any model for samples: a network, a scikit-learn estimator or pipeline, or a function."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.module.core import Module

Array = npt.NDArray[Any]


def outputs_of(model: Any, x: Any) -> Array:
    """The outputs (samples, outputs): probabilities of the classes where there are some, numbers otherwise.

    A network gives what `predict` returns. Of an estimator it is ``predict_proba``, or ``predict`` where that does not
    exist. Raises TypeError for objects that are no model, and for outputs of other shapes.
    """
    if isinstance(model, Module):
        found: Any = model.predict(x, verbose=0)
    else:
        methods = (getattr(model, name, None) for name in ("predict_proba", "predict"))
        call = next((m for m in methods if m is not None), model if callable(model) else None)
        if call is None:
            raise TypeError(f"{model!r} is no model. Write a network, an estimator, or a function of x, instead.")
        found = call(x)
    array = np.asarray(found) if not isinstance(found, (list, tuple, dict)) else None
    if array is None or array.ndim not in (1, 2):
        shape = type(found).__name__ if array is None else f"shape {array.shape}"
        raise TypeError(f"the outputs of the model are of {shape}. Write a model whose outputs are (samples, outputs).")
    return array.reshape(len(array), -1)


def class_names_of(model: Any) -> list[str] | None:
    """The classes of an estimator as text; None for other models."""
    classes = getattr(model, "classes_", None)
    return None if classes is None or isinstance(classes, list) else [str(name) for name in classes]
