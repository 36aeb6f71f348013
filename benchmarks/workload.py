"""A workload, its arithmetic, and a limit on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchmarks.networks import NETWORKS

OURS = "ranvier"
FASTEST = "fastest peer"


@dataclass(frozen=True)
class Workload:
    """One row group of the table: the same job for every contestant.

    `layers` are the unit counts from the input to the output. `epochs` is the number of epochs in one timed unit of a
    whole process or a whole training, and the number timed together elsewhere (1 lets the harness choose; slow ones do
    fewer). In a whole training `learning_rate` is the highest of one cycle.
    `loss_at` is the epoch whose mean training loss every contestant must report, so that a run that skips work shows.
    """

    name: str
    title: str
    kind: str  # "train", "loop", "search", "fit", "predict", "images", "infer", "accuracy", "memory", "process", ...
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
    network: str = ""  # of `networks.NETWORKS`, instead of `layers`
    checked: int = 0  # images of the epochs up to `loss_at`, where all would take long
    without: tuple[tuple[str, str], ...] = ()  # contestants left out, and why
    dataset: str = (
        ""  # of `ranvier.datasets`: its bytes, the last of which are there to test, and never others
    )
    images: bool = False  # Fashion-MNIST where it can be had, else random images of that shape
    digits: bool = False  # the 8x8 digits that ranvier brings along
    letters: bool = False  # LetterRecognition
    early_stopping: bool = False
    float64: bool = False  # the data, as most of scikit-learn's users have them; elsewhere float32
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
    def warmed(self) -> bool:
        """Whether the first turn only warms up; where not, it is the first round."""
        return self.unit not in ("MB", "training")

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
        """Floating-point operations of one timed unit: the matrix products and nothing else.

        A training pass does the forward product, the gradient by the weights, and the gradient by the inputs of every
        layer but the first. Activations, losses and updates are not counted, so shares of peak are on the low side.
        """
        if self.kind in ("images", "accuracy"):
            return NETWORKS[self.network].training_flops * self.samples * self.epochs
        if self.kind == "infer":
            return NETWORKS[self.network].forward_flops * self.batch
        if self.kind == "predict":
            return 2.0 * self.weights
        if self.kind not in ("train", "loop", "process"):
            return 0.0
        per_sample = 2.0 * (3 * self.weights - self.layers[0] * self.layers[1])
        return per_sample * self.samples * (self.epochs if self.kind == "process" else 1)


@dataclass(frozen=True)
class Requirement:
    """A limit from the plan: `measure` of `contestant` on `workload`, against `against` where it is a ratio.

    Measures are "ratio", "seconds" and "MB" (at most), "share" of peak and "accuracy" on the test images (at least).
    """

    workload: str
    measure: str
    limit: float
    against: str = ""
    contestant: str = OURS

    @property
    def at_least(self) -> bool:
        """Whether more is better."""
        return self.measure in ("share", "accuracy")
