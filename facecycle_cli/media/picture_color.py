"""From the pixels of any Pillow mode to sRGB, a strip at a time.

A picture of 200 megapixels takes 600 MB as an array, and more while it is decoded. So nothing else
of its size is made: strips of a few megapixels are converted and written into the result, upright.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import numpy as np
from PIL import ExifTags, Image, ImageCms

from facecycle_cli.types import RGBImage

_STRIP_PIXELS: Final = 1 << 22

_UPRIGHT: Final[dict[int, Callable[[RGBImage], RGBImage]]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[::-1],
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a.transpose(1, 0, 2)[:, ::-1],
}
"""EXIF orientation -> view of the upright picture in the order in which the file has its pixels."""


def upright_srgb(image: Image.Image) -> RGBImage:
    """A decoded picture: upright, in sRGB, on white where it is transparent, 8 bits deep.

    Args:
        image: of any Pillow mode, loaded; its EXIF orientation, color profile and transparency are
            taken from what its file says.

    Returns:
        (H, W, 3) uint8, C-contiguous.
    """
    orientation = _orientation(image)
    width, height = image.size
    shape = (width, height, 3) if orientation in (5, 6, 7, 8) else (height, width, 3)
    result = np.empty(shape, np.uint8)
    stored = _UPRIGHT[orientation](result)
    convert = _converter(image)
    for top, strip in _strips(image):
        stored[top : top + strip.height] = convert(strip)
    return result


def _orientation(image: Image.Image) -> int:
    with suppress(Exception):  # an unreadable EXIF block says nothing about the pixels
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        if orientation in _UPRIGHT:
            return int(orientation)
    return 1


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Parts of the picture, each with its first row; all of a picture that is no larger."""
    width, height = image.size
    rows = max(1, _STRIP_PIXELS // max(1, width))
    if rows >= height:
        yield 0, image
        return
    for top in range(0, height, rows):
        yield top, image.crop((0, top, width, min(top + rows, height)))


def _converter(image: Image.Image) -> Callable[[Image.Image], RGBImage]:
    """What makes sRGB of a strip of this picture."""
    # Pillow's way from LAB to RGB ends in sRGB: no profile of the file belongs to that.
    profile = None if image.mode == "LAB" else image.info.get("icc_profile")
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        scale = _scale_to_8_bits(image)
        return lambda strip: _deep_gray(strip, scale)
    if image.has_transparency_data:
        managed = _Managed("RGB", profile)
        return lambda strip: np.asarray(_on_white(strip, managed))
    managed = _Managed({"1": "L", "L": "L", "CMYK": "CMYK"}.get(image.mode, "RGB"), profile)
    return lambda strip: np.asarray(managed.to_srgb(strip))


def _scale_to_8_bits(image: Image.Image) -> float:
    """Gray of 16 bits (also if stored in 32) or float (0..1; 0..255 if any value exceeds 1)."""
    if image.mode != "F":
        return 255.0 / 65535.0
    largest = max(np.nan_to_num(np.asarray(s)).max(initial=0.0) for _, s in _strips(image))
    return 255.0 if largest <= 1.0 else 1.0


def _deep_gray(strip: Image.Image, scale: float) -> RGBImage:
    values = np.asarray(strip)
    if values.dtype.kind == "f":
        values = np.nan_to_num(values)
    levels = np.clip(np.rint(values * scale), 0, 255).astype(np.uint8)
    return levels[..., None].repeat(3, axis=-1)


def _on_white(strip: Image.Image, managed: _Managed) -> Image.Image:
    with_alpha = strip.convert("RGBA")
    on_white = Image.new("RGB", strip.size, "white")
    on_white.paste(managed.to_srgb(with_alpha.convert("RGB")), mask=with_alpha.getchannel("A"))
    return on_white


class _Managed:
    """Pictures of one mode (RGB, L or CMYK) and color profile.

    A profile that is sRGB, or cannot be used, changes nothing.
    """

    def __init__(self, mode: str, profile: bytes | None) -> None:
        self._mode = mode
        self._transform: ImageCms.ImageCmsTransform | None = None
        if not profile:
            return
        with suppress(ImageCms.PyCMSError, OSError, ValueError):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "sRGB" not in ImageCms.getProfileDescription(source):
                srgb = ImageCms.createProfile("sRGB")
                self._transform = ImageCms.buildTransform(source, srgb, mode, "RGB")

    def to_srgb(self, strip: Image.Image) -> Image.Image:
        """RGB of a strip."""
        if strip.mode != self._mode:
            strip = strip.convert(self._mode)
        if self._transform is not None:
            with suppress(ImageCms.PyCMSError, OSError, ValueError):
                converted = ImageCms.applyTransform(strip, self._transform)
                if converted is not None:
                    return converted
        return strip if strip.mode == "RGB" else strip.convert("RGB")
