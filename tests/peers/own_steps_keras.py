"""The programs of `tests.training.own_steps` under Keras on PyTorch: their results and weights as JSON.

A process of its own runs it, because the other tests have Keras on JAX.
"""

import json
import os
from types import SimpleNamespace

os.environ["KERAS_BACKEND"] = "torch"

import keras
import torch

from tests.training import own_steps


class GradientTape:
    """What TensorFlow's tape gives to programs, by PyTorch's gradients."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def watch(self, x):
        if x.is_leaf:
            x.requires_grad_()

    def gradient(self, target, sources):
        return list(torch.autograd.grad(target.sum(), [getattr(s, "value", s) for s in sources], create_graph=True))


def built(model, **data):
    """The weights of the models in this one exist already, and its own ``call`` may not."""
    model.built = True


if __name__ == "__main__":
    keras.src.trainers.trainer.Trainer._symbolic_build = built
    names = ("Model", "Sequential", "Input", "layers", "ops", "metrics", "losses", "optimizers")
    lib = SimpleNamespace(GradientTape=GradientTape, **{name: getattr(keras, name) for name in names})
    found = {}
    for program in own_steps.PROGRAMS:
        model, results = own_steps.trained(lib, program)
        found[program.__name__] = {"results": results, "weights": [w.tolist() for w in model.get_weights()]}
    print(json.dumps(found))
