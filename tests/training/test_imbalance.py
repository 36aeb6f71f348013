"""Imbalance, from the sampler's rows to what training makes of them."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.training import CheckpointError

RNG = np.random.default_rng(7)
N = 400
Y = (RNG.random(N) < 0.06).astype(np.int32)
X = (RNG.normal(size=(N, 3)) + 1.2 * Y[:, None]).astype(np.float32)


def network(seed=0, loss="sparse_categorical_crossentropy", outputs=2, **options):
    rv.set_seed(seed)
    model = rv.Sequential([rv.layers.Dense(outputs, "softmax" if outputs > 1 else "sigmoid", input_shape=(3,))])
    model.compile(rv.optimizers.SGD(0.1), loss, **options)
    return model


class Given:
    """Rows that were written down."""

    def __init__(self, *orders):
        self.orders, self.asked = orders, []

    def order(self, labels, generator):
        self.asked.append(labels)
        return self.orders[int(generator.integers(len(self.orders)))]


def test_the_rows_of_the_sampler_are_those_that_are_trained_on():
    rows = np.array([5, 5, 17, 399, 0, 5, 17, 21, 8, 8], np.int64)
    sampler = Given(rows)
    model = network()
    model.fit(X, Y, batch_size=4, verbose=0, sampler=sampler)
    other = network()
    for part in (rows[:4], rows[4:8], rows[8:]):
        other.train_on_batch(X[part], Y[part])
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(sampler.asked[0], Y)
    assert sampler.asked[0].dtype == np.int32


def test_an_epoch_of_another_length_than_the_data():
    for samples in (30, 1000):
        model = network(metrics=["accuracy"])
        history = model.fit(X, Y, epochs=2, verbose=0, sampler=rv.data.BalancedSampler(samples))
        assert history.params["steps"] == -(-samples // 32)


@pytest.mark.parametrize("sampler", [rv.data.BalancedSampler(), rv.data.WeightedSampler(1 + 9.0 * Y)])
def test_the_seed_decides_the_rows(sampler):
    weights = []
    for seed in (1, 1, 2):
        model = network(seed)
        model.fit(X, Y, epochs=3, verbose=0, sampler=sampler)
        weights.append(model.get_weights()[0])
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


@pytest.mark.parametrize("sampler", [rv.data.BalancedSampler(70), rv.data.WeightedSampler(1 + 9.0 * Y)])
def test_a_resumed_run_draws_the_same_rows(sampler):
    """Stopped in the middle of epochs and between them."""
    rv.verify_resume(network, X, Y, epochs=3, batch_size=16, sampler=sampler)


def test_a_run_is_not_resumed_with_other_weights(tmp_path):
    def backup():
        return rv.callbacks.BackupAndRestore(tmp_path, save_freq=5, delete_checkpoint=False)

    network().fit(X, Y, verbose=0, sampler=rv.data.WeightedSampler(1 + 9.0 * Y), callbacks=[backup()])
    with pytest.raises(CheckpointError, match="sampler was 'WeightedSampler"):
        network().fit(X, Y, epochs=2, verbose=0, sampler=rv.data.WeightedSampler(1 + 8.0 * Y), callbacks=[backup()])


REFUSED = [
    (dict(x=X, y=Y, sampler=Given(np.array([0, N]))), f"row {N} of {N} rows"),
    (dict(x=X, y=Y, sampler=Given(np.array([0.5]))), "dtype float64"),
    (dict(x=X, y=Y, sampler=rv.data.WeightedSampler([1, 2])), "2 weights and there are 400 rows"),
    (dict(x=iter([(X, Y)]), sampler=rv.data.BalancedSampler()), "no rows for a sampler"),
]


@pytest.mark.parametrize(("arguments", "text"), REFUSED)
def test_what_a_sampler_gives_is_checked_before_any_step(arguments, text):
    model = network()
    before = model.get_weights()
    with pytest.raises(ValueError, match=text):
        model.fit(**arguments, verbose=0)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_orders_of_two_lengths_are_refused():
    with pytest.raises(ValueError, match="in the epoch before"):
        network().fit(X, Y, epochs=40, verbose=0, sampler=Given(np.arange(9), np.arange(10)))


def test_several_outputs_name_the_one_that_is_balanced():
    sampler = rv.data.BalancedSampler(output=1)
    order = sampler.order((None, Y), np.random.Generator(np.random.Philox(0)))
    assert Y[order].mean() == pytest.approx(0.5, abs=0.01)


# --- what balance is worth ----------------------------------------------------------------------------------------

REMEDIES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "class weights": {"class_weight": {0: N / (2 * (N - Y.sum())), 1: N / (2 * Y.sum())}},
    "balanced batches": {"sampler": rv.data.BalancedSampler()},
}


def balanced_accuracy(loss="sparse_categorical_crossentropy", outputs=2, **options):
    model = network(3, loss, outputs, metrics=["accuracy", "balanced_accuracy"])
    model.fit(X, Y, epochs=60, verbose=0, **options)
    return model.evaluate(X, Y, verbose=0, return_dict=True)["balanced_accuracy"]


def test_remedies_raise_the_balanced_accuracy():
    found = {name: balanced_accuracy(**options) for name, options in REMEDIES.items()}
    found["focal loss"] = balanced_accuracy(rv.losses.SparseCategoricalFocalCrossentropy(alpha=[0.06, 0.94]))
    found["binary focal loss"] = balanced_accuracy(
        rv.losses.BinaryFocalCrossentropy(apply_class_balancing=True, alpha=0.94), outputs=1
    )
    plain = found.pop("nothing")
    assert plain < 0.75
    assert min(found.values()) > plain + 0.1, found


def test_losses_and_metrics_are_kept_in_a_file(tmp_path):
    model = network(
        loss=rv.losses.SparseCategoricalFocalCrossentropy(alpha=[0.1, 0.9], gamma=1.5),
        metrics=["balanced_accuracy", rv.metrics.CohenKappa("linear"), "pr_auc", rv.metrics.RecallAtPrecision(0.5)],
    )
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "m.ranvier")
    again = rv.load_model(tmp_path / "m.ranvier")
    found, expected = (m.evaluate(X, Y, verbose=0, return_dict=True) for m in (again, model))
    assert found == expected
    assert set(found) == {"loss", "balanced_accuracy", "cohen_kappa", "pr_auc", "recall_at_precision"}


def test_the_same_bits_for_any_number_of_threads():
    found = []
    try:
        for threads in (1, 2, 3):
            rv.set_threads(threads)
            model = network(
                loss=rv.losses.SparseCategoricalFocalCrossentropy(alpha=[0.1, 0.9]),
                metrics=["balanced_accuracy", "mcc", "cohen_kappa", "roc_auc", "ece", "specificity"],
            )
            history = model.fit(X, Y, epochs=3, verbose=0, sampler=rv.data.BalancedSampler()).history
            found.append((history, [w.tobytes() for w in model.get_weights()]))
    finally:
        rv.set_threads(None)
    assert found[0] == found[1] == found[2]


def remedies_in_losses():
    import ranvier.torch as torch

    yield "focal", rv.losses.SparseCategoricalFocalCrossentropy(alpha=[0.1, 0.9])
    yield "weight", torch.nn.CrossEntropyLoss(weight=torch.tensor([0.1, 0.9]))
    yield "nothing", rv.losses.SparseCategoricalFocalCrossentropy()
    yield "no weight", torch.nn.CrossEntropyLoss()


@pytest.mark.parametrize(("name", "loss"), list(remedies_in_losses()))
def test_weighted_classes_are_not_reported(name, loss):
    rare = (np.arange(N) % 40 == 0).astype(np.int32)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        network(loss=loss).fit(X, rare, verbose=0)
    assert any("RV306" in str(w.message) for w in caught) is ("no" in name)


# --- PyTorch's vocabulary -----------------------------------------------------------------------------------------


def test_weighted_random_sampler():
    import ranvier.torch as torch
    from ranvier.torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

    data = TensorDataset(torch.tensor(X), torch.tensor(Y))
    weights = np.where(Y == 1, (Y == 0).sum(), (Y == 1).sum())
    torch.manual_seed(0)
    sampler = WeightedRandomSampler(weights, 4000)
    assert len(sampler) == 4000
    loader = DataLoader(data, 100, sampler=sampler)
    assert len(loader) == 40
    drawn = np.concatenate([y.numpy() for _, y in loader])
    assert drawn.mean() == pytest.approx(0.5, abs=0.03)
    assert list(sampler) != list(sampler)
    first = [list(WeightedRandomSampler(weights, 10, generator=torch.Generator().manual_seed(5))) for _ in "ab"]
    assert first[0] == first[1]
    once = list(WeightedRandomSampler(torch.tensor([1.0, 0.0, 2.0]), 2, replacement=False))
    assert sorted(once) == [0, 2]
    with pytest.raises(ValueError, match="weight -1"):
        WeightedRandomSampler([-1.0, 2.0], 3)
    with pytest.raises(ValueError, match="without replacement"):
        WeightedRandomSampler([1.0, 2.0], 3, replacement=False)
    with pytest.raises(TypeError, match=r"Write sampler=rv.data.WeightedSampler\(weights\) instead"):
        rv.data.samplers.checked_sampler(sampler)


def test_weights_of_classes_in_losses_of_pytorch():
    """In ``fit`` as in an explicit loop: ``weight`` of classes and ``pos_weight``."""
    import ranvier.torch as torch

    rare = torch.tensor([0.06, 0.94])
    found: dict[str, Any] = {}
    for name, outputs, loss in (
        ("plain", 2, torch.nn.CrossEntropyLoss()),
        ("weight", 2, torch.nn.CrossEntropyLoss(weight=rare)),
        ("pos_weight", 1, torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor([15.0]))),
    ):
        rv.set_seed(3)
        model = rv.Sequential([rv.layers.Dense(outputs, input_shape=(3,))])
        model.compile(rv.optimizers.SGD(0.1), loss)
        model.fit(X, Y if outputs == 2 else Y[:, None].astype(np.float32), epochs=60, verbose=0)
        logits = model.predict(X, verbose=0)
        decided = logits.argmax(1) if outputs == 2 else logits[:, 0] > 0
        found[name] = rv.metrics.report(Y, decided.astype(int)).balanced_accuracy
    assert min(found["weight"], found["pos_weight"]) > found["plain"] + 0.1


def test_labels_that_do_not_exclude_each_other():
    """A share for each output: rare labels are found that the plain loss never decides for."""
    truth = np.stack([Y, 1 - Y], 1)
    share = 1 - truth.mean(0)
    recall: dict[str, Any] = {}
    for name, loss in (
        ("plain", rv.losses.BinaryCrossentropy()),
        ("focal", rv.losses.BinaryFocalCrossentropy(True, alpha=share, gamma=0.0)),
    ):
        rv.set_seed(3)
        model = rv.Sequential([rv.layers.Dense(2, "sigmoid", input_shape=(3,))])
        model.compile(rv.optimizers.SGD(0.3), loss)
        model.fit(X, truth, epochs=60, verbose=0)
        recall[name] = rv.metrics.report(truth, model.predict(X, verbose=0)).recall
    assert recall["focal"][0] > recall["plain"][0] + 0.2


# --- on real data -------------------------------------------------------------------------------------------------


def test_what_the_document_says_of_shuttle(monkeypatch, capsys):
    """The document's own program with one seed; where this machine has no Shuttle, the error says how to get it."""
    monkeypatch.setenv("RANVIER_OFFLINE", "1")
    reason = ""
    try:
        rv.datasets.shuttle.load_data()
    except rv.datasets.DatasetUnavailable as error:
        reason = str(error)
    if reason:
        assert "RANVIER_DATA" in reason
        return
    text = (Path(__file__).parents[2] / "docs" / "imbalance.md").read_text(encoding="utf-8")
    program = text.split("```py\n")[1].split("```")[0]
    exec(program.replace("range(5)", "range(1)"), {})
    found = {
        line[:30].strip(): [float(v) for v in line[30:].split()[:2]] for line in capsys.readouterr().out.splitlines()
    }
    assert len(found) == 6
    plain = found["nothing"]
    assert plain[0] > 0.995
    assert plain[1] < 0.9
    for name in ("class_weight='balanced'", "BalancedSampler()"):
        assert found[name][1] > plain[1] + 0.05
