"""Whatever the strides, the byte order and the dtype of an array, the gate gives its values and never writes to it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from ranvier.data.arrays import as_features
from ranvier.data.targets import as_labels, as_targets, as_weights

KEPT = {"bool", "uint8", "int32"}
DTYPES = st.sampled_from(["?", "u1", "i1", "u2", "i2", "u4", "i4", "i8", "u8", "f2", "f4", "f8", ">i4", ">i8", ">f2", ">f4", ">f8", ">u2"])  # fmt: skip


def some_of(size):
    """Slices that keep at least one of ``size`` entries."""
    return st.slices(size).filter(lambda s: len(range(*s.indices(size))) > 0)


def steps(array, draw):
    """One slice for each axis, which may reverse and skip."""
    return array[tuple(draw(some_of(size)) for size in array.shape)]


def broadcast(array, draw):
    return np.broadcast_to(array[..., None], (*array.shape, draw(st.integers(1, 3))))


def misaligned(array, draw):
    """The same values one byte off every boundary, as a field of a packed record is."""
    raw = np.zeros(array.nbytes + 1, np.uint8)
    view = raw[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def read_only(array, draw):
    view = array.view()
    view.flags.writeable = False
    return view


VIEWS = {
    "slices": steps,
    "reversed": lambda array, draw: array[::-1],
    "transposed": lambda array, draw: array.transpose(draw(st.permutations(range(array.ndim)))),
    "broadcast": broadcast,
    "byte-swapped": lambda array, draw: array.astype(array.dtype.newbyteorder("S")),
    "Fortran order": lambda array, draw: np.asfortranarray(array),
    "misaligned": misaligned,
    "read-only": read_only,
    "subclass": lambda array, draw: np.ma.masked_array(array, mask=False),
}


@st.composite
def views(draw):
    """An array seen through up to three of the views, of values that every dtype here holds exactly."""
    dtype = np.dtype(draw(DTYPES))
    values = st.integers(0, 1) if dtype.kind == "b" else st.integers(0, 100)
    array = draw(stn.arrays(dtype, stn.array_shapes(min_dims=1, max_dims=3, max_side=6), elements=values))
    names = draw(st.lists(st.sampled_from(sorted(VIEWS)), max_size=3))
    for name in names:
        array = VIEWS[name](array, draw)
    return array


def frozen(array):
    """The bytes an array's memory holds, to see whether anybody wrote there."""
    base = array
    while isinstance(base.base, np.ndarray):
        base = base.base
    return base, base.tobytes()


def fit_for_native_code(result):
    return type(result) is np.ndarray and result.flags.c_contiguous and result.flags.aligned and result.dtype.isnative


@given(views(), st.sampled_from(["f4", "f8"]))
@settings(max_examples=200, deadline=None)
def test_features_equal_a_plain_copy(array, dtype):
    base, before = frozen(array)
    plain = np.array(array)
    result = as_features(array, dtype=dtype)
    expected = plain.dtype.name if plain.dtype.name in KEPT else np.dtype(dtype).name
    assert result.dtype.name == expected
    assert fit_for_native_code(result)
    np.testing.assert_array_equal(result, plain)
    assert base.tobytes() == before


@given(views())
@settings(max_examples=150, deadline=None)
def test_labels_targets_and_weights_equal_a_plain_copy(array):
    base, before = frozen(array)
    plain = np.array(array)
    labels = as_labels(array, classes=101, sample_shape=array.shape[1:])
    targets = as_targets(array, array.shape[1:])
    assert labels.dtype == np.int32
    assert targets.dtype == np.float32
    assert fit_for_native_code(labels)
    assert fit_for_native_code(targets)
    np.testing.assert_array_equal(labels, plain)
    np.testing.assert_array_equal(targets, plain)
    if array.ndim == 1 and plain.any():
        np.testing.assert_array_equal(as_weights(array, len(array)), plain)
    assert base.tobytes() == before


@given(views(), st.data())
@settings(max_examples=150, deadline=None)
def test_nan_is_found_where_it_is(array, data):
    plain = np.array(array, "f8")
    at = tuple(data.draw(st.integers(0, size - 1)) for size in plain.shape)
    plain[at] = np.nan
    strided = np.asfortranarray(plain)[:, ...]
    place = f"row {at[0]}" + (f", column {at[1]}" if len(at) == 2 else f", position {at[1:]}" if len(at) > 2 else "")
    for x in (plain, strided, plain.astype(">f8")):
        with pytest.raises(ValueError, match="nan") as error:
            as_features(x)
        assert f"x has nan at {place}. " in str(error.value)


@given(stn.arrays("f8", stn.array_shapes(max_dims=2, max_side=200), elements=st.floats(-1, 1)), st.data())
@settings(max_examples=50, deadline=None)
def test_float64_is_rounded_as_numpy_rounds(array, data):
    np.testing.assert_array_equal(as_features(array[::-1]), array[::-1].astype("f4"))


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_a_memory_map_is_read_in_place(tmp_path, mode):
    values = np.arange(12, dtype="f4").reshape(3, 4)
    np.save(tmp_path / "x.npy", values)
    before = (tmp_path / "x.npy").read_bytes()
    mapped = np.load(tmp_path / "x.npy", mmap_mode=mode)
    result = as_features(mapped)
    assert type(result) is np.ndarray
    assert np.shares_memory(result, mapped)
    np.testing.assert_array_equal(as_features(mapped[::-1]), values[::-1])
    np.testing.assert_array_equal(as_features(mapped.T), values.T)
    del result, mapped
    assert (tmp_path / "x.npy").read_bytes() == before


def test_a_fault_in_a_large_array_is_found_in_every_layout():
    """Larger than the pieces in which the gate looks, contiguous and not, rows longer than a piece too."""
    for shape in ((700, 300), (3, 150_000), (200_000,), (3, 2, 70_000)):
        for layout in (np.array, np.asfortranarray, lambda a: np.repeat(a, 2, axis=-1)[..., ::2]):
            x = np.zeros(shape, "f4")
            at = tuple(size - 2 if size > 2 else size - 1 for size in shape)
            x[at] = np.inf
            with pytest.raises(ValueError, match=f"inf at row {at[0]}"):
                as_features(layout(x))
