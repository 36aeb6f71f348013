"""Keras's progress bar, and the switch that turns progress off."""

import numpy as np
import pytest

import ranvier as rv


def test_values_are_averaged_but_for_those_that_have_a_state(capsys):
    bar = rv.utils.Progbar(3, verbose=2, stateful_metrics=["best"])
    for loss in (1.0, 3.0):
        bar.add(1, [("loss", loss), ("best", loss)])
    assert bar._totals == {"loss": (4.0, 2), "best": (3.0, 1)}
    bar.add(1, [("loss", 2.0)])
    assert "loss 2.0000" in capsys.readouterr().out
    with pytest.raises(ValueError, match="only one of them"):
        rv.utils.Progbar(3, stateful_metrics=["a"], stateless_metrics=["b"])


def test_logging_that_is_off_prints_nothing(capsys):
    model = rv.Sequential([rv.Input((2,)), rv.layers.Dense(1)])
    model.compile("sgd", "mse", engine="reference")
    rv.utils.disable_interactive_logging()
    try:
        model.fit(np.ones((2, 2)), np.ones(2))
    finally:
        rv.utils.enable_interactive_logging()
    assert capsys.readouterr().out == ""
