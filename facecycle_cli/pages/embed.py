"""Pictures, plots and clips as data URIs, which a page holds itself."""

from __future__ import annotations

import base64
import re
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from facecycle_cli.media import Provenance, encode_image, open_video
from facecycle_cli.pages.blocks import EmbeddedClip, EmbeddedPicture
from facecycle_cli.types import RGBImage

__all__ = ["clip_of", "picture_of", "plot_of"]

_QUALITY = 88
"""Of the JPEG pictures in a page."""

_BLACK = re.compile(r"(?<=: )#000000\b")
_SIZE = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')
_POINTS_PER_PIXEL = 0.75

# matplotlib's black becomes the color of the page's text, also in a dark page.
_PLOT_STYLE = (
    "<style>svg{color:#1f2328;fill:currentColor}"
    "@media(prefers-color-scheme:dark){svg{color:#d5dae0}}</style>"
)


def picture_of(
    image: RGBImage, alt: str, *, provenance: Provenance | None, side: int | None = None
) -> EmbeddedPicture:
    """A picture for a page, as JPEG.

    Args:
        image: (H, W, 3) uint8.
        alt: what it shows, in words.
        provenance: None only for pictures that were not generated.
        side: the longer side in pixels, at most; None: as it is.
    """
    if side is not None and max(image.shape[:2]) > side:
        small = Image.fromarray(image)
        small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
        image = np.asarray(small)
    data = encode_image(image, format=".jpg", provenance=provenance, quality=_QUALITY)
    height, width = image.shape[:2]
    return EmbeddedPicture(_uri(data, "image/jpeg"), alt, width, height)


def plot_of(svg: str, alt: str) -> EmbeddedPicture:
    """A plot for a page; what is black in it gets the color of the page's text.

    Args:
        svg: of matplotlib.
        alt: what it shows, in words.
    """
    size = _SIZE.search(svg)
    width, height = (float(v) / _POINTS_PER_PIXEL for v in size.groups()) if size else (576, 432)
    head, mark, rest = svg.partition("<defs>")
    text = _BLACK.sub("currentColor", head + _PLOT_STYLE + mark + rest)
    return EmbeddedPicture(_uri(text.encode(), "image/svg+xml"), alt, round(width), round(height))


def clip_of(
    frames: Sequence[RGBImage],
    fps: Fraction,
    *,
    label: str,
    caption: str,
    provenance: Provenance | None,
) -> EmbeddedClip:
    """A clip for a page, as H.264 in MP4.

    Args:
        frames: at least one, (H, W, 3) uint8 of one size.
        fps: frames per second.
        label: what it shows, in words.
        caption: below it.
        provenance: None only for clips that were not generated.

    Raises:
        MediaError: there is no frame, or the encoder failed.
    """
    height, width = frames[0].shape[:2]
    with tempfile.TemporaryDirectory(prefix="facecycle-") as folder:
        path = Path(folder) / "clip.mp4"
        with open_video(path, fps, (width, height), provenance=provenance) as writer:
            for frame in frames:
                writer.write(frame)
        poster = picture_of(frames[0], label, provenance=provenance)
        return EmbeddedClip(_uri(path.read_bytes(), "video/mp4"), label, caption, poster)


def _uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
