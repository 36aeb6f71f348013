"""What programs written for Keras use by name: its utils, and its other spellings."""

import copy
import json
import random
import re
from importlib import import_module
from itertools import islice
from typing import Any

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier.torch import nn
from ranvier.utils import set_random_seed, to_categorical

EYE = np.eye(4, dtype=np.float32)
HOT = [
    ([0, 3, 1], {}, EYE[[0, 3, 1]]),
    ([[0], [3]], {}, EYE[[0, 3]]),
    (np.array([1.0, 2.0]), {"num_classes": 4}, EYE[[1, 2]]),
    (np.array([[0, 1], [3, 2]], np.uint8), {}, EYE[[[0, 1], [3, 2]]]),
    (np.array([True, False]), {}, EYE[[1, 0], :2]),
]


@pytest.mark.parametrize(("x", "options", "wanted"), HOT)
def test_to_categorical(x, options, wanted):
    got = to_categorical(x, **options)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, wanted)


FAULTS = [
    (lambda: to_categorical([0, 3], 3), "class number 3, and num_classes=3 has 0 to 2. Write num_classes=4"),
    (lambda: to_categorical([0, -1]), "label -1 at row 1"),
    (lambda: to_categorical([0, np.nan]), "nan at row 1"),
    (lambda: to_categorical([0.5]), "fractional label 0.5"),
    (lambda: to_categorical([]), "0 samples"),
    (lambda: set_random_seed(-1), r"seed -1 is not an integer from 0 to 2\*\*32 - 1. Write set_random_seed\(0\)"),
    (lambda: rv.set_seed(2**64), r"seed 18446744073709551616 is not .* to 2\*\*64 - 1. Write set_seed\(0\)"),
    (
        lambda: rv.utils.split_dataset(np.ones(4), 0.5, shuffle=True, seed="a"),
        "seed 'a' is not an integer .* Write seed=0",
    ),
    (lambda: rv.initializers.GlorotUniform(seed=1.5)((2, 2)), "seed 1.5 is not an integer .* Write seed=0"),
    (lambda: rv.layers.Dropout(0.5, seed=-1)(np.ones((2, 2), np.float32), training=True), "seed -1 is not an integer"),
    (lambda: set_random_seed(2**32), "seed 4294967296"),
]


@pytest.mark.parametrize(("action", "said"), FAULTS)
def test_faults(action, said):
    with pytest.raises(ValueError, match=said):
        action()


def test_one_seed_for_everything():
    def numbers():
        set_random_seed(5)
        own = rv.initializers.he_normal()((3,)).tolist()
        return random.random(), np.random.random(), own  # noqa: NPY002

    assert numbers() == numbers()


SPELLINGS = [
    ("regularizers", "l1", "L1"), ("regularizers", "l2", "L2"), ("regularizers", "l1_l2", "L1L2"),
    ("constraints", "max_norm", "MaxNorm"), ("constraints", "non_neg", "NonNeg"), ("constraints", "unit_norm", "UnitNorm"),
    ("initializers", "he_normal", "HeNormal"), ("initializers", "glorot_uniform", "GlorotUniform"),
    ("initializers", "zeros", "Zeros"), ("optimizers", "Nadam", "NAdam"), ("utils", "Sequence", "PyDataset"),
    ("activations", "swish", "silu"), ("activations", "hard_swish", "hard_silu"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name", "known"), SPELLINGS)
def test_spellings(module, name, known):
    found = import_module(f"ranvier.{module}")
    assert getattr(found, name) is getattr(found, known)


MISSING = [
    ("optimizers", "Nadm", "Nadam"), ("metrics", "Precison", "Precision"), ("losses", "MeanSquareError", "MeanSquaredError"),
    ("initializers", "HeNorml", "HeNormal"), ("activations", "rellu", "relu"), ("regularizers", "OrthogonalRegulariser", "OrthogonalRegularizer"),
    ("constraints", "MaxNrm", "MaxNorm"), ("utils", "to_categorial", "to_categorical"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name", "near"), MISSING)
def test_the_error_of_an_unknown_name_gives_the_nearest(module, name, near):
    found = import_module(f"ranvier.{module}")
    with pytest.raises(
        AttributeError, match=f"ranvier.{module}.{name} does not exist. The nearest that does is {near}."
    ):
        getattr(found, name)


AFAR = [  # module, a name nothing is near to, what is said
    ("losses", "load_model", ". Write ranvier.load_model instead."), ("layers", "Sequential", ". The nearest that does is rv.Sequential."),
    ("torch", "Linear", ". Write torch.nn.Linear instead."), ("torch", "fft", ": docs/pytorch.md lists what is not there."),
    ("torch", "nothing_like", ". dir(torch) lists what does, docs/pytorch.md what differs from PyTorch."),
    ("losses", "nothing_like_it", ". dir(ranvier.losses) lists what does."),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name", "said"), AFAR)
def test_a_name_that_nothing_is_near_to_says_where_to_look(module, name, said):
    found = import_module(f"ranvier.{module}")
    with pytest.raises(AttributeError) as error:
        getattr(found, name)
    assert str(error.value) == f"{found.__name__.replace('ranvier.torch', 'torch')}.{name} does not exist{said}"


WORDS = {  # an argument that does not exist: what was meant
    "optimizer": (lambda: rv.optimizers.Adam(lr=0.1), "Adam has no argument 'lr'. Write learning_rate= instead."),
    "optimizer's own": (lambda: rv.optimizers.SGD(momentun=0.1), "SGD has no argument 'momentun'. Write momentum= instead."),
    "optimizer of PyTorch's": (lambda: torch.optim.Adam([rv.Tensor([1.0])], learning_rate=0.1), "Adam has no argument 'learning_rate'. Write lr= instead."),
    "callback": (lambda: rv.callbacks.EarlyStopping(patence=3), "EarlyStopping has no argument 'patence'. Write patience= instead."),
    "metric": (lambda: rv.metrics.Precision(topk=3), "Precision has no argument 'topk'. Write top_k= instead."),
    "loss": (lambda: rv.losses.Huber(detla=1), "Huber has no argument 'detla'. Write delta= instead."),
    "layer": (lambda: rv.layers.Dense(2, activaton="relu"), "Dense has no argument 'activaton'. Write activation= instead."),
    "fit": (lambda: rv.Sequential([]).fit(None, None, epoch=2), "Sequential.fit has no argument 'epoch'. Write epochs= instead."),
    "compile": (lambda: rv.Sequential([]).compile(metric=[]), "Sequential.compile has no argument 'metric'. Write metrics= instead."),
    "too many for a metric": (lambda: rv.metrics.Precision(*range(7)), "Precision takes at most 6 arguments without a name, and was given 7. It takes thresholds, top_k, class_id, name, dtype, average."),
    "any for a callback": (lambda: rv.callbacks.Callback(3), "Callback() takes no arguments"),
    "too many for fit": (lambda: rv.Sequential([]).fit(*range(20)), "Sequential.fit takes at most 13 arguments without a name, and was given 20. It takes x, y, batch_size, "),
    "summary": (lambda: rv.Sequential([]).summary(width=3), "Sequential.summary has no argument 'width'. It takes print_fn, "),
}  # fmt: skip


SNAKES = {
    "RMSEMetric": "rmse_metric", "MLPBlock": "mlp_block", "Conv2DTranspose": "conv2d_transpose", "Conv2D": "conv2d",
    "BinaryIoU": "binary_io_u", "MyLayer": "my_layer", "Block2Layer": "block2_layer", "AUC": "auc", "L1L2": "l1l2",
}  # fmt: skip


@pytest.mark.parametrize("name", SNAKES)
def test_a_class_names_what_it_makes_by_one_rule(name):
    for base in (rv.Metric, rv.Loss, rv.Layer):
        made = type(name, (base,), {})()
        assert re.sub(r"_\d+$", "", made.name) == SNAKES[name]  # layers are counted


@pytest.mark.parametrize("what", WORDS)
def test_the_error_of_an_unknown_argument_gives_the_one_meant(what):
    make, said = WORDS[what]
    with pytest.raises(TypeError) as error:
        make()
    assert str(error.value).startswith(said)


class OwnConvolution(rv.layers.Conv2D):
    def __init__(self) -> None:
        super().__init__(8)


class OwnRates(rv.callbacks.LearningRateScheduler): ...


class OwnFault(rv.layers.Conv2D):
    def __init__(self, size: Any = None) -> None:
        super().__init__(8, 3 + size)


def adam() -> torch.optim.Optimizer:
    return torch.optim.Adam([nn.Parameter([1.0])])


CONVOLUTION = "It takes filters, kernel_size, strides, padding, data_format, dilation_rate, groups, activation, ..."
TWICE: dict[str, Any] = {"units": 8}
MISFITS: dict[str, Any] = {  # calls that do not fit what they construct: what is said
    "one is lacking": (lambda: rv.layers.Conv2D(8), f"Conv2D needs kernel_size. {CONVOLUTION}"),
    "all are": (rv.layers.Conv2D, f"Conv2D needs filters and kernel_size. {CONVOLUTION}"),
    "one is misspelt": (lambda: rv.layers.Dense(unit=8), "Dense has no argument 'unit'. Write units= instead."),
    "one of two is": (lambda: rv.layers.Conv2D(8, kernal_size=3), "Conv2D has no argument 'kernal_size'. Write kernel_size= instead."),
    "too many": (lambda: nn.ReLU(True, 1), "ReLU takes at most 1 argument without a name, and was given 2. It takes inplace."),
    "all by name": (lambda: rv.layers.Add(3), "Add takes no arguments without a name, and was given 1. It takes name, trainable, input_shape, input_dim, dtype, activity_regularizer."),
    "none taken": (lambda: rv.constraints.NonNeg(3), "NonNeg takes no arguments."),
    "twice": (lambda: rv.layers.Dense(8, **TWICE), "Dense was given units twice, by place and by name. Write it once instead."),
    "passed on": (rv.layers.Dropout, "Dropout needs rate. It takes rate, noise_shape, seed, name, trainable, input_shape, input_dim, dtype, ..."),
    "as many as come": (lambda: torch.utils.data.TensorDataset(a=1), "TensorDataset has no argument 'a'. It takes *tensors."),
    "of PyTorch's layers": (lambda: nn.Linear(3), "Linear needs out_features. It takes in_features, out_features, bias, device, dtype."),
    "convolutions too": (lambda: nn.Conv2d(1, 2), "Conv2d needs kernel_size. It takes in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, ..."),
    "losses too": (lambda: nn.CrossEntropyLoss(weigth=None), "CrossEntropyLoss has no argument 'weigth'. Write weight= instead."),
    "optimizer without parameters": (lambda: torch.optim.SGD(lr=0.1), "SGD needs params. It takes params, lr, momentum, dampening, weight_decay, nesterov, maximize, foreach, ..."),
    "its schedule": (lambda: torch.optim.lr_scheduler.StepLR(adam()), "StepLR needs step_size. It takes optimizer, step_size, gamma, last_epoch."),
    "schedule": (lambda: rv.optimizers.schedules.ExponentialDecay(0.1), "ExponentialDecay needs decay_steps and decay_rate. It takes initial_learning_rate, decay_steps, decay_rate, staircase, name."),
    "callback": (rv.callbacks.LearningRateScheduler, "LearningRateScheduler needs schedule. It takes schedule, verbose."),
    "regularizer": (lambda: rv.regularizers.L2(1, 2), "L2 takes at most 1 argument without a name, and was given 2. It takes l2."),
    "initializer": (lambda: rv.initializers.HeNormal(sed=3), "HeNormal has no argument 'sed'. Write seed= instead."),
    "parameter": (rv.Parameter, "Parameter needs data. It takes data, requires_grad, name, dtype, regularizer, constraint."),
    "model": (lambda: rv.Model(1, 2, 3), "Model takes at most 2 arguments without a name, and was given 3. It takes inputs, outputs, name, trainable."),
    "function": (lambda: rv.losses.poisson(1, 2, 3), "poisson takes at most 2 arguments without a name, and was given 3. It takes y_true, y_pred."),
    "function by another's name": (rv.ops.swish, "swish needs x. It takes x."),
    "base of one's own": (OwnConvolution, "_Conv.__init__() missing 1 required positional argument: 'kernel_size'"),
    "one's own": (OwnRates, "OwnRates needs schedule. It takes schedule, verbose."),
    "other errors": (OwnFault, "unsupported operand type(s) for +: 'int' and 'NoneType'"),
}  # fmt: skip


@pytest.mark.parametrize("what", MISFITS)
def test_the_error_of_a_wrong_call_gives_what_the_class_takes(what):
    make, said = MISFITS[what]
    with pytest.raises(TypeError) as error:
        make()
    assert str(error.value) == said


def test_what_a_class_is_made_with_is_not_asked_of_its_copies():
    own = copy.deepcopy(OwnRates(lambda epoch: 0.5))
    assert own.schedule(3) == 0.5


# --- what else programs written for Keras say ---------------------------------------------------------------------


def test_names_in_other_places():
    from ranvier.layers import add, concatenate, multiply
    from ranvier.models import Model, Sequential, clone_model, load_model

    assert (Model, Sequential, load_model) == (rv.Model, rv.Sequential, rv.load_model)
    assert issubclass(rv.layers.Dense, rv.Layer)
    x = rv.Input((3,))
    y = rv.layers.Dense(3)(x)
    model = Model(x, concatenate([add([x, y]), multiply([x, y])], axis=-1))
    twin = clone_model(model)
    assert twin.output_shape == model.output_shape == (None, 6)
    assert [w.shape for w in twin.trainable_variables] == [w.shape for w in model.variables]
    assert not model.non_trainable_variables
    assert (twin.layers[1].input_shape, twin.layers[1].output_shape) == ((None, 3), (None, 3))
    assert (model.loss, model.metrics_names) == (None, [])
    model.compile("sgd", "mse", metrics=["mae"])
    assert (model.loss, model.metrics_names) == ("mse", ["loss", "mae"])


def test_what_has_fewer_dimensions_is_aligned_after_the_batch():
    images, weights = np.ones((2, 4, 5, 3), np.float32), np.arange(6, dtype=np.float32).reshape(2, 3)
    out = rv.layers.Multiply()([rv.Tensor(images), rv.Tensor(weights)]).numpy()
    np.testing.assert_array_equal(out, np.broadcast_to(weights[:, None, None], images.shape))
    x, y = rv.Input((4, 5, 3)), rv.Input((3,))
    np.testing.assert_array_equal(rv.Model([x, y], rv.layers.multiply([y, x])).predict([images, weights]), out)


class Scaled(rv.Layer):
    def __init__(self, factor, **options):
        super().__init__(**options)
        self.factor = factor

    def call(self, x):
        return x * self.factor

    def get_config(self):
        config = super().get_config()
        config.update({"factor": self.factor})
        return config


@pytest.mark.parametrize("kind", [rv.Sequential, lambda layers: rv.Model(layers[0], layers[1](layers[0]))])
def test_configurations_and_architectures_as_text(kind, tmp_path):
    decorate = rv.saving.register_keras_serializable(package="mine", name="Scaled of the tests")
    assert decorate(Scaled) is Scaled
    assert rv.saving.get_registered_name(Scaled) == "mine>Scaled of the tests"
    layer = Scaled.from_config(Scaled(2.0, name="two").get_config())
    assert (layer.factor, layer.name) == (2.0, "two")
    model = kind([rv.Input((3,)), layer])
    x = np.ones((2, 3))
    for twin in (
        rv.models.model_from_json(model.to_json(indent=1), custom_objects={"Scaled": Scaled}),
        type(model).from_config(model.get_config()),
    ):
        np.testing.assert_array_equal(twin.predict(x), 2 * x)
        assert twin.layers[-1] is not layer
    model.save(tmp_path / "model")
    read = rv.models.load_model(tmp_path / "model", custom_objects={"Scaled": Scaled}, compile=False)
    np.testing.assert_array_equal(read.predict(x), 2 * x)


PLAIN = [
    rv.layers.Dense(3, activation=rv.activations.relu, kernel_regularizer=rv.regularizers.L1L2(0.1, 0.2)),
    rv.layers.Dense(
        3, kernel_initializer=rv.initializers.HeNormal(seed=1), bias_constraint=rv.constraints.MaxNorm(2.0)
    ),
    rv.layers.Conv2D(np.int64(3), (2, 2), activation=rv.activations.relu, kernel_initializer="zeros", name="maps"),
    rv.layers.Normalization(mean=np.ones(2), variance=np.ones(2)),
    rv.layers.Embedding(3, 2, embeddings_initializer=rv.initializers.Constant(2.0)),
    rv.layers.Embedding(3, 2, input_length=4),
    rv.layers.LeakyReLU(alpha=0.2),
    rv.layers.Activation(rv.activations.gelu),
]


@pytest.mark.parametrize("layer", PLAIN, ids=lambda layer: type(layer).__name__)
def test_the_configuration_of_a_layer_is_plain_and_makes_it_anew(layer):
    config = json.loads(json.dumps(layer.get_config()))
    twin = type(layer).from_config(config)
    assert json.loads(json.dumps(twin.get_config())) == config
    for name in ("kernel_regularizer", "kernel_initializer", "bias_constraint", "activation", "name"):
        assert repr(getattr(twin, name, None)) == repr(getattr(layer, name, None))


def seven(layer):
    config = layer.get_config()
    return type(layer).from_config({**config, "units": 7} if "units" in config else config)


@pytest.mark.parametrize("kind", [rv.Sequential, lambda layers: rv.Model(layers[0], layers[2](layers[1](layers[0])))])
def test_a_clone_of_what_a_function_makes_of_each_layer(kind):
    model = kind([rv.Input((4,)), rv.layers.Dense(3, name="first"), rv.layers.ReLU()])
    twin = rv.models.clone_model(model, clone_function=seven)
    assert (twin.output_shape, twin.name) == ((None, 7), model.name)
    assert [layer.name for layer in twin.layers] == [layer.name for layer in model.layers]
    assert model.output_shape == (None, 3)
    with pytest.raises(TypeError, match="clone_function is given the layers of a Sequential"):
        rv.models.clone_model(Scaled(2.0), seven)


class Squares(rv.utils.PyDataset):
    def __init__(self, calls=None, **options):
        super().__init__(**options)
        self.calls = [] if calls is None else calls

    def __len__(self):
        return 4

    def __getitem__(self, index):
        self.calls.append(index)
        x = np.full((4, 1), float(index))
        return x, x**2

    def on_epoch_begin(self):
        self.calls.append("begin")

    def on_epoch_end(self):
        self.calls.append("end")


def squares():
    model = rv.Sequential([rv.Input((1,)), rv.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


ONCE = ["begin", 0, 1, 2, 3, "end"]
READ = {  # what is called on it: what it is asked for
    "fit": (lambda m, d: m.fit(d, epochs=2, shuffle=False, verbose=0, ignore="RV"), 2 * ONCE),
    "fit, some steps": (
        lambda m, d: m.fit(d, epochs=3, steps_per_epoch=2, shuffle=False, verbose=0),
        ["begin", 0, 1, "end", "begin", 2, 3, "end", "begin", 0, 1, "end"]),
    "fit, as many steps as there are": (
        lambda m, d: m.fit(d, epochs=2, steps_per_epoch=4, shuffle=False, verbose=0, ignore="RV"), 2 * ONCE),
    "validation": (lambda m, d: m.fit([[1.0]], [[1.0]], epochs=2, validation_data=d, verbose=0, ignore="RV"), 2 * ONCE),
    "evaluate": (lambda m, d: m.evaluate(d, verbose=0), ONCE),
    "predict": (lambda m, d: m.predict(d), ONCE),
}  # fmt: skip


@pytest.mark.parametrize("what", READ)
def test_batches_by_number(what):
    action, wanted = READ[what]
    data = Squares(workers=2)
    action(squares(), data)
    assert data.calls == wanted


class Unlimited(Squares):
    num_batches = None


def test_iterating_batches_by_number_ends():
    assert [int(x[0, 0]) for x, _ in Squares()] == [0, 1, 2, 3]
    assert [int(x[0, 0]) for x, _ in islice(Unlimited(), 6)] == [0, 1, 2, 3, 4, 5]
    layer = rv.layers.Normalization()
    layer.adapt(Squares())
    assert layer.mean.numpy() == 1.5


def test_batches_by_number_come_in_another_order_each_epoch():
    def orders(seed):
        rv.set_seed(seed)
        data = Squares()
        squares().fit(data, epochs=6, verbose=0, ignore="RV")
        assert len(data.calls) == 36
        return [tuple(data.calls[i + 1 : i + 5]) for i in range(0, 36, 6)]

    drawn = orders(1)
    assert all(sorted(order) == [0, 1, 2, 3] for order in drawn)
    assert len(set(drawn)) > 2
    assert orders(1) == drawn != orders(2)
    with pytest.raises(NotImplementedError, match="write __len__"):
        len(rv.utils.PyDataset())


def test_names_begin_anew_and_rows_have_length_one():
    rv.utils.clear_session()
    assert [rv.layers.Dense(1).name for _ in range(2)] == ["dense", "dense_1"]
    np.testing.assert_allclose(rv.utils.normalize([[3.0, 4.0], [0.0, 0.0]]), [[0.6, 0.8], [0, 0]], rtol=1e-6)


def test_sequences_are_padded_and_cut():
    rows = [[1], [2, 3, 4], []]
    pad = rv.utils.pad_sequences
    assert pad(rows).tolist() == [[0, 0, 1], [2, 3, 4], [0, 0, 0]]
    assert pad(rows, maxlen=2, padding="post", value=9).tolist() == [[1, 9], [3, 4], [9, 9]]
    assert pad(rows, maxlen=2, truncating="post").tolist() == [[0, 1], [2, 3], [0, 0]]
    assert pad([np.ones((2, 3)), np.ones((1, 3))], dtype="float32").sum(axis=2).tolist() == [[3, 3], [0, 3]]


def test_data_are_split():
    x, y = np.arange(10), np.arange(10) * 2.0
    (a, b), (c, d) = rv.utils.split_dataset((x, y), left_size=0.7)
    assert (a.tolist(), d.tolist()) == (list(range(7)), [14, 16, 18])
    assert (len(b), len(c)) == (7, 3)
    left, right = rv.utils.split_dataset(x, right_size=4, shuffle=True, seed=1)
    assert (len(left), len(right), sorted([*left, *right])) == (6, 4, list(range(10)))
    assert left.tolist() != list(range(6))


CONFIGURED: Any = [
    rv.optimizers.Adam(rv.optimizers.schedules.ExponentialDecay(0.1, 100, 0.9), clipnorm=1.0),
    rv.optimizers.schedules.CosineDecay(0.1, 10),
    rv.losses.Huber(delta=2.0),
    rv.metrics.AUC(curve="PR"),
    rv.initializers.HeNormal(seed=3),
    rv.regularizers.L1L2(0.1, 0.2),
    rv.constraints.MaxNorm(3),
]


@pytest.mark.parametrize("made", CONFIGURED, ids=lambda made: type(made).__name__)
def test_what_is_configured_is_made_again_from_plain_values(made):
    config = json.loads(json.dumps(made.get_config()))
    twin = type(made).from_config(config)
    assert repr(twin) == repr(made)
    assert twin.get_config() == made.get_config()


class Tilted(rv.Loss):
    def __init__(self, tilt=0.5, **options):
        super().__init__(**options)
        self.tilt = tilt


class Constant(rv.Initializer):
    def values(self, shape):
        return np.full(shape, 7.0)


def test_classes_of_ones_own_are_configured():
    twin = Tilted.from_config(Tilted(0.9, name="own", reduction="sum").get_config())
    assert (twin.tilt, twin.name, twin.reduction) == (0.9, "own", "sum")
    assert Constant.from_config(Constant().get_config())((2,)).tolist() == [7, 7]
    for kind, whole in [(rv.Metric, rv.metrics), (rv.Optimizer, rv.optimizers), (rv.Regularizer, rv.regularizers)]:
        assert getattr(whole, kind.__name__) is kind


def test_variables_are_of_a_value_or_of_an_initializer():
    variable = rv.Variable([1.0, 2.0], trainable=False, name="v")
    variable.assign_add([1.0, 1.0])
    assert (variable.value.tolist(), variable.name, variable.requires_grad) == ([2, 3], "v", False)
    assert rv.Variable("ones", shape=(2, 3)).numpy().sum() == 6
    layer = rv.Layer()
    layer.v = rv.Variable(rv.initializers.Zeros(), shape=(4,), dtype="float64")
    assert [w.dtype for w in layer.weights] == ["float64"]
    for make, words in [
        (lambda: rv.Variable("ones"), "Write shape="),
        (lambda: rv.Variable([1.0], shape=(2,)), r"of shape \(1,\), and shape=\(2,\)"),
        (lambda: rv.utils.pad_sequences([[1]], padding="left"), "Write 'pre' or 'post'"),
        (lambda: rv.utils.pad_sequences([1, 2]), "not a list of lists"),
        (lambda: rv.utils.pad_sequences([[[1, 2]], [[1]]]), "Write one shape"),
        (lambda: rv.utils.split_dataset(np.ones(3)), "do not split 3 rows"),
        (lambda: rv.utils.split_dataset((np.ones(3), np.ones(2)), 0.5), "Write the same number"),
    ]:
        with pytest.raises(ValueError, match=words):
            make()


def test_the_shape_of_an_output_is_known_without_weights():
    dense = rv.layers.Dense(5)
    assert dense.compute_output_shape((None, 3)) == (None, 5)
    assert not dense.weights
    assert rv.layers.Concatenate().compute_output_shape([(None, 3), (None, 4)]) == (None, 7)
    net = rv.Sequential([rv.Input((8, 8, 1)), rv.layers.Conv2D(4, 3), rv.layers.Flatten()])
    assert net.compute_output_shape((None, 8, 8, 1)) == (None, 144)
    assert net.compute_output_shape((2, 8, 8, 1)) == (2, 144)
    assert rv.layers.Concatenate().compute_output_shape([(None, 3), (6, 4)]) == (6, 7)


def test_settings_by_kerass_names():
    for place in (rv.config, rv.backend):
        assert (place.backend(), place.floatx(), place.epsilon()) == ("ranvier", "float32", 1e-7)
        assert place.image_data_format() == "channels_last"
        place.set_epsilon(1e-7)
        place.set_image_data_format("channels_last")
        place.set_floatx("float64")
        assert place.floatx() == rv.get_dtype() == "float64"
        place.set_floatx("float32")
    rv.backend.clear_session()
    assert rv.layers.Dense(1).name == "dense"


RESULTS = [
    ((), "float32"), ((int,), "int32"), ((float,), "float32"), ((None, "int8"), "float32"), (("uint32", "int32"), "int64"),
    (("uint32", "uint8"), "uint32"), (("uint32", int), "uint32"), (("bool", int), "int32"), (("uint8", "int8"), "int16"),
    (("uint8", float), "float32"), (("int64", "float16"), "float16"), (("float16", "bfloat16"), "float32"),
    ((np.float64, "float32", "int8"), "float64"),
]  # fmt: skip


@pytest.mark.parametrize(("dtypes", "wanted"), RESULTS, ids=str)
def test_where_dtypes_meet(dtypes, wanted):
    assert rv.backend.result_type(*dtypes) == wanted


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rv.backend.result_type("complex64", "int8"), "'complex64' is none that programs have"),
        (lambda: rv.config.set_epsilon(1e-3), "is fixed at 1e-07. Give epsilon="),
        (lambda: rv.config.set_image_data_format("channels_first"), "Write data_format='channels_first' in each"),
        (lambda: rv.layers.BatchNormalization(synchronized=True), "Leave it out"),
    ],
)
def test_what_is_refused(make, words):
    rv.layers.BatchNormalization(synchronized=False)
    with pytest.raises(ValueError, match=words):
        make()


def test_packed_data():
    pack, unpack = rv.utils.pack_x_y_sample_weight, rv.utils.unpack_x_y_sample_weight
    assert [pack(1), pack([1]), pack(1, 2), pack(1, 2, 3)] == [1, ([1],), (1, 2), (1, 2, 3)]
    assert [unpack(1), unpack((1,)), unpack([1, 2]), unpack((1, 2, 3))] == [
        (1, None, None), (1, None, None), (1, 2, None), (1, 2, 3),
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"4 parts. Write x, \(x, y\) or"):
        unpack((1, 2, 3, 4))


def test_dtypes_and_symbolic_values():
    assert [rv.backend.standardize_dtype(d) for d in (np.int32, "bool", None)] == ["int32", "bool", "float32"]
    assert rv.utils.is_keras_tensor(rv.Input((2,)))
    assert not rv.utils.is_keras_tensor(np.ones(2))
