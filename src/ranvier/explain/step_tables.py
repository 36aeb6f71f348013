"""The tables of an explained step: forward, loss, backward and update, with formulas where they are short."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.explain.step_numbers import ExplainedLayer, ExplainedWeight, StepNumbers

TERMS = 4  # the most products that a formula writes out
ROWS, FEW_ROWS = 64, 8  # rows of a table of a small network, and of a large one
SMALL = 128  # weights of a small network


@dataclass
class Part:
    """A heading, a table below it, or both; ``texts`` are the columns of words and formulas."""

    heading: str = ""
    level: int = 2
    columns: Sequence[str] = ()
    rows: list[list[str]] = field(default_factory=list)
    texts: Sequence[int] = (0,)

    def html(self) -> str:
        """The part for a notebook."""
        tag = f"h{self.level + 3}" if self.level == 1 else "p"
        head = f"<{tag}>{escape(self.heading)}</{tag}>" if self.heading else ""
        if not self.columns:
            return head

        def line(cells: Sequence[str], cell: str) -> str:
            sides = ("left" if i in self.texts else "right" for i in range(len(cells)))
            marked = zip(cells, sides, strict=True)
            return "".join(f'<{cell} style="text-align:{side}">{escape(text)}</{cell}>' for text, side in marked)

        body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in self.rows)
        return f"{head}<table><thead><tr>{line(self.columns, 'th')}</tr></thead><tbody>{body}</tbody></table>"


def number(value: Any) -> str:
    """A number with four significant digits."""
    return f"{float(value):.4g}"


def product(*factors: Any) -> str:
    """Factors with a sign between them, negative ones in brackets."""
    return " * ".join(map(bracketed, factors))


def bracketed(value: Any) -> str:
    """A number within a formula."""
    text = number(value)
    return f"({text})" if text.startswith("-") else text


def total(terms: Sequence[str], count: int) -> str:
    """A sum written out, or the number of its terms."""
    return " + ".join(terms) if count <= TERMS else f"sum of {count} products"


class Tables:
    """The parts of a step, for its first sample where there are several."""

    def __init__(self, step: StepNumbers) -> None:
        self.step = step
        weights = sum(w.before.size for layer in step.layers for w in layer.weights.values())
        self.rows = ROWS if weights <= SMALL else FEW_ROWS

    def shortened(self, count: int, row: Any, columns: int) -> list[list[str]]:
        """The rows of a table, or the first of them and how many more there are."""
        if count <= self.rows:
            return [row(i) for i in range(count)]
        more = [f"... {count - self.rows:,} more", *[""] * (columns - 1)]
        return [*(row(i) for i in range(self.rows)), more]

    def parts(self) -> Iterator[Part]:
        """All parts in their order."""
        step = self.step
        count = len(step.x)
        shown = "" if count == 1 else "; sums, outputs and deltas are those of the first one"
        yield Part(f"One training step on {count} sample{'s' * (count != 1)}{shown}", 1)
        yield Part("Forward", 1)
        for layer in step.layers:
            yield self.forward(layer)
        yield Part("Loss", 1)
        penalty = ", with the penalties of regularizers" if step.penalized else ""
        of = "" if count == 1 else f" over {count} samples"
        target = "" if step.y is None or step.y[0].size > TERMS else f" for the target {plain(step.y[0])}"
        yield Part(f"{step.loss_name}{of} = {step.loss:.6g}{target if count == 1 else ''}{penalty}")
        yield Part("Backward", 1)
        for layer in reversed(step.layers):
            yield self.backward(layer)
        yield Part(f"Update by {step.optimizer}", 1)
        for layer in step.layers:
            for name, weight in layer.weights.items():
                yield self.update(layer, name, weight)

    def forward(self, layer: ExplainedLayer) -> Part:
        """The sums of a dense layer and its outputs; of other layers the range of the outputs."""
        title = f"{layer.name} ({layer.kind}{f', {layer.activation}' if layer.activation else ''})"
        if not layer.is_dense:
            return Part(f"{title}: outputs {spread(layer.outputs)}")
        assert layer.inputs is not None
        assert layer.sums is not None
        x, z, a, bias = layer.inputs[0], layer.sums[0], layer.outputs[0], layer.bias
        matrix, features = layer.matrix, len(layer.inputs[0])

        def row(j: int) -> list[str]:
            terms = [product(x[i], matrix[i, j]) for i in range(min(features, TERMS))]
            formula = total(terms, features) + ("" if bias is None else f" + {bracketed(bias[j])}")
            return [str(j), formula, number(z[j]), number(a[j])]

        columns = ("neuron", "inputs * weights + bias", "sum", layer.activation or "output")
        return Part(title, 2, columns, self.shortened(len(z), row, 4), (0, 1))

    def backward(self, layer: ExplainedLayer) -> Part:
        """The deltas of a dense layer, as products of the chain rule; of other layers the range of the gradients."""
        if not layer.is_dense or layer.deltas is None:
            if layer.output_gradients is None:
                return Part(f"{layer.name} ({layer.kind}): the loss does not use its outputs")
            return Part(f"{layer.name} ({layer.kind}): gradient by the outputs {spread(layer.output_gradients)}")
        delta, gradient, slopes = layer.deltas[0], layer.output_gradients, layer.slopes
        following = self.step.fed_by(layer)
        if gradient is None:
            together = f"{layer.activation} and {self.step.loss_name} have one derivative by the sums"
            rows = self.shortened(len(delta), lambda j: [str(j), number(delta[j])], 2)
            return Part(f"{layer.name}: {together}", 2, ("neuron", "delta"), rows)
        if layer.activation is None and following is None:
            rows = self.shortened(len(delta), lambda j: [str(j), number(delta[j])], 2)
            return Part(f"{layer.name}: derivative of the loss by the sums", 2, ("neuron", "delta"), rows)
        matrix, after = (None, None) if following is None else (following.matrix, following.deltas)

        def row(j: int) -> list[str]:
            formula = ""
            if matrix is not None and after is not None:
                width = len(after[0])
                formula = total([product(matrix[j, k], after[0, k]) for k in range(min(width, TERMS))], width)
            slope = "" if layer.activation is None else "mixed" if slopes is None else number(slopes[0, j])
            return [str(j), formula, number(gradient[0, j]), slope, number(delta[j])]

        source = "the loss" if following is None else f"weights of {following.name} * its deltas"
        columns = ("neuron", f"from {source}", "gradient", "slope", "delta = gradient * slope")
        return without_empty(Part(layer.name, 2, columns, self.shortened(len(delta), row, 5), (0, 1)))

    def update(self, layer: ExplainedLayer, name: str, weight: ExplainedWeight) -> Part:
        """Each element of a weight before and after the step, with its gradient."""
        title = f"{layer.name}.{name} {weight.before.shape}"
        inputs, deltas = layer.inputs, layer.deltas
        short = layer.is_dense and inputs is not None and deltas is not None and len(deltas) <= TERMS
        places = list(np.ndindex(weight.before.shape))

        def formula(place: tuple[int, ...]) -> str:
            if not short or weight.gradient is None or inputs is None or deltas is None:
                return ""
            if name == layer.kernel:
                i, j = place[::-1] if layer.transposed else place
                return " + ".join(product(x[i], d[j]) for x, d in zip(inputs, deltas, strict=True))
            return " + ".join(bracketed(d[place[0]]) for d in deltas) if name == "bias" else ""

        def row(at: int) -> list[str]:
            place = places[at]
            gradient = "not trained" if weight.gradient is None else number(weight.gradient[place])
            label = f"[{', '.join(map(str, place))}]"
            return [label, number(weight.before[place]), formula(place), gradient, number(weight.after[place])]

        columns = ("weight", "before", "inputs * deltas", "gradient", "after")
        return without_empty(Part(title, 2, columns, self.shortened(len(places), row, 5), (0, 2)))


def without_empty(part: Part) -> Part:
    """The part without columns that have nothing in them."""
    kept = [i for i in range(len(part.columns)) if any(row[i] for row in part.rows)]
    texts = [kept.index(i) for i in part.texts if i in kept]
    rows = [[row[i] for i in kept] for row in part.rows]
    return Part(part.heading, part.level, [part.columns[i] for i in kept], rows, texts)


def plain(target: Array) -> str:
    """A target of few numbers as text."""
    return number(target.reshape(-1)[0]) if target.size == 1 else f"[{', '.join(map(number, target.reshape(-1)))}]"


def spread(values: Array) -> str:
    """The shape of an array, and the range and the norm of its values."""
    if not values.size:
        return f"{values.shape}"
    low, high, norm = values.min(), values.max(), math.sqrt(float(np.square(values, dtype=float).sum()))
    return f"{values.shape}, from {number(low)} to {number(high)}, of norm {number(norm)}"


def parts(step: StepNumbers) -> list[Part]:
    """The headings and tables of a step."""
    return list(Tables(step).parts())
