"""Checks of the inputs: their scale, and columns without information. Scales are checked on a sample of the rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ranvier.data.convert import Array
from ranvier.training.preflight.inspection import MIN_ROWS, InspectedInput, Inspection
from ranvier.training.preflight.report import LISTED, Fault, listed

LARGE = 100.0  # a root mean square
APART = 1000.0  # ratio of the largest standard deviation to the smallest
RARE = 10.0  # ratio of a feature's range to its standard deviation above which its large values are rare
ROUNDING = 1e-5  # of a feature's size: a smaller variation is a rounding error
BORDER = 8  # so many columns with the same constant value are a background
PICTURE = 32  # so many columns may be the pixels of an image
COARSE = 1e6  # above this value float32 has steps of about a tenth
BYTES = 1 << 30  # the largest array that is read whole
STANDARDIZE = "Write (x - x.mean(0)) / x.std(0) instead, with the mean and deviation of the training data for all data."


def apart(given: InspectedInput) -> tuple[int, int, float, float] | None:
    """The features with the largest and the smallest standard deviation, if these are far apart."""
    found = given.spread
    if found is None or given.array.ndim != 2:
        return None
    deviation, reach = found[0], given.high - given.low
    varied = np.flatnonzero(reach > ROUNDING * np.maximum(np.abs(given.high), np.abs(given.low)))
    if len(varied) < 2:
        return None
    # A feature that is rarely not zero has a small deviation in a sample, so its range counts too.
    size = np.maximum(deviation, np.where(reach < 1, reach / RARE, 1.0))
    large, small = varied[deviation[varied].argmax()], varied[size[varied].argmin()]
    if deviation[large] < APART * size[small]:
        return None
    return int(large), int(small), float(deviation[large]), float(deviation[small])


def unscaled_pixels(view: Inspection) -> Iterator[Fault]:
    for given in view.inputs:
        layer = view.first_layer(given)
        if layer is not None and given.pixels:
            yield Fault(
                f"the inputs {given.name} range from {given.low.min():g} to {given.high.max():g}, and no layer "
                "rescales them, so training will be slow or fail",
                f"Write rv.layers.Rescaling(1 / 255) as the first layer, or {given.name} / 255, instead.",
                layer,
            )


def different_scales(view: Inspection) -> Iterator[Fault]:
    for given in view.inputs:
        layer, found = view.first_layer(given), apart(given)
        if layer is None or found is None:
            continue
        large, small, most, least = found
        yield Fault(
            f"the features of {given.name} have very different scales: feature {large} has a standard deviation of "
            f"{most:.4g}, feature {small} one of {least:.4g}; the model learns almost only from the large ones",
            STANDARDIZE,
            layer,
            most / least if least else float("inf"),
        )


def large_features(view: Inspection) -> Iterator[Fault]:
    for given in view.inputs:
        layer, found = view.first_layer(given), given.spread
        if layer is None or found is None or apart(given) is not None:
            continue
        size = found[1]
        at = int(size.argmax())
        if size[at] >= LARGE:
            values, count = f"{given.low[at]:.4g} to {given.high[at]:.4g}", int((size >= LARGE).sum())
            text = f"{given.name} is large ({values}), and no layer rescales it"
            if given.array.ndim == 2 and count == 1:
                text = f"feature {at} of {text}"
            elif given.array.ndim == 2:
                text = (
                    f"{count} features of {given.name} are large (the largest, feature {at}: {values}), and no layer "
                    "rescales them"
                )
            yield Fault(f"{text}, so training will be slow or fail", STANDARDIZE, layer, float(size[at]))


def constant_features(view: Inspection) -> Iterator[Fault]:
    for given in view.inputs:
        array = given.array
        if array.ndim != 2 or len(array) < MIN_ROWS or not given.finite or view.are_indices(given):
            continue  # of indices, such as the mark at the start of each text
        still = np.flatnonzero(given.low == given.high)
        if len(still) == array.shape[1]:
            continue  # the check of identical rows reports it
        # Pixels at the border of images are constant: the smallest value of all, that of many columns, or 0 if the
        # images are standardized.
        values, alike = np.unique(given.low[still], return_inverse=True)
        background = (values == given.low.min()) | (np.bincount(alike, minlength=len(values)) >= BORDER)
        if array.shape[1] >= PICTURE:
            background |= values == 0
        odd = still[~background[alike]]
        if array.nbytes <= BYTES and len(odd):
            odd = odd[(array[:, odd] == array[0, odd]).all(0)]
        if not len(odd):
            continue
        some = listed([f"{i} (always {array[0, i]:g})" for i in odd])
        look = "or check how they were read"
        most = np.abs(array[0, odd]).max()
        if array.dtype.kind == "f" and most >= COARSE:  # their differences may have been lost in the conversion
            look = (
                f"{look}; where they did vary, {array.dtype} is too coarse for numbers like {most:g}: write "
                f"{given.name} - {given.name}.mean(0)"
            )
        yield Fault(
            f"{len(odd)} of {array.shape[1]} features of {given.name} never vary: number {some}",
            f"Leave them out, {dropped(given.name, odd)}, {look}.",
            view.first_layer(given),
            len(odd),
        )


def dropped(name: str, columns: Array) -> str:
    """Code for an array without some columns."""
    if len(columns) > LISTED:
        return f"{name}[:, np.ptp({name}, axis=0) > 0]"
    return f"np.delete({name}, {columns.tolist()}, axis=1)"


def identical_rows(view: Inspection) -> Iterator[Fault]:
    if len(view.data) < MIN_ROWS:
        return
    for given in view.inputs:
        if not given.finite or (given.low != given.high).any():
            return
        if given.array.nbytes <= BYTES and not (given.array == given.array[:1]).all():
            return
    if any((output.y != output.y[:1]).any() for output in view.outputs):
        yield Fault(
            f"all {len(view.data):,} rows of {' and '.join(i.name for i in view.inputs)} are the same, and their "
            "targets differ, so no model can distinguish them",
            "Check how the inputs were read, and write inputs that vary instead.",
        )
