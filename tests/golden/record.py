"""Hashes of the programs, printed as JSON, with the library that Python imports, on the target of RANVIER_TARGET.

python -m tests.golden.record NAME ...    the programs of these names, all of them if none is given
python -m tests.golden.record --write     all of them, into golden.json: only where results are meant to change
python -m tests.golden.record --files     write the files that are read: only where an earlier library can be imported
python -m tests.golden.record --serve     [threads, name] a line on standard input, a hash or an error a line on standard output
"""

import json
import sys

import ranvier as rv
from tests.golden import files
from tests.golden.programs import FILE, PROGRAMS, run


def answer(threads: int, name: str) -> str:
    """The hash of a program, or the error."""
    rv.set_threads(threads)
    try:
        return run(name)
    except Exception as error:  # noqa: BLE001  what the asking test reports
        return f"{type(error).__name__}: {error}"


def main(*arguments: str) -> None:
    if arguments == ("--serve",):
        for line in iter(sys.stdin.readline, ""):
            sys.stdout.write(json.dumps(answer(*json.loads(line))) + "\n")
            sys.stdout.flush()
    elif arguments == ("--files",):
        files.write_all()
    else:
        names = PROGRAMS if arguments in ((), ("--write",)) else arguments
        text = json.dumps({name: run(name) for name in names}, indent=1) + "\n"
        if arguments == ("--write",):
            FILE.write_text(text)
        else:
            sys.stdout.write(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
