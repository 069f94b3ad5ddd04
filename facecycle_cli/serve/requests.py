"""Requests as they arrive: files into a folder of their own, fields as text, all within limits."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from facecycle_cli.serve.errors import RequestError

__all__ = ["Received", "receive"]

_MOST_FIELDS = 40
_FORM = "multipart/form-data"
_RAW = ("image/", "video/", "application/octet-stream")


@dataclass(frozen=True)
class Received:
    """What a request holds.

    Attributes:
        files: name of the field -> the file, in the folder of the request. What the client calls
            the file is not looked at.
        fields: name -> text.
    """

    files: dict[str, Path] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)


class _Limited(Request):
    """A request whose body ends at a limit."""

    most_bytes = 0

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body.

        Raises:
            RequestError: there is too much of it.
        """
        count = 0
        async for chunk in super().stream():
            count += len(chunk)
            if count > self.most_bytes:
                raise _too_large(self.most_bytes)
            yield chunk


async def receive(
    request: Request, folder: Path, wanted: Collection[str], most_bytes: int
) -> Received:
    """Read the body of a request: a form, or one file and nothing else.

    Args:
        request: whose body is not read yet.
        folder: for the files.
        wanted: names of the fields that hold files.
        most_bytes: of the body.

    Raises:
        RequestError: it is too large, lacks a file, or is no form.
    """
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > most_bytes:
        raise _too_large(most_bytes)
    limited = _Limited(request.scope, request.receive)
    limited.most_bytes = most_bytes
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    received = Received()
    for name, value in request.query_params.multi_items():
        _add_field(received, name, value)
    try:
        if kind == _FORM:
            await _receive_form(limited, folder, wanted, received)
        elif kind.startswith(_RAW) and len(wanted) == 1:
            (name,) = wanted
            received.files[name] = folder / name
            with open(folder / name, "wb") as file:
                async for chunk in limited.stream():
                    file.write(chunk)
        else:
            raise RequestError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"send {_FORM} with {' and '.join(wanted)}"
                + (", or a picture alone as the body" if len(wanted) == 1 else ""),
            )
    except ClientDisconnect as error:
        raise RequestError(HTTPStatus.BAD_REQUEST, "the connection ended too early") from error
    for name in wanted:
        if name not in received.files:
            raise RequestError(HTTPStatus.BAD_REQUEST, f"no file in the field {name}")
    return received


async def _receive_form(
    request: Request, folder: Path, wanted: Collection[str], received: Received
) -> None:
    try:
        async with request.form(max_files=len(wanted), max_fields=_MOST_FIELDS) as form:
            for name, value in form.multi_items():
                if isinstance(value, str):
                    if name in wanted:
                        message = f"{name}: a file, and not its name"
                        raise RequestError(HTTPStatus.BAD_REQUEST, message)
                    _add_field(received, name, value)
                elif name not in wanted or name in received.files:
                    message = f"{name[:40]!r} is no field for a file, or has two"
                    raise RequestError(HTTPStatus.BAD_REQUEST, message)
                else:
                    received.files[name] = folder / name
                    await run_in_threadpool(_save, value, folder / name)
    except HTTPException as error:  # starlette's, of a form that cannot be parsed
        raise RequestError(HTTPStatus.BAD_REQUEST, f"not a form: {error.detail}") from error


def _save(upload: UploadFile, path: Path) -> None:
    with open(path, "wb") as file:
        shutil.copyfileobj(upload.file, file)


def _add_field(received: Received, name: str, value: str) -> None:
    if name in received.fields:
        raise RequestError(HTTPStatus.BAD_REQUEST, f"{name[:40]}: given twice")
    received.fields[name] = value


def _too_large(most_bytes: int) -> RequestError:
    message = f"this server takes {most_bytes / (1 << 20):g} MB (--max-upload)"
    return RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
