"""Explanations of predictions: how much a score depends on each input, as arrays in the shape of the inputs.

`saliency`, `smooth_grad` and `integrated_gradients` use the gradient of the score with respect to the inputs, and
`grad_cam` that with respect to the channels of a convolution. `occlusion` covers parts of images, and `words` leaves
words of texts out; they measure the change of the score. ``rv.pictures.attributions`` and ``rv.pictures.words`` draw
explanations. Each function cites its paper.
"""

from ranvier.explain.cam import grad_cam
from ranvier.explain.gradients import integrated_gradients, saliency, smooth_grad
from ranvier.explain.occluding import occlusion
from ranvier.explain.scores import scores
from ranvier.explain.words import words
from ranvier.support.errors import missing

__all__ = ["grad_cam", "integrated_gradients", "occlusion", "saliency", "scores", "smooth_grad", "words"]

__getattr__, __dir__ = missing("ranvier.explain", __all__)
