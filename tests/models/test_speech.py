"""Networks of speech: they learn, come back from a file, take any length, and show when they heard what they say."""

import numpy as np
import pytest

import ranvier as rv
from ranvier import explain


def noise_with_tones(frequencies, samples=1600):
    """Noise, and in its second half a tone."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 0.02, (len(frequencies), samples)).astype(np.float32)
    x[:, samples // 2 :] += np.sin(2 * np.pi * np.outer(frequencies, np.arange(samples - samples // 2)) / 8000) / 4
    return x


def test_it_learns_and_comes_back_from_a_file(tmp_path):
    y = np.arange(24) % 3
    x = noise_with_tones(500 * (1 + y))
    rv.set_seed(0)
    model = rv.models.speech_classifier(1600, 3, 8000, filters=(8,), dropout=0)
    model.compile(rv.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    losses = model.fit(x, y, epochs=8, batch_size=8, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "m.rv")
    assert np.array_equal(rv.load_model(tmp_path / "m.rv").predict(x, verbose=0), expected)
    assert np.abs(explain.saliency(model, x[:2])).max(1).all()
    assert np.array_equal(model.predict(x[:1], verbose=0), expected[:1])  # samples do not depend on each other


def test_any_length_and_number_of_classes():
    model = rv.models.speech_classifier(None, 2, 16000, (4,), augment=False, activation=None)
    assert [model.predict(noise_with_tones([300], n), verbose=0).shape for n in (1600, 2500)] == [(1, 2)] * 2
    for wrong in ({"classes": 1}, {"classes": 2, "sampling_rate": 0}):
        with pytest.raises(ValueError, match="speech_classifier"):
            rv.models.speech_classifier(1600, **wrong)
