"""Methods that networks of Keras and PyTorch have and `ranvier.Module` does not, with what to write instead.

They are attributes of the class, because a ``__getattr__`` would make every other attribute slower to read.
"""

from __future__ import annotations

from typing import Any

_GENERATORS = "it takes generators too, with steps_per_epoch= or steps= where they do not end"


class Missing:
    """An attribute that does not exist, for ``hasattr`` too; an attribute of yours overrides it."""

    def __init__(self, words: str) -> None:
        self.words = words

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, module: Any, owner: type) -> Any:
        raise AttributeError(f"{owner.__name__}.{self.name} does not exist: {self.words}.")


class MissingMethods:
    """The base of `ranvier.Module` that explains what it does not have."""

    # Keras, also its older versions
    predict_classes = Missing("write model.predict(x).argmax(-1), or model.predict(x) > 0.5 of a single sigmoid")
    predict_proba = Missing(
        "write model.predict(x), which gives the probabilities that a softmax or sigmoid at the end makes"
    )
    fit_generator = Missing(f"write model.fit(generator): {_GENERATORS}")
    evaluate_generator = Missing(f"write model.evaluate(generator): {_GENERATORS}")
    predict_generator = Missing(f"write model.predict(generator): {_GENERATORS}")
    add_metric = Missing("write compile(metrics=[...]), or keep a metric as an attribute and update it in train_step")

    # PyTorch
    share_memory = Missing("there is one kind of memory, and one process. Leave it out")
