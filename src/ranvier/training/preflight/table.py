"""The table of checks, in stages by what they look at."""

from __future__ import annotations

from ranvier.training.preflight import dynamics, features, last_layer, network, predictions, targets, validation
from ranvier.training.preflight.report import ERROR, WARNING, Check

NETWORK = (
    Check("RV101", "logits expected", WARNING, last_layer.logits_expected),
    Check("RV102", "probabilities expected", WARNING, last_layer.probabilities_expected),
    Check("RV103", "log probabilities expected", ERROR, last_layer.log_probabilities_expected, always=True),
    Check("RV104", "sigmoid for one class of several", WARNING, last_layer.sigmoid_for_classes),
    Check("RV105", "one output for several classes", ERROR, last_layer.one_unit, always=True),
    Check("RV106", "no nonlinearity", WARNING, network.no_nonlinearity),
    Check("RV107", "dropout at the end", WARNING, network.dropout_at_the_end),
    Check("RV108", "dropout of a whole layer", WARNING, network.dropout_of_few),
    Check("RV109", "softmax across samples", WARNING, network.softmax_across_samples),
    Check("RV110", "clipped logits", WARNING, last_layer.clipped_logits),
    Check("RV111", "equal units", WARNING, network.symmetric),
    Check("RV112", "unused layer", WARNING, network.unused),
    Check("RV113", "normalization not adapted", WARNING, network.not_adapted),
    Check("RV114", "colours out of range", WARNING, network.colours_out_of_range),
    Check("RV115", "channels on another axis", WARNING, network.channels_elsewhere),
    Check("RV116", "softmax for binary labels", WARNING, last_layer.softmax_for_several),
    Check("RV117", "logarithm of negative outputs", WARNING, last_layer.logarithm_of_negative),
    Check("RV118", "layer outside the model", WARNING, network.unowned),
)
DATA = (
    Check("RV201", "unscaled pixels", WARNING, features.unscaled_pixels),
    Check("RV202", "large features", WARNING, features.large_features),
    Check("RV203", "features of different scales", WARNING, features.different_scales),
    Check("RV204", "constant features", WARNING, features.constant_features, whole=True),
    Check("RV205", "identical rows", ERROR, features.identical_rows, whole=True),
    Check("RV301", "unreachable targets", WARNING, targets.unreachable),
    Check("RV302", "targets outside 0 to 1", ERROR, targets.no_shares, always=True),
    Check("RV303", "targets that do not add up to 1", WARNING, targets.no_distribution),
    Check("RV304", "one class", ERROR, targets.one_class, whole=True),
    Check("RV305", "constant targets", WARNING, targets.constant_targets, whole=True),
    Check("RV306", "imbalanced classes", WARNING, targets.imbalance, whole=True),
    Check("RV307", "classes that never occur", WARNING, targets.absent_classes, whole=True),
    Check("RV308", "large targets", WARNING, targets.large_targets),
    Check("RV309", "classification metric in a regression", WARNING, targets.classes_of_sizes),
)
VALIDATION = (
    Check("RV401", "rows in training and validation", WARNING, validation.shared_with_validation, whole=True),
    Check("RV402", "classes only in validation", WARNING, validation.classes_unseen, whole=True),
    Check("RV403", "classes missing in validation", WARNING, validation.classes_not_validated, whole=True),
    Check("RV404", "validation of another scale", WARNING, validation.other_scale, whole=True),
)
SCALES = ("RV201", "RV202", "RV203", "RV308")
FIRST_BATCH = (
    Check("RV502", "exploding outputs", WARNING, dynamics.exploding, unless=SCALES),
    Check("RV503", "learning rate too high", WARNING, dynamics.fast, unless=(*SCALES, "RV502")),
)
SETTINGS = (  # of the optimizer
    Check("RV507", "learning rate of zero", WARNING, dynamics.over),
    Check("RV508", "epsilon of zero", WARNING, dynamics.no_epsilon),
)
# Checks of what makes the loss infinite or NaN at any learning rate.
CAUSES = tuple(c for c in NETWORK if c.code in ("RV102", "RV103", "RV107", "RV117"))
GRADIENTS = (Check("RV501", "vanishing gradients", WARNING, dynamics.vanishing, unless=SCALES),)
ACTIVATIONS = (
    Check("RV505", "dead units", WARNING, dynamics.dead),
    Check("RV506", "saturated units", WARNING, dynamics.saturated),
)
# Mistakes for which `fit` raises other errors, and which `check` reports.
NOT_FINITE = Check("RV504", "loss not finite", ERROR, dynamics.not_finite)
GIVEN = {"data": ("RV001", "invalid data"), "shapes": ("RV002", "layers of shapes that do not fit")}

CHECKS = (*NETWORK, *DATA, *VALIDATION, *GRADIENTS, *FIRST_BATCH, *SETTINGS, NOT_FINITE, *ACTIVATIONS)
CODES = dict(GIVEN.values()) | {c.code: c.title for c in (*CHECKS, *predictions.CHECKS)}
