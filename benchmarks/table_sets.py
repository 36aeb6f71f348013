"""Real tables: a name, the target, and the function that gives its frame. All are small, and most are old friends.

scikit-learn's own; of R's package mlbench (Leisch and Dimitriadou; the Debian package r-cran-mlbench, whose folder is
found where it is installed, unpacked in ``RANVIER_DATA``, or fetched with apt-get); of the packages palmerpenguins and
vega_datasets.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ranvier.datasets.places import data_folder


@dataclass(frozen=True)
class TableSet:
    """A table: its name, its target, whether that is a class, and what gives its frame of pandas."""

    name: str
    target: str
    classes: bool
    load: Callable[[], Any]


def _sklearn(name: str) -> Callable[[], Any]:
    def load() -> Any:
        from sklearn import datasets

        bunch = getattr(datasets, f"load_{name}")(as_frame=True)
        frame = bunch.frame
        if hasattr(bunch, "target_names") and len(bunch.target_names) > 1:
            frame["target"] = [str(bunch.target_names[k]) for k in frame["target"]]
        return frame

    return load


def _mlbench(name: str, drop: tuple[str, ...] = ()) -> Callable[[], Any]:
    def load() -> Any:
        import pyreadr

        frame = pyreadr.read_r(str(_mlbench_folder() / f"{name}.rda"))[name]
        return frame.drop(columns=list(drop)).dropna(subset=["V4"] if name == "Ozone" else [])

    return load


def _mlbench_folder() -> Path:
    part = Path("usr/lib/R/site-library/mlbench/data")
    for root in (Path("/"), data_folder() / "mlbench"):
        if (root / part).is_dir():
            return root / part
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["apt-get", "download", "r-cran-mlbench"], cwd=folder, check=True, capture_output=True)
        package = next(Path(folder).glob("*.deb"))
        (data_folder() / "mlbench").mkdir(parents=True, exist_ok=True)
        subprocess.run(["dpkg", "-x", str(package), str(data_folder() / "mlbench")], check=True)
    return data_folder() / "mlbench" / part


def _penguins() -> Any:
    import palmerpenguins

    return palmerpenguins.load_penguins().drop(columns="species").dropna(subset=["sex"])


def _vega(name: str) -> Callable[[], Any]:
    def load() -> Any:
        from vega_datasets import local_data

        frame = getattr(local_data, name)()
        return frame.dropna(subset=["Miles_per_Gallon"]) if name == "cars" else frame

    return load


SETS = (
    TableSet("glass", "Type", True, _mlbench("Glass")),
    TableSet("votes", "Class", True, _mlbench("HouseVotes84")),
    TableSet("servo", "Class", False, _mlbench("Servo")),
    TableSet("cars", "Miles_per_Gallon", False, _vega("cars")),
    TableSet("penguins", "sex", True, _penguins),
    TableSet("pima", "diabetes", True, _mlbench("PimaIndiansDiabetes2")),
    TableSet("housing", "medv", False, _mlbench("BostonHousing")),
    TableSet("ozone", "V4", False, _mlbench("Ozone")),
    TableSet("sonar", "Class", True, _mlbench("Sonar")),
    TableSet("soybean", "Class", True, _mlbench("Soybean")),
    TableSet("diabetes", "target", False, _sklearn("diabetes")),
    TableSet("weather", "weather", True, _vega("seattle_weather")),
    TableSet("wine", "target", True, _sklearn("wine")),
    TableSet("iris", "target", True, _sklearn("iris")),
    TableSet("vehicle", "Class", True, _mlbench("Vehicle")),
    TableSet("ionosphere", "Class", True, _mlbench("Ionosphere")),
    TableSet("breast-cancer", "target", True, _sklearn("breast_cancer")),
    TableSet("vowel", "Class", True, _mlbench("Vowel")),
)
