"""The model of docs/scale.md: the time of a step on several hosts, and from which batch they pay."""

import json

import pytest

scale = pytest.importorskip("benchmarks.scale", reason="the source distribution has no benchmarks")

RESULT = {"weights": 10**6, "native": {"10": 0.012, "20": 0.022}, "jax": {"10": 0.021, "20": 0.031}}


def test_a_line_goes_through_two_measurements():
    assert scale.line(RESULT["native"]) == pytest.approx((0.002, 0.001))


def test_a_ring_sends_nearly_twice_the_gradients():
    assert scale.exchange(4e6, 4, 10) == pytest.approx(2 * 3 / 4 * 4e6 / 1.25e9 + 6 * scale.MESSAGE)
    assert scale.exchange(4e6, 1, 10) == 0


def test_hosts_pay_from_the_batch_whose_step_they_shorten():
    batch = scale.pays_from(RESULT, 8, 10)
    assert scale.step(RESULT, batch, 8, 10) < scale.alone(RESULT, batch)
    assert scale.step(RESULT, batch // 2, 8, 10) >= scale.alone(RESULT, batch // 2)
    assert scale.pays_from(RESULT, 8, 10, 0.5) > batch
    assert scale.pays_from({**RESULT, "weights": 10**14}, 8, 10) is None


def test_the_page_has_the_tables_of_the_measurements():
    results = json.loads(scale.RESULTS.read_text(encoding="utf-8"))
    assert scale.tables(results) in scale.PAGE.read_text(encoding="utf-8")
