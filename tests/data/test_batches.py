"""Generators of batches: every fault is named with the index of the batch it came in."""

import numpy as np
import pytest

from ranvier.data.arrays import as_features
from ranvier.data.batches import batches_from
from ranvier.data.targets import as_labels, as_weights
from ranvier.torch.utils.data import TensorDataset

X, Y = np.zeros((4, 3), "f4"), np.zeros(4, "i4")


def yields(*items):
    return lambda: iter(items)


def breaks():
    yield X, Y
    raise KeyError("broken")


class Sequence:
    """Keras's PyDataset: a length and an index."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return X + index, Y


FAULTS = [  # the source, the steps asked for, the exception, what its message must say
    (yields((X, Y)), 3, ValueError, ["ended early", "batch 1 of 3", "steps_per_epoch=1"]),
    (yields(), None, ValueError, ["batch 0 is missing"]),
    (yields((X, Y), None), None, TypeError, ["Batch 1", "None", "yield x, y"]),
    (yields((X, Y), (None, Y)), None, TypeError, ["Batch 1", "None for x"]),
    (yields((X, None, Y)), None, TypeError, ["Batch 0", "None for y"]),
    (yields((X, Y), (np.zeros((4, 5)), Y)), None, ValueError, ["Batch 1", "(5,)", "in batch 0 they had (3,)"]),
    (yields((X, Y), (X,)), None, ValueError, ["Batch 1", "y is missing"]),
    (yields((X,), (X, Y)), None, ValueError, ["Batch 1", "y is present"]),
    (yields((X, Y), (X, Y[:3])), None, ValueError, ["Batch 1", "x has 4, y has 3"]),
    (yields((X, Y), (X[:0], Y[:0])), None, ValueError, ["Batch 1", "0 samples"]),
    (yields((X, Y, Y, Y)), None, TypeError, ["Batch 0", "4 parts"]),
    (yields({"x": X}), None, TypeError, ["Batch 0", "dict", "'x'"]),
    (yields((X, np.float32(1))), None, ValueError, ["Batch 0", "y is a single number"]),
    (yields((X, Y), (X, Y + 7)), None, ValueError, ["Batch 1", "label 7 at row 0"]),
    (yields((X, Y), (X + np.nan, Y)), None, ValueError, ["Batch 1", "nan at row 0, column 0"]),
    (yields((X, Y, Y - 1)), None, ValueError, ["Batch 0", "sample_weight is -1"]),
    (yields((X, Y), (X.astype(complex), Y)), None, TypeError, ["Batch 1", "complex"]),
    (yields((X, np.array(1))), None, ValueError, ["Batch 0", "y is a single"]),
    (lambda: breaks, None, TypeError, ["function", "breaks()"]),
    (lambda: Sequence, None, TypeError, ["class", "Sequence()"]),
    (lambda: TensorDataset(X, Y), None, TypeError, ["single samples", "DataLoader(dataset, batch_size=32)"]),
    (lambda: 5, None, TypeError, ["int", "yields no batches"]),
]


def gated(source, steps=None):
    return list(
        batches_from(
            source,
            steps=steps,
            as_x=as_features,
            as_y=lambda y: as_labels(y, classes=2),
            as_w=lambda w: as_weights(w, len(w)),
        )
    )


@pytest.mark.parametrize(("make", "steps", "kind", "words"), FAULTS)
def test_a_fault_names_its_batch(make, steps, kind, words):
    with pytest.raises(kind) as error:
        gated(make(), steps)
    message = str(error.value)
    assert not [word for word in [*words, "instead"] if word not in message], message


def test_what_the_generator_raises_passes_through():
    with pytest.raises(KeyError) as error:
        gated(breaks())
    assert any("batch 1" in note for note in error.value.__notes__)


@pytest.mark.parametrize(
    ("source", "steps", "count"),
    [
        ([(X, Y), (X[:1], Y[:1])], None, 2),  # a smaller last batch
        ([[X, Y]], None, 1),
        ([(X, Y, Y + 1)], None, 1),
        ([X], None, 1),
        ([(X, None)], None, 1),
        ([[[1.0, 2.0]]], None, 1),  # a list of rows is x
        (iter([(X, Y)] * 9), 4, 4),
        (Sequence(), None, 2),
    ],
)
def test_batches_accepted(source, steps, count):
    batches = gated(source, steps)
    assert len(batches) == count
    assert all(len(batch) == 3 and batch[0].dtype == np.float32 for batch in batches)


def test_no_batch_is_taken_beyond_the_steps():
    source = iter([(X, Y)] * 3)
    gated(source, 2)
    assert len(list(source)) == 1
