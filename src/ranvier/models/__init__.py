"""Ready networks to start from, for any input shape and number of classes: functions that return a model.

    model = rv.models.cnn((28, 28, 1), 10)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])

Images are (height, width, channels). All end in ``Dense(classes, activation)``: probabilities by default; with
``activation=None`` the logits, for losses with ``from_logits=True``. All can be saved.
"""

from ranvier.models.mobile import InvertedResidual, mobilenet_small
from ranvier.models.plain import cnn, lenet5, mlp, vgg_small
from ranvier.models.residual import ResidualBlock, resnet
from ranvier.support.errors import missing

__all__ = [
    "InvertedResidual",
    "ResidualBlock",
    "cnn",
    "lenet5",
    "mlp",
    "mobilenet_small",
    "resnet",
    "vgg_small",
]

_ALSO = {  # what Keras has under this name
    "Model": "ranvier.module:Module",
    "Sequential": "ranvier.module:Sequential",
    "clone_model": "ranvier.saving:clone_model",
    "load_model": "ranvier.training:load_model",
    "model_from_json": "ranvier.saving:model_from_json",
    "save_model": "ranvier.training:save",
}

__getattr__, __dir__ = missing(globals(), "ranvier.models", __all__, _ALSO)
