"""Files that an earlier state of the library wrote into ``files/``. Each is read, predicts, and trains on.

To read one is a program as in programs.py, so its hash is in golden.json.
"""

import functools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ranvier as rv
import ranvier.torch as torch
from ranvier import callbacks, layers, optimizers
from ranvier.optimizers import schedules
from ranvier.torch import nn, optim
from ranvier.torch.optim import lr_scheduler
from tests.golden.model_programs import Scaled, Stop, operators
from tests.golden.programs import IMAGES, KINDS, PROGRAMS, SPARSE, Result, X, Y, classifier, fit, numbers
from tests.golden.torch_programs import loop

FOLDER = Path(__file__).with_name("files")
WRITERS: dict[str, Callable[[Path], None]] = {}
PAIR = {"a": X, "b": numbers(40, 6, seed=9)}
CUSTOM = {"Scaled": Scaled}


# --- models -------------------------------------------------------------------------------------------------------


def dense() -> Any:
    hidden = [layers.Dense(8, "relu", kernel_regularizer="l2"), layers.BatchNormalization(), layers.Dropout(0.3)]
    model = classifier(*hidden, Scaled(name="scaled"))
    fit(model, X, Y, optimizer=optimizers.AdamW(schedules.CosineDecay(0.01, 20)), metrics=["accuracy"])
    return model


def images() -> Any:
    model = rv.Sequential([
        rv.Input((8, 6, 3)), layers.Rescaling(1 / 128, -1.0), layers.RandomFlip(), layers.Conv2D(4, 3, padding="same"),
        layers.GroupNormalization(2), layers.Activation("gelu"), layers.MaxPooling2D(), layers.SeparableConv2D(3, 3),
        layers.Flatten(), layers.Dense(3, activation="softmax", kernel_constraint="max_norm")])  # fmt: skip
    fit(model, IMAGES, KINDS, optimizer=optimizers.SGD(0.01, momentum=0.9), batch_size=8)
    return model


def functional() -> Any:
    model = operators()
    losses = {"value": "mse", "kind": SPARSE}
    fit(model, PAIR, {"value": X[:, :1], "kind": Y}, loss=losses, metrics={"kind": ["accuracy"]})
    return model


def nested() -> Any:
    x, start = rv.Input((6,)), rv.Input((6,), name="start")
    shared = layers.Dense(6, activation="tanh")
    inner = rv.Model(x, shared(shared(x)), name="inner")
    z = 3 - inner(-start) * inner(start) / 2
    joined = rv.ops.maximum(z[:, :3], abs(z[:, 3:]) ** 2)
    model = rv.Model(start, layers.Dense(1)(rv.activations.relu(joined)))
    fit(model, X, X[:, :1], loss="mse", optimizer="rmsprop")
    return model


def save(build: Callable[[], Any], path: Path) -> None:
    build().save(path)


def load(x: Any, y: Any, path: Path) -> Result:
    """What a loaded model predicts, and its weights after another epoch."""
    model = rv.load_model(path, custom_objects=CUSTOM)
    before = model.get_weights()
    predicted = model.predict(x, verbose=0)
    values = list(predicted.values()) if isinstance(predicted, dict) else [predicted]
    history = model.fit(x, y, epochs=1, batch_size=16, verbose=0, ignore="RV")
    return history.history["loss"], [*before, *values, *model.get_weights()]


# --- checkpoints of a training under way --------------------------------------------------------------------------


def train(model: Any, stop: bool, **options: Any) -> Result:
    """A run of three epochs; ``stop`` interrupts it within the second."""
    rv.set_seed(11)
    watch = callbacks.EarlyStopping("val_loss", patience=5, restore_best_weights=True)
    given = options | {"callbacks": [watch, *options.pop("callbacks", ()), Stop(stop)]}
    optimizer = optimizers.AdamW(schedules.CosineDecay(0.01, 9), use_ema=True)
    return fit(model, X, Y, optimizer=optimizer, epochs=3, validation_data=(X[:9], Y[:9]), **given)


def sequential() -> Any:
    return classifier(layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dropout(0.3))


def torch_module() -> Any:
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3), nn.Softmax(1))


def interrupt(build: Callable[[], Any], path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            train(build(), stop=True, callbacks=[callbacks.BackupAndRestore(folder, save_freq=1)])
        except KeyboardInterrupt:
            (written,) = Path(folder).iterdir()
            shutil.move(written, path)


def resume(build: Callable[[], Any], path: Path) -> Result:
    return train(build(), stop=False, resume=path)


# --- the state dicts of an explicit loop --------------------------------------------------------------------------


def loop_state() -> tuple[Any, Any, Any]:
    net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Linear(8, 3))
    optimizer = optim.AdamW(net.parameters(), lr=0.01, amsgrad=True)
    return net, optimizer, lr_scheduler.StepLR(optimizer, 2, 0.5)


def save_states(path: Path) -> None:
    net, optimizer, scheduler = loop_state()
    loop(net, optimizer, scheduler)
    states = {
        "net": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "epoch": 3,
    }
    torch.save(states, path)


def load_states(path: Path) -> Result:
    net, optimizer, scheduler = loop_state()
    states = torch.load(path)
    assert states["epoch"] == 3
    net.load_state_dict(states["net"])
    optimizer.load_state_dict(states["optimizer"])
    scheduler.load_state_dict(states["scheduler"])
    return loop(net, optimizer, scheduler)


def save_weights(path: Path) -> None:
    net, optimizer, _ = loop_state()
    loop(net, optimizer)
    torch.save(net.state_dict(), path)


def load_weights(path: Path) -> Result:
    net, _, _ = loop_state()
    net.load_state_dict(torch.load(path))
    net.eval()
    return [], [*(value.numpy() for value in net.state_dict().values()), net(torch.tensor(X)).detach().numpy()]


def file(name: str, write: Callable[[Path], None], read: Callable[[Path], Result]) -> None:
    """Add a file to the table."""
    WRITERS[name] = write
    PROGRAMS[f"file {name}"] = functools.partial(read, FOLDER / name)


for row in (
    ("dense.ranvier", dense, X, Y),
    ("images.ranvier", images, IMAGES, KINDS),
    ("functional.ranvier", functional, PAIR, {"value": X[:, :1], "kind": Y}),
    ("nested.ranvier", nested, X, X[:, :1]),
):
    file(row[0], functools.partial(save, row[1]), functools.partial(load, row[2], row[3]))
for name, build in (("backup.ranvier", sequential), ("torch-backup.ranvier", torch_module)):
    file(name, functools.partial(interrupt, build), functools.partial(resume, build))
file("states.pt", save_states, load_states)
file("weights.pt", save_weights, load_weights)


def write_all() -> None:
    """Write every file anew."""
    FOLDER.mkdir(exist_ok=True)
    for name, write in WRITERS.items():
        rv.set_seed(7)
        write(FOLDER / name)
