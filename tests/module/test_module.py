"""Module: what is registered, saved, loaded, counted, printed, described, and said when layers do not fit."""

import copy
import json
import sys
from typing import Any

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier.module import Module, Parameter, Sequential, from_architecture, mode
from ranvier.torch import nn

X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)


class Net(nn.Module):
    def __init__(self, hidden=5):
        super().__init__()
        self.fc1 = nn.Linear(4, hidden)
        self.act = nn.ReLU()
        self.fc2 = nn.Linear(hidden, 2)
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("scratch", torch.ones(1), persistent=False)

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x - self.mean)))


# --- registration -------------------------------------------------------------------------------------------------


def test_attributes_are_registered_in_order():
    net = Net()
    names = ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
    assert [n for n, _ in net.named_parameters()] == names
    assert [n for n, _ in net.named_modules()] == ["", "fc1", "act", "fc2"]
    assert [n for n, _ in net.named_buffers()] == ["mean", "scratch"]
    assert list(net.state_dict()) == ["mean", *names]
    assert net.fc1.weight.name == "weight"


def test_reassigning_and_deleting_keep_the_registries_true():
    net = Net()
    net.fc1 = nn.Linear(4, 7)
    assert net.fc1.out_features == 7
    assert next(net.parameters()) is net.fc1.weight
    setattr(net, "act", None)  # noqa: B010  # the type checker is right about the plain form
    setattr(net, "fc2", "a string now")  # noqa: B010  # the type checker is right about the plain form
    assert [n for n, _ in net.named_children()] == ["fc1"]
    del net.fc1
    assert not list(net.parameters())
    assert not hasattr(net, "fc1")


LOST = {  # what would take the place of a part and be neither trained nor saved, or could not be read
    "parameter": (lambda net: setattr(net.fc1, "weight", net.fc1.weight * 2), TypeError, r"'weight' is a parameter of 'linear.*Write nn.Parameter"),
    "array": (lambda net: setattr(net.fc1, "bias", np.zeros(5)), TypeError, r"here is ndarray.*bias.assign\(...\)"),
    "kernel": (lambda net: setattr(rv.Sequential([rv.layers.Dense(2, input_shape=(3,))])[0], "kernel", np.zeros((3, 2))), TypeError, "'kernel' is a parameter of 'dense"),
    "none before": (lambda net: setattr(nn.Linear(2, 2, bias=False), "bias", torch.zeros(2)), TypeError, "'bias' is a parameter"),
    "buffer": (lambda net: setattr(net, "mean", np.zeros(4)), TypeError, "'mean' is a buffer.*Write a tensor"),
    "property": (lambda net: setattr(net, "trainable", nn.Linear(2, 2)), AttributeError, "'trainable' is a property of every Net.*another name"),
    "name": (lambda net: type("Named", (nn.Module,), {"name": lambda self: "x"}), TypeError, "Named.name is a method"),
}  # fmt: skip


@pytest.mark.parametrize("what", LOST)
def test_parts_are_not_lost_silently(what):
    action, error, text = LOST[what]
    net = Net()
    with pytest.raises(error, match=text):
        action(net)
    assert list(net.state_dict()) == list(Net().state_dict())


ABSENT = {  # methods that Keras's models have, or had: what is said
    "predict_classes": r"model.predict\(x\).argmax\(-1\)", "predict_proba": r"model.predict\(x\)",
    "fit_generator": r"model.fit\(generator\)", "evaluate_generator": r"model.evaluate\(generator\)",
    "predict_generator": r"model.predict\(generator\)",
}  # fmt: skip


@pytest.mark.parametrize("name", ABSENT)
def test_methods_that_are_not_there_say_what_to_write(name):
    model = rv.Sequential([])
    assert not hasattr(model, name)
    with pytest.raises(AttributeError, match=f"Sequential.{name} does not exist: write {ABSENT[name]}"):
        getattr(model, name)
    own: Any = type("OwnModel", (nn.Module,), {name: lambda self: 3})()
    assert getattr(own, name)() == 3


class Own(nn.Module):
    """What networks have of names that the library has too."""

    trace = property(lambda self: "own")

    def __init__(self):
        super().__init__()
        self.fc = self.build(4, 2)

    def build(self, inputs, outputs):  # type: ignore[override]  # as networks for PyTorch have it
        return nn.Linear(inputs, outputs)

    def forward(self, x):
        return self.fc(x)


class Built(Own):
    build = property(lambda self: nn.Linear)


def test_methods_and_properties_of_ones_own():
    for kind in (Own, Built):
        net = kind()
        assert (net.trace, net(X).shape) == ("own", (3, 2))
        net.compile("sgd", "mse")
        net.fit(X, X[:, :2], verbose=0)


def test_a_shared_parameter_counts_once():
    a = nn.Linear(3, 3, bias=False)
    b = nn.Linear(3, 3, bias=False)
    b.weight = a.weight
    both = nn.Sequential(a, b)
    assert len(list(both.parameters())) == 1
    assert set(both.state_dict()) == {"0.weight", "1.weight"}
    assert both.count_params() == 9


def test_super_init_may_be_forgotten():
    class Forgot(Module):
        def __init__(self):
            self.w = Parameter(np.ones(2))

        def forward(self, x):
            return x * self.w

    assert Forgot()(X[:, :2]).shape == (3, 2)


def test_names_with_dots_are_refused():
    with pytest.raises(KeyError, match="without dots"):
        Module().add_module("a.b", nn.ReLU())


@pytest.mark.parametrize("step", [lambda m: m.eval(), lambda m: m.train(False)])
def test_modes_reach_everything(step):
    net = step(Net())
    assert [m.training for m in net.modules()] == [False] * 4
    net.fc1.train()
    with mode(net, True):
        assert all(m.training for m in net.modules())
    assert [m.training for m in net.modules()] == [False, True, False, False]


def test_apply_visits_children_before_parents():
    visited = []
    Net().apply(lambda m: visited.append(type(m).__name__))
    assert visited[-1] == "Net"


# --- state --------------------------------------------------------------------------------------------------------


def test_state_goes_from_net_to_net():
    a, b = Net(), Net()
    b.load_state_dict(a.state_dict())
    assert np.array_equal(a(X).numpy(), b(X).numpy())
    assert a.fc1.weight is not b.fc1.weight


def test_loading_lists_everything_that_does_not_fit_and_changes_nothing():
    net, before = Net(), Net()
    before.load_state_dict(net.state_dict())
    state = {"fc1.weight": np.zeros((5, 4)), "fc1.bias": np.zeros(6), "fc9.bias": np.zeros(1), "fc2.bias": np.zeros(2)}
    with pytest.raises(ValueError, match="does not fit") as error:
        net.load_state_dict(state)
    assert isinstance(error.value, RuntimeError)  # as PyTorch's programs expect
    for line in (
        "missing: fc2.weight (2, 5)",
        "missing: mean (4,)",
        "unexpected: fc9.bias",
        "wrong shape: fc1.bias is (5,) here and (6,)",
    ):
        assert line in str(error.value)
    assert np.array_equal(net.fc1.weight.numpy(), before.fc1.weight.numpy())
    with pytest.raises(ValueError, match="wrong shape"):
        net.load_state_dict(state, strict=False)
    del state["fc1.bias"]
    left_out = net.load_state_dict(state, strict=False)
    assert left_out.missing_keys == ["mean", "fc1.bias", "fc2.weight"]
    assert left_out.unexpected_keys == ["fc9.bias"]
    assert str(net.load_state_dict(state_dict=before.state_dict())) == "<All keys matched successfully>"
    net.load_state_dict(state, strict=False)
    assert not net.fc1.weight.numpy().any()


def test_weights_as_lists():
    model = rv.Sequential([rv.layers.Dense(3, input_shape=(4,)), rv.layers.Dense(2)])
    weights = model.get_weights()
    assert [w.shape for w in weights] == [(4, 3), (3,), (3, 2), (2,)]
    model.set_weights([w + 1 for w in weights])
    assert np.array_equal(model.layers[0].kernel.numpy(), weights[0] + 1)
    with pytest.raises(ValueError, match="4 weights and was given 3"):
        model.set_weights(weights[:3])
    with pytest.raises(ValueError, match=r"weight 1 is \(3,\) and was given \(4,\)"):
        model.set_weights([weights[0], np.zeros(4), *weights[2:]])


def test_freezing():
    model = rv.Sequential([rv.layers.Dense(3, input_shape=(4,), trainable=False), rv.layers.Dense(2)])
    assert [w.shape for w in model.trainable_weights] == [(3, 2), (2,)]
    model.trainable = False
    assert not model.trainable_weights
    model.layers[1].trainable = True
    assert len(model.trainable_weights) == 2


def test_copies_are_independent():
    net = Net()
    twin = copy.deepcopy(net)
    twin.fc1.weight.assign(np.zeros((5, 4)))
    assert net.fc1.weight.numpy().any()
    assert next(twin.parameters()) is twin.fc1.weight


def test_double_and_back():
    net = Net().double()
    assert {p.dtype for p in net.parameters()} == {"float64"}
    assert net.to("cpu").float().fc1.weight.dtype == "float32"
    with pytest.raises(RuntimeError, match="cuda"):
        net.to("cuda")
    with pytest.raises(TypeError, match="parameters cannot become int32"):
        net.to("int32")


def test_zero_grad():
    net = Net()
    net(X).sum().backward()
    assert net.fc1.weight.grad is not None
    net.zero_grad(set_to_none=False)
    assert not net.fc1.weight.grad.numpy().any()
    net.zero_grad()
    assert net.fc1.weight.grad is None


# --- both styles of subclass --------------------------------------------------------------------------------------


class KerasStyle(rv.Model):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.dropout = rv.layers.Dropout(0.5)

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="ones", name="w")
        super().build(input_shape)

    def call(self, x, training=None):
        assert isinstance(training, bool)
        return self.dropout(x @ self.w)


def test_call_and_build_are_keras_style():
    layer = KerasStyle(2, name="mine")
    before, out, after = layer.built, layer(X, training=False), layer.built
    assert (before, after) == (False, True)
    assert layer.name == "mine"
    assert np.allclose(out.numpy(), X.sum(1, keepdims=True).repeat(2, 1), atol=1e-6)
    assert [n for n, _ in layer.named_parameters()] == ["w"]


@rv.register_module
class Meeting(rv.layers.Layer):
    """A layer of several inputs, in a list or a dict, which is built for their shapes."""

    def build(self, shapes):
        self.given = shapes
        first, second = shapes.values() if isinstance(shapes, dict) else shapes
        self.w = self.add_weight(shape=(first[-1], second[-1]), name="w")
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, x):
        a, b = x.values() if isinstance(x, dict) else x
        return (a @ self.w) * b * self.scale


@pytest.mark.parametrize(("dtype", "zeros"), [("int32", True), (np.int32, True), ("float32", False), (None, False)])
def test_a_weight_of_whole_numbers_starts_at_zeros(dtype, zeros):
    weight = rv.layers.Layer().add_weight(shape=(3, 2), dtype=dtype)
    assert (not weight.numpy().any()) == zeros


@pytest.mark.parametrize("pack", [list, tuple, lambda parts: dict(zip("ab", parts, strict=True))])
def test_a_layer_is_built_for_the_shapes_of_all_its_inputs(pack):
    a, b = torch.tensor(X), torch.tensor(X[:, :2])
    layer = Meeting()
    out = layer(pack([a, b]))
    wanted = {"a": (3, 4), "b": (3, 2)} if isinstance(pack([a, b]), dict) else [(3, 4), (3, 2)]
    assert layer.given == wanted
    assert [w.shape for w in layer.get_weights()] == [(4, 2), ()]
    inputs = [rv.Input((4,)), rv.Input((2,))]
    model = rv.Model(inputs, Meeting()(pack(inputs)))
    twin = from_architecture(json.loads(json.dumps(model.architecture())))
    for one in (model, twin):
        one.set_weights(layer.get_weights())
        np.testing.assert_allclose(one([a, b]).numpy(), out.numpy(), rtol=1e-6)


def built(module):
    module.build((None, 4))
    return module


BUILT = {  # a module, and whether its weights are made
    "a layer": (lambda: rv.layers.Dense(3), False),
    "a network": (lambda: rv.Sequential([rv.layers.Dense(3)]), False),
    "a network within": (lambda: rv.Sequential([rv.Sequential([rv.layers.Dense(3)])]), False),
    "a layer that was built": (lambda: built(rv.layers.Dense(3)), True),
    "a network that was built": (lambda: built(rv.Sequential([rv.layers.Dense(3)])), True),
    "a network with its shape": (lambda: rv.Sequential([rv.Input((4,)), rv.layers.Dense(3)]), True),
    "PyTorch's": (lambda: nn.Linear(4, 3), True),
}


@pytest.mark.parametrize("name", BUILT)
def test_built_says_whether_the_weights_are_made(name):
    make, made = BUILT[name]
    module = make()
    assert module.built is made
    before = module.get_weights()
    module(X)
    assert module.built
    if made:
        assert all(map(np.array_equal, module.get_weights(), before))


def test_training_argument_is_for_one_call():
    model = rv.Sequential([rv.layers.Dropout(0.5)])
    ones = np.ones((100, 10), np.float32)
    assert np.array_equal(model(ones).numpy(), ones), "a Keras layer called directly infers"
    assert (model(ones, training=True).numpy() == 0).any()
    assert np.array_equal(model(ones).numpy(), ones)


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="def forward"):
        Module()(X)


# --- Sequential ---------------------------------------------------------------------------------------------------


def test_sequential_is_a_list():
    model = Sequential(nn.Linear(4, 3), nn.ReLU())
    model.append(nn.Linear(3, 2)).add(nn.Tanh())
    assert len(model) == 4
    assert [type(m).__name__ for m in model[1:3]] == ["ReLU", "Linear"]
    assert isinstance(model.pop(), nn.Tanh)
    assert model[-1].out_features == 2
    del model[1]
    model.insert(1, nn.Sigmoid())
    model[1] = nn.Identity()
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert model(X).shape == (3, 2)


def test_sequential_with_names():
    from collections import OrderedDict

    model = nn.Sequential(OrderedDict([("first", nn.Linear(4, 3)), ("second", nn.ReLU())]))
    assert model.first is model[0]
    assert list(model.state_dict()) == ["first.weight", "first.bias"]


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [rv.layers.Dense(3, input_shape=(4,)), rv.layers.Dense(2)],
        lambda: [rv.Input((4,)), rv.layers.Dense(3), rv.layers.Dense(2)],
        lambda: [rv.Sequential([rv.Input(shape=(4,)), rv.layers.Dense(3)]), rv.layers.Dense(2)],
        lambda: [rv.layers.Dense(3, input_dim=4), rv.layers.Dense(2)],
    ],
)
def test_a_declared_shape_builds_at_once(layers):
    model = rv.Sequential(layers())
    assert [w.shape for w in model.weights] == [(4, 3), (3,), (3, 2), (2,)]
    assert model(X).shape == (3, 2)


def test_without_one_the_first_call_builds():
    model = rv.Sequential([rv.layers.Dense(3), rv.layers.Dense(2)])
    assert not model.weights
    model(X)
    assert model.count_params() == 23
    other = rv.Sequential([rv.layers.Dense(3), rv.layers.Dense(2)])
    other.build((None, 4))
    assert other.count_params() == 23


def test_only_modules_are_layers():
    with pytest.raises(TypeError, match="is no layer"):
        rv.Sequential([rv.layers.Dense(3), "relu"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="first"):
        rv.Sequential([rv.layers.Dense(3), rv.Input((4,))])


def test_layers_of_one_name_are_refused():
    with pytest.raises(ValueError, match="has a layer 'a' already"):
        rv.Sequential([rv.layers.Dense(3, name="a"), rv.layers.Dense(2, name="a")])
    shared = nn.Linear(4, 4)
    assert len(nn.Sequential(shared, shared, copy.deepcopy(shared))) == 3


# --- shapes that do not fit ---------------------------------------------------------------------------------------


def test_layers_that_do_not_fit_are_reported_with_the_whole_trace():
    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1 = nn.Linear(4, 8)
            self.fc2 = nn.Linear(5, 2)

        def forward(self, x):
            return self.fc2(torch.relu(self.fc1(x)))

    with pytest.raises(ValueError, match="does not fit") as error:
        Broken()(X)
    text = str(error.value)
    made = Broken.__init__.__code__.co_firstlineno + 3
    assert (
        f"layer 'fc2' (Linear(in_features=5, out_features=2, bias=True), made at {__file__}:{made}, "
        f"in forward at {__file__}:{made + 3})" in text
    )
    assert text.splitlines()[1:] == [
        "  input         float32[3,4]",
        "  Linear 'fc1'  float32[3,8]",
        "  Linear 'fc2'  <- does not fit",
        "Write Linear(8, 2), or make the layer before it give 5.",
    ]


def test_sequential_reports_it_when_it_is_made():
    with pytest.raises(ValueError, match=r"takes 5 features.*there are 3") as error:
        rv.Sequential([rv.layers.Dense(3, input_shape=(4,), name="a"), nn.Linear(5, 2)])
    assert "  Dense 'a'" in str(error.value)
    assert "float32[batch,3]" in str(error.value)


def test_inputs_of_the_wrong_width_name_the_layer():
    model = rv.Sequential([rv.layers.Dense(3, input_shape=(4,), name="first")])
    with pytest.raises(ValueError, match=r"'first'.*takes 4 features in the last dimension, and there are 6"):
        model(np.zeros((2, 6), np.float32))


@pytest.mark.parametrize(
    ("layers", "error"),
    [
        (lambda: [rv.layers.Dense(10**6, input_shape=(10**7,), name="big")], MemoryError),
        (lambda: [rv.layers.Dense(2**62, input_shape=(4,), name="big")], ValueError),
        (lambda: [rv.Input((2**40, 2**40), name="big")], ValueError),
    ],
)
def test_layers_past_any_memory_are_refused_by_name(layers, error):
    with pytest.raises(error, match="'big'"):
        rv.Sequential(layers())


# --- printing and describing --------------------------------------------------------------------------------------


def test_repr_is_nested():
    model = nn.Sequential(nn.Linear(4, 3), nn.Sequential(nn.ReLU(), nn.Dropout(0.1)))
    assert repr(model).splitlines() == [
        "Sequential(",
        "  (0): Linear(in_features=4, out_features=3, bias=True)",
        "  (1): Sequential(",
        "    (0): ReLU()",
        "    (1): Dropout(p=0.1, inplace=False)",
        "  )",
        ")",
    ]


def test_summary_has_shapes_parameters_and_bytes(capsys):
    model = rv.Sequential([rv.layers.Dense(3, input_shape=(4,), name="hidden"), rv.layers.Dense(2, name="out")])
    lines: list[str] = []
    model.summary(print_fn=lines.append, line_length=80)
    text = lines[0]
    for words in (
        ["hidden (Dense)", "(None, 3)", "15", "60 bytes"],
        ["out (Dense)", "(None, 2)", "8"],
        ["total parameters:", "23"],
    ):
        assert any(all(w in line for w in words) for line in text.splitlines()), (words, text)
    model.summary()
    assert "hidden (Dense)" in capsys.readouterr().out


def test_summary_of_nested_networks():
    inner = rv.Sequential([rv.layers.Dense(3), rv.layers.Dense(1)], name="inner")
    inner.trainable = False
    model = rv.Sequential([rv.layers.Dense(4, input_shape=(3,), name="first"), inner])
    shown: list[str] = []
    model.summary(print_fn=shown.append, line_length=80, expand_nested=False, show_trainable=True)
    model.summary(print_fn=shown.append, line_length=80)
    collapsed, whole = (text.splitlines() for text in shown)
    rows = [line.split() for line in collapsed if "(" in line and "layer" not in line]
    assert rows[:2] == [
        ["first", "(Dense)", "(None,", "4)", "16", "64", "bytes", "yes"],
        ["inner", "(Sequential)", "(None,", "1)", "19", "76", "bytes", "no"],
    ]
    assert len(whole) == len(collapsed) + 2


def test_summary_of_an_unbuilt_model():
    lines: list[str] = []
    rv.Sequential([rv.layers.Dense(3)]).summary(print_fn=lines.append)
    assert "not built" in lines[0]


def test_summary_of_a_net_after_a_call():
    net, lines = Net(), list[str]()
    net(X)
    net.summary(print_fn=lines.append)
    assert "(None, 2)" in lines[0]


def test_names_count_up():
    first, second = rv.layers.Dense(1), rv.layers.Dense(1)
    base, number = first.name.rsplit("_", 1)
    assert base == "dense"
    assert second.name == f"dense_{int(number) + 1}"


@rv.register_module
class Registered(Module):
    def __init__(self, width, depth=1):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


ARCHITECTURES = {
    "keras": lambda: rv.Sequential(
        [
            rv.layers.Rescaling(0.5, input_shape=(2, 2)),
            rv.layers.Flatten(),
            rv.layers.Dense(3, activation="relu", kernel_initializer="he_normal", name="hidden"),
            rv.layers.Activation(rv.activations.tanh),
            rv.layers.Dropout(0.1),
            rv.layers.Dense(2, kernel_initializer=rv.initializers.HeNormal(seed=1), trainable=False),
        ]
    ),
    "torch": lambda: nn.Sequential(
        nn.Flatten(),
        nn.Linear(4, 3),
        nn.LeakyReLU(0.2),
        nn.Dropout(0.3),
        nn.Sequential(nn.Linear(3, 2), nn.Softmax(dim=1)),
    ),
    "named": lambda: nn.Sequential({"flat": nn.Flatten(), "last": nn.Linear(4, 2, bias=False)}),
    "registered": lambda: nn.Sequential(nn.Flatten(), Registered(4, depth=2)),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures_survive_json(name):
    model = ARCHITECTURES[name]()
    x = X.reshape(-1)[:8].reshape(2, 2, 2)
    expected = model.eval()(x).numpy()
    twin = from_architecture(json.loads(json.dumps(model.architecture()))).eval()
    twin.load_state_dict(model.state_dict())
    assert np.array_equal(twin(x).numpy(), expected)
    if name != "registered":  # its constructor makes its parts, so they are new ones
        assert [m.name for m in twin.modules()] == [m.name for m in model.modules()]
    assert [p.requires_grad for p in twin.parameters()] == [p.requires_grad for p in model.parameters()]
    assert repr(twin) == repr(model)
    assert twin.architecture() == model.architecture()


class Written(rv.Model):
    """Not registered, as people write classes."""

    def __init__(self, width, **options):
        super().__init__(**options)
        self.inner = rv.layers.Dense(width)

    def call(self, x):
        return self.inner(x)


class Stacked(rv.Sequential):
    """A Sequential that makes its layers itself."""

    def __init__(self, width):
        super().__init__([rv.Input((4,)), Written(width), rv.layers.Dense(2)])


@pytest.mark.parametrize("make", [lambda: rv.Sequential([Written(3), rv.layers.Dense(2)]), lambda: Stacked(3)])
def test_classes_that_are_not_registered_are_given_at_load(make, tmp_path):
    """They are saved by their own names: the file holds no code, and says so where the class is missing."""
    model, known = make(), {"Written": Written, "Stacked": Stacked, "loss": abs}
    x = np.ones((2, 4), np.float32)
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "model")
    with pytest.raises(rv.training.CheckpointError, match=r"register_module above it or write custom_objects=\{'"):
        rv.load_model(tmp_path / "model")
    twins = [rv.load_model(tmp_path / "model", custom_objects=known)]
    with rv.saving.custom_object_scope(known):
        twins.append(rv.load_model(tmp_path / "model"))
    for twin in twins:
        np.testing.assert_array_equal(twin.predict(x, verbose=0), expected)
    assert rv.models.clone_model(model).output_shape == (None, 2)
    assert rv.models.model_from_json(model.to_json(), known).count_params() == model.count_params()
    with pytest.raises(ValueError, match="no registered layer"):
        from_architecture(model.architecture())


def test_a_class_whose_name_another_has_is_refused():
    class Dense(Module):
        pass

    with pytest.raises(TypeError, match=r"'Dense' is the name of another one.*register_module\(name="):
        rv.Sequential([Dense()]).architecture()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"class": "os.system"}, "os.system"),
        ({"class": ["Dense"]}, "list"),
        ({"config": {"units": "ten"}}, "units"),
        ({"config": {"units": 1, "code": "x"}}, "code"),
        ({"config": {"units": {"function": "eval"}}}, "function"),
        ({"config": {"units": 1, "activation": {"activation": "get"}}}, "get"),
        ({"config": {"units": 1, "bias_initializer": {"initializer": ["uniform", {"bound": 1}]}}}, "uniform"),
        ({"config": []}, "architecture"),
        ({"input": [[4], "object"]}, "object"),
    ],
)
def test_hostile_architectures_are_refused(change, said):
    good = {"class": "Dense", "name": "d", "config": {"units": 1}}
    from_architecture(good)
    with pytest.raises(ValueError, match=said):
        from_architecture({**good, **change})


def test_endless_nesting_is_refused():
    deep = {"class": "Dense", "name": "d", "config": {"units": 1}}
    for _ in range(100):
        deep = {"class": "Sequential", "name": "s", "config": {"*": [{"module": deep}]}}
    with pytest.raises(ValueError, match="nested"):
        from_architecture(deep)


class Counting(rv.layers.Layer):
    """It keeps the sum of all samples that it has seen, and the number of its calls."""

    def build(self, shape):
        self.total = self.add_weight(shape=shape[-1:], initializer="zeros", trainable=False)
        self.calls = self.add_weight(shape=(1,), initializer="zeros", trainable=False)

    def call(self, x):
        self.total.assign(self.total + x.sum(axis=0))
        self.calls.assign_add(1.0)
        return x


def test_a_layer_may_assign_to_its_weights_in_its_call():
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    counting = Counting()
    model = rv.Sequential([rv.Input((3,)), counting, rv.layers.Dense(1)])
    model.compile("sgd", "mse")
    assert [w.tolist() for w in counting.get_weights()] == [[0, 0, 0], [0]]  # describing the model counts nothing
    model.fit(x, x[:, :1], batch_size=20, epochs=2, verbose=0)
    total, calls = counting.get_weights()
    np.testing.assert_allclose(total, 2 * x.sum(0), rtol=1e-4, atol=1e-5)
    assert calls.tolist() == [6]
    model.predict(x, verbose=0)
    assert counting.calls.item() == 6
    counting.calls.assign_sub([2.0])
    assert counting.calls.item() == 4


class Mixed(rv.layers.Layer):
    """Weights that are trained and others, by turns, and a layer before them all."""

    def __init__(self, **options):
        super().__init__(**options)
        self.inner = rv.layers.Dense(4)

    def build(self, shape):
        self.seen = self.add_weight(shape=(1,), initializer="zeros", trainable=False, name="seen")
        self.scale = self.add_weight(shape=(2,), initializer="ones", name="scale")
        self.known = self.add_weight(shape=(3,), initializer="zeros", trainable=False, name="known")

    def call(self, x):
        return self.inner(x) * self.scale.sum()


def test_weights_are_listed_as_keras_lists_them():
    """Of each layer those that are trained first; freezing and thawing changes neither the order nor what is trained."""
    for frozen in (False, True):
        layer = Mixed(trainable=not frozen)
        layer(np.ones((1, 5), np.float32))
        assert [w.shape for w in layer.weights] == [(2,), (1,), (3,), (5, 4), (4,)]
        for trainable in (False, True):
            layer.trainable = trainable
            assert [w.shape for w in layer.get_weights()] == [(2,), (1,), (3,), (5, 4), (4,)]
        assert [w.shape for w in layer.trainable_weights] == [(2,), (5, 4), (4,)]


def test_weights_have_names_and_paths_as_in_keras():
    model = rv.Sequential([rv.Input((4,)), rv.layers.Dense(3, name="d"), rv.layers.BatchNormalization(name="b")])
    names = ["d/kernel", "d/bias", "b/gamma", "b/beta", "b/moving_mean", "b/moving_variance"]
    for one in (model, copy.deepcopy(model)):
        assert [w.path for w in one.weights] == names
        assert [w.name for w in one.weights] == [name[2:] for name in names]


class Around(rv.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


def test_modules_deeper_than_python_goes_are_reported():
    module: Module = rv.layers.Activation("relu")
    for _ in range(sys.getrecursionlimit()):
        module = Around(module)
    with pytest.raises(RecursionError, match=r"Write one Sequential of all layers, or sys\.setrecursionlimit"):
        module(np.ones((2, 3)))
    assert module.inner is not None


# --- lists and dictionaries of layers ----------------------------------------------------------------------------------


class Listed(rv.Model):
    """Layers and variables in a list, in a dictionary, within each other, and put in later."""

    hidden: Any
    named: Any
    later: list[Any]

    def __init__(self):
        super().__init__()
        self.hidden = [rv.layers.Dense(8, "relu"), (rv.layers.Dense(7),)]
        self.out = rv.layers.Dense(3)
        self.named = {"a": rv.layers.Dense(6), "sizes": [1, 2, 3]}
        self.shifts = [rv.Variable(np.ones(6, np.float32))]
        self.later = []
        self.later.append(rv.layers.Dense(5))

    def call(self, x):
        x = self.hidden[1][0](self.hidden[0](x))
        x = self.named["a"](x) + self.shifts[0]
        return self.out(self.later[0](x))


def test_layers_in_lists_are_the_models():
    model = Listed()
    model.compile("sgd", "mse")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((32, 4)), rng.standard_normal((32, 3))
    model(x[:2].astype(np.float32))
    before = model.get_weights()
    model.fit(x, y, verbose=0, ignore="RV106")  # layers without an activation between them
    places = ["hidden.0", "hidden.1.0", "out", "named.a", "later.0"]
    assert [name for name, _ in model.named_children()] == places
    assert list(model.state_dict()) == [
        "shifts.0", *(f"{place}.{name}" for place in places for name in ("kernel", "bias"))
    ]  # fmt: skip
    assert len(model.trainable_weights) == 11
    for old, new in zip(before, model.get_weights(), strict=True):
        assert not np.array_equal(old, new)
    assert "(hidden.1.0): Dense(7)" in str(model)
    other = copy.deepcopy(model)
    assert other.hidden[0] is next(iter(other.children())) is not model.hidden[0]
    np.testing.assert_array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))
    other.load_state_dict({name: np.zeros_like(value.numpy()) for name, value in model.state_dict().items()})
    assert not other.predict(x, verbose=0).any()


def test_lists_are_looked_at_as_they_are():
    model = Listed()
    model(np.ones((2, 4), np.float32))
    assert model.count_params() == sum(w.numpy().size for w in model.weights) > 0
    model.later.append(rv.layers.Dense(2))
    assert [m.name for m in model.layers][-1] == model.later[1].name
    kept = model.later.pop()
    assert all(m is not kept for m in model.modules())
    model.hidden = None
    assert [name for name, _ in model.named_children()] == ["out", "named.a", "later.0"]
    del model.named
    assert [name for name, _ in model.named_children()] == ["out", "later.0"]
    model.out.parents = [model]  # around in a circle
    assert len(list(model.modules())) == 3
    model.words = {str(i): i for i in range(2000)}
    assert len(list(model.modules())) == 3


def test_layers_in_the_list_of_a_layer_are_saved(tmp_path):
    @rv.register_module(name="Stacked")
    class Stacked(rv.layers.Layer):
        def __init__(self, units, **options):
            super().__init__(**options)
            self.parts = [rv.layers.Dense(units, kernel_regularizer="l2") for _ in range(2)]

        def call(self, x):
            for part in self.parts:
                x = part(x)
            return x

    model = rv.Sequential([rv.layers.Input((4,)), Stacked(6), rv.layers.Dense(2)])
    model.compile("sgd", "mse")
    model.save(tmp_path / "m.rv")
    again = rv.load_model(tmp_path / "m.rv")
    assert again.count_params() == 4 * 6 + 6 + 6 * 6 + 6 + 6 * 2 + 2
    x = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


def test_pytorchs_modules_have_what_is_registered_alone():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.teacher = [nn.Linear(4, 2)]
            self.own = nn.Linear(4, 2)

        def forward(self, x):
            return self.own(x)

    assert list(Net().state_dict()) == ["own.weight", "own.bias"]
