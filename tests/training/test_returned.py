"""Functions that you wrote and that return a wrong value: the error names them and says what to write."""

import numpy as np
import pytest

import ranvier as rv

X = np.random.default_rng(0).normal(size=(24, 4)).astype(np.float32)
Y = X[:, :2].copy()
TENSOR = "made by tensor functions"


@pytest.fixture(autouse=True)
def reference():
    rv.set_engine("reference")
    yield
    rv.set_engine(None)


def trained(loss="mse", metrics=None, augment=None, sample_weight=None, **options):
    def run():
        model = rv.Sequential([rv.Input((4,)), rv.layers.Dense(2, name="only", **options)])
        model.compile("sgd", loss, metrics=metrics)
        return model.fit(X, Y, sample_weight=sample_weight, augment=augment, verbose=0, batch_size=8, ignore="RV")

    return run


def of_numpy(y, p):
    return np.mean(p - y)


ROWS = [
    (trained(lambda y, p: 3.0), TypeError, f"loss '<lambda>' returned float 3.0. Write: return a tensor .*{TENSOR}"),
    (trained(lambda y, p: None), TypeError, "loss '<lambda>' returned None. Write: return a tensor with a number for"),
    (trained(lambda y, p: np.zeros(8)), TypeError, f"loss '<lambda>' returned ndarray. Write: .*{TENSOR}"),
    (trained(lambda y, p: None, sample_weight=np.ones(24)), TypeError, "loss '<lambda>' returned None"),
    (trained(of_numpy), TypeError, r"np.mean cannot be taken of a tensor. Write x.mean\(...\) or rv.ops.mean\(x"),
    (trained(metrics=[lambda y, p: 3]), TypeError, "metric '<lambda>' returned int 3"),
    (trained(metrics=[lambda y, p: None]), TypeError, "metric '<lambda>' returned None"),
    (trained(metrics=[lambda y, p: (p, p)]), TypeError, "metric '<lambda>' returned tuple of 2"),
    (trained(metrics=[of_numpy]), TypeError, "np.mean cannot be taken"),
    (trained(kernel_regularizer=lambda w: None), TypeError, "regularizer '<lambda>' of 'kernel' returned None"),
    (trained(kernel_regularizer=lambda w: 0.0), TypeError, f"of 'kernel' returned float 0.0. .*{TENSOR}"),
    (trained(kernel_regularizer=np.sum), TypeError, "np.sum cannot be taken"),
    (trained(activity_regularizer=lambda x: 0.0), TypeError, "activity regularizer '<lambda>' of layer 'only' returned fl"),
    (trained(kernel_constraint=lambda w: None), TypeError, "constraint '<lambda>' returned None. Write: return a tensor of"),
    (trained(kernel_initializer=lambda shape, dtype: None), TypeError,
     r"initializer '<lambda>' of the kernel of layer 'only' returned None. Write: return an array of shape \(4, 2\)"),
    (trained(kernel_initializer=lambda shape, dtype: 0.5), ValueError, r"returned shape \(\). Write: .* shape \(4, 2\)"),
    (trained(kernel_initializer=lambda shape, dtype: np.ones(4)), ValueError, r"returned shape \(4,\)"),
    (trained(augment=lambda x, y: x), TypeError, "augment='<lambda>' returned Tensor. Write: return x, y."),
    (trained(augment=lambda x, y: None), TypeError, "augment='<lambda>' returned None. Write: return x, y."),
    (trained(augment=lambda x, y, weight: (x, y), sample_weight=np.ones(24)), TypeError, "tuple of 2. .* return x, y, weight"),
    (trained(augment=lambda x, y: (x, None)), TypeError, "augment='<lambda>', for y, returned None"),
    (trained(augment=lambda x, y: (X, y)), TypeError, f"augment='<lambda>', for x, returned ndarray. .*{TENSOR}"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "text"), ROWS)
def test_the_error_names_what_a_function_returned(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_functions_that_return_what_they_should():
    own = {
        "kernel_regularizer": lambda w: (w * w).sum(),
        "kernel_constraint": lambda w: w.clip(-1, 1),
        "kernel_initializer": lambda shape, dtype: [[0.5] * shape[1]] * shape[0],
        "activity_regularizer": rv.ops.sum,
    }
    loss = trained(lambda y, p: (y - p).square().mean(), [lambda y, p: p.mean(-1)], lambda x, y: [x, y], **own)()
    assert np.isfinite(loss.history["loss"][0])
