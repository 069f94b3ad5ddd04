"""The frames of a source: no larger than its face needs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from facecycle_cli.media import VideoInfo, read_frames

if TYPE_CHECKING:
    from facecycle_cli.faces import FaceBackend

_SIDE: Final = 1280
"""Longest side in pixels at which a source is decoded, unless its face is small."""
_FACE_HEIGHT: Final = 160.0
"""Height in pixels of a face in the decoded frames that gives all that crops and landmarks need."""
_CROP: Final = 256
"""Side in pixels of the crops for which that is enough."""
_GLANCES, _GLANCES_PER_SECOND = 6, 2
"""Frames that are looked at to find out how large the face is."""
_SMALLEST_FACE: Final = 16
"""Height in pixels of the smallest face that is looked for in the reduced frames."""


def decoded_size(
    path: str | os.PathLike[str],
    info: VideoInfo,
    backend: FaceBackend,
    start: float,
    *,
    crop: int = _CROP,
) -> tuple[int, int]:
    """(width, height) in pixels at which to decode a source: 4K is slow, and seldom of use.

    Args:
        path: of the source.
        info: what :func:`.probe` said of it.
        backend: finds the faces.
        start: of the part that is used, seconds.
        crop: side in pixels of the largest crop that is cut out.

    Raises:
        MediaError: the source cannot be decoded.
    """
    scale = _SIDE / max(info.width, info.height)
    if scale >= 1:
        return info.width, info.height
    beginning = read_frames(
        path,
        fps=_GLANCES_PER_SECOND,
        start=start,
        max_frames=_GLANCES,
        size=_scaled(info, scale),
        info=info,
    )
    heights = []
    with beginning:
        for frame in beginning:
            faces = backend.detect([frame.image], min_face=_SMALLEST_FACE)[0]
            heights += [float(face.box[3] - face.box[1]) for face in faces]
    # The smallest counts: which face is followed is not decided yet. None: it may be smaller still.
    smallest = min(heights, default=0.0)
    needed = _FACE_HEIGHT * max(1.0, crop / _CROP)
    return _scaled(info, max(scale, min(1.0, scale * needed / max(smallest, 1.0))))


def _scaled(info: VideoInfo, scale: float) -> tuple[int, int]:
    return max(1, round(info.width * scale)), max(1, round(info.height * scale))
