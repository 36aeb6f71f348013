"""What may reach the server: requests of its own page, of limited size."""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ranvier.cli.page.chinese import chinese

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BYTES = 1 << 20  # of a message
MOST_FILE = 8 << 20  # of an uploaded table
HEADERS = [
    (b"content-security-policy", b"default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]


class Guard:
    """Lets requests through whose Host is this server, whose Origin, if any, is its page, and that have the token.

    The files of the page need no token: they hold no data, and the address bar has it after the "#", which browsers
    send nowhere. A page elsewhere can neither read it nor, by the name of another host, reach the server.
    """

    def __init__(self, app: App, token: str, port: int) -> None:
        self.app, self.token = app, token
        self.hosts = {f"{host}:{port}" for host in ("127.0.0.1", "localhost")}
        self.origins = {f"http://{host}" for host in self.hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # the server's own start and end; it has no web sockets
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        wrong = self.wrong(scope["path"], headers)
        if wrong is not None:
            await refuse(send, *wrong)
            return

        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        await self.app(scope, receive, guarded)

    def wrong(self, path: str, headers: dict[str, str]) -> tuple[int, str] | None:
        """The status and the reason for which a request is refused."""
        if headers.get("host", "") not in self.hosts:
            return 421, "this server answers for 127.0.0.1 only"
        if headers.get("origin", next(iter(self.origins))) not in self.origins:
            return 403, "requests of other pages are refused"
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "requests of other pages are refused"
        if path.startswith("/api/"):
            if not secrets.compare_digest(headers.get("x-token", "").encode(), self.token.encode()):
                return 403, "the token is missing or wrong: open the address that ranvier page printed"
            most = MOST_FILE if path == "/api/table" else MOST_BYTES
            length = headers.get("content-length", "0")
            if not length.isdecimal() or int(length) > most:
                return 413, f"the message is larger than {most >> 20} MB"
        return None


def in_both(reason: str) -> dict[str, str]:
    """An error in the languages of the page."""
    return {"error": reason, "chinese": chinese(reason)}


async def refuse(send: Send, status: int, reason: str) -> None:
    """Answer with a reason."""
    body = json.dumps(in_both(reason)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
