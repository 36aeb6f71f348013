"""Ready networks for any input shape and number of classes: functions that return a model.

    model = rv.models.cnn((28, 28, 1), 10)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])

Images are (height, width, channels); `speech_classifier` takes samples. The last layer is ``Dense(classes,
activation)``. Its outputs are probabilities, or logits with ``activation=None``, for losses with ``from_logits=True``.
`char_lm`, `gpt` and `seq2seq` give logits of the next token, and `generate` writes with them. `resnet18`, `resnet34`
and `mobilenet_v2` are of PyTorch's vocabulary, with torchvision's names of weights. All can be saved.
"""

from ranvier.support.errors import lazy_names

__getattr__, __dir__, __all__ = lazy_names("ranvier.models", {
    "ranvier.models.generation": "generate",
    "ranvier.models.language": "char_lm gpt seq2seq",
    "ranvier.models.mobile": "InvertedResidual mobilenet_small",
    "ranvier.models.plain": "cnn lenet5 mlp vgg_small",
    "ranvier.models.residual": "ResidualBlock resnet",
    "ranvier.models.speech": "speech_classifier",
    "ranvier.models.text": "text_classifier",
    "ranvier.models.vision":
        "BasicBlock InvertedBlock MobileNetV2 ResNet mobilenet_v2 resnet18 resnet34",
    "ranvier.module": "Model=Module Sequential",
    "ranvier.module.key_values": "KeyValueCache",
    "ranvier.saving": "clone_model model_from_json",
    "ranvier.interop.files": "load_model save_model=save",
})  # fmt: skip
