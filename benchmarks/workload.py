"""A workload, its arithmetic, and a limit on it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from benchmarks.network import Network
from benchmarks.networks import NETWORKS
from benchmarks.sequence import Sequence
from benchmarks.sequence_networks import SEQUENCES

OURS = "ranvier"
FASTEST = "fastest peer"
HELD = "held to AVX2"  # what the name of a processor ends with where all libraries are
DECAY = 0.004  # of AdamW, for all: the default of Keras
MOMENTS = {"sgd": 0, "rmsprop": 1, "adam": 2, "adamw": 2}  # arrays of the size of the weights
FLOAT = 4  # bytes
TURN = 0.2  # seconds of an epoch, roughly
FEWEST, MOST = 2, 256  # steps of an epoch
OPERATIONS, BYTES = 5e11, 5e10  # a second, roughly, of two cores


@dataclass(frozen=True)
class Workload:
    """One row group of the table: the same job for every contestant.

    `layers` are the unit counts from the input to the output. `epochs` is the number of epochs in one timed unit. With
    1 the harness chooses it, except for a process or a complete training; slow contestants run fewer. In a complete
    training `learning_rate` is the highest one of a cycle. `loss_at` is the epoch whose mean training loss every
    contestant must report, which detects runs that skip work.
    """

    name: str
    title: str
    kind: str  # "train", "loop", "fit", "predict", "images", "sequences", "infer", "accuracy", "memory", ...
    layers: tuple[int, ...] = ()
    batch: int = 0
    samples: int = 0
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    hidden: str = "relu"
    loss: str = "sparse_categorical_crossentropy"
    metrics: tuple[str, ...] = ()
    epochs: int = 1
    loss_at: int = 3
    network: str = ""  # of `networks.NETWORKS` or `sequence_networks.SEQUENCES`, instead of `layers`
    checked: int = 0  # samples of the epochs up to `loss_at`, where all would take too long
    without: tuple[tuple[str, str], ...] = ()  # excluded contestants, with the reasons
    contestants: tuple[str, ...] = ()  # the others are not asked; empty for all with the kind
    dataset: str = ""  # a data set of `ranvier.datasets`, as bytes, the test set last
    images: bool = False  # Fashion-MNIST where it is available, else random images in its shape
    digits: bool = False  # the 8x8 digits in ranvier
    letters: bool = False  # LetterRecognition
    early_stopping: bool = False
    float64: bool = False  # the dtype of the data, which is common with scikit-learn; elsewhere float32
    unit: str = "epoch"

    @property
    def output(self) -> str:
        """The activation of the last layer in the Keras vocabulary."""
        return {
            "sparse_categorical_crossentropy": "softmax",
            "binary_crossentropy": "sigmoid",
            "mean_squared_error": "linear",
        }[self.loss]

    @property
    def built(self) -> Network | Sequence:
        """The network of a workload that names one."""
        return SEQUENCES.get(self.network) or NETWORKS[self.network]

    @property
    def family(self) -> str:
        """The package of the programs of its network; empty without one."""
        return self.built.family if self.network else ""

    @property
    def warmed(self) -> bool:
        """Whether the first turn only warms up. Otherwise it is the first round."""
        return self.unit not in ("MB", "sample", "training")

    @property
    def steps(self) -> int:
        """The steps of all epochs."""
        return self.epochs * math.ceil(self.samples / self.batch)

    @property
    def weights(self) -> int:
        """The multiplications of one sample's forward pass."""
        return sum(a * b for a, b in zip(self.layers, self.layers[1:], strict=False))

    @property
    def flops(self) -> float:
        """Floating-point operations of one timed unit: the matrix products only.

        A training pass computes the forward product, the gradient of the weights, and the gradient of the inputs of
        every layer but the first. Activations, losses and updates are not counted, so fractions of the peak are
        slightly low.
        """
        if self.kind in ("images", "accuracy", "sequences"):
            return self.built.training_flops * self.samples * self.epochs
        if self.kind in ("infer", "generate", "attention"):
            once = self.built.training_flops if self.kind == "attention" else self.built.forward_flops
            return once * self.batch
        if self.kind == "predict":
            return 2.0 * self.weights * self.batch
        if self.kind not in ("train", "loop", "process"):
            return 0.0
        per_sample = 2.0 * (3 * self.weights - self.layers[0] * self.layers[1])
        return per_sample * self.samples * (self.epochs if self.kind == "process" else 1)

    @property
    def parameters(self) -> int:
        """The number of trained weights."""
        if self.network:
            return self.built.parameters
        return self.weights + sum(self.layers[1:])

    @property
    def bytes(self) -> float:
        """The bytes of weights and moments that one timed unit must read and write, each once a step.

        A prediction reads every weight. What other data a step moves is not counted.
        """
        if self.kind in ("infer", "predict"):
            return float(FLOAT * self.parameters)
        if self.kind not in ("train", "loop", "images", "sequences"):
            return 0.0
        return 2.0 * FLOAT * (1 + MOMENTS[self.optimizer]) * self.parameters * math.ceil(self.samples / self.batch)

    @property
    def expected(self) -> float:
        """The seconds of a step or a call, roughly, by which trials and epochs are sized."""
        steps = 1 if self.unit == "call" else math.ceil(self.samples / self.batch)
        return (self.flops / OPERATIONS + self.bytes / BYTES) / steps


def sized(workload: Workload) -> Workload:
    """The workload, which has the samples of one step, with those of an epoch."""
    steps = min(MOST, max(FEWEST, math.ceil(TURN / workload.expected)))
    return dataclasses.replace(workload, samples=steps * workload.batch)


@dataclass(frozen=True)
class Requirement:
    """A limit on the `measure` of `contestant` on `workload`, relative to `against` for a ratio.

    Measures are "ratio", "seconds", "MB" and "least" (at most), "share" of peak and "accuracy" on the test images (at
    least). The measure "least" is the time relative to the least possible one: operations at peak, and bytes at the
    bandwidth of a copy.
    """

    workload: str
    measure: str
    limit: float
    against: str = ""
    contestant: str = OURS

    @property
    def at_least(self) -> bool:
        """Whether larger values are better."""
        return self.measure in ("share", "accuracy")
