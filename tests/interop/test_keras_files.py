"""Files of Keras without Keras: what is written is read, what cannot be brought over is refused by name, damage."""

import json
import warnings
import zipfile

import numpy as np
import pytest

import ranvier as rv
from ranvier import layers
from ranvier.data.files import CheckpointError
from ranvier.module.serialization import REGISTRY
from tests.interop.damage import damaged, described

h5py = pytest.importorskip("h5py")
X, Y = np.linspace(-1, 1, 48, dtype=np.float32).reshape(16, 3), np.arange(16) % 2


@pytest.fixture(autouse=True)
def _reference():
    rv.set_engine("reference")
    yield
    rv.set_engine("native")


def model(optimizer="adam"):
    rv.set_seed(3)
    made = rv.Sequential([
        rv.Input((3,)), layers.Dense(4, "relu", kernel_regularizer="l2"), layers.BatchNormalization(),
        layers.Dense(2, "softmax"),
    ])  # fmt: skip
    made.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    made.fit(X, Y, epochs=1, verbose=0, shuffle=False)
    return made


def functional():
    a, b = rv.Input((3,), name="a"), rv.Input((3,), name="b")
    shared = layers.Dense(3, "tanh", name="shared")
    joined = layers.Concatenate()([shared(a), shared(b) * 2 - a[:, :3]])
    inner = rv.Model(a, rv.ops.mean(layers.Dense(4)(a), axis=1, keepdims=True), name="inner")
    return rv.Model({"a": a, "b": b}, [layers.Dense(1, name="one")(joined), inner(b)])


def same(ours, again, x):
    for p, q in zip(np.atleast_1d(ours.predict(x, verbose=0)), np.atleast_1d(again.predict(x, verbose=0)), strict=True):
        np.testing.assert_array_equal(p, q)


@pytest.mark.parametrize("name", ["a.keras", "a.h5"])
def test_a_model_is_read_as_it_was_written(name, tmp_path):
    ours = model()
    ours.save(tmp_path / name)
    again = rv.load_model(tmp_path / name)
    same(ours, again, X)
    losses = [m.fit(X, Y, epochs=2, verbose=0, shuffle=False).history["loss"] for m in (ours, again)]
    assert losses[0] == losses[1]
    assert [layer.name for layer in ours.layers] == [layer.name for layer in again.layers]
    other = model()
    other.load_weights(tmp_path / name)
    same(rv.load_model(tmp_path / name), other, X)


def test_a_functional_model_is_read_as_it_was_written(tmp_path):
    ours = functional()
    ours.save(tmp_path / "a.keras")
    again = rv.load_model(tmp_path / "a.keras")
    x = {"a": X, "b": X[::-1].copy()}
    for p, q in zip(ours.predict(x, verbose=0), again.predict(x, verbose=0), strict=True):
        np.testing.assert_array_equal(p, q)
    assert again.output_names == ours.output_names


def test_weights_alone(tmp_path):
    ours, other = model(), model()
    ours.fit(X, Y, epochs=1, verbose=0)
    ours.save_weights(tmp_path / "a.weights.h5")
    other.load_weights(tmp_path / "a.weights.h5")
    same(ours, other, X)
    small = rv.Sequential([rv.Input((3,)), layers.Dense(5), layers.BatchNormalization(), layers.Dense(2)])
    with pytest.raises(
        CheckpointError, match=r"(?s)\(3, 5\) here and \(3, 4\) in the file.*\(5, 2\) here and \(4, 2\)"
    ):
        small.load_weights(tmp_path / "a.weights.h5")


def dense(units: int, names: str = "ab") -> rv.Sequential:
    first, second = list(names)
    return rv.Sequential([
        rv.Input((3,)), rv.layers.Dense(4, name=first), rv.layers.Dense(units, name=second),
    ])  # fmt: skip


@pytest.mark.parametrize("name", ["a.weights.h5", "a.h5", "a.keras", "a.ranvier"])
def test_layers_that_do_not_fit_are_skipped_where_that_is_said(name, tmp_path):
    whole, other = dense(2), dense(5)
    (whole.save_weights if "weights" in name else whole.save)(tmp_path / name)
    before = other.layers[-1].get_weights()
    with pytest.raises(CheckpointError, match="wrong shape"):
        other.load_weights(tmp_path / name)
    with pytest.warns(UserWarning, match="do not fit keep their"):
        other.load_weights(tmp_path / name, skip_mismatch=True)
    assert np.array_equal(other.layers[0].get_weights()[0], whole.layers[0].get_weights()[0])
    assert np.array_equal(other.layers[-1].get_weights()[0], before[0])


def test_layers_take_weights_by_their_names(tmp_path):
    whole, other = dense(4), dense(4, "bc")
    whole.save(tmp_path / "a.h5")
    first = other.layers[0].get_weights()[0]
    with pytest.raises(CheckpointError, match="wrong shape"):
        other.load_weights(tmp_path / "a.h5", by_name=True)
    with pytest.warns(UserWarning, match="of 'b'"):
        other.load_weights(tmp_path / "a.h5", skip_mismatch=True, by_name=True)
    assert np.array_equal(other.layers[0].get_weights()[0], first)
    last = dense(4, "cb")
    last.load_weights(tmp_path / "a.h5", by_name=True)
    assert np.array_equal(last.layers[-1].get_weights()[0], whole.layers[-1].get_weights()[0])
    whole.save(tmp_path / "a.ranvier")
    whole.save_weights(tmp_path / "a.pt")
    whole.save_weights(tmp_path / "a.weights.h5")
    for name, options in (("a.ranvier", "by_name"), ("a.weights.h5", "by_name"), ("a.pt", "skip_mismatch")):
        with pytest.raises(ValueError, match=f"{options}=True is (not )?for"):
            whole.load_weights(tmp_path / name, **{options: True})


def test_files_of_two_writes_are_equal(tmp_path):
    ours = model()
    for name in ("a.keras", "b.keras"):
        ours.save(tmp_path / name)
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()


# --- what is refused ----------------------------------------------------------------------------------------------


def changed(path, change):
    """A file with another configuration."""
    with zipfile.ZipFile(path) as archive:
        parts = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    words = json.loads(parts["config.json"])
    change(words)
    parts["config.json"] = json.dumps(words).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def first(words):
    return words["config"]["layers"][1]


def test_arguments_that_keras_lacks_are_refused(tmp_path):
    for options, said in (({"mel_scale": "htk"}, "mel_scale='htk'"), ({"top_db": None}, "top_db=None")):
        model = rv.Sequential([rv.Input((64,)), rv.layers.MelSpectrogram(32, 10, num_mel_bins=4, **options)])
        with pytest.raises(TypeError, match=f"{said}, which Keras lacks. Write a name that ends with .ranvier instead"):
            model.save(tmp_path / "a.keras")


def test_a_layer_more_in_the_file_is_listed(tmp_path):
    pair = [rv.Sequential([rv.Input((3,)), *(rv.layers.Dense(n) for n in sizes)]) for sizes in ((4, 2), (4, 2, 5))]
    pair[1].save_weights(tmp_path / "a.weights.h5")
    with pytest.raises(CheckpointError, match="unexpected: layers/dense_2"):
        pair[0].load_weights(tmp_path / "a.weights.h5")


LAMBDA = {"class_name": "__lambda__", "config": {"code": "4wAAAA==", "defaults": None, "closure": None}}
CHANGES = {
    "a class": (lambda w: first(w).update(class_name="Densest"), "layer 'dense.*Densest, which is not known here.*custom_objects"),
    "a module": (lambda w: first(w).update(module="os", class_name="system"), r"os\.system, which is not known here"),
    "a function": (lambda w: first(w)["config"].update(activation={"class_name": "function", "config": "mine"}), "the function 'mine'"),
    "code": (
        lambda w: first(w).update(class_name="Lambda", config={"name": "made", "function": LAMBDA}),
        r"'made': it is a Lambda, and its code is not run.*custom_objects=\{'made': function\}",
    ),
    "an argument": (lambda w: first(w)["config"].update(renorm=True), "renorm=True, which Dense here lacks"),
    "a dtype": (lambda w: first(w)["config"].update(dtype={"class_name": "QuantizedDTypePolicy", "config": {}}), "QuantizedDTypePolicy"),
    "units": (lambda w: first(w)["config"].update(units=5), r"(?s)\(3, 5\) here and \(3, 4\) in the file"),
    "many units": (lambda w: first(w)["config"].update(units=2**40), r"would take \d+\.0 TiB|in fresh weights"),
    "a name": (lambda w: w["config"].pop("layers"), "has no layers"),
    "depth": (
        lambda w: w["config"].update(layers=[nested(60)]), "nested more than",
    ),
}  # fmt: skip


def nested(depth):
    words = {"class_name": "Sequential", "config": {"layers": []}}
    for _ in range(depth):
        words = {"class_name": "Sequential", "config": {"layers": [words]}}
    return words


def of_layer(kind, **options):
    """The configuration of a layer that would read a file."""
    words = {"class_name": kind, "config": {"name": "reads", "vocabulary": __file__, **options}}
    return lambda w: w["config"]["layers"].append(words)


CHANGES |= {
    f"the path of a file: {kind}": (of_layer(kind, **options), "layer 'reads' would be read from the file .*only code may")
    for kind, options in (
        ("StringLookup", {}), ("IntegerLookup", {}), ("TextVectorization", {}),
        ("StringLookup", {"idf_weights": [1.0], "output_mode": "tf_idf"}),
    )
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_configurations_that_are_refused(name, tmp_path):
    change, said = CHANGES[name]
    model().save(tmp_path / "a.keras")
    changed(tmp_path / "a.keras", change)
    with pytest.raises(CheckpointError, match=said):
        rv.load_model(tmp_path / "a.keras")


def test_a_function_is_given_for_code(tmp_path):
    rv.Sequential([rv.Input((3,)), layers.ReLU(name="twice")]).save(tmp_path / "a.keras")
    words = {"class_name": "Lambda", "config": {"name": "twice", "function": LAMBDA}}
    changed(tmp_path / "a.keras", lambda w: first(w).update(words))
    twice = rv.load_model(tmp_path / "a.keras", custom_objects={"twice": lambda x: x * 2})
    np.testing.assert_array_equal(twice.predict(X, verbose=0), 2 * X)


def test_what_is_no_layer_of_keras_is_not_written(tmp_path):
    own = rv.Sequential([rv.Input((3,)), layers.InstanceNormalization(name="own")])
    with pytest.raises(TypeError, match=r"'own'.*is none of Keras's"):
        own.save(tmp_path / "a.keras")
    held = rv.Sequential([rv.Input((3,)), layers.Dense(2, activation=lambda x: x, name="held")])
    with pytest.raises(TypeError, match=r"'held'.*no file of Keras holds"):
        held.save(tmp_path / "a.keras")
    assert not list(tmp_path.iterdir())


def linked(file):
    file["layers"] = h5py.ExternalLink("/etc/hostname", "/")


def elsewhere(file):
    file.create_dataset("layers/dense/vars/0", (3, 4), np.float32, external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])


def soft(file):
    file["layers"] = h5py.SoftLink("/layers")


def huge(file):
    file.create_dataset("layers/dense/vars/0", (1 << 40,), np.float32, chunks=(1024,), compression="gzip")


def deep(file):
    file.create_group("/".join(["a"] * 100))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (linked, "a link to elsewhere"),
        (soft, "a link to elsewhere"),
        (elsewhere, "no array of numbers in the file itself"),
        (huge, "larger than the file"),
        (deep, "nested more than"),
    ],
)
def test_trees_that_are_refused(make, said, tmp_path):
    path = tmp_path / "a.weights.h5"
    with h5py.File(path, "w") as file:
        make(file)
    with pytest.raises(CheckpointError, match=said):
        model().load_weights(path)


def bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", bytes(80 << 20))
        archive.writestr("model.weights.h5", b"")


KINDS = {
    "no name of ours": (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(50)), "a.keras", "no zip, or a damaged one"),
    "a bomb": (bomb, "a.keras", "unpacks to more than"),
    "weights": (lambda path: model().save_weights(path), "a.weights.h5", "weights and no architecture"),
    "a checkpoint": (lambda path: path.write_bytes(b"PK\x03\x04"), "a.pt", "a checkpoint of PyTorch"),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_files_of_another_kind(name, tmp_path):
    make, title, said = KINDS[name]
    make(tmp_path / title)
    with pytest.raises(CheckpointError, match=said):
        rv.load_model(tmp_path / title)


def test_names_of_other_formats_are_not_written(tmp_path):
    for name in ("a.pt", "a.pth", "a.onnx", "a.ONNX", "a.npz", "a.pkl"):
        for save in (model().save, *([] if name in ("a.pt", "a.pth") else [model().save_weights])):
            with pytest.raises(ValueError, match="the name of another format"):
                save(tmp_path / name)
    with pytest.raises(ValueError, match=r"ends with .weights.h5"):
        model().save_weights(tmp_path / "a.keras")
    ours = model()
    ours.save(tmp_path / "a.ranvier")
    (tmp_path / "a.ranvier").rename(tmp_path / "b.keras")  # the contents decide
    same(ours, rv.load_model(tmp_path / "b.keras"), X)


# --- damage -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.keras", "a.h5"])
def test_damaged_files_are_refused_or_read(name, tmp_path):
    ours = model()
    ours.save(tmp_path / name)
    data, refused = (tmp_path / name).read_bytes(), 0
    for part in damaged(data, seed=4):
        (tmp_path / name).write_bytes(part)
        described(tmp_path / name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = rv.load_model(tmp_path / name)
            except CheckpointError:
                refused += 1
                continue
        assert found.count_params() == ours.count_params()
        if name == "a.keras":  # every part has a checksum
            same(ours, found, X)
    assert refused


def test_damaged_weights_are_refused_or_read(tmp_path):
    """HDF5 has no checksum here; a model whose file is refused keeps its weights."""
    ours, other = model(), model("sgd")
    ours.save_weights(tmp_path / "a.weights.h5")
    data, refused = (tmp_path / "a.weights.h5").read_bytes(), 0
    before = [v.numpy() for v in other.weights]
    for part in damaged(data, seed=7):
        (tmp_path / "a.weights.h5").write_bytes(part)
        described(tmp_path / "a.weights.h5")
        try:
            other.load_weights(tmp_path / "a.weights.h5")
        except CheckpointError:
            refused += 1
            assert all(np.array_equal(v, w, equal_nan=True) for v, w in zip(other.get_weights(), before, strict=True))
        before = other.get_weights()
    assert refused


def test_losses_and_metrics_of_ones_own_are_found_by_their_names(tmp_path):
    """Also one whose name is short for a metric of the library."""

    def distance(y_true, y_pred):
        return rv.ops.mean(rv.ops.abs(y_true - y_pred), axis=-1)

    def rmse(y_true, y_pred):
        return rv.ops.mean(y_true - y_pred) + 5

    x, y = np.ones((4, 3), np.float32), np.arange(4, dtype=np.float32)
    model = rv.Sequential([rv.Input((3,)), rv.layers.Dense(1)])
    model.compile("sgd", distance, metrics=["mae", rmse])
    model.save(tmp_path / "own.keras")
    again = rv.load_model(tmp_path / "own.keras", custom_objects={"distance": distance, "rmse": rmse})
    assert again.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    with pytest.warns(UserWarning, match="custom_objects={'distance'"):
        rv.load_model(tmp_path / "own.keras")


@pytest.mark.parametrize("register", [rv.saving.register_keras_serializable("Mine"), rv.register_module])
def test_registered_layers_of_ones_own_are_found(register, tmp_path):
    """Under the names that files have for them, without ``custom_objects``."""

    class Dense(layers.Layer):
        """Not the library's."""

        def __init__(self, units, **options):
            super().__init__(**options)
            self.units = units

        def build(self, input_shape):
            self.w = self.add_weight(shape=(input_shape[-1], self.units))

        def call(self, inputs):
            return inputs @ self.w

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    Dense.__name__ = Dense.__qualname__ = "OwnDense"
    model = rv.Sequential([rv.Input((3,)), register(Dense)(2), layers.Dense(1)])
    x = np.ones((2, 3), np.float32)
    try:
        model.save(tmp_path / "model.keras")
        loaded = rv.load_model(tmp_path / "model.keras")
    finally:
        for name in [name for name, kind in REGISTRY.items() if kind is Dense]:
            del REGISTRY[name]
    np.testing.assert_array_equal(loaded(x), model(x))
    assert [type(layer) for layer in loaded[-2:]] == [Dense, layers.Dense]


@pytest.mark.parametrize(
    "constant", [np.float32([[1, 2, 3]]), rv.Tensor(np.float32([[1, 2, 3]]))], ids=["array", "tensor"]
)
def test_an_array_beside_a_symbolic_value(constant, tmp_path):
    """The file holds it as one argument of the layer, not as a list of several."""
    inputs = rv.Input((3,))
    model = rv.Model(inputs, [layers.Add()([inputs, constant]), layers.Multiply()([constant, inputs * 2])])
    model.save(tmp_path / "model.keras")
    found = rv.load_model(tmp_path / "model.keras").predict(np.ones((2, 3)), verbose=0)
    np.testing.assert_array_equal(found, [[[2, 3, 4]] * 2, [[2, 4, 6]] * 2])


def test_only_code_names_files(tmp_path):
    """Vocabularies in every form of a configuration; code names a file there too, where no configuration says it."""
    path = tmp_path / "words.txt"
    path.write_text("one\ntwo\n")
    words = {"class": "StringLookup", "name": "a", "config": {"vocabulary": str(path)}}
    learned = {"class": "StringLookup", "name": "a", "config": {}, "learned": {"": {"vocabulary": str(path)}}}
    for again in (
        lambda: rv.saving.model_from_json(json.dumps(words)),
        lambda: rv.saving.model_from_json(json.dumps(learned)),
        lambda: rv.Sequential.from_config({"*": [words]}),
        lambda: layers.deserialize({"module": "keras.layers", "class_name": "StringLookup", "config": words["config"]}),
    ):
        with pytest.raises(ValueError, match="only code may name files"):
            again()

    class Named(rv.Module):
        def __init__(self, name=None):
            super().__init__(name=name)
            self.words = layers.StringLookup(vocabulary=str(path))

        def forward(self, x):
            return x

    again = rv.saving.model_from_json(json.dumps({"class": "Named", "name": "a", "config": {}}), {"Named": Named})
    assert again.words.get_vocabulary() == ["[UNK]", "one", "two"]
    assert layers.StringLookup.from_config({"vocabulary": str(path)}).vocabulary_size() == 3
