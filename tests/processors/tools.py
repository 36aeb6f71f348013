"""The assembler and linker for AArch64 and QEMU's user mode: those on the PATH, else those of Debian's packages, which
``python -m tests.processors.tools FOLDER`` downloads and unpacks without root.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.debian import provide, unpack

NAMES = ("qemu-aarch64", "aarch64-linux-gnu-as", "aarch64-linux-gnu-ld")
PACKAGES = ("qemu-user", "binutils-aarch64-linux-gnu", "binutils-common", "libjansson4", "libsframe1", "libzstd1")


class Tools:
    """Runs the tools. Raises FileNotFoundError, naming the ways to get them, where one is missing."""

    def __init__(self, folder=None):
        self.folder = Path(folder or os.environ.get("RANVIER_PROCESSORS") or "processors").absolute()
        here = [str(self.folder / "usr" / "bin"), *os.environ.get("PATH", "").split(os.pathsep)]
        self.paths = {name: shutil.which(name, path=os.pathsep.join(here)) for name in NAMES}
        missing = [name for name, path in self.paths.items() if path is None]
        if missing:
            raise FileNotFoundError(
                f"{', '.join(missing)} not found: install Debian's {' and '.join(PACKAGES[:2])}, or write "
                "`make test-processors` where apt-get is."
            )
        libraries = sorted({str(p.parent) for p in self.folder.glob("usr/lib/*/*.so*")})
        self.environment = {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(libraries)} if libraries else None

    def run(self, name, *arguments, cwd=None):
        """The standard output of a tool; raises RuntimeError with what it said where it fails."""
        environment = None if name.startswith("qemu") else self.environment
        done = subprocess.run(
            [self.paths[name] or name, *map(str, arguments)],
            capture_output=True, check=False, timeout=300, env=environment, cwd=cwd,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
        return done.stdout


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    provide(lambda: Tools(folder), lambda: unpack(PACKAGES, folder), "No AArch64 tests")
