"""Folders of images, sounds and texts, and arrays: read, trained on, predicted."""

import numpy as np
import pytest

import ranvier as rv
from ranvier.auto import baselines, evaluate, networks, predict, read_data, train
from ranvier.auto.report import parts

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(baselines, "has_trees", lambda: False)
    rv.set_engine("reference")
    yield
    rv.set_engine(None)


def pictures(folder, count=24, size=(6, 5)):
    """Bright and dark images, a folder for each."""
    image = pytest.importorskip("PIL.Image")
    for k in range(count):
        place = folder / ("bright" if k % 2 else "dark")
        place.mkdir(parents=True, exist_ok=True)
        pixels = RNG.integers(0, 80, size) + 150 * (k % 2)
        image.fromarray(pixels.astype(np.uint8)).save(place / f"{k:02}.png")
    return folder


def sounds(folder):
    soundfile = pytest.importorskip("soundfile")
    for k in range(12):
        place = folder / ("high" if k % 2 else "low")
        place.mkdir(parents=True, exist_ok=True)
        wave = np.sin(np.arange(1600 + 10 * k) * (0.9 if k % 2 else 0.2))
        soundfile.write(place / f"{k:02}.wav", wave.astype(np.float32), 8000)
    return folder


def texts(folder):
    for k in range(24):
        place = folder / ("praise" if k % 2 else "blame")
        place.mkdir(parents=True, exist_ok=True)
        words = [
            *RNG.choice(["the", "film", "was", "seen"], 5),
            *RNG.choice(["great", "fine"] if k % 2 else ["bad", "dull"], 3),
        ]
        (place / f"{k:02}.txt").write_text(" ".join(words))
    return folder


def test_images(tmp_path):
    folder = pictures(tmp_path / "pictures")
    run = train(
        folder,
        out=tmp_path / "run",
        trials=1,
        folds=1,
        network="mlp",
        settings={"epochs": 20, "width": 8, "rate": 0.02, "batch": 4},
    )
    assert {name: column.kind for name, column in run.columns.items()} == {
        "file": "identifier", "image": "image", "class": "category",
    }  # fmt: skip
    assert run.data["options"]["options"] == {"image_size": [6, 5], "color_mode": "grayscale"}
    assert evaluate(run, folder)["scores"]["accuracy"] == 1
    flat = predict(run, folder / "dark")
    assert set(flat.columns["predicted class"]) == {"dark"}
    assert flat.text().splitlines()[0] == "file,predicted class,probability bright,probability dark"
    one = next((folder / "dark").iterdir())
    assert predict(run, one).text().splitlines()[1].startswith(f"{one.name},dark,")
    with pytest.raises(ValueError, match="Write a folder with a folder in it for each class"):
        evaluate(run, one)
    with pytest.raises(ValueError, match=r"lacks the column 'image'.*one image for each row"):
        predict(run, texts(tmp_path / "texts"))
    other = predict(run, pictures(tmp_path / "large", 4, (12, 10)))  # resized as in training
    assert other.output.shape == (4, 2)
    assert run.read_data().digest == run.data["sha256"]
    found = rv.auto.importances(run)
    assert found.names[:2] == ("row 1, column 1", "row 1, column 2")
    assert len(found.names) == 30


def test_sounds_and_texts_are_tables(tmp_path):
    heard = read_data(sounds(tmp_path / "sounds"))
    assert heard.columns["sound"].shape == (12, 1710)
    assert heard.options == {"sampling_rate": 8000, "length": 1710}
    assert sorted(set(heard.columns["class"])) == ["high", "low"]
    folder = texts(tmp_path / "texts")
    run = train(
        folder, out=tmp_path / "run", trials=1, folds=2, settings={"epochs": 10, "width": 8, "rate": 0.05, "batch": 4}
    )
    assert run.columns["text"].kind == "text"
    assert evaluate(run, folder)["scores"]["accuracy"] > 0.9
    found = rv.auto.importances(run)
    assert found.metric == "log_loss"
    assert {found.names[k] for k in np.argsort(-found.mean)[:2]} <= {"great", "fine", "bad", "dull"}


def test_words_are_left_out_one_by_one():
    assert dict(parts.words_left_out("A film, a good film.")) == {
        "a": " film,  good film.", "film": "A , a good .", "good": "A film, a  film.",
    }  # fmt: skip
    assert dict(parts.words_left_out("好电影")) == {"好": "电影", "电": "好影", "影": "好电"}
    assert list(parts.words_left_out("")) == []


def test_sounds_are_learned(tmp_path):
    folder = sounds(tmp_path / "sounds")
    run = train(folder, out=tmp_path / "run", trials=1, folds=1, network="linear", settings={"epochs": 2, "batch": 4})
    assert run.data["kind"] == "sound"
    assert predict(run, folder / "low").output.shape == (6, 2)
    assert rv.auto.importances(run).names[0] == "0\u20130.0106 s"
    speech = networks.build(run.task, (1710,), None, sampling_rate=8000)(network="speech")
    assert speech.output_shape == (None, 2)


def test_arrays_of_images_and_of_numbers(tmp_path):
    x = RNG.integers(0, 9, (20, 4, 4)) * (1 + np.arange(20) % 2)[:, None, None]
    np.savez(tmp_path / "images.npz", x=x.astype(np.uint8), y=np.arange(20) % 2)
    np.savez(tmp_path / "numbers.npz", x=x.reshape(20, 16).astype(np.float32), y=np.arange(20) % 2)
    assert read_data(tmp_path / "images.npz").columns["image"].shape == (20, 4, 4, 1)
    assert len(read_data(tmp_path / "numbers.npz").columns) == 17
    run = train(
        tmp_path / "images.npz", out=tmp_path / "run", trials=1, folds=1, network="linear", settings={"epochs": 2}
    )
    assert run.task.classes == ["0", "1"]
    np.savez(tmp_path / "small.npz", x=x[:, :2].astype(np.uint8))
    with pytest.raises(ValueError, match="has images of"):
        predict(run, tmp_path / "small.npz")


def test_a_network_of_ones_own(tmp_path):
    data = tmp_path / "d.csv"
    data.write_text("\n".join(["a,y", *(f"{k},{'yes' if k > 29 else 'no'}" for k in RNG.permutation(60))]))
    own = tmp_path / "own.py"
    own.write_text(
        "import ranvier as rv\n\n\ndef build(shape, outputs):\n"
        "    return rv.Sequential([rv.Input(shape), rv.layers.Dense(5, 'relu'), rv.layers.Dense(outputs)])\n"
    )
    asked = {"trials": 1, "folds": 2, "columns": {"a": "number"}, "settings": {"epochs": 2, "rate": 0.01}}
    run = train(data, "y", tmp_path / "run", network=f"{own}:build", **asked)
    assert run.trials[0]["settings"]["network"] == "own"
    assert [layer.units for layer in rv.auto.Run.load(tmp_path / "run").model.modules() if hasattr(layer, "units")][
        :2
    ] == [5, 2]
    for network, pattern in (
        (f"{own}:no", "has no function 'no'"),
        ("cnn", "does not take rows of shape"),
        ("x", "network='x'"),
        ("mpl", "Write 'mlp', another one of"),
    ):
        with pytest.raises(ValueError, match=pattern):
            train(data, "y", tmp_path / "other", network=network, **asked)


REFUSED = {  # files in a folder, and what must be said
    "nothing": ({"a/x.bin": b"x"}, "no images, sounds or texts"),
    "kinds": ({"a/x.txt": b"x", "b/y.wav": b"y"}, "1 sound files, 1 texts"),
    "an empty class": ({"a/x.txt": b"x", "b/y.md": b"y"}, "has no texts"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_folder_is_refused(name, tmp_path):
    files, pattern = REFUSED[name]
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    with pytest.raises(ValueError, match=pattern):
        read_data(tmp_path)


def test_a_file_of_arrays_is_refused(tmp_path):
    path = tmp_path / "d.npz"
    for save, pattern in (
        (lambda: np.savez(path, a=np.ones(3)), "has a"),
        (lambda: path.write_bytes(b"PK\x03\x04"), "could not be read"),
    ):
        save()
        with pytest.raises(ValueError, match=pattern):
            read_data(path)
