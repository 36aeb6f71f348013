"""Images and windows in batches, and the functions of `utils` for files: what they give, and what they refuse."""

import hashlib

import numpy as np
import pytest

import ranvier as rv
from ranvier import layers, utils

pytest.importorskip("PIL")


@pytest.fixture
def folder(tmp_path):
    """Two folders of five images of one grey each: 0 to 4, and 10 to 14."""
    for number, name in enumerate("ab"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(5):
            path = tmp_path / "images" / name / f"{i}.png"
            utils.save_img(path, np.full((4, 6, 3), 10 * number + i), scale=False)
    return tmp_path / "images"


def greys(dataset):
    return sorted(int(x[i, 0, 0, 0]) for x, _ in dataset for i in range(len(x)))


def test_images_of_folders_come_in_batches_and_are_divided(folder, capsys):
    options = {"image_size": (4, 6), "batch_size": 3, "validation_split": 0.4, "seed": 1}
    train, held = utils.image_dataset_from_directory(folder, subset="both", **options)
    assert capsys.readouterr().out == "Found 10 files belonging to 2 classes.\n"
    assert (train.class_names, len(train), len(held), len(train.file_paths)) == (["a", "b"], 2, 2, 6)
    assert sorted(greys(train) + greys(held)) == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]
    alone = utils.image_dataset_from_directory(folder, subset="validation", verbose=False, **options)
    assert greys(alone) == greys(held)
    x, y = next(iter(train))
    assert (x.dtype, x.shape, y.dtype) == (np.float32, (3, 4, 6, 3), np.int32)
    assert np.array_equal(x[:, 0, 0, 0] >= 10, y == 1)
    orders = [[int(x[0, 0, 0, 0]) for x, _ in train] for _ in range(8)]
    assert len(set(map(str, orders))) > 1  # shuffled in each pass


def test_labels_of_images_have_the_form_that_is_asked_for(folder):
    def first(**options):
        options = {"image_size": 4, "shuffle": False, "batch_size": 6, "verbose": False, **options}
        return next(iter(utils.image_dataset_from_directory(folder, **options)))

    assert first()[1].tolist() == [0, 0, 0, 0, 0, 1]
    assert first(label_mode="binary")[1].tolist() == [[0], [0], [0], [0], [0], [1]]
    assert first(label_mode="categorical")[1][-2:].tolist() == [[1, 0], [0, 1]]
    assert first(labels=None, color_mode="grayscale").shape == (6, 4, 4, 1)
    assert first(labels=list(range(10)))[1].tolist() == [0, 1, 2, 3, 4, 5]
    assert first(class_names=["b", "a"])[0][0, 0, 0, 0] == 10
    assert first(batch_size=None)[0].shape == (4, 4, 3)


def test_fit_takes_images_of_folders(folder):
    data = utils.image_dataset_from_directory(folder, image_size=(4, 6), batch_size=5, shuffle=False, verbose=False)
    model = rv.Sequential([rv.Input((4, 6, 3)), layers.Flatten(), layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    scaled = data.cache().map(lambda x, y: (x / 255, y)).prefetch(2)
    assert scaled.class_names == ["a", "b"]
    assert len(model.fit(scaled, epochs=2, verbose=0).history["loss"]) == 2
    assert model.predict(scaled.take(1), verbose=0).shape == (5, 2)
    shuffled = data.shuffle(10, seed=3)
    assert greys(shuffled) == greys(data)
    assert len(shuffled.take(1)) == 1
    assert len({str(greys(shuffled.take(1))) for _ in range(8)}) > 1  # each pass has its own order


IMAGES_REFUSED = [
    ({"label_mode": "both"}, "label_mode"),
    ({"validation_split": 0.2}, "subset"),
    ({"validation_split": 0.2, "subset": "training"}, "seed"),
    ({"class_names": ["c"]}, "class_names"),
    ({"labels": [1, 2]}, "one for each"),
    ({"interpolation": "area"}, "interpolation"),
]


@pytest.mark.parametrize(("options", "message"), IMAGES_REFUSED, ids=[m for _, m in IMAGES_REFUSED])
def test_arguments_of_images_that_cannot_be_are_refused(folder, options, message):
    with pytest.raises(ValueError, match=message):
        utils.image_dataset_from_directory(folder, verbose=False, **options)


SERIES = np.arange(20).reshape(10, 2)
WINDOWS = [  # arguments, first steps of the windows, steps in each, targets
    ({"sequence_length": 3}, list(range(8)), [0, 1, 2], list(range(8))),
    ({"sequence_length": 3, "sampling_rate": 2, "sequence_stride": 2}, [0, 2, 4], [0, 2, 4], [0, 2, 4]),
    ({"sequence_length": 2, "start_index": 3, "end_index": 7}, [3, 4, 5], [0, 1], [3, 4, 5]),
]


@pytest.mark.parametrize(("options", "starts", "steps", "targets"), WINDOWS)
def test_windows_of_a_time_series(options, starts, steps, targets):
    expected = np.stack([SERIES[[start + step for step in steps]] for start in starts])
    found = utils.timeseries_dataset_from_array(SERIES, np.arange(10), batch_size=2, **options)
    x, y = (np.concatenate(parts) for parts in zip(*found, strict=True))
    assert np.array_equal(x, expected)
    assert y.tolist() == targets
    alone = np.concatenate(list(utils.timeseries_dataset_from_array(SERIES, None, shuffle=True, seed=0, **options)))
    assert sorted(map(str, alone)) == sorted(map(str, expected))


@pytest.mark.parametrize(
    "wrong", [{"sequence_stride": 0}, {"start_index": 12}, {"end_index": 0}, {"sequence_length": 20}]
)
def test_windows_that_a_time_series_does_not_have_are_refused(wrong):
    with pytest.raises(ValueError, match="Write"):
        utils.timeseries_dataset_from_array(SERIES, None, **{"sequence_length": 2, **wrong})


def test_images_become_arrays_and_files(tmp_path):
    pixels = np.arange(24).reshape(2, 4, 3)
    utils.save_img(tmp_path / "x.png", pixels, scale=False)
    image = utils.load_img(tmp_path / "x.png")
    assert np.array_equal(utils.img_to_array(image), pixels)
    assert utils.img_to_array(image, data_format="channels_first").shape == (3, 2, 4)
    assert utils.img_to_array(utils.load_img(tmp_path / "x.png", "grayscale", (3, 5))).shape == (3, 5, 1)
    assert utils.load_img(tmp_path / "x.png", target_size=(2, 2), keep_aspect_ratio=True).getpixel((0, 0)) == (3, 4, 5)
    assert np.asarray(utils.array_to_img(np.array([[[1.0], [3.0]]]))).tolist() == [[0, 255]]
    with pytest.raises(ValueError, match="channels"):
        utils.array_to_img(np.ones((2, 2)))


def test_get_file_finds_what_is_there_and_downloads_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"x\.csv there"):
        utils.get_file(origin="https://example.org/x.csv", cache_dir=tmp_path)
    path = tmp_path / "datasets" / "x.csv"
    path.parent.mkdir()
    path.write_bytes(b"1,2")
    good = hashlib.sha256(b"1,2").hexdigest()
    assert utils.get_file("x.csv", cache_dir=tmp_path, file_hash=good) == str(path)
    with pytest.raises(ValueError, match="hash"):
        utils.get_file("x.csv", cache_dir=tmp_path, file_hash="0" * 64)


def test_plot_model_writes_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    model = rv.Sequential([rv.Input((3,)), layers.Dense(2)])
    utils.plot_model(model, tmp_path / "model.svg", show_shapes=True)
    assert b"<svg" in (tmp_path / "model.svg").read_bytes()
    with pytest.raises(ValueError, match="rankdir"):
        utils.plot_model(model, rankdir="LR")
