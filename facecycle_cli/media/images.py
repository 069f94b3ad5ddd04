"""Still pictures: every common format in, tagged PNG, JPEG or WebP out.

A picture is an array here: RGB uint8 (H, W, 3), C-contiguous, sRGB, upright.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from facecycle_cli.errors import MediaError
from facecycle_cli.media.provenance import Provenance
from facecycle_cli.system import atomic_path

RGBImage: TypeAlias = NDArray[np.uint8]
Source: TypeAlias = "str | os.PathLike[str] | bytes | BinaryIO"

# Pillow reads more, but some of it by running other programs (EPS: Ghostscript). The everyday
# formats come first: the plugins of the others are imported only when these do not match.
_READABLE: Final = "JPEG PNG GIF BMP PPM WEBP TIFF JPEG2000 TGA ICO AVIF".split()
_WRITABLE: Final = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jfif": "JPEG",
    ".webp": "WEBP",
}
IMAGE_FORMATS: Final = tuple(_WRITABLE)
_HEIF_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"})


def read_image(source: Source) -> RGBImage:
    """Picture in ``source`` (path, bytes of a file, or binary stream) as RGB uint8 (H, W, 3).

    EXIF orientation is applied and an embedded color profile converted to sRGB. Transparent
    pictures are put on white, 16-bit ones scaled to 8 bits; of an animated picture the first frame
    is taken.

    Raises `MediaError` for what is no picture, is damaged, or has more pixels than Pillow considers
    safe (about 179 million), OSError for what cannot be opened.
    """
    with _opened(source) as image, _decoding():
        image.load()
        _turn_upright(image)
        return np.array(_to_srgb(image))


def is_still(path: str | os.PathLike[str]) -> bool:
    """Whether the file is a picture of one frame (an animated GIF or a video is not)."""
    try:
        with _opened(path) as image:
            return not getattr(image, "is_animated", False)
    except MediaError:
        return False


@contextmanager
def _opened(source: Source) -> Iterator[Image.Image]:
    """Identified, not yet decoded."""
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file, _opened(file) as image:
            yield image
        return
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    if not stream.seekable():  # a pipe
        stream = io.BytesIO(stream.read())
    head = stream.read(12)
    if not head:
        raise MediaError("empty file")
    stream.seek(0)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        raise MediaError("HEIC pictures are not supported; convert it to JPEG or PNG first")
    with _decoding():
        image = Image.open(stream, formats=_READABLE)
    with image:
        yield image


@contextmanager
def _decoding() -> Iterator[None]:
    """Pillow's many exceptions as one, and its warnings about odd files unsaid."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    except UnidentifiedImageError as error:
        raise MediaError("not a picture in a known format") from error
    except Image.DecompressionBombError as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        raise MediaError(f"too large a picture (more than {limit} megapixels)") from error
    except (MediaError, MemoryError):
        raise
    except Exception as error:  # decoders of damaged files raise nearly anything
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's failure, not the picture's
        raise MediaError(f"damaged picture ({_one_line(error)})") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _turn_upright(image: Image.Image) -> None:
    with suppress(Exception):  # an unreadable EXIF block says nothing about the pixels
        ImageOps.exif_transpose(image, in_place=True)


def _to_srgb(image: Image.Image) -> Image.Image:
    """Any Pillow mode to RGB (sRGB)."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_scaled_to_8_bits(image)).convert("RGB")
    if image.has_transparency_data:
        with_alpha = image.convert("RGBA")
        colors = _convert_profile(with_alpha.convert("RGB"), image.info.get("icc_profile"))
        on_white = Image.new("RGB", image.size, "white")
        on_white.paste(colors, mask=with_alpha.getchannel("A"))
        return on_white
    if image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    image = _convert_profile(image, image.info.get("icc_profile"))
    return image if image.mode == "RGB" else image.convert("RGB")  # which would copy a large scan


def _scaled_to_8_bits(image: Image.Image) -> RGBImage:
    """Gray of 16 bits (also if stored in 32) or float (0..1; 0..255 if any value exceeds 1)."""
    values = np.asarray(image)
    if values.dtype.kind == "f":
        values = np.nan_to_num(values)
        scale = 255.0 if values.max(initial=0.0) <= 1.0 else 1.0
    else:
        scale = 255.0 / 65535.0
    return np.clip(np.rint(values * scale), 0, 255).astype(np.uint8)


def _convert_profile(image: Image.Image, profile: bytes | None) -> Image.Image:
    """``image`` (RGB, L or CMYK) in sRGB; as it is if its profile is sRGB or unusable."""
    if not profile:
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return image
        converted = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    return image if converted is None else converted


def write_image(
    array: RGBImage,
    target: str | os.PathLike[str] | BinaryIO,
    *,
    format: str | None = None,  # noqa: A002 (Pillow's name for it)
    provenance: Provenance | None,
    quality: int = 95,
) -> None:
    """Write ``array`` (uint8, (H, W, 3) RGB or (H, W) gray) as PNG, JPEG or WebP.

    ``format`` defaults to the one of ``target``'s suffix (PNG for a stream). A path is written to a
    temporary name and renamed. ``provenance`` is None only for pictures that were not generated.

    Raises `MediaError` for another format, OSError if it cannot be written.
    """
    if isinstance(target, (str, os.PathLike)):
        path = Path(target)
        data = encode_image(
            array,
            format=format or path.suffix or "(no suffix)",
            provenance=provenance,
            quality=quality,
        )
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)
    else:
        target.write(
            encode_image(array, format=format or "png", provenance=provenance, quality=quality)
        )


def encode_image(
    array: RGBImage,
    *,
    format: str = "png",  # noqa: A002
    provenance: Provenance | None,
    quality: int = 95,
) -> bytes:
    """Bytes of the file that `write_image` would write; ``format`` is its suffix."""
    suffix = f".{format.lower().lstrip('.')}"
    if suffix not in _WRITABLE:
        raise MediaError(f"cannot write {format} pictures; use .png, .jpg or .webp")
    if array.dtype != np.uint8 or not (
        array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
    ):
        raise MediaError(f"cannot write an array of {array.dtype} {array.shape} as a picture")
    buffer = io.BytesIO()
    kind = _WRITABLE[suffix]
    Image.fromarray(array).save(buffer, kind, **_save_options(kind, provenance, quality))
    return buffer.getvalue()


def _save_options(kind: str, provenance: Provenance | None, quality: int) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if kind != "PNG":
        options["quality"] = quality
    if kind == "JPEG" and quality >= 90:
        options["subsampling"] = "4:4:4"  # chroma at half resolution smears lips and eyes
    if provenance is None:
        return options
    if kind == "PNG":
        text = PngInfo()
        text.add_text("Software", f"{provenance.tool} {provenance.version}")
        text.add_text("Comment", provenance.to_json())
        text.add_itxt("XML:com.adobe.xmp", provenance.to_xmp().decode())
        return options | {"pnginfo": text}
    options["xmp"] = provenance.to_xmp()
    if kind == "JPEG":
        options["comment"] = provenance.to_json().encode()
    return options
