"""Several processes that train one model run the same program on the same data with the same versions."""

from __future__ import annotations

import json
import platform
import zlib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from ranvier.engines.placement import get_placement
from ranvier.module import Module
from ranvier.support import processes
from ranvier.support.source_lines import warn
from ranvier.support.version import __version__
from ranvier.tensor import rng
from ranvier.training.loop.fingerprint import differences, identity, printed
from ranvier.training.loop.trainer import Training

PACKAGES = ("numpy", "jax", "jaxlib")


def check_alike(training: Training, settings: Mapping[str, Any]) -> None:
    """Raise ValueError in all processes if one differs from the first, naming it and the first difference."""
    group = processes.group
    if group is None:
        return
    if get_placement() is None:
        warn(
            f"{group.count} processes run and no distribution is set, so each trains a model of its own. Write "
            "rv.distribution.set_distribution(rv.distribution.DataParallel()) first instead."
        )
        return
    model, state = training.model, training.compiled
    own = {**settings, "seed": rng.chosen_seed()}
    whole = identity(model, state, training.callbacks, printed(state.optimizer), own)
    now = {**versions(), **whole, "initial weights": weights(model)}
    text = json.dumps(now)
    codes = group.exchange("the beginning of fit", (float(zlib.crc32(text.encode())),))[:, 0]
    if (codes == codes[0]).all():
        return
    known = [json.loads(other) for other in group.texts(text)]
    number, found = next((i, d) for i, other in enumerate(known) for d in differences(known[0], other, "process 0"))
    raise ValueError(
        f"process {number} is not like process 0: {found}. Write the same program, data and versions for all processes "
        "instead."
    )


def versions() -> dict[str, Any]:
    found = {"ranvier": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return {f"the version of {name}": text for name, text in found.items()}


def weights(model: Module) -> str:
    code = 0
    for value in model.get_weights():
        code = zlib.crc32(np.ascontiguousarray(value).tobytes(), code)
    return f"{code:08x}"
