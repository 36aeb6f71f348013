"""Modules and parameters of PyTorch's and Keras's own packages, where programs need Ranvier's."""

from __future__ import annotations

import sys
from typing import Any

# By package: the library, the classes whose objects are told, and what to write.
PACKAGES = {
    "torch": (
        "PyTorch",
        ("Module", "Parameter", "Optimizer"),
        "import ranvier.torch as torch; from ranvier.torch import nn, optim",
        "net.load_state_dict(theirs.state_dict())",
    ),
    "keras": (
        "Keras",
        ("Layer", "Optimizer", "Loss", "Metric"),
        "import ranvier as keras; from ranvier import layers",
        "net.set_weights(theirs.get_weights())",
    ),
}


def foreign(value: Any) -> TypeError | None:
    """The error for an object of another library's class; None for anything else."""
    for package, (library, names, imports, weights) in PACKAGES.items():
        if package in sys.modules:
            for base in type(value).__mro__:
                if base.__name__ in names and base.__module__.partition(".")[0] == package:
                    return TypeError(
                        f"{type(value).__name__} is of {library}'s own package, a {base.__name__} there, and Ranvier "
                        f"computes with its own. Write `{imports}` in place of {library}'s imports, and {weights} for "
                        "trained weights."
                    )
    return None


def check_own(value: Any) -> None:
    """Raise TypeError for an object of another library's class."""
    if (error := foreign(value)) is not None:
        raise error
