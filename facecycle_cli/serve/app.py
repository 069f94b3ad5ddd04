"""The application: addresses, what guards them, and how a request becomes an answer."""

from __future__ import annotations

import asyncio
import functools
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from facecycle_cli import __version__
from facecycle_cli.errors import FacecycleError
from facecycle_cli.pages.render import content_policy, template
from facecycle_cli.serve.dials import Dial, parse_dials
from facecycle_cli.serve.errors import RequestError, status_of
from facecycle_cli.serve.requests import receive
from facecycle_cli.serve.verbs import VERBS, Answer, Call, Tools, Verb
from facecycle_cli.serve.work import RequestPool, Work
from facecycle_cli.text import json_text, one_line

__all__ = ["LOOPBACK", "ServerEvents", "build_app"]

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Names of this machine for itself."""

_ASSETS = ("page.css", "serve.css", "page.js", "serve.js")
_MAIN = frozenset(
    "expression strength yaw pitch roll only motion paste_back mean face target_face smooth "
    "side_by_side landmarks threshold far".split()
)
"""Options that the page shows at once; the others are one click away."""

_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class ServerEvents:
    """What a caller may want to know; override what is of interest."""

    def answered(self, what: str, status: int, seconds: float) -> None:
        """A request was answered."""

    def failed(self, what: str, error: BaseException) -> None:
        """A request failed for a reason that is not the client's."""


def build_app(
    tools: Tools,
    dials: Mapping[str, Sequence[Dial]],
    pool: RequestPool,
    *,
    hosts: frozenset[str] | None = LOOPBACK,
    events: ServerEvents | None = None,
) -> ASGIApp:
    """The application for a server.

    Args:
        tools: what answers requests.
        dials: name of each verb -> its options.
        pool: what works on them; it is closed when the server ends.
        hosts: names under which the server may be addressed; None: all. A page of another site
            that has its own name point to this machine is refused.
        events: told what happens.
    """
    told = events or ServerEvents()

    @asynccontextmanager
    async def lifespan(_: Starlette):  # type: ignore[no-untyped-def]
        yield
        pool.close()

    routes = [
        Route("/", _page(tools, dials), methods=["GET"]),
        Route("/healthz", _health(pool), methods=["GET"]),
        *(
            Route(f"/{verb.name}", _endpoint(verb, tools, dials[verb.name], pool), methods=["POST"])
            for verb in VERBS.values()
        ),
    ]
    handlers: dict[Any, Any] = {
        HTTPException: _http_error,
        FacecycleError: _our_error,
        Exception: _unknown_error,
    }
    inner = Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)
    return _Guard(inner, hosts, told)


class _Guard:
    """Refuses requests that other sites send by way of a browser, and times the rest."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None, events: ServerEvents) -> None:
        self._app, self._hosts, self._events = app, hosts, events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def sending(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        request = Request(scope)
        refusal = self._refusal(request)
        app = self._app if refusal is None else _error(HTTPStatus.FORBIDDEN, refusal)
        what = one_line(f"{request.method} {request.url.path}")
        try:
            await app(scope, receive, sending)
        except Exception as error:  # starlette raises it again when it is answered
            self._events.failed(what, error)
        finally:
            self._events.answered(what, status, time.perf_counter() - started)

    def _refusal(self, request: Request) -> str | None:
        host = request.headers.get("host", "")
        if self._hosts is not None and _name_of(host) not in self._hosts:
            return "this server has another name"
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return "a page of another site"
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return "a page of another site"
        return None


def _name_of(host: str) -> str:
    """The name in ``name:port``; that of IPv6 without its brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


# -- addresses ------------------------------------------------------------------------------------


def _endpoint(
    verb: Verb, tools: Tools, dials: Sequence[Dial], pool: RequestPool
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        folder = tempfile.TemporaryDirectory(prefix="facecycle-", ignore_cleanup_errors=True)
        path = Path(folder.name)
        try:
            reading = receive(request, path, verb.files, tools.limits.upload_bytes)
            got = await asyncio.wait_for(reading, tools.limits.seconds)
            options = parse_dials(dials, got.fields)
        except BaseException as error:
            folder.cleanup()
            if isinstance(error, asyncio.TimeoutError):
                message = "the request did not arrive in time"
                raise RequestError(HTTPStatus.REQUEST_TIMEOUT, message) from error
            raise
        work = Work(tools.limits.seconds)
        call = Call(path, got.files, options, work)
        kept = _Kept(folder)
        with kept:
            answer = await pool.run(
                work,
                functools.partial(_handle, verb, tools, call),
                request.is_disconnected,
                kept.thread_ended,
            )
            return _response(answer, kept)

    return endpoint


def _handle(verb: Verb, tools: Tools, call: Call) -> Answer:
    call.work.check()  # it may have waited too long
    return verb.handle(tools, call)


class _Kept:
    """The folder of a request, until neither its thread nor its response needs it."""

    def __init__(self, folder: tempfile.TemporaryDirectory[str]) -> None:
        self._folder = folder
        self._users = {"thread", "response"}

    def thread_ended(self) -> None:
        """The thread reads and writes there no more."""
        self._drop("thread")

    def sent(self) -> None:
        """The response is on its way."""
        self._drop("response")

    def __enter__(self) -> None:
        self.is_sending = False

    def __exit__(self, *_: object) -> None:
        if not self.is_sending:
            self.sent()

    def _drop(self, user: str) -> None:
        self._users.discard(user)
        if not self._users:
            self._folder.cleanup()


def _response(answer: Answer, kept: _Kept) -> Response:
    if answer.file is not None:
        kept.is_sending = True
        return FileResponse(
            answer.file,
            media_type=answer.media_type,
            headers=_HEADERS,
            background=BackgroundTask(kept.sent),
        )
    if answer.data is not None:
        return Response(answer.data, media_type=answer.media_type, headers=_HEADERS)
    return _json(answer.fields or {})


def _health(pool: RequestPool) -> Callable[[Request], Awaitable[Response]]:
    async def health(_: Request) -> Response:
        return _json({"status": "ok", "version": __version__, "busy": pool.busy})

    return health


def _page(
    tools: Tools, dials: Mapping[str, Sequence[Dial]]
) -> Callable[[Request], Awaitable[Response]]:
    policy = content_policy(
        *_ASSETS,
        connect_src="'self'",
        img_src="data: blob:",
        media_src="data: blob:",
        frame_ancestors="'none'",
    )
    text = template("serve.html").render(
        verbs=list(VERBS.values()), dials=dials, main=_MAIN, limits=tools.limits, assets=_ASSETS
    )

    async def page(_: Request) -> Response:
        headers = {**_HEADERS, "Content-Security-Policy": policy}
        return HTMLResponse(text, headers=headers)

    return page


# -- errors ---------------------------------------------------------------------------------------


def _json(fields: Mapping[str, Any], status: int = HTTPStatus.OK) -> Response:
    text = json_text(fields, ensure_ascii=False) + "\n"
    data = text.encode("utf-8", "backslashreplace")
    return Response(data, status, _HEADERS, media_type="application/json")


def _error(status: int, message: str, retry_after: int | None = None) -> Response:
    response = _json({"error": one_line(message)}, status)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


async def _our_error(_: Request, error: FacecycleError) -> Response:
    retry_after = error.retry_after if isinstance(error, RequestError) else None
    return _error(status_of(error), str(error), retry_after)


async def _http_error(request: Request, error: HTTPException) -> Response:
    messages = {
        HTTPStatus.NOT_FOUND: f"no such address; there are {', '.join(f'/{v}' for v in VERBS)}",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{request.url.path} takes POST",
    }
    status = HTTPStatus(error.status_code)
    response = _error(status, messages.get(status, error.detail))
    response.headers.update(error.headers or {})
    return response


async def _unknown_error(_: Request, error: Exception) -> Response:
    return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "an error of the server; its log says more")
