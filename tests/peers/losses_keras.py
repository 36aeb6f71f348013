"""Losses of Keras on one of its back ends as JSON: values, and gradients by predictions and by weights.

A process of its own runs it for each back end, because a process has only one.
"""

import json

import numpy as np

EDGES = np.array([[0.0, 1.0, 0.5], [0.2, 0.3, 0.5], [1e-9, 0.9999, 0.6]], np.float32)
HOT = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0]], np.float32)
LABELS, YES = np.array([0, 1, 0], np.int32), np.array([[1, 0, 1], [0, 1, 1], [1, 0, 0]], np.float32)
LOGITS = np.array([[-100, 100, 3], [1, 2, -40], [0.5, -0.25, 0]], np.float32)

# Losses that are called with predictions: class, options, targets, predictions.
DIRECT = {
    "classes": ("CategoricalCrossentropy", {}, HOT, EDGES), "classes, smoothed": ("CategoricalCrossentropy", {"label_smoothing": 0.1}, HOT, EDGES),
    "labels": ("SparseCategoricalCrossentropy", {}, LABELS, EDGES),
    "labels, not clipped": ("SparseCategoricalCrossentropy", {}, LABELS[1:2], EDGES[1:2]), "binary": ("BinaryCrossentropy", {}, YES, EDGES),
    "binary focal": ("BinaryFocalCrossentropy", {}, YES, EDGES), "focal": ("CategoricalFocalCrossentropy", {}, HOT, EDGES),
    "divergence": ("KLDivergence", {}, HOT, EDGES), "poisson": ("Poisson", {}, YES, EDGES),
    "classes of logits": ("CategoricalCrossentropy", {"from_logits": True}, HOT, LOGITS),
    "labels of logits": ("SparseCategoricalCrossentropy", {"from_logits": True}, LABELS, LOGITS),
    "binary of logits": ("BinaryCrossentropy", {"from_logits": True}, YES, LOGITS),
}  # fmt: skip
# On TensorFlow this loss divides predictions by their sum after it has clipped them, on the others before.
DIFFERENT = {("tensorflow", "labels")}
# Losses of models that end in an activation: the activation, the loss, targets.
COMPILED = {
    "classes": ("softmax", "categorical_crossentropy", HOT),
    "labels": ("softmax", "sparse_categorical_crossentropy", LABELS),
    "binary": ("sigmoid", "binary_crossentropy", YES),
    "binary focal": ("sigmoid", "binary_focal_crossentropy", YES),
    "divergence": ("softmax", "kl_divergence", HOT),
}


def trained(library, name):
    """The loss of a model whose logits are its inputs, and its weights after a step of SGD."""
    activation, loss, targets = COMPILED[name]
    model = library.Sequential([library.Input((3,)), library.layers.Dense(3, activation=activation)])
    model.set_weights([np.eye(3, dtype=np.float32), np.zeros(3, np.float32)])
    model.compile(library.optimizers.SGD(1.0), loss)
    return [float(model.train_on_batch(LOGITS, targets)), *(w.tolist() for w in model.get_weights())]


def derived(function, x):
    """The value of a function of an array, and the gradient by it, on the back end of Keras."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return jax.value_and_grad(function)(x)
    if backend == "torch":
        import torch

        x = torch.tensor(x, requires_grad=True)
        value = function(x)
        return value.detach(), torch.autograd.grad(value, x)[0]
    import tensorflow as tf

    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return value, tape.gradient(value, x)


if __name__ == "__main__":
    import keras

    direct = {}
    for key, (kind, options, y, x) in DIRECT.items():
        loss = getattr(keras.losses, kind)(**options)
        direct[key] = [np.asarray(v).tolist() for v in derived(lambda p, loss=loss, y=y: loss(y, p), x)]
    compiled = {} if keras.backend.backend() != "tensorflow" else {key: trained(keras, key) for key in COMPILED}
    print(json.dumps({"direct": direct, "compiled": compiled}))
