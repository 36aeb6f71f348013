"""Why the network decided: which inputs a score depends on, as arrays of the inputs' shape.

`saliency`, `smooth_grad` and `integrated_gradients` follow the gradient of the score to the inputs, `grad_cam` that to
a convolution's channels; `occlusion` covers parts of the inputs and sees what is lost. ``rv.pictures.attributions``
draws them over the images. Each names the paper that it is from.
"""

from ranvier.explain.cam import grad_cam
from ranvier.explain.gradients import integrated_gradients, saliency, smooth_grad
from ranvier.explain.occluding import occlusion
from ranvier.explain.scores import scores
from ranvier.support.errors import missing

__all__ = ["grad_cam", "integrated_gradients", "occlusion", "saliency", "scores", "smooth_grad"]

__getattr__, __dir__ = missing(globals(), "ranvier.explain", __all__)
