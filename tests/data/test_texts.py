"""Texts from files and folders, and sequences in batches of similar lengths: what they give, and what they refuse."""

import re

import numpy as np
import pytest

import ranvier as rv
from ranvier import data, layers, utils

# --- folders --------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """Two folders of five texts."""
    for name in "ab":
        (tmp_path / "texts" / name).mkdir(parents=True)
        for i in range(5):
            (tmp_path / "texts" / name / f"{i}.txt").write_text(f"{name} {i}\n", encoding="utf-8")
    return tmp_path / "texts"


def of(dataset):
    return sorted(text for x, _ in dataset for text in x)


def test_texts_of_folders_come_in_batches_and_are_divided(folder, capsys):
    options = {"batch_size": 3, "validation_split": 0.4, "seed": 1}
    train, held = utils.text_dataset_from_directory(folder, subset="both", **options)
    assert capsys.readouterr().out == "Found 10 files belonging to 2 classes.\n"
    assert (train.class_names, len(train), len(held), len(train.file_paths)) == (["a", "b"], 2, 2, 6)
    assert sorted(of(train) + of(held)) == sorted(f"{name} {i}\n" for name in "ab" for i in range(5))
    x, y = next(iter(train))
    assert [text[0] for text in x] == ["ab"[label] for label in y]
    first = next(iter(utils.text_dataset_from_directory(folder, shuffle=False, max_length=3, verbose=False)))
    assert first[0].tolist() == [f"{name} {i}" for name in "ab" for i in range(5)]
    alone = utils.text_dataset_from_directory(folder, labels=None, batch_size=None, shuffle=False, verbose=False)
    assert next(iter(alone)) == "a 0\n"


def test_fit_takes_texts_of_folders(folder):
    dataset = utils.text_dataset_from_directory(folder, batch_size=5, verbose=False)
    vectorize = layers.TextVectorization(output_mode="count")
    vectorize.adapt(dataset.map(lambda x, y: x))
    model = rv.Sequential([vectorize, layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", engine="reference")
    history = model.fit(dataset, epochs=2, verbose=0, ignore="RV").history["loss"]
    assert len(history) == 2
    assert model.predict(dataset.take(1), verbose=0).shape == (5, 2)
    counts = rv.Sequential([layers.Dense(2, activation="softmax")])
    counts.compile("sgd", "sparse_categorical_crossentropy", engine="reference")
    counts.fit(dataset.map(lambda x, y: (vectorize(x), y)), epochs=1, verbose=0, ignore="RV")


def test_a_file_that_is_not_utf8_is_named_with_the_offset_of_the_byte(folder):
    (folder / "b" / "3.txt").write_bytes(b"\xef\xbb\xbfcaf\xe9\n")
    dataset = utils.text_dataset_from_directory(folder, verbose=False)
    with pytest.raises(ValueError, match=r"3\.txt is not UTF-8: byte 0xe9 at offset 6 .*latin-1"):
        list(dataset)


FOLDERS_REFUSED = [
    ({"label_mode": "both"}, "label_mode"),
    ({"validation_split": 0.2, "subset": "training"}, "seed"),
    ({"class_names": ["c"]}, "class_names"),
    ({"labels": [1, 2]}, "has 10 texts, and there are 2 labels"),
]


@pytest.mark.parametrize(("options", "message"), FOLDERS_REFUSED)
def test_what_no_folder_has_is_refused(folder, options, message):
    with pytest.raises(ValueError, match=message):
        utils.text_dataset_from_directory(folder, verbose=False, **options)


# --- tables ---------------------------------------------------------------------------------------------------------

# name: (file name, content, arguments, texts, labels, classes)
TABLES = {
    "csv": ("a.csv", 'label,text\npos,"good, and ""so"""\n\nneg,bad\n', {}, ['good, and "so"', "bad"], [1, 0], ["neg", "pos"]),
    "mark": ("a.csv", "\ufefftext,label\nx,1\n", {}, ["x"], [0], ["1"]),
    "lines": ("a.csv", 'text,label\r\n"two\r\nlines",1\r\n', {}, ["two\r\nlines"], [0], ["1"]),
    "tsv": ("a.tsv", "0\tbad\n4\tgood\n", {"text": 1, "label": 0}, ["bad", "good"], [0, 1], ["0", "4"]),
    "from the end": ("a.csv", "0;x;y\n", {"text": -1, "label": None, "delimiter": ";"}, ["y"], None, []),
    "skipped": ("a.tab", "C\tT\nd\tstring\nclass\t\nb\tx\n", {"text": "T", "label": "C", "skip_lines": 2}, ["x"], [0], ["b"]),
    "quotes": ("a.tsv", 'text\tlabel\n"so\t1\n', {"quotes": False}, ['"so'], [0], ["1"]),
    "classes": ("a.csv", "text,label\nx,b\n", {"class_names": ["b", "a"]}, ["x"], [0], ["b", "a"]),
    "long": ("a.csv", f"text,label\n{'x' * 200_000},b\n", {}, ["x" * 200_000], [0], ["b"]),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_tables_give_texts_and_labels(tmp_path, name):
    file, content, options, texts, labels, classes = TABLES[name]
    (tmp_path / file).write_bytes(content.encode())
    found = data.texts_from_csv(tmp_path / file, **options)
    assert (found.x.tolist(), None if found.y is None else found.y.tolist(), found.classes) == (texts, labels, classes)


TABLES_REFUSED = [
    (b"text,label\na,b,c\n", {}, "line 2, has 3 fields, and the first line has 2"),
    (b'text,label\n"a\nb",1\nc\n', {}, "line 4, has 1 fields"),
    (b'text,label\n"a,1\n', {}, "line 2: unexpected end of data.*quotes=False"),
    (b"text,label\n", {}, "has no rows"),
    (b"", {}, "has no rows"),
    (b"a,b\nx,y\n", {}, r"has the columns \['a', 'b'\], and no 'text'"),
    (b"a,b\n", {"text": 2, "label": 0}, "no column 2"),
    (b"text,label\nx,a\ny,c\n", {"class_names": ["a"]}, "line 3, has the label 'c'"),
    (b"text,label\nx,\xff\n", {}, "a.csv is not UTF-8: byte 0xff at offset 13"),
]


@pytest.mark.parametrize(("content", "options", "message"), TABLES_REFUSED, ids=[m for *_, m in TABLES_REFUSED])
def test_what_is_no_table_is_refused_with_its_line(tmp_path, content, options, message):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        data.texts_from_csv(tmp_path / "a.csv", **options)


# --- lengths --------------------------------------------------------------------------------------------------------

SEQUENCES = [[i] * n for i, n in enumerate([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 0], 1)]


def test_batches_have_the_longest_length_of_their_bucket():
    dataset = data.batches_by_length(SEQUENCES, np.arange(1, 13), batch_size=2, buckets=3)
    assert (dataset.lengths, len(dataset)) == ([2, 5, 9], 6)
    orders = []
    for _ in range(3):
        seen = []
        for x, y in dataset:
            assert x.shape[1] in dataset.lengths
            assert max(len(SEQUENCES[i - 1]) for i in y) > {2: -1, 5: 2, 9: 5}[x.shape[1]]
            for row, i in zip(x, y, strict=True):
                assert row.tolist() == SEQUENCES[i - 1] + [0] * (len(row) - len(SEQUENCES[i - 1]))
            seen += y.tolist()
        assert sorted(seen) == list(range(1, 13))
        orders.append(seen)
    assert len(set(map(str, orders))) > 1
    again = data.batches_by_length(SEQUENCES, np.arange(1, 13), batch_size=2, buckets=3)
    assert [i for _, y in again for i in y] == orders[0]
    assert len(list(dataset.take(2))) == 2


def test_arrays_that_are_padded_already_lose_their_padding():
    padded = utils.pad_sequences(SEQUENCES, padding="post")
    plain, other = (
        list(data.batches_by_length(x, batch_size=4, buckets=2, maxlen=5, shuffle=False)) for x in (SEQUENCES, padded)
    )
    assert [x.shape for x in plain] == [(4, 3), (2, 3), (4, 5), (2, 5)]
    assert all(map(np.array_equal, plain, other))
    vectors = data.batches_by_length([np.ones((2, 3)), np.ones((1, 3))], buckets=1, value=-1.0)
    assert next(iter(vectors)).shape == (2, 2, 3)


def test_fit_takes_batches_by_length():
    model = rv.Sequential(
        [rv.Input((None,), dtype="int32"), layers.Embedding(13, 2), layers.GlobalMaxPooling1D(), layers.Dense(1)]
    )
    model.compile("sgd", "mse", engine="reference")
    dataset = data.batches_by_length(SEQUENCES, np.arange(12.0), batch_size=4)
    assert len(model.fit(dataset, epochs=2, verbose=0, ignore="RV").history["loss"]) == 2


LENGTHS_REFUSED = [
    (lambda: data.batches_by_length([]), "0 sequences"),
    (lambda: data.batches_by_length(SEQUENCES, [1]), "12 sequences, and y has 1 rows"),
    (lambda: data.batches_by_length([[1], ["a"]]), re.escape("x[1] is ['a']")),
    (lambda: data.batches_by_length(["a b"]), re.escape("TextVectorization()(texts)")),
    (lambda: data.batches_by_length([np.ones((1, 2)), np.ones((1, 3))]), "write one shape|Write one shape"),
    (lambda: data.batches_by_length(SEQUENCES, buckets=0), "buckets=0"),
]


@pytest.mark.parametrize(("call", "message"), LENGTHS_REFUSED, ids=[message for _, message in LENGTHS_REFUSED])
def test_what_are_no_sequences_is_refused(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
