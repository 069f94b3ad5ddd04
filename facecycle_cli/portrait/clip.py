"""A video file whose faces are moved: from the file to the file that is written."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from facecycle_cli.faces import FaceBackend
from facecycle_cli.faces.choice import FaceChoice
from facecycle_cli.media import Frame, Provenance
from facecycle_cli.media.clips import Clip, write_frames
from facecycle_cli.media.video import images_of
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.decoding import decoded_size
from facecycle_cli.portrait.motions import PortraitMotion
from facecycle_cli.portrait.video import PortraitVideo

__all__ = ["ClipSettings", "MovedClip", "move_clip"]


@dataclass(frozen=True)
class ClipSettings:
    """What becomes of the faces of a video.

    Attributes:
        motion: what becomes of a face.
        face: which face; ``all`` with ``paste_back``.
        size: side of the crops in pixels.
        paste_back: the output is the whole frames instead of the crops.
    """

    motion: PortraitMotion
    face: FaceChoice = "largest"
    size: int = 256
    paste_back: bool = False


@dataclass(frozen=True)
class MovedClip:
    """A video that was written.

    Attributes:
        frames: how many.
        faces_found: in how many of them a face was seen.
        most_besides: the largest number of faces besides the chosen one in any frame.
        video_fps: its frames per second.
        seconds: how long it took.
        warnings: what a user should know.
    """

    frames: int
    faces_found: int
    most_besides: int
    video_fps: float
    seconds: float
    warnings: tuple[str, ...]

    @property
    def held(self) -> int:
        """How many frames show no face."""
        return self.frames - self.faces_found

    def report(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "frames": self.frames,
            "faces_found": self.faces_found,
            "frames_held": self.held,
            "fps": round(self.frames / max(self.seconds, 1e-3), 2),
            "video_fps": round(self.video_fps, 4),
            "seconds": round(self.seconds, 3),
        }


def move_clip(
    clip: Clip,
    output: str,
    settings: ClipSettings,
    model: FaceCycle,
    backend: FaceBackend,
    *,
    provenance: Provenance,
    advance: Callable[[], None] = lambda: None,
) -> MovedClip:
    """Move the faces of a video, and write it with its sound.

    Args:
        clip: the part of it that is used.
        output: a file, a folder for the frames, or ``-``.
        settings: what becomes of the faces.
        model: the networks.
        backend: finds the faces; one call should use one thread.
        provenance: the note that the output carries.
        advance: called after each frame.

    Raises:
        MediaError: the video cannot be decoded, or the output cannot be written.
        NoFaceError: there is no (such) face in the whole video.
        SettingsError: all faces are wanted in one crop.
        BrokenPipeError: nobody reads standard output any more.
    """
    started = time.perf_counter()
    start = clip.part.start
    size = decoded_size(clip.path, clip.info, backend, start, crop=settings.size)
    reads_again = settings.paste_back and size != (clip.info.width, clip.info.height)
    places = deque[Frame]()
    with (
        clip.read(size) as reader,
        clip.read() if reads_again else nullcontext(()) as whole,
        PortraitVideo(
            images_of(reader, places),
            settings.motion,
            fps=float(clip.info.fps),
            model=model,
            backend=backend,
            face=settings.face,
            size=settings.size,
            paste_back=settings.paste_back,
            whole=(frame.image for frame in whole) if reads_again else None,
        ) as video,
    ):
        note = write_frames(video, places, output, clip, provenance=provenance, advance=advance)
    return MovedClip(
        video.frames,
        video.faces_found,
        video.most_besides,
        float(clip.info.fps),
        time.perf_counter() - started,
        tuple(filter(None, (reader.warning, note))),
    )
