"""Methods that networks of a peer have and `ranvier.Module` does not, with what to write instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ranvier.module.keras_api import reading

__all__ = ["KERAS", "attach"]

_GENERATORS = "it takes generators too, with steps_per_epoch= or steps= where they do not end"
KERAS = {  # also of its older versions
    "predict_classes": "write model.predict(x).argmax(-1), or model.predict(x) > 0.5 of a single sigmoid",
    "predict_proba": "write model.predict(x), which gives the probabilities that a softmax or sigmoid at the end makes",
    "fit_generator": f"write model.fit(generator): {_GENERATORS}",
    "evaluate_generator": f"write model.evaluate(generator): {_GENERATORS}",
    "predict_generator": f"write model.predict(generator): {_GENERATORS}",
    "export": "write model.save(path), and rv.load_model(path) where it is used",
}


def _told(name: str, words: str) -> reading:
    """An attribute that is not there, for ``hasattr`` too; one of the user's own takes its place."""

    def refuse(self: Any) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} does not exist: {words}.")

    return reading(refuse)


def attach(kind: type, absent: Mapping[str, str]) -> None:
    """Give a class the attributes that tell why they are not there."""
    for name, words in absent.items():
        setattr(kind, name, _told(name, words))
