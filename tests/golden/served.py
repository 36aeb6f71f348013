"""A process that is kept for the programs of one target."""

import json
import os
import subprocess
import sys
from types import TracebackType
from typing import Self


class Served:
    """Runs programs on a target (a value of RANVIER_TARGET)."""

    def __init__(self, target: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.golden.record", "--serve"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"RANVIER_TARGET": target},
        )  # fmt: skip

    def hash(self, threads: int, name: str) -> str:
        """The hash of a program, or the error."""
        process = self.process
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps([threads, name]) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    def __enter__(self) -> Self:
        self.process.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.__exit__(kind, error, trace)
