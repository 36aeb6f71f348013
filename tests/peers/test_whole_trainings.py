"""The benchmarks' whole trainings are the same program in every library: networks, weights, rates, mirror images."""

import importlib

import numpy as np
import pytest

import ranvier as rv

pytest.importorskip("benchmarks", reason="the source distribution has no benchmarks")
torch = pytest.importorskip("torch")
networks, images, ours, pytorch, workloads = (
    importlib.import_module(f"benchmarks.{name}")
    for name in (
        *("networks", "contestants.images", "contestants.images.ours", "contestants.images.pytorch"),
        "workloads",
    )
)

WHOLE = [w for w in workloads.WORKLOADS if w.kind == "accuracy"]
BYTES = np.random.default_rng(0).integers(0, 256, (8, 28, 28, 1), np.uint8)


@pytest.fixture
def keras_fit(keras):
    return importlib.import_module("benchmarks.contestants.images.keras_fit")


@pytest.mark.parametrize("workload", WHOLE, ids=lambda w: w.dataset)
def test_networks_give_the_same_probabilities(workload, keras_fit):
    network = networks.NETWORKS[workload.network]
    model = ours.build(network)
    model.set_weights(network.weights())
    expected = model.predict(BYTES, verbose=0)
    logits = keras_fit.build(network).predict(BYTES, verbose=0)
    np.testing.assert_allclose(torch.softmax(torch.tensor(logits), 1), expected, rtol=1e-4, atol=1e-6)
    trained = network.weights(trained=True)
    model.set_weights(trained)
    expected = model.predict(BYTES, verbose=0)
    for layout in pytorch.FORMATS:
        theirs = pytorch.build(network, trained=True).eval().to(memory_format=pytorch.FORMATS[layout])
        with torch.inference_mode():
            answers = torch.softmax(theirs(pytorch._arranged(BYTES, layout)(slice(None))), 1)
        np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("steps", [94, 469 * 8])
def test_rates_are_the_same_at_every_step(steps, keras_fit):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, steps, cycle_momentum=False)
    schedule, own = keras_fit.OneCycle(6e-3, steps), rv.optimizers.schedules.OneCycle(6e-3, steps)
    for step in range(steps):
        rate = cycle.get_last_lr()[0]
        if step % 17 == 0 or step > steps - 4:
            assert float(schedule(step)) == pytest.approx(rate, rel=1e-4, abs=1e-9)
            assert float(own(step)) == pytest.approx(rate, rel=1e-4, abs=1e-9)
        optimizer.step()
        cycle.step()


def test_pytorch_mirrors_every_other_image_in_training_alone():
    flip, x = pytorch.RandomFlip(), torch.rand(1000, 1, 4, 4)
    torch.manual_seed(0)
    y = flip(x)
    mirrored, kept = (y == x.flip(3)).all((1, 2, 3)), (y == x).all((1, 2, 3))
    assert bool((mirrored ^ kept).all())
    assert 400 < int(mirrored.sum()) < 600
    assert bool((flip.eval()(x) == x).all())
