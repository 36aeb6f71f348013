"""Checks of the last layer: whether its outputs fit the loss."""

from __future__ import annotations

from collections.abc import Iterator

from ranvier.training.preflight.inspection import LINEAR, InspectedOutput, Inspection
from ranvier.training.preflight.report import Fault

UNBOUNDED = (
    *LINEAR, "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus", "tanh", "relu6",
)  # fmt: skip
NEGATIVE = tuple(name for name in UNBOUNDED if name not in ("relu", "relu6", "softplus"))


def ending_of(output: InspectedOutput) -> str:
    """The last activation of the model in words."""
    return "a layer without activation" if output.last in LINEAR else output.last


def logits_expected(view: Inspection) -> Iterator[Fault]:
    for output in view.outputs:
        if not output.wants_logits or output.last not in ("softmax", "sigmoid", "log_softmax"):
            continue
        if output.function == "cross_entropy" and output.last == "log_softmax":
            continue  # softmax of log probabilities gives them back
        fix = "no activation in the last layer" if output.function else "from_logits=False in the loss"
        yield view.fault(
            f"the loss {output.loss.name!r} expects logits, and the model ends with {output.last}",
            f"Write {fix} instead.",
            view.layer_of(output.trace_node),
        )


def probabilities_expected(view: Inspection) -> Iterator[Fault]:
    for output in view.outputs:
        keras = getattr(output.loss, "maker", None)
        if output.wants_logits or output.last not in UNBOUNDED:
            continue
        if not keras and output.function != "binary_cross_entropy":
            continue
        fix = (
            f"activation={keras!r} in the last layer, or from_logits=True in the loss,"
            if keras
            else "torch.sigmoid at the end of the model, or BCEWithLogitsLoss,"
        )
        yield view.fault(
            f"the loss {output.loss.name!r} expects probabilities, and the model ends with {ending_of(output)}, which "
            "gives none",
            f"Write {fix} instead.",
            view.layer_of(output.trace_node),
        )


def log_probabilities_expected(view: Inspection) -> Iterator[Fault]:
    for output in view.outputs:
        if output.function == "nll_loss" and output.last in (*UNBOUNDED, "softmax", "sigmoid"):
            yield view.fault(
                f"NLLLoss expects log probabilities, and the model ends with {ending_of(output)}, so the loss has no "
                "minimum",
                "Write log_softmax at the end of the model, or CrossEntropyLoss, instead.",
                view.layer_of(output.trace_node),
            )


def sigmoid_for_classes(view: Inspection) -> Iterator[Fault]:
    for output in view.outputs:
        if (
            output.loss.maker == "softmax"
            and not output.wants_logits
            and output.last == "sigmoid"
            and output.tensor.shape[-1] != 1
        ):
            yield view.fault(
                f"the loss {output.loss.name!r} expects probabilities with a sum of 1, and the model ends with sigmoid",
                "Write activation='softmax' for one class of several, or loss='binary_crossentropy' for independent "
                "binary labels, instead.",
                view.layer_of(output.trace_node),
            )


def softmax_for_several(view: Inspection) -> Iterator[Fault]:
    for output in view.outputs:
        if output.binary and not output.wants_logits and output.last == "softmax" and output.tensor.shape[-1] != 1:
            one = "CrossEntropyLoss without the softmax" if output.function else "loss='categorical_crossentropy'"
            yield view.fault(
                f"the loss {output.loss.name!r} expects an independent probability of each output, and the model ends "
                "with softmax, whose outputs have a sum of 1",
                f"Write {one} for one class of several, or sigmoid at the end for independent binary labels, instead.",
                view.layer_of(output.trace_node),
            )


def logarithm_of_negative(view: Inspection) -> Iterator[Fault]:
    for output in view.outputs:
        if output.kind == "Poisson" and output.last in NEGATIVE:
            yield view.fault(
                f"the loss {output.loss.name!r} takes the logarithm of the outputs, and the model ends with "
                f"{ending_of(output)}, which can give negative numbers",
                "Write activation='exponential' or 'softplus' in the last layer instead.",
                view.layer_of(output.trace_node),
            )


def one_unit(view: Inspection) -> Iterator[Fault]:
    for output in view.outputs:
        if output.categorical and output.tensor.shape[-1:] == (1,):
            yield view.fault(
                "the model has one output, and a categorical loss needs several, so the model learns nothing",
                "Write loss='binary_crossentropy' with activation='sigmoid', or one output for each class, instead.",
                view.layer_of(output.trace_node),
            )
        elif output.trace_node is not None and output.last in ("softmax", "log_softmax"):
            axis = dict(output.trace_node.options).get("axis", -1)
            if output.trace_node.type.shape[axis] == 1:
                yield view.fault(
                    f"the model ends with {output.last} over one output, which is always "
                    f"{int(output.last == 'softmax')}, so the model learns nothing",
                    "Write activation='sigmoid' in the last layer for a binary label, or one output for each class, "
                    "instead.",
                    view.layer_of(output.trace_node),
                )


def clipped_logits(view: Inspection) -> Iterator[Fault]:
    for output in view.outputs:
        if (
            output.wants_logits
            and output.last in ("relu", "relu6", "tanh", "softsign")
            and output.tensor.shape[-1] != 1
        ):
            yield view.fault(
                f"the loss {output.loss.name!r} expects logits of any size, and the model ends with {output.last}, "
                "which limits them",
                "Write a last layer without activation instead.",
                view.layer_of(output.trace_node),
            )
