"""The PyTorch vocabulary by itself: the explicit loop, data loaders, optimizers, files, what is refused and how."""

import copy
import io
from typing import Any

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
import ranvier.torch.nn.functional as F
from ranvier.tensor import tape, trace
from ranvier.torch import nn, optim
from ranvier.torch.utils.data import DataLoader, Dataset, Subset, TensorDataset, random_split

RNG = np.random.default_rng(0)
X = RNG.random((96, 4, 5)).astype(np.float32)
Y = (X.reshape(96, -1) @ RNG.standard_normal((20, 3))).argmax(1)


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()  # noqa: UP008  # as tutorials write it
        self.fc1 = nn.Linear(20, 16)
        self.fc2 = nn.Linear(16, 3)

    def forward(self, x):
        x = torch.flatten(x, 1)
        return self.fc2(F.relu(self.fc1(x)))


def loader(**options):
    return DataLoader(TensorDataset(torch.tensor(X), torch.tensor(Y)), batch_size=32, **options)


def train(net, optimizer, epochs=5):
    criterion = nn.CrossEntropyLoss()
    losses = []
    for _ in range(epochs):
        running_loss = 0.0
        for _, data in enumerate(loader(shuffle=True), 0):
            inputs, labels = data
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
        losses.append(running_loss / 3)
    return losses


# --- the explicit loop --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda p: optim.SGD(p, lr=0.5), lambda p: optim.Adam(p, lr=0.02)])
def test_the_loop_learns(make, engine):
    torch.manual_seed(0)
    net = Net()
    losses = train(net, make(net.parameters()), epochs=20)
    assert losses[-1] < 0.7 * losses[0]


def test_a_step_is_one_program_and_is_compiled_once(monkeypatch):
    runs: list[bool] = []
    net = Net()
    optimizer = optim.Adam(net.parameters())
    train(net, optimizer, epochs=2)
    known = len(trace.programs)
    flush = tape.flush

    def counting(segment):
        runs.append(bool(segment.assigns))
        flush(segment)

    monkeypatch.setattr(tape, "flush", counting)
    optimizer.param_groups[0]["lr"] = 0.5  # a changed rate is no other program
    train(net, optimizer, epochs=1)
    assert len(trace.programs) == known
    assert runs.count(True) == 3


@pytest.mark.parametrize("first", [nn.ReLU(inplace=True), nn.Dropout(0.1, inplace=True)], ids=["relu", "dropout"])
def test_networks_that_change_activations_in_place(first, tmp_path):
    """One program for a step, the same bits as without, in a loop and in ``fit``, which leaves the data alone."""
    x, y = X.reshape(96, 20) - 0.5, np.arange(96) % 3
    given = x.copy()

    def run(inplace, how):
        torch.manual_seed(0)
        net = nn.Sequential(first, nn.Linear(20, 8), nn.Dropout(0.2, True), nn.ReLU(True), nn.Linear(8, 3))
        for module in net.modules():
            if hasattr(module, "inplace"):
                module.inplace = inplace
        optimizer = optim.SGD(net.parameters(), lr=0.1)
        if how == "fit":
            net.compile(optimizer, nn.CrossEntropyLoss())
            net.fit(x, y, epochs=2, batch_size=32, shuffle=False, verbose=0)
        for start in range(0, 96, 32) if how == "loop" else ():
            optimizer.zero_grad()
            loss = F.cross_entropy(net(torch.tensor(x[start : start + 32])), torch.tensor(y[start : start + 32]))
            loss.backward()
            optimizer.step()
        known = len(trace.programs)
        return [p.numpy() for p in net.parameters()], known, net

    for how in ("loop", "fit"):
        plain, changed = run(False, how), run(True, how)
        assert all(np.array_equal(a, b) for a, b in zip(plain[0], changed[0], strict=True))
        assert changed[1] - plain[1] <= (how == "loop")
    np.testing.assert_array_equal(x, given)
    changed[2].save(tmp_path / "net.rv")
    assert "inplace=True" in repr(rv.load_model(tmp_path / "net.rv")[2])


def test_the_same_seed_gives_the_same_bits():
    results = []
    for _ in range(2):
        rv.set_seed(5)
        net = Net()
        results.append((train(net, optim.Adam(net.parameters())), net.fc1.weight.numpy()))
    assert results[0][0] == results[1][0]
    assert np.array_equal(results[0][1], results[1][1])


def test_values_can_be_looked_at_anywhere(capsys):
    net = Net()
    hidden = net.fc1(torch.flatten(torch.tensor(X), 1))
    print(hidden.mean())
    assert "tensor(" in capsys.readouterr().out
    if hidden.sum() > 1e9:
        raise AssertionError
    loss = F.cross_entropy(net.fc2(hidden), torch.tensor(Y))
    before = loss.item()
    loss.backward()
    assert loss.item() == before
    assert net.fc1.weight.grad.numpy().any()


def test_gradients_add_up_until_zeroed():
    net, x, y = Net(), torch.tensor(X), torch.tensor(Y)
    F.cross_entropy(net(x), y).backward()
    once = net.fc1.weight.grad.numpy()
    F.cross_entropy(net(x), y).backward()
    np.testing.assert_allclose(net.fc1.weight.grad.numpy(), 2 * once, rtol=1e-5)
    optim.SGD(net.parameters()).zero_grad()
    assert net.fc1.weight.grad is None


def test_no_grad():
    net = Net()
    with torch.no_grad():
        assert not net(torch.tensor(X)).requires_grad

    @torch.no_grad()
    def predict():
        return net(torch.tensor(X)).argmax(1)

    assert predict().shape == (96,)


def test_a_weight_is_changed_in_place_by_hand():
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    (w * w).sum().backward()
    with torch.no_grad():
        w -= 0.5 * w.grad  # type: ignore[operator]  # there is a gradient
    assert w.tolist() == [0.0, 0.0]


def test_linear_is_stored_in_the_order_programs_want():
    layer = nn.Linear(7, 3)
    assert layer.weight.shape == (3, 7)
    assert layer.weight._value.flags.f_contiguous
    train_once = optim.Adam(layer.parameters())
    layer(torch.ones(2, 7)).sum().backward()
    train_once.step()
    assert layer.weight._value.flags.f_contiguous


def test_the_two_vocabularies_are_one_library():
    assert nn.Module is rv.Module
    assert nn.Sequential is rv.Sequential
    model = rv.Sequential([rv.layers.Flatten(), rv.layers.Dense(16, activation="relu"), nn.Linear(16, 3)])
    model(X)
    losses = train(model, optim.Adam(model.parameters(), lr=0.02), epochs=15)
    assert losses[-1] < losses[0]
    net = Net()
    net.compile("adam", rv.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = net.fit(X, Y, epochs=3, verbose=0, ignore="RV306")
    assert history.history["loss"][-1] < history.history["loss"][0]


# --- data ---------------------------------------------------------------------------------------------------------


def test_batches_cover_everything_once():
    seen = [labels.numpy() for _, labels in loader()]
    assert [len(s) for s in seen] == [32, 32, 32]
    assert np.array_equal(np.concatenate(seen), Y)
    images = np.concatenate([x.numpy() for x, _ in loader(shuffle=True)])
    assert not np.array_equal(images, X)
    assert np.array_equal(np.sort(images.sum((1, 2))), np.sort(X.sum((1, 2))))


@pytest.mark.parametrize(("drop", "sizes"), [(False, [40, 40, 16]), (True, [40, 40])])
def test_the_last_batch(drop, sizes):
    data = DataLoader(TensorDataset(torch.tensor(X)), batch_size=40, drop_last=drop)
    assert [len(b[0]) for b in data] == sizes
    assert len(data) == len(sizes)


def test_a_generator_fixes_the_order():
    def order():
        return [y.tolist() for _, y in loader(shuffle=True, generator=torch.Generator().manual_seed(3))]

    assert order() == order()


def test_samplers_choose():
    assert [y.tolist() for _, y in loader(sampler=[5, 3])] == [[Y[5], Y[3]]]
    batches = DataLoader(TensorDataset(torch.arange(6)), batch_sampler=[[0, 5], [1]])
    assert [b[0].tolist() for b in batches] == [[0, 5], [1]]


def test_data_sets_of_the_users_own():
    class Squares(Dataset):
        def __getitem__(self, index):
            if index >= 5:
                raise IndexError
            return {"x": np.float32(index), "y": (torch.tensor([index**2]), index)}

        def __len__(self):
            return 5

    batch = next(iter(DataLoader(Squares(), batch_size=3)))
    assert batch["x"].tolist() == [0, 1, 2]
    assert batch["y"][0].tolist() == [[0], [1], [4]]
    joined = Squares() + Squares()
    assert len(joined) == 10
    assert joined[7]["x"] == 2
    collated = list(DataLoader(Squares(), batch_size=2, collate_fn=len, num_workers=2, pin_memory=True))
    assert collated == [2, 2, 1]


def test_parts_of_two_values_in_one():
    """As in a crossover, and in images that are cut and mixed: parts that follow each other, of different values."""
    a = torch.arange(12.0).reshape(4, 3).requires_grad_()
    b = a.detach() + 100
    mixed = torch.cat([a[:2], b[2:]])
    assert mixed.tolist() == [*a.tolist()[:2], *b.tolist()[2:]]
    mixed.sum().backward()
    assert a.grad.tolist() == [[1.0] * 3] * 2 + [[0.0] * 3] * 2
    assert torch.cat([a[:2], b[2:], a[4:]], 0).shape == (4, 3)
    assert torch.stack([a[0], b[1]]).tolist() == [a.tolist()[0], b.tolist()[1]]
    assert torch.cat([a[:2], a[2:]]).tolist() == a.tolist()


def test_splits():
    whole = TensorDataset(torch.arange(10))
    parts = random_split(whole, [0.7, 0.3])
    assert [len(p) for p in parts] == [7, 3]
    assert sorted(int(s[0]) for p in parts for s in map(p.__getitem__, range(len(p)))) == list(range(10))
    assert [b[0].tolist() for b in DataLoader(Subset(whole, [4, 2]), batch_size=2)] == [[4, 2]]


# --- optimizers ---------------------------------------------------------------------------------------------------


def test_param_groups_have_settings_of_their_own():
    a, b = (torch.ones(1, requires_grad=True) for _ in range(2))
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1)
    for expected in ([0.9, 0.5], [0.9, -0.5]):
        optimizer.zero_grad()
        (a + b).sum().backward()
        optimizer.step()
        assert [a.item(), b.item()] == pytest.approx(expected)
        optimizer.param_groups[0]["lr"] = 0.0
        optimizer.param_groups[1]["lr"] = 1.0


def test_only_parameters_with_a_gradient_move():
    a, b = (torch.ones(1, requires_grad=True) for _ in range(2))
    optimizer = optim.Adam([a, b])
    (a * 2).sum().backward()
    optimizer.step()
    assert a.item() < 1
    assert b.item() == 1


def test_a_closure_is_called():
    w = torch.ones(1, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == pytest.approx(1.0)
    assert w.item() == pytest.approx(0.8)


def test_state_continues_where_it_was():
    torch.manual_seed(0)
    net = Net()
    optimizer = optim.Adam(net.parameters(), lr=0.05)
    batches = list(loader())

    def steps(net, optimizer):
        for x, y in batches:
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
        return net.fc1.weight.numpy()

    steps(net, optimizer)
    twin = Net()
    twin.load_state_dict(net.state_dict())
    other = optim.Adam(twin.parameters())
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[0]["lr"] == 0.05
    assert np.array_equal(steps(twin, other), steps(net, optimizer))


def test_a_layer_that_is_unfrozen_begins_with_a_first_step():
    """Its bias corrections are its own, in `fit` and in a loop, also when training goes on elsewhere."""

    def start():
        rv.set_seed(1)
        net = nn.Sequential(nn.Linear(20, 4), nn.Linear(4, 3))
        optimizer = optim.Adam(net.parameters(), lr=0.001)
        net.compile(optimizer, nn.CrossEntropyLoss())
        return net, optimizer

    def fit(net):
        net.fit(X.reshape(96, 20), Y, batch_size=96, epochs=1, shuffle=False, verbose=0, ignore="RV")
        return [p.numpy() for p in net.parameters()]

    net, optimizer = start()
    net[0].requires_grad_(False)
    for _ in range(6):
        before = fit(net)
    net[0].requires_grad_(True)
    kept = {"net": net.state_dict(), "optimizer": optimizer.state_dict()}
    kept = copy.deepcopy(kept)
    after = fit(net)
    assert np.abs(after[0] - before[0]).max() == pytest.approx(0.001, rel=1e-3)  # Adam's first step is the rate
    after = fit(net)

    twin, other = start()
    twin.load_state_dict(kept["net"])
    other.load_state_dict(kept["optimizer"])
    fit(twin)
    for a, b in zip(fit(twin), after, strict=True):
        np.testing.assert_array_equal(a, b)


def test_gradients_that_there_are_become_zeros():
    net: Any = nn.Linear(2, 2)
    net.weight.grad = torch.ones(2, 2)
    net.zero_grad(set_to_none=False)
    assert (net.bias.grad, net.weight.grad.tolist()) == (None, [[0.0, 0.0]] * 2)


def test_settings_that_need_state_may_be_turned_on_and_off():
    w = torch.ones(1, requires_grad=True)
    optimizer = optim.Adam([w], lr=0.1)
    for amsgrad in (True, False, True):
        optimizer.param_groups[0]["amsgrad"] = amsgrad
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
        assert ("max_exp_avg_sq" in optimizer.state[w]) == amsgrad
    assert w.item() == pytest.approx(0.7, abs=0.01)


# --- files --------------------------------------------------------------------------------------------------------


def test_checkpoints_of_several_state_dicts(tmp_path):
    net = nn.Linear(2, 1)
    optimizer = optim.Adam(net.parameters(), lr=0.1)
    net(torch.ones(3, 2)).sum().backward()
    optimizer.step()
    whole = {
        "epoch": 3, "model": net.state_dict(), "optimizer": optimizer.state_dict(), "loss": np.float32(0.5),
        "note": ("a", None, [True, torch.ones(2)]), 7: {},
    }  # fmt: skip
    torch.save(whole, tmp_path / "all.pt")
    found = torch.load(tmp_path / "all.pt")
    assert list(found) == list(whole)
    assert (found["epoch"], found["loss"], found[7]) == (3, 0.5, {})
    assert found["note"][:2] == ("a", None)
    assert found["note"][2][1].tolist() == [1, 1]
    other = nn.Linear(2, 1)
    other.load_state_dict(found["model"])
    again = optim.Adam(other.parameters(), lr=0.2)
    again.load_state_dict(found["optimizer"])
    for model, rule in ((net, optimizer), (other, again)):
        rule.zero_grad()
        model(torch.ones(3, 2)).pow(2).sum().backward()
        rule.step()
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), other.parameters(), strict=True))
    for wrong, place in (({"a": [net]}, r"Linear at \['a'\]\[0\]"), ({"a": {(1, 2): 0}}, r"key \(1, 2\)")):
        with pytest.raises(TypeError, match=place):
            torch.save(wrong, tmp_path / "none.pt")
    assert not (tmp_path / "none.pt").exists()


@pytest.mark.parametrize("held", [{"a": torch.ones(2)}, {"epoch": 3, "all": [torch.ones(2)]}])
def test_checkpoints_in_file_objects(held, tmp_path):
    def flat(found):
        return {k: v[0].tolist() if k == "all" else np.asarray(v).tolist() for k, v in found.items()}

    buffer = io.BytesIO()
    torch.save(held, buffer)
    buffer.seek(0)
    assert flat(torch.load(buffer)) == flat(held)
    with (tmp_path / "a.pt").open("wb") as file:
        torch.save(held, file)
    assert (tmp_path / "a.pt").read_bytes() == buffer.getvalue()
    with (tmp_path / "a.pt").open("rb") as file:
        assert flat(torch.load(file)) == flat(held)
    wrong = [
        (lambda: torch.load(buffer), ValueError, r"holds nothing after .*Write f.seek\(0\)"),
        (
            lambda: torch.load(io.BytesIO(b"\x80\x40")),
            ValueError,
            "neither a checkpoint of PyTorch nor a safetensors file",
        ),
        (lambda: torch.load(io.BytesIO(b"PK\x03\x04" + bytes(40))), ValueError, "is a damaged checkpoint of PyTorch"),
        (lambda: torch.from_numpy([1.0, 2.0]), TypeError, r"not a list. Write torch.tensor\(...\)"),
        (lambda: torch.load(io.StringIO("a")), TypeError, "open for text.*'rb'"),
        (lambda: torch.save(held, io.StringIO()), TypeError, "open for text.*'wb'"),
        (lambda: torch.save(tmp_path / "b.pt", held), TypeError, "a dict is no file .*Write a path, or a file"),
        (lambda: torch.load(held), TypeError, "a dict is no file .*Write a path, or a file"),
    ]
    for call, error, said in wrong:
        with pytest.raises(error, match=said):
            call()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: nn.CrossEntropyLoss()(torch.zeros(2, 3), torch.tensor([0, 3])),
        lambda: nn.NLLLoss()(torch.zeros(2, 3), torch.tensor([0, -1])),
        lambda: F.cross_entropy(torch.zeros(2, 3), torch.tensor([0, -100]), ignore_index=1),
        *(
            (lambda derive=derive: F.cross_entropy(torch.zeros(2, 3), derive(torch.tensor([[1], [3]]))))
            for derive in (
                lambda y: y.view(-1), lambda y: y.squeeze(), lambda y: y.flatten(), lambda y: y[:, 0].clone(),
                lambda y: y.squeeze(1).detach(), lambda y: y.float().numpy()[:, 0].astype("int32") + torch.tensor([0, 0]),
                lambda y: torch.cat([y[0], y[1]]), lambda y: y.data.view(2), lambda y: (y - 1)[:, 0] + 1,
                lambda y: torch.zeros(2, 5).index_select(1, y[:, 0]).argmax(1) + 3,
            )
        ),
    ],
)  # fmt: skip
def test_labels_out_of_range_are_refused_in_a_loop(wrong):
    with pytest.raises(
        IndexError, match=r"label (3|-1|-100|4) is out of range for 3 classes, in row [01]. Write labels from 0 to 2"
    ):
        wrong()
    assert F.cross_entropy(torch.zeros(2, 3), torch.tensor([0, -100])).item() == pytest.approx(np.log(3))


@pytest.mark.parametrize("known", [True, False])
def test_a_forgotten_sigmoid_is_reported(known):
    x, y, net = torch.full((4, 2), 9.0), torch.ones(4, 1), nn.Linear(2, 1)
    torch.nn.init.ones_(net.weight)
    out = net(x)
    assert not known or out.max().item() > 1
    with pytest.raises(RuntimeError, match=r"between 0 and 1, and one is .*, in row 0, position 0. Write a sigmoid"):
        nn.BCELoss()(out, y).item()


@pytest.mark.parametrize("index", [1, -1, slice(0, 2), None, [0, 2], np.array([True, False, True])])
def test_a_buffer_that_is_indexed_is_read_when_the_program_runs(index):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("scale", torch.tensor([1.0, 2.0, 3.0]))

        def forward(self, x):
            return x * self.scale[index].sum()

    net, x = Net(), np.ones((4, 3), np.float32)
    for value in ([1.0, 2.0, 3.0], [4.0, 0.0, 6.0]):
        net.scale.copy_(torch.tensor(value))
        assert net.predict(x, verbose=0)[0, 0] == np.sum(np.array(value)[index])


class Counting(nn.Module):
    def __init__(self, change):
        super().__init__()
        self.linear, self.change = nn.Linear(2, 1), change
        self.register_buffer("count", torch.zeros(2))

    def forward(self, x):
        self.change(self)
        return self.linear(x) + 0 * self.count.sum()


CHANGES = {
    "copied": lambda m: m.count.copy_(m.count + 1), "data": lambda m: m.count.data.copy_(m.count + 1),
    "filled": lambda m: m.count.fill_(m.count[0] + 1), "replaced": lambda m: setattr(m, "count", m.count + 1),
    "begun again": lambda m: m.count.zero_().add_(1), "constant": lambda m: (m.count.copy_(torch.ones(2)), m.count.mul_(3)),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_buffer_is_written_in_each_step_of_a_program(name):
    x, y = np.ones((8, 2), np.float32), np.ones((8, 1), np.float32)
    rv.set_engine("reference")
    net, other = Counting(CHANGES[name]), Counting(CHANGES[name])
    net.compile("sgd", "mse")
    net.fit(x, y, batch_size=2, verbose=0, ignore="RV")
    for i in range(4):
        other(torch.tensor(x[2 * i : 2 * i + 2]))
    assert net.count.tolist() == other.count.tolist() != [0, 0]
    rv.set_engine("native")


def test_a_buffer_of_a_program_keeps_no_gradient():
    net = Counting(lambda m: m.count.copy_(m.linear.weight[0] * 2))
    net.compile("sgd", "mse")
    with pytest.raises(RuntimeError, match=r"keeps no gradient, and the value has one. Write value.detach\(\) instead"):
        net.fit(np.ones((8, 2)), np.ones((8, 1)), verbose=0, ignore="RV")


@pytest.mark.parametrize("index", [3, -1])
def test_an_index_that_is_no_row_is_refused(index):
    with pytest.raises(
        IndexError, match=rf"index {index} is out of range for 3 rows, in row 1. Write indices from 0 to 2"
    ):
        F.embedding(torch.tensor([0, index]), torch.zeros(3, 2))
    with pytest.raises(IndexError, match=f"index {index} is out of range"):
        F.embedding(torch.tensor([0.0, index]).long().view(2, 1), torch.zeros(3, 2))


def test_an_embedding_of_what_is_no_whole_number_is_refused():
    for wrong in (torch.tensor([0.5, 1.0]), torch.tensor([True]), torch.ones(2) * 2):
        with pytest.raises(RuntimeError, match=r"takes whole numbers, and here is .* Write x.long\(\)"):
            nn.Embedding(3, 2)(wrong)
    net = nn.Sequential(nn.Embedding(3, 2), nn.Flatten())
    net.build((None, 4))
    assert net.predict(np.zeros((2, 4), int), verbose=0).shape == (2, 8)


def test_a_replaced_layer_keeps_its_name():
    net = nn.Sequential({"first": nn.Linear(2, 2), "act": nn.ReLU(), "last": nn.Linear(2, 1)})
    net[1] = nn.Tanh()
    assert [name for name, _ in net.named_children()] == ["first", "act", "last"]
    assert isinstance(net.act, nn.Tanh)


def test_state_dicts_through_files(tmp_path):
    net, path = Net(), tmp_path / "net.safetensors"
    torch.save(net.state_dict(), path)
    twin = Net()
    twin.load_state_dict(torch.load(path))
    assert np.array_equal(twin.fc1.weight.numpy(), net.fc1.weight.numpy())
    assert [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]
    with pytest.raises(TypeError, match=r"model.save\(path\)"):
        torch.save(net, path)
    path.write_bytes(b"\x80\x04\x95")
    with pytest.raises(ValueError, match="is a pickle"):
        torch.load(path)


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: torch.cumsun, AttributeError, "torch.cumsun does not exist. The nearest that does is cumsum"),
        (lambda: torch.hub, AttributeError, "torch.hub does not exist: docs/pytorch.md lists"),
        (lambda: torch.binomial, AttributeError, "does not exist: docs/pytorch.md lists"),
        (
            lambda: nn.Linear(72, 3)(torch.zeros(4, 2, 6, 6)),
            ValueError,
            r"Write nn.Flatten\(\) before it.*2 \* 6 \* 6 is 72",
        ),
        (
            lambda: nn.CrossEntropyLoss(torch.ones(3, 2), torch.ones(3)),
            TypeError,
            r"one for its option size_average. Write nn.CrossEntropyLoss\(\)\(...\)",
        ),
        (lambda: bool(torch.ones(2) > 0), ValueError, r"a tensor of shape \(2,\) is neither true nor false"),
        (lambda: bool(torch.ones(0)), ValueError, "neither true nor false"),
        (lambda: optim.Adam(nn.Linear(2, 3).parameters), TypeError, r"Write net.parameters\(\) instead"),
        (lambda: torch.ones(2).to("cuda"), RuntimeError, "there is no device 'cuda'"),
        (lambda: torch.ones(2).to(device="tpu"), RuntimeError, "there is no device 'tpu'"),
        (lambda: nn.Linear(2, 3).to("cuda:0"), RuntimeError, "there is no device 'cuda:0'"),
        (lambda: nn.Linear(2, 3).cuda(), RuntimeError, "there is no device 'cuda'"),
        (lambda: nn.Linear(2, 3)(None), TypeError, "linear takes a tensor as input, and here is None"),
        (lambda: nn.ReLU()(None), TypeError, "relu takes a tensor as input, and here is None"),
        (lambda: F.one_hot(torch.tensor([0, 5]), 3), RuntimeError, "index 5 .* or a larger num_classes"),
        (lambda: F.one_hot(torch.tensor([0.0, 4.0]).long(), 3), RuntimeError, "index 4 .* or a larger num_classes"),
        (lambda: torch.ones(2).register_hook(print), RuntimeError, r"Write x.requires_grad_\(\) before x is used"),
        (torch.ones(2).retain_grad, RuntimeError, r"Write x.requires_grad_\(\) before x is used"),
        (lambda: torch.autocast("cpu"), RuntimeError, r"no half precision.*Write autocast\('cpu', enabled=False\)"),
        (lambda: optim.swa_utils.AveragedModel(nn.ReLU(), avg_fn=max, multi_avg_fn=max), ValueError, "one of them"),
        (lambda: optim.swa_utils.get_ema_avg_fn(2), ValueError, "decay=2: write a number from 0 to 1"),
        (
            lambda: optim.swa_utils.SWALR(optim.SGD([torch.ones(2)]), 0.1, 3, "cosine"),
            ValueError,
            "Write 'cos' or 'linear'",
        ),
        (lambda: optim.swa_utils.SWALR(optim.SGD([torch.ones(2)]), 0.1, -1), ValueError, "anneal_epochs=-1"),
        (lambda: F.gumbel_softmax(torch.ones(2), tau=0), ValueError, "Write a temperature above 0"),
        (lambda: nn.init.dirac_(torch.ones(3, 3)), ValueError, "holds no kernels"),
        (lambda: nn.init.sparse_(torch.ones(3), 0.1), ValueError, "is no matrix"),
        (lambda: torch.ones(2).binomial, AttributeError, "Tensor.binomial does not exist: docs/pytorch.md lists"),
        (lambda: nn.Parameter(torch.tensor([1])), RuntimeError, r"int64 has no gradient. Write x.float\(\)"),
        (lambda: torch.bmm(torch.ones(2, 2), torch.ones(2, 2)), ValueError, "Write matmul instead"),
        (lambda: torch.mm(torch.ones(2, 2), torch.ones(2)), ValueError, "mm takes two matrices"),
        (
            lambda: torch.eq(2, torch.ones(2)),
            TypeError,
            r"eq takes a tensor as input, and here is 2. Write torch.tensor\(2\)",
        ),
        (lambda: setattr(torch.ones(2), "grad", torch.ones(3)), RuntimeError, "a gradient of shape"),
        (lambda: torch.ones(2).masked_fill(torch.ones(2).bool(), torch.ones(2)), RuntimeError, "torch.where"),
        (lambda: -torch.ones(2).bool(), ValueError, "write ~x"),
        (lambda: torch.ones(2, 2, 2).t(), ValueError, "write transpose"),
        (lambda: torch.arange(0, 3, -1), ValueError, "Write a step toward it"),
        (lambda: torch.ones(2).scatter(0, torch.tensor([0]), torch.ones(1).int()), RuntimeError, "Write src.to"),
        (lambda: torch.gather(torch.ones(2, 2), 0, torch.tensor([0])), RuntimeError, "Write as many dimensions"),
        (lambda: torch.softmax(torch.tensor(1.0), 1), ValueError, "axis 1 does not exist"),
        (lambda: torch.tensor(1.0).unbind(0), ValueError, "axis 0 does not exist"),
        (
            lambda: nn.functional.max_unpool1d(torch.ones(1, 1, 2), torch.tensor([[[0, 9]]]), 2),
            ValueError,
            "output_size",
        ),
        (lambda: torch.zeros(2, layout="torch.sparse_coo"), ValueError, "there are no sparse tensors"),
        (lambda: torch.Tensor(2.5), TypeError, r"takes sizes, as in torch.Tensor\(2, 3\)"),
        (
            lambda: torch.searchsorted(torch.ones(2, 3), torch.ones(3, 2)),
            ValueError,
            r"Write values of shape \(2, 'm'\)",
        ),
        (
            lambda: torch.autograd.grad(torch.ones(1, requires_grad=True) * 2, torch.ones(1)),
            RuntimeError,
            r"input 0 of shape \(1,\) requires no gradient",
        ),
        (
            lambda: torch.autograd.grad(torch.ones(1, requires_grad=True) * 2, nn.Linear(1, 1).parameters()),
            RuntimeError,
            "no output depends on input 0 .* Write allow_unused=True",
        ),
        (lambda: torch.add(torch.ones(2), 1, out=3), TypeError, "add: out is 3. Write a tensor"),
        (lambda: torch.max(2, 3), TypeError, "max takes a tensor, and here is 2"),
        (lambda: nn.Relu, AttributeError, "ReLU"),
        (lambda: F.crossentropy, AttributeError, "cross_entropy"),
        (lambda: optim.Adamw, AttributeError, "AdamW"),
        (lambda: torch.utils.data.Dataloader, AttributeError, "DataLoader"),
        (lambda: nn.init.xavier_unifrom_, AttributeError, "xavier_uniform_"),
        (lambda: torch.device("cuda"), RuntimeError, "Write 'cpu'"),
        (lambda: torch.zeros(2, device="cuda:0"), RuntimeError, "cuda:0"),
        (lambda: torch.tensor([2**64 - 1]), OverflowError, "int64"),
        (lambda: torch.tensor(["a"]), TypeError, "texts such as 'a'"),
        (lambda: torch.tensor([1j]), TypeError, "Convert it to numbers"),
        (lambda: torch.zeros(2, dtype="complex64"), TypeError, "complex64"),
        (lambda: torch.zeros(2**31, 2**31, 4), ValueError, "2\\*\\*63"),
        (lambda: nn.Linear(0, 3), ValueError, "in_features"),
        (lambda: nn.Linear(2**31, 2**20), MemoryError, "weight of layer 'linear"),
        (lambda: nn.Dropout(2), ValueError, "p=2"),
        (lambda: nn.MSELoss(reduction="average"), ValueError, "'mean', 'sum', 'none'"),
        (lambda: nn.GELU("fast")(torch.ones(2)), ValueError, "'tanh'"),
        (lambda: nn.CrossEntropyLoss()(torch.ones(3, 2), torch.ones(4, dtype=torch.long)), ValueError, "labels"),
        (lambda: nn.MSELoss()(torch.ones(3, 1), torch.ones(3)), ValueError, "reshape"),
        (
            lambda: nn.TripletMarginLoss()(torch.ones(3), positive=torch.ones(3)),
            TypeError,
            "TripletMarginLoss: missing a required argument: 'negative'. It is called with anchor, positive, negative",
        ),
        (lambda: optim.SGD([], lr=0.1), ValueError, "got no parameters"),
        (lambda: optim.SGD(torch.ones(2), lr=0.1), TypeError, "list of parameters"),
        (lambda: optim.SGD(nn.Linear(2, 3), lr=0.1), TypeError, r"here is a Linear. Write net.parameters\(\)"),
        (lambda: optim.SGD([torch.ones(2)] * 1 + [{}], lr=0.1), TypeError, "leaves"),
        (lambda: optim.Adam([torch.ones(2)], lr=-1), ValueError, r"Adam\(lr=-1.0\): write a number of 0 or more"),
        (
            lambda: optim.SGD([{"params": [torch.ones(2)], "learning_rate": 1}]),
            TypeError,
            "a group of SGD has no argument 'learning_rate'. Write lr= instead",
        ),
        (lambda: optim.Adam([{"params": [torch.ones(2)], "weightdecay": 1}]), TypeError, "Write weight_decay="),
        (lambda: optim.Adam([torch.ones(2)], eps=-1), ValueError, r"Adam\(eps=-1.0\): write a number"),
        (lambda: optim.Adam([torch.ones(2)], betas=(2, 0.9)), ValueError, r"Adam\(betas\[0\]=2.0\): write"),
        (lambda: optim.RMSprop([torch.ones(2)], alpha=-1), ValueError, r"RMSprop\(alpha=-1.0\): write a number"),
        (
            lambda: optim.SGD([{"params": [torch.ones(2)], "lr": "a"}]),
            TypeError,
            r"SGD\(lr='a'\).*param_groups\[0\]\['lr'\]",
        ),
        (
            lambda: optim.SGD([{"params": [torch.ones(2)]}, torch.ones(2)]),
            TypeError,
            r"group 1 of SGD is a Tensor. Write \{'params'",
        ),
        (lambda: optim.SGD({torch.ones(2)}), TypeError, "are a set, which has no order"),
        (lambda: optim.SGD([{"params": {torch.ones(2)}}]), TypeError, "are a set, which has no order"),
        (lambda: TensorDataset(torch.ones(2), torch.ones(3)), ValueError, "2 and 3"),
        (lambda: loader(batch_sise=3), TypeError, "batch_sise"),
        (lambda: DataLoader(TensorDataset(torch.ones(2)), batch_size=0), ValueError, "batch_size=0"),
        (lambda: DataLoader(X, Y), TypeError, r"batch_size is a ndarray.*TensorDataset\(x, y\)"),
        (lambda: DataLoader(TensorDataset(torch.ones(0)), shuffle=True), ValueError, "0 samples"),
        (lambda: random_split(TensorDataset(torch.ones(3)), [1, 1]), ValueError, "sum to 2"),
        (lambda: nn.init.xavier_uniform_(torch.ones(3)), ValueError, "no inputs"),
    ],
)
def test_mistakes_name_the_fix(make, error, said):
    with pytest.raises(error, match=said):
        make()


def test_options_of_losses_are_attributes():
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    assert (loss.ignore_index, loss.label_smoothing, loss.reduction) == (-100, 0.1, "mean")
    loss.label_smoothing, loss.reduction = 0.0, "sum"
    assert loss(torch.zeros(2, 3), torch.tensor([0, 1])).item() == pytest.approx(2 * np.log(3))


def test_conversions_by_the_names_of_classes():
    x = torch.tensor([1.5, -2.0])
    for target in (torch.LongTensor, "torch.LongTensor", torch.long, "torch.IntTensor"):
        assert x.type(target).tolist() == [1, -2]
    assert x.type(torch.ByteTensor).dtype == torch.uint8
    assert int(torch.__version__.split(".")[0]) >= 2
    assert x.type("torch.HalfTensor").dtype == x.half().dtype == torch.float16
    torch.ones(2, requires_grad=True).retain_grad()
    net = nn.Linear(2, 2)
    net.half = 3  # type: ignore[method-assign,assignment]  # a user's attribute
    assert net.half == 3  # type: ignore[comparison-overlap]


def test_gumbel_softmax():
    torch.manual_seed(0)
    logits = torch.log(torch.tensor([0.1, 0.6, 0.3])).expand(4000, 3).clone().requires_grad_()
    hard = F.gumbel_softmax(logits, tau=0.5, hard=True)
    assert hard.mean(0).tolist() == pytest.approx([0.1, 0.6, 0.3], abs=0.03)
    assert set(hard.numpy().ravel()) == {0, 1}
    (hard * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert abs(logits.grad.sum(1)).max().item() < 1e-5 < logits.grad.abs().max().item()
    soft = F.gumbel_softmax(logits.detach().t(), dim=0)
    assert (soft.sum(0) - 1).abs().max().item() < 1e-5
    assert soft.requires_grad is False


def test_what_is_printed():
    assert repr(nn.Parameter(torch.ones(2))) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"
    assert repr(nn.ParameterList([torch.nn.Parameter(torch.ones(2, 3))])).splitlines() == [
        "ParameterList(", "  (0): Parameter containing: [torch.float32 of size 2x3]", ")",
    ]  # fmt: skip
    assert repr(nn.ParameterDict({"a": torch.ones(2)})).splitlines()[1].startswith("  (a): Parameter")
    assert (
        repr(nn.MaxPool2d(2, padding=1)) == "MaxPool2d(kernel_size=2, stride=2, padding=1, dilation=1, ceil_mode=False)"
    )
    assert (nn.AvgPool2d((2, 3)).stride, nn.MaxPool1d(3, 2).kernel_size) == ((2, 3), 3)


def test_modules_print_as_in_pytorch():
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.AvgPool2d(2), nn.Embedding(3, 4), nn.Embedding(3, 4, padding_idx=0),
        nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Tanh()]), nn.ModuleList(), nn.CrossEntropyLoss(),
    )  # fmt: skip
    assert repr(net).splitlines()[1:-1] == [
        "  (0): Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))",
        "  (1): AvgPool2d(kernel_size=2, stride=2, padding=0)",
        "  (2): Embedding(3, 4)",
        "  (3): Embedding(3, 4, padding_idx=0)",
        "  (4): ModuleList(",
        "    (0-1): 2 x ReLU()",
        "    (2): Tanh()",
        "  )",
        "  (5): ModuleList()",
        "  (6): CrossEntropyLoss()",
    ]


def test_there_is_one_memory_format():
    x = torch.ones(2, 3, 4, 4)
    assert x.contiguous(memory_format=torch.channels_last) is x
    assert x.clone(memory_format=torch.preserve_format).stride() == (48, 16, 4, 1)
    assert x.to(memory_format=torch.channels_last).stride(1) == 16
    nn.Conv2d(3, 2, 1).to("cpu", non_blocking=True, memory_format=torch.channels_last)(x.pin_memory())
    for wrong in (x[0], torch.ones(2, requires_grad=True)):
        with pytest.raises(RuntimeError, match=r"Write x = x.unsqueeze\(...\)"):
            wrong.unsqueeze_(0)


def test_kernels_that_change_nothing_and_sparse_weights():
    x = torch.randn(2, 4, 5)
    conv = nn.Conv1d(4, 4, 3, padding=1, groups=2, bias=False)
    nn.init.dirac_(conv.weight, groups=2)
    assert torch.equal(conv(x), x)
    sparse = nn.init.sparse_(torch.empty(10, 7), 0.25).numpy()
    assert (sparse == 0).sum(0).tolist() == [3] * 7
    assert 0.3 < torch.empty(2000).exponential_(2.0).mean().item() < 0.7


def test_mixed_precision_is_left_out():
    net = nn.Linear(2, 1)
    optimizer, before = optim.SGD(net.parameters(), lr=0.1), net.weight.tolist()
    for scaler in (torch.amp.GradScaler(enabled=False), torch.cuda.amp.GradScaler()):
        with torch.autocast(device_type="cpu", enabled=False), torch.cuda.amp.autocast():
            loss = net(torch.ones(3, 2)).mean()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        assert (scaler.is_enabled(), scaler.get_scale(), scaler.state_dict()) == (False, 1.0, {})
    assert net.weight.tolist() != before
    assert torch.autocast("cuda")(lambda: 3)() == 3
    assert not torch.amp.is_autocast_available("cpu")


def test_the_default_dtype_by_a_kind_of_tensors():
    try:
        for kind in (torch.DoubleTensor, "torch.DoubleTensor"):
            torch.set_default_tensor_type(kind)
            assert torch.ones(2).dtype == torch.Tensor([1]).dtype == torch.float64
            torch.set_default_tensor_type(torch.FloatTensor)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.ones(2).dtype == torch.float32


def test_there_is_no_cuda():
    assert not torch.cuda.is_available()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    assert device == "cpu"
    assert Net().to(device)(torch.tensor(X).to(device)).shape == (96, 3)


def test_seeds_and_threads():
    torch.manual_seed(3)
    first = torch.randn(2, 3).numpy()
    torch.manual_seed(3)
    assert np.array_equal(torch.randn(2, 3).numpy(), first)
    assert 0 <= torch.rand(100).numpy().min() <= torch.rand(100).numpy().max() < 1
    assert set(torch.randint(2, 5, (200,)).tolist()) == {2, 3, 4}
    assert sorted(torch.randperm(9).tolist()) == list(range(9))
    torch.set_num_threads(1)
    assert torch.get_num_threads() == 1
    rv.set_threads(None)


def test_from_numpy_shares_memory():
    array = np.zeros(3, np.float32)
    tensor = torch.from_numpy(array)
    array[0] = 5
    assert tensor.tolist() == [5, 0, 0]
    assert torch.from_numpy(np.arange(3)).dtype == torch.int64


def test_networks_have_attributes_of_the_names_that_keras_has():
    class Stack(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(4, 8), nn.Linear(8, 3)])
            self.weights = [0.5, 0.5]
            self.losses: list[float] = []

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    net = Stack()
    assert net(torch.zeros(2, 4)).shape == (2, 3)
    assert net.weights == [0.5, 0.5]
    assert len(net.get_weights()) == 4
    assert net.count_params() == 4 * 8 + 8 + 8 * 3 + 3
    assert next(iter(net.state_dict())) == "layers.0.weight"


def test_weights_drawn_in_place():
    torch.manual_seed(3)
    weight = nn.Linear(200, 100).weight
    weight.data.normal_(1.0, 0.02)
    assert (weight.mean().item(), weight.std().item()) == pytest.approx((1.0, 0.02), abs=1e-3)
    nn.Linear(2, 2).weight.data.uniform_(-1, 1)
    drawn = torch.zeros(1000).uniform_(2, 4, generator=torch.Generator().manual_seed(1))
    again = torch.zeros(1000).uniform_(2, 4, generator=torch.Generator().manual_seed(1))
    assert drawn.tolist() == again.tolist()
    assert 2 <= drawn.min().item() < 2.1 < 3.9 < drawn.max().item() < 4
    with pytest.raises(RuntimeError, match="no_grad"):
        weight.normal_()


def test_settings_of_an_activation_may_be_changed():
    x = torch.tensor([-1.0, 2.0])
    layer = nn.LeakyReLU(0.1)
    layer.negative_slope = 0.5
    assert layer(x).tolist() == [-0.5, 2.0]
    assert repr(layer) == "LeakyReLU(negative_slope=0.5)"


def test_a_module_that_stands_twice():
    """It has both names in a state dict, as in PyTorch, and one among parameters. One name is enough to load it."""
    net = nn.Module()
    net.a = net.b = nn.Linear(2, 1)
    twice = ["a.weight", "a.bias", "b.weight", "b.bias"]
    state = net.state_dict()
    assert list(state) == twice
    assert [name for name, _ in net.named_parameters()] == twice[:2]
    assert [name for name, _ in net.named_parameters(remove_duplicate=False)] == twice
    assert [name for name, _ in net.named_modules(prefix="n", remove_duplicate=False)] == ["n", "n.a", "n.b"]
    assert list(net.state_dict(prefix="x.")) == [f"x.{name}" for name in twice]
    assert net.state_dict(keep_vars=True)["b.weight"] is net.a.weight
    into = {"other": 1}
    assert net.state_dict(destination=into) is into
    assert not any(net.load_state_dict({name: state[name] * 0 + 3 for name in twice[2:]}))
    assert net.a.weight.tolist() == [[3, 3]]
    with pytest.raises(ValueError, match=r"missing: a\.bias"):
        net.load_state_dict({"b.weight": state["b.weight"]})
    assert [name for name, _ in net.named_modules({net.a})] == [""]
    net.a.back = net  # a circle ends
    assert list(net.state_dict()) == twice


def test_a_table_is_renormed_where_it_is_read():
    """The rows that a batch uses have a norm of at most ``max_norm``: in a call, in `fit` and in `predict`."""
    index = np.array([[0, 1], [1, 3]])
    for run in ("call", "fit", "predict"):
        table = torch.nn.Embedding(5, 3, max_norm=0.5)
        before = table.weight.detach().clone().numpy()
        model = torch.nn.Sequential(table, torch.nn.Flatten(), torch.nn.Linear(6, 1))
        if run == "call":
            read = table(torch.tensor(index)).detach().numpy()
        elif run == "predict":
            read = rv.Sequential([table]).predict(index, verbose=0)
        else:
            model.compile(rv.optimizers.SGD(0.0), "mse", engine="reference")
            model.fit(index, np.ones((2, 1)), verbose=0, ignore="RV")
            read = table.weight.detach().numpy()[index]
        norms = np.linalg.norm(before, axis=1)[index]
        np.testing.assert_allclose(np.linalg.norm(read, axis=2), np.minimum(norms, 0.5), rtol=1e-5)
        np.testing.assert_array_equal(table.weight.detach().numpy()[[2, 4]], before[[2, 4]])
