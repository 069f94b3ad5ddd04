"""Raw frames with their times, between ffmpeg and us: the little of Matroska that this takes.

A pipe of bare frames has no times: ffmpeg would have to repeat frames wherever a video pauses, and
for a video that pauses for hours a million times. Matroska is the simplest container that both
sides know: elements of an identifier, a length and the data (RFC 8794 and RFC 9559). Libraries that
write it (ffmpeg's own bindings) bring a second ffmpeg of 30 megabytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from typing import Final

from facecycle_cli.errors import MediaError

_EBML: Final = bytes.fromhex("1A45DFA3")
_SEGMENT: Final = bytes.fromhex("18538067")
_CLUSTER: Final = bytes.fromhex("1F43B675")
_CLUSTER_TIME: Final = bytes.fromhex("E7")
_SIMPLE_BLOCK: Final = bytes.fromhex("A3")
_BLOCK_GROUP: Final = bytes.fromhex("A0")
_BLOCK: Final = bytes.fromhex("A1")
_BLOCK_HEADER: Final = 4
"""Bytes of a block before the frame: the number of the track, a relative time, and flags."""
_UNKNOWN_SIZE: Final = b"\x01" + b"\xff" * 7
_LARGEST_SKIPPED: Final = 1 << 24

RAW_OUTPUT: Final = (
    *("-c:v", "rawvideo", "-pix_fmt", "rgb24", "-fps_mode", "passthrough"),
    *("-enc_time_base", "1:1000"),
    *("-avoid_negative_ts", "disabled", "-allow_raw_vfw", "1", "-write_crc32", "0"),
    *("-f", "matroska", "pipe:1"),
)
"""Options with which ffmpeg writes what :func:`read_frame` reads."""

RAW_INPUT: Final = ("-f", "matroska", "-i", "pipe:0")
"""Options with which ffmpeg reads what :func:`stream_header` and :func:`frame_header` begin."""

ReadInto = Callable[[memoryview], int]
"""Fills a buffer; returns how many bytes there were, fewer only at the end."""


def read_frame(read_into: ReadInto, pixels: memoryview, cluster: list[int]) -> int | None:
    """Read the next frame.

    Args:
        read_into: reads from ffmpeg.
        pixels: takes the frame; as many bytes as a frame has.
        cluster: a list of one number that is kept between the calls, 0 at first: times of frames
            are relative to it.

    Returns:
        The time of the frame in milliseconds, which may be negative; None at the end, also in the
        middle of a frame.

    Raises:
        MediaError: a frame of another size, or no Matroska.
    """
    while True:
        element = _read_element(read_into)
        if element is None:
            return None
        identifier, size = element
        if identifier in (_SEGMENT, _CLUSTER, _BLOCK_GROUP):
            continue  # their contents follow
        if identifier in (_SIMPLE_BLOCK, _BLOCK):
            if size != _BLOCK_HEADER + len(pixels):
                raise MediaError("ffmpeg gave a frame of an unexpected size")
            header = _read(read_into, _BLOCK_HEADER)
            if header is None or read_into(pixels) < len(pixels):
                return None
            return cluster[0] + int.from_bytes(header[1:3], "big", signed=True)
        if size > _LARGEST_SKIPPED:
            raise MediaError("ffmpeg gave something else than frames")
        data = _read(read_into, size)
        if data is None:
            return None
        if identifier == _CLUSTER_TIME:
            cluster[0] = int.from_bytes(data, "big")


def _read_element(read_into: ReadInto) -> tuple[bytes, int] | None:
    """The identifier of an element and the length of its data."""
    identifier = _read_number(read_into)
    size = None if identifier is None else _read_number(read_into)
    if identifier is None or size is None:
        return None
    value = int.from_bytes(size, "big") & ((1 << 7 * len(size)) - 1)
    return identifier, value


def _read_number(read_into: ReadInto) -> bytes | None:
    """A number whose first byte says its length by its leading zero bits, with that mark."""
    first = _read(read_into, 1)
    if first is None or first == b"\x00":
        return None
    rest = 8 - first[0].bit_length()
    more = _read(read_into, rest) if rest else b""
    return None if more is None else first + more


def _read(read_into: ReadInto, count: int) -> bytes | None:
    data = bytearray(count)
    return bytes(data) if read_into(memoryview(data)) == count else None


def stream_header(width: int, height: int, fps: Fraction) -> bytes:
    """What precedes the frames: one track of raw RGB pictures, times in milliseconds.

    ``fps`` is a note for the reader; the times of the frames say when each is shown.
    """
    ebml = _element(_EBML, _field("4282", b"matroska"), _field("4287", 4), _field("4285", 2))
    info = _field("1549A966", _field("2AD7B1", 1_000_000))
    video = _field("E0", _field("B0", width) + _field("BA", height) + _field("2EB524", b"RGB\x18"))
    names = _field("D7", 1) + _field("73C5", 1) + _field("83", 1) + _field("86", b"V_UNCOMPRESSED")
    names += _field("23E383", round(1_000_000_000 / fps))
    tracks = _field("1654AE6B", _field("AE", names + video))
    return ebml + _SEGMENT + _UNKNOWN_SIZE + info + tracks


def frame_header(milliseconds: int, size: int) -> bytes:
    """What precedes a frame of ``size`` bytes that is shown from ``milliseconds`` on."""
    out = io.BytesIO()
    out.write(_CLUSTER + _UNKNOWN_SIZE + _element(_CLUSTER_TIME, _number(milliseconds)))
    out.write(_SIMPLE_BLOCK + _size(_BLOCK_HEADER + size) + b"\x81\x00\x00\x80")
    return out.getvalue()


def _field(identifier: str, value: bytes | int) -> bytes:
    data = _number(value) if isinstance(value, int) else value
    return _element(bytes.fromhex(identifier), data)


def _element(identifier: bytes, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return identifier + _size(len(data)) + data


def _number(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


def _size(length: int) -> bytes:
    return (length | 1 << 56).to_bytes(8, "big")
