"""Checks of the last layer: whether its outputs fit the loss."""

from __future__ import annotations

from collections.abc import Iterator

from ranvier.training.preflight.inspection import LINEAR, InspectedOutput, of_outputs
from ranvier.training.preflight.report import Fault

UNBOUNDED = (
    *LINEAR, "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus", "tanh", "relu6",
)  # fmt: skip
NEGATIVE = tuple(name for name in UNBOUNDED if name not in ("relu", "relu6", "softplus"))


def ending_of(output: InspectedOutput) -> str:
    """The last activation of the model in words."""
    return "a layer without activation" if output.last in LINEAR else output.last


@of_outputs
def logits_expected(output: InspectedOutput) -> Iterator[Fault]:
    # A softmax of log probabilities gives them back.
    harmless = output.function == "cross_entropy" and output.last == "log_softmax"
    if output.wants_logits and output.last in ("softmax", "sigmoid", "log_softmax") and not harmless:
        fix = "no activation in the last layer" if output.function else "from_logits=False in the loss"
        yield Fault(
            f"the loss {output.loss.name!r} expects logits, and the model ends with {output.last}",
            f"Write {fix} instead.",
        )


@of_outputs
def probabilities_expected(output: InspectedOutput) -> Iterator[Fault]:
    keras = getattr(output.loss, "maker", None)
    wanted = (keras or output.function == "binary_cross_entropy") and not output.wants_logits
    if wanted and output.last in UNBOUNDED:
        fix = "torch.sigmoid at the end of the model, or BCEWithLogitsLoss,"
        if keras:
            fix = f"activation={keras!r} in the last layer, or from_logits=True in the loss,"
        yield Fault(
            f"the loss {output.loss.name!r} expects probabilities, and the model ends with {ending_of(output)}, which "
            "gives none",
            f"Write {fix} instead.",
        )


@of_outputs
def log_probabilities_expected(output: InspectedOutput) -> Iterator[Fault]:
    if output.function == "nll_loss" and output.last in (*UNBOUNDED, "softmax", "sigmoid"):
        yield Fault(
            f"NLLLoss expects log probabilities, and the model ends with {ending_of(output)}, so the loss has no "
            "minimum",
            "Write log_softmax at the end of the model, or CrossEntropyLoss, instead.",
        )


@of_outputs
def sigmoid_for_classes(output: InspectedOutput) -> Iterator[Fault]:
    if output.loss.maker == "softmax" and not output.wants_logits and output.last == "sigmoid" and output.several:
        yield Fault(
            f"the loss {output.loss.name!r} expects probabilities with a sum of 1, and the model ends with sigmoid",
            "Write activation='softmax' for one class of several, or loss='binary_crossentropy' for independent "
            "binary labels, instead.",
        )


@of_outputs
def softmax_for_several(output: InspectedOutput) -> Iterator[Fault]:
    if output.binary and not output.wants_logits and output.last == "softmax" and output.several:
        one = "CrossEntropyLoss without the softmax" if output.function else "loss='categorical_crossentropy'"
        yield Fault(
            f"the loss {output.loss.name!r} expects an independent probability of each output, and the model ends with "
            "softmax, whose outputs have a sum of 1",
            f"Write {one} for one class of several, or sigmoid at the end for independent binary labels, instead.",
        )


@of_outputs
def logarithm_of_negative(output: InspectedOutput) -> Iterator[Fault]:
    if output.kind == "Poisson" and output.last in NEGATIVE:
        yield Fault(
            f"the loss {output.loss.name!r} takes the logarithm of the outputs, and the model ends with "
            f"{ending_of(output)}, which can give negative numbers",
            "Write activation='exponential' or 'softplus' in the last layer instead.",
        )


@of_outputs
def one_unit(output: InspectedOutput) -> Iterator[Fault]:
    if output.categorical and output.tensor.shape[-1:] == (1,):
        yield Fault(
            "the model has one output, and a categorical loss needs several, so the model learns nothing",
            "Write loss='binary_crossentropy' with activation='sigmoid', or one output for each class, instead.",
        )
    elif output.trace_node is not None and output.last in ("softmax", "log_softmax"):
        axis = dict(output.trace_node.options).get("axis", -1)
        if output.trace_node.type.shape[axis] == 1:
            yield Fault(
                f"the model ends with {output.last} over one output, which is always {int(output.last == 'softmax')}, "
                "so the model learns nothing",
                "Write activation='sigmoid' in the last layer for a binary label, or one output for each class, "
                "instead.",
            )


@of_outputs
def clipped_logits(output: InspectedOutput) -> Iterator[Fault]:
    if output.wants_logits and output.last in ("relu", "relu6", "tanh", "softsign") and output.several:
        yield Fault(
            f"the loss {output.loss.name!r} expects logits of any size, and the model ends with {output.last}, which "
            "limits them",
            "Write a last layer without activation instead.",
        )
