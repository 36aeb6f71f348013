"""Explanations of predictions: how much a score depends on each input, as arrays in the shape of the inputs.

`saliency`, `smooth_grad` and `integrated_gradients` use the gradient of the score with respect to the inputs,
`grad_cam` and `hires_cam` that with respect to the channels of a convolution. `occlusion` covers parts of images, and
`words` leaves words of texts out; they measure the change of the score. ``rv.pictures.attributions`` and
``rv.pictures.words`` draw explanations.

For tables, `integrated_gradients`, `permutation_importance` and `partial_dependence` take a network, an estimator, or a
pipeline that ends in one, and a frame or an array as it takes. Each function cites its paper.
"""

from ranvier.explain.cam import grad_cam, hires_cam
from ranvier.explain.dependence import Dependence, partial_dependence
from ranvier.explain.gradients import integrated_gradients, saliency, smooth_grad
from ranvier.explain.importance import Importances, permutation_importance
from ranvier.explain.occluding import occlusion
from ranvier.explain.scores import scores
from ranvier.explain.words import words
from ranvier.support.errors import missing

__all__ = [
    "Dependence", "Importances", "grad_cam", "hires_cam", "integrated_gradients", "occlusion", "partial_dependence",
    "permutation_importance", "saliency", "scores", "smooth_grad", "words",
]  # fmt: skip

__getattr__, __dir__ = missing("ranvier.explain", __all__)
