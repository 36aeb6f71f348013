"""What a page shows of a model at one moment: scores, outputs over the plane, weights, histograms, as plain values."""

from __future__ import annotations

import base64
from collections.abc import Collection
from typing import Any

import numpy as np

from ranvier.cli.page.networks import Network
from ranvier.cli.page.outline import matrix_of
from ranvier.cli.page.pace import Pace
from ranvier.cli.page.sources import Array, Source, some
from ranvier.support.sampling import some_rows
from ranvier.support.tree import flatten
from ranvier.training.adapters.arrays import to_data
from ranvier.training.explain_step import StepProgram, same_draws
from ranvier.training.step.compiled import Compiled

GRID, THUMB = 40, 20  # points of the plane along each side, for the whole network and for a neuron
EDGE = 1.1  # the plane reaches from -EDGE to EDGE
NEURONS = 12  # of a layer, the most that are drawn
SCORED = 2000  # rows, the most that a frame is scored on
SAMPLED = 64  # rows that histograms are made of
BINS = 24
PLACES = 32  # of a sequence, the most that are drawn
ROWS = 12  # of a table, the test rows whose predictions are shown
PARTS = ("scores", "plane", "rows", "weights", "histograms")  # of a frame: methods of `FrameMaker`


def packed(values: Array) -> str:
    """Bytes as text."""
    return base64.b64encode(np.ascontiguousarray(values, np.uint8).tobytes()).decode()


def plain(values: Any) -> Any:
    """Numbers for JSON, which has none that are not finite."""
    array = np.asarray(values, float)
    if array.ndim == 0:
        return float(array) if np.isfinite(array) else None
    return [plain(row) for row in array] if not np.isfinite(array).all() else array.tolist()


def level(values: Array, low: float, high: float) -> Array:
    """Values from ``low`` to ``high`` as 0 to 255."""
    span = high - low if high > low else 1.0
    return np.nan_to_num(np.clip((values - low) / span * 255, 0, 255)).astype(np.uint8)


def around_zero(values: Array) -> str:
    """Values as 0 to 255, 0 in the middle, as text."""
    most = float(np.abs(values).max(initial=1e-9))
    return packed(level(values, -most, most))


def grid() -> Array:
    """The points of the plane, row by row from the top."""
    along = (np.arange(GRID) + 0.5) / GRID * 2 * EDGE - EDGE
    x, y = np.meshgrid(along, along[::-1])
    return np.stack([x.reshape(-1), y.reshape(-1)], 1).astype(np.float32)


class FrameMaker:
    """Makes the frames of one network. Its program for histograms is compiled at the first frame."""

    def __init__(self, network: Network, source: Source) -> None:
        self.network, self.source = network, source
        self.points = grid() if source.kind == "plane" else None
        self.program: StepProgram | None = None
        self.scored, self.scored_test = (some_rows(len(y), SCORED) for y in (source.y, source.y_test))
        self.sampled = some_rows(len(source.y), SAMPLED)
        self.data: Any = None
        self.pace = Pace()

    def scores(self) -> dict[str, Any]:
        """The loss and the metric on the training and on the test rows."""
        model, source, network = self.network.model, self.source, self.network
        train, test = (source.x, network.y, self.scored), (source.x_test, network.y_test, self.scored_test)
        count, found = len(network.outline.ends), []
        for x, y, rows in (train, test):
            x, y = some(x, rows), some(y, rows)
            size = len(next(flatten(y, np.ndarray)))
            results = model.evaluate(x, y, batch_size=size, verbose=0, check_finite=False)
            found += [results[0], results[1 + source.target.end + (count if count > 1 else 0)]]
            if source.target.column is not None:  # the metric of an output is that of all its columns
                truth = (source.y if rows is self.scored else source.y_test)[rows]
                found[-1] = self.metric_of_column(x, truth)
        loss, metric, test_loss, test_metric = found
        if source.task == "number":  # the mean error, in the units of the file
            metric, test_metric = metric * source.scale[1], test_metric * source.scale[1]
        values = {"loss": loss, "metric": metric, "testLoss": test_loss, "testMetric": test_metric}
        return {name: plain(value) for name, value in values.items()}

    def metric_of_column(self, x: Any, truth: Array) -> float:
        """The accuracy, or the mean error, of a target that is one of the columns of an output."""
        every = self.outputs(x)
        if self.source.task == "classes":
            return float((self.network.probabilities(every, self.source.target).argmax(1) == truth).mean())
        return float(np.abs(self.network.output(every, self.source.target)[:, 0] - truth).mean())

    def plane(self) -> dict[str, Any]:
        """The outputs over the plane, and those of the neurons, each from 0 to 255."""
        points = self.points
        if points is None:
            return {}
        outputs = self.outputs(points)
        found: dict[str, Any] = {"neurons": [self.thumbs(part) for part in outputs]}
        if self.source.task == "number":
            ends = np.array([self.source.y.min(), self.source.y.max()])
            last = self.network.output(outputs, self.source.target)
            return found | {"field": packed(level(last[:, 0], *ends)), "range": plain(self.source.in_units(ends))}
        share = self.network.probabilities(outputs, self.source.target)
        best = share.argmax(1)
        sure = np.take_along_axis(share, best[:, None], 1)[:, 0]
        least = 1 / share.shape[1]
        return found | {"best": packed(best), "sure": packed(level(sure, least, 1.0))}

    def rows(self) -> dict[str, Any]:
        """What is predicted for the first test rows of a table or of arrays, and what the first neurons give for each:
        a number, or one for each of the first places of a sequence.
        """
        if self.source.kind not in ("table", "arrays"):
            return {}
        every = self.outputs(some(self.source.x_test, slice(ROWS)))
        found: dict[str, Any] = {"rowNeurons": [around_zero(by_neuron(part)) for part in every]}
        if self.source.task == "number":
            last = self.network.output(every, self.source.target)
            return found | {"predicted": plain(self.source.in_units(last[:, 0]))}
        share = self.network.probabilities(every, self.source.target)
        return found | {"predicted": share.argmax(1).tolist(), "sureOfRows": plain(share.max(1))}

    def outputs(self, x: Array) -> list[Array]:
        """What each layer that is shown gives for some rows."""
        return self.network.outline.outputs(x, batch_size=SCORED)

    def thumbs(self, outputs: Array) -> list[str]:
        """The outputs of the first neurons of a layer over the plane, around 0, as 0 to 255."""
        every = GRID // THUMB
        squares = outputs.reshape(GRID, GRID, -1)[::every, ::every, :NEURONS]
        most = float(np.abs(squares).max(initial=1e-9))
        return [packed(level(squares[..., i], -most, most)) for i in range(squares.shape[2])]

    def weights(self) -> dict[str, Any]:
        """Of each layer that is drawn the weights between the first neurons, and the biases; None without."""
        found: list[Any] = []
        for layer in self.network.outline.shown:
            matrix, bias = matrix_of(layer), getattr(layer, "bias", None)
            if matrix is None:
                found.append(None)
                continue
            found.append({
                "kernel": plain(np.round(matrix[:NEURONS, :NEURONS], 5)),
                "bias": None if bias is None else plain(np.round(bias.numpy()[:NEURONS], 5)),
            })  # fmt: skip
        return {"weights": found}

    def histograms(self) -> dict[str, Any]:
        """Of each layer with weights the counts of its outputs and of its gradients, on some training rows."""
        model = self.network.model
        state: Compiled = model._compiled
        with same_draws():
            if self.program is None:
                x, y = (some(part, self.sampled) for part in (self.source.x, self.network.y))
                self.data = to_data(model, state, x, y)
                self.program = StepProgram(model, state, self.data)
            step = self.program.run(self.data)
        found = []
        for layer in step.layers:
            weight = layer.weights.get("kernel", layer.weights.get("weight"))
            if weight is None or weight.gradient is None:
                continue
            outputs, gradients = histogram(layer.outputs), histogram(weight.gradient)
            found.append({"name": layer.name, "outputs": outputs, "gradients": gradients})
        return {"histograms": found}

    def frame(self, epoch: float, step: int, watched: Collection[str] | None = None) -> dict[str, Any]:
        """The parts of `PARTS` in ``watched`` that the time allows; None for all of them, whatever they cost.

        Raises FloatingPointError where the loss is not finite: nothing is left to show.
        """
        found = self.pace.frame({name: getattr(self, name) for name in PARTS}, watched)
        if "loss" in found and found["loss"] is None:
            raise FloatingPointError("the loss is not finite any more. Write a smaller learning rate.")
        return {"epoch": epoch, "step": step, **found}


def by_neuron(outputs: Array) -> Array:
    """Outputs (samples, ..., units) as (samples, first units, first places)."""
    places = outputs.reshape(len(outputs), -1, outputs.shape[-1])
    return places[:, :PLACES, :NEURONS].transpose(0, 2, 1)


def histogram(values: Array) -> dict[str, Any]:
    """Counts between the least and the greatest value, and the mean size."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return {"low": None, "high": None, "counts": [], "size": None}
    low, high = float(finite.min()), float(finite.max())
    counts, _ = np.histogram(finite, BINS, (low, high) if high > low else (low - 0.5, low + 0.5))
    return {"low": low, "high": high, "counts": counts.tolist(), "size": float(np.abs(finite).mean())}
