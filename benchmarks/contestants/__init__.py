"""Who takes part: a table of contestants, each a process of its own with its module, environment and jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

# Kinds that a long-lived worker runs; the others run in a fresh process each time.
WARM = ("train", "loop", "search", "fit", "predict", "images", "infer")


@dataclass
class Job:
    """One contestant's program for one workload, built from the given initial weights.

    `begin(n)` does the first n epochs, compilation included, and returns the mean training loss of the last of them
    (for a prediction: the largest error of a probability; for a search, whose models are trained anew each time: their
    mean held-out accuracy, and so for whole fits of estimators). `run(n)` does n more epochs, calls, searches or fits
    and returns their seconds. `note` says how it is run; `begin` may add to it.
    """

    begin: Callable[[int], float]
    run: Callable[[int], float]
    note: str = ""


@dataclass(frozen=True)
class Contestant:
    """A row of the table. `module` holds a builder `train`, `loop` or `predict` for each warm kind it takes part in;
    for image networks it is the one of that name in `images`, where `memory` gives the bare program and `accuracy` a
    whole training.

    `script` is the whole program of the process workload, `packages` what must be installed for it, and `statement`
    its import. `environment` is added to that of each of its processes.
    """

    name: str
    title: str
    module: str
    kinds: tuple[str, ...]
    script: str = ""
    packages: tuple[str, ...] = ()
    statement: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    def path(self, *, images: bool) -> str:
        """The module below `benchmarks` that holds its programs."""
        return f".contestants.{'images.' * images}{self.module}"

    @property
    def ours(self) -> bool:
        """Whether this is the library that the others are compared with."""
        return self.module == "ours"


# TensorFlow's greeting on standard error is not wanted; its arithmetic is left as it comes.
_TENSORFLOW = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
_IMAGES = ("images", "memory", "accuracy")
_ALL = ("train", "predict", "process", "import", "size")

CONTESTANTS: tuple[Contestant, ...] = (
    Contestant(
        "ranvier",
        "ranvier",
        "ours",
        (*_ALL, *_IMAGES, "infer", "loop", "search", "fit", "compile"),
        "train_ours.py",
        ("ranvier",),
        "import ranvier",
    ),
    Contestant(
        "ranvier-1",
        "ranvier, 1 thread",
        "ours",
        ("train", "loop", "predict", "process"),
        "train_ours.py",
        environment={"RANVIER_THREADS": "1"},
    ),
    Contestant("ranvier-cache", "ranvier, disk cache", "ours", ("process", "compile"), "train_ours.py"),
    Contestant(
        "ranvier-alone",
        "ranvier, one fit after the other",
        "ours",
        ("search",),
        environment={"ONE_AFTER_THE_OTHER": "1"},
    ),
    Contestant("jax", "JAX", "jax_scan", _ALL, "train_jax.py", ("jax",), "import jax"),
    Contestant(
        "torch",
        "PyTorch",
        "pytorch",
        (*_ALL, *_IMAGES, "infer", "loop"),
        "train_pytorch.py",
        ("torch",),
        "import torch",
    ),
    Contestant("torch-loader", "PyTorch with DataLoader", "pytorch_loader", ("loop",)),
    Contestant(
        "keras-tf",
        "Keras on TensorFlow",
        "keras_fit",
        (*_ALL, "images", "accuracy"),
        "train_keras.py",
        ("keras", "tensorflow-cpu"),
        "import keras",
        _TENSORFLOW,
    ),
    Contestant(
        "keras-tf-32",
        "Keras on TensorFlow, 32 steps a call",
        "keras_fit",
        ("train",),
        environment={**_TENSORFLOW, "STEPS_PER_EXECUTION": "32"},
    ),
    Contestant(
        "keras-jax",
        "Keras on JAX",
        "keras_fit",
        (*_ALL, "images", "accuracy"),
        "train_keras.py",
        ("keras", "jax"),
        "import keras",
        {"KERAS_BACKEND": "jax"},
    ),
    Contestant(
        "sklearn",
        "scikit-learn",
        "sklearn_mlp",
        (*_ALL, "search", "fit"),
        "train_sklearn.py",
        ("scikit-learn",),
        "from sklearn.neural_network import MLPClassifier",
    ),
    Contestant(
        "onnx",
        "ONNX Runtime",
        "onnx_session",
        ("predict", "infer", "import", "size"),
        "",
        ("onnxruntime",),
        "import onnxruntime",
    ),
)


def by_name(name: str) -> Contestant:
    """The contestant called `name`; ValueError with the names there are."""
    for contestant in CONTESTANTS:
        if contestant.name == name:
            return contestant
    names = ", ".join(c.name for c in CONTESTANTS)
    raise ValueError(f"There is no contestant {name!r}. Write one of these instead: {names}.")


def select(names: str | None) -> tuple[Contestant, ...]:
    """The contestants named in a comma-separated list, all of them where there is none."""
    return tuple(by_name(n.strip()) for n in names.split(",")) if names else CONTESTANTS
