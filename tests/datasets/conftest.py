"""A place for data sets where nothing else is: no network, no programs but those that a test writes."""

import pytest


@pytest.fixture
def data(tmp_path, monkeypatch):
    """The data folder, not made yet."""
    folder = tmp_path / "data"
    monkeypatch.setenv("RANVIER_DATA", str(folder))
    monkeypatch.setenv("RANVIER_OFFLINE", "1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def program(tmp_path):
    """Writes a program of this name where ``PATH`` points: ``program("npm", "exit 1")``."""

    def write(name, script):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return write
