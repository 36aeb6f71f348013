"""A sample of Keras's own tests, run with our imports: none with a wrong number, and at least as many that pass."""

import pytest

import ranvier as rv

pytest.importorskip("keras")
from tests.peers import keras_tests  # it asks for Keras

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]

SAMPLE = {  # a text in the path, a text in the names of tests, and the least that passes
    "activations": ("activations/activations_test", "", 45),
    "losses": ("losses/losses_test", "", 120),
    "regressions": ("metrics/regression_metrics_test", "", 34),
    "probabilities": ("metrics/probabilistic_metrics_test", "", 23),
    "dense": ("layers/core/dense_test", "basics", 1),
    "merging": ("layers/merging/merging_test", "basic", 9),
    "merging masks": ("layers/merging/merging_test", "mask", 7),
    "masking": ("layers/core/masking_test", "", 3),
    "steps": ("layers/rnn/time_distributed_test", "", 7),
    "stacked cells": ("layers/rnn/stacked_rnn_cells_test", "", 7),
    "lstm": ("layers/rnn/lstm_test", "", 6),
    "softmax": ("layers/activations/softmax_test", "", 7),
    "schedules": ("optimizers/schedules", "", 30),
    "dtypes": ("ops/numpy_test", "DtypeTest.test_add_", 45),
    "shapes": ("ops/numpy_test", "TwoInputOpsStaticShapeTest", 30),
    "cropping": ("reshaping/cropping", "", 93),
    "random numbers": ("random/random_test", "", 68),
    "models": ("models/model_test", "single_", 18),
    "linear algebra": ("ops/linalg_test", "LinalgOpsCorrectness", 40),
    "bits": ("ops/numpy_test", "DtypeTest.test_bitwise_and", 5),
    "spectra": ("preprocessing/mel_spectrogram_test", "", 8),
    "transforms": ("ops/math_test", "fft", 25),
    "operations": ("ops/numpy_test", "OneInputOpsCorrectnessTest.test_s", 18),
}


@pytest.mark.parametrize(("path", "only", "least"), SAMPLE.values(), ids=SAMPLE.keys())
def test_sample(path, only, least):
    rv.set_engine("reference")
    outcomes = [outcome for file in keras_tests.files([path]) for outcome in keras_tests.run(file, only)]
    assert [outcome for outcome in outcomes if outcome.kind == "wrong number"] == []
    assert sum(outcome.kind == "passed" for outcome in outcomes) >= least
