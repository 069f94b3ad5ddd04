"""How large a picture may be, in place of Pillow's own limit."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from PIL import Image

from facecycle_cli.errors import MediaError

MAX_PIXELS: Final = 250_000_000
"""The largest picture: a phone's of 200 megapixels and some more."""

MAX_PIXELS_OF: Final = {
    "WEBP": 130_000_000,
    "AVIF": 180_000_000,
    "JPEG2000": 80_000_000,
    "GIF": 8192 * 4608,
}
"""The largest in formats whose decoders hold the picture several times: it takes 2 GB, too. No
camera writes GIF: a kilobyte of it can say that a screen is as wide as it likes, and it is limited
as frames of videos are."""


def check_pixels(picture: Image.Image) -> None:
    """Check the size of a picture that is not decoded yet.

    Raises:
        MediaError: it has too many pixels.
    """
    width, height = picture.size
    limit = MAX_PIXELS_OF.get(picture.format or "", MAX_PIXELS)
    if width * height > limit:
        raise MediaError(too_large(limit))


def too_large(limit: int = MAX_PIXELS) -> str:
    """What is said of a picture with more pixels than ``limit``."""
    return f"too large a picture (more than {limit // 1_000_000} megapixels)"


_lock = threading.Lock()
_users = 0
_before: int | None = None


@contextmanager
def pillow_limit_raised() -> Iterator[None]:
    """Let Pillow open pictures up to our limit, which is above its own; for the time of the block.

    Its limit belongs to the whole process, so the first of several threads raises it and the last
    one puts it back.
    """
    global _users, _before
    with _lock:
        if not _users:
            # Pillow warns from its limit on, and refuses from twice that on.
            _before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS // 2
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                Image.MAX_IMAGE_PIXELS = _before
