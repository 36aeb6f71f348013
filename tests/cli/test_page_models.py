"""`ranvier page` with models and runs: the layers that it shows, their data, several outputs, classes of one's own."""

import base64
from typing import Any

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier.auto import baselines
from ranvier.cli.page import exports, sources
from ranvier.cli.page.drawing import looked_at
from ranvier.cli.page.given import begun_with
from ranvier.cli.page.networks import probabilities
from ranvier.cli.page.session import Session
from ranvier.cli.page.settings import SettingError, Settings
from ranvier.cli.page.steps import explained
from ranvier.support.tree import flatten

TINY: Any = {"trials": 1, "folds": 2, "settings": {"epochs": 2, "width": 4, "rate": 0.01}}


@pytest.fixture(autouse=True)
def by_reference():
    rv.set_engine("reference")
    yield
    rv.set_engine(None)


def test_functional_models_have_lines_from_where_values_come(tmp_path):
    inputs = rv.Input((2,))
    first = rv.layers.Dense(3, "relu", name="first")(inputs)
    both = rv.layers.Concatenate(name="both")([rv.layers.Dropout(0.1)(first), inputs])
    rv.Model(inputs, rv.layers.Dense(1, "sigmoid", name="last")(both)).save(tmp_path / "model.ranvier")
    given, start = begun_with(tmp_path / "model.ranvier")
    session = Session(given)
    layers = session.build(Settings.of(start))["layers"]
    assert [(layer["name"], layer["from"], layer["lines"]) for layer in layers] == [
        ("first", [0], "weights"), ("both", [1, 0], "each"), ("last", [2], "weights")
    ]  # fmt: skip
    session.step()
    session.close()


def test_models_within_a_model_are_opened(tmp_path):
    """Their layers are shown in their places, by the names of both where several models have the same names."""
    inputs = rv.Input((8, 8, 1))
    bodies = []
    for name in ("left", "right"):
        layers = [rv.layers.Conv2D(2, 3, name="conv"), rv.layers.Activation("relu"), rv.layers.Flatten()]
        bodies.append(
            rv.Sequential([rv.Input((8, 8, 1)), *layers, rv.layers.Dense(3, name="dense")], name=name)(inputs)
        )
    both = rv.layers.Add(name="sum")(bodies)
    rv.Model(inputs, rv.layers.Dense(10, "softmax", name="last")(both)).save(tmp_path / "model.ranvier")
    given, start = begun_with(tmp_path / "model.ranvier")
    session = Session(given)
    layers = session.build(Settings.of(start))["layers"]
    assert [(layer["name"], layer["from"], layer["activation"]) for layer in layers] == [
        ("left/conv", [0], "relu"), ("left/dense", [1], None), ("right/conv", [0], "relu"),
        ("right/dense", [3], None), ("sum", [2, 4], None), ("last", [5], "softmax"),
    ]  # fmt: skip
    x = session.source.x_test[:3]
    every = session.network.outline.outputs(x)
    np.testing.assert_array_equal(every[-1], session.network.model.predict(x, verbose=0))
    seen = looked_at(session, {"row": 0})
    assert [(part["name"], len(part["kernels"]), len(part["maps"])) for part in seen["maps"]] == [
        ("left/conv", 2, 2), ("right/conv", 2, 2)
    ]  # fmt: skip
    session.close()


def sequence():
    return rv.Sequential([rv.Input((None, 3)), rv.layers.SimpleRNN(4, name="rnn"), rv.layers.Dense(1, "sigmoid")])


def tokens():
    return rv.Sequential(
        [rv.Input((5,)), rv.layers.Embedding(9, 2), rv.layers.Flatten(), rv.layers.Dense(3, "softmax")]
    )


def words():
    texts = rv.layers.TextVectorization(output_sequence_length=4)
    texts.adapt(np.array(["good film", "bad film"]))
    rest = [rv.layers.Embedding(9, 2), rv.layers.GlobalAveragePooling1D(), rv.layers.Dense(1)]
    return rv.Sequential([rv.Input((), dtype="string"), texts, *rest])


def two_inputs():
    a, b = rv.Input((4,), name="a"), rv.Input((3,), name="b")
    both = rv.layers.Concatenate()([rv.layers.Dense(2, name="first")(a), rv.layers.Dense(2, name="second")(b)])
    return rv.Model([a, b], rv.layers.Dense(2, "softmax")(both))


def of_pytorch():
    return torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.ReLU(), torch.nn.Linear(2, 3))


SHOWN = {  # the boxes of inputs; the shape of each layer that is shown, and the places of those before it
    "a sequence": (sequence, ["12×3"], [([4], [0]), ([1], [1])]),
    "numbers of words": (tokens, ["5"], [([5, 2], [0]), ([3], [1])]),
    "texts": (words, ["text"], [([4, 2], [0]), ([1], [1])]),
    "two inputs": (two_inputs, ["4", "3"], [([2], [0]), ([2], [-1]), ([4], [1, 2]), ([2], [3])]),
    "a sequence of PyTorch's": (of_pytorch, [], [([2], [0]), ([2], [1]), ([3], [2])]),
}


@pytest.mark.parametrize("name", SHOWN)
def test_models_of_other_inputs_have_random_data_of_their_shape(name, tmp_path):
    make, boxes, layers = SHOWN[name]
    make().save(tmp_path / "model.ranvier")
    given, start = begun_with(tmp_path / "model.ranvier")
    session = Session(given)
    built = session.build(Settings.of(start))
    assert [box["shape"] for box in built["boxes"]] == boxes
    assert [(layer["shape"], layer["from"]) for layer in built["layers"]] == layers
    assert built["data"]["invented"]
    session.step()
    frame = session.frames.frame(1.0, 1)
    x, shown = sources.some(session.source.x_test, slice(12)), frame["predicted"]
    said = session.network.model.predict(x, verbose=0)
    np.testing.assert_allclose(
        shown, probabilities(said).argmax(1) if session.source.task == "classes" else said[:, 0], rtol=1e-5
    )
    width = min(layers[0][0][-1], built["neurons"]) * int(np.prod(layers[0][0][:-1]))  # of neurons, at each place
    assert len(base64.b64decode(frame["rowNeurons"][0])) == 12 * width
    assert len(built["data"]["testPoints"]["x"]) == 12
    assert [layer["name"] for layer in explained(session, {"row": 1})["layers"]][-1] == session.network.outline.names[
        -1
    ]
    session.close()


def two_outputs(form):
    x = rv.Input((4,))
    outputs = [rv.layers.Dense(2, "softmax", name="kind")(x), rv.layers.Dense(1, name="size")(x)]
    return rv.Model(x, outputs if form is list else dict(zip(("kind", "size"), outputs, strict=True)))


PROGRAM = """
import ranvier as rv
import ranvier.torch as torch
from ranvier.torch import nn


class Block(nn.Module):
    def __init__(self, units=3):
        super().__init__()
        self.dense = nn.Linear(units, units)

    def forward(self, x):
        return x + torch.relu(self.dense(x))


class Skip(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.block = Block(3)
        self.last = nn.Linear(3, 3)

    def forward(self, x):
        return self.last(self.block(torch.tanh(self.first(x))))


class Convolutions(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
        self.last = nn.Linear(36, 10)

    def forward(self, x):
        return self.last(torch.flatten(self.features(x), 1))


class KindAndSize(rv.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = rv.layers.Dense(2), rv.layers.Dense(2)
        self.kind, self.size = rv.layers.Dense(2, "softmax"), rv.layers.Dense(1)

    def forward(self, left, right):
        both = rv.ops.concatenate([self.a(left), self.b(right)], axis=-1)
        return {"kind": self.kind(both), "size": self.size(both)}


if __name__ == "__main__":
    raise SystemExit("not when it is a program of the page")
"""


def of_program(folder, name, *shapes):
    """The file of a model of a class of one's own, and the program that defines it."""
    program = folder / "net.py"
    program.write_text(PROGRAM)
    found: dict = {"__name__": "net"}
    exec(compile(PROGRAM, "net.py", "exec"), found)
    model = found[name]()
    if shapes:
        model(*(rv.Tensor(np.zeros((1, *np.atleast_1d(n)), np.float32)) for n in shapes))
    model.save(folder / "model.ranvier")
    return folder / "model.ranvier", program


def test_the_layers_of_a_class_of_ones_own(tmp_path):
    """They are known when the model runs; what joins several of them is shown between them."""
    given, start = begun_with(*of_program(tmp_path, "Skip"))
    session = Session(given)
    built = session.build(Settings.of(start))
    found = [(n["name"], n["from"], n["lines"], n["activation"]) for n in built["layers"]]
    assert found == [
        ("first", [0], "weights", "tanh"), ("block.dense", [1], "weights", "relu"), ("add", [1, 2], "each", None),
        ("last", [3], "weights", None),
    ]  # fmt: skip
    model, x = session.network.model, session.source.x_test
    every = session.network.outline.outputs(x)
    first = np.tanh(x @ model.first.weight.numpy().T + model.first.bias.numpy())
    np.testing.assert_allclose(every[0], first, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(every[2], every[0] + every[1], rtol=1e-5)
    np.testing.assert_array_equal(every[3], model.predict(x, verbose=0))
    frame = session.frames.frame(0.0, 0)
    np.testing.assert_allclose(frame["weights"][0]["kernel"], model.first.weight.numpy().T, atol=1e-5)
    assert [h["name"] for h in frame["histograms"]] == ["first", "block.dense", "last"]
    scores = np.exp(every[3]) / np.exp(every[3]).sum(1, keepdims=True)  # three logits
    np.testing.assert_allclose(session.network.probabilities(every, session.source.target), scores, rtol=1e-5)
    loss = -np.log(scores[np.arange(len(x)), session.source.y_test]).mean()
    np.testing.assert_allclose(frame["testLoss"], loss, rtol=1e-4)
    code = exports.code(session, {"library": "keras"})
    assert (code["code"], "class of yours" in code["error"], "自己的类" in code["chinese"]) == ("", True, True)
    session.close()


def test_a_network_of_pytorchs_for_images_draws_digits(tmp_path):
    """Its images and maps have the channels first; the page shows them last."""
    given, start = begun_with(*of_program(tmp_path, "Convolutions", (1, 8, 8)))
    session = Session(given)
    built = session.build(Settings.of(start))
    assert (built["data"]["kind"], built["data"]["size"], built["boxes"][0]["shape"]) == ("images", [8, 8, 1], "1×8×8")
    assert [(layer["shape"], layer["units"], layer["activation"]) for layer in built["layers"]] == [
        ([6, 6, 4], 4, "relu"), ([3, 3, 4], 4, None), ([10], 10, None)
    ]  # fmt: skip
    session.step()
    model, x = session.network.model, session.source.x_test
    seen = looked_at(session, {"row": 7})
    scores = probabilities(model.predict(x[7:8], verbose=0), logits=True)[0]
    np.testing.assert_allclose(seen["probabilities"], scores, rtol=1e-5)
    drawn = looked_at(session, {"image": x[7, 0].reshape(-1).tolist()})
    assert drawn == seen
    assert [(part["size"], len(part["maps"])) for part in seen["maps"]] == [([6, 6], 4), ([3, 3], 4)]
    assert (seen["maps"][0]["kernelSize"], len(seen["maps"][0]["kernels"])) == ([3, 3], 4)
    convolved = session.network.outline.outputs(x[7:8])[0]
    window, kernel = x[7, 0, 2:5, 1:4], model.features[0].weight.numpy()[3, 0]
    expected = max(0.0, float((window * kernel).sum()) + float(model.features[0].bias.numpy()[3]))
    np.testing.assert_allclose(convolved[0, 2, 1, 3], expected, rtol=1e-4, atol=1e-6)
    session.close()


OUTPUTS = {
    "a list": lambda folder: (saved(folder, two_outputs(list)), None),
    "a dict": lambda folder: (saved(folder, two_outputs(dict)), None),
    "a class of one's own, of two inputs": lambda folder: of_program(folder, "KindAndSize", 4, 3),
}  # fmt: skip


def saved(folder, model):
    model.save(folder / "model.ranvier")
    return folder / "model.ranvier"


@pytest.mark.parametrize("name", OUTPUTS)
def test_models_of_several_outputs_show_one_and_train_all(name, tmp_path):
    given, start = begun_with(*OUTPUTS[name](tmp_path))
    session = Session(given)
    built = session.build(Settings.of(start))
    assert (built["outputs"], built["output"], built["loss"]) == (["kind", "size"], 0, "crossentropy")
    session.step()
    model, network, x = session.network.model, session.network, session.source.x_test
    results = model.evaluate(x, network.y_test, batch_size=len(session.source.y_test), verbose=0)
    said = list(flatten(model.predict(x, verbose=0), np.ndarray))
    frame = session.frames.frame(1.0, 1)
    assert (frame["testLoss"], frame["testMetric"]) == (results[0], results[3])
    np.testing.assert_array_equal(frame["predicted"], said[0][:12].argmax(1))
    assert len(explained(session, {"part": "test"})["target"]) == 2
    before = [weight.numpy().copy() for weight in model.weights]
    built = session.show(1)
    assert (built["output"], built["loss"], built["data"]["task"], session.steps) == (1, "mse", "number", 1)
    frame = session.frames.frame(1.0, 1)
    assert (frame["testLoss"], frame["testMetric"]) == (results[0], results[4])
    np.testing.assert_allclose(frame["predicted"], said[1][:12, 0], rtol=1e-6)
    for weight, old in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), old)
    with pytest.raises(SettingError, match="write a whole number from 0 to 1"):
        session.show(2)
    session.close()


def test_a_run_opens_with_its_data_its_scores_and_its_report(tmp_path, monkeypatch):
    monkeypatch.setattr(baselines, "has_trees", lambda: False)
    rng = np.random.default_rng(0)
    sizes = rng.uniform(1, 9, 40)
    rows = [f"{n:.2f},{'red' if n % 1 > 0.5 else 'green'},{'big' if n > 5 else 'small'},{10 * n:.1f}" for n in sizes]
    (tmp_path / "things.csv").write_text("\n".join(["size,colour,kind,price", *rows]))
    run = rv.auto.train(tmp_path / "things.csv", "kind", tmp_path / "run", **TINY)
    given, start = begun_with(tmp_path / "run")
    shown = start["run"]
    assert [row[0] for row in shown["en"]["columns"]] == ["size", "colour", "price"]
    assert ["target", "kind"] in shown["en"]["facts"]
    assert ["目标", "kind"] in shown["zh"]["facts"]  # a name is no word
    assert f"{run.test['log_loss']:.4f}" in shown["en"]["result"]
    session = Session(given)
    built = session.build(Settings.of(start))
    assert (built["data"]["classes"], built["data"]["test"]) == (["big", "small"], len(run.arrays["test"]))
    every = session.network.outline.outputs(session.source.x_test)
    np.testing.assert_allclose(every[-1], run.arrays["test/output"], atol=1e-5)
    assert "keras.Model" in exports.code(session, {"library": "keras"})["code"]
    session.close()
    (tmp_path / "things.csv").write_text("size\n1\n")
    with pytest.raises(ValueError, match=r"has changed .* write ranvier page .*model\.ranvier"):
        begun_with(tmp_path / "run")


def each_step():
    return rv.Sequential([rv.Input((6, 3)), rv.layers.SimpleRNN(4, return_sequences=True)])


def test_what_the_page_does_not_show_says_what_does(tmp_path):
    each_step().save(tmp_path / "steps.ranvier")
    with pytest.raises(ValueError, match=r"maps \(6, 3\) to .* Write model.explain_step"):
        begun_with(tmp_path / "steps.ranvier")
    path, program = of_program(tmp_path, "KindAndSize")
    with pytest.raises(ValueError, match=r"holds a 'KindAndSize', which is a class of yours. .* --program FILE.py"):
        begun_with(path)
    with pytest.raises(ValueError, match="does not say which inputs the model takes"):
        begun_with(path, program)
    program.write_text("1 / 0")
    with pytest.raises(ValueError, match=r"net\.py cannot be run: ZeroDivisionError"):
        begun_with(path, program)
    with pytest.raises(FileNotFoundError, match=r"none\.py does not exist"):
        begun_with(path, tmp_path / "none.py")
