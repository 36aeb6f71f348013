"""The command line: ``ranvier train`` and its kin, ``demo``, ``lessons``, ``inspect``, ``launch``, ``info`` and more.

Exit codes are 0 for success, 1 for an error (one line on standard error), 2 for an invalid command line, and 130 for
Ctrl-C. When the reader of a pipe exits, SIGPIPE ends the program.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from ranvier.cli import report, train
from ranvier.cli.errors import errors_as_lines, say
from ranvier.cli.lines import echo, echo_json
from ranvier.support.phrases import counted
from ranvier.support.version import __version__

app = typer.Typer(
    help="A compiler for neural networks: Keras or PyTorch in, one native program out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # plain tracebacks of defects are easier to paste into a report
    rich_markup_mode=None,
)


def main() -> None:
    """Run the command line and exit the process with its code."""
    if hasattr(signal, "SIGPIPE"):
        # By default Python raises an exception in a later print instead.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        try:
            began = time.perf_counter() - time.process_time()  # the imports until now take a part of --time
            app(prog_name="ranvier", obj=began)
        finally:
            sys.stdout.flush()  # Python's own, at exit, reports a full disk in two lines and with the code 120
    except OSError as error:  # output of typer, such as the help, to a full disk
        say(error)
        sys.exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ranvier {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """The options before a command."""


train.register(app)
report.register(app)


@app.command()
def demo(
    epochs: Annotated[int, typer.Option(metavar="NUMBER", min=1, help="Passes over the training images.")] = 5,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder for the model and the picture. It is created if missing.")
    ] = Path("demo"),
    seed: Annotated[int, typer.Option(metavar="NUMBER", min=0, help="The same seed gives the same bits.")] = 0,
) -> None:
    """Train 784-64-64-10 on Fashion-MNIST.

    It prints the scores, saves the model, and draws a picture. Where Fashion-MNIST is not found, handwritten digits
    that are part of Ranvier take its place.

    Examples:

      ranvier demo

      ranvier demo --epochs 20 --out longer
    """
    from rich.console import Console

    from ranvier.cli.demo import run

    with errors_as_lines():
        run(out, Console(), epochs=epochs, seed=seed)


@app.command()
def info(as_json: Annotated[bool, train.JSON] = False) -> None:
    """Print what a bug report needs.

    These are the versions, the processor, the compile target, the threads and the compile cache.

    Examples:

      ranvier info

      ranvier info --json
    """
    with errors_as_lines():
        facts = dict(_facts())
        if as_json:
            echo_json(facts)
            return
        for name, value in facts.items():
            echo(f"{name:<10} {value}")


@app.command()
def inspect(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            help="A model or weights of any format that is read; the folder of a run; or data: a table, a folder of "
            "images, sounds or texts, an .npz file.",
        ),
    ],
    as_json: Annotated[bool, train.JSON] = False,
) -> None:
    """Print what a model, a run, or a file of data holds.

    Of a model these are the format, the layers or operators, and the tensors; of a run, the data and the result; of
    data, what ranvier train would take each column for.

    Examples:

      ranvier inspect model.keras

      ranvier inspect run

      ranvier inspect houses.csv
    """
    from ranvier.cli.inspecting import lines_of, value_of

    with errors_as_lines():
        if as_json:
            echo_json(value_of(file))
            return
        for line in lines_of(file):
            echo(line)


@app.command()
def page(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="PATH", help="A table, a folder of images, a model, or the folder of a run to begin with."
        ),
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="NUMBER", min=1, max=65535, help="The port; without it, one that is free.")
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    program: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The Python file of a model's class, which is run.")
    ] = None,
) -> None:
    """Build, train and explain networks on a local web page.

    Only this computer can open it. Ctrl-C ends it.

    Examples:

      ranvier page

      ranvier page iris.csv

      ranvier page model.ranvier --port 8000 --no-browser
    """
    from ranvier.cli.page import run

    with errors_as_lines():
        run(path, port, browser, echo, program)


@app.command()
def convert(
    source: Annotated[
        Path,
        typer.Argument(metavar="SOURCE", help="A model (.keras, .h5, .onnx, ...), or weights (.pt, .safetensors)."),
    ],
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="The file to write; the end of its name says the format.")
    ],
    model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of weights, a model to take all else from.")
    ] = None,
    library: Annotated[
        str, typer.Option(metavar="NAME", help="Of a program (.py): keras, torch or ranvier.")
    ] = "ranvier",
    max_shard_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Of .safetensors: the largest file, such as 5GB.")
    ] = None,
) -> None:
    """Convert a model from one format to another.

    Weights alone are as PyTorch has them; a program (.py) defines the model.

    Examples:

      ranvier convert model.keras model.onnx

      ranvier convert model.keras model.py --library torch

      ranvier convert weights.pt weights.safetensors
    """
    from ranvier.cli.conversion import convert as write
    from ranvier.cli.conversion import written

    with errors_as_lines():
        try:
            write(source, target, model, library, max_shard_size)
        except TypeError as error:  # a layer that the other format lacks
            raise ValueError(str(error)) from error
        for path in written(target):  # of weights there may be several, and none of that name
            echo(f"wrote {path}")


@app.command()
def lessons(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to write the notebooks into.")] = Path(
        "lessons"
    ),
    lang: Annotated[str, typer.Option(metavar="LANGUAGE", help="en or zh.")] = "en",
    force: Annotated[bool, typer.Option("--force", help="Write over notebooks that exist.")] = False,
) -> None:
    """Write fifteen lessons on neural networks as notebooks.

    Examples:

      ranvier lessons

      ranvier lessons kecheng --lang zh
    """
    from ranvier.cli.lessons import write

    with errors_as_lines():
        written, kept = write(folder, lang, force)
        echo(f"wrote {counted(len(written), 'notebook')} into {folder}")
        if kept:
            echo(
                f"{counted(len(kept), 'file', ('is', 'are'))} kept, because your answers may be there "
                "(--force writes over them)"
            )
        echo(f"next: pip install jupyterlab 'ranvier[plot]'; jupyter lab {folder}")


@app.command(context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
def launch(
    program: Annotated[
        str, typer.Argument(metavar="PROGRAM", help="A Python file that calls rv.distribution.initialize().")
    ],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARGUMENTS", help="The arguments of the program.")
    ] = None,
    processes: Annotated[
        int, typer.Option("--processes", "-n", metavar="NUMBER", min=1, help="How many processes to start.")
    ] = 2,
) -> None:
    """Start a program in several processes on this host.

    They train one model together.

    Examples:

      ranvier launch train.py

      ranvier launch --processes 4 train.py --epochs 20
    """
    from ranvier.cli.launch import launch as start

    with errors_as_lines():
        code = start(processes, program, arguments or [])
    raise typer.Exit(code)


def _facts() -> Iterator[tuple[str, str]]:
    import platform
    from importlib.metadata import version

    from ranvier.engines import get_engine
    from ranvier.engines.native.runtime.llvm import resolve_target
    from ranvier.engines.native.runtime.object_cache import cache_folder
    from ranvier.engines.native.runtime.threads import fixed_threads, get_threads

    yield "ranvier", __version__
    yield "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield "packages", ", ".join(f"{name} {version(name)}" for name in ("numpy", "llvmlite", "safetensors"))
    yield "engine", get_engine()
    host, target = resolve_target("host"), resolve_target()
    yield (
        "processor",
        f"{host.cpu}, vectors of {host.vector_bytes} bytes{'' if host.has_fma else ', no fused multiply-add'}",
    )
    yield "target", f"{target.name}, {target.triple}, vectors of {target.vector_bytes} bytes"
    at_most = "" if fixed_threads() else "at most "
    yield "threads", f"{at_most}{get_threads()}"
    yield "cache", str(cache_folder() or "none, RANVIER_CACHE is off")
