"""GradientTape: what is on the tape, and the derivatives by what it watches."""

import numpy as np
import pytest

import ranvier as rv
from ranvier.tensor import trace


@pytest.fixture(autouse=True)
def _reference():
    rv.set_engine("reference")
    yield
    rv.set_engine(None)


def tensors():
    return rv.Tensor([1.0, 2.0, 3.0]), rv.Variable([2.0, 3.0, 4.0])


def on(run, **options):
    """The results of ``run(tape, x, w)``, which returns arguments of `gradient`, within a tape's context."""
    x, w = tensors()
    with rv.GradientTape(persistent=True, **options) as tape:
        calls = run(tape, x, w)
    return [tape.gradient(*call) for call in calls]


def square(tape, x, w):
    return [(x * x, x)]


def watched(tape, x, w):
    tape.watch(x)
    y = x * x
    z = y * y
    return [(z, x), (y, x), (z, y), ([y, z], x)]


def weights(tape, x, w):
    return [((w * x) ** 2, w), (x * 2, w)]


def watched_late(tape, x, w):
    y = x * x
    tape.watch(x)
    return [(x * y, x)]


def result_watched(tape, x, w):
    y = w * x
    tape.watch(y)
    return [(y * y, [y, w])]


def containers(tape, x, w):
    tape.watch({"x": x})
    return [(x * w, {"a": x, "b": [w, rv.Tensor([1.0])]})]


def stopped(tape, x, w):
    tape.watch(x)
    y = x * x
    with tape.stop_recording():
        constant = y * x
    return [(y + constant, x)]


def seeds(tape, x, w):
    return [(w * x, w, rv.Tensor([1.0, 0.0, 2.0])), (x, w, None, "zero")]


ROWS = [
    (square, {}, [None]),
    (watched, {}, [[4.0, 32.0, 108.0], [2.0, 4.0, 6.0], [2.0, 8.0, 18.0], [6.0, 36.0, 114.0]]),
    (weights, {}, [[4.0, 24.0, 72.0], None]),
    (weights, {"watch_accessed_variables": False}, [None, None]),
    (watched_late, {}, [[1.0, 4.0, 9.0]]),
    (result_watched, {}, [[[4.0, 12.0, 24.0], [4.0, 24.0, 72.0]]]),
    (containers, {}, [{"a": [2.0, 3.0, 4.0], "b": [[1.0, 2.0, 3.0], None]}]),
    (stopped, {}, [[2.0, 4.0, 6.0]]),
    (seeds, {}, [[1.0, 0.0, 6.0], [0.0, 0.0, 0.0]]),
]


def plain(found):
    if isinstance(found, dict):
        return {key: plain(part) for key, part in found.items()}
    return [plain(part) for part in found] if isinstance(found, list) else None if found is None else found.tolist()


@pytest.mark.parametrize(("run", "options", "expected"), ROWS)
def test_derivatives(run, options, expected):
    assert plain(on(run, **options)) == expected


def test_a_tensor_is_what_it_was_after_the_context():
    x, w = tensors()
    with rv.GradientTape() as tape:
        tape.watch(x)
        y = x * w
    np.testing.assert_array_equal(tape.gradient(y, x).numpy(), w.numpy())
    assert not x.requires_grad
    assert not (x * 2).requires_grad


def test_what_is_computed_outside_is_a_constant():
    x, w = tensors()
    target = w * x  # the same computation as within
    with rv.GradientTape() as tape:
        loss = (w * x - 2 * target) ** 2
    np.testing.assert_array_equal(tape.gradient(loss, w).numpy(), [-4.0, -24.0, -72.0])


def test_second_derivatives():
    x, w = tensors()
    with rv.GradientTape(persistent=True) as outer:
        outer.watch(x)
        constant = w * w  # of the inner tape
        with rv.GradientTape() as inner:
            inner.watch(x)
            y = constant * w * x**3
        by_x, by_w = inner.gradient(y, [x, w])
    a, b = x.numpy(), w.numpy()
    np.testing.assert_allclose(by_w.numpy(), b**2 * a**3)
    np.testing.assert_allclose(outer.gradient(by_x, x).numpy(), 6 * a * b**3)
    np.testing.assert_allclose(outer.gradient(by_x, w).numpy(), 9 * a**2 * b**2)
    np.testing.assert_allclose(outer.gradient(by_w, w).numpy(), 2 * b * a**3)


def test_a_jacobian():
    x, w = tensors()
    with rv.GradientTape(persistent=True) as tape:
        y = w.sum() * x
    np.testing.assert_array_equal(tape.jacobian(y, w).numpy(), np.repeat(x.numpy()[:, None], 3, 1))
    assert tape.jacobian(y, [x]) == [None]


def test_loops_compile_few_programs():
    x, w = tensors()
    optimizer, before = rv.optimizers.SGD(0.1), len(trace.programs)
    for _ in range(20):
        with rv.GradientTape() as tape:
            tape.watch(x)
            loss = (x * x + w * w).sum()
        slope, slopes = tape.gradient(loss, [x, w])
        optimizer.apply_gradients([(slopes, w)])
        x = x - 0.1 * slope
        x.numpy()
    assert len(trace.programs) - before <= 6
    np.testing.assert_allclose(x.numpy(), np.array([1, 2, 3]) * 0.8**20, rtol=1e-5)
    np.testing.assert_allclose(w.numpy(), np.array([2, 3, 4]) * 0.8**20, rtol=1e-5)


def twice():
    x, w = tensors()
    with rv.GradientTape() as tape:
        y = w * x
    tape.gradient(y, w)
    tape.gradient(y, w)


def of_a_number():
    with rv.GradientTape() as tape:
        y = 1.0
    tape.gradient(y, tensors()[1])


def within():
    with rv.GradientTape() as tape, tape:
        pass


MISTAKES = [
    (twice, RuntimeError, r"has computed its gradients. Write rv.GradientTape\(persistent=True\)"),
    (of_a_number, TypeError, "the target of a gradient is a float"),
    (lambda: rv.GradientTape().gradient(*tensors()), RuntimeError, "has recorded nothing. Write: with"),
    (lambda: rv.GradientTape().watch([1.0]), TypeError, "watch takes tensors, and here is a float"),
    (lambda: rv.GradientTape().stop_recording().__enter__(), ValueError, "is not recording"),
    (within, ValueError, "is recording already"),
]


@pytest.mark.parametrize(("run", "error", "text"), MISTAKES)
def test_mistakes(run, error, text):
    with pytest.raises(error, match=text):
        run()
