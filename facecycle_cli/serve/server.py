"""The server: a socket, and uvicorn on it until a signal ends it."""

from __future__ import annotations

import errno
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from facecycle_cli.errors import CommandError

__all__ = ["open_socket", "serve_app"]

_CONNECTIONS = 64
"""At once: each may hold one upload on the disk."""

_GRACE_SECONDS = 3


def open_socket(host: str, port: int) -> socket.socket:
    """A socket with that address, which takes no connections yet.

    Args:
        host: a name or an address of this machine.
        port: 0 is any that is free.

    Raises:
        CommandError: the address cannot be had.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        opened = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CommandError(f"--host {host}: {error.strerror}") from error
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
    except OSError as error:
        opened.close()
        why = "it is in use" if error.errno == errno.EADDRINUSE else error.strerror
        raise CommandError(f"--host {host} --port {port}: {why}") from error
    return opened


class _Server(uvicorn.Server):
    """Says when it is ready, and when it is asked to end."""

    on_ready: Callable[[], None]
    on_end: Callable[[], None]
    interrupted = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came."""
        self.interrupted = self.interrupted or sig == signal.SIGINT
        self.on_end()
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take connections."""
        await super().startup(sockets)
        if self.started:
            self.on_ready()


def serve_app(
    app: ASGIApp,
    opened: socket.socket,
    on_ready: Callable[[], None],
    on_end: Callable[[], None],
) -> None:
    """Answer requests until a signal ends this.

    SIGINT and SIGTERM end it. Then the signal is raised again, for whoever called this.

    Args:
        app: the application.
        opened: as :func:`open_socket` gives it.
        on_ready: called when connections are taken.
        on_end: called by the handler of signals: requests should end soon.
    """
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        log_level="critical",  # what there is to say, the caller says
        access_log=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = _Server(config)
    server.on_ready, server.on_end = on_ready, on_end
    server.run(sockets=[opened])
    if server.interrupted:
        # Where the event loop ends just then, it takes the signal that is raised again for its own.
        raise KeyboardInterrupt
