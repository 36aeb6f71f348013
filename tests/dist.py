"""Build the wheel and the source archive, and prove both: ``python -m tests.dist``. It needs ``ranvier[dev,dist]``.

Their metadata are checked. Each is installed into an empty environment of every Python that is found, where the
programs of the README must run and print what it says.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.test_docs import ROOT, verify

OLDEST = (3, 11)
BIN = "Scripts" if os.name == "nt" else "bin"


def run(*command):
    subprocess.run([str(word) for word in command], check=True)


def pythons():
    """An interpreter for each version from the oldest on, of those on the path and those that Windows's launcher knows."""
    names = [path for folder in os.get_exec_path() for path in sorted(Path(folder).glob("python3.*"))]
    found = [path for path in names if re.fullmatch(r"python3\.\d+(\.exe)?", path.name)]
    if launcher := shutil.which("py"):
        listed = subprocess.run([launcher, "-0p"], capture_output=True, text=True, check=False).stdout
        found += re.findall(r"\S:\\.*\.exe", listed)
    versions: dict[tuple[int, int], object] = {}
    for path in [sys.executable, *found]:
        # Some on the path are links to versions that are not there, or have no ensurepip, which venv needs.
        asked = [path, "-c", "import ensurepip, sys; print(*sys.version_info[:2])"]
        answer = subprocess.run(asked, capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            major, minor = map(int, answer.stdout.split())
            versions.setdefault((major, minor), path)
    return {version: path for version, path in sorted(versions.items()) if version >= OLDEST}


def prove(file, python):
    """Install a file into an empty environment and run what the README shows."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        run(python, "-m", "venv", place / "environment")
        programs = place / "environment" / BIN
        run(programs / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", f"{file}[plot]")
        run(programs / "ranvier", "--version")
        (place / "empty").mkdir()
        verify(ROOT / "README.md", place / "empty", forked=False, python=programs / "python")


def main():
    target = ROOT / "dist"
    shutil.rmtree(target, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", target, ROOT)
    files = sorted(target.iterdir())
    run(sys.executable, "-m", "twine", "check", "--strict", *files)
    for version, python in pythons().items():
        for file in files:
            prove(file, python)
            print(f"{file.name} on Python {version[0]}.{version[1]}: installed, the README's programs ran", flush=True)


if __name__ == "__main__":
    main()
