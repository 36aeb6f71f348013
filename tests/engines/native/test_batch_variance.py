"""Sums of squared deviations, computed sample by sample: close to the exact ones, with one pass over the data."""

import numpy as np
import pytest

from ranvier.engines import native
from ranvier.engines.native import compiler
from ranvier.engines.native.passes.batch_variance import batch_variance
from ranvier.graph.graph import Graph, input_node, verify
from ranvier.graph.node import BATCH
from ranvier.ops import arrays
from ranvier.ops.functional.convolution import convolve

ALL = (0, 1, 2)


def network(axes=ALL, around=None):
    """A convolution by one weight, and the mean and variance of its results along some axes."""
    x = input_node("x", (BATCH, 6, 5, 3), "float32")
    kernel = input_node("kernel", (1, 1, 3, 3), "float32")
    y = convolve(x, kernel, stride=(1, 1), padding="valid", dilation=(1, 1))
    mean = arrays.mean(y, axes if around is None else around, keepdims=True)
    centred = arrays.subtract(y, mean)
    return Graph((x, kernel), (arrays.mean(y, axes), arrays.mean(centred * centred, axes)))


def long_sums(graph):
    """The sums over the samples and their pixels."""
    return [n for n in graph.nodes() if n.op.name == "reduce_sum" and n.attrs["axes"] == ALL]


@pytest.mark.parametrize("offset", [0.0, 1e3, -1e4])
@pytest.mark.parametrize("batch", [1, 2, 37])
def test_as_close_as_two_passes(batch, offset):
    """Sums of squares less the squared mean would have no correct digit at these offsets."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(batch, 6, 5, 3)) + offset).astype(np.float32)
    graph = network()
    outputs = [np.empty(3, np.float32), np.empty(3, np.float32)]
    native.compile(graph, batch).run([x, np.eye(3, dtype=np.float32)[None, None]], outputs)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(outputs[0], exact.mean(ALL), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(outputs[1], exact.var(ALL), rtol=1e-5 + 1e-7 * abs(offset))


def test_one_pass():
    """Only values as small as the samples' means depend on the mean of all."""
    graph = compiler.lower(network())
    changed = batch_variance(graph, 4)
    verify(changed)
    assert len(long_sums(graph)) == 2
    (left,) = long_sums(changed)
    means = {n.shape for n in left.inputs[0].inputs[0].inputs[1].inputs}  # of the deviations that are squared
    assert means == {(BATCH, 3)}


@pytest.mark.parametrize("options", [{"around": (1, 2)}, {"axes": (0,)}, {"axes": (1, 2)}])
def test_what_is_no_variance_over_images_is_left_alone(options):
    """Deviations from another mean, over the samples alone, of each sample alone."""
    graph = compiler.lower(network(**options))
    assert str(batch_variance(graph, 4)) == str(graph)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_one_bad_value_shows(bad):
    x = np.ones((4, 6, 5, 3), np.float32)
    x[2, 3, 1, 0] = bad
    outputs = [np.empty(3, np.float32), np.empty(3, np.float32)]
    native.compile(network(), 4).run([x, np.eye(3, dtype=np.float32)[None, None]], outputs)
    assert not np.isfinite(outputs[0][0])
    assert np.isnan(outputs[1][0])
