"""Random states and data of the PyTorch vocabulary: what checkpoints keep, what loaders make of samples."""

import collections
import itertools
from typing import Any, NamedTuple

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier.tensor import trace
from ranvier.torch import nn, optim
from ranvier.torch.utils import data

RNG = np.random.default_rng(5)
X = RNG.normal(size=(40, 6)).astype(np.float32)
Y = X[:, :3].argmax(1)


# --- where random numbers stand -----------------------------------------------------------------------------------


def test_an_explicit_loop_goes_on_from_a_checkpoint(tmp_path):
    """Shuffling by the seed and by a generator, dropout, and the weights drawn between: the same bits."""
    rows = data.TensorDataset(torch.tensor(X), torch.tensor(Y))

    def epoch(net, optimizer, generator):
        for loader in (data.DataLoader(rows, 16, True), data.DataLoader(rows, 16, True, generator=generator)):
            for x, y in loader:
                optimizer.zero_grad()
                nn.functional.cross_entropy(net(x), y).backward()
                optimizer.step()
        return [p.numpy() for p in net.parameters()] + [torch.randn(2).numpy()]

    def start():
        net = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 3))
        return net, optim.SGD(net.parameters(), lr=0.1), torch.Generator()

    torch.manual_seed(3)
    net, optimizer, generator = start()
    generator.manual_seed(4)
    epoch(net, optimizer, generator)
    kept = {"net": net.state_dict(), "rng": torch.get_rng_state(), "own": generator.get_state()}
    torch.save(kept, tmp_path / "all.pt")
    expected = epoch(net, optimizer, generator)

    rv.set_seed(99)
    net, optimizer, generator = start()
    found = torch.load(tmp_path / "all.pt")
    net.load_state_dict(found["net"])
    torch.set_rng_state(found["rng"])
    generator.set_state(found["own"])
    assert (torch.initial_seed(), generator.initial_seed()) == (3, 4)
    for a, b in zip(expected, epoch(net, optimizer, generator), strict=True):
        np.testing.assert_array_equal(a, b)


def test_states_of_generators():
    generator = torch.Generator()
    held = generator.numpy
    state = generator.manual_seed(2**63).get_state()
    assert (state.dtype, state.ndim, generator.numpy) == (torch.uint8, 1, held)
    assert torch.equal(state, generator.get_state())
    torch.rand(3, generator=generator)
    assert not torch.equal(state, generator.get_state())
    assert generator.seed() == generator.initial_seed() != 2**63
    generator.set_state(state)
    assert generator.initial_seed() == 2**63
    assert torch.random.get_rng_state().dtype == torch.uint8
    for wrong in (state, state.float(), torch.zeros(3, dtype=torch.uint8), torch.get_rng_state()[:9], 7):
        with pytest.raises(ValueError, match=r"a state that torch\.get_rng_state\(\) did not give .*uint8 tensor"):
            torch.set_rng_state(wrong)
    with pytest.raises(ValueError, match=r"torch\.Generator\.get_state\(\) did not give"):
        generator.set_state(torch.get_rng_state())


def test_seeds_are_those_of_pytorch():
    """Any number of 64 bits, also below 0; what seeds gives the generator back."""
    for given, seed in [(-1, 2**64 - 1), (2**63 + 5, 2**63 + 5), (3.0, 3), (torch.tensor(3), 3), (True, 1)]:
        own = torch.Generator()
        assert torch.manual_seed(given) is torch.default_generator
        assert (torch.initial_seed(), own.manual_seed(given).initial_seed()) == (seed, seed)
    for wrong in (2**64, -(2**63) - 1, "a", float("nan"), None):
        for manual_seed in (torch.manual_seed, torch.Generator().manual_seed):
            with pytest.raises(ValueError, match=r"is no number from -2\*\*63 .* Write torch\..*manual_seed\(0\)"):
                manual_seed(wrong)
    drawn = [torch.rand(3, generator=torch.manual_seed(4)), (torch.manual_seed(4), torch.rand(3))[1]]
    assert torch.equal(*drawn)
    state = torch.default_generator.get_state()
    orders = [rows(data.DataLoader(PAIRS, 6, True, generator=torch.default_generator)) for _ in range(2)]
    torch.default_generator.set_state(state)
    assert orders[0] != orders[1]
    assert rows(data.DataLoader(PAIRS, 6, True)) == orders[0]


# --- loaders ------------------------------------------------------------------------------------------------------


class Point(NamedTuple):
    x: Any
    y: Any


class Made(data.Dataset):
    """Samples that a function makes."""

    def __init__(self, make, n=4):
        self.make, self.n = make, n

    def __getitem__(self, index):
        return self.make(index)

    def __len__(self):
        return self.n


ROWS = data.TensorDataset(torch.arange(6), torch.arange(6) * 2)
WHOLE: list[tuple[Any, Any]] = [  # loaders of batch_size=None, and what their samples are
    (lambda: data.DataLoader(ROWS, batch_size=None), [[i, 2 * i] for i in range(6)]),
    (lambda: data.DataLoader(ROWS, None, sampler=data.BatchSampler(range(6), 4, False)),
     [[[0, 1, 2, 3], [0, 2, 4, 6]], [[4, 5], [8, 10]]]),
    (lambda: data.DataLoader(Made(lambda i: (np.full(2, i), "a", i), 2), None), [[[0, 0], "a", 0], [[1, 1], "a", 1]]),
    (lambda: data.DataLoader(Made(lambda i: i, 3), None, collate_fn=lambda s: -s), [0, -1, -2]),
    (lambda: data.DataLoader(data.ChainDataset([Numbers(), Numbers()]), None), [0, 1, 0, 1]),
]  # fmt: skip


class Numbers(data.IterableDataset):
    def __iter__(self):
        return iter(range(2))

    def __len__(self):
        return 2


def plain(value):
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value.tolist() if hasattr(value, "tolist") else value


@pytest.mark.parametrize("row", range(len(WHOLE)))
def test_samples_as_they_are(row):
    make, expected = WHOLE[row]
    loader = make()
    assert [plain(s) for s in loader] == expected
    assert len(loader) == len(expected)


def test_a_loader_without_batches_shuffles_and_is_fitted():
    torch.manual_seed(1)
    order = [int(s[0]) for s in data.DataLoader(ROWS, None, shuffle=True)]
    assert sorted(order) == list(range(6)) != order
    batches = Made(lambda i: (X[10 * i : 10 * i + 10], Y[10 * i : 10 * i + 10]))
    found = []
    for given in (data.DataLoader(batches, None), data.DataLoader(data.TensorDataset(X, Y), 10)):
        torch.manual_seed(2)
        net = nn.Sequential(nn.Linear(6, 3))
        net.compile(optim.SGD(net.parameters(), lr=0.1), nn.CrossEntropyLoss())
        found.append(net.fit(given, epochs=2, verbose=0, ignore="RV").history)
    assert found[0] == found[1]


def test_batches_keep_the_kind_of_their_samples():
    (batch,) = data.DataLoader(Made(lambda i: Point(i, {"a": (i, b"k")}), 3), 3)
    assert type(batch) is Point
    assert (batch.x.tolist(), batch.y["a"][0].tolist(), batch.y["a"][1]) == ([0, 1, 2], [0, 1, 2], (b"k",) * 3)
    ordered = collections.OrderedDict(b=1, a=2)
    assert type(data.default_collate([ordered] * 2)) is collections.OrderedDict
    assert type(data.default_convert(Point(np.ones(1), "a"))) is Point
    assert data.dataloader.default_collate is data.default_collate
    assert data.default_collate([(1, 2), (3, 4)])[1].tolist() == [2, 4]


UNEQUAL: list[tuple[Any, str]] = [
    (lambda i: np.zeros(2 + (i == 6)), r"sample 6 of the data set has shape \(3,\), and sample 4 has shape \(2,\)"),
    (lambda i: {"x": (0, torch.ones(1 + i % 2))}, r"sample 1 of .* shape \(2,\) at \['x'\]\[1\], and sample 0"),
    (lambda i: [0] * (1 + i // 7), "sample 7 of the data set has 2 parts, and sample 4 has 1 parts"),
    (lambda i: {"a": 0} if i < 2 else {"b": 0}, r"sample 2 of the data set has keys \['b'\], and sample 0 has keys \['a'\]"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "said"), UNEQUAL)
def test_samples_of_several_sizes_are_named(make, said):
    with pytest.raises(ValueError, match=rf"{said}.*Write a collate_fn .*pad_sequence"):
        list(data.DataLoader(Made(make, 8), 4))
    with pytest.raises(ValueError, match="sample 1 of the batch has shape"):
        data.default_collate([np.ones(1), np.ones(2)])


def test_what_a_loader_was_given_can_be_asked():
    loader = data.DataLoader(ROWS, 2, False, None, None, 4, None, True, timeout=3)
    given = {"num_workers": 4, "pin_memory": True, "timeout": 3, "prefetch_factor": None, "collate_fn": None}
    assert {name: getattr(loader, name) for name in given} == given
    assert len(loader.sampler) == 6
    assert type(data.DataLoader(ROWS, shuffle=True).sampler) is data.RandomSampler
    with pytest.raises(ValueError, match="Leave out drop_last"):
        data.DataLoader(ROWS, None, drop_last=True)


def test_data_sets_side_by_side():
    pair = data.StackDataset(ROWS, Made(lambda i: i, 6))
    assert plain(list(pair[2][0])) == [2, 4]
    assert pair[2][1] == 2
    named = data.StackDataset(a=ROWS, b=Made(lambda i: -i, 6))
    assert named[3]["b"] == -3
    assert len(pair) == len(named) == 6
    chain = Numbers() + Numbers()
    assert (type(chain), len(chain), list(chain)) == (data.ChainDataset, 4, [0, 1, 0, 1])
    for wrong, said in [
        (data.StackDataset, "either all of them by name or none"),
        (lambda: data.StackDataset(ROWS, b=ROWS), "either all of them by name or none"),
        (lambda: data.StackDataset(ROWS, Made(int)), "hold 6 and 4 samples"),
    ]:
        with pytest.raises(ValueError, match=said):
            wrong()


def test_sequences_of_several_lengths():
    pad = nn.utils.rnn.pad_sequence
    rows = [torch.arange(n * 2).view(n, 2) for n in (3, 1, 2)]
    (batch,) = data.DataLoader(Made(rows.__getitem__, 3), 3, collate_fn=lambda b: pad(b, batch_first=True))
    known = len(trace.programs)
    for lengths in ([5, 2], [3, 7], [4, 4]):  # of what is at hand nothing is compiled
        assert pad([torch.ones(n) for n in lengths], padding_value=-1.0).shape == (max(lengths), 2)
    assert len(trace.programs) == known
    assert batch.tolist() == [[[0, 1], [2, 3], [4, 5]], [[0, 1], [0, 0], [0, 0]], [[0, 1], [2, 3], [0, 0]]]
    assert batch.dtype == torch.int64
    back = nn.utils.rnn.unpad_sequence(batch, torch.tensor([3, 1, 2]), batch_first=True)
    assert [b.tolist() for b in back] == [r.tolist() for r in rows]
    for wrong, said in [([], "no sequences"), ([torch.ones(2, 3), torch.ones(2, 4)], "sequence 1 has shape"),
                        ([torch.tensor(1.0)], "sequence 0 has shape")]:  # fmt: skip
        with pytest.raises(ValueError, match=said):
            pad(wrong)


# --- samplers, and what they give ---------------------------------------------------------------------------------

PAIRS = data.TensorDataset(torch.arange(12).view(6, 2))


class Endless(data.Sampler[int]):
    def __iter__(self):
        return itertools.cycle(range(6))


def rows(batches, most=3):
    return [batch[0].tolist() for batch in itertools.islice(batches, most)]


@pytest.mark.parametrize("chosen", [(0, 1), {0, 1}, range(2), np.arange(2), [torch.tensor(0), torch.tensor(1)]])
@pytest.mark.parametrize("of", [PAIRS, data.Subset(PAIRS, range(6))])
def test_batches_of_a_sampler_are_any_iterables_of_numbers(chosen, of):
    given = (chosen, iter(chosen), (i for i in chosen))
    assert rows(data.DataLoader(of, batch_sampler=given)) == [[[0, 1], [2, 3]]] * 3


@pytest.mark.parametrize("wrong", [[True, False], [], [0.5], [[0, 1]], ["a"], np.ones(6, bool)])
def test_what_is_no_number_of_a_row_is_refused(wrong):
    with pytest.raises(TypeError, match=r"a sampler gave .* Write whole numbers"):
        rows(data.DataLoader(PAIRS, batch_sampler=[wrong]))


def test_samplers_without_an_end():
    wanted = [[[0, 1], [2, 3], [4, 5], [6, 7]], [[8, 9], [10, 11], [0, 1], [2, 3]]]
    assert rows(data.DataLoader(PAIRS, 4, sampler=Endless()), 2) == wanted
    assert rows(data.DataLoader(PAIRS, batch_sampler=data.BatchSampler(Endless(), 4, False)), 2) == wanted
    loader = data.DataLoader(data.TensorDataset(X, Y), 8, sampler=Endless())
    assert len(compiled().fit(loader, epochs=2, steps_per_epoch=3, verbose=0, ignore="RV").history["loss"]) == 2


class Keyed(data.Dataset[int]):
    def __getitem__(self, key):
        return {"a": 1, "b": 2}[key]

    def __len__(self):
        return 2


def test_samples_by_key():
    assert [b.tolist() for b in data.DataLoader(Keyed(), 2, sampler=["b", "a"])] == [[2, 1]]
    assert [b.tolist() for b in data.DataLoader(Keyed(), 2, sampler=data.SubsetRandomSampler(["b"]))] == [[2]]


class Twice(data.DataLoader[Any]):
    """A loader that gives other batches than its own."""

    def __iter__(self):
        return ([2 * x, y] for x, y in super().__iter__())


def test_a_subclass_that_iterates_in_its_own_way_is_asked():
    rv.set_seed(0)
    net = nn.Sequential(nn.Linear(6, 3))
    rows = data.TensorDataset(X, Y)
    np.testing.assert_array_equal(net.predict(Twice(rows, 40)), net.predict(2 * X))


def test_rows_keep_the_graph_of_their_gradients():
    w = torch.ones(2, 3, requires_grad=True)
    for batch in (data.default_collate([w[0], w[1]]), next(iter(data.DataLoader(data.TensorDataset(w), 2)))[0]):
        w.grad = None
        (batch * 2).sum().backward()
        assert w.grad.tolist() == [[2.0] * 3] * 2


def test_the_attributes_of_loaders_and_data_sets():
    loader = data.DataLoader(ROWS, 4, drop_last=True)
    assert list(loader.batch_sampler) == [[0, 1, 2, 3]]
    assert data.ConcatDataset([ROWS, ROWS]).cumulative_sizes == [6, 12]
    assert [plain(t) for t in data.Subset(ROWS, [5, 4, 3])[[0, 2]]] == [[5, 3], [10, 6]]
    assert data.default_collate([np.str_("a"), np.str_("b")]) == ["a", "b"]
    of: Any = (data.IterableDataset[int], data.Dataset[torch.Tensor], data.DataLoader[int])
    assert [kind.__origin__ for kind in of] == [data.IterableDataset, data.Dataset, data.DataLoader]
    for name in ("sampler", "batch_sampler", "batch_size", "drop_last", "dataset"):
        with pytest.raises(ValueError, match=rf"{name} of a DataLoader cannot be changed"):
            setattr(loader, name, None)


def compiled():
    net = nn.Sequential(nn.Linear(6, 3))
    net.compile(optim.SGD(net.parameters(), lr=0.1), nn.CrossEntropyLoss())
    return net


WRONG: list[tuple[Any, type[Exception], str]] = [
    (lambda: compiled().fit(X, Y, sampler=data.RandomSampler(X)), TypeError, "has no method order"),
    (lambda: data.DataLoader(ROWS, 32, batch_sampler=[[0]]), ValueError, "mutually exclusive with batch_size"),
    (lambda: data.DataLoader(ROWS, shuffle=True, drop_last=True, batch_sampler=[[0]]), ValueError, "with shuffle, drop_last"),
    (lambda: data.DataLoader(ROWS, sampler=[0], batch_sampler=[[0]]), ValueError, "mutually exclusive with sampler"),
    (lambda: data.DataLoader(ROWS, 2.0), ValueError, r"DataLoader\(batch_size=2.0\): write a whole number"),
    (lambda: data.BatchSampler(range(3), 0, False), ValueError, r"BatchSampler\(batch_size=0\)"),
    *[(lambda n=n: data.RandomSampler(ROWS, num_samples=n), ValueError, rf"RandomSampler\(num_samples={n}\)")
      for n in (0, -1, 2.5)],
    *[(lambda make=make: make(3), TypeError, r"generator=3 is no ranvier.torch.Generator. Write generator=torch.Gen")
      for make in (lambda g: data.DataLoader(ROWS, generator=g), lambda g: data.RandomSampler(ROWS, generator=g),
                   lambda g: data.random_split(ROWS, [6], g), lambda g: torch.rand(2, generator=g))],
    (lambda: data.random_split(range(10), [1.5, -0.5]), ValueError, r"lengths \[1.5, -0.5\] contain a negative one"),
    (lambda: data.random_split(range(10), [0.5, 0.3]), ValueError, r"fractions \[0.5, 0.3\] sum to 0.8. Write fractions"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "said"), WRONG)
def test_what_loaders_and_samplers_refuse(make, error, said):
    with pytest.raises(error, match=said):
        make()


def test_tensors_of_another_library_are_stacked():
    """Such as those that the transforms of torchvision give."""

    class Foreign:
        def __init__(self, value):
            self.value = value

        def __array__(self, dtype=None, copy=None):
            return np.full((2, 3), self.value, np.float32)

    ((x, y),) = data.DataLoader([(Foreign(i), i) for i in range(4)], batch_size=4)
    assert (type(x), tuple(x.shape), x.dtype) == (torch.Tensor, (4, 2, 3), "float32")
    assert x[:, 0, 0].tolist() == y.tolist() == [0, 1, 2, 3]
    with pytest.raises(TypeError, match="samples hold a object, which cannot be made a batch"):
        next(iter(data.DataLoader([object()])))
