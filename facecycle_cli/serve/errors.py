"""What goes wrong with a request, as a status of HTTP and one line."""

from __future__ import annotations

from http import HTTPStatus

from facecycle_cli.errors import (
    CommandError,
    FacecycleError,
    FaceError,
    MediaError,
    SettingsError,
)

__all__ = ["RequestError", "status_of"]


class RequestError(FacecycleError):
    """A request that is answered with an error.

    Args:
        status: of HTTP.
        message: one clear line, which goes to the client.
        retry_after: seconds after which the client may try again; None: not said.
    """

    def __init__(self, status: HTTPStatus, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


def status_of(error: FacecycleError) -> HTTPStatus:
    """The status for an error of the library."""
    if isinstance(error, RequestError):
        return error.status
    if isinstance(error, SettingsError):
        return HTTPStatus.BAD_REQUEST
    if isinstance(error, MediaError):
        return HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    if isinstance(error, FaceError):
        return HTTPStatus.UNPROCESSABLE_ENTITY
    if isinstance(error, CommandError):  # the weights or this machine, not the request
        return HTTPStatus.INTERNAL_SERVER_ERROR
    return HTTPStatus.UNPROCESSABLE_ENTITY
