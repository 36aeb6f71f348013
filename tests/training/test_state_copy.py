"""The copy of weights and moments to return to, in memory and in a temporary file."""

import errno
from typing import Any, cast

import numpy as np
import pytest

import ranvier as rv
from ranvier.training import NonFiniteLoss
from ranvier.training.step import state_copy
from ranvier.training.step.state_copy import StateCopy


def arrays():
    return [np.arange(6, dtype=np.float32).reshape(2, 3), np.full((), 7, np.uint32), np.asarray([True, False])]


@pytest.mark.parametrize("large", [0, 1 << 30], ids=["in a file", "in memory"])
def test_a_copy_is_restored(large, monkeypatch):
    monkeypatch.setattr(state_copy, "LARGE", large)
    given = arrays()
    copy = StateCopy(given)
    assert (copy.file is not None) == (large == 0)
    for start in (0, 1):  # the second time over the first
        given[0][0, 0], given[1][...] = start, start
        copy.save()
        given[0][...], given[1][...], given[2][...] = 9, 9, True
        copy.restore()
        assert given[0].ravel().tolist() == [start, 1, 2, 3, 4, 5]
        assert given[1] == start
        assert given[2].tolist() == [True, False]


def test_a_full_disk_leaves_the_copy_in_memory(monkeypatch):
    monkeypatch.setattr(state_copy, "LARGE", 0)
    given = arrays()
    copy = StateCopy(given)
    copy.save()
    written = []

    class Full:
        def seek(self, at):
            pass

        def write(self, data):
            written.append(len(data))
            raise OSError(errno.ENOSPC, "no space left on device")

        def close(self):
            pass

    copy.close()
    copy.file = cast(Any, Full())
    given[0][...] = 5
    copy.save()
    given[0][...] = 0
    copy.restore()
    assert written == [24]
    assert copy.pause == 0
    assert (given[0] == 5).all()


def test_the_last_finite_weights_return_from_a_file(monkeypatch):
    def weights():
        rv.set_seed(0)
        model = rv.Sequential([rv.Input((3,)), rv.layers.Dense(4, activation="relu"), rv.layers.Dense(1)])
        model.compile(rv.optimizers.Adam(0.1), "mean_squared_error", engine="reference")
        x = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
        y = x[:, :1].copy()
        y[23] = np.inf
        with pytest.raises(NonFiniteLoss, match="step 6"):
            model.fit(x, y, batch_size=4, shuffle=False, verbose=0, ignore="RV", check_finite=False)
        return model.get_weights()

    expected = weights()
    monkeypatch.setattr(state_copy, "LARGE", 0)
    assert all(np.isfinite(w).all() and np.array_equal(w, e) for w, e in zip(weights(), expected, strict=True))
