"""The server of `ranvier page`: the page's files, and one session of training for each open page."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ranvier.cli.page import exports
from ranvier.cli.page.drawing import looked_at
from ranvier.cli.page.given import of_table, uploaded
from ranvier.cli.page.guard import MOST_BYTES, MOST_FILE, in_both
from ranvier.cli.page.session import Session
from ranvier.cli.page.settings import SettingError, Settings, number, whole
from ranvier.cli.page.steps import explained

STATIC = Path(__file__).parent / "static"
MOST_SESSIONS = 6
BEAT = 0.5  # seconds, after which a stream without frames looks whether its page is still there
LEFT = 20.0  # seconds, after which a session without a page ends


class Sessions:
    """The sessions of the open pages, by their names."""

    def __init__(self, given: dict[str, Any], start: dict[str, Any]) -> None:
        self.given, self.start = given, start
        self.known: dict[str, Session] = {}
        self.seen: dict[str, float] = {}  # the time at which a session without a stream was last used

    def open(self) -> tuple[str, Session]:
        """A new session. Raises SettingError if there are too many."""
        now = time.monotonic()
        for name in [n for n, at in self.seen.items() if now - at > LEFT]:
            self.drop(name)
        if len(self.known) >= MOST_SESSIONS:
            raise SettingError(f"{MOST_SESSIONS} pages are open already. Close one of them first.")
        name = secrets.token_urlsafe(12)
        session = self.known[name] = Session(dict(self.given))
        self.seen[name] = now
        return name, session

    def drop(self, name: str) -> None:
        """End a session."""
        self.seen.pop(name, None)
        session = self.known.pop(name, None)
        if session is not None:
            session.close()

    def close(self) -> None:
        """End all sessions."""
        for name in list(self.known):
            self.drop(name)

    def of(self, name: Any) -> Session:
        """The session of this name."""
        found = self.known.get(name) if isinstance(name, str) else None
        if found is None:
            raise SettingError("this page's session has ended. Load the page again.")
        return found


async def body_of(request: Request, most: int) -> bytes:
    """The body of a request, which is refused as soon as it is too long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise SettingError(f"the message is larger than {most >> 20} MB.")
    return bytes(body)


async def message_of(request: Request) -> dict[str, Any]:
    """The object that a page has sent."""
    try:
        message = json.loads(await body_of(request, MOST_BYTES) or b"{}")
    except (ValueError, RecursionError) as error:
        if isinstance(error, SettingError):
            raise
        raise SettingError("the message is no JSON.") from None
    if not isinstance(message, dict):
        raise SettingError("the message is no object.")
    return message


Answer = Callable[[Sessions, dict[str, Any]], Any]


def open_page(sessions: Sessions, message: dict[str, Any]) -> Any:
    """A session for a new page, and what the command line says to begin with."""
    name, _ = sessions.open()
    return {"session": name, "start": sessions.start, "given": sorted(sessions.given)}


def build(sessions: Sessions, message: dict[str, Any]) -> Any:
    """New data and a new network."""
    return sessions.of(message.get("session")).build(Settings.of(message.get("settings")))


def control(sessions: Sessions, message: dict[str, Any]) -> Any:
    """Run, pause, one step, one epoch, the speed, the learning rate, or what of the training is looked at."""
    session, action = sessions.of(message.get("session")), message.get("action")
    if action in ("run", "pause", "step", "epoch"):
        getattr(session, action)()
    elif action == "speed":
        session.speed = number("speed", message.get("value"), 0, 1000)
    elif action == "rate":
        session.set_rate(number("rate", message.get("value"), 0, 10))
    elif action == "watch":
        session.watch(message.get("value"))
    else:
        raise SettingError(f"action={str(action)[:40]!r}: write run, pause, step, epoch, speed, rate or watch.")
    return {"running": session.running}


def output(sessions: Sessions, message: dict[str, Any]) -> Any:
    """Another output of the model is shown."""
    return sessions.of(message.get("session")).show(whole("output", message.get("output"), 0, 999))


def explain(sessions: Sessions, message: dict[str, Any]) -> Any:
    """A step with all its numbers."""
    return explained(sessions.of(message.get("session")), message)


def draw(sessions: Sessions, message: dict[str, Any]) -> Any:
    """What the network makes of an image."""
    return looked_at(sessions.of(message.get("session")), message)


def code(sessions: Sessions, message: dict[str, Any]) -> Any:
    """The network as a program."""
    return exports.code(sessions.of(message.get("session")), message)


ANSWERS: dict[str, Answer] = {
    "open": open_page, "build": build, "control": control, "output": output, "explain": explain, "draw": draw,
    "code": code,
}  # fmt: skip
EXPECTED = (ValueError, TypeError, RuntimeError, ArithmeticError, MemoryError, OSError)  # errors that a page shows


def app(sessions: Sessions) -> Starlette:
    """The server. `Guard` stands before it."""

    def route(answer: Answer) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            try:
                return JSONResponse(await run_in_threadpool(answer, sessions, await message_of(request)))
            except EXPECTED as error:
                return refusal(error)

        return endpoint

    async def table(request: Request) -> Response:
        try:
            session = sessions.of(request.headers.get("x-session"))
            body = await body_of(request, MOST_FILE)
            name = unquote(request.headers.get("x-name", ""))
            load, shown = await run_in_threadpool(lambda: of_table(uploaded(name, body)))
        except EXPECTED as error:
            return refusal(error)
        session.given["table"] = load
        return JSONResponse(shown)

    def file(make: Callable[[Session, dict[str, Any]], tuple[str, bytes]]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            try:
                message = await message_of(request)
                name, content = await run_in_threadpool(make, sessions.of(message.get("session")), message)
            except EXPECTED as error:
                return refusal(error)
            return Response(content, headers={"content-disposition": f'attachment; filename="{name}"'})

        return endpoint

    async def frames(request: Request) -> Response:
        try:
            message = await message_of(request)
            session = sessions.of(message.get("session"))
        except SettingError as error:
            return refusal(error)
        return StreamingResponse(
            stream(request, sessions, message["session"], session), media_type="application/x-ndjson"
        )

    async def page(request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    routes = [Route(f"/api/{name}", route(answer), methods=["POST"]) for name, answer in ANSWERS.items()]
    return Starlette(
        routes=[
            Route("/", page),
            Route("/api/frames", frames, methods=["POST"]),
            Route("/api/table", table, methods=["POST"]),
            Route("/api/model", file(exports.model_file), methods=["POST"]),
            Route("/api/report", file(exports.report), methods=["POST"]),
            *routes,
            Mount("/static", StaticFiles(directory=STATIC)),
        ]
    )


def refusal(error: BaseException) -> JSONResponse:
    """The answer to a message that does not fit."""
    return JSONResponse(in_both(str(error) or type(error).__name__), 400)


async def stream(request: Request, sessions: Sessions, name: str, session: Session) -> AsyncIterator[bytes]:
    """The frames of a session, a line for each; several as one where the page is slower. Training ends with it."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    latest: list[dict[str, Any]] = []

    def listen(frame: dict[str, Any]) -> None:
        before = latest[0] if latest and latest[0].get("version") == frame.get("version") else {}
        latest[:] = [before | frame]  # a frame may lack parts that the one before it has
        with contextlib.suppress(RuntimeError):  # the server has ended
            loop.call_soon_threadsafe(ready.set)

    session.listener = listen
    sessions.seen.pop(name, None)
    try:
        while not session.closed:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ready.wait(), BEAT)
            ready.clear()
            if await request.is_disconnected():
                break
            frame = latest.pop() if latest else None
            yield (json.dumps(frame, allow_nan=False, separators=(",", ":")) if frame else "").encode() + b"\n"
    finally:
        if session.listener is listen:  # no newer stream of the same page
            session.listener = None
            session.running = False
            sessions.seen[name] = time.monotonic()
