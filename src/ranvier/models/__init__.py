"""Ready networks to start from, for any input shape and number of classes: functions that return a model.

    model = rv.models.cnn((28, 28, 1), 10)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])

Images are (height, width, channels). All end in ``Dense(classes, activation)``: probabilities by default; with
``activation=None`` the logits, for losses with ``from_logits=True``. All can be saved.
"""

from ranvier.support.errors import lazy_names

__getattr__, __dir__, __all__ = lazy_names("ranvier.models", {
    "ranvier.models.mobile": "InvertedResidual mobilenet_small",
    "ranvier.models.plain": "cnn lenet5 mlp vgg_small",
    "ranvier.models.residual": "ResidualBlock resnet",
    "ranvier.module": "Model=Module Sequential",
    "ranvier.saving": "clone_model model_from_json",
    "ranvier.training": "load_model save_model=save",
})  # fmt: skip
