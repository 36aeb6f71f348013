"""Data from the command line and from uploads: tables, and folders of images."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.auto import Preparation, Table, find_columns, read_table
from ranvier.auto.checks import target_of, task_of
from ranvier.auto.scores import CLASSES
from ranvier.auto.tables import ENDINGS
from ranvier.cli.page.given_models import of_model
from ranvier.cli.page.given_runs import of_run
from ranvier.cli.page.settings import SettingError, Settings
from ranvier.cli.page.sources import Source, images
from ranvier.support.phrases import counted

MOST_ROWS, MOST_FEATURES, MOST_CLASSES = 50_000, 1024, 50
SIDE = 32  # pixels of the images of a folder
MODELS = (".ranvier", ".safetensors", ".keras", ".h5")
Load = Callable[[Settings], Source]


def uploaded(name: str, body: bytes) -> Table:
    """The table in an uploaded file. Its name gives the kind alone. Raises SettingError in the reader's words."""
    suffix = Path(name).suffix.lower()
    if suffix not in ENDINGS:
        raise SettingError(f"the file ends in {suffix[:20] or 'nothing'!r}. Choose one of {', '.join(ENDINGS)}.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file{suffix}"
        path.write_bytes(body)
        try:
            table = read_table(path)
        except (OSError, ValueError) as error:
            raise SettingError(str(error).replace(str(path), "the file")) from None
    table.source = "the file"
    return table


def of_table(table: Table) -> tuple[Load, dict[str, Any]]:
    """What loads a table with the settings' target, and what the page shows of it: its columns and a target."""
    if len(table) > MOST_ROWS:
        raise SettingError(
            f"{table.source} has {len(table):,} rows; the page takes {MOST_ROWS:,}. Write ranvier train."
        )
    target, _ = target_of(table)

    def load(settings: Settings) -> Source:
        return source_of(table, settings.target or target, settings)

    return load, {"columns": list(table.columns), "target": target, "rows": len(table)}


def source_of(table: Table, target: str, settings: Settings) -> Source:
    """A table as numbers. All that is learned of it, such as means and categories, is of the training rows."""
    columns = find_columns(table)
    if target not in columns:
        raise SettingError(f"the table has no column {target[:60]!r}. Choose another target.")
    columns[target].role = "target"
    task, truth = task_of(table, columns, [target])
    classes = task.kind == CLASSES
    truth = truth if classes else truth[:, 0]
    rows = np.flatnonzero(truth >= 0 if classes else np.isfinite(truth))
    if len(rows) < 10:
        raise SettingError(f"the table has {counted(len(rows), 'row')} with a target, and at least 10 are needed.")
    if classes and len(task.classes) > MOST_CLASSES:
        raise SettingError(f"the target has {len(task.classes)} classes, and the page shows {MOST_CLASSES}.")
    order = np.random.default_rng(settings.seed + 1).permutation(rows)
    held = max(1, round(settings.test * len(rows)))
    train, test = order[held:], order[:held]
    used = [column for column in columns.values() if column.used]
    if not used:
        raise SettingError("the table has no column to learn from besides the target.")
    preparation = Preparation.fit(table.rows(train), used)
    kept = [k for block in ("standard", "rest") for k in range(*preparation.blocks[block])]
    if not 0 < len(kept) <= MOST_FEATURES:
        raise SettingError(f"the table gives {len(kept)} features, and the page takes 1 to {MOST_FEATURES}.")
    x, x_test = (preparation.transform(table.rows(part))[:, kept] for part in (train, test))
    names = tuple(f"{name}\u2013" if name.endswith("= ") else name for name in (preparation.names[k] for k in kept))
    y, y_test, scale = truth[train], truth[test], (0.0, 1.0)
    if not classes:
        scale = float(y.mean()), float(y.std()) or 1.0
        y, y_test = (((part - scale[0]) / scale[1]).astype(np.float32) for part in (y, y_test))
    if len(kept) == 2:  # a plane that can be drawn
        most = np.abs(x).max(0).clip(1e-6)
        x, x_test = (x / most, x_test / most)
    kind, labels = "plane" if len(kept) == 2 else "table", tuple(task.classes)
    return Source(kind, "classes" if classes else "number", x, y, x_test, y_test, labels, names, scale)


def of_folder(path: Path) -> Load:
    """What loads a folder of images, one subfolder for each class, read once."""
    from ranvier.data.image_folder import images_from_folder

    known: dict[tuple[float, int], Any] = {}

    def load(settings: Settings) -> Source:
        key = settings.test, settings.seed
        if key not in known:
            known.clear()
            folder = images_from_folder(
                path, image_size=SIDE, crop_to_aspect_ratio=True, validation_split=settings.test, seed=settings.seed,
                corrupt="skip",
            )  # fmt: skip
            if folder.validation is None:
                raise SettingError("the folder has too few images for a test. Give each class at least two.")
            known[key] = images((folder.x, folder.y), folder.validation, folder.classes)
        found: Source = known[key]
        return found

    return load


def begun_with(path: Path | None, program: Path | None = None) -> tuple[dict[str, Load], dict[str, Any]]:
    """The data or the model of the command line by name, and the settings that a page begins with.

    ``program`` defines the classes of a model that are one's own. Raises ValueError for what is neither a table, a
    folder of images, a run nor a model, and FileNotFoundError for what is not there.
    """
    if path is None:
        return {}, {}
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist. Write a CSV file, a folder of images, a run, or a model.")
    if (path / "run.json").is_file():
        load, shown = of_run(path)
        start = {"data": "given", "optimizer": "adam", "rate": 0.001, "batch": 32, "model": True}
        load(Settings.of(start))
        return {"given": load}, start | {"run": shown}
    if path.is_dir():
        load = of_folder(path)
        layers = [
            {"kind": "conv", "units": 8, "activation": "relu"}, {"kind": "pool"},
            {"kind": "conv", "units": 16, "activation": "relu"}, {"kind": "pool"},
            {"kind": "dense", "units": 32, "activation": "relu"},
        ]  # fmt: skip
        start = {"data": "given", "layers": layers, "batch": 32, "rate": 0.003}
        load(Settings.of(start))  # what is wrong with the folder is said before the page opens
        return {"given": load}, start
    if path.suffix.lower() in ENDINGS:
        load, shown = of_table(read_table(path))
        start = {"data": "given", "target": shown["target"], "batch": 32}
        load(Settings.of(start))
        return {"given": load}, start | {"columns": shown["columns"]}
    if path.suffix.lower() in MODELS:
        load = of_model(path, program)
        start = {"data": "given", "optimizer": "sgd", "model": True}
        load(Settings.of(start))
        return {"given": load}, start
    raise ValueError(
        f"{path} is neither a folder of images, nor a table ({', '.join(ENDINGS)}), nor a model ({', '.join(MODELS)})."
    )
