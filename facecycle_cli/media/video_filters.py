"""What ffmpeg does to the frames of a video: which of them come, how large, and in which colors."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Final

from facecycle_cli.media import ffmpeg
from facecycle_cli.media.video_info import Color, VideoInfo

MILLISECOND: Final = 0.001
"""Precision of times, in seconds: that of the pipe from ffmpeg."""

_SAME_ASPECT: Final = 0.02
"""Relative difference of two aspect ratios below which a picture is stretched, not padded."""


def filter_chain(
    info: VideoInfo, size: tuple[int, int], *, begin: float | None, fps: Fraction | None
) -> str:
    """The filters from decoded frames to RGB, upright, with square pixels.

    Args:
        info: what the video is like.
        size: (width, height) of the result in pixels.
        begin: time of the first frame that is wanted, seconds from the seek (which ends at a key
            frame before it); None: the very first.
        fps: of the frames that come at most so many in a second; None: all.
    """
    color = info.color
    filters = []
    if color.is_yuv and not color.is_progressive:  # it leaves frames alone that are
        filters.append("bwdif=mode=send_frame:deint=interlaced")
    if begin is not None:
        filters.append(f"trim=start={begin - MILLISECOND / 2:.6f}")
    if fps is not None:  # before the scaling: frames that are dropped need not be scaled
        filters.append(_first_of_each_period(fps))
    if needs_mapping(info) and has_zscale():
        filters += _to_standard_range(color)
    matrix = color.is_yuv and color.matrix == "unknown" and info.is_hd
    if color.has_alpha or info.alpha_track is not None:
        filters += _on_white("scale=in_color_matrix=bt709" if matrix else "null")
    width, height = size
    # Where the resolution changes in the middle, the picture keeps its proportions.
    ratio = f"(dar*{info.height}/{info.width})"
    kept = f"lt(abs({ratio}-1),{_SAME_ASPECT})"
    scale = (
        f"scale=w='if({kept},{width},round({width}*min(1,{ratio})))'"
        f":h='if({kept},{height},round({height}*min(1,1/{ratio})))':flags=area"
    )
    if matrix:
        scale += ":in_color_matrix=bt709"
    filters += [scale, "format=rgb24", f"pad={width}:{height}:-1:-1", "setsar=1"]
    return ",".join(filters)


def _on_white(to_rgb: str) -> list[str]:
    """Filters that put frames on white where they are transparent, as pictures are.

    Args:
        to_rgb: the filter before, which chooses the matrix.
    """
    white = "drawbox=color=white:thickness=fill:replace=1"
    return [to_rgb, f"format=rgba,split[face],{white}[white];[white][face]overlay=format=rgb"]


def _first_of_each_period(fps: Fraction) -> str:
    """The filter that keeps the first frame of each period, counted from the first frame.

    Unlike ffmpeg's filter ``fps`` it repeats none. A frame up to a millisecond early is on time:
    some containers round their times.
    """
    rate = f"{fps.numerator}/{fps.denominator}"
    period = f"floor(({{}}-ld(0)+{MILLISECOND})*{rate})"
    return (
        f"select='if(isnan(prev_t),st(0,t)*0+1,gt({period.format('t')},{period.format('prev_t')}))'"
    )


def needs_mapping(info: VideoInfo) -> bool:
    """Whether the video's colors are not those of a screen (HDR, BT.2020)."""
    return info.color.is_hdr or info.color.primaries == "bt2020"


def _to_standard_range(color: Color) -> list[str]:
    """Filters from BT.2020, with or without HLG or PQ, to BT.709."""
    # What the file leaves open is said here: zscale refuses to guess.
    matrix = color.matrix if color.matrix in ("bt2020c", "ictcp") else "bt2020nc"
    transfer = color.transfer if color.is_hdr else "bt709"
    given = f"setparams=colorspace={matrix}:color_primaries=bt2020:color_trc={transfer}"
    if not color.is_hdr:
        return [given, "zscale=p=bt709:t=bt709:m=bt709:r=tv", "format=yuv444p"]
    return [
        given,
        "zscale=t=linear:npl=203",
        "format=gbrpf32le",
        "zscale=p=bt709",
        "tonemap=mobius:desat=0:param=0.5",
        "zscale=t=bt709:m=bt709:r=tv",
        "format=yuv444p",
    ]


@lru_cache(maxsize=1)
def has_zscale() -> bool:
    """Whether this ffmpeg can convert HDR colors."""
    return " zscale " in ffmpeg.run(["-filters"]).stdout
