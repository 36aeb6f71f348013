"""The contestants: a table with the module, the environment and the jobs of each. Each runs in a separate process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.workload import Workload

# What holds every library to the instructions of x86-64-v3 that can be held. ONNX Runtime and Eigen cannot.
AVX2 = {
    "RANVIER_TARGET": "x86-64-v3",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
}
# Kinds that a long-lived worker runs; the others run in a fresh process each time.
WARM = ("train", "loop", "search", "fit", "predict", "images", "sequences", "infer", "attention", "generate")


TRIAL = 0.25  # seconds of a trial, roughly


def most(workload: Workload, steps: int) -> int:
    """The steps or calls of a trial: this many where they take a fraction of a second."""
    return max(1, min(steps, int(TRIAL / workload.expected)))


@dataclass
class Job:
    """One contestant's program for one workload, built from the given initial weights.

    `begin(n)` runs the first n epochs, including compilation, and returns the mean training loss of the last one. For a
    prediction it returns the largest error of a probability, and for searches and fits of estimators, which train new
    models each time, the mean held-out accuracy. `run(n)` runs n more epochs, calls, searches or fits and returns their
    seconds. `note` describes the settings; `begin` may add to it.
    """

    begin: Callable[[int], float]
    run: Callable[[int], float]
    note: str = ""


@dataclass(frozen=True)
class Contestant:
    """A row of the table. `module` has a builder `train`, `loop` or `predict` for each warm kind of job. For networks
    on images or sequences it is the module of that name in `images` or `sequences`, where `memory` builds the plain
    program and `accuracy` a complete training.

    `script` is the whole program of the process workload, `packages` are its requirements, and `statement`
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
    named: bool = False  # whether it runs only on workloads that name it

    def path(self, family: str = "") -> str:
        """The module below `benchmarks` with its programs; those of networks are in the package of their family."""
        return "." + ".".join(filter(None, ("contestants", family, self.module)))

    @property
    def ours(self) -> bool:
        """Whether this is Ranvier, which the others are compared with."""
        return self.module == "ours"


# This silences TensorFlow's messages on standard error and does not change its arithmetic.
_TENSORFLOW = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
_IMAGES = ("images", "memory", "accuracy")
_SEQUENCES = ("sequences", "attention", "generate")
_ALL = ("train", "predict", "process", "import", "size")

CONTESTANTS: tuple[Contestant, ...] = (
    Contestant(
        "ranvier",
        "ranvier",
        "ours",
        (*_ALL, *_IMAGES, *_SEQUENCES, "infer", "loop", "search", "fit", "compile", "depth", "mapped"),
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
    Contestant("ranvier-four", "ranvier, 4 layers of 12", "ours", ("depth",), environment={"NETWORK": "gpt"}),
    *(
        Contestant(
            f"ranvier-{engine}",
            f"ranvier, engine {engine}",
            "ours",
            ("train", "images", "sequences"),
            environment={"RANVIER_ENGINE": engine, "TF_CPP_MIN_LOG_LEVEL": "3", "RANVIER_TORCH_COMPILE": "1"},
            named=True,
        )
        for engine in ("jax", "torch", "tensorflow")
    ),
    Contestant(
        "ranvier-torch-eager",
        "ranvier, engine torch, not compiled",
        "ours",
        ("train", "images", "sequences"),
        environment={"RANVIER_ENGINE": "torch", "TORCH_COMPILE_DISABLE": "1"},
        named=True,
    ),
    Contestant("ranvier-loaded", "ranvier, 1 GB in memory", "ours", ("mapped",), environment={"IN_MEMORY": "1"}),
    Contestant("jax", "JAX", "jax_scan", (*_ALL, "images", "sequences"), "train_jax.py", ("jax",), "import jax"),
    Contestant(
        "torch",
        "PyTorch",
        "pytorch",
        (*_ALL, *_IMAGES, *_SEQUENCES, "infer", "loop"),
        "train_pytorch.py",
        ("torch",),
        "import torch",
    ),
    Contestant(
        "torch-compiled",
        "PyTorch, torch.compile",
        "pytorch",
        ("train", "images", "sequences"),
        environment={"COMPILE": "1"},
        named=True,
    ),
    Contestant("torch-loader", "PyTorch with DataLoader", "pytorch_loader", ("loop",)),
    Contestant(
        "keras-tf",
        "Keras on TensorFlow",
        "keras_fit",
        (*_ALL, "images", "accuracy", "sequences"),
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
    """The contestant with this name. Raises ValueError with all names."""
    for contestant in CONTESTANTS:
        if contestant.name == name:
            return contestant
    names = ", ".join(c.name for c in CONTESTANTS)
    raise ValueError(f"There is no contestant {name!r}. Write one of these instead: {names}.")


def select(names: str | None) -> tuple[Contestant, ...]:
    """The contestants named in a comma-separated list, or all of them."""
    return tuple(by_name(n.strip()) for n in names.split(",")) if names else CONTESTANTS
