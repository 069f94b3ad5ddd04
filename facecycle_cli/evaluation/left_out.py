"""Pictures of a data set that are left out, because the row that lists them cannot be used."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from facecycle_cli.errors import DataError
from facecycle_cli.faces import FaceBackend
from facecycle_cli.portrait.crops import CropResult, CropSettings, FailedCrop, Picture, crop_faces

__all__ = ["Problems", "crop_listed", "with_problems"]

Problems: TypeAlias = list[tuple[str, Exception]]
"""(name, reason) of each picture or row that cannot be used."""


def with_problems(error: DataError, problems: Sequence[tuple[str, Exception]]) -> DataError:
    """``error``, and what was left out before: often its reason.

    Args:
        error: why a data set cannot be used.
        problems: (name, reason) of what was left out of it.
    """
    if not problems:
        return error
    name, reason = problems[0]
    rest = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
    return DataError(f"{error} (left out: {name}: {reason}{rest})")


def crop_listed(
    listed: Iterable[Picture | FailedCrop], settings: CropSettings, backend: FaceBackend
) -> Iterator[CropResult]:
    """As :func:`~facecycle_cli.portrait.crops.crop_faces`, for a list with gaps.

    Args:
        listed: pictures, and in place of those that cannot be opened the reason why.
        settings: how to crop them.
        backend: finds the faces.

    Yields:
        A result for each entry, in order.
    """
    waiting: deque[FailedCrop | None] = deque()  # None: a picture, whose result is still to come

    def pictures() -> Iterator[Picture]:
        for entry in listed:
            if isinstance(entry, FailedCrop):
                waiting.append(entry)
            else:
                waiting.append(None)
                yield entry

    for result in crop_faces(pictures(), settings, backend):
        while (failed := waiting.popleft()) is not None:
            yield failed
        yield result
    while waiting and (failed := waiting.popleft()) is not None:
        yield failed
