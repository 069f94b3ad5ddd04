"""What a video is like. Animated GIF, WebP, PNG and AVIF count as videos.

There is ffmpeg but no ffprobe. The size of an upright frame and the exact frame rate come from
ffmpeg's ``framecrc`` output, which has a fixed form. The rest is read from the messages meant for
people.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

from facecycle_cli.errors import MediaError
from facecycle_cli.media import ffmpeg

# Screen recorders write "1000 frames per second" where they mean "whenever something changed".
_MAX_FPS: Final = Fraction(300)
_DEFAULT_FPS: Final = Fraction(30)
_HD_WIDTH, _HD_HEIGHT = 1280, 577
"""A video at least so wide or so high is HD: without a tag its colors are those of BT.709."""


class Color(NamedTuple):
    """How the pixels of a video are stored.

    Attributes:
        pixel_format: by ffmpeg's name.
        matrix, primaries, transfer: by ffmpeg's names; ``unknown`` without a tag.
        is_progressive: whether the file says that no frame is interlaced.
    """

    pixel_format: str = "unknown"
    matrix: str = "unknown"
    primaries: str = "unknown"
    transfer: str = "unknown"
    is_progressive: bool = False

    @property
    def is_hdr(self) -> bool:
        """Whether the brightness needs tone mapping (HLG, PQ)."""
        return self.transfer in ("arib-std-b67", "smpte2084")

    @property
    def has_alpha(self) -> bool:
        """Whether pixels may be transparent."""
        return self.pixel_format.startswith(_WITH_ALPHA)

    @property
    def is_yuv(self) -> bool:
        """Whether a matrix is needed to get RGB."""
        return self.pixel_format.startswith(("yuv", "nv", "p01", "uyvy"))


_WITH_ALPHA: Final = ("rgba", "bgra", "argb", "abgr", "gbrap", "ya8", "ya16", "yaf", "yuva", "pal8")
_UNKNOWN: Final = Color()


@dataclass(frozen=True)
class VideoInfo:
    """A video as :func:`.read_frames` gives it: upright, square pixels.

    Attributes:
        width, height: in pixels, after the rotation.
        fps: frames per second, exactly; of a varying rate the one that the file names.
        duration: seconds; None: the container does not say.
        codec: of the frames, by ffmpeg's name.
        audio_codec: of the sound track that players choose; None: no sound.
        rotation: degrees, counter-clockwise, that the file asks players for.
        container: by ffmpeg's names.
        video_track, audio_track: which of its tracks of that kind are used, from 0.
        alpha_track: which track holds the transparency of the video track (AVIF); None: none does.
        color: how pixels are stored.
        names_rate: whether ``fps`` is what the file says; False: it says nothing sensible.
    """

    width: int
    height: int
    fps: Fraction
    duration: float | None
    codec: str
    audio_codec: str | None
    rotation: int
    container: str = "unknown"
    video_track: int = 0
    audio_track: int = 0
    alpha_track: int | None = None
    color: Color = _UNKNOWN
    names_rate: bool = True

    @property
    def has_audio(self) -> bool:
        """Whether there is sound."""
        return self.audio_codec is not None

    @property
    def expected_frames(self) -> int | None:
        """Number of frames, to within a few: containers do not count them. None: unknown."""
        return None if self.duration is None else max(1, round(self.duration * self.fps))

    @property
    def is_hd(self) -> bool:
        """Whether it is high definition."""
        return max(self.width, self.height) >= _HD_WIDTH or self.height >= _HD_HEIGHT


class _Stream(NamedTuple):
    """A line of ffmpeg's about a stream."""

    label: str
    kind: str
    codec: str
    rest: str

    @property
    def is_track(self) -> bool:
        """Whether it has a language, as tracks of MP4 and AVIF have, and pictures in them lack."""
        return "(" in self.label

    @property
    def is_gray(self) -> bool:
        """Whether it has no colors."""
        return _color(self.rest).pixel_format.startswith("gray")

    @property
    def is_default(self) -> bool:
        return "(default)" in self.rest


_CONTAINER = re.compile(r"^Input #0, (.+), from ", re.MULTILINE)
_DURATION = re.compile(r"^ +Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)", re.MULTILINE)
_STREAM = re.compile(r"^ +Stream #0:\d+(\S*): (Video|Audio): (\w+)(.*)", re.MULTILINE)
_ROTATION = re.compile(r"rotation of (-?\d+(?:\.\d+)?) degrees")
_PIXELS = re.compile(r", (\w+)(?:\(([^)]*)\))?, (\d+)x(\d+)")
_TOO_LARGE = re.compile(r"Picture size (\d+)x(\d+) exceeds")
_SEQUENCE = re.compile(r"^ +major_brand +: (avis|msf1|hevc)", re.MULTILINE)
_MATRICES: Final = frozenset(
    "bt709 fcc bt470bg smpte170m smpte240m ycgco bt2020nc bt2020c gbr ictcp".split()
)


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Find out what the video at ``path`` is like. Decodes one frame.

    Raises:
        MediaError: it is no video, or one that cannot be decoded.
        OSError: it cannot be opened.
    """
    done = _first_frame(path, track=0)
    track, alpha_track = 0, None
    if _SEQUENCE.search(done.stderr):
        track, alpha_track = _animation_tracks(_videos(done.stderr))
        animation = _first_frame(path, track) if track else done
        done, track = (animation, track) if animation.returncode == 0 else (done, 0)
    if "not on whitelist" in done.stderr:
        raise MediaError("not a video in a known format")
    if "matches no streams" in done.stderr:
        raise MediaError("no video in this file")
    description = done.stderr.partition("Stream mapping:")[0]
    streams, videos = _streams(done.stderr), _videos(done.stderr)
    header, first_frame = _parse_framecrc(done.stdout)
    if not first_frame:  # of later frames ffmpeg may or may not have seen one; it drops them
        _check_size(done.stderr)
    if "unspecified pixel format" in done.stderr:  # ffmpeg had none to look at
        raise MediaError("a video without a frame that can be decoded")
    if done.returncode != 0:
        raise MediaError(f"not a readable video ({ffmpeg.failure_reason(done.stderr)})")
    if not first_frame or "dimensions" not in header:
        raise MediaError("a video without frames")
    width, height = (int(n) for n in header["dimensions"].split("x"))
    width = max(1, round(width * _pixel_aspect(header.get("sar", ""))))
    if width * height > ffmpeg.MAX_PIXELS:  # a kilobyte can ask for pixels as wide as a screen
        raise MediaError(_too_large(width, height))
    rate = 1 / Fraction(header["tb"])
    sounds = [s for s in streams if s.kind == "Audio"]
    audio_track = next((n for n, sound in enumerate(sounds) if sound.is_default), 0)
    rotation = _ROTATION.search(description)
    container = _CONTAINER.search(description)
    return VideoInfo(
        width=width,
        height=height,
        fps=rate if rate <= _MAX_FPS else _DEFAULT_FPS,
        duration=_duration(description),
        codec=videos[track].codec if track < len(videos) else "unknown",
        audio_codec=sounds[audio_track].codec if sounds else None,
        rotation=round(float(rotation[1])) if rotation else 0,
        container=container[1] if container else "unknown",
        video_track=track,
        audio_track=audio_track,
        alpha_track=alpha_track if track else None,
        color=_color(videos[track].rest) if track < len(videos) else _UNKNOWN,
        names_rate=rate <= _MAX_FPS,
    )


def _first_frame(path: str | os.PathLike[str], track: int) -> ffmpeg.Finished:
    with ffmpeg.InputFile(path) as file:
        selection = ["-map", f"0:V:{track}", "-frames:v", "1"]
        arguments = [*file.options, *selection, "-f", "framecrc", "-"]
        return ffmpeg.run(arguments, descriptors=file.descriptors)


def _streams(messages: str) -> list[_Stream]:
    description = messages.partition("Stream mapping:")[0]
    return [_Stream(*match.groups()) for match in _STREAM.finditer(description)]


def _videos(messages: str) -> list[_Stream]:
    return [s for s in _streams(messages) if s.kind == "Video" and "attached pic" not in s.rest]


def _animation_tracks(videos: list[_Stream]) -> tuple[int, int | None]:
    """The track with the frames of an animated AVIF or HEIF, and the one with their transparency.

    Its cover comes first, and the cover's transparency.
    """
    tracks = [number for number, video in enumerate(videos) if video.is_track]
    if not tracks:
        return 0, None
    alpha = next((n for n in tracks[1:] if videos[n].is_gray), None)
    return tracks[0], alpha


def _check_size(messages: str) -> None:
    """Raises MediaError for frames that would take gigabytes."""
    size = _TOO_LARGE.search(messages)
    if size:
        raise MediaError(_too_large(size[1], size[2]))


def _too_large(width: int | str, height: int | str) -> str:
    limit = ffmpeg.MAX_PIXELS // 1_000_000
    return f"frames of {width}x{height} pixels; at most {limit} megapixels"


def _pixel_aspect(text: str) -> Fraction:
    """Width of a pixel over its height, of ``10/11``; 1 where the file does not say (``0/1``)."""
    numerator, _, denominator = text.partition("/")
    if not denominator or not int(numerator) or not int(denominator):
        return Fraction(1)
    return Fraction(int(numerator), int(denominator))


def _color(rest: str) -> Color:
    """The color of a stream, of ``yuv420p(tv, bt709/bt709/unknown, progressive)`` and the like."""
    match = _PIXELS.search(rest)
    if match is None:
        return _UNKNOWN
    details = (match[2] or "").split(", ")
    tags = next((item for item in details if "/" in item or item in _MATRICES), "unknown")
    matrix, primaries, transfer = tags.split("/") if tags.count("/") == 2 else (tags,) * 3
    return Color(match[1], matrix, primaries, transfer, "progressive" in details)


def _parse_framecrc(text: str) -> tuple[dict[str, str], bool]:
    """The ``#tb 0: 1/25`` lines as a dictionary, and whether a frame follows them."""
    header: dict[str, str] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            return header, True
        key, _, value = line[1:].partition(" 0: ")
        header[key] = value.strip()
    return header, False


def _duration(text: str) -> float | None:
    match = _DURATION.search(text)
    if match is None:
        return None
    return 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3])
