"""The sound of a video, taken out before the new video is written.

Sound must never cost the video. So it is written to a file of its own first, in a form that the
container of the video can hold: copied, else encoded again, else left out. Whatever fails fails
there, and the file that comes out is muxed without a surprise, also into a pipe.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from facecycle_cli.media import ffmpeg
from facecycle_cli.media.video_info import VideoInfo, probe


@dataclass(frozen=True)
class SoundFormat:
    """The sound that a container holds.

    Attributes:
        muxer: ffmpeg's name of the container.
        copied: codecs that are copied as they are; None: any.
        encoder: options of the encoder for the others.
        layouts: what the encoder can be given, in ffmpeg's syntax; None: anything.
    """

    muxer: str
    copied: frozenset[str] | None
    encoder: tuple[str, ...]
    layouts: str | None = None


_AAC: Final = ("-c:a", "aac", "-b:a", "160k")
_MP4_CODECS: Final = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})
MP4_SOUND: Final = SoundFormat("mp4", _MP4_CODECS, _AAC)
MOV_SOUND: Final = SoundFormat("mov", _MP4_CODECS, _AAC)
MATROSKA_SOUND: Final = SoundFormat("matroska", None, _AAC)
WEBM_SOUND: Final = SoundFormat(
    "webm",
    frozenset({"opus", "vorbis"}),
    ("-c:a", "libopus", "-b:a", "128k"),
    "mono|stereo|5.1|7.1",
)

_DETERMINISTIC: Final = ("-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact")
_FIRST_TWO_CHANNELS: Final = "pan=stereo|c0=c0|c1=c1"
"""Where there are more channels than any layout has."""


class Sound:
    """A sound that is ready to be muxed; its file is removed when this is closed or collected.

    Attributes:
        path: of the file.
    """

    def __init__(self, folder: tempfile.TemporaryDirectory[str]) -> None:
        self.path = os.path.join(folder.name, "sound")
        self.close = weakref.finalize(self, folder.cleanup)


def extract_sound(
    source: str | os.PathLike[str],
    form: SoundFormat,
    *,
    start: float = 0.0,
    duration: float | None = None,
    info: VideoInfo | None = None,
) -> tuple[Sound | None, str | None]:
    """Take the sound of a video: of the track that players choose.

    Args:
        source: the video.
        form: of the container that the sound is for.
        start: of the part to take, seconds.
        duration: of the part to take, seconds; None: to the end.
        info: what :func:`.probe` said of the video, which saves asking again.

    Returns:
        The sound, None if there is none or if it cannot be used; and why it cannot be used.

    Raises:
        MediaError: the video cannot be read.
        OSError: it cannot be opened, or there is no place for temporary files.
    """
    info = info or probe(source)
    if info.audio_codec is None:
        return None, None
    sound = Sound(tempfile.TemporaryDirectory(prefix="facecycle-"))
    why = "an unknown codec"
    try:
        for options in _ways(form, info.audio_codec):
            failure = _write(source, sound.path, form, options, info.audio_track, start, duration)
            if failure is None:
                return sound, None
            why = failure
    except BaseException:
        sound.close()
        raise
    sound.close()
    return None, f"without sound: {info.audio_codec} cannot be used ({why})"


def _ways(form: SoundFormat, codec: str) -> list[tuple[str, ...]]:
    """Options for the sound, best first."""
    copied = form.copied is None or codec in form.copied
    layouts = ("-af", f"aformat=channel_layouts={form.layouts}") if form.layouts else ()
    return [
        *([("-c:a", "copy")] if copied else []),
        (*form.encoder, *layouts),
        (*form.encoder, "-ac", "2"),
        (*form.encoder, "-af", _FIRST_TWO_CHANNELS),
        (*form.encoder, "-ac", "1"),
    ]


def _write(
    source: str | os.PathLike[str],
    target: str,
    form: SoundFormat,
    options: tuple[str, ...],
    track: int,
    start: float,
    duration: float | None,
) -> str | None:
    """Write the sound to ``target``; returns why that is impossible, None if it is done."""
    part = [*(("-ss", f"{start:.6f}") if start else ())]
    part += [*(("-t", f"{duration:.6f}") if duration is not None else ())]
    with ffmpeg.InputFile(source) as file:
        done = ffmpeg.run(
            [
                *("-v", "error", "-max_error_rate", "1", *part, *file.options),
                *("-map", f"0:a:{track}", *options, *_DETERMINISTIC),
                *("-f", form.muxer, "-y", ffmpeg.url(target)),
            ],
            descriptors=file.descriptors,
        )
    is_copy = options[1] == "copy"
    # A decoder that complains goes on. A muxer that complains has left something out.
    if done.returncode != 0 or (is_copy and done.stderr.strip()):
        return ffmpeg.failure_reason(done.stderr)
    if not Path(target).stat().st_size:
        return "no sound there"
    # Packets that cannot be decoded are no reason: players skip them, too.
    check = ffmpeg.run(
        [
            *("-v", "error", "-max_error_rate", "1", "-i", ffmpeg.url(target)),
            *("-t", "1", "-f", "null", "-"),
        ]
    )
    return None if check.returncode == 0 else ffmpeg.failure_reason(check.stderr)
