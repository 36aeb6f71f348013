"""``ranvier page``: a local web page that builds, trains and explains networks in the browser."""

from __future__ import annotations

import contextlib
import secrets
import signal
import socket
import sys
import webbrowser
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = ["run"]

PORT, TRIES = 8765, 20


def run(path: Path | None, port: int | None, browser: bool, say: Any, program: Path | None = None) -> None:
    """Serve the page until Ctrl-C. ``say`` prints a line, and ``program`` defines the classes of a model.

    Raises ModuleNotFoundError without Starlette or uvicorn, OSError if the port is taken, ValueError for a file that is
    neither data nor a model.
    """
    missing = [name for name in ("starlette", "uvicorn") if find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(
            f"the page needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed. "
            "Write: pip install 'ranvier[page]'"
        )
    from ranvier.cli.page.given import begun_with

    token = secrets.token_urlsafe(24)
    given, start = begun_with(path, program)
    server, listening, sessions = served(given, start, port, token)
    address = f"http://127.0.0.1:{listening.getsockname()[1]}/#{token}"
    say(f"The page is at {address}")
    say("It answers this machine alone. Ctrl-C ends it.")
    if browser and not opened(address):
        say("No browser was found: open the address in one.")
    sys.stdout.flush()
    try:
        with closed_connections_raise():
            server.run(sockets=[listening])
    finally:
        sessions.close()
        listening.close()


@contextlib.contextmanager
def closed_connections_raise() -> Iterator[None]:
    """Within this context a page that closes while the server writes to it raises an error.

    The command line lets SIGPIPE end the program, as it should where the reader of its output exits.
    """
    if not hasattr(signal, "SIGPIPE"):
        yield
        return
    before = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGPIPE, before)


def served(
    given: dict[str, Any], start: dict[str, Any], port: int | None, token: str
) -> tuple[Any, socket.socket, Any]:
    """The server that is about to run, the socket that it listens on, and its sessions."""
    import uvicorn

    from ranvier.cli.page.guard import Guard
    from ranvier.cli.page.server import Sessions, app

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: Any) -> None:
            if not self.should_exit:  # a second Ctrl-C changes nothing: the end takes a second at most
                super().handle_exit(sig, frame)

        async def shutdown(self, sockets: Any = None) -> None:
            sessions.close()  # so that the streams of open pages end by themselves
            await super().shutdown(sockets)

    listening = listen(port)
    sessions = Sessions(given, start)
    guarded = Guard(app(sessions), token, listening.getsockname()[1])
    config = uvicorn.Config(
        guarded, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1, ws="none",
        server_header=False,
    )  # fmt: skip
    return Server(config), listening, sessions


def listen(port: int | None) -> socket.socket:
    """A socket on 127.0.0.1: at this port, or without one at the first of some ports that is free."""
    last: OSError | None = None
    for tried in [port] if port is not None else [*range(PORT, PORT + TRIES), 0]:
        found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, sys.platform != "win32")
        try:
            found.bind(("127.0.0.1", tried))
            found.listen()  # two programs may bind the same port while neither listens
        except OSError as error:
            found.close()
            last = error
        else:
            return found
    raise OSError(f"port {port} is taken. Write --port with another number, or leave it out for a free one.") from last


def opened(address: str) -> bool:
    """Whether a browser opens the address."""
    try:
        return webbrowser.open(address)
    except webbrowser.Error:
        return False
